//! Typed access to a model's `config.json`, with errors that name file and key.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::{Error, Result};
use crate::models::gguf_config;
use crate::models::model_folder::ModelFolder;

/// The largest count that is believed. Tables are sized by some before any weight confirms them, and sizes are multiplied.
fn largest(key: &str) -> u64 {
    match key {
        "num_hidden_layers" | "num_attention_heads" | "num_key_value_heads" | "n_layers" | "n_heads" => 1 << 14,
        "hidden_size" | "head_dim" | "dim" => 1 << 20,
        _ => 1 << 28,
    }
}

/// A model's `config.json`.
pub struct Config {
    path: PathBuf,
    value: Value,
}

impl Config {
    /// Reads `config.json` of a model folder, or what a GGUF file says in its place.
    ///
    /// # Errors
    /// It is missing or not a JSON object.
    pub fn read(folder: &ModelFolder) -> Result<Self> {
        let path = folder.path().join("config.json");
        let Some(bytes) = folder.read("config.json")? else {
            if let Some((path, value)) = gguf_config(folder)? {
                return Ok(Self { path, value });
            }
            return Err(Error::io("read", &path, ErrorKind::NotFound.into())
                .with_hint("a model folder holds config.json, tokenizer.json and safetensors, or a GGUF file"));
        };
        let value: Value = serde_json::from_slice(&bytes).map_err(|e| {
            Error::input("failed to parse the model configuration")
                .at_column(&path, e.line() as u64, e.column() as u64)
                .caused_by(e)
        })?;
        Ok(Self { path, value })
    }

    /// Where it was read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The family's name.
    pub fn model_type(&self) -> Result<&str> {
        self.get("model_type").and_then(Value::as_str).ok_or_else(|| self.missing("model_type"))
    }

    /// The value of a key; `null` counts as absent.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.value.get(key).filter(|v| !v.is_null())
    }

    /// All keys with their values.
    #[cfg(feature = "reference")]
    pub(crate) fn object(&self) -> serde_json::Map<String, Value> {
        self.value.as_object().cloned().unwrap_or_default()
    }

    /// Whether a key is there, `null` or not.
    pub fn has(&self, key: &str) -> bool {
        self.value.get(key).is_some()
    }

    /// The configuration of the language model within that of a model of several parts; itself where there is none.
    pub fn language_model(&self) -> Self {
        let value = self.get("text_config").unwrap_or(&self.value).clone();
        Self { path: self.path.clone(), value }
    }

    fn missing(&self, key: &str) -> Error {
        Error::input(format!("the model configuration has no `{key}`")).at(&self.path)
    }

    fn wrong(&self, key: &str, kind: &str) -> Error {
        Error::input(format!("`{key}` of the model configuration is not {kind}")).at(&self.path)
    }

    /// A count.
    pub fn count(&self, key: &str) -> Result<usize> {
        self.optional_count(key)?.ok_or_else(|| self.missing(key))
    }

    /// A count that may be absent.
    pub fn optional_count(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match value.as_u64().map(|count| (count, usize::try_from(count))) {
            Some((count, Ok(size))) if count <= largest(key) => Ok(Some(size)),
            Some((count, _)) => Err(Error::input(format!("a `{key}` of {count} is not supported"))
                .at(&self.path)
                .with_hint(format!("it is believed up to {}", largest(key)))),
            None => Err(self.wrong(key, "a count")),
        }
    }

    /// A number, or the family's default.
    pub fn number_or(&self, key: &str, default: f64) -> Result<f64> {
        self.get(key).map_or(Ok(default), |v| v.as_f64().ok_or_else(|| self.wrong(key, "a number")))
    }

    /// A flag, or the family's default.
    pub fn flag_or(&self, key: &str, default: bool) -> Result<bool> {
        self.get(key).map_or(Ok(default), |v| v.as_bool().ok_or_else(|| self.wrong(key, "true or false")))
    }

    /// A text, or the family's default.
    pub fn text_or<'a>(&'a self, key: &str, default: &'a str) -> Result<&'a str> {
        self.get(key).map_or(Ok(default), |v| v.as_str().ok_or_else(|| self.wrong(key, "text")))
    }

    /// The window of each layer: `layer_types` where it stands, else `window` from layer `first` on.
    pub fn windows(&self, layers: usize, window: Option<usize>, first: usize) -> Result<Vec<Option<usize>>> {
        let Some(types) = self.get("layer_types") else {
            return Ok((0..layers).map(|layer| window.filter(|_| layer >= first)).collect());
        };
        let types = types
            .as_array()
            .filter(|t| t.len() == layers)
            .ok_or_else(|| self.wrong("layer_types", &format!("a list of {layers} layer types")))?;
        types
            .iter()
            .map(|kind| match kind.as_str() {
                Some("full_attention") => Ok(None),
                Some("sliding_attention") => window.map(Some).ok_or_else(|| self.missing("sliding_window")),
                other => {
                    let name = other.map_or_else(|| kind.to_string(), str::to_owned);
                    Err(Error::input(format!("layer type `{name}` is not supported"))
                        .at(&self.path)
                        .with_hint("known are `full_attention`, `sliding_attention`"))
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::{Decoder, Encoder};
    use crate::models::{HeadKind, families};
    use crate::options::DtypeChoice;
    use crate::request::Pooling;

    /// Whatever the counts are: an error of the configuration, or of the weights that do not fit it; never a panic, and no
    /// memory taken for what the weights do not hold.
    #[test]
    fn absurd_counts_are_errors() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/models");
        let keys = [
            "vocab_size",
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "num_key_value_heads",
            "head_dim",
        ];
        let names = ["llama3-rope", "qwen3", "bert", "modernbert", "mpnet-dense", "deberta-v2-conv"];
        for (name, key) in names.into_iter().flat_map(|name| keys.map(|key| (name, key))) {
            for count in [1 << 14, 1 << 20, 1 << 28, 1 << 40, 1 << 62, u64::MAX] {
                let folder = ModelFolder::new(fixtures.join(name));
                let mut config = Config::read(&folder).unwrap();
                if config.value[key].is_null() {
                    continue;
                }
                config.value[key] = count.into();
                let loaded = match name {
                    "bert" | "modernbert" | "mpnet-dense" | "deberta-v2-conv" => families::encoder(&config)
                        .and_then(|spec| {
                            Encoder::load(&folder, spec, DtypeChoice::Auto, HeadKind::Pool(Pooling::Mean, Vec::new()))
                        })
                        .err(),
                    _ => families::decoder(&config)
                        .and_then(|spec| Decoder::load(&folder, spec, DtypeChoice::Auto, 1))
                        .err(),
                };
                assert!(loaded.is_some(), "{name}: {key} of {count} is taken");
            }
        }
    }
}
