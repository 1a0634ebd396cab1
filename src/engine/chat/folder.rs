//! Where a model folder keeps its chat template.

use std::path::Path;

use serde_json::Value;

use super::Origin;
use crate::engine::candle::gguf_vocabulary;
use crate::engine::model_json::{read_json, read_text};
use crate::error::{Error, Result};

/// The template's text and where it stands; `None` where the folder has none.
pub(super) fn find(dir: &Path) -> Result<Option<(String, Origin)>> {
    let path = dir.join("chat_template.jinja");
    if let Some(text) = read_text(&path)? {
        return Ok(Some((text, Origin { path: Some(path), in_json: false })));
    }
    for name in ["tokenizer_config.json", "chat_template.json"] {
        let path = dir.join(name);
        let Some(Value::Object(mut config)) = read_json(&path)? else { continue };
        let source = match config.remove("chat_template") {
            None | Some(Value::Null) => continue,
            Some(Value::String(source)) => source,
            Some(Value::Array(named)) => default_of(&named, &path)?,
            Some(_) => {
                return Err(
                    Error::input("read the chat template: `chat_template` is neither a text nor a list").at(&path)
                );
            }
        };
        return Ok(Some((source, Origin { path: Some(path), in_json: true })));
    }
    if dir.join("tokenizer.json").is_file() {
        return Ok(None);
    }
    let found = gguf_vocabulary(dir)?.and_then(|(path, vocabulary)| Some((vocabulary.chat_template?, path)));
    Ok(found.map(|(source, path)| (source, Origin { path: Some(path), in_json: true })))
}

/// The entry called `default` of a list of `{"name", "template"}`.
fn default_of(named: &[Value], path: &Path) -> Result<String> {
    let text = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    let default = named.iter().find(|entry| text(entry, "name").as_deref() == Some("default"));
    default.and_then(|entry| text(entry, "template")).ok_or_else(|| {
        let names: Vec<String> = named.iter().filter_map(|entry| text(entry, "name")).collect();
        Error::input(format!("choose a chat template: none of {} is called `default`", names.join(", ")))
            .at(path)
            .with_hint("copy the one you want into a file `chat_template.jinja` beside it")
    })
}
