//! Which files of a folder hold its weights.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::gguf;
use super::super::hashed_file::HashedFile;
use super::super::kind::{is_gguf, missing_shards, several_gguf, without_weights};
use super::super::model_folder::ModelFolder;
use crate::error::{Error, Result};

/// The weights of a model in one file.
const SINGLE: &str = "model.safetensors";
/// What names the files of a model in several.
const INDEX: &str = "model.safetensors.index.json";
/// The GGUF file of a folder without safetensors, or the file itself that is named.
///
/// # Errors
/// There are several, so that it is open which one is meant, or the folder cannot be read.
pub fn gguf_file(folder: &ModelFolder) -> Result<Option<Arc<HashedFile>>> {
    let Some(name) = gguf_name(folder)? else { return Ok(None) };
    let gone = || Error::input(format!("there is no `{name}`")).at(folder.path());
    Ok(Some(folder.file(name)?.ok_or_else(gone)?))
}

fn gguf_name(folder: &ModelFolder) -> Result<Option<&str>> {
    if folder.has(SINGLE)? || folder.has(INDEX)? {
        return Ok(None);
    }
    let files: Vec<&str> = folder.names()?.iter().map(String::as_str).filter(|name| is_gguf(Path::new(name))).collect();
    match files.as_slice() {
        [_, _, ..] => {
            let paths: Vec<PathBuf> = files.iter().map(|name| folder.path().join(name)).collect();
            Err(several_gguf(folder.path(), &paths))
        }
        _ => Ok(files.first().copied()),
    }
}

/// What a folder's GGUF file says in the place of a `config.json`, with the file's path; `None` if it has no such file.
///
/// # Errors
/// The file is broken, or of an architecture that is not supported.
pub fn gguf_config(folder: &ModelFolder) -> Result<Option<(PathBuf, serde_json::Value)>> {
    let Some(file) = gguf_file(folder)? else { return Ok(None) };
    Ok(Some((file.path().into(), gguf::read(&file)?.config)))
}

/// What a folder's GGUF file says of its tokenizer and chat template (see `gguf::metadata`), with the file's path; `None` if
/// it has no such file.
///
/// # Errors
/// The file is broken, or there are several.
pub fn gguf_metadata(folder: &ModelFolder) -> Result<Option<(PathBuf, serde_json::Map<String, serde_json::Value>)>> {
    let Some(file) = gguf_file(folder)? else { return Ok(None) };
    Ok(Some((file.path().into(), gguf::metadata(&file)?)))
}

/// Names of the weight files of a folder, in a stable order.
///
/// # Errors
/// There are none, or the index is broken or names files that are missing.
pub fn weight_files(folder: &ModelFolder) -> Result<Vec<String>> {
    if folder.has(SINGLE)? {
        return Ok(vec![SINGLE.into()]);
    }
    let Some(text) = folder.read(INDEX)? else {
        let name = gguf_name(folder)?.ok_or_else(|| without_weights(folder.path()))?;
        return Ok(vec![name.into()]);
    };
    let index = folder.path().join(INDEX);
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(|e| {
        Error::input("failed to parse the weight index")
            .at_column(&index, e.line() as u64, e.column() as u64)
            .caused_by(e)
    })?;
    let Some(map) = value.get("weight_map").and_then(|m| m.as_object()) else {
        return Err(Error::input("the weight index has no `weight_map`").at(&index));
    };
    let mut files: Vec<String> = Vec::new();
    for file in map.values() {
        let name = file.as_str().unwrap_or_default();
        let plain = Path::new(name).file_name().is_some_and(|n| n == name);
        if !plain {
            return Err(Error::input(format!("`{name}` is not the name of a shard")).at(&index));
        }
        files.push(name.to_owned());
    }
    files.sort();
    files.dedup();
    let mut missing = Vec::new();
    for name in &files {
        if !folder.has(name)? {
            missing.push(folder.path().join(name));
        }
    }
    if !missing.is_empty() {
        return Err(missing_shards(folder.path(), &missing));
    }
    if files.is_empty() { Err(Error::input("the weight index names no shard").at(&index)) } else { Ok(files) }
}
