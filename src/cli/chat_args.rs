//! How chat templates render conversations: flags, and the keys of a line that go before them.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::dataset::keys_once;
use crate::engine::chat::check_names;
use crate::engine::render::Renderer;
use crate::engine::{ChatOptions, Turn};
use crate::error::{Error, Result};

/// Flags about chat templates.
#[derive(clap::Args)]
#[command(next_help_heading = "Chat template")]
pub struct ChatArgs {
    /// Arguments of the chat template as a JSON object, as in '{"enable_thinking": false}'; a line's own go before them.
    #[arg(long, value_name = "JSON")]
    chat_template_kwargs: Option<String>,
    /// Go on with the last message of a conversation instead of opening the assistant's turn.
    #[arg(long)]
    continue_final_message: bool,
}

/// What the flags say.
#[derive(Default)]
pub struct ChatFlags {
    kwargs: Arc<Map<String, Value>>,
    continues: bool,
}

/// `continue_final_message` of a line: whether, or the field that the model goes on with.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "`continue_final_message` is true, false or the name of a field of the message")]
pub enum Continued {
    /// Whether the content is continued.
    Flag(bool),
    /// Which field is.
    Field(String),
}

impl Continued {
    fn turn(&self) -> Option<Turn> {
        match self {
            Self::Flag(true) => Some(Turn::continued()),
            Self::Flag(false) => None,
            Self::Field(field) => Some(Turn::Continued(field.clone())),
        }
    }
}

impl ChatArgs {
    /// Checks the flags.
    ///
    /// # Errors
    /// Arguments that are no JSON object, or one that has a key of its own.
    pub fn options(&self) -> Result<ChatFlags> {
        let kwargs = self.chat_template_kwargs.as_deref().map(parse_kwargs).transpose()?;
        Ok(ChatFlags { kwargs: Arc::new(kwargs.unwrap_or_default()), continues: self.continue_final_message })
    }

    /// Template arguments and whether a last message goes on, to be laid over a suite.
    ///
    /// # Errors
    /// As for [`ChatArgs::options`].
    pub fn overrides(&self) -> Result<(Map<String, Value>, bool)> {
        let ChatFlags { kwargs, continues } = self.options()?;
        Ok((Arc::unwrap_or_clone(kwargs), continues))
    }
}

/// Template arguments of a flag.
///
/// # Errors
/// As for [`ChatArgs::options`].
fn parse_kwargs(text: &str) -> Result<Map<String, Value>> {
    let hint = r#"write a JSON object, as in --chat-template-kwargs '{"enable_thinking": false}'"#;
    let wrong = || Error::input(format!("`--chat-template-kwargs {text}` is not a JSON object")).with_hint(hint);
    keys_once(text).map_err(|error| error.context("failed to read --chat-template-kwargs"))?;
    match serde_json::from_str(text).map_err(|error| wrong().caused_by(error))? {
        Value::Object(kwargs) => check_names(&kwargs).map(|()| kwargs),
        _ => Err(wrong()),
    }
}

impl ChatFlags {
    /// Checks what a line says on its own.
    ///
    /// # Errors
    /// The line asks for a turn of the assistant and for one to go on.
    pub fn check_line(opened: Option<bool>, continued: Option<&Continued>) -> Result<()> {
        if opened == Some(true) && continued.and_then(Continued::turn).is_some() {
            let error = Error::input("`continue_final_message` and `add_generation_prompt` exclude each other");
            return Err(error.with_hint("the one goes on with the last message, the other opens a turn behind it"));
        }
        Ok(())
    }

    /// How a line's conversation is rendered: its own keys, then the flags.
    pub fn of_line(
        &self,
        opened: Option<bool>,
        continued: Option<Continued>,
        kwargs: Option<Map<String, Value>>,
    ) -> ChatOptions {
        let asked = match (&continued, opened) {
            (Some(continued), _) => continued.turn(),
            (None, Some(true)) => None,
            (None, _) => self.continues.then(Turn::continued),
        };
        let turn = asked.unwrap_or(if opened == Some(false) { Turn::Closed } else { Turn::Opened });
        let kwargs = match kwargs {
            None => self.kwargs.clone(),
            Some(own) => Arc::new(self.kwargs.iter().map(|(n, v)| (n.clone(), v.clone())).chain(own).collect()),
        };
        ChatOptions { turn, kwargs }
    }

    /// Adds the flags that are given to what decides all answers of a call.
    pub fn show_in(&self, shape: &mut Value) {
        if !self.kwargs.is_empty() {
            shape["chat_template_kwargs"] = Value::Object((*self.kwargs).clone());
        }
        if self.continues {
            shape["continue_final_message"] = true.into();
        }
    }
}

/// Tells what was odd about the prompts of a call, once.
pub fn warn(renderer: &Renderer) {
    for line in renderer.warnings() {
        say!("warning: {line}");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kwargs(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn a_line_goes_before_the_flags() {
        let flags = ChatFlags { kwargs: Arc::new(kwargs(json!({"a": 1, "b": 1}))), continues: true };
        let own = flags.of_line(None, None, Some(kwargs(json!({"b": 2, "c": null}))));
        assert_eq!(*own.kwargs, kwargs(json!({"a": 1, "b": 2, "c": null})));
        let turn = |opened, continued| flags.of_line(opened, continued, None).turn;
        assert_eq!(turn(None, None), Turn::continued());
        assert_eq!(turn(Some(false), None), Turn::continued());
        assert_eq!(turn(Some(true), None), Turn::Opened, "what a line asks for by name");
        assert_eq!(turn(None, Some(Continued::Flag(false))), Turn::Opened);
        assert_eq!(turn(Some(false), Some(Continued::Flag(false))), Turn::Closed);
        assert_eq!(turn(None, Some(Continued::Field("thinking".into()))), Turn::Continued("thinking".into()));
        assert!(ChatFlags::check_line(Some(true), Some(&Continued::Flag(true))).is_err());
        assert!(ChatFlags::check_line(Some(true), Some(&Continued::Flag(false))).is_ok());
    }

    #[test]
    fn arguments_are_an_object_of_names_that_are_free() {
        assert!(parse_kwargs(r#"{"enable_thinking": false}"#).is_ok());
        for wrong in ["[1]", "x", r#"{"messages": []}"#, r#"{"add_generation_prompt": true}"#] {
            assert!(parse_kwargs(wrong).is_err(), "{wrong}");
        }
        for twice in [r#"{"k": 1, "k": 2}"#, r#"{"tools": [{"k": 1, "k": 2}]}"#] {
            assert!(parse_kwargs(twice).unwrap_err().chain().contains("key `k` is given twice"), "{twice}");
        }
    }
}
