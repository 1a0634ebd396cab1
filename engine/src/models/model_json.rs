//! JSON files of a model folder: absent is `None`, broken is an error with line and column.
//!
//! Does not know what the files mean; `chat`, `tokenizer` and `special_tokens` do.

use std::path::Path;

use serde_json::Value;

use super::model_folder::ModelFolder;
use crate::error::{Error, Result};

/// The text of a file of a folder, `None` when there is none.
pub(crate) fn read_text(folder: &ModelFolder, name: &str) -> Result<Option<String>> {
    let Some(bytes) = folder.read(name)? else { return Ok(None) };
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Some(text.to_owned())),
        Err(error) => {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|b| **b == b'\n').count();
            Err(Error::input("the text is not valid UTF-8").at_line(folder.path().join(name), line as u64))
        }
    }
}

/// What a JSON file of a folder holds, `None` when there is none.
pub(crate) fn read_json(folder: &ModelFolder, name: &str) -> Result<Option<Value>> {
    read_text(folder, name)?.map(|text| parse_json(&text, &folder.path().join(name))).transpose()
}

/// Parses JSON; `path` is for the message.
pub(crate) fn parse_json(text: &str, path: &Path) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| json_error(error, path))
}

/// A JSON error as the user sees it.
pub(crate) fn json_error(error: serde_json::Error, path: &Path) -> Error {
    let message = error.to_string();
    let reason = message.rsplit_once(" at line ").map_or(message.as_str(), |(reason, _)| reason);
    Error::input(format!("the JSON is not valid: {reason}"))
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
        let read = || read_json(&ModelFolder::new(dir.path()), "t.json");
        assert!(read().expect("fine").is_none());
        std::fs::write(dir.path().join("t.json"), b"{\n\"\xe9\": 1}").expect("written");
        assert_eq!(read().expect_err("not UTF-8").location().and_then(|l| l.line), Some(2));
    }
}
