//! What a GGUF file says of its tokens, as plain values.

use std::collections::BTreeMap;

use candle_core::quantized::gguf_file::Value;

use super::gguf_metadata::Metadata;
use crate::error::{Error, Result};

/// Names of special tokens, before `_token_id`.
const NAMED: [&str; 8] = ["bos", "eos", "eot", "unknown", "padding", "seperator", "cls", "mask"];

/// Tokens with everything that turns text into them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vocabulary {
    /// `tokenizer.ggml.model`: `gpt2` (byte-level BPE), `llama` (SentencePiece) or `bert` (WordPiece).
    pub model: String,
    /// `tokenizer.ggml.pre`: how byte-level BPE cuts text into words.
    pub pre: Option<String>,
    /// The tokens.
    pub tokens: Vec<String>,
    /// Their scores (SentencePiece).
    pub scores: Vec<f32>,
    /// Their kinds: 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte.
    pub kinds: Vec<i64>,
    /// Merges, two tokens and a space between (byte-level BPE).
    pub merges: Vec<String>,
    /// Special tokens by ggml's names (`bos`, `eos`, …).
    pub named: BTreeMap<&'static str, u32>,
    /// Whether a text begins with bos.
    pub add_bos: Option<bool>,
    /// Whether it ends with eos.
    pub add_eos: Option<bool>,
    /// Whether a space is put before a text (SentencePiece).
    pub add_space_prefix: bool,
    /// The chat template.
    pub chat_template: Option<String>,
}

impl Vocabulary {
    /// Reads the keys below `tokenizer`.
    ///
    /// # Errors
    /// There are none, lists of unequal lengths, or ids past the tokens.
    pub fn read(metadata: &Metadata<'_>) -> Result<Self> {
        let key = |name: &str| format!("tokenizer.ggml.{name}");
        let texts = |name: &str| -> Result<Vec<String>> {
            let list = metadata.list(&key(name)).unwrap_or_default();
            list.iter().map(|v| v.to_string().cloned().map_err(|_| metadata.missing(&key(name)))).collect()
        };
        let number = |value: &Value| match value {
            Value::I32(x) => Some(i64::from(*x)),
            Value::I64(x) => Some(*x),
            other => other.to_u64().ok().and_then(|x| i64::try_from(x).ok()),
        };
        let tokens = texts("tokens")?;
        if tokens.is_empty() {
            return Err(metadata
                .missing(&key("tokens"))
                .with_hint("put the model's tokenizer.json beside the file: it holds no tokenizer"));
        }
        let kinds: Vec<i64> = metadata.list(&key("token_type")).unwrap_or_default().iter().filter_map(number).collect();
        let scores = metadata.list(&key("scores")).unwrap_or_default();
        let scores: Vec<f32> = scores.iter().filter_map(|v| v.to_f32().ok()).collect();
        for (name, len) in [("token_type", kinds.len()), ("scores", scores.len())] {
            if len != 0 && len != tokens.len() {
                let what = format!("match {len} values of `{}` with {} tokens", key(name), tokens.len());
                return Err(Error::input(what).at(metadata.path));
            }
        }
        let mut named = BTreeMap::new();
        for name in NAMED {
            let Some(id) = metadata.values.get(&key(&format!("{name}_token_id"))).and_then(number) else { continue };
            match usize::try_from(id).ok().filter(|id| *id < tokens.len()) {
                Some(id) => drop(named.insert(name, id as u32)),
                // Some writers put -1 or the largest number for none.
                None if id == -1 || id == i64::from(u32::MAX) => {}
                None => {
                    let what = format!("find token {id}, the {name} token, among {} tokens", tokens.len());
                    return Err(Error::input(what).at(metadata.path));
                }
            }
        }
        let template = ["tokenizer.chat_template", "tokenizer.chat_template.default"];
        Ok(Self {
            model: metadata.text(&key("model"))?.to_owned(),
            pre: metadata.text(&key("pre")).ok().map(str::to_owned),
            scores,
            kinds,
            merges: texts("merges")?,
            named,
            add_bos: metadata.flag(&key("add_bos_token")),
            add_eos: metadata.flag(&key("add_eos_token")),
            add_space_prefix: metadata.flag(&key("add_space_prefix")).unwrap_or(true),
            chat_template: template.iter().find_map(|key| metadata.text(key).ok()).map(str::to_owned),
            tokens,
        })
    }

    /// The text of a special token by ggml's name.
    pub fn special(&self, name: &str) -> Option<&str> {
        self.named.get(name).map(|id| self.tokens[*id as usize].as_str())
    }

    /// The kind of a token.
    pub fn kind(&self, id: usize) -> i64 {
        self.kinds.get(id).copied().unwrap_or(1)
    }
}
