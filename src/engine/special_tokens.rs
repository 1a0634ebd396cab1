//! The named special tokens of a model folder (`bos_token`, `eos_token`, …), as templates and the tokenizer need them.
//!
//! They come from `tokenizer_config.json` and, where transformers still reads it, `special_tokens_map.json`. Tokens are
//! strings here; ids are the tokenizer's business. Defaults that transformers keeps in its Python classes are not known:
//! a token that no file names is absent, and a template sees it as undefined, as transformers' templates do.

use std::path::Path;

use serde_json::{Map, Value};

use super::candle::gguf_vocabulary;
use super::model_json::read_json;
use crate::error::{Error, Result};

/// Special tokens as GGUF files call them, and as transformers does.
const GGUF_NAMES: [(&str, &str); 7] = [
    ("bos", "bos_token"),
    ("eos", "eos_token"),
    ("unknown", "unk_token"),
    ("padding", "pad_token"),
    ("seperator", "sep_token"),
    ("cls", "cls_token"),
    ("mask", "mask_token"),
];

/// Special tokens by attribute name, in the order of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    tokens: Vec<(String, String)>,
}

impl SpecialTokens {
    /// Reads `tokenizer_config.json` and `special_tokens_map.json`; both may be missing.
    ///
    /// Without a `tokenizer.json` a GGUF file names what these do not.
    ///
    /// As in transformers 5 the map file is read only where the configuration has no `added_tokens_decoder`, and then it
    /// wins. Any key ending in `_token` with a string or `{"content": …}` counts (`image_token` as well).
    ///
    /// # Errors
    /// A file that cannot be read or is not a JSON object.
    pub fn from_folder(dir: &Path) -> Result<Self> {
        let mut tokens = Self::default();
        let config = object(&dir.join("tokenizer_config.json"))?.unwrap_or_default();
        tokens.extend(&config);
        if !config.contains_key("added_tokens_decoder")
            && let Some(map) = object(&dir.join("special_tokens_map.json"))?
        {
            tokens.extend(&map);
        }
        if !dir.join("tokenizer.json").is_file()
            && let Some((_, vocabulary)) = gguf_vocabulary(dir)?
        {
            for (name, attribute) in GGUF_NAMES {
                if let Some(token) = vocabulary.special(name).filter(|_| tokens.get(attribute).is_none()) {
                    tokens.set(attribute, token);
                }
            }
        }
        Ok(tokens)
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

fn object(path: &Path) -> Result<Option<Map<String, Value>>> {
    match read_json(path)? {
        None => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(_) => Err(Error::input("read a tokenizer setting: the file is not a JSON object").at_line(path, 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_objects_and_the_map_file() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
        assert_eq!(SpecialTokens::from_folder(dir.path()).expect("none is fine"), SpecialTokens::default());
        write(
            "tokenizer_config.json",
            r#"{"bos_token":{"content":"<s>"},"eos_token":"</s>","pad_token":null,"add_bos_token":true}"#,
        );
        write("special_tokens_map.json", r#"{"eos_token":"<end>","unk_token":{"content":"<unk>"}}"#);
        let tokens = SpecialTokens::from_folder(dir.path()).expect("read");
        assert_eq!(
            tokens.iter().collect::<Vec<_>>(),
            [("bos_token", "<s>"), ("eos_token", "<end>"), ("unk_token", "<unk>")]
        );
        write("tokenizer_config.json", r#"{"eos_token":"</s>","added_tokens_decoder":{}}"#);
        assert_eq!(SpecialTokens::from_folder(dir.path()).expect("read").get("eos_token"), Some("</s>"));
        write("tokenizer_config.json", "[]");
        assert!(SpecialTokens::from_folder(dir.path()).is_err());
    }
}
