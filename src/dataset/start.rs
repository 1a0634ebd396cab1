//! How a file begins, and what that says of the rest: marks of encodings, packed files, tables of other kinds.
//!
//! UTF-8 with or without a byte-order mark and gzip are read. Lines that end in a carriage return alone, as on old Macs, are
//! read as lines. Everything else that a first look tells is an error that names it, in place of "not valid UTF-8" or one
//! endless line.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;

use super::limits::Unpacked;
use super::position::Stream;
use crate::error::{Error, Result};

const BOM: &[u8] = b"\xef\xbb\xbf";
const GZIP: &[u8] = b"\x1f\x8b";
const BUFFER: usize = 1 << 16;

/// Files that are not read, by their first bytes: what it is, and what to do.
const FOREIGN: [(&[u8], &str, &str); 6] = [
    (b"PK\x03\x04", "a ZIP archive or a spreadsheet (.xlsx)", "unpack it, or save the sheet as CSV"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", "unpack it: zstd -d FILE"),
    (b"BZh", "packed with bzip2", "unpack it: bunzip2 FILE"),
    (b"\xfd7zXZ\0", "packed with xz", "unpack it: unxz FILE"),
    (b"PAR1", "a Parquet file", "write it as JSONL: pandas.read_parquet(…).to_json(…, orient=\"records\", lines=True)"),
    (b"ARROW1", "an Arrow file", "write it as JSONL"),
];

/// The text of a file from behind its byte-order mark, unpacked where it is packed with gzip.
///
/// # Errors
/// A file that cannot be read or is of a kind that is not.
pub(super) fn text(reader: Box<dyn Read + Send>, path: &Path) -> Result<Stream> {
    let mut stream = BufReader::with_capacity(BUFFER, reader);
    if first_bytes(&mut stream, path)?.starts_with(GZIP) {
        stream = BufReader::with_capacity(BUFFER, Box::new(Unpacked::new(Members::new(stream, path))));
    }
    let start = first_bytes(&mut stream, path)?;
    refuse(start, path)?;
    if has_lines_of_returns(start) {
        stream = BufReader::with_capacity(BUFFER, Box::new(Lines(stream)));
    }
    if first_bytes(&mut stream, path)?.starts_with(BOM) {
        stream.consume(BOM.len());
    }
    Ok(stream)
}

/// Refuses bytes that are the start of no text in UTF-8, as far as they tell.
///
/// # Errors
/// What it is instead, at `path`.
pub fn refuse(start: &[u8], path: &Path) -> Result<()> {
    let wide = start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff");
    // Text of this kind begins with a character of ASCII.
    let is_text = |byte: u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    let wide =
        wide || matches!(start, [0, next, ..] if is_text(*next)) || matches!(start, [first, 0, ..] if is_text(*first));
    let packed = start.starts_with(GZIP).then_some(("packed with gzip", "unpack it: gunzip FILE"));
    let utf16 = wide.then_some(("text in UTF-16", "save the file as UTF-8: iconv -f UTF-16 -t UTF-8 FILE"));
    // A mark of letters could be the first name of a table.
    let binary = start.iter().any(|byte| *byte < b'\t');
    let is_sure = |mark: &[u8]| binary || !mark.iter().all(u8::is_ascii_alphanumeric);
    let foreign = FOREIGN.into_iter().find(|(mark, ..)| start.starts_with(mark) && is_sure(mark));
    match packed.or(utf16).or(foreign.map(|(_, what, hint)| (what, hint))) {
        Some((what, hint)) => Err(Error::input(format!("the file is {what}")).at(path).with_hint(hint)),
        None => Ok(()),
    }
}

/// All of a text file without its byte-order mark, its lines ended by line feeds, as jinja2 and Python see it: `\r\n` and `\r` end a
/// line as `\n` does.
///
/// # Errors
/// Bytes that are no text, with the line of the first that is none.
pub fn whole_text(bytes: &[u8], path: &Path) -> Result<String> {
    refuse(bytes, path)?;
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        Error::input("the text is not valid UTF-8").at_line(path, line).with_hint("save the file as UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Ok(if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.to_owned() })
}

/// Whether lines of this text end in a carriage return and nothing else.
pub fn has_lines_of_returns(start: &[u8]) -> bool {
    let first = start.iter().position(|byte| *byte == b'\r');
    !start.contains(&b'\n') && first.is_some_and(|at| !start[at..].trim_ascii().is_empty())
}

/// The first bytes, which stay where they are; none of an empty file.
fn first_bytes<'a>(stream: &'a mut Stream, path: &Path) -> Result<&'a [u8]> {
    while let Err(error) = stream.fill_buf() {
        if error.kind() != ErrorKind::Interrupted {
            return Err(Error::io("read", path, error));
        }
    }
    Ok(stream.buffer())
}

/// What the members of a gzip file hold, one behind the other; zeros behind the last are padding, as for gzip.
struct Members {
    member: Option<GzDecoder<Stream>>,
    path: PathBuf,
}

impl Members {
    fn new(stream: Stream, path: &Path) -> Self {
        Self { member: Some(GzDecoder::new(stream)), path: path.into() }
    }

    fn told(&self, what: &str, hint: &str) -> std::io::Error {
        std::io::Error::other(
            Error::input(format!("the gzip file cannot be unpacked: {what}")).at(&self.path).with_hint(hint),
        )
    }

    /// An error of the unpacking, in words; those of reading stay what they are.
    fn unpacking(&self, error: std::io::Error) -> std::io::Error {
        match error.kind() {
            ErrorKind::UnexpectedEof => {
                self.told("it is cut off", "the download or copy was not finished; fetch it again")
            }
            ErrorKind::InvalidInput | ErrorKind::InvalidData => {
                self.told(&format!("it is damaged ({error})"), "`gzip -t FILE` checks it; fetch the file again")
            }
            _ => error,
        }
    }

    /// What comes behind a member that has ended.
    fn go_on(&mut self, mut rest: Stream) -> std::io::Result<()> {
        loop {
            let (zeros, next) = {
                let bytes = rest.fill_buf()?;
                let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                (zeros, bytes.get(zeros).copied())
            };
            rest.consume(zeros);
            match (zeros, next) {
                (0, None) => return Ok(()),
                (_, None) => {}
                (_, Some(first)) if first == GZIP[0] => {
                    self.member = Some(GzDecoder::new(rest));
                    return Ok(());
                }
                (_, Some(_)) => {
                    let what = "behind the end of what is packed stands something that is not";
                    return Err(self
                        .told(what, "pack all of it anew: `cat FILES | gzip`; or cut off what does not belong to it"));
                }
            }
        }
    }
}

impl Read for Members {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while let Some(member) = &mut self.member {
            match member.read(buffer) {
                Ok(0) if !buffer.is_empty() => {
                    if let Some(ended) = self.member.take() {
                        self.go_on(ended.into_inner())?;
                    }
                }
                Ok(count) => return Ok(count),
                Err(error) => return Err(self.unpacking(error)),
            }
        }
        Ok(0)
    }
}

/// Line feeds in place of carriage returns.
struct Lines(Stream);

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.read(buffer)?;
        buffer[..count].iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(bytes: &[u8]) -> Result<String, String> {
        let told = |error: Error| format!("{}; {}", error.chain(), error.hint().unwrap_or_default());
        let mut stream = text(Box::new(std::io::Cursor::new(bytes.to_vec())), Path::new("x")).map_err(told)?;
        let mut all = String::new();
        stream.read_to_string(&mut all).map_err(|error| Error::io("read", "x", error).chain())?;
        Ok(all)
    }

    fn packed(text: &str) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(text.as_bytes()).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn text_is_read_whatever_its_wrapping() {
        for (bytes, expected) in [
            (b"a\nb".to_vec(), "a\nb"),
            (b"".to_vec(), ""),
            (b"\xef\xbb\xbfa".to_vec(), "a"),
            (b"a\r\nb\r\n".to_vec(), "a\r\nb\r\n"),
            (b"a\rb\r".to_vec(), "a\nb\n"),
            (b"\xef\xbb\xbfa\rb".to_vec(), "a\nb"),
            (b"one line\r".to_vec(), "one line\r"),
            (packed("a\nb"), "a\nb"),
            (packed("\u{feff}a\rb"), "a\nb"),
            ([packed("a\n"), packed("b")].concat(), "a\nb"),
            ([packed("a\n"), packed(""), packed("b"), vec![0; 700]].concat(), "a\nb"),
        ] {
            assert_eq!(read(&bytes).as_deref(), Ok(expected), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_text_is_named() {
        for (bytes, told) in [
            (&b"\xff\xfe{\0"[..], "UTF-16"),
            (b"\xfe\xff\0{", "UTF-16"),
            (b"{\0\"\0", "UTF-16"),
            (b"\0{\0\"", "UTF-16"),
            (b"PK\x03\x04...", "ZIP"),
            (b"\x28\xb5\x2f\xfd...", "zstd -d"),
            (b"BZh91AY&SY\0", "bunzip2"),
            (b"PAR1\x15\x04", "Parquet"),
        ] {
            assert!(read(bytes).unwrap_err().contains(told), "{told}: {:?}", read(bytes));
        }
        assert_eq!(read(b"PAR1,PAR2\n").as_deref(), Ok("PAR1,PAR2\n"));
        let whole = packed(&"x".repeat(10_000));
        let told = |bytes: &[u8]| read(bytes).unwrap_err();
        for end in [3, 11, whole.len() / 2, whole.len() - 4] {
            assert!(
                told(&whole[..end]).contains("gzip file cannot be unpacked: it is cut off"),
                "{end}: {}",
                told(&whole[..end])
            );
        }
        let twice = [whole.clone(), whole.clone()].concat();
        assert!(told(&twice[..whole.len() + 5]).contains("it is cut off"));
        for behind in [&b"{\"id\":1}\n"[..], b"x", b"\0\0x"] {
            let told = told(&[&whole, behind].concat());
            assert!(told.contains("behind the end of what is packed"), "{told}");
        }
        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(told(&damaged).contains("gzip file cannot be unpacked: it is damaged"), "{}", told(&damaged));
    }
}
