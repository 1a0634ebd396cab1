//! Text to token ids and back, through the `tokenizers` crate and the settings that transformers reads beside it.
//!
//! Reads `tokenizer.json`, or in a folder without one the metadata of a GGUF file; vocabularies in other forms have to be
//! exported first. Padding and truncation that the
//! file may carry are switched off: the engine packs without padding, and whoever truncates counts what is lost.

mod cut;
mod gguf;
mod stop;
mod stream;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, EncodeInput, Model as _};

use super::candle::gguf_metadata;
use super::guard::guarded;
use super::identity::ModelFolder;
use super::model_json::{json_error, read_json};
use super::special_tokens::SpecialTokens;
use crate::error::{Error, Result};

pub use stop::{StopMatcher, Stopped};
pub use stream::TextStream;

/// A model's tokenizer. Cheap to clone, shared between threads.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    special_tokens: SpecialTokens,
    vocab_size: usize,
}

impl Tokenizer {
    /// The tokenizer of a model folder: `tokenizer.json` with what `tokenizer_config.json` and `special_tokens_map.json`
    /// add to it.
    ///
    /// As in transformers 5, `add_bos_token` or `add_eos_token` in the configuration replace the post-processor, and the
    /// named special tokens count as special even where `tokenizer.json` does not say so. Without a `tokenizer.json`, what a
    /// GGUF file of the folder says.
    ///
    /// # Errors
    /// No `tokenizer.json` and no GGUF file, a file that cannot be read, or one that is broken (with line and column).
    pub fn from_folder(folder: &ModelFolder) -> Result<Self> {
        let (name, dir) = ("tokenizer.json", folder.path());
        let path = dir.join(name);
        let Some(bytes) = folder.read(name)? else {
            if dir.is_dir()
                && let Some((file, metadata)) = gguf_metadata(folder)?
            {
                let build = |(inner, special_tokens, config)| Self::assemble(inner, special_tokens, &config);
                return gguf::build(&metadata).and_then(build).map_err(|error| error.at(&file));
            }
            return Err(Error::input("find `tokenizer.json`").at(dir).with_hint(match dir.is_dir() {
                true => {
                    "export it: transformers.AutoTokenizer.from_pretrained(MODEL).save_pretrained(FOLDER) writes one also for \
                     models that come with vocab.txt, vocab.json or tokenizer.model"
                }
                false => "the model folder does not exist",
            }));
        };
        let inner = tokenizers::Tokenizer::from_bytes(&bytes).map_err(|error| broken(&bytes, &path, error))?;
        let special_tokens = SpecialTokens::from_folder(folder)?;
        let config = read_json(folder, "tokenizer_config.json")?.unwrap_or_default();
        Self::assemble(inner, special_tokens, &config).map_err(|error| match error.location() {
            Some(_) => error,
            None => error.at(&path),
        })
    }

    fn assemble(mut inner: tokenizers::Tokenizer, special_tokens: SpecialTokens, config: &Value) -> Result<Self> {
        let set_up = |error: tokenizers::Error| Error::input("set up the tokenizer").caused_by(error);
        inner.with_padding(None);
        inner.with_truncation(None).map_err(set_up)?;
        let unmarked: Vec<AddedToken> = special_tokens
            .iter()
            .map(|(_, token)| token)
            .filter(|token| inner.token_to_id(token).is_some() && !inner.get_added_vocabulary().is_special_token(token))
            .map(|token| AddedToken::from(token, true).normalized(false))
            .collect();
        inner.add_special_tokens(unmarked).map_err(set_up)?;
        if let Some(processor) = begin_and_end(&inner, &special_tokens, config)? {
            inner.with_post_processor(Some(processor));
        }
        let highest = inner.get_vocab(true).into_values().max();
        let vocab_size = highest.map_or(0, |id| id as usize + 1);
        Ok(Self { inner: Arc::new(inner), special_tokens, vocab_size })
    }

    /// The ids of a text; `add_special_tokens` puts what the model expects around it (`[CLS]`, `<s>`, …).
    ///
    /// Special tokens spelled out in the text become their ids either way, as in transformers.
    ///
    /// # Errors
    /// A text that the tokenizer's model cannot take, for one that has no unknown token.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>> {
        self.encode_input(text.into(), add_special_tokens)
    }

    /// Ids and segment numbers (0 for the first text, 1 for the second) of one or two texts.
    ///
    /// # Errors
    /// As for [`Tokenizer::encode`].
    pub fn encode_segments(&self, text: &str, pair: Option<&str>) -> Result<(Vec<u32>, Vec<u32>)> {
        let input: EncodeInput<'_> = match pair {
            Some(pair) => (text, pair).into(),
            None => text.into(),
        };
        let encoding = self.inner.encode_fast(input, true).map_err(encoding_failed)?;
        Ok((encoding.get_ids().to_vec(), encoding.get_type_ids().to_vec()))
    }

    fn encode_input(&self, input: EncodeInput<'_>, add_special_tokens: bool) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(input, add_special_tokens).map_err(encoding_failed)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of ids; unknown ids give nothing. No clean-up of spaces follows (transformers 5 has it off as well).
    ///
    /// # Errors
    /// A decoder that fails or panics, which none of those in use does.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        let failed = |error: tokenizers::Error| Error::input("decode token ids").caused_by(error);
        // Some decoders do not expect an empty list.
        if ids.iter().all(|id| self.token(*id, skip_special_tokens).is_none()) {
            return Ok(String::new());
        }
        // `Strip` with `stop` panics on tokens shorter than that.
        guarded("decode token ids", || self.inner.decode(ids, skip_special_tokens))?.map_err(failed)
    }

    /// Decodes ids one by one.
    pub fn stream(&self, skip_special_tokens: bool) -> TextStream {
        TextStream::new(self.clone(), skip_special_tokens)
    }

    /// The token of an id as the vocabulary spells it; `None` for unknown ids and, if asked, for special tokens.
    fn token(&self, id: u32, skip_special: bool) -> Option<String> {
        let added = self.inner.get_added_vocabulary();
        let token = added.simple_id_to_token(id).or_else(|| self.inner.get_model().id_to_token(id))?;
        (!skip_special || !added.is_special_token(&token)).then_some(token)
    }

    /// Number of rows an embedding needs: the highest id, of added tokens too, plus 1.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The same without added tokens, which a model may not know: the text part of Gemma 3 has no row for its image token.
    pub fn model_vocab_size(&self) -> usize {
        let added = self.inner.get_added_vocabulary().get_vocab();
        let own = self.inner.get_vocab(false).into_iter().filter(|(token, _)| !added.contains_key(token));
        own.map(|(_, id)| id as usize + 1).max().unwrap_or(0)
    }

    /// The id of a token as the vocabulary spells it.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The named special tokens of the folder.
    pub fn special_tokens(&self) -> &SpecialTokens {
        &self.special_tokens
    }

    /// The id of a named special token, such as `eos_token`.
    pub fn special_id(&self, attribute: &str) -> Option<u32> {
        self.token_id(self.special_tokens.get(attribute)?)
    }

    /// The id of the begin-of-sequence token, where the folder names one.
    pub fn bos_id(&self) -> Option<u32> {
        self.special_id("bos_token")
    }

    /// The id of the end-of-sequence token, where the folder names one; `generation_config.json` may name further ones.
    pub fn eos_id(&self) -> Option<u32> {
        self.special_id("eos_token")
    }
}

/// What transformers 5 puts in the post-processor's place when the configuration speaks of bos or eos.
fn begin_and_end(
    inner: &tokenizers::Tokenizer,
    special_tokens: &SpecialTokens,
    config: &Value,
) -> Result<Option<TemplateProcessing>> {
    let flag = |name: &str| config.get(name).and_then(Value::as_bool);
    let (bos, eos) = (flag("add_bos_token"), flag("add_eos_token"));
    if bos.is_none() && eos.is_none() {
        return Ok(None);
    }
    let named = |wanted: Option<bool>, attribute: &str| -> Result<Option<(String, u32)>> {
        let token = special_tokens.get(attribute).filter(|_| wanted == Some(true));
        let Some(token) = token else { return Ok(None) };
        match inner.token_to_id(token) {
            Some(id) => Ok(Some((token.to_owned(), id))),
            None => Err(Error::input(format!("find the {attribute} `{token}` in the vocabulary"))
                .with_hint("tokenizer_config.json and tokenizer.json seem to belong to different models")),
        }
    };
    let (bos, eos) = (named(bos, "bos_token")?, named(eos, "eos_token")?);
    // Pieces rather than one text, which the crate splits at spaces and colons.
    let sequence = |name: &str, segment: u32| {
        let mut pieces: Vec<String> = Vec::new();
        pieces.extend(bos.as_ref().map(|(token, _)| format!("{token}:{segment}")));
        pieces.push(format!("${name}:{segment}"));
        pieces.extend(eos.as_ref().map(|(token, _)| format!("{token}:{segment}")));
        pieces
    };
    let single = sequence("A", 0);
    let pair: Vec<String> = single.iter().cloned().chain(sequence("B", 1)).collect();
    let wrong = |error: String| Error::input("set up begin and end tokens").caused_by(error);
    let mut tokens: Vec<(String, u32)> = bos.into_iter().chain(eos).collect();
    tokens.dedup();
    TemplateProcessing::builder()
        .try_single(single)
        .map_err(wrong)?
        .try_pair(pair)
        .map_err(wrong)?
        .special_tokens(tokens)
        .build()
        .map(Some)
        .map_err(|error| Error::input("set up begin and end tokens").caused_by(error.to_string()))
}

fn encoding_failed(error: tokenizers::Error) -> Error {
    Error::input("encode a text").caused_by(error)
}

/// Broken JSON has a line and column; a tokenizer of an unknown kind has only a message.
fn broken(bytes: &[u8], path: &Path, error: tokenizers::Error) -> Error {
    match serde_json::from_slice::<serde::de::IgnoredAny>(bytes) {
        Err(syntax) => json_error(syntax, path),
        Ok(_) => Error::input("read the tokenizer")
            .at(path)
            .caused_by(error)
            .with_hint("the file is JSON, but not a tokenizer that tokenizers 0.23 knows"),
    }
}
