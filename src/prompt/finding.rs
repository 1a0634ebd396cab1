//! What a linter found: data, never printed here.

use crate::error::{Error, Location};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A run would refuse it, or give wrong results.
    Error,
    /// A run would go through; somebody should look.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is.
    pub place: Option<Location>,
    /// What it is, in one lower-case line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Finding {
    /// A warning without a place.
    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, place: None, message: message.into(), hint: None }
    }

    /// An error without a place.
    pub fn error(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, ..Self::warning(message) }
    }

    /// Adds the file and, where known, the line.
    #[must_use]
    pub fn at(mut self, path: impl Into<std::path::PathBuf>, line: Option<u64>) -> Self {
        self.place = Some(Location { path: path.into(), line, column: None });
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The finding as an error, for those who must stop at it.
    pub fn into_error(self) -> Error {
        let error = Error::input(self.message);
        let error = match self.place {
            Some(Location { path, line: Some(line), column: Some(column) }) => error.at_column(path, line, column),
            Some(Location { path, line: Some(line), column: None }) => error.at_line(path, line),
            Some(Location { path, line: None, .. }) => error.at(path),
            None => error,
        };
        match self.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

impl From<&Error> for Finding {
    fn from(error: &Error) -> Self {
        Self {
            severity: Severity::Error,
            place: error.location().cloned(),
            message: error.chain(),
            hint: error.hint().map(str::to_owned),
        }
    }
}
