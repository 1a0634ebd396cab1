//! A tokenizer from the metadata of a GGUF file.
//!
//! Byte-level BPE cuts words by the expression that the file names (`tokenizer.ggml.pre`). SentencePiece joins the pair whose
//! result has the highest score, which is BPE whose merges stand in the order of the scores. WordPiece spells words with a
//! mark before their beginning instead of one before their rests.

use std::collections::HashMap;

use tokenizers::models::bpe::{BPE, BpeBuilder, Vocab};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{BertNormalizer, NFC, Prepend, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as Cuts;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, SplitDelimiterBehavior, Tokenizer, decoders};

use crate::engine::candle::Vocabulary;
use crate::error::{Error, Result, nearest};

/// GPT-2's words.
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// Single digits, cut before anything else.
const DIGIT: &str = r"\p{N}";
/// Llama 3's words; numbers in groups of three.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Qwen2's words: Llama 3's with single digits.
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Mistral's Tekken: words begin with their capitals.
const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// GPT-4o's words, which Phi-4-mini has.
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Names of `tokenizer.ggml.pre`, the expressions that cut text one after another, and whether a text begins with bos where
/// the file does not say.
pub(super) const CUTS: [(&str, &[&str], bool); 20] = [
    ("command-r", &[DIGIT, GPT2], false),
    ("dbrx", &[LLAMA3], false),
    ("deepseek-r1-qwen", &[QWEN2], false),
    ("default", &[GPT2], false),
    ("gpt-2", &[GPT2], false),
    ("gpt-4o", &[GPT4O], false),
    ("granite-docling", &[GPT2], false),
    ("llama-bpe", &[LLAMA3], true),
    ("llama3", &[LLAMA3], true),
    ("mpt", &[GPT2], false),
    ("olmo", &[GPT2], false),
    ("phi-2", &[GPT2], false),
    ("qwen2", &[QWEN2], false),
    ("refact", &[DIGIT, GPT2], false),
    ("roberta-bpe", &[GPT2], true),
    ("smaug-bpe", &[LLAMA3], false),
    ("smollm", &[DIGIT, GPT2], false),
    ("stablelm2", &[QWEN2], false),
    ("starcoder", &[DIGIT, GPT2], false),
    ("tekken", &[TEKKEN], true),
];

/// SentencePiece's mark of a space.
const SPACE: &str = "▁";

/// A tokenizer and whether a text begins with bos and ends with eos.
pub struct Built {
    /// The tokenizer, without bos and eos.
    pub tokenizer: Tokenizer,
    /// Whether a text begins with bos.
    pub add_bos: bool,
    /// Whether it ends with eos.
    pub add_eos: bool,
}

/// Builds the tokenizer of a vocabulary.
///
/// # Errors
/// A model or a way of cutting that is not known, or merges that do not fit the tokens.
pub fn build(vocabulary: &Vocabulary) -> Result<Built> {
    let (mut tokenizer, bos) = match vocabulary.model.as_str() {
        "gpt2" => byte_level(vocabulary)?,
        "llama" => (sentence_piece(vocabulary)?, true),
        "bert" => (word_piece(vocabulary)?, false),
        other => {
            return Err(Error::input(format!("use the GGUF tokenizer `{other}`")).with_hint(format!(
                "{}; else put tokenizer.json beside the file",
                nearest(other, ["bert", "gpt2", "llama"])
            )));
        }
    };
    let unknown = vocabulary.named.get("unknown").copied();
    let added = |wanted: &dyn Fn(i64) -> bool, special: bool| -> Vec<AddedToken> {
        let tokens = vocabulary.tokens.iter().enumerate();
        // The unknown token is no text that a user may spell in WordPiece and SentencePiece files alike.
        let tokens = tokens.filter(|(id, token)| wanted(vocabulary.kind(*id)) && !token.is_empty());
        tokens.map(|(_, token)| AddedToken::from(token.clone(), special).normalized(false)).collect()
    };
    tokenizer.add_tokens(added(&|kind| kind == 4, false)).map_err(set_up)?;
    tokenizer.add_special_tokens(added(&|kind| kind == 3 || (kind == 2 && unknown.is_some()), true)).map_err(set_up)?;
    Ok(Built { tokenizer, add_bos: vocabulary.add_bos.unwrap_or(bos), add_eos: vocabulary.add_eos.unwrap_or(false) })
}

fn set_up(error: tokenizers::Error) -> Error {
    Error::input("set up the tokenizer").caused_by(error)
}

/// Ids by token; of equal tokens the first counts.
fn ids(tokens: impl Iterator<Item = String>) -> HashMap<String, u32> {
    let mut ids = HashMap::new();
    tokens.enumerate().for_each(|(id, token)| {
        ids.entry(token).or_insert(id as u32);
    });
    ids
}

fn byte_level(vocabulary: &Vocabulary) -> Result<(Tokenizer, bool)> {
    let name = vocabulary.pre.as_deref().unwrap_or("default");
    let Some((_, cuts, bos)) = CUTS.iter().find(|(known, _, _)| *known == name) else {
        return Err(Error::input(format!("cut text into words as `{name}` does"))
            .with_hint(format!("{}; else put tokenizer.json beside the file", nearest(name, CUTS.map(|cut| cut.0)))));
    };
    let merges = vocabulary.merges.iter().map(|merge| {
        // A token may begin with a space of its own only in files that spell it so.
        let (left, right) = merge.split_once(' ').ok_or_else(|| Error::input(format!("read the merge `{merge}`")))?;
        Ok((left.to_owned(), right.to_owned()))
    });
    let merges = merges.collect::<Result<Vec<_>>>()?;
    let model = bpe(vocabulary, merges, |builder| builder)?;
    let mut tokenizer = Tokenizer::new(model);
    if name == "qwen2" {
        tokenizer.with_normalizer(Some(NFC)).map_err(set_up)?;
    }
    let mut steps = Vec::new();
    for cut in *cuts {
        let split = Split::new(SplitPattern::Regex((*cut).into()), SplitDelimiterBehavior::Isolated, false);
        steps.push(split.map_err(|e| Error::internal("compile how words are cut").caused_by(e))?.into());
    }
    steps.push(ByteLevel::new(false, false, false).into());
    tokenizer.with_pre_tokenizer(Some(Cuts::new(steps)));
    tokenizer.with_decoder(Some(ByteLevel::new(false, false, false)));
    Ok((tokenizer, *bos))
}

fn bpe(
    vocabulary: &Vocabulary,
    merges: Vec<(String, String)>,
    finish: impl FnOnce(BpeBuilder) -> BpeBuilder,
) -> Result<BPE> {
    let vocab: Vocab = ids(vocabulary.tokens.iter().cloned()).into_iter().collect();
    finish(BPE::builder().vocab_and_merges(vocab, merges))
        .build()
        .map_err(|error| Error::input("read the tokenizer's merges").caused_by(error))
}

fn sentence_piece(vocabulary: &Vocabulary) -> Result<Tokenizer> {
    if vocabulary.scores.is_empty() {
        return Err(Error::input("find `tokenizer.ggml.scores` in the metadata"));
    }
    let known = ids(vocabulary.tokens.iter().cloned());
    // Every way to make a token of two others, the highest score first; among equals the earlier token.
    let mut merges: Vec<(f32, u32, (String, String))> = Vec::new();
    for (id, token) in vocabulary.tokens.iter().enumerate().filter(|(id, _)| matches!(vocabulary.kind(*id), 1 | 4 | 5))
    {
        for (at, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(at);
            if known.contains_key(left) && known.contains_key(right) {
                merges.push((vocabulary.scores[id], id as u32, (left.into(), right.into())));
            }
        }
    }
    merges.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let merges = merges.into_iter().map(|(_, _, pair)| pair).collect();
    let unknown = vocabulary.special("unknown").map(str::to_owned);
    let bytes = known.contains_key("<0x00>");
    let model = bpe(vocabulary, merges, |builder| {
        let builder = builder.byte_fallback(bytes).fuse_unk(true);
        match unknown {
            Some(token) => builder.unk_token(token),
            None => builder,
        }
    })?;
    let mut tokenizer = Tokenizer::new(model);
    let replace = |from: &str, to: &str| {
        Replace::new(from, to).map_err(|e| Error::internal("set up how spaces are spelled").caused_by(e))
    };
    let mut normalizers = Vec::new();
    let mut decoding: Vec<decoders::DecoderWrapper> = vec![
        replace(SPACE, " ")?.into(),
        decoders::byte_fallback::ByteFallback::new().into(),
        decoders::fuse::Fuse::new().into(),
    ];
    if vocabulary.add_space_prefix {
        normalizers.push(Prepend::new(SPACE.into()).into());
        decoding.push(decoders::strip::Strip::new(' ', 1, 0).into());
    }
    normalizers.push(replace(" ", SPACE)?.into());
    tokenizer.with_normalizer(Some(Normalizers::new(normalizers))).map_err(set_up)?;
    tokenizer.with_decoder(Some(decoders::sequence::Sequence::new(decoding)));
    Ok(tokenizer)
}

fn word_piece(vocabulary: &Vocabulary) -> Result<Tokenizer> {
    let spelled = |(id, token): (usize, &String)| match token.strip_prefix(SPACE) {
        Some(word) => word.to_owned(),
        None if vocabulary.kind(id) == 1 => format!("##{token}"),
        None => token.clone(),
    };
    let vocab: Vocab = ids(vocabulary.tokens.iter().enumerate().map(spelled)).into_iter().collect();
    let unknown = vocabulary.special("unknown").unwrap_or("[UNK]").to_owned();
    let model = WordPiece::builder().vocab(vocab).unk_token(unknown).build();
    let mut tokenizer = Tokenizer::new(model.map_err(|e| Error::input("read the tokenizer's words").caused_by(e))?);
    tokenizer.with_normalizer(Some(BertNormalizer::new(true, true, None, true))).map_err(set_up)?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_decoder(Some(decoders::wordpiece::WordPiece::default()));
    let (cls, sep) = (vocabulary.named.get("cls").or(vocabulary.named.get("bos")), vocabulary.named.get("seperator"));
    if let Some((cls, sep)) = cls.zip(sep.or(vocabulary.named.get("eos"))) {
        let token = |id: &u32| (vocabulary.tokens[*id as usize].clone(), *id);
        let ((first, first_id), (last, last_id)) = (token(cls), token(sep));
        let single = vec![format!("{first}:0"), "$A:0".into(), format!("{last}:0")];
        let pair = [&single[..], &["$B:1".into(), format!("{last}:1")]].concat();
        let failed = |error: String| Error::input("set up begin and end tokens").caused_by(error);
        let template = TemplateProcessing::builder()
            .try_single(single)
            .map_err(failed)?
            .try_pair(pair)
            .map_err(failed)?
            .special_tokens(vec![(first, first_id), (last, last_id)])
            .build()
            .map_err(|error| Error::input("set up begin and end tokens").caused_by(error.to_string()))?;
        tokenizer.with_post_processor(Some(template));
    }
    Ok(tokenizer)
}
