//! A last message that the model goes on with (`continue_final_message`): the rendering is cut where the message ends.
//!
//! As in transformers 5.24 a mark is put behind the text before rendering and found again in what the template made of it.
//! Where the template trimmed the blank behind the mark it trims messages, and the blanks before the mark go as well.

use serde_json::Value as Json;

use super::messages::REASONING;
use super::python::strip;
use crate::error::{Error, Result};
use crate::request::Message;

/// The mark; its last character is a blank that templates may trim.
const MARK: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// The text that the last message ends with so far.
pub(super) struct Ending(String);

/// Puts the mark behind a field of the last message.
pub(super) fn mark(messages: &mut [Message], field: &str, template: &str) -> Result<Ending> {
    let Some(last) = messages.last_mut() else {
        return Err(Error::input("cannot continue the last message: the conversation has none"));
    };
    let Some(value) = last.get(field).cloned() else {
        return Err(Error::input(format!("cannot continue the last message: it has no `{field}`")));
    };
    let fields: Vec<&str> = if REASONING.contains(&field) {
        // It stands under several names; the template reads one of them.
        REASONING.into_iter().filter(|name| last.get(*name) == Some(&value)).collect()
    } else {
        vec![field]
    };
    if !fields.iter().any(|field| template.contains(field)) {
        return Err(Error::input(format!("cannot continue the last message: the chat template never reads `{field}`")));
    }
    match value {
        Json::String(text) => {
            for field in fields {
                last.insert(field.to_owned(), Json::String(format!("{text}{MARK}")));
            }
            Ok(Ending(text))
        }
        Json::Array(mut blocks) => {
            let texts = blocks.iter_mut().rev().filter_map(|block| block.get_mut("text"));
            let Some(Json::String(text)) = texts.into_iter().next() else {
                return Err(Error::input(format!("cannot continue the last message: its `{field}` has no text")));
            };
            let ending = Ending(text.clone());
            text.push_str(MARK);
            last.insert(field.to_owned(), Json::Array(blocks));
            Ok(ending)
        }
        _ => Err(Error::input(format!("cannot continue the last message: its `{field}` is neither a text nor a list"))),
    }
}

/// The rendering up to the mark.
pub(super) fn cut(mut text: String, Ending(ending): &Ending) -> Result<String> {
    let bare = MARK.trim_end();
    let place = text.rfind(bare).filter(|_| text.contains(strip(ending, None, true, true)));
    let Some(place) = place else {
        return Err(Error::input("cannot continue the last message: the rendered conversation does not contain it")
            .with_hint("the template leaves messages out or rewrites them; give the text as a `prompt`"));
    };
    let keeps_blanks = text[place..].starts_with(MARK);
    text.truncate(place);
    if !keeps_blanks {
        text.truncate(strip(&text, None, false, true).len());
    }
    Ok(text)
}
