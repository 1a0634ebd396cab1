//! Where a model folder keeps its chat template: in files of its own, or in the metadata of a GGUF file.

use std::path::Path;

use serde_json::{Map, Value};

use super::Origin;
use crate::engine::candle::gguf_metadata;
use crate::engine::identity::ModelFolder;
use crate::engine::model_json::{read_json, read_text};
use crate::error::{Error, Result};

/// The template's text and where it stands; `None` where the folder has none.
pub(super) fn find(model: &ModelFolder) -> Result<Option<(String, Origin)>> {
    let folder = &model.tokenizer()?;
    let name = "chat_template.jinja";
    if let Some(text) = read_text(folder, name)? {
        let path = folder.path().join(name);
        return Ok(Some((text, Origin { path: Some(path), in_json: false })));
    }
    for name in ["tokenizer_config.json", "chat_template.json"] {
        let path = folder.path().join(name);
        let Some(Value::Object(mut config)) = read_json(folder, name)? else { continue };
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
    let Some((path, metadata)) = gguf_metadata(folder)? else { return Ok(None) };
    let source = in_metadata(&metadata).map_err(|error| error.at(&path))?;
    Ok(source.map(|source| (source, Origin { path: Some(path), in_json: true })))
}

/// The template called `tool_use`, which stands beside the default one for conversations with tools:
/// `additional_chat_templates/tool_use.jinja`, or an entry of the list in `tokenizer_config.json`.
pub(super) fn tool_use(model: &ModelFolder) -> Result<Option<(String, Origin)>> {
    let folder = &model.tokenizer()?;
    let name = "additional_chat_templates/tool_use.jinja";
    if let Some(text) = read_text(folder, name)? {
        return Ok(Some((text, Origin { path: Some(folder.path().join(name)), in_json: false })));
    }
    if folder.has("chat_template.jinja")? {
        return Ok(None);
    }
    let name = "tokenizer_config.json";
    let (path, Some(config)) = (folder.path().join(name), read_json(folder, name)?) else { return Ok(None) };
    let named = config.get("chat_template").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let entry = named.iter().find(|entry| entry.get("name").and_then(Value::as_str) == Some("tool_use"));
    let source = entry.and_then(|entry| entry.get("template")?.as_str());
    Ok(source.map(|source| (source.to_owned(), Origin { path: Some(path), in_json: true })))
}

/// `tokenizer.chat_template`, which is the default where there are several (`tokenizer.chat_templates` lists their names).
fn in_metadata(metadata: &Map<String, Value>) -> Result<Option<String>> {
    let key = "tokenizer.chat_template";
    match metadata.get(key).or_else(|| metadata.get(&format!("{key}.default"))) {
        Some(Value::String(source)) => return Ok(Some(source.clone())),
        Some(_) => return Err(Error::input(format!("read the chat template: `{key}` is not a text"))),
        None => {}
    }
    let named: Vec<&str> = metadata.keys().filter_map(|name| name.strip_prefix(key)?.strip_prefix('.')).collect();
    match named.as_slice() {
        [] => Ok(None),
        names => Err(Error::input(format!("choose a chat template: none of {} is the default", names.join(", ")))
            .with_hint(
                "copy the one you want into a file `chat_template.jinja` beside it, and name the folder as the model",
            )),
    }
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
