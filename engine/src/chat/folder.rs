//! Where a model folder keeps its chat template: in files of its own, or in the metadata of a GGUF file.

use std::path::Path;

use serde_json::{Map, Value};

use super::origin::Origin;
use crate::error::{Error, Result};
use crate::models::gguf_metadata;
use crate::models::model_folder::ModelFolder;
use crate::models::model_json::{read_json, read_text};

/// The template's text and where it stands; `None` where the folder has none.
pub(super) fn find(model: &ModelFolder) -> Result<Option<(String, Origin)>> {
    let folder = &model.tokenizer()?;
    let name = "chat_template.jinja";
    if let Some(text) = read_text(folder, name)? {
        return told(text, Origin { path: Some(folder.path().join(name)), in_json: false }).map(Some);
    }
    for name in ["tokenizer_config.json", "chat_template.json"] {
        let path = folder.path().join(name);
        let Some(Value::Object(mut config)) = read_json(folder, name)? else { continue };
        let source = match config.remove("chat_template") {
            None | Some(Value::Null) => continue,
            Some(Value::String(source)) => source,
            Some(Value::Array(named)) => default_of(&named, &path)?,
            Some(_) => {
                let error = Error::input("`chat_template` is neither a string nor a list");
                return Err(error.at(&path).with_hint(TEXT));
            }
        };
        return told(source, Origin { path: Some(path), in_json: true }).map(Some);
    }
    let Some((path, metadata)) = gguf_metadata(folder)? else { return Ok(None) };
    let source = in_metadata(&metadata).map_err(|error| error.at(&path))?;
    source.map(|source| told(source, Origin { path: Some(path), in_json: true })).transpose()
}

/// A template that says something: an empty one renders every conversation to nothing, which nobody means.
fn told(text: String, origin: Origin) -> Result<(String, Origin)> {
    if !text.trim().is_empty() {
        return Ok((text, origin));
    }
    let error = Error::input("the chat template is empty: the model would see no message");
    let error = error.with_hint(if origin.in_json {
        "put the template in its place, or null to do without one"
    } else {
        "fetch the file again, or remove it to do without a template"
    });
    Err(match origin.path {
        Some(path) => error.at(path),
        None => error,
    })
}

/// The template called `tool_use`, which stands beside the default one for conversations with tools:
/// `additional_chat_templates/tool_use.jinja`, or an entry of the list in `tokenizer_config.json`.
pub(super) fn tool_use(model: &ModelFolder) -> Result<Option<(String, Origin)>> {
    let folder = &model.tokenizer()?;
    let name = "additional_chat_templates/tool_use.jinja";
    if let Some(text) = read_text(folder, name)? {
        return told(text, Origin { path: Some(folder.path().join(name)), in_json: false }).map(Some);
    }
    if folder.has("chat_template.jinja")? {
        return Ok(None);
    }
    let name = "tokenizer_config.json";
    let (path, Some(config)) = (folder.path().join(name), read_json(folder, name)?) else { return Ok(None) };
    let named = config.get("chat_template").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let entry = named.iter().find(|entry| entry.get("name").and_then(Value::as_str) == Some("tool_use"));
    let Some(entry) = entry else { return Ok(None) };
    let source = template_of(entry).ok_or_else(|| no_text("tool_use", &path))?;
    told(source, Origin { path: Some(path), in_json: true }).map(Some)
}

/// The text of an entry of a list of templates.
fn template_of(entry: &Value) -> Option<String> {
    entry.get("template").and_then(Value::as_str).map(str::to_owned)
}

fn no_text(name: &str, path: &Path) -> Error {
    Error::input(format!("the `template` called `{name}` is not a string")).at(path).with_hint(TEXT)
}

/// What to do about a template that is none.
const TEXT: &str = "put the template in its place, or copy it into a file `chat_template.jinja` beside it";

/// `tokenizer.chat_template`, which is the default where there are several (`tokenizer.chat_templates` lists their names).
fn in_metadata(metadata: &Map<String, Value>) -> Result<Option<String>> {
    let key = "tokenizer.chat_template";
    match metadata.get(key).or_else(|| metadata.get(&format!("{key}.default"))) {
        Some(Value::String(source)) => return Ok(Some(source.clone())),
        Some(_) => return Err(Error::input(format!("`{key}` of the chat template is not a string"))),
        None => {}
    }
    let named: Vec<&str> = metadata.keys().filter_map(|name| name.strip_prefix(key)?.strip_prefix('.')).collect();
    match named.as_slice() {
        [] => Ok(None),
        names => Err(Error::input(format!("none of the chat templates {} is the default", names.join(", ")))
            .with_hint(
                "copy the one you want into a file `chat_template.jinja` beside it, and name the folder as the model",
            )),
    }
}

/// The entry called `default` of a list of `{"name", "template"}`.
fn default_of(named: &[Value], path: &Path) -> Result<String> {
    let name = |entry: &Value| entry.get("name").and_then(Value::as_str).map(str::to_owned);
    if let Some(entry) = named.iter().find(|entry| name(entry).as_deref() == Some("default")) {
        return template_of(entry).ok_or_else(|| no_text("default", path));
    }
    let names: Vec<String> = named.iter().filter_map(name).collect();
    let what = if names.is_empty() {
        "the list of `chat_template` names none".to_owned()
    } else {
        format!("none of {} is called `default`", names.join(", "))
    };
    Err(Error::input(format!("failed to choose a chat template: {what}"))
        .at(path)
        .with_hint("copy the one you want into a file `chat_template.jinja` beside it"))
}
