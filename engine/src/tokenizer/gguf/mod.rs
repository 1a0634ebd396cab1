//! The tokenizer that the metadata of a GGUF file describes (keys below `tokenizer.ggml.`), as a `tokenizer.json` would hold it.
//!
//! Byte-level BPE (`gpt2`), SentencePiece's BPE (`llama`) and WordPiece (`bert`). The meaning of the keys, and of those that are
//! missing, is that of llama.cpp (`src/llama-vocab.cpp`), with one exception: where it only comes close to the model's own
//! tokenizer, this keeps to the latter (see [`pre`]). Does not read files; the metadata comes as plain JSON.

mod pre;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result, nearest};
use crate::guard::guarded;
use crate::tokenizer::added;
use crate::tokenizer::class::Class;
use crate::tokenizer::rebuild::around;
use crate::tokenizer::special_tokens::SpecialTokens;

const MODELS: [&str; 3] = ["gpt2", "llama", "bert"];

/// A space within SentencePiece's tokens, and at the start of the words of a `bert` vocabulary.
const SPACE: char = '▁';

/// Kinds of tokens in `tokenizer.ggml.token_type`.
const NORMAL: u64 = 1;
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;
const BYTE: u64 = 6;

/// Builds the tokenizer, its named tokens among the special ones.
///
/// # Errors
/// A key is missing or broken, or the kind of tokenizer is not known.
pub fn build(metadata: &Map<String, Value>) -> Result<(tokenizers::Tokenizer, SpecialTokens)> {
    let vocabulary = Vocabulary::read(metadata)?;
    let special_tokens = SpecialTokens::from_gguf(metadata);
    vocabulary.check(&special_tokens)?;
    let mut file = match vocabulary.model {
        "gpt2" => vocabulary.byte_level(&special_tokens)?,
        "llama" => vocabulary.sentence_piece(&special_tokens)?,
        _ => vocabulary.word_piece(&special_tokens)?,
    };
    file["version"] = json!("1.0");
    file["added_tokens"] = vocabulary.added();
    let failed =
        |error: tokenizers::Error| Error::input("failed to set up the tokenizer of the metadata").caused_by(error);
    let bytes = serde_json::to_vec(&file).map_err(|e| Error::internal("failed to write a tokenizer").caused_by(e))?;
    let inner = guarded("set up the tokenizer of the metadata", || tokenizers::Tokenizer::from_bytes(&bytes))?;
    let mut inner = inner.map_err(failed)?;
    let listed = inner.get_added_tokens_decoder().into_iter().collect();
    added::add(Class::Generic, &mut inner, &listed, &special_tokens)?;
    Ok((inner, special_tokens))
}

fn key(name: &str) -> String {
    format!("tokenizer.ggml.{name}")
}

struct Vocabulary<'a> {
    metadata: &'a Map<String, Value>,
    model: &'a str,
    /// Texts by id.
    tokens: Vec<String>,
    ids: HashMap<String, u32>,
    types: Vec<u64>,
}

impl<'a> Vocabulary<'a> {
    fn read(metadata: &'a Map<String, Value>) -> Result<Self> {
        let model = metadata.get(&key("model")).and_then(Value::as_str);
        let listed = metadata.get(&key("tokens")).and_then(Value::as_array);
        let (Some(model), Some(listed)) = (model, listed) else {
            let missing = if model.is_none() { "model" } else { "tokens" };
            return Err(Error::input(format!("the metadata has no `{}`", key(missing)))
                .with_hint("the file holds no tokenizer: put the model's tokenizer.json beside it"));
        };
        if !MODELS.contains(&model) {
            return Err(Error::input(format!("the tokenizer `{model}` (`tokenizer.ggml.model`) is not supported"))
                .with_hint(format!(
                    "known are {}; {}; a tokenizer.json beside the file goes before what the file says",
                    MODELS.join(", "),
                    nearest(model, MODELS)
                )));
        }
        let mut vocabulary =
            Self { metadata, model, tokens: Vec::with_capacity(listed.len()), ids: HashMap::new(), types: Vec::new() };
        vocabulary.types = match metadata.get(&key("token_type")) {
            None => vec![NORMAL; listed.len()],
            Some(_) => vocabulary.numbers("token_type", listed.len(), Value::as_u64)?,
        };
        for (id, token) in listed.iter().enumerate() {
            let Some(text) = token.as_str() else { return Err(vocabulary.broken("tokens", "a list of texts")) };
            let text = vocabulary.spelled(id, text);
            if let Some(other) = vocabulary.ids.insert(text.clone(), id as u32) {
                return Err(Error::input(format!("`{text}` is token {other} and token {id} of the vocabulary"))
                    .with_hint("convert the model again, or put its tokenizer.json beside the file"));
            }
            vocabulary.tokens.push(text);
        }
        Ok(vocabulary)
    }

    /// A token as a `tokenizer.json` spells it.
    fn spelled(&self, id: usize, text: &str) -> String {
        match text {
            "" => format!("[EMPTY_{id}]"),
            text if self.model != "bert" || self.types[id] != NORMAL => text.to_owned(),
            // ggml's converter marks what starts a word, Hugging Face what continues one.
            text => match text.strip_prefix(SPACE) {
                Some(start) => start.to_owned(),
                None if text.starts_with('[') && text.ends_with(']') => text.to_owned(),
                None => format!("##{text}"),
            },
        }
    }

    fn broken(&self, name: &str, kind: &str) -> Error {
        Error::input(format!("`{}` of the metadata is not {kind}", key(name)))
            .with_hint("convert the model again, or put its tokenizer.json beside the file")
    }

    fn numbers<T>(&self, name: &str, count: usize, read: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>> {
        let listed = self.metadata.get(&key(name)).and_then(Value::as_array).filter(|list| list.len() == count);
        let numbers = listed.and_then(|list| list.iter().map(read).collect::<Option<Vec<T>>>());
        numbers.ok_or_else(|| self.broken(name, &format!("a list of {count} numbers")))
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.metadata.get(&key(name)) {
            None => Ok(default),
            Some(value) => value.as_bool().ok_or_else(|| self.broken(name, "true or false")),
        }
    }

    /// That the named tokens are tokens.
    fn check(&self, special_tokens: &SpecialTokens) -> Result<()> {
        for (name, attribute) in SpecialTokens::GGUF {
            let id = self.metadata.get(&key(&format!("{name}_token_id")));
            let Some(id) = id else { continue };
            if id.as_u64().is_none_or(|id| id >= self.tokens.len() as u64) {
                let count = self.tokens.len();
                return Err(Error::input(format!("the {attribute} {id} is outside the vocabulary of {count} tokens")));
            }
        }
        for (flag, attribute) in [("add_bos_token", "bos_token"), ("add_eos_token", "eos_token")] {
            if self.flag(flag, false)? && special_tokens.get(attribute).is_none() && self.model != "bert" {
                return Err(Error::input(format!("there is no {attribute}, which `{}` asks for", key(flag))));
            }
        }
        Ok(())
    }

    fn added(&self) -> Value {
        // Phi-3's own tokenizer drops the spaces behind its markers; the metadata has no place to say so.
        let phi3 = self.model == "llama" && self.metadata.get("general.architecture") == Some(&json!("phi3"));
        let keeps = ["<unk>", "<s>", "<|endoftext|>"];
        let marked = self.types.iter().enumerate().filter(|(_, kind)| [UNKNOWN, CONTROL, USER_DEFINED].contains(kind));
        let added = marked.map(|(id, kind)| {
            let content = &self.tokens[id];
            json!({
                "id": id,
                "content": content,
                "single_word": false,
                "lstrip": false,
                "rstrip": phi3 && !keeps.contains(&content.as_str()),
                "normalized": false,
                "special": *kind != USER_DEFINED,
            })
        });
        added.collect()
    }

    fn byte_level(&self, special_tokens: &SpecialTokens) -> Result<Value> {
        let name = self.metadata.get(&key("pre")).and_then(Value::as_str).ok_or_else(|| {
            Error::input(format!("the metadata has no `{}`", key("pre"))).with_hint(
                "the file does not say how texts are cut before bytes are merged: convert the model again, or put its \
                 tokenizer.json beside the file",
            )
        })?;
        let pre = pre::find(name)?;
        let split = |pattern: &&str| json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
        let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false});
        let mut steps: Vec<Value> = pre.splits.iter().map(split).collect();
        steps.push(bytes.clone());
        let file = json!({
            "normalizer": pre.nfc.then(|| json!({"type": "NFC"})),
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
            "post_processor": null,
            "decoder": bytes,
            "model": bpe(&self.ids, &self.merges()?, json!({"ignore_merges": pre.whole_words})),
        });
        let begins = self.flag("add_bos_token", pre.begins)?;
        let ends = self.flag("add_eos_token", false)?;
        if begins && special_tokens.get("bos_token").is_none() {
            return Err(Error::input("there is no bos_token, which texts of this vocabulary start with"));
        }
        let set_apart = self.flag("add_sep_token", pre.separates)? && begins && ends;
        Ok(match (special_tokens.get("bos_token"), special_tokens.get("eos_token")) {
            (Some(bos), Some(eos)) if set_apart => {
                with(file, "post_processor", self.around((bos, eos), &[eos, eos], 0))
            }
            // Without either, texts keep the segments that they have without a post-processor.
            _ if !begins && !ends => file,
            _ => with(file, "post_processor", self.begin_and_end(special_tokens, begins, ends)),
        })
    }

    /// The merges of a byte-level vocabulary: pairs of tokens, the first to be merged first.
    fn merges(&self) -> Result<Vec<(String, String)>> {
        let listed = self.metadata.get(&key("merges")).and_then(Value::as_array);
        let listed = listed.ok_or_else(|| {
            Error::input(format!("the metadata has no `{}`", key("merges")))
                .with_hint("the file holds half a tokenizer: put the model's tokenizer.json beside it")
        })?;
        let pair = |merge: &Value| {
            let text = merge.as_str()?;
            // A token may start with a space, not hold another.
            let at = text.char_indices().skip(1).find(|(_, c)| *c == ' ')?.0;
            let (left, right) = (&text[..at], &text[at + 1..]);
            let known = [left, right, &format!("{left}{right}")].iter().all(|token| self.ids.contains_key(*token));
            known.then(|| (left.to_owned(), right.to_owned()))
        };
        let merges = listed.iter().map(|merge| pair(merge).ok_or(merge));
        merges.collect::<Result<_, &Value>>().map_err(|merge| {
            Error::input(format!("the merge {merge} is not of two tokens that make a third"))
                .with_hint("convert the model again, or put its tokenizer.json beside the file")
        })
    }

    fn sentence_piece(&self, special_tokens: &SpecialTokens) -> Result<Value> {
        let scores = self.numbers("scores", self.tokens.len(), Value::as_f64)?;
        let prefix = self.flag("add_space_prefix", true)?;
        let mut normalizers = Vec::new();
        if self.flag("remove_extra_whitespaces", false)? {
            normalizers.push(json!({"type": "Strip", "strip_left": true, "strip_right": true}));
            normalizers.push(json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}));
        }
        if prefix {
            normalizers.push(json!({"type": "Prepend", "prepend": SPACE}));
        }
        normalizers.push(json!({"type": "Replace", "pattern": {"String": " "}, "content": SPACE}));
        let mut decoders = vec![
            json!({"type": "Replace", "pattern": {"String": SPACE}, "content": " "}),
            json!({"type": "ByteFallback"}),
            json!({"type": "Fuse"}),
        ];
        if prefix {
            decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        let options = json!({"unk_token": special_tokens.get("unk_token"), "fuse_unk": true, "byte_fallback": true});
        let file = json!({
            "normalizer": {"type": "Sequence", "normalizers": normalizers},
            "pre_tokenizer": null,
            "post_processor": null,
            "decoder": {"type": "Sequence", "decoders": decoders},
            "model": bpe(&self.ids, &self.scored_merges(&scores), options),
        });
        let (begins, ends) = (self.flag("add_bos_token", true)?, self.flag("add_eos_token", false)?);
        Ok(with(file, "post_processor", self.begin_and_end(special_tokens, begins, ends)))
    }

    /// Merges of a vocabulary with scores: every cut of a token into two tokens, the highest score first. Equal scores go by the
    /// lengths of the parts and then by ids, as in transformers (`generate_merges`).
    fn scored_merges(&self, scores: &[f64]) -> Vec<(String, String)> {
        let mut merges = Vec::new();
        for ((token, kind), score) in self.tokens.iter().zip(&self.types).zip(scores) {
            if [UNKNOWN, CONTROL, BYTE].contains(kind) {
                continue;
            }
            let cuts = token.char_indices().skip(1).enumerate();
            let mut own: Vec<_> = cuts
                .filter_map(|(chars, (at, _))| {
                    let (left, right) = token.split_at(at);
                    Some((*score, chars, (*self.ids.get(left)?, *self.ids.get(right)?), (left, right)))
                })
                .collect();
            own.sort_by_key(|(_, _, ids, _)| *ids);
            merges.extend(own);
        }
        let length = |text: &str| text.chars().count();
        merges.sort_by(|a, b| {
            let lengths = (b.1, length(b.3.1)).cmp(&(a.1, length(a.3.1)));
            b.0.total_cmp(&a.0).then(lengths)
        });
        merges.into_iter().map(|(_, _, _, (left, right))| (left.to_owned(), right.to_owned())).collect()
    }

    fn word_piece(&self, special_tokens: &SpecialTokens) -> Result<Value> {
        let named = |attribute: &str| {
            special_tokens.get(attribute).ok_or_else(|| Error::input(format!("the vocabulary has no {attribute}")))
        };
        let (unknown, begin, end) = (named("unk_token")?, named("cls_token")?, named("sep_token")?);
        let lowercase = self.flag("normalizer.lowercase", true)?;
        let file = json!({
            "normalizer": {
                "type": "BertNormalizer",
                "clean_text": true,
                "handle_chinese_chars": true,
                "strip_accents": self.flag("normalizer.strip_accents", lowercase)?,
                "lowercase": lowercase,
            },
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": self.around((begin, end), &[end], 1),
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
            "model": {
                "type": "WordPiece",
                "unk_token": unknown,
                "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": self.ids,
            },
        });
        Ok(file)
    }

    /// A post-processor that begins every text with bos and ends it with eos, or does one of these, where there is such a token.
    fn begin_and_end(&self, special_tokens: &SpecialTokens, begins: bool, ends: bool) -> Value {
        let token = |wanted: bool, attribute: &str| {
            let token = special_tokens.get(attribute).filter(|_| wanted)?;
            Some((token.to_owned(), *self.ids.get(token)?))
        };
        let begin: Vec<_> = token(begins, "bos_token").into_iter().collect();
        let end: Vec<_> = token(ends, "eos_token").into_iter().collect();
        around(&begin, &end, &begin, 1)
    }

    /// A post-processor: tokens around a text, others between two texts, and the number of the second segment.
    fn around(&self, (begin, end): (&str, &str), between: &[&str], second: u32) -> Value {
        let special = |token: &str, segment: u32| json!({"SpecialToken": {"id": token, "type_id": segment}});
        let text = |name: &str, segment: u32| json!({"Sequence": {"id": name, "type_id": segment}});
        let mut pair = vec![special(begin, 0), text("A", 0)];
        pair.extend(between.iter().map(|token| special(token, 0)));
        pair.extend([text("B", second), special(end, second)]);
        let mut tokens = Map::new();
        for token in [begin, end].iter().chain(between) {
            let ids: Vec<u32> = self.ids.get(*token).copied().into_iter().collect();
            tokens.insert((*token).to_owned(), json!({"id": token, "ids": ids, "tokens": [token]}));
        }
        json!({
            "type": "TemplateProcessing",
            "single": [special(begin, 0), text("A", 0), special(end, 0)],
            "pair": pair,
            "special_tokens": tokens,
        })
    }
}

/// A BPE model with what `options` say besides.
fn bpe(vocab: &HashMap<String, u32>, merges: &[(String, String)], options: Value) -> Value {
    let mut model = json!({
        "type": "BPE",
        "dropout": null,
        "unk_token": null,
        "continuing_subword_prefix": null,
        "end_of_word_suffix": null,
        "fuse_unk": false,
        "byte_fallback": false,
        "ignore_merges": false,
        "vocab": vocab,
        "merges": merges,
    });
    for (name, value) in options.as_object().into_iter().flatten() {
        model[name] = value.clone();
    }
    model
}

fn with(mut file: Value, name: &str, value: Value) -> Value {
    file[name] = value;
    file
}
