//! What lies in the place of a file, told by its first bytes: a pointer of Git LFS or DVC, a web page, an archive, nothing.
//!
//! Knows no model and no dataset: it says what is there, the caller says what should be. Nothing is fetched or unpacked.
//! Pipes and devices are not read at all: to open the one is to wait for its other end, and the other may never end.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};

/// Opens a file for reading.
///
/// # Errors
/// It cannot be opened, or is a pipe, a socket or a device.
pub fn open_file(path: &Path) -> Result<File> {
    check_file(path)?;
    File::open(path).map_err(|error| Error::io("open", path, error))
}

/// Holds that opening and reading a path waits for nobody and ends. A folder, and what is not there, is the business of whoever opens
/// it: the system has words for those.
///
/// # Errors
/// It is a pipe, a socket or a device.
pub fn check_file(path: &Path) -> Result<()> {
    match no_file(path) {
        None | Some(FOLDER) => Ok(()),
        Some(what) => Err(Error::input(format!("`{}` is {what}, not a file", path.display()))
            .with_hint("give a file: what it holds is read more than once")),
    }
}

/// The bytes of a file that has at most so many.
///
/// # Errors
/// Those of [`open_file`]; it cannot be read, or has more.
pub fn read_file(path: &Path, most: u64) -> Result<Vec<u8>> {
    let (mut file, mut bytes) = (open_file(path)?.take(most + 1), Vec::new());
    file.read_to_end(&mut bytes).map_err(|error| Error::io("read", path, error))?;
    if bytes.len() as u64 <= most {
        Ok(bytes)
    } else {
        Err(Error::input(format!("`{}` has more than {most} bytes", path.display())))
    }
}

/// What [`no_file`] calls a folder.
const FOLDER: &str = "a folder";
/// What [`no_file`] calls a device.
pub const DEVICE: &str = "a device";
/// Bytes of a file that are looked at.
const LOOKED_AT: usize = 1024;
/// Characters of a text that are quoted.
const QUOTED: usize = 60;

/// What a file should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A safetensors file.
    Safetensors,
    /// A GGUF file.
    Gguf,
    /// JSON.
    Json,
    /// Any text.
    Text,
}

/// What it holds instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StandIn {
    /// Something else than a file, by its kind with an article.
    NoFile(&'static str),
    /// No bytes.
    Empty,
    /// A pointer of Git LFS.
    GitLfs,
    /// A pointer of git-annex.
    GitAnnex,
    /// A file of DVC that names another.
    Dvc,
    /// A pointer of Xet.
    Xet,
    /// A web page.
    Html,
    /// An XML document, as object stores answer errors.
    Xml,
    /// A file of another format, by its name with an article.
    Format(&'static str),
    /// A text, by its first line.
    Text(String),
    /// Bytes that are no text.
    Binary,
}

/// Formats that begin with bytes of their own. PyTorch's files are zip archives or bare pickles.
const FORMATS: [(&[u8], &str); 19] = [
    (b"GGUF", "a GGUF file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a zip archive (PyTorch's `.bin` and `.pt` are such)"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"BZh", "a bzip2 archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\x80\x02", "a pickle of PyTorch"),
    (b"\x80\x03", "a pickle of Python"),
    (b"\x80\x04", "a pickle of Python"),
    (b"\x80\x05", "a pickle of Python"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"%PDF-", "a PDF document"),
    (b"PAR1", "a Parquet file"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x89PNG\r\n", "a picture"),
    (b"\xff\xfe", "a text in UTF-16"),
    (b"\xfe\xff", "a text in UTF-16"),
];

impl StandIn {
    /// What a file holds in the place of what it should; `None` where nothing speaks against it. What is no file at all is not
    /// opened: that could take for ever.
    ///
    /// # Errors
    /// It cannot be opened or read.
    pub fn of_file(path: &Path, expected: Expected) -> Result<Option<Self>> {
        if let Some(what) = no_file(path) {
            return Ok(Some(Self::NoFile(what)));
        }
        let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        let mut start = Vec::with_capacity(LOOKED_AT);
        file.take(LOOKED_AT as u64).read_to_end(&mut start).map_err(|e| Error::io("read", path, e))?;
        Ok(Self::of(&start, expected))
    }

    /// [`StandIn::of_file`] of a file's first bytes.
    pub fn of(start: &[u8], expected: Expected) -> Option<Self> {
        let start = &start[..start.len().min(LOOKED_AT)];
        if start.is_empty() {
            return Some(Self::Empty);
        }
        // A length in eight bytes, then a JSON object. The first bytes may be those of any format.
        if expected == Expected::Safetensors && start.get(8) == Some(&b'{') {
            return None;
        }
        let format = FORMATS.iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, name)| *name);
        match format {
            Some("a GGUF file") if expected == Expected::Gguf => return None,
            Some(name) => return Some(Self::Format(name)),
            None => {}
        }
        if start.get(257..262) == Some(b"ustar") {
            return Some(Self::Format("a tar archive"));
        }
        let Some(text) = text(start) else {
            // What reads such files says more: of another encoding the line, of a binary file its magic.
            let binary = matches!(expected, Expected::Json | Expected::Text) && start.contains(&0);
            return binary.then_some(Self::Binary);
        };
        let bare = text.trim_start_matches('\u{feff}').trim_start();
        let begins = |words: &[&str]| {
            let begin = |word: &&str| bare.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word));
            words.iter().any(begin)
        };
        if begins(&["version https://git-lfs.github.com/spec/", "version https://hawser.github.com/spec/"]) {
            Some(Self::GitLfs)
        } else if begins(&["/annex/objects/"]) {
            Some(Self::GitAnnex)
        } else if begins(&["# xet version"]) {
            Some(Self::Xet)
        } else if is_dvc(bare) {
            Some(Self::Dvc)
        } else if begins(&["<!doctype html", "<html", "<head>", "<body"]) {
            Some(Self::Html)
        } else if begins(&["<?xml"]) {
            Some(Self::Xml)
        } else {
            let fits = match expected {
                Expected::Safetensors | Expected::Gguf => false,
                Expected::Json => bare.is_empty() || bare.starts_with(['{', '[']),
                Expected::Text => true,
            };
            (!fits).then(|| Self::Text(quoted(bare)))
        }
    }

    /// What it is, to stand behind the file's name and "is".
    pub fn what(&self) -> String {
        match self {
            Self::NoFile(kind) => format!("{kind}, not a file"),
            Self::Empty => "empty".into(),
            Self::GitLfs => "a Git LFS pointer, not the file".into(),
            Self::GitAnnex => "a git-annex pointer, not the file".into(),
            Self::Dvc => "a DVC pointer, not the file".into(),
            Self::Xet => "a Xet pointer, not the file".into(),
            Self::Html => "an HTML page, not the file".into(),
            Self::Xml => "an XML document, not the file".into(),
            Self::Format(name) => (*name).into(),
            Self::Text(line) => format!("a text that begins `{line}`"),
            Self::Binary => "binary data".into(),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::GitLfs => "fetch it with `git lfs pull`",
            Self::GitAnnex => "fetch it with `git annex get`",
            Self::Dvc => "fetch it with `dvc pull`",
            Self::Xet => "fetch it with git-xet, or `hf download`",
            Self::Html | Self::Xml => "a server answered with a page (a login, an error); fetch the file again",
            Self::Empty | Self::Text(_) => "the download or copy failed; fetch the file again",
            Self::Format("a text in UTF-16") => "save it as UTF-8",
            Self::Format(name) if name.contains("archive (") => "unpack or convert it, or take a model in safetensors",
            Self::Format(name) if name.ends_with("archive") => "unpack it",
            Self::Format("a GGUF file") => "name it `….gguf`, and give the file's path as the model",
            Self::Format(_) | Self::Binary | Self::NoFile(_) => "put the right file in its place",
        }
    }
}

/// What is at a path where it is neither a file nor nothing: a folder, a pipe, a device. To open a pipe is to wait for its other
/// end, and a device may have no last byte.
pub fn no_file(path: &Path) -> Option<&'static str> {
    let kind = std::fs::metadata(path).ok()?.file_type();
    if kind.is_file() {
        return None;
    }
    if kind.is_dir() {
        return Some(FOLDER);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kinds = [
            (kind.is_fifo(), "a named pipe"),
            (kind.is_socket(), "a socket"),
            (kind.is_char_device() || kind.is_block_device(), DEVICE),
        ];
        if let Some((_, name)) = kinds.into_iter().find(|(is, _)| *is) {
            return Some(name);
        }
    }
    Some("something else")
}

/// The bytes as text, but for a character that is cut at the end; `None` where they are none.
fn text(start: &[u8]) -> Option<&str> {
    let valid = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) if start.len() - error.valid_up_to() < 4 && error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{b}' | '\u{c}' | '\u{1b}');
    (!valid.contains(odd)).then_some(valid)
}

/// A file of DVC: a list of outputs by their hashes.
fn is_dvc(text: &str) -> bool {
    let key = |key: &str| text.lines().any(|line| line.trim_start_matches(['-', ' ']).starts_with(key));
    text.starts_with("outs:") && (key("md5:") || key("hash:") || key("path:"))
}

/// The first line, short enough for a message.
fn quoted(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim_end();
    let short: String = line.chars().take(QUOTED).collect();
    let cut = if short.len() < line.len() { "…" } else { "" };
    format!("{}{cut}", short.escape_debug())
}

/// What a server said in the place of a JSON file: an object that holds an error and nothing of use.
pub fn server_error(value: &Value) -> Option<String> {
    const TOLD: [&str; 5] = ["error", "message", "detail", "errors", "error_message"];
    const BESIDE: [&str; 9] = [
        "status",
        "statusCode",
        "status_code",
        "code",
        "path",
        "timestamp",
        "request_id",
        "documentation_url",
        "error_code",
    ];
    let object = value.as_object().filter(|object| !object.is_empty())?;
    if !object.keys().all(|key| TOLD.contains(&key.as_str()) || BESIDE.contains(&key.as_str())) {
        return None;
    }
    let told = TOLD.iter().find_map(|key| object.get(*key))?;
    Some(quoted(&told.as_str().map_or_else(|| told.to_string(), str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_device_is_not_read_and_a_file_up_to_its_bound() {
        let error = read_file(Path::new("/dev/zero"), 9).unwrap_err();
        assert!(error.message().contains("a device"), "{error}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "123456789").unwrap();
        assert_eq!(read_file(file.path(), 9).unwrap(), b"123456789");
        assert!(read_file(file.path(), 8).unwrap_err().message().contains("more than 8 bytes"));
        assert!(read_file(&file.path().join("none"), 9).is_err());
    }

    #[test]
    fn what_lies_in_the_place_of_a_file_is_told_by_its_begin() {
        let any = [Expected::Safetensors, Expected::Gguf, Expected::Json, Expected::Text];
        let table: [(&[u8], StandIn); 11] = [
            (b"", StandIn::Empty),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n", StandIn::GitLfs),
            (b"/annex/objects/SHA256E-s3--00.safetensors\n", StandIn::GitAnnex),
            (b"outs:\n- md5: 00\n  path: model.safetensors\n", StandIn::Dvc),
            (b"# xet version 0\nfilesize = 3\n", StandIn::Xet),
            (b"\n  <!DOCTYPE HTML><html>", StandIn::Html),
            ("\u{feff}<html lang=\"en\">".as_bytes(), StandIn::Html),
            (b"<?xml version=\"1.0\"?><Error/>", StandIn::Xml),
            (b"\x1f\x8b\x08\0\0", StandIn::Format("a gzip archive")),
            (b"PK\x03\x04\0\0", StandIn::Format("a zip archive (PyTorch's `.bin` and `.pt` are such)")),
            (b"\xff\xfe{\0", StandIn::Format("a text in UTF-16")),
        ];
        for (start, is) in table {
            for expected in any {
                assert_eq!(StandIn::of(start, expected).as_ref(), Some(&is), "{expected:?}");
            }
        }
    }

    #[test]
    fn what_should_be_there_is_no_stand_in() {
        for (start, expected) in [
            (&b"\x10\0\0\0\0\0\0\0{\"a\":1}"[..], Expected::Safetensors),
            // A length whose bytes are those of gzip.
            (b"\x1f\x8b\0\0\0\0\0\0{\"a\":1}", Expected::Safetensors),
            (b"GGUF\x03\0\0\0", Expected::Gguf),
            (b"\n {\"a\": 1}", Expected::Json),
            (b"[]", Expected::Json),
            ("{% for m in messages %}\u{1f642}".as_bytes(), Expected::Text),
            // Cut in the middle of a character.
            (&"a🙂".as_bytes()[..3], Expected::Text),
        ] {
            assert_eq!(StandIn::of(start, expected), None, "{start:?}");
        }
        let text = StandIn::Text("Entry not found".into());
        assert_eq!(StandIn::of(b"Entry not found", Expected::Safetensors), Some(text.clone()));
        assert_eq!(StandIn::of(b"Entry not found", Expected::Json), Some(text));
        assert_eq!(StandIn::of(b"GGUF\x03\0\0\0", Expected::Text), Some(StandIn::Format("a GGUF file")));
        assert_eq!(StandIn::of(b"{\"a\": \0}", Expected::Json), Some(StandIn::Binary));
    }

    #[test]
    fn an_error_of_a_server_is_no_configuration() {
        let told = |text: &str| server_error(&serde_json::from_str(text).unwrap());
        assert_eq!(told(r#"{"error": "Repository not found"}"#).as_deref(), Some("Repository not found"));
        assert_eq!(told(r#"{"message": "Not Found", "status": 404}"#).as_deref(), Some("Not Found"));
        assert_eq!(told(r#"{"error": "x", "model_type": "llama"}"#), None);
        assert_eq!((told("{}"), told("[]")), (None, None));
    }
}
