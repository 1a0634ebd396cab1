//! The names in a folder that is given as a model: what it is if it is none, and what is wrong with its files.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::gguf;
use super::place::{MERGE, dangling, is_gguf, lost, used};
use super::unsupported::{Format, format_of};
use crate::error::{Error, Result};
use crate::stand_in::{Expected, StandIn, no_file, server_error};

/// JSON files that karat reads of a model.
const JSON: [&str; 11] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.json",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    INDEX,
];
const TEMPLATE: &str = "chat_template.jinja";
/// Another, for conversations with tools.
const TOOL_TEMPLATE: &str = "additional_chat_templates/tool_use.jinja";
pub(super) const SINGLE: &str = "model.safetensors";
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// Subfolders that are looked into for a model; more are not listed.
const LOOKED_INTO: usize = 64;
/// Places that a message names.
const NAMED: usize = 3;

/// That a tensor is in two shards: which of them counts, nobody says.
pub fn in_two_shards(folder: &Path, tensor: &str, (one, other): (&str, &str)) -> Error {
    used(folder, format!("tensor `{tensor}` is in `{one}` and in `{other}`"))
        .with_hint("the shards are of different models, or were written twice; fetch all of them again")
}

/// That shards which the index names are missing.
pub fn missing_shards(folder: &Path, missing: &[PathBuf]) -> Error {
    let name = |path: &PathBuf| format!("`{}`", path.file_name().unwrap_or_default().display());
    let names: Vec<String> = missing.iter().take(NAMED).map(name).collect();
    let more = missing.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let what = format!("{INDEX} names {}{more}, which the folder does not hold", names.join(", "));
    let links = missing.iter().find_map(|path| Some(lost(path, &dangling(path)?)));
    links.unwrap_or_else(|| used(folder, what).with_hint("fetch all shards of the model"))
}

/// That a folder holds no weights that karat reads, and what it holds instead.
pub fn without_weights(folder: &Path) -> Error {
    match Listed::read(folder) {
        Ok(listed) => listed.without_weights(),
        Err(error) => error,
    }
}

/// That a folder holds several GGUF files, so that it is open which one is meant.
pub fn several_gguf(folder: &Path, files: &[PathBuf]) -> Error {
    if let Some(part) = files.iter().find(|file| gguf::split_name(file).is_some_and(|(_, of)| of > 1))
        && files.iter().all(|file| gguf::split_name(file).is_some())
        && let Err(error) = gguf::check(part)
    {
        return error;
    }
    let name = |file: &PathBuf| format!("`{}`", file.file_name().unwrap_or_default().display());
    let names: Vec<String> = files.iter().take(NAMED).map(name).collect();
    let more = files.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let is_model = |file: &&PathBuf| !file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("mmproj"));
    let first = files.iter().find(is_model).or(files.first()).map_or(folder, PathBuf::as_path).display();
    used(folder, format!("it holds several GGUF files: {}{more}", names.join(", ")))
        .with_hint(format!("name the one that is meant, as in `{first}`"))
}

/// The names in a folder.
pub(super) struct Listed<'a> {
    folder: &'a Path,
    /// In order.
    pub names: Vec<String>,
}

impl<'a> Listed<'a> {
    pub fn read(folder: &'a Path) -> Result<Self> {
        let entries = std::fs::read_dir(folder).map_err(|e| Error::io("read the model folder", folder, e))?;
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        Ok(Self { folder, names })
    }

    pub fn has(&self, name: &str) -> bool {
        self.folder.join(name).is_file()
    }

    /// Whether there are weights in a format that is read, whole or not.
    pub fn weights(&self) -> bool {
        self.names.iter().any(|name| name == SINGLE || name == INDEX || is_shard(name) || is_gguf(Path::new(name)))
    }

    /// Whether there are weights that are not read.
    pub fn odd_weights(&self) -> bool {
        self.others().is_some() || self.names.iter().any(|name| name.ends_with(".safetensors"))
    }

    /// That the model is not here but in another folder.
    pub fn elsewhere(&self) -> Result<()> {
        if self.names.is_empty() {
            return Err(used(self.folder, "the folder is empty").with_hint("fetch the model again, or name its folder"));
        }
        if self.names.iter().any(|name| name == "config.json") || self.weights() {
            return Ok(());
        }
        if self.folder.join("snapshots").is_dir() {
            return Err(self.hub_root());
        }
        if self.has("model_index.json") {
            let error = used(self.folder, "it is a pipeline of diffusers (model_index.json), which makes no texts");
            return Err(error.with_hint("karat measures models of texts"));
        }
        if self.names.iter().any(|name| name.starts_with("models--")) {
            let error = used(self.folder, "it is the hub's cache, which holds many models");
            return Err(error.with_hint("name a model of it by its name on the hub: org/name or org/name@revision"));
        }
        if ["adapter_config.json", "tokenizer.json"].iter().any(|name| self.has(name)) || self.others().is_some() {
            return Ok(());
        }
        let below = self.below();
        if let Some(first) = below.first() {
            let listed: Vec<String> =
                below.iter().take(NAMED).map(|folder| format!("`{}`", folder.display())).collect();
            let more = below.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let what = format!("it holds no model itself, but {}{more} does", listed.join(", "));
            return Err(
                used(self.folder, what).with_hint(format!("name the model's own folder: `{}`", first.display()))
            );
        }
        Ok(())
    }

    /// Folders below this one that hold a model, at most two levels down.
    fn below(&self) -> Vec<PathBuf> {
        let children = |folder: &Path| {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let mut folders: Vec<PathBuf> = entries.map(|e| e.path()).filter(|path| path.is_dir()).collect();
            folders.sort();
            folders.truncate(LOOKED_INTO);
            folders
        };
        let first = children(self.folder);
        let found: Vec<PathBuf> = first.iter().filter(|folder| holds_model(folder)).cloned().collect();
        if found.is_empty() {
            first.iter().flat_map(|folder| children(folder)).filter(|folder| holds_model(folder)).collect()
        } else {
            found
        }
    }

    /// That this is the folder in which the hub's cache keeps a repository.
    fn hub_root(&self) -> Error {
        let snapshots = self.folder.join("snapshots");
        let what = "it is a folder of the hub's cache, which holds a model's versions";
        let main = std::fs::read_to_string(self.folder.join("refs/main")).ok();
        let main = main.map(|commit| snapshots.join(commit.trim())).filter(|folder| folder.is_dir());
        let entries = std::fs::read_dir(&snapshots).into_iter().flatten().flatten();
        let mut all: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        all.sort();
        let name =
            self.folder.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("models--"));
        let repo = name.map(|name| format!(", or the model by its name `{}`", name.replacen("--", "/", 1)));
        let repo = repo.unwrap_or_default();
        match (main, all.as_slice()) {
            (Some(main), _) => used(self.folder, what)
                .with_hint(format!("name the version of its main branch, `{}`{repo}", main.display())),
            (None, [one]) => used(self.folder, what).with_hint(format!("name its version, `{}`{repo}", one.display())),
            (None, []) => used(self.folder, "it is a folder of the hub's cache without any version of the model")
                .with_hint("the download was not finished; download the model again"),
            (None, [first, ..]) => used(self.folder, format!("{what}, {} of them", all.len()))
                .with_hint(format!("name one, as in `{}`", first.display())),
        }
    }

    /// That what is called as a file of the model is none: a link that leads nowhere, a folder, a pipe. It would count as absent.
    pub fn links(&self) -> Result<()> {
        let counts = |name: &str| {
            JSON.contains(&name) || name == TEMPLATE || name == SINGLE || is_shard(name) || is_gguf(Path::new(name))
        };
        let below = self.modules().flat_map(|module| ["config.json", SINGLE].map(|name| format!("{module}/{name}")));
        let named = self.names.iter().filter(|name| counts(name)).cloned();
        for name in named.chain(below).chain([TOOL_TEMPLATE.to_owned()]) {
            let path = self.folder.join(&name);
            if let Some(target) = dangling(&path) {
                return Err(lost(&path, &target));
            }
            // Beside safetensors, GGUF files have no say.
            let counts = !is_gguf(&path) || !(self.has(SINGLE) || self.has(INDEX));
            if let Some(what) = no_file(&path).filter(|_| counts) {
                return Err(self.instead(&name, &StandIn::NoFile(what)));
            }
        }
        let small = JSON.iter().chain(&[TEMPLATE, SINGLE]).filter(|name| !self.has(name));
        match small.map(|name| format!("{name}.dvc")).find(|pointer| self.has(pointer)) {
            Some(pointer) => {
                let what =
                    format!("`{}` was not fetched: only its DVC pointer is here", pointer.trim_end_matches(".dvc"));
                Err(used(self.folder, what).with_hint("fetch it with `dvc pull`"))
            }
            None => Ok(()),
        }
    }

    /// That an adapter lies here, which karat does not apply.
    pub fn adapter(&self) -> Result<()> {
        let config = "adapter_config.json";
        let weights = ["adapter_model.safetensors", "adapter_model.bin", "adapters.safetensors"];
        let found = self.names.iter().find(|name| *name == config || weights.contains(&name.as_str()));
        let Some(file) = found else { return Ok(()) };
        let text = match no_file(&self.folder.join(config)) {
            None => std::fs::read_to_string(self.folder.join(config)).unwrap_or_default(),
            Some(_) => String::new(),
        };
        let options: Value = serde_json::from_str(&text).unwrap_or_default();
        let named = |key: &str| options.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
        let kind = match named("peft_type").or(named("fine_tune_type")).unwrap_or("lora") {
            lora if lora.eq_ignore_ascii_case("lora") => "a LoRA adapter".to_owned(),
            other => format!("an adapter ({other})"),
        };
        if self.weights() {
            let what = format!("it holds {kind} ({file}) beside a model, which karat does not apply");
            return Err(used(self.folder, what).with_hint(format!(
                "merge it into the model first (peft: merge_and_unload, then save_pretrained), or remove {file} to measure the \
                 model alone"
            )));
        }
        let base = named("base_model_name_or_path").or(named("model"));
        let base = base.map_or("its base model".to_owned(), |base| format!("its base `{base}`"));
        let what = format!("it is {kind} without {base}");
        Err(used(self.folder, what).with_hint(MERGE))
    }

    /// Looks at the small files, those of sentence-transformers' modules among them; gives `config.json`.
    pub fn small_files(&self) -> Result<Option<Value>> {
        let below = self.modules().map(|name| format!("{name}/config.json"));
        let files: Vec<String> = JSON.iter().map(|name| (*name).to_owned()).chain(below).collect();
        for name in files.iter().filter(|name| self.has(name)) {
            self.stands(name, Expected::Json)?;
        }
        for name in [TEMPLATE, TOOL_TEMPLATE].into_iter().filter(|name| self.has(name)) {
            self.stands(name, Expected::Text)?;
        }
        let mut config = None;
        for name in ["config.json", "tokenizer.json"].into_iter().filter(|name| self.has(name)) {
            let path = self.folder.join(name);
            let text = std::fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
            // What is broken, its reader says, with line and column.
            let Ok(value) = serde_json::from_slice::<Value>(&text) else { continue };
            if let Some(told) = server_error(&value) {
                let what = format!("`{name}` is the answer of a server, `{told}`, not the file");
                return Err(used(self.folder, what).with_hint("fetch the file again"));
            }
            if name == "config.json" {
                config = Some(value);
            }
        }
        Ok(config)
    }

    /// The folders of sentence-transformers' modules, as it names them: `1_Pooling`, `2_Dense`.
    pub fn modules(&self) -> impl Iterator<Item = &String> {
        self.names.iter().filter(|name| name.as_bytes().first().is_some_and(u8::is_ascii_digit) && name.contains('_'))
    }

    fn stands(&self, name: &str, expected: Expected) -> Result<()> {
        match StandIn::of_file(&self.folder.join(name), expected)? {
            None => Ok(()),
            Some(stand_in) => Err(self.instead(name, &stand_in)),
        }
    }

    fn instead(&self, name: &str, stand_in: &StandIn) -> Error {
        used(self.folder, format!("`{name}` is {}", stand_in.what())).with_hint(stand_in.hint())
    }

    /// A file in a format of others: what is left of a download before weights, pickles before what was made of them.
    fn others(&self) -> Option<(String, Format)> {
        let deeper = ["onnx", "openvino", "original", "metal", "coreml"];
        let below = deeper.iter().flat_map(|name| {
            let entries = std::fs::read_dir(self.folder.join(name)).into_iter().flatten().flatten();
            let mut names: Vec<String> =
                entries.map(|entry| format!("{name}/{}", entry.file_name().to_string_lossy())).collect();
            names.sort();
            names
        });
        let named = |name: String| Some((format_of(&name.to_lowercase())?, name));
        let found = self.names.iter().cloned().chain(below).filter_map(named).min_by_key(|((rank, _), _)| *rank);
        found.map(|((_, format), name)| (name, format))
    }

    fn without_weights(&self) -> Error {
        let shards: Vec<&String> = self.names.iter().filter(|name| is_shard(name)).collect();
        if let Some(first) = shards.first() {
            let of = first.rsplit_once("-of-").and_then(|(_, of)| of.split('.').next()?.parse::<usize>().ok());
            let of = of.map_or(String::new(), |of| format!(" of {of}"));
            let what = format!("it holds {}{of} shards of weights, but no {INDEX}", shards.len());
            return used(self.folder, what).with_hint("fetch the index too: it says which tensor is in which shard");
        }
        if let Some((name, format)) = self.others() {
            let what = format!("it holds no weights that karat reads, but `{name}`: {}", format.what);
            return used(self.folder, what).with_hint(format.hint);
        }
        if let Some(name) = self.names.iter().find(|name| name.ends_with(".safetensors")) {
            let what = format!("it holds `{name}`, but no {SINGLE} or {INDEX}");
            let hint = if name.starts_with("consolidated") {
                "these are weights in Mistral's own format, with names of their own: fetch those of transformers"
            } else {
                "rename the file if it holds the weights of config.json, or name the folder of the model"
            };
            return used(self.folder, what).with_hint(hint);
        }
        let parent = std::fs::canonicalize(self.folder).ok();
        let parent = parent.as_deref().and_then(Path::parent).filter(|parent| holds_model(parent));
        if let Some(parent) = parent {
            let shown = self.folder.parent().filter(|shown| !shown.as_os_str().is_empty()).unwrap_or(parent);
            let what = format!("it is a part of the model in `{}`", shown.display());
            return used(self.folder, what).with_hint(format!("name the model's own folder: `{}`", shown.display()));
        }
        let what = match (self.has("tokenizer.json"), self.has("config.json")) {
            (true, false) => "it holds a tokenizer, but no weights and no config.json",
            (_, true) => "it holds config.json, but no weights",
            (false, false) => "it holds no model",
        };
        used(self.folder, what).with_hint(
            "a model folder holds config.json, tokenizer.json and model.safetensors (or shards with \
             model.safetensors.index.json), or a GGUF file",
        )
    }
}

/// A shard of weights, by its name.
fn is_shard(name: &str) -> bool {
    name.starts_with("model-") && name.ends_with(".safetensors") && name.contains("-of-")
}

/// Whether a folder holds a model, as far as names say.
fn holds_model(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).symlink_metadata().is_ok();
    if has("config.json") && (has(SINGLE) || has(INDEX)) {
        return true;
    }
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| is_gguf(&path) && path.is_file())
}
