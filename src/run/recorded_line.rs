//! One line of a file of recorded answers.
//!
//! `{"dataset", "id", "repeat", "output", "output_ids", "finish", "timestamp", "error"}`: `dataset` may be left out where ids
//! are unique in the suite, all but `id` and one of `output` and `error` may be left out; `metadata` is the writer's own. Lines of `karat
//! generate` (`text`, `ids`) and of a saved run's `results.jsonl` are such lines too: its scores are computed anew. Other keys are
//! errors: a verdict of somebody else's must not pass for one of the suite's.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::recorded_keys::{ANSWER, RESULT, is_result};
use crate::dataset::UnknownKeys;
use crate::engine::Finish;
use crate::error::{Error, Result};

/// A recorded answer, its texts where they stand in the line if they do.
#[derive(Debug)]
pub(super) struct RecordedLine<'a> {
    pub dataset: Option<Cow<'a, str>>,
    pub id: Cow<'a, str>,
    pub repeat: u32,
    pub output: Option<Cow<'a, str>>,
    pub output_ids: Option<Vec<u32>>,
    pub finish: Option<Finish>,
    pub prompt_tokens: Option<u64>,
    /// When it was answered, RFC 3339 in UTC.
    pub timestamp: Option<String>,
    /// The prompt ended with the start of a thought.
    pub thought_opened: bool,
    pub error: Option<String>,
}

#[derive(Deserialize)]
struct Keys<'a> {
    #[serde(borrow)]
    dataset: Option<Text<'a>>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    repeat: Option<u32>,
    #[serde(borrow)]
    output: Option<Text<'a>>,
    #[serde(borrow)]
    text: Option<Text<'a>>,
    output_ids: Option<Vec<u32>>,
    ids: Option<Vec<u32>>,
    #[serde(borrow)]
    finish: Option<Text<'a>>,
    prompt_tokens: Option<u64>,
    timestamp: Option<String>,
    #[serde(default)]
    thought_opened: bool,
    error: Option<String>,
}

/// A text that is not copied where the line has it without escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> RecordedLine<'a> {
    /// [`Self::parse`] of a line that nobody has looked at yet: its keys are known ones, each given once.
    ///
    /// # Errors
    /// As for [`Self::parse`]; a key that is unknown or given twice.
    pub fn checked(line: &'a str, unknown: UnknownKeys) -> Result<Self, (Error, Option<u64>)> {
        let keys = if is_result(line) { &RESULT } else { &ANSWER };
        keys.check(line, unknown)?;
        Self::parse(line)
    }

    /// Reads a line.
    ///
    /// # Errors
    /// No JSON object, no id, neither output nor error. The error has no place but may know the column.
    pub fn parse(line: &'a str) -> Result<Self, (Error, Option<u64>)> {
        let keys: Keys<'a> = serde_json::from_str(line).map_err(|e| {
            (Error::input("failed to parse a recorded answer").caused_by(e_text(&e)), Some(e.column() as u64))
        })?;
        let Some(id) = keys.id.and_then(id) else {
            let hint = "every answer names its case: a text or a whole number";
            return Err((Error::input("the recorded answer has no usable `id`").with_hint(hint), None));
        };
        for (one, other, both) in [
            ("output", "text", keys.output.is_some() && keys.text.is_some()),
            ("output_ids", "ids", keys.output_ids.is_some() && keys.ids.is_some()),
        ] {
            if both {
                let error = Error::input(format!("the recorded answer of `{id}` has `{one}` and `{other}`"));
                let hint = "both mean the answer: keep one, and write what is not the answer under `metadata`";
                return Err((error.with_hint(hint), None));
            }
        }
        let output = keys.output.or(keys.text).map(|Text(output)| output);
        let output_ids = keys.output_ids.or(keys.ids);
        let mut error = keys.error;
        let finish = keys.finish.as_ref().map(|Text(finish)| finish_of(finish));
        let finish = finish.transpose().map_err(|error| (error, None))?;
        if error.is_none() && finish == Some(Finish::Error) {
            error = Some("the recorded answer ended in an error".into());
        }
        if output.is_none() && error.is_none() {
            let error = Error::input(format!("the recorded answer of `{id}` has neither `output` nor `error`"));
            return Err((
                error.with_hint("a line holds at least `id` and `output`; runs with --no-outputs keep none"),
                None,
            ));
        }
        let timestamp = keys.timestamp.map(|text| timestamp(&text)).transpose().map_err(|error| (error, None))?;
        let Keys { dataset, repeat, prompt_tokens, thought_opened, .. } = keys;
        let (dataset, repeat) = (dataset.map(|Text(dataset)| dataset), repeat.unwrap_or_default());
        Ok(Self { dataset, id, repeat, output, output_ids, finish, prompt_tokens, timestamp, thought_opened, error })
    }
}

/// How an answer ended: karat's words, and those of servers that mean the same (OpenAI, vLLM, TGI, Anthropic, Gemini, Mistral).
fn finish_of(text: &str) -> Result<Finish> {
    Ok(match text.to_ascii_lowercase().as_str() {
        "stop" | "stop_sequence" | "stop_string" => Finish::Stop,
        "eos" | "eos_token" | "end_turn" => Finish::Eos,
        "length" | "max_tokens" | "max_new_tokens" | "max_output_tokens" | "model_length" => Finish::Length,
        "error" => Finish::Error,
        other => {
            let error =
                Error::input(format!("the `finish` of a recorded answer, `{}`, is not known", text.escape_debug()));
            return Err(error.with_hint(match other {
                "content_filter" | "safety" | "recitation" | "refusal" | "abort" => {
                    "an answer that its server kept back or broke off is none: write `\"finish\": \"error\"` and why under `error`"
                }
                "tool_calls" | "tool_use" | "function_call" => {
                    "an answer that calls tools has ended: write `stop`, and the call as text into `output`"
                }
                _ => {
                    "known are `stop` (`stop_sequence`), `eos` (`eos_token`, `end_turn`), `length` (`max_tokens`, `max_new_tokens`, \
                     `max_output_tokens`, `model_length`) and `error`; leave it out where it is not known"
                }
            }));
        }
    })
}

/// A time as records hold it.
fn timestamp(text: &str) -> Result<String> {
    let time = text.parse::<jiff::Timestamp>().map_err(|e| {
        let error = Error::input(format!("the `timestamp` of a recorded answer, `{text}`, is not a time")).caused_by(e);
        error.with_hint("write it like 2026-01-01T00:00:00Z")
    })?;
    Ok(time.to_string())
}

fn text(value: &RawValue) -> Option<Text<'_>> {
    serde_json::from_str(value.get()).ok()
}

/// A text that is not empty, or a whole number.
fn id(value: &RawValue) -> Option<Cow<'_, str>> {
    match text(value) {
        Some(Text(id)) => Some(id).filter(|id| !id.is_empty()),
        None => match serde_json::from_str(value.get()) {
            Ok(Value::Number(id)) if !id.is_f64() => Some(id.to_string().into()),
            _ => None,
        },
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

    fn parse(line: &str) -> Result<RecordedLine<'_>, String> {
        RecordedLine::checked(line, UnknownKeys::by_flag(false))
            .map_err(|(error, column)| format!("{} {column:?}", error.chain()))
    }

    #[test]
    fn reads_own_lines_generated_ones_and_saved_ones() {
        let line = parse(r#"{"id": 7, "output": "a", "metadata": {"model": "x"}}"#).unwrap();
        assert_eq!((&*line.id, line.output.as_deref(), line.dataset), ("7", Some("a"), None));
        let line = parse(r#"{"id":"b","text":"t","ids":[1,2],"finish":"eos","prompt_tokens":3}"#).unwrap();
        assert_eq!(
            (line.output.as_deref(), line.output_ids, line.finish),
            (Some("t"), Some(vec![1, 2]), Some(Finish::Eos))
        );
        let line = parse(r#"{"dataset":"d","id":"b","output":"o","text":null,"ids":null,"error":null}"#).unwrap();
        assert_eq!((line.output.as_deref(), line.output_ids), (Some("o"), None));
        for both in [r#""output":"o","text":"o""#, r#""output":"o","output_ids":[1],"ids":[1]"#] {
            assert!(parse(&format!("{{\"id\":\"b\",{both}}}")).unwrap_err().contains("has `output"), "{both}");
        }
        assert!(parse(r#"{"id":"b","finish":"error"}"#).unwrap().error.is_some());
    }

    #[test]
    fn how_an_answer_ended_is_told_in_the_words_of_servers_too() {
        let finish = |text: &str| {
            let line = format!("{{\"id\":1,\"output\":\"a\",\"finish\":\"{text}\"}}");
            RecordedLine::parse(&line).map(|line| line.finish).map_err(|(error, _)| error.told())
        };
        for (text, is) in [
            ("stop", Finish::Stop),
            ("stop_sequence", Finish::Stop),
            ("eos", Finish::Eos),
            ("end_turn", Finish::Eos),
            ("eos_token", Finish::Eos),
            ("length", Finish::Length),
            ("max_tokens", Finish::Length),
            ("MAX_TOKENS", Finish::Length),
            ("model_length", Finish::Length),
            ("error", Finish::Error),
        ] {
            assert_eq!(finish(text), Ok(Some(is)), "{text}");
        }
        for (text, hint) in [
            ("content_filter", "\"error\""),
            ("tool_calls", "calls tools"),
            ("tool_use", "calls tools"),
            ("cancelled", "known are `stop` (`stop_sequence`)"),
            ("", "known are `stop`"),
        ] {
            let told = finish(text).unwrap_err();
            assert!(told.contains(&format!("`{text}`, is not known")) && told.contains(hint), "{told}");
        }
        assert_eq!(parse(r#"{"id":1,"output":"a","finish":null}"#).unwrap().finish, None);
    }

    #[test]
    fn keys_are_known_ones() {
        let table = [
            (r#"{"id":1,"output":"a","scores":{"exact_match":1}}"#, "unknown key `scores`", "computes the scores"),
            (r#"{"id":1,"output":"a","score":1}"#, "unknown key `score`", "computes the scores"),
            (r#"{"id":1,"completion":"a"}"#, "unknown key `completion`", "`output`"),
            (r#"{"id":1,"Output":"a"}"#, "unknown key `Output`", "`output`"),
            (r#"{"id":1,"output":"a","finish_reason":"stop"}"#, "unknown key `finish_reason`", "`finish`"),
            (r#"{"id":1,"output":"a","output":"b"}"#, "key `output` is given twice", "keep one"),
            (r#"{"id":1,"output":"a","metadata":{"a":{"b":1,"b":2}}}"#, "key `b` is given twice", "keep one"),
        ];
        for (line, wanted, hint) in table {
            let (error, column) = RecordedLine::checked(line, UnknownKeys::by_flag(false)).unwrap_err();
            assert!(error.message().contains(wanted) && column.is_some(), "{line}: {error} {column:?}");
            assert!(error.hint().unwrap().contains(hint), "{line}: {:?}", error.hint());
            let allowed = RecordedLine::checked(line, UnknownKeys::Allow).map(|line| line.output.is_some());
            assert_eq!(allowed.is_ok_and(|is| is), wanted.contains("unknown") && line.contains("\"output\""), "{line}");
        }
        let saved = r#""kind":"golden","tags":[],"prompt_hash":null,"scores":{},"passed":false"#;
        assert!(parse(&format!("{{\"dataset\":\"d\",\"id\":\"b\",{saved},\"output\":\"o\",\"group\":\"g\"}}")).is_ok());
        let wrong = format!("{{\"dataset\":\"d\",\"id\":\"b\",{saved},\"output\":\"o\",\"colour\":1}}");
        assert!(parse(&wrong).unwrap_err().contains("unknown key `colour`"));
        let text = parse(r#"{"id":1,"output":"{\"kind\" \"prompt_hash\" \"scores\" \"passed\"","scores":{}}"#);
        assert!(text.is_err());
    }

    #[test]
    fn says_what_is_missing() {
        for id in ["null", "1.5", "\"\"", "[1]", "true", "1e400"] {
            assert!(parse(&format!("{{\"id\":{id},\"output\":\"x\"}}")).is_err(), "{id}");
        }
        assert_eq!(parse(r#"{"id":"a\n","output":"\u0041"}"#).unwrap().output.as_deref(), Some("A"));
        assert!(parse(r#"{"output":"x"}"#).unwrap_err().starts_with("the recorded answer has no usable `id`"));
        assert!(parse(r#"{"id":"a"}"#).unwrap_err().contains("has neither `output` nor `error`"));
        assert!(parse(r#"{"id":"a","output":1}"#).unwrap_err().contains("Some("));
        assert!(!parse(r#"{"id""#).unwrap_err().contains("line 1"));
    }
}
