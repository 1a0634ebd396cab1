//! The named special tokens of a model folder (`bos_token`, `eos_token`, …), as templates and the tokenizer need them.
//!
//! They come from `tokenizer_config.json` and, where transformers still reads it, `special_tokens_map.json`; in a folder that
//! has neither, from the metadata of a GGUF file; those that no file mentions, from the tokenizer's class in transformers. Ids
//! are the tokenizer's business. A token that nobody names is absent, and a template sees it as undefined, as transformers'
//! templates do.

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use crate::error::{Error, Result};
use crate::models::gguf_metadata;
use crate::models::model_folder::ModelFolder;
use crate::models::model_json::read_json;

/// Attributes that all tokenizers of transformers have, in its order.
const STANDARD: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
/// Keys whose list names special tokens that go by no attribute.
const LISTS: [&str; 2] = ["extra_special_tokens", "additional_special_tokens"];

/// Special tokens by attribute name, in the order of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    tokens: Vec<(String, AddedToken)>,
    /// Special tokens that have no attribute.
    extra: Vec<AddedToken>,
    /// Attributes that a file sets to nothing.
    unset: Vec<String>,
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
    /// wins. Any key ending in `_token` with a string or `{"content": …}` counts (`image_token` as well). `defaults` are the
    /// tokens of attributes that no file mentions.
    ///
    /// # Errors
    /// A file that cannot be read or is not a JSON object.
    pub fn from_folder(model: &ModelFolder, defaults: &[(&str, &str)]) -> Result<Self> {
        let folder = &model.tokenizer()?;
        let mut tokens = Self::default();
        let config = object(folder, "tokenizer_config.json")?;
        let map = match &config {
            Some(config) if config.contains_key("added_tokens_decoder") => None,
            _ => object(folder, "special_tokens_map.json")?,
        };
        if config.is_none()
            && map.is_none()
            && let Some((_, metadata)) = gguf_metadata(folder)?
        {
            return Ok(Self::from_gguf(&metadata));
        }
        config.iter().chain(&map).for_each(|file| tokens.extend(file));
        defaults.iter().for_each(|(name, token)| tokens.set_default(name, token));
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
                let token = token.strip_prefix('▁').filter(|_| model == "bert").unwrap_or(token);
                named.set(attribute, AddedToken::from(token, true));
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
        self.tokens.iter().find(|(name, _)| name == attribute).map(|(_, token)| token.content.as_str())
    }

    /// Attribute and token, in the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tokens.iter().map(|(name, token)| (name.as_str(), token.content.as_str()))
    }

    /// All tokens with what the files say of them, in the order in which transformers gives ids to those that have none.
    pub(crate) fn to_add(&self) -> impl Iterator<Item = &AddedToken> {
        let standard = STANDARD.iter().filter_map(|name| self.tokens.iter().find(|(own, _)| own == name));
        let others = self.tokens.iter().filter(|(name, _)| !STANDARD.contains(&name.as_str()));
        standard.chain(others).map(|(_, token)| token).chain(&self.extra)
    }

    /// Names a token that goes by no attribute.
    pub(crate) fn add_extra(&mut self, token: &str) {
        self.extra.push(AddedToken::from(token, true));
    }

    /// Names the token of an attribute that has none and that no file sets to nothing.
    pub(crate) fn set_default(&mut self, attribute: &str, token: &str) {
        if self.get(attribute).is_none() && !self.unset.iter().any(|unset| unset == attribute) {
            self.set(attribute, AddedToken::from(token, true));
        }
    }

    fn set(&mut self, attribute: &str, token: AddedToken) {
        match self.tokens.iter_mut().find(|(name, _)| name == attribute) {
            Some(slot) => slot.1 = token,
            None => self.tokens.push((attribute.into(), token)),
        }
    }

    fn extend(&mut self, map: &Map<String, Value>) {
        for (name, value) in map {
            if name == "extra_special_tokens" || name == "model_specific_special_tokens" {
                // A map here names further attributes.
                if let Value::Object(named) = value {
                    named.iter().filter_map(|(n, v)| Some((n, token(v)?))).for_each(|(n, t)| self.set(n, t));
                }
            }
            if let (true, Value::Array(list)) = (LISTS.contains(&name.as_str()), value) {
                self.extra.extend(list.iter().filter_map(token));
            } else if name.ends_with("_token") {
                match token(value) {
                    Some(token) => self.set(name, token),
                    None if value.is_null() => {
                        self.tokens.retain(|(own, _)| own != name);
                        self.unset.push(name.clone());
                    }
                    None => {}
                }
            }
        }
    }
}

/// `"</s>"` or `{"content": "</s>", …}`.
fn token(value: &Value) -> Option<AddedToken> {
    match value {
        Value::String(text) => Some(AddedToken::from(text.as_str(), true)),
        Value::Object(map) => added_token(map),
        _ => None,
    }
}

/// A token as `tokenizer_config.json` writes it down, with Python's defaults.
pub(crate) fn added_token(map: &Map<String, Value>) -> Option<AddedToken> {
    let flag = |name: &str| map.get(name).and_then(Value::as_bool);
    let special = flag("special").unwrap_or(false);
    let token = AddedToken::from(map.get("content")?.as_str()?, special)
        .single_word(flag("single_word").unwrap_or(false))
        .lstrip(flag("lstrip").unwrap_or(false))
        .rstrip(flag("rstrip").unwrap_or(false));
    Some(match flag("normalized") {
        Some(normalized) => token.normalized(normalized),
        None => token,
    })
}

fn object(folder: &ModelFolder, name: &str) -> Result<Option<Map<String, Value>>> {
    match read_json(folder, name)? {
        None => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(_) => {
            Err(Error::input("the tokenizer settings are not a JSON object").at_line(folder.path().join(name), 1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_objects_and_the_map_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
        let read = |defaults: &[(&str, &str)]| SpecialTokens::from_folder(&ModelFolder::new(dir.path()), defaults);
        assert_eq!(read(&[]).expect("none is fine"), SpecialTokens::default());
        write(
            "tokenizer_config.json",
            r#"{"bos_token":{"content":"<s>"},"eos_token":"</s>","pad_token":null,"add_bos_token":true}"#,
        );
        write("special_tokens_map.json", r#"{"eos_token":"<end>","unk_token":{"content":"<unk>"}}"#);
        let tokens = read(&[]).expect("read");
        assert_eq!(
            tokens.iter().collect::<Vec<_>>(),
            [("bos_token", "<s>"), ("eos_token", "<end>"), ("unk_token", "<unk>")]
        );
        write("tokenizer_config.json", r#"{"eos_token":"</s>","added_tokens_decoder":{}}"#);
        assert_eq!(read(&[]).expect("read").get("eos_token"), Some("</s>"));
        write(
            "tokenizer_config.json",
            r#"{"eos_token":null,"additional_special_tokens":["<a>",{"content":"<b>","lstrip":true}],"added_tokens_decoder":{}}"#,
        );
        let named = [("bos_token", "<s>"), ("eos_token", "</s>")];
        let tokens = read(&named).expect("read");
        assert_eq!(
            tokens.iter().collect::<Vec<_>>(),
            [("bos_token", "<s>")],
            "what a file sets to nothing has no default"
        );
        let added: Vec<_> = tokens.to_add().map(|token| (token.content.as_str(), token.lstrip)).collect();
        assert_eq!(added, [("<s>", false), ("<a>", false), ("<b>", true)]);
        write("tokenizer_config.json", "[]");
        assert!(read(&[]).is_err());
    }
}
