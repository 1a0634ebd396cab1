//! JSONL in and out: one object a line, errors with file and line, output files that appear whole or not at all.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// Reads objects of one kind, line by line.
pub struct Lines<T> {
    reader: Box<dyn BufRead + Send>,
    path: PathBuf,
    line: u64,
    buffer: Vec<u8>,
    kind: std::marker::PhantomData<fn() -> T>,
}

/// A line that says which it is.
pub trait Identified {
    /// The id as it was written.
    fn id(&self) -> &Value;

    /// What serde alone cannot check.
    ///
    /// # Errors
    /// A fragment that says what is wrong.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl<T: DeserializeOwned + Identified> Lines<T> {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let (reader, path): (Box<dyn BufRead + Send>, PathBuf) = if path.as_os_str() == "-" {
            (Box::new(BufReader::new(std::io::stdin())), "<stdin>".into())
        } else {
            let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
            (Box::new(BufReader::with_capacity(1 << 16, file)), path.into())
        };
        Ok(Self { reader, path, line: 0, buffer: Vec::new(), kind: std::marker::PhantomData })
    }

    fn read(&mut self) -> Result<Option<T>> {
        loop {
            self.buffer.clear();
            let len = self.reader.read_until(b'\n', &mut self.buffer).map_err(|e| Error::io("read", &self.path, e))?;
            if len == 0 {
                return Ok(None);
            }
            self.line += 1;
            let bytes = match self.line {
                1 => self.buffer.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.buffer),
                _ => &self.buffer,
            };
            let text = std::str::from_utf8(bytes).map_err(|e| {
                Error::input("read a line that is not UTF-8").at_line(&self.path, self.line).caused_by(e)
            })?;
            if text.trim().is_empty() {
                continue;
            }
            let parsed: T = parse(text.trim_end()).map_err(|(fragment, e)| {
                Error::input(fragment).at_column(&self.path, self.line, e.column() as u64).caused_by(e)
            })?;
            let id = parsed.id();
            if !(id.is_string() || id.is_i64() || id.is_u64()) {
                return Err(Error::input("read the `id` of a line").at_line(&self.path, self.line).with_hint(
                    "every line needs an `id`, a text or a whole number: it names the answer in the output",
                ));
            }
            parsed.check().map_err(|e| e.at_line(&self.path, self.line))?;
            return Ok(Some(parsed));
        }
    }
}

/// Parses one line; a wrong value is named by its key.
fn parse<T: DeserializeOwned>(text: &str) -> std::result::Result<T, (String, serde_json::Error)> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let parsed = serde_path_to_error::deserialize(&mut deserializer).map_err(|e| {
        let fragment = match e.path().to_string().as_str() {
            "." | "?" => "parse a line".to_owned(),
            key => format!("read `{key}` of a line"),
        };
        (fragment, e.into_inner())
    })?;
    deserializer.end().map_err(|e| ("parse a line".to_owned(), e))?;
    Ok(parsed)
}

impl<T: DeserializeOwned + Identified> Iterator for Lines<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        self.read().transpose()
    }
}

/// Writes lines to a file that appears under its name only when complete, or to standard output as they come.
pub enum Output {
    /// Standard output, or a device that cannot be renamed to.
    Stream(BufWriter<Box<dyn Write>>),
    /// A temporary file beside its destination.
    File {
        /// What is being written.
        writer: BufWriter<NamedTempFile>,
        /// Its name in the end.
        path: PathBuf,
    },
}

impl Output {
    /// Opens the destination.
    ///
    /// # Errors
    /// Its folder does not exist or cannot be written.
    pub fn open(path: &Path) -> Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stream(BufWriter::new(Box::new(std::io::stdout()))));
        }
        if std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
            // A pipe or /dev/null: written in place. A folder fails here with the system's own words.
            let file = File::create(path).map_err(|e| Error::io("write", path, e))?;
            return Ok(Self::Stream(BufWriter::new(Box::new(file))));
        }
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let file = tempfile::Builder::new()
            .prefix(".karat-")
            .permissions_of_new_files()
            .tempfile_in(folder)
            .map_err(|e| Error::io("write", path, e))?;
        Ok(Self::File { writer: BufWriter::new(file), path: path.into() })
    }

    /// Writes one line.
    ///
    /// # Errors
    /// The disk is full, the pipe closed.
    pub fn line(&mut self, line: &impl serde::Serialize) -> Result<()> {
        let name = self.name();
        let write = |writer: &mut dyn Write| -> std::io::Result<()> {
            serde_json::to_writer(&mut *writer, line)?;
            writer.write_all(b"\n")
        };
        match self {
            Self::Stream(writer) => write(writer),
            Self::File { writer, .. } => write(writer),
        }
        .map_err(|e| Error::io("write", name, e))
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// As for [`Output::line`].
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        let name = self.name();
        match self {
            Self::Stream(writer) => writer.write_all(bytes),
            Self::File { writer, .. } => writer.write_all(bytes),
        }
        .map_err(|e| Error::io("write", name, e))
    }

    fn name(&self) -> PathBuf {
        match self {
            Self::Stream(_) => "<stdout>".into(),
            Self::File { path, .. } => path.clone(),
        }
    }

    /// Makes what was written visible to others: flushes a stream.
    ///
    /// # Errors
    /// As for [`Output::line`].
    pub fn flush(&mut self) -> Result<()> {
        let name = self.name();
        match self {
            Self::Stream(writer) => writer.flush().map_err(|e| Error::io("write", name, e)),
            Self::File { .. } => Ok(()),
        }
    }

    /// Ends the output; a file gets its name.
    ///
    /// # Errors
    /// As for [`Output::line`].
    pub fn close(mut self) -> Result<()> {
        self.flush()?;
        let Self::File { writer, path } = self else { return Ok(()) };
        let failed = |e: std::io::Error| Error::io("write", &path, e);
        let file = writer.into_inner().map_err(|e| failed(e.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&path).map_err(|e| failed(e.error))?;
        Ok(())
    }
}

/// New files get the permissions that the user's umask gives, not the 0600 of temporary files.
trait Permissions {
    fn permissions_of_new_files(&mut self) -> &mut Self;
}

impl Permissions for tempfile::Builder<'_, '_> {
    #[cfg(unix)]
    fn permissions_of_new_files(&mut self) -> &mut Self {
        use std::os::unix::fs::PermissionsExt;
        self.permissions(std::fs::Permissions::from_mode(0o666))
    }

    #[cfg(not(unix))]
    fn permissions_of_new_files(&mut self) -> &mut Self {
        self
    }
}

/// Ids of requests on their way through the engine, which answers in order.
#[derive(Clone, Default)]
pub struct Ids(Arc<Mutex<VecDeque<Value>>>);

impl Ids {
    /// Notes the id of a request that is about to enter.
    pub fn enter(&self, id: Value) {
        if let Ok(mut ids) = self.0.lock() {
            ids.push_back(id);
        }
    }

    /// The id of the request that was answered.
    ///
    /// # Errors
    /// There is none: the engine answered more than it was asked.
    pub fn leave(&self) -> Result<Value> {
        let id = self.0.lock().ok().and_then(|mut ids| ids.pop_front());
        id.ok_or_else(|| Error::internal("find the id of an answer"))
    }
}
