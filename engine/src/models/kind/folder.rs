//! Holds a folder that is given as a model against what karat can use.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::listed::{INDEX, Listed, SINGLE, in_two_shards};
use super::place::{is_gguf, used};
use super::role::Role;
use super::unsupported::{QUANTISED, quantised, quantised_error};
use super::{gguf, safetensors};
use crate::error::Result;
use crate::models::model_folder::ModelFolder;
use crate::models::model_json::read_json;
use crate::models::weight_files;

/// Holds a folder against what karat can use.
pub fn check(folder: &Path, role: Role) -> Result<()> {
    let listed = Listed::read(folder)?;
    listed.elsewhere()?;
    listed.links()?;
    listed.adapter()?;
    let config = listed.small_files()?;
    if let Some(how) = config.as_ref().and_then(quantised) {
        return Err(quantised_error(folder, &how));
    }
    if let Some((file, how)) = QUANTISED.iter().find(|(file, _)| listed.has(file)) {
        return Err(quantised_error(folder, &format!("are quantised by {how} ({file})")));
    }
    if role == Role::Renderer && listed.has("tokenizer.json") && !listed.weights() && !listed.odd_weights() {
        return Ok(());
    }
    if !listed.has("config.json") && listed.weights() && !listed.names.iter().any(|name| is_gguf(Path::new(name))) {
        let error = used(folder, "it holds weights, but no config.json");
        return Err(
            error.with_hint("fetch the whole model: config.json, tokenizer.json and the weights belong together")
        );
    }
    let model = ModelFolder::new(folder);
    let mut tensors = BTreeMap::new();
    for name in weight_files(&model)? {
        let file = folder.join(&name);
        if is_gguf(&file) {
            gguf::check(&file)?;
            continue;
        }
        for tensor in safetensors::check(folder, &file)? {
            if let Some(first) = tensors.insert(tensor.clone(), name.clone()) {
                return Err(in_two_shards(folder, &tensor, (&first, &name)));
            }
        }
    }
    whole_index(&model, &tensors)?;
    for module in listed.modules() {
        let file = folder.join(module).join(SINGLE);
        if file.is_file() {
            safetensors::check(folder, &file)?;
        }
    }
    Ok(())
}

/// That the index names tensors which no shard holds; `tensors` are those of the shards.
fn whole_index(model: &ModelFolder, tensors: &BTreeMap<String, String>) -> Result<()> {
    let index = if model.has(SINGLE)? { None } else { read_json(model, INDEX)? };
    let map = index.as_ref().and_then(|index| index.get("weight_map")?.as_object());
    let lost = |(name, _): &(&String, &Value)| !tensors.contains_key(*name);
    match map.into_iter().flatten().find(lost) {
        Some((name, shard)) => {
            let shard = shard.as_str().unwrap_or_default();
            let what = format!("{INDEX} names tensor `{name}` in `{shard}`, and no shard holds it");
            Err(used(model.path(), what).with_hint("index and shards are of different models; fetch all of them again"))
        }
        None => Ok(()),
    }
}
