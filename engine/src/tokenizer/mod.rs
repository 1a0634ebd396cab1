//! Text to token ids and back, through the `tokenizers` crate and the settings that transformers reads beside it.
//!
//! Reads `tokenizer.json`, or in a folder without one the metadata of a GGUF file; vocabularies in other forms have to be
//! exported first. Padding and truncation that the
//! file may carry are switched off: the engine packs without padding, and whoever truncates counts what is lost.
//!
//! Whatever the file says, reading it or a text ends, with an error of the file or of the text at worst: `bounds` refuses what
//! would fill the memory or go on for ever, panics of the crate are caught.

pub mod special_tokens;

mod added;
mod bounds;
mod class;
mod cut;
mod gguf;
mod long_texts;
mod long_words;
#[cfg(test)]
mod mutated_tests;
mod rebuild;
mod stop;
mod stream;
#[cfg(test)]
mod tests;
mod windows;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};
use tokenizers::{AddedToken, EncodeInput, Encoding, Model as _, ModelWrapper};

use crate::error::{Error, Result};
use crate::guard::guarded;
use crate::models::gguf_metadata;
use crate::models::model_folder::ModelFolder;
use crate::models::model_json::{json_error, read_json};
use crate::thought_markers::is_part_of_a_marker;
use class::Class;
use rebuild::Settings;
use special_tokens::SpecialTokens;

pub use long_texts::{LONG, Pieces};
pub use long_words::Spaced;
pub use stop::{StopMatcher, Stopped, check_stops};
pub use stream::TextStream;
pub use windows::Plain;

/// A model's tokenizer. Cheap to clone, shared between threads.
#[derive(Clone)]
pub struct Tokenizer {
    inner: Arc<tokenizers::Tokenizer>,
    special_tokens: SpecialTokens,
    vocab_size: usize,
    /// Whether decoded text loses spaces before punctuation, as the folder asks.
    clean_up: bool,
    /// Bytes of a text that it takes at once.
    longest: usize,
    /// Special tokens that answers keep: without the markers of a thought nobody could tell it from the answer.
    kept: Arc<BTreeSet<u32>>,
}

impl Tokenizer {
    /// The tokenizer of a model folder: `tokenizer.json` with what `tokenizer_config.json` and `special_tokens_map.json`
    /// add to it.
    ///
    /// As `AutoTokenizer` of transformers 5.24 reads them: the file decides about begin and end tokens whatever `add_bos_token`
    /// and `add_eos_token` say, `added_tokens_decoder` wins over the file's added tokens, named special tokens count as special
    /// even where the file does not say so, and where the folder is of one of its tokenizer classes, that class sets the
    /// tokenizer up (see `class` and `rebuild`). Without a `tokenizer.json`, what a GGUF file of the folder says.
    ///
    /// # Errors
    /// No `tokenizer.json` and no GGUF file, a file that cannot be read, or one that is broken (with line and column) or out of
    /// bounds.
    pub fn from_folder(model: &ModelFolder) -> Result<Self> {
        let folder = &model.tokenizer()?;
        let read = guarded("read the tokenizer", || Self::read(folder));
        read.map_err(|error| error.at(folder.path().join("tokenizer.json"))).and_then(|tokenizer| tokenizer)
    }

    fn read(folder: &ModelFolder) -> Result<Self> {
        let (name, dir) = ("tokenizer.json", folder.path());
        let path = dir.join(name);
        let Some(bytes) = folder.read(name)? else {
            if let Some((file, metadata)) = gguf_metadata(folder)? {
                return gguf::build(&metadata)
                    .and_then(|(inner, special_tokens)| Self::whole(inner, special_tokens))
                    .map_err(|error| error.at(&file));
            }
            let hint = if dir.exists() {
                "export it: transformers.AutoTokenizer.from_pretrained(MODEL).save_pretrained(FOLDER) writes one also for \
                 models that come with vocab.txt, vocab.json or tokenizer.model"
            } else {
                "the model folder does not exist"
            };
            return Err(Error::input("there is no `tokenizer.json`").at(dir).with_hint(hint));
        };
        let longest = bounds::longest_text(bounds::check(&bytes).map_err(|error| error.at(&path))?);
        let inner = tokenizers::Tokenizer::from_bytes(&bytes).map_err(|error| broken(&bytes, &path, error))?;
        let config = match read_json(folder, "tokenizer_config.json")? {
            Some(Value::Object(config)) => config,
            _ => Map::new(),
        };
        let assembled = Self::assemble(folder, (inner, &bytes), &config).map_err(|error| match error.location() {
            Some(_) => error,
            None => error.at(&path),
        })?;
        Ok(Self { longest: longest.min(assembled.longest), ..assembled })
    }

    /// A tokenizer of a file as its folder has it; the bytes are those of the file.
    fn assemble(
        folder: &ModelFolder,
        (mut inner, bytes): (tokenizers::Tokenizer, &[u8]),
        config: &Map<String, Value>,
    ) -> Result<Self> {
        let model = read_json(folder, "config.json")?.unwrap_or_default();
        let byte_level = || bytes.windows(BYTE_LEVEL.len()).any(|window| window == BYTE_LEVEL);
        let class = Class::of(config, &model, byte_level).fitting(inner.get_model());
        let mut special_tokens = SpecialTokens::from_folder(folder, class.tokens())?;
        if let Some(padding) = inner.get_padding() {
            special_tokens.set_default("pad_token", &padding.pad_token);
        }
        class.extra_tokens().iter().for_each(|token| special_tokens.add_extra(token));
        let listed = added::listed(folder, config, &inner, &special_tokens)?;
        let settings = Settings { config, special_tokens: &special_tokens };
        rebuild::rebuild(class, &mut inner, &settings)?;
        added::add(class, &mut inner, &listed, &special_tokens)?;
        rebuild::surround(class, &mut inner, &settings)?;
        let flag = |name: &str| config.get(name).and_then(Value::as_bool).unwrap_or(false);
        inner.set_encode_special_tokens(flag("split_special_tokens"));
        let merges = matches!(inner.get_model(), ModelWrapper::BPE(_));
        let clean_up = flag("clean_up_tokenization_spaces")
            && (!merges || flag("clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"));
        Ok(Self { clean_up, ..Self::whole(inner, special_tokens)? })
    }

    /// A tokenizer to which nothing is added.
    fn whole(mut inner: tokenizers::Tokenizer, special_tokens: SpecialTokens) -> Result<Self> {
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| Error::input("failed to set up the tokenizer").caused_by(error))?;
        let highest = inner.get_vocab(true).into_values().max();
        let vocab_size = highest.map_or(0, |id| id as usize + 1);
        let longest = bounds::longest_text(bounds::USUAL_GROWTH);
        let marks = |token: &AddedToken| token.special && is_part_of_a_marker(&token.content);
        let added = inner.get_added_tokens_decoder().into_iter();
        let kept = Arc::new(added.filter(|(_, token)| marks(token)).map(|(id, _)| id).collect());
        Ok(Self { inner: Arc::new(inner), special_tokens, vocab_size, clean_up: false, longest, kept })
    }

    /// The ids of a text; `add_special_tokens` puts what the model expects around it (`[CLS]`, `<s>`, …).
    ///
    /// Special tokens spelled out in the text become their ids either way, as in transformers.
    ///
    /// # Errors
    /// A text that the tokenizer's model cannot take, for one that has no unknown token; one of more bytes than are tokenized at
    /// once.
    pub fn encode(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>> {
        self.takes(text.len())?;
        Ok(encoded(|| self.inner.encode_fast(text, add_special_tokens))?.get_ids().to_vec())
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
        self.takes(text.len() + pair.map_or(0, str::len))?;
        let encoding = encoded(|| self.inner.encode_fast(input, true))?;
        Ok((encoding.get_ids().to_vec(), encoding.get_type_ids().to_vec()))
    }

    /// Whether a text of so many bytes is tokenized at once.
    fn takes(&self, bytes: usize) -> Result<()> {
        if bytes <= self.longest {
            Ok(())
        } else {
            Err(Error::input(format!("the text has {bytes} bytes; at most {} are tokenized at once", self.longest)))
        }
    }

    /// The text of ids; unknown ids give nothing. Special tokens that are markers of thoughts are kept in any case. Spaces are cleaned up where transformers 5 does it: where the folder asks for
    /// it (`clean_up_tokenization_spaces`) and the vocabulary is not one of merges.
    ///
    /// # Errors
    /// A decoder that fails or panics, which none of those in use does.
    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String> {
        let failed = |error: tokenizers::Error| Error::input("failed to decode token ids").caused_by(error);
        let shown: Vec<u32> = ids.iter().copied().filter(|id| self.token(*id, skip_special_tokens).is_some()).collect();
        // Some decoders do not expect an empty list.
        if shown.is_empty() {
            return Ok(String::new());
        }
        // `Strip` with `stop` panics on tokens shorter than that.
        let text = guarded("decode token ids", || self.inner.decode(&shown, false))?.map_err(failed)?;
        Ok(if self.clean_up { cleaned_up(&text) } else { text })
    }

    /// Decodes ids one by one.
    pub fn stream(&self, skip_special_tokens: bool) -> TextStream {
        TextStream::new(self.clone(), skip_special_tokens)
    }

    /// The token of an id as the vocabulary spells it; `None` for unknown ids and, if asked, for special tokens.
    fn token(&self, id: u32, skip_special: bool) -> Option<String> {
        let added = self.inner.get_added_vocabulary();
        let token = added.simple_id_to_token(id).or_else(|| self.inner.get_model().id_to_token(id))?;
        (!skip_special || !added.is_special_token(&token) || self.kept.contains(&id)).then_some(token)
    }

    /// Whether an id is that of a special token, which answers leave out.
    pub(super) fn is_special(&self, id: u32) -> bool {
        self.token(id, true).is_none() && self.token(id, false).is_some()
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

    /// Holds the vocabulary against the `vocab` token vectors of the model in `folder`.
    ///
    /// # Errors
    /// It has more tokens.
    pub(crate) fn check_vocabulary(&self, folder: &ModelFolder, vocab: usize) -> Result<()> {
        let known = self.model_vocab_size();
        if known <= vocab {
            return Ok(());
        }
        Err(Error::input(format!("the tokenizer knows {known} tokens, the embedding table {vocab}"))
            .at(folder.path())
            .with_hint("tokenizer.json and config.json belong to different models"))
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

/// How a file says that its tokens spell bytes.
const BYTE_LEVEL: &[u8] = b"\"ByteLevel\"";

/// `clean_up_tokenization` of transformers.
fn cleaned_up(text: &str) -> String {
    const CUTS: [(&str, &str); 10] = [
        (" .", "."),
        (" ?", "?"),
        (" !", "!"),
        (" ,", ","),
        (" ' ", "'"),
        (" n't", "n't"),
        (" 'm", "'m"),
        (" 's", "'s"),
        (" 've", "'ve"),
        (" 're", "'re"),
    ];
    CUTS.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// What the crate makes of a text.
fn encoded(encode: impl FnOnce() -> tokenizers::Result<Encoding>) -> Result<Encoding> {
    guarded("encode a text", encode)?.map_err(|error| Error::input("failed to encode a text").caused_by(error))
}

/// Broken JSON has a line and column; a tokenizer of an unknown kind has only a message.
fn broken(bytes: &[u8], path: &Path, error: tokenizers::Error) -> Error {
    match serde_json::from_slice::<serde::de::IgnoredAny>(bytes) {
        Err(syntax) => json_error(syntax, path),
        Ok(_) => Error::input("failed to read the tokenizer")
            .at(path)
            .caused_by(error)
            .with_hint("the file is JSON, but not a tokenizer that tokenizers 0.23 knows"),
    }
}
