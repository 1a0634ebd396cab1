//! Where a template's text came from, and errors about it with file and line.

use std::path::PathBuf;

use crate::error::Error;

/// Where a template's text came from, for messages.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    pub path: Option<PathBuf>,
    /// Whether the text is a string inside a JSON file, whose lines are not the template's.
    pub in_json: bool,
}

impl Origin {
    /// What minijinja says of the template.
    pub fn error(&self, task: &str, error: &minijinja::Error) -> Error {
        // The innermost cause says most: a macro or an include wraps it.
        let mut cause = error;
        while let Some(inner) = std::error::Error::source(cause).and_then(|source| source.downcast_ref()) {
            cause = inner;
        }
        let what = match (cause.kind(), cause.detail()) {
            (minijinja::ErrorKind::InvalidOperation, Some(detail)) => detail.to_owned(),
            (kind, Some(detail)) => format!("{kind}: {detail}"),
            (kind, None) => kind.to_string(),
        };
        self.place(task, &what, cause.line().or(error.line()).unwrap_or(0) as u64)
    }

    /// An error at a line of the template; 0 where none is known.
    pub fn place(&self, task: &str, what: &str, line: u64) -> Error {
        match &self.path {
            Some(path) if !self.in_json && line > 0 => {
                Error::input(format!("failed to {task}: {what}")).at_line(path, line)
            }
            Some(path) => Error::input(format!("failed to {task} (its line {line}): {what}")).at(path),
            None => Error::input(format!("failed to {task} (its line {line}): {what}")),
        }
    }
}
