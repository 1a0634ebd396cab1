//! The named special tokens of a model folder (`bos_token`, `eos_token`, …), as templates and the tokenizer need them.
//!
//! They come from `tokenizer_config.json` and, where transformers still reads it, `special_tokens_map.json`; in a folder that
//! has neither, from the metadata of a GGUF file. Tokens are strings here; ids are the tokenizer's business. Defaults that transformers keeps in its Python classes are not known:
//! a token that no file names is absent, and a template sees it as undefined, as transformers' templates do.

use serde_json::{Map, Value};

use super::candle::gguf_metadata;
use super::identity::ModelFolder;
use super::model_json::read_json;
use crate::error::{Error, Result};

/// Special tokens by attribute name, in the order of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    tokens: Vec<(String, String)>,
}

impl SpecialTokens {
    /// Names in the metadata of GGUF files (`tokenizer.ggml.<name>_token_id`) and the attributes that they stand for. The
    /// spelling `seperator` is that of the format.
    pub(crate) const GGUF: [(&str, &str); 7] = [
        ("bos", "bos_token"),
        ("eos", "eos_token"),
        ("unknown", "unk_token"),
        ("seperator", "sep_token"),
        ("padding", "pad_token"),
        ("cls", "cls_token"),
        ("mask", "mask_token"),
    ];

    /// Reads `tokenizer_config.json` and `special_tokens_map.json`; where both are missing, what a GGUF file says.
    ///
    /// As in transformers 5 the map file is read only where the configuration has no `added_tokens_decoder`, and then it
    /// wins. Any key ending in `_token` with a string or `{"content": …}` counts (`image_token` as well).
    ///
    /// # Errors
    /// A file that cannot be read or is not a JSON object.
    pub fn from_folder(folder: &ModelFolder) -> Result<Self> {
        let mut tokens = Self::default();
        let config = object(folder, "tokenizer_config.json")?;
        let map = match &config {
            Some(config) if config.contains_key("added_tokens_decoder") => None,
            _ => object(folder, "special_tokens_map.json")?,
        };
        if config.is_none()
            && map.is_none()
            && folder.path().is_dir()
            && let Some((_, metadata)) = gguf_metadata(folder)?
        {
            return Ok(Self::from_gguf(&metadata));
        }
        config.iter().chain(&map).for_each(|file| tokens.extend(file));
        Ok(tokens)
    }

    /// The tokens that the metadata of a GGUF file names by their ids. Ids that it leaves out are those of llama.cpp
    /// (`src/llama-vocab.cpp`) for its kind of tokenizer; ids without a token name none.
    pub(crate) fn from_gguf(metadata: &Map<String, Value>) -> Self {
        let mut named = Self::default();
        let key = |name: &str| format!("tokenizer.ggml.{name}");
        let list = |name: &str| metadata.get(&key(name)).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let (tokens, types) = (list("tokens"), list("token_type"));
        let model = metadata.get(&key("model")).and_then(Value::as_str).unwrap_or_default();
        let id = |name: &str| metadata.get(&key(&format!("{name}_token_id"))).and_then(Value::as_u64);
        for (name, attribute) in Self::GGUF {
            let id = match (model, name) {
                ("llama", "bos") => id(name).or(Some(1)),
                ("llama", "eos") => id(name).or(Some(2)),
                ("llama", "unknown") => id(name).or(Some(0)),
                ("bert", "bos" | "eos") => None,
                ("bert", "cls") => id(name).or(id("bos")).or(Some(101)),
                ("bert", "seperator") => id(name).or(Some(102)),
                ("bert", "unknown") => id(name).or(Some(100)),
                _ => id(name),
            };
            let at = id.and_then(|id| usize::try_from(id).ok());
            let Some(token) = at.and_then(|at| tokens.get(at)).and_then(Value::as_str) else { continue };
            // Some files pad with a word; it must not become a token that answers leave out.
            let word = at.and_then(|at| types.get(at)).and_then(Value::as_u64) == Some(1);
            if matches!(name, "bos" | "eos") || model == "bert" || !word {
                named.set(attribute, token.strip_prefix('▁').filter(|_| model == "bert").unwrap_or(token));
            }
        }
        named
    }

    /// The tokens of a JSON object such as `tokenizer_config.json`.
    pub fn from_map(map: &Map<String, Value>) -> Self {
        let mut tokens = Self::default();
        tokens.extend(map);
        tokens
    }

    /// The token of an attribute such as `eos_token`.
    pub fn get(&self, attribute: &str) -> Option<&str> {
        self.tokens.iter().find(|(name, _)| name == attribute).map(|(_, token)| token.as_str())
    }

    /// Attribute and token, in the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tokens.iter().map(|(name, token)| (name.as_str(), token.as_str()))
    }

    fn set(&mut self, attribute: &str, token: &str) {
        match self.tokens.iter_mut().find(|(name, _)| name == attribute) {
            Some(slot) => slot.1 = token.into(),
            None => self.tokens.push((attribute.into(), token.into())),
        }
    }

    fn extend(&mut self, map: &Map<String, Value>) {
        for (name, value) in map {
            if name == "extra_special_tokens" || name == "model_specific_special_tokens" {
                // A map here names further attributes; a list names none.
                if let Value::Object(named) = value {
                    named.iter().filter_map(|(n, v)| Some((n, content(v)?))).for_each(|(n, t)| self.set(n, t));
                }
            } else if name.ends_with("_token")
                && let Some(token) = content(value)
            {
                self.set(name, token);
            }
        }
    }
}

/// `"</s>"` or `{"content": "</s>", …}`.
fn content(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Object(map) => map.get("content")?.as_str(),
        _ => None,
    }
}

fn object(folder: &ModelFolder, name: &str) -> Result<Option<Map<String, Value>>> {
    match read_json(folder, name)? {
        None => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(_) => Err(Error::input("read a tokenizer setting: the file is not a JSON object")
            .at_line(folder.path().join(name), 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_objects_and_the_map_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
        assert_eq!(
            SpecialTokens::from_folder(&ModelFolder::new(dir.path())).expect("none is fine"),
            SpecialTokens::default()
        );
        write(
            "tokenizer_config.json",
            r#"{"bos_token":{"content":"<s>"},"eos_token":"</s>","pad_token":null,"add_bos_token":true}"#,
        );
        write("special_tokens_map.json", r#"{"eos_token":"<end>","unk_token":{"content":"<unk>"}}"#);
        let tokens = SpecialTokens::from_folder(&ModelFolder::new(dir.path())).expect("read");
        assert_eq!(
            tokens.iter().collect::<Vec<_>>(),
            [("bos_token", "<s>"), ("eos_token", "<end>"), ("unk_token", "<unk>")]
        );
        write("tokenizer_config.json", r#"{"eos_token":"</s>","added_tokens_decoder":{}}"#);
        assert_eq!(
            SpecialTokens::from_folder(&ModelFolder::new(dir.path())).expect("read").get("eos_token"),
            Some("</s>")
        );
        write("tokenizer_config.json", "[]");
        assert!(SpecialTokens::from_folder(&ModelFolder::new(dir.path())).is_err());
    }
}
