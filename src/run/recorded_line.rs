//! One line of a file of recorded answers.
//!
//! `{"dataset", "id", "output", "output_ids", "finish", "error"}`: `dataset` may be left out where ids are unique in the
//! suite, all but `id` and one of `output` and `error` may be left out. Lines of `karat generate` (`text`, `ids`) and of a
//! saved run's `results.jsonl` are such lines too. Other keys are ignored.

use serde::Deserialize;
use serde_json::Value;

use crate::engine::Finish;
use crate::error::{Error, Result};

/// A recorded answer.
#[derive(Debug)]
pub(super) struct RecordedLine {
    pub dataset: Option<String>,
    pub id: String,
    pub output: Option<String>,
    pub output_ids: Option<Vec<u32>>,
    pub finish: Option<Finish>,
    pub prompt_tokens: Option<u64>,
    pub error: Option<String>,
}

#[derive(Deserialize)]
struct Keys {
    dataset: Option<String>,
    #[serde(default)]
    id: Value,
    output: Option<String>,
    text: Option<Value>,
    output_ids: Option<Vec<u32>>,
    ids: Option<Value>,
    finish: Option<Finish>,
    prompt_tokens: Option<u64>,
    error: Option<String>,
}

impl RecordedLine {
    /// Reads a line.
    ///
    /// # Errors
    /// No JSON object, no id, neither output nor error. The error has no place but may know the column.
    pub fn parse(line: &[u8]) -> Result<Self, (Error, Option<u64>)> {
        let keys: Keys = serde_json::from_slice(line)
            .map_err(|e| (Error::input("parse a recorded answer").caused_by(e_text(&e)), Some(e.column() as u64)))?;
        let id = match keys.id {
            Value::String(id) if !id.is_empty() => id,
            Value::Number(id) if !id.is_f64() => id.to_string(),
            _ => {
                let hint = "every answer names its case: a text or a whole number";
                return Err((Error::input("read the `id` of a recorded answer").with_hint(hint), None));
            }
        };
        let output = keys.output.or_else(|| keys.text?.as_str().map(str::to_owned));
        let ids = || serde_json::from_value(keys.ids?).ok();
        let output_ids = keys.output_ids.or_else(ids);
        let mut error = keys.error;
        if error.is_none() && keys.finish == Some(Finish::Error) {
            error = Some("the recorded answer ended in an error".into());
        }
        if output.is_none() && error.is_none() {
            let error = Error::input(format!("find `output` or `error` in the recorded answer of `{id}`"));
            return Err((
                error.with_hint("a line holds at least `id` and `output`; runs with --no-outputs keep none"),
                None,
            ));
        }
        let Keys { dataset, finish, prompt_tokens, .. } = keys;
        Ok(Self { dataset, id, output, output_ids, finish, prompt_tokens, error })
    }
}

/// What serde says, without the place: it counts from the start of the line, not of the file.
fn e_text(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<RecordedLine, String> {
        RecordedLine::parse(line.as_bytes()).map_err(|(error, column)| format!("{} {column:?}", error.chain()))
    }

    #[test]
    fn reads_own_lines_generated_ones_and_saved_ones() {
        let line = parse(r#"{"id": 7, "output": "a", "model": "x"}"#).unwrap();
        assert_eq!((line.id.as_str(), line.output.as_deref(), line.dataset), ("7", Some("a"), None));
        let line = parse(r#"{"id":"b","text":"t","ids":[1,2],"finish":"eos","prompt_tokens":3}"#).unwrap();
        assert_eq!(
            (line.output.as_deref(), line.output_ids, line.finish),
            (Some("t"), Some(vec![1, 2]), Some(Finish::Eos))
        );
        let line = parse(r#"{"dataset":"d","id":"b","output":"o","text":7,"ids":"x","error":null}"#).unwrap();
        assert_eq!((line.output.as_deref(), line.output_ids), (Some("o"), None));
        assert!(parse(r#"{"id":"b","finish":"error"}"#).unwrap().error.is_some());
    }

    #[test]
    fn says_what_is_missing() {
        assert!(parse(r#"{"output":"x"}"#).unwrap_err().starts_with("read the `id`"));
        assert!(parse(r#"{"id":"a"}"#).unwrap_err().starts_with("find `output` or `error`"));
        assert!(parse(r#"{"id":"a","output":1}"#).unwrap_err().contains("Some("));
        assert!(!parse(r#"{"id""#).unwrap_err().contains("line 1"));
    }
}
