//! Content that is a list of parts (`[{"type": "text", "text": …}]`) under a template that expects a text: Python prints the list
//! itself into the prompt, or leaves it out, and nothing fails.

use serde_json::Value as Json;

use super::json::python_json;
use super::messages::to_value;
use super::repr::repr;
use crate::request::Message;

/// What became of a content that is a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// The list itself stands in the prompt, brackets and all.
    Printed,
    /// A text of the list is not in the prompt.
    LeftOut,
}

impl Listing {
    /// What a template made of contents that are lists, the worst of it; `None` where all their texts are in the prompt and the
    /// lists are not, or where there is no list.
    pub fn of(messages: &[Message], rendered: &str) -> Option<Self> {
        let lists = messages.iter().filter_map(|message| Some((message, message.get("content")?.as_array()?)));
        let mut found = None;
        for (message, parts) in lists {
            // Results of tools are shown as JSON by some templates, on purpose.
            let tool = matches!(message.get("role").and_then(Json::as_str), Some("tool" | "ipython" | "function"));
            let printed = |part: &Json| {
                let value = to_value(part);
                rendered.contains(&repr(&value))
                    || (!tool && python_json(&value).is_some_and(|json| rendered.contains(&json)))
            };
            if parts.iter().any(|part| part.is_object() && printed(part)) {
                return Some(Self::Printed);
            }
            let texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
            if texts.map(str::trim).any(|text| !text.is_empty() && !rendered.contains(text)) && !tool {
                found = Some(Self::LeftOut);
            }
        }
        found
    }
}
