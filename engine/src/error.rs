//! The one error type: what is wrong, where it happened, what caused it and what to do.
//!
//! It does not print and does not choose exit codes beyond naming its [`Kind`]; `cli` does both. One type for the whole
//! crate keeps the promise that every error a user meets has the same four parts.

use std::fmt;
use std::path::{Path, PathBuf};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as the exit code is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Usage, suite, dataset, model folder or weights are wrong (exit code 2).
    Input,
    /// A record was written by a newer version of karat (exit code 2).
    Newer,
    /// The environment failed: disk, permission, device, network (exit code 5); the same call may work later.
    Environment,
    /// The run stopped before its end, or evidence is missing (exit code 3).
    Incomplete,
    /// Nothing was selected to run (exit code 4).
    Empty,
    /// The user interrupted (exit code 130).
    Interrupted,
    /// karat broke one of its own rules (exit code 2, with a request to report it).
    Internal,
}

/// A place in a file. Lines and columns count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file, as the user named it.
    pub path: PathBuf,
    /// Line, where it is known.
    pub line: Option<u64>,
    /// Column in characters, where it is known.
    pub column: Option<u64>,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        Ok(())
    }
}

/// An error: a message, a place, a cause chain and a hint.
///
/// `Display` gives message and place on one line; [`Error::hint`] and [`std::error::Error::source`] carry the rest.
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: Kind,
    message: String,
    location: Option<Location>,
    hint: Option<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of the given kind. `message` is a sentence that says what is wrong, without capital and period: "the prompt (5120 tokens) exceeds
    /// the model's context (4096 tokens)"; where the cause says it, what was tried: "failed to read the suite".
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let inner = Inner { kind, message: message.into(), location: None, hint: None, source: None };
        Self { inner: Box::new(inner) }
    }

    /// Wrong input: usage, suite, data, model files.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Kind::Input, message)
    }

    /// A broken rule of karat itself.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// The environment failed: disk, permission, device, network.
    pub fn environment(message: impl Into<String>) -> Self {
        Self::new(Kind::Environment, message)
    }

    /// A failed file operation: `Error::io("open", path, e)` reads "failed to open `path`: No such file or directory". A file that is not
    /// there or is of another kind is wrong input; everything else that a file system refuses is the environment's. An error of
    /// karat's own that came through a reader stays what it was: an interrupt is no failed read.
    pub fn io(verb: &str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        match source.downcast::<Self>() {
            Ok(error) => error,
            Err(source) => {
                let (kind, hint) = (kind_of(&source), way_out(&source));
                let mut error =
                    Self::new(kind, format!("failed to {verb} `{}`", path.as_ref().display())).caused_by(source);
                error.inner.hint = hint.map(str::to_owned);
                error
            }
        }
    }

    /// Adds the file in which it happened.
    #[must_use]
    pub fn at(mut self, path: impl AsRef<Path>) -> Self {
        self.inner.location = Some(Location { path: path.as_ref().into(), line: None, column: None });
        self
    }

    /// Adds file and line (from 1).
    #[must_use]
    pub fn at_line(mut self, path: impl AsRef<Path>, line: u64) -> Self {
        self.inner.location = Some(Location { path: path.as_ref().into(), line: Some(line), column: None });
        self
    }

    /// Adds file, line and column (both from 1).
    #[must_use]
    pub fn at_column(mut self, path: impl AsRef<Path>, line: u64, column: u64) -> Self {
        let location = Location { path: path.as_ref().into(), line: Some(line), column: Some(column) };
        self.inner.location = Some(location);
        self
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hint = Some(hint.into());
        self
    }

    /// Adds the error that caused this one.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// Wraps this error into a wider task ("failed to load the generator"), keeping kind, place and hint.
    #[must_use]
    pub fn context(self, message: impl Into<String>) -> Self {
        let (kind, location, hint) = (self.kind(), self.inner.location.clone(), self.inner.hint.clone());
        let mut outer = Self::new(kind, message).caused_by(self);
        (outer.inner.location, outer.inner.hint) = (location, hint);
        outer
    }

    /// What went wrong, as far as the exit code is concerned.
    pub fn kind(&self) -> Kind {
        self.inner.kind
    }

    /// The message alone, without place and causes.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// Where it happened.
    pub fn location(&self) -> Option<&Location> {
        self.inner.location.as_ref()
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }

    /// [`Error::chain`], with the place and what to do about it, as one sentence.
    pub fn told(&self) -> String {
        let place = self.location().map_or(String::new(), |place| format!(" ({place})"));
        let hint = self.hint().map_or(String::new(), |hint| format!("; {hint}"));
        format!("{}{place}{hint}", self.chain())
    }

    /// Message and all causes on one line, "failed to load the generator: failed to read `config.json`: No such file", for records.
    pub fn chain(&self) -> String {
        let mut text = self.inner.message.clone();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let part = match cause.downcast_ref::<Error>() {
                Some(error) => error.inner.message.clone(),
                None => cause.to_string(),
            };
            text.push_str(": ");
            text.push_str(&part);
            source = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)?;
        if let Some(location) = &self.inner.location {
            write!(f, " ({location})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.inner.kind, self.chain())?;
        if let Some(location) = &self.inner.location {
            write!(f, " ({location})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

/// Whose fault a failed file operation is. `ENOSPC`, `EACCES`, `EROFS`, `EIO`, quotas and whatever else names no wrong path
/// belong to the environment.
fn kind_of(error: &std::io::Error) -> Kind {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound
        | ErrorKind::AlreadyExists
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::DirectoryNotEmpty
        | ErrorKind::InvalidFilename
        | ErrorKind::InvalidInput
        | ErrorKind::InvalidData
        | ErrorKind::UnexpectedEof => Kind::Input,
        _ => Kind::Environment,
    }
}

/// What helps against what a system refuses, where that is not plain from its own words.
fn way_out(source: &std::io::Error) -> Option<&'static str> {
    use std::io::ErrorKind;
    // "Too many open files", of the process or the system, have no kind in std.
    #[cfg(unix)]
    if matches!(source.raw_os_error(), Some(23 | 24)) {
        return Some("raise the limit on open files (ulimit -n)");
    }
    Some(match source.kind() {
        ErrorKind::PermissionDenied => "karat's user needs the right to it, and to the folders above (ls -ld)",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space there, or name another folder",
        ErrorKind::FileTooLarge => "a limit on file sizes stops karat: raise it (ulimit -f)",
        ErrorKind::ReadOnlyFilesystem => "name a folder that can be written",
        ErrorKind::OutOfMemory => "free memory or raise the limit (ulimit -v)",
        _ => return None,
    })
}

/// The hint "did you mean `x`?" for the known name nearest to `name`, or a list of what is known.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    match similar(name, &known) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("known are {}", known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")),
    }
}

/// The known name that is nearest to `name`, if it is near enough to be meant.
pub fn similar<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |known: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase());
    let candidate = known.iter().copied().min_by_key(|known| distance(known))?;
    (distance(candidate) <= 2.max(candidate.len() / 3)).then_some(candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_message_place_cause_and_hint() {
        let cause = std::io::Error::other("disk full");
        let error = Error::io("write", "a.jsonl", cause).at_column("s.yaml", 3, 7).with_hint("free some space");
        assert_eq!(error.to_string(), "failed to write `a.jsonl` (s.yaml:3:7)");
        assert_eq!(error.chain(), "failed to write `a.jsonl`: disk full");
        let outer = error.context("failed to run the suite");
        assert_eq!(outer.chain(), "failed to run the suite: failed to write `a.jsonl`: disk full");
        assert_eq!(
            outer.told(),
            "failed to run the suite: failed to write `a.jsonl`: disk full (s.yaml:3:7); free some space"
        );
        assert_eq!((outer.kind(), outer.hint()), (Kind::Environment, Some("free some space")));
    }

    #[test]
    fn a_wrong_path_is_input_and_a_full_disk_is_not() {
        let kind = |kind: std::io::ErrorKind| Error::io("open", "x", kind.into()).kind();
        assert_eq!(kind(std::io::ErrorKind::NotFound), Kind::Input);
        assert_eq!(kind(std::io::ErrorKind::IsADirectory), Kind::Input);
        for environment in [
            std::io::ErrorKind::StorageFull,
            std::io::ErrorKind::PermissionDenied,
            std::io::ErrorKind::ReadOnlyFilesystem,
            std::io::ErrorKind::QuotaExceeded,
            std::io::ErrorKind::TimedOut,
            std::io::ErrorKind::Other,
        ] {
            assert_eq!(kind(environment), Kind::Environment, "{environment:?}");
        }
        let hint = |kind: std::io::ErrorKind| Error::io("open", "x", kind.into()).hint().map(str::to_owned);
        assert!(hint(std::io::ErrorKind::FileTooLarge).is_some_and(|hint| hint.contains("ulimit -f")));
        assert_eq!(hint(std::io::ErrorKind::NotFound), None);
        // EIO has no kind of its own in std.
        assert_eq!(Error::io("read", "x", std::io::Error::from_raw_os_error(5)).kind(), Kind::Environment);
    }

    #[test]
    fn an_error_that_came_through_a_reader_stays_what_it_was() {
        let stopped = std::io::Error::other(Error::new(Kind::Interrupted, "interrupted"));
        let error = Error::io("read", "<stdin>", stopped);
        assert_eq!((error.kind(), error.chain().as_str()), (Kind::Interrupted, "interrupted"));
    }

    #[test]
    fn names_the_nearest() {
        assert_eq!(nearest("exact_mach", ["exact_match", "contains"]), "did you mean `exact_match`?");
        assert_eq!(nearest("zzz", ["exact_match"]), "known are `exact_match`");
    }
}
