//! What transformers' tokenizer classes set up themselves: model options, normalizer, pre-tokenizer and decoder before tokens are
//! added, the post-processor behind them. Of `tokenizer.json` they keep vocabulary, merges and post-processor.
//!
//! Flags of `tokenizer_config.json` count here and nowhere else: `do_lower_case`, `strip_accents`, `tokenize_chinese_chars`,
//! `add_prefix_space`, `legacy`, `split_by_punct`, `trim_offsets`. What transformers reads is the rule
//! (`models/*/tokenization_*.py` of 5.24), the file is not.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use tokenizers::models::bpe::BPE;
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::{
    AddedVocabulary, DecoderWrapper, ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper,
};

use super::class::Class;
use super::special_tokens::SpecialTokens;
use crate::error::{Error, Result};

/// How texts of Qwen 2 are cut.
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// How texts of Qwen 3.5 are cut.
const QWEN35: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The folder's flags and named tokens.
pub(super) struct Settings<'a> {
    pub config: &'a Map<String, Value>,
    pub special_tokens: &'a SpecialTokens,
}

impl Settings<'_> {
    fn flag(&self, name: &str, default: bool) -> bool {
        self.config.get(name).and_then(Value::as_bool).unwrap_or(default)
    }

    fn token(&self, attribute: &str) -> &str {
        self.special_tokens.get(attribute).unwrap_or_default()
    }
}

/// Sets a tokenizer up as its class does, without any added tokens.
pub(super) fn rebuild(class: Class, inner: &mut tokenizers::Tokenizer, settings: &Settings<'_>) -> Result<()> {
    if class == Class::Generic {
        return Ok(());
    }
    let normalizer = normalizer(class, inner, settings);
    let model = model(class, inner.get_model(), settings)?;
    inner.with_model(model);
    inner.with_added_vocabulary(AddedVocabulary::new());
    inner.with_normalizer(part::<NormalizerWrapper>(normalizer)?).map_err(failed)?;
    inner.with_pre_tokenizer(part::<PreTokenizerWrapper>(pre_tokenizer(class, settings))?);
    inner.with_decoder(part::<DecoderWrapper>(decoder(class, settings))?);
    Ok(())
}

/// Sets the post-processor that a class insists on, when all tokens have their ids.
pub(super) fn surround(class: Class, inner: &mut tokenizers::Tokenizer, settings: &Settings<'_>) -> Result<()> {
    let id = |attribute: &str| {
        let token = settings.token(attribute);
        inner.token_to_id(token).ok_or_else(|| {
            Error::input(format!("find the {attribute} `{token}` in the vocabulary"))
                .with_hint("tokenizer_config.json and tokenizer.json seem to belong to different models")
        })
    };
    let pair = |attribute: &str| Ok::<_, Error>((settings.token(attribute).to_owned(), id(attribute)?));
    let processor = match class {
        // Neither takes bos or eos from the file.
        Class::GptNeoX => around(&[], &[], &[], 1),
        Class::CodeLlama => {
            let begin = [pair("bos_token")?];
            around(&begin, &[], &begin, 1)
        }
        Class::Bert | Class::DebertaV2 => {
            let (begin, end) = ([pair("cls_token")?], [pair("sep_token")?]);
            around(&begin, &end, &[], 1)
        }
        Class::XlmRoberta => {
            let (begin, end) = ([pair("bos_token")?], [pair("eos_token")?]);
            around(&begin, &end, &end, 0)
        }
        Class::MpNet => roberta((pair("sep_token")?, pair("cls_token")?), true, false),
        Class::Roberta => {
            let (trim, prefix) = (settings.flag("trim_offsets", true), settings.flag("add_prefix_space", false));
            roberta((pair("sep_token")?, pair("cls_token")?), trim, prefix)
        }
        Class::Generic | Class::CodeGen | Class::Gemma | Class::Gpt2 | Class::Llama | Class::Qwen2 | Class::Qwen35 => {
            return Ok(());
        }
    };
    inner.with_post_processor(part::<PostProcessorWrapper>(processor)?);
    Ok(())
}

fn failed(error: tokenizers::Error) -> Error {
    Error::input("failed to set up the tokenizer").caused_by(error)
}

/// One part of a tokenizer; `null` is none.
fn part<T: DeserializeOwned>(json: Value) -> Result<Option<T>> {
    serde_json::from_value(json)
        .map_err(|error| Error::internal("failed to set up a part of the tokenizer").caused_by(error))
}

fn model(class: Class, model: &ModelWrapper, settings: &Settings<'_>) -> Result<ModelWrapper> {
    Ok(match model {
        ModelWrapper::BPE(bpe) => {
            let spm = matches!(class, Class::Llama | Class::CodeLlama | Class::Gemma);
            let names_unknown = matches!(class, Class::CodeLlama | Class::Gemma);
            let mut bpe: BPE = bpe.clone();
            bpe.dropout = None;
            bpe.unk_token = names_unknown.then(|| settings.token("unk_token").to_owned());
            (bpe.continuing_subword_prefix, bpe.end_of_word_suffix) = (None, None);
            (bpe.fuse_unk, bpe.byte_fallback, bpe.ignore_merges) = (spm, spm, false);
            bpe.into()
        }
        ModelWrapper::WordPiece(words) => {
            let mut words: WordPiece = words.clone();
            words.unk_token = settings.token("unk_token").to_owned();
            words.continuing_subword_prefix = "##".into();
            words.max_input_chars_per_word = 100;
            words.into()
        }
        ModelWrapper::Unigram(pieces) => {
            let vocab: Vec<(String, f64)> = pieces.iter().cloned().collect();
            let unknown = match class {
                Class::DebertaV2 => {
                    let token = settings.token("unk_token");
                    let own = settings.config.get("unk_id").and_then(Value::as_u64).map_or(1, |id| id as usize);
                    vocab.iter().position(|(piece, score)| piece == token && *score == 0.0).unwrap_or(own)
                }
                _ => 3,
            };
            Unigram::from(vocab, Some(unknown), false)
                .map_err(|error| Error::input("failed to set up the tokenizer").caused_by(error))?
                .into()
        }
        ModelWrapper::WordLevel(words) => words.clone().into(),
    })
}

fn normalizer(class: Class, inner: &tokenizers::Tokenizer, settings: &Settings<'_>) -> Value {
    match class {
        Class::Bert | Class::MpNet => json!({
            "type": "BertNormalizer",
            "clean_text": true,
            "handle_chinese_chars": settings.flag("tokenize_chinese_chars", true),
            "strip_accents": settings.config.get("strip_accents").and_then(Value::as_bool),
            "lowercase": settings.flag("do_lower_case", true),
        }),
        Class::DebertaV2 => {
            let mut list = Vec::new();
            if settings.flag("do_lower_case", false) {
                list.push(json!({"type": "Lowercase"}));
            }
            list.push(json!({"type": "Replace", "pattern": {"Regex": r"\s{2,}|[\n\r\t]"}, "content": " "}));
            list.push(json!({"type": "NFC"}));
            list.push(json!({"type": "Strip", "strip_left": false, "strip_right": true}));
            json!({"type": "Sequence", "normalizers": list})
        }
        Class::XlmRoberta => precompiled(inner),
        Class::Gemma => json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"}),
        Class::GptNeoX | Class::Qwen2 | Class::Qwen35 => json!({"type": "NFC"}),
        Class::Generic | Class::CodeGen | Class::CodeLlama | Class::Gpt2 | Class::Llama | Class::Roberta => Value::Null,
    }
}

/// The character map of SentencePiece in the file's normalizer, alone.
fn precompiled(inner: &tokenizers::Tokenizer) -> Value {
    let file = serde_json::to_value(inner.get_normalizer()).unwrap_or_default();
    let list = file["normalizers"].as_array().cloned().unwrap_or_else(|| vec![file]);
    list.into_iter().find(|normalizer| normalizer["type"] == "Precompiled").unwrap_or_default()
}

fn pre_tokenizer(class: Class, settings: &Settings<'_>) -> Value {
    let bytes = |prefix: bool, regex: bool| json!({"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": true, "use_regex": regex});
    let cut_by = |pattern: &str| {
        let split = json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
        json!({"type": "Sequence", "pretokenizers": [split, bytes(settings.flag("add_prefix_space", false), false)]})
    };
    match class {
        Class::Bert | Class::MpNet => json!({"type": "BertPreTokenizer"}),
        Class::DebertaV2 => {
            let mut list = Vec::new();
            if settings.flag("split_by_punct", false) {
                list.push(json!({"type": "Punctuation", "behavior": "Isolated"}));
            }
            list.push(metaspace(scheme(class, settings), true));
            json!({"type": "Sequence", "pretokenizers": list})
        }
        Class::XlmRoberta => json!({
            "type": "Sequence",
            "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace(scheme(class, settings), true)],
        }),
        Class::Gemma => {
            json!({"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false})
        }
        Class::Llama | Class::CodeLlama => metaspace(scheme(class, settings), false),
        Class::Qwen2 => cut_by(QWEN2),
        Class::Qwen35 => cut_by(QWEN35),
        Class::CodeGen | Class::Gpt2 | Class::GptNeoX | Class::Roberta => {
            bytes(settings.flag("add_prefix_space", false), true)
        }
        Class::Generic => Value::Null,
    }
}

/// Where a class puts the space before a text.
fn scheme(class: Class, settings: &Settings<'_>) -> &'static str {
    let prefix = settings.flag("add_prefix_space", true);
    match class {
        Class::Llama if prefix && settings.flag("legacy", false) => "always",
        Class::Llama | Class::CodeLlama if prefix => "first",
        Class::DebertaV2 if !prefix => "first",
        _ if prefix => "always",
        _ => "never",
    }
}

fn metaspace(scheme: &str, split: bool) -> Value {
    json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split})
}

fn decoder(class: Class, settings: &Settings<'_>) -> Value {
    let spm = |strips: bool| {
        let mut list = vec![
            json!({"type": "Replace", "pattern": {"String": "▁"}, "content": " "}),
            json!({"type": "ByteFallback"}),
            json!({"type": "Fuse"}),
        ];
        if strips {
            list.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
        }
        json!({"type": "Sequence", "decoders": list})
    };
    match class {
        Class::Bert | Class::MpNet => json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
        Class::DebertaV2 | Class::XlmRoberta => metaspace(scheme(class, settings), true),
        Class::Gemma => spm(false),
        Class::CodeLlama => spm(true),
        Class::Llama => spm(settings.flag("add_prefix_space", true)),
        Class::Generic => Value::Null,
        Class::CodeGen | Class::Gpt2 | Class::GptNeoX | Class::Qwen2 | Class::Qwen35 | Class::Roberta => {
            json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true})
        }
    }
}

type Token = (String, u32);

/// Tokens around a text, and those between the first text's end and the second of a pair, which has segment number `second`.
pub(super) fn around(begin: &[Token], end: &[Token], between: &[Token], second: u32) -> Value {
    let special = |(token, _): &Token, segment: u32| json!({"SpecialToken": {"id": token, "type_id": segment}});
    let text = |name: &str, segment: u32| json!({"Sequence": {"id": name, "type_id": segment}});
    let mut single: Vec<Value> = begin.iter().map(|token| special(token, 0)).collect();
    single.push(text("A", 0));
    single.extend(end.iter().map(|token| special(token, 0)));
    let mut pair = single.clone();
    pair.extend(between.iter().map(|token| special(token, second)));
    pair.push(text("B", second));
    pair.extend(end.iter().map(|token| special(token, second)));
    let mut tokens = Map::new();
    for (token, id) in begin.iter().chain(end).chain(between) {
        tokens.insert(token.clone(), json!({"id": token, "ids": [id], "tokens": [token]}));
    }
    json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens})
}

fn roberta((sep, cls): (Token, Token), trim_offsets: bool, add_prefix_space: bool) -> Value {
    json!({
        "type": "RobertaProcessing",
        "sep": [sep.0, sep.1],
        "cls": [cls.0, cls.1],
        "trim_offsets": trim_offsets,
        "add_prefix_space": add_prefix_space,
    })
}
