//! JSON files of a model folder: absent is `None`, broken is an error with line and column.
//!
//! Does not know what the files mean; `chat`, `tokenizer` and `special_tokens` do.

use std::io::ErrorKind;
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};

/// Reads a text file, `None` when there is none.
pub(crate) fn read_text(path: &Path) -> Result<Option<String>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        // Nothing lies below a GGUF file that is named as the model.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(Error::io("read", path, error)),
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
            Err(Error::input("read a text that is not UTF-8").at_line(path, line as u64))
        }
    }
}

/// Reads a JSON file, `None` when there is none.
pub(crate) fn read_json(path: &Path) -> Result<Option<Value>> {
    read_text(path)?.map(|text| parse_json(&text, path)).transpose()
}

/// Parses JSON; `path` is for the message.
pub(crate) fn parse_json(text: &str, path: &Path) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| json_error(error, path))
}

/// A JSON error as the user sees it.
pub(crate) fn json_error(error: serde_json::Error, path: &Path) -> Error {
    let message = error.to_string();
    let reason = message.rsplit_once(" at line ").map_or(message.as_str(), |(reason, _)| reason);
    Error::input(format!("parse JSON: {reason}"))
        .at_column(path, error.line() as u64, error.column() as u64)
        .with_hint("the file may be cut off: copy or download it again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_json_names_line_and_column() {
        let error = parse_json("{\n \"a\": tru }", Path::new("x.json")).expect_err("broken");
        let location = error.location().expect("a place");
        assert_eq!((location.line, location.column), (Some(2), Some(10)));
    }

    #[test]
    fn absent_is_none_and_latin1_names_its_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("t.json");
        assert!(read_json(&path).expect("fine").is_none());
        std::fs::write(&path, b"{\n\"\xe9\": 1}").expect("written");
        assert_eq!(read_json(&path).expect_err("not UTF-8").location().and_then(|l| l.line), Some(2));
    }
}
