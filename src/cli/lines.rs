//! JSONL in and out: one object a line, errors with file and line, output files that appear whole or not at all.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::NamedTempFile;

use super::engine_args::LineArgs;
use super::input::Input;
use super::signals::Signals;
use crate::dataset::{Keys, UnknownKeys};
use crate::error::{Error, Result};
use crate::history::{ACCEPTED, CURRENT};
use crate::record::{MANIFEST, ORDER, PERFORMANCE, PROMPTS, REPORT, RESULTS, SUMMARY, VERDICT, beside, folder, settle};

/// Bytes of a line, which is in memory as a whole.
const LINE_BYTES: u64 = 64 << 20;

/// Reads objects of one kind, line by line.
pub struct Lines<T> {
    reader: BufReader<Box<dyn Read + Send>>,
    path: PathBuf,
    line: u64,
    buffer: Vec<u8>,
    unknown: UnknownKeys,
    kind: std::marker::PhantomData<fn() -> T>,
}

/// A line that says which it is.
pub trait Identified {
    /// The keys that it may have.
    const KEYS: &'static Keys;

    /// The id as it was written.
    fn id(&self) -> &Value;

    /// What serde alone cannot check.
    ///
    /// # Errors
    /// A message that says what is wrong.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

impl<T: DeserializeOwned + Identified> Lines<T> {
    /// Opens the input: a file, or standard input for `-`. While it waits for lines it asks `signals` whether to go on.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(args: &LineArgs, signals: &Signals) -> Result<Self> {
        let reader = Input::open(&args.input, signals)?.reader();
        Ok(Self::over(reader, Input::name(&args.input), args.unknown_keys()))
    }

    /// Lines of what is open already, under a name for messages.
    pub fn over(reader: Box<dyn Read + Send>, path: PathBuf, unknown: UnknownKeys) -> Self {
        let reader = BufReader::with_capacity(1 << 16, reader);
        Self { reader, path, line: 0, buffer: Vec::new(), unknown, kind: std::marker::PhantomData }
    }

    /// A hash of the last line as it was read.
    pub fn hash(&self) -> [u8; 16] {
        let mut hash = [0; 16];
        hash.copy_from_slice(&blake3::hash(&self.buffer).as_bytes()[..16]);
        hash
    }

    /// An error with the place of the last line.
    pub fn at(&self, error: Error) -> Error {
        error.at_line(&self.path, self.line)
    }

    fn read(&mut self) -> Result<Option<T>> {
        loop {
            self.buffer.clear();
            let failed = |error| Error::io("read", &self.path, error);
            let mut most = self.reader.by_ref().take(LINE_BYTES + 1);
            let len = most.read_until(b'\n', &mut self.buffer).map_err(failed)?;
            if len == 0 {
                return Ok(None);
            }
            self.line += 1;
            if len as u64 > LINE_BYTES {
                let error = Error::input(format!("the line has more than {LINE_BYTES} bytes"));
                return Err(error.at_line(&self.path, self.line));
            }
            let bytes = match self.line {
                1 => self.buffer.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.buffer),
                _ => &self.buffer,
            };
            let text = std::str::from_utf8(bytes)
                .map_err(|e| Error::input("the line is not valid UTF-8").at_line(&self.path, self.line).caused_by(e))?;
            if text.trim().is_empty() {
                continue;
            }
            T::KEYS.check(text, self.unknown).map_err(|(error, column)| match column {
                Some(column) => error.at_column(&self.path, self.line, column),
                None => error.at_line(&self.path, self.line),
            })?;
            let parsed: T = parse(text.trim_end()).map_err(|(message, e)| {
                Error::input(message).at_column(&self.path, self.line, e.column() as u64).caused_by(e)
            })?;
            let id = parsed.id();
            if !(id.is_string() || id.is_i64() || id.is_u64()) {
                return Err(Error::input("the `id` of the line is neither a string nor an integer")
                    .at_line(&self.path, self.line)
                    .with_hint(
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
        let message = match e.path().to_string().as_str() {
            "." | "?" => "the line is not valid".to_owned(),
            key => format!("`{key}` of the line is not valid"),
        };
        (message, e.into_inner())
    })?;
    deserializer.end().map_err(|e| ("the line is not valid".to_owned(), e))?;
    Ok(parsed)
}

impl<T: DeserializeOwned + Identified> Iterator for Lines<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        self.read().transpose()
    }
}

/// How long the reader of a pipe may take to open it.
const READER: Duration = Duration::from_secs(10);

/// Opens what is written in place. To open a pipe is to wait for its reader, whatever signals come: that is left to a thread, which
/// ends with the process.
fn in_place(path: &Path) -> Result<File> {
    let (sender, opened) = channel();
    let place = path.to_owned();
    let thread = std::thread::Builder::new().name("open an output".into());
    thread
        .spawn(move || drop(sender.send(File::create(place))))
        .map_err(|e| Error::environment("failed to start a thread").caused_by(e))?;
    match opened.recv_timeout(READER) {
        Ok(file) => file.map_err(|e| Error::io("write", path, e)),
        Err(_) => Err(Error::environment(format!("nobody reads the pipe `{}`", path.display()))
            .with_hint("start its reader first")),
    }
}

/// Holds that an output is written over no file of a record or of a baseline: those never change.
fn refuse_kept(path: &Path) -> Result<()> {
    const RECORD: [&str; 7] = [MANIFEST, RESULTS, SUMMARY, PERFORMANCE, PROMPTS, VERDICT, REPORT];
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let beside = |name: &str| folder(path).join(name);
    let kept = match name.strip_suffix(".gz").unwrap_or(name) {
        name if RECORD.contains(&name) => {
            std::fs::read_to_string(beside(MANIFEST)).is_ok_and(|manifest| manifest.contains("\"karat-run/"))
        }
        CURRENT => beside(ACCEPTED).exists(),
        ACCEPTED => beside(CURRENT).exists(),
        ORDER => true,
        _ => false,
    };
    if kept && path.exists() {
        return Err(Error::input(format!("`{}` belongs to a record, which never changes", path.display()))
            .with_hint("name a file in another folder"));
    }
    Ok(())
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
            return Ok(Self::Stream(BufWriter::new(super::terminal::stdout())));
        }
        refuse_kept(path)?;
        if std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
            // A pipe or /dev/null: written in place. A folder fails here with the system's own words.
            return Ok(Self::Stream(BufWriter::new(Box::new(in_place(path)?))));
        }
        let file = beside(path).map_err(|e| Error::io("write", path, e))?;
        Ok(Self::File { writer: BufWriter::new(file), path: path.into() })
    }

    /// Writes one line.
    ///
    /// # Errors
    /// As for [`Output::bytes`].
    pub fn line(&mut self, line: &impl serde::Serialize) -> Result<()> {
        let mut bytes = serde_json::to_vec(line).map_err(|e| Error::internal("failed to write a line").caused_by(e))?;
        bytes.push(b'\n');
        self.bytes(&bytes)
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// The disk is full, the pipe closed.
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
    /// As for [`Output::bytes`].
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
    /// As for [`Output::bytes`].
    pub fn close(mut self) -> Result<()> {
        self.flush()?;
        let Self::File { writer, path } = self else { return Ok(()) };
        // It could be opened: what fails now is the environment's, whatever the system calls it.
        let failed = |e| Error::environment(format!("failed to write `{}`", path.display())).caused_by(e);
        let file = writer.into_inner().map_err(|e| failed(e.into_error()))?;
        settle(file, &path).map_err(failed)
    }
}

/// Brings lines that come in any order in that of their numbers; holds those that are too early.
#[derive(Default)]
pub struct InOrder {
    next: u64,
    early: BTreeMap<u64, Vec<u8>>,
}

impl InOrder {
    /// Takes a line, and writes those whose turn it is.
    ///
    /// # Errors
    /// As for [`Output::bytes`].
    pub fn line(&mut self, number: u64, line: &impl serde::Serialize, output: &mut Output) -> Result<()> {
        let mut bytes =
            serde_json::to_vec(line).map_err(|e| Error::internal("failed to write an answer").caused_by(e))?;
        bytes.push(b'\n');
        self.early.insert(number, bytes);
        while let Some(bytes) = self.early.remove(&self.next) {
            output.bytes(&bytes)?;
            self.next += 1;
        }
        Ok(())
    }
}
