//! What lies at a path that is given as a model, before anything of it is loaded: a folder or a GGUF file that karat reads, or
//! one of the many things that look like one, each with its own error.
//!
//! `lint`, `run` and the engine's commands ask here, so that all say the same. Names, links, small JSON files and the headers of
//! weight files are looked at, those of a generator for whether its tensors fit the configuration; weights are not read. Nothing
//! that is read here is used: what is, a [`ModelFolder`] opens anew.

mod folder;
mod gguf;
mod listed;
mod place;
mod role;
mod safetensors;
mod unsupported;

use std::path::Path;

use serde_json::Value;

use crate::ModelRef;
use crate::chat;
use crate::cpu::check_weights;
use crate::error::{Error, Result, similar};
use crate::hub;
use crate::hub::registry;
use crate::models::families;
use crate::models::families::Config;
use crate::models::model_folder::ModelFolder;
use crate::options::BackendChoice;
use crate::reference;
use crate::stand_in::{Expected, StandIn, no_file};

pub use listed::{in_two_shards, missing_shards, several_gguf, without_weights};
pub use place::is_gguf;
pub use role::Role;

use place::{GRAMMAR, dangling, lost, used};

/// Holds what a reference names against what karat can use, as far as it is here: a repository of the hub that the cache does
/// not hold is only held against the form of such names. Gives what was looked at.
///
/// # Errors
/// The one thing that is wrong.
pub fn check_reference(reference: &ModelRef, role: Role, backend: BackendChoice) -> Result<Option<ModelFolder>> {
    let path = match reference {
        ModelRef::Folder(path) | ModelRef::Gguf(path) => path.clone(),
        ModelRef::Registry { name, version, base } => {
            let found = registry::find(base, name, version)?;
            let Some(path) = found.local() else {
                return if found.is_unpulled() { Ok(None) } else { Err(found.lost()) };
            };
            if let Some(problem) = found.check_names(&ModelFolder::new(&path)).into_iter().next() {
                return Err(problem);
            }
            path
        }
        ModelRef::Hub { repo, revision } => match hub::held(repo, revision.as_deref().unwrap_or("main"))? {
            Some(snapshot) => snapshot,
            None => return Ok(None),
        },
    };
    check(&path, role, backend)?;
    Ok(Some(ModelFolder::at(&path)))
}

/// Holds what lies at a path against what karat can use with a backend.
///
/// # Errors
/// The one thing that is wrong.
pub fn check(path: &Path, role: Role, backend: BackendChoice) -> Result<()> {
    if path.is_dir() {
        folder::check(path, role)?;
    } else if let Some(target) = dangling(path) {
        return Err(lost(path, &target));
    } else if !path.try_exists().map_err(|e| Error::io("look at", path, e))? {
        return Err(nothing(path));
    } else if let Some(what) = no_file(path) {
        return Err(used(path, format!("it is {what}, and neither a model folder nor a .gguf file")).with_hint(GRAMMAR));
    } else if is_gguf(path) {
        gguf::check(path)?;
    } else {
        return Err(other_file(path));
    }
    let model = ModelFolder::at(path);
    let config = || Config::read(&model);
    match role {
        Role::Any => Ok(()),
        Role::Renderer => chat::check(&model),
        Role::Generator => {
            let config = config()?;
            generates(path, &config)?;
            match backend {
                BackendChoice::Fast => check_weights(&model, &families::decoder(&config)?)?,
                BackendChoice::Reference => reference::Plan::read(&model, &config)?.check(&model)?,
            }
            chat::check(&model)
        }
        Role::Embedder | Role::Classifier => {
            let config = config()?;
            let spec = families::encoder(&config)?;
            match backend {
                BackendChoice::Fast => Ok(()),
                BackendChoice::Reference => reference::check_encoder(&model, &config, &spec),
            }
        }
    }
}

/// That there is nothing at a path.
fn nothing(path: &Path) -> Error {
    let kind = if is_gguf(path) { "GGUF file" } else { "model folder" };
    let error = Error::input(format!("there is no {kind} `{}`", path.display()));
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let parent = path.parent().unwrap_or(Path::new(""));
    let pointer = parent.join(format!("{name}.dvc"));
    if pointer.is_file() {
        return error.with_hint(format!("`{}` stands for it: fetch it with `dvc pull`", pointer.display()));
    }
    let listed = std::fs::read_dir(if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
    let names: Vec<String> =
        listed.into_iter().flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let near = similar(&name, &names.iter().map(String::as_str).collect::<Vec<_>>()).map(str::to_owned);
    error.with_hint(match near {
        Some(near) => format!("did you mean `{}`?", parent.join(near).display()),
        None => GRAMMAR.to_owned(),
    })
}

/// That a file is given that is no GGUF file.
fn other_file(path: &Path) -> Error {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(Some(StandIn::Format("a GGUF file"))) = StandIn::of_file(path, Expected::Text) {
        let hint = "rename it, or make a link to it whose name does";
        return used(path, "it is a GGUF file whose name does not end in `.gguf`").with_hint(hint);
    }
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    match unsupported::format_of(&name) {
        Some((_, format)) => {
            used(path, format!("it is {}, which karat does not read", format.what)).with_hint(format.hint)
        }
        None if name.ends_with(".safetensors") || name.ends_with(".json") => {
            let what = "it is one file of a model";
            used(path, what).with_hint(format!("name its folder as the model: `{}`", parent.display()))
        }
        None => used(path, "it is a file, and neither a model folder nor a .gguf file").with_hint(GRAMMAR),
    }
}

/// That a model with a decoder's architecture was made to generate.
///
/// # Errors
/// It was made to embed or to classify.
fn generates(folder: &Path, config: &Config) -> Result<()> {
    let listed = config.get("architectures").and_then(Value::as_array);
    let mut names = listed.into_iter().flatten().filter_map(Value::as_str);
    if families::is_decoder(config)
        && let Some(name) = names.find(|name| CLASSIFIES.iter().any(|kind| name.ends_with(kind)))
    {
        let what = format!("it is a classifier (`{name}` of config.json), which does not generate");
        return Err(
            used(folder, what).with_hint("take the model that it was made from; `karat classify` reads encoders only")
        );
    }
    if families::is_decoder(config) && folder.join("modules.json").is_file() {
        let what = "it is an embedder of sentence-transformers (modules.json), which does not generate";
        return Err(
            used(folder, what).with_hint("take the model that it was made from; `karat embed` reads encoders only")
        );
    }
    Ok(())
}

/// How the classes of classifiers end.
const CLASSIFIES: [&str; 5] = [
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
    "ForMultipleChoice",
    "ForImageClassification",
];
