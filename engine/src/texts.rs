//! Texts as an encoder gets them: a prompt before each, special tokens around, and longer ones than the model reads cut, refused
//! or in windows.
//!
//! A window holds as many tokens of the text as fit between prompt and special tokens, and begins in the middle of the one
//! before: whatever is no longer than half a window stands whole in one of them. The last one ends with the text. In a pair the
//! longer text slides past the other one, which stands whole in every window. Windows depend on the text alone.
//!
//! A classifier reads a long text once more in short windows, passages: in a window of hundreds of calm tokens one insult drowns.
//!
//! A word of more characters than a WordPiece model reads (100) becomes its unknown token, whatever it says: that is a text that
//! is longer than the model reads, too. It is refused, or left as transformers leaves it and counted, or read in pieces.
//!
//! A text of more than 128 KiB is tokenized piece by piece (`long`).

mod long;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::models::EncoderSpec;
use crate::models::families;
use crate::models::model_folder::ModelFolder;
use crate::models::model_json::read_json;
use crate::reading::{Length, Long, Part, Reading, Span, Unread, Windows};
use crate::request::TextInput;
use crate::scheduler::backend::Encoded;
use crate::tokenizer::{LONG, Plain, Spaced, Tokenizer};

/// Makes tokens of texts.
pub(super) struct Texts {
    tokenizer: Tokenizer,
    cut: Tokenizer,
    limit: usize,
    /// Rows of the model's word vectors.
    vocab: usize,
    /// Stands before every text.
    prompt: String,
    /// Tokens of the prompt that averages leave out.
    skipped: usize,
    /// Whether texts are turned into lower case first, whatever the tokenizer does.
    pub lower_case: bool,
    /// Tokens of the passages that long texts are read in besides.
    pub passage: Option<usize>,
}

/// What the tokenizer gets.
struct Shown<'a> {
    text: Spaced<'a>,
    pair: Option<Spaced<'a>>,
    /// Whether either has spaces that were not there.
    is_spaced: bool,
}

/// A text in rows for the backend: one, or as many as it has windows.
pub(super) enum Rows {
    /// All of it.
    Whole(Encoded),
    /// Its beginning.
    Cut(Encoded, Length),
    /// Its windows.
    Windows(Sliding),
}

/// A long text whose windows are made when they are computed: they overlap, and hold more than the text.
pub(super) struct Sliding {
    /// Ids of the prompt, which stands before every window.
    prompt: Vec<u32>,
    /// Ids of the text.
    ids: Vec<u32>,
    /// Ids of the other text of a pair.
    other: Option<Vec<u32>>,
    part: Part,
    /// Tokens of a row that are not of the window: prompt, other text and special tokens.
    around: usize,
    spans: Vec<Span>,
}

impl Texts {
    pub fn open(folder: &ModelFolder, config: &families::Config, spec: &EncoderSpec) -> Result<Self> {
        let tokenizer = Tokenizer::from_folder(folder)?;
        let known = tokenizer.model_vocab_size();
        if known > spec.vocab {
            return Err(Error::input(format!(
                "the tokenizer knows {known} tokens, the embedding table {}",
                spec.vocab
            ))
            .at(config.path())
            .with_hint("tokenizer.json and config.json belong to different models"));
        }
        let limit = length_limit(folder, spec)?;
        if limit <= tokenizer.surround(&[], None)?.0.len() {
            return Err(Error::input(format!("special tokens leave no token for text within a limit of {limit}"))
                .at(folder.path())
                .with_hint(
                    "look at max_seq_length of sentence_bert_config.json and model_max_length of tokenizer_config.json",
                ));
        }
        Ok(Self {
            cut: tokenizer.cutting_at(limit)?,
            tokenizer,
            limit,
            vocab: spec.vocab,
            prompt: String::new(),
            skipped: 0,
            lower_case: false,
            passage: None,
        })
    }

    /// Puts a prompt before every text from here on. Its tokens are counted as sentence-transformers counts them: those of
    /// the prompt alone, without the one that ends a text.
    pub fn prompt(&mut self, prompt: String, included: bool) -> Result<()> {
        if !prompt.is_empty() && !included {
            let shown = self.lowered(&prompt);
            let ids = self.cut.encode_segments(&shown, None)?.0;
            let plain = self.cut.encode(&shown, false)?;
            let ended = plain.is_empty() || !ids.ends_with(&plain);
            self.skipped = ids.len() - usize::from(ended && !ids.is_empty());
        }
        self.prompt = prompt;
        Ok(())
    }

    /// A text as the tokenizer gets it.
    fn lowered<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.lower_case { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) }
    }

    /// The rows of a text.
    ///
    /// # Errors
    /// A text without tokens, one that the tokenizer cannot take, one that is too long for what was asked, a token that the model
    /// does not have.
    pub fn encode(&self, input: &TextInput) -> std::result::Result<Rows, Unread> {
        let rows = self.rows(input)?;
        // Added tokens may lie beyond the table, which is a matter of the text that has one.
        let beyond = rows.ids().find(|id| *id as usize >= self.vocab);
        match beyond {
            None => Ok(rows),
            Some(id) => {
                Err(Error::input(format!("token {id} is outside the embedding table ({} rows)", self.vocab)).into())
            }
        }
    }

    fn rows(&self, input: &TextInput) -> std::result::Result<Rows, Unread> {
        let pair = input.text_pair.as_deref();
        let text = if self.prompt.is_empty() {
            Cow::Borrowed(&*input.text)
        } else {
            Cow::Owned(format!("{}{}", self.prompt, input.text))
        };
        let text = self.lowered(&text);
        if text.len() + pair.map_or(0, str::len) > LONG {
            return self.encode_long(input, &text, pair);
        }
        let (ids, types) = self.tokenizer.encode_segments(&text, pair)?;
        if ids.is_empty() {
            return Err(Error::input("the text has no tokens").into());
        }
        let read = ids.len().min(self.limit);
        let shown = self.shown(&text, pair, &ids)?;
        let (ids, types) = if shown.is_spaced {
            self.tokenizer.encode_segments(&shown.text.text, shown.pair.as_ref().map(|pair| &*pair.text))?
        } else {
            (ids, types)
        };
        let length = Length { tokens: ids.len(), read };
        let row = |(ids, types)| Encoded { ids, types, skipped: self.skipped };
        let is_long = length.tokens > self.limit;
        match input.long {
            _ if !is_long && !shown.is_spaced => Ok(Rows::Whole(row((ids, types)))),
            Long::Windows if is_long => {
                let (text, pair) = (self.plain(&shown.text)?, shown.pair.as_ref());
                let pair = pair.map(|pair| self.plain(pair)).transpose()?;
                Ok(Rows::Windows(self.sliding(input, text, pair, length)?))
            }
            Long::Windows => Ok(Rows::Whole(row((ids, types)))),
            Long::Cut => Ok(Rows::Cut(row(self.cut.encode_segments(&text, pair)?), length)),
            Long::Error => Err(Unread::TooLong(length)),
        }
    }

    /// A text and its pair, whose ids these are, without words that are too long to be read.
    fn shown<'a>(&self, text: &'a str, pair: Option<&'a str>, ids: &[u32]) -> Result<Shown<'a>> {
        let mut is_spaced = false;
        let mut spaced = |text: &'a str| -> Result<Spaced<'a>> {
            let spaced = self.tokenizer.spaced(text, ids)?;
            is_spaced |= spaced.is_some();
            Ok(spaced.unwrap_or_else(|| Spaced::without(text)))
        };
        let (text, pair) = (spaced(text)?, pair.map(spaced).transpose()?);
        Ok(Shown { text, pair, is_spaced })
    }

    /// The windows of a text of this length; `text` is it as the tokenizer gets it, prompt first.
    fn sliding(&self, input: &TextInput, mut text: Plain, pair: Option<Plain>, length: Length) -> Result<Sliding> {
        let before = self.lowered(&self.prompt).len();
        let prompt = text.bytes.iter().take_while(|(_, end)| before > 0 && *end <= before).count();
        text.bytes.drain(..prompt);
        let prompt: Vec<u32> = text.ids.drain(..prompt).collect();
        let plain = prompt.len() + text.ids.len() + pair.as_ref().map_or(0, |pair| pair.ids.len());
        let special = length.tokens.saturating_sub(plain);
        let free = self.limit.saturating_sub(special + prompt.len());
        let (part, sliding, other) = match pair {
            Some(pair) if pair.ids.len() > text.ids.len() => (Part::TextPair, pair, Some(text.ids)),
            Some(pair) => (Part::Text, text, Some(pair.ids)),
            None => (Part::Text, text, None),
        };
        let room = free.saturating_sub(other.as_ref().map_or(0, Vec::len));
        if room == 0 || 2 * room < free {
            let what = match other {
                Some(_) => "of a pair the shorter text has to fit into half of what the model reads",
                None => "the prompt leaves no room for it",
            };
            return Err(Error::input(format!("failed to read the text in windows: {what}")));
        }
        let around = self.limit - room;
        let mut tokens = windows(sliding.ids.len(), room);
        if let Some(passage) = self.passage.filter(|passage| *passage < room) {
            tokens.extend(windows(sliding.ids.len(), passage));
        }
        let place = |range: &Range<usize>| (sliding.bytes[range.start].0, sliding.bytes[range.end - 1].1);
        let places: Vec<(usize, usize)> = tokens.iter().map(place).collect();
        let characters = match part {
            Part::Text => self.characters(&input.text, before, &places),
            Part::TextPair => characters(input.text_pair.as_deref().unwrap_or_default(), 0, &places, char::len_utf8),
        };
        let spans = tokens.into_iter().zip(characters).map(|(tokens, characters)| Span { tokens, characters });
        Ok(Sliding { prompt, ids: sliding.ids, other, part, around, spans: spans.collect() })
    }

    /// Ids of a text without special tokens, and where they stand in it as it was without further spaces.
    fn plain(&self, shown: &Spaced<'_>) -> Result<Plain> {
        let Plain { ids, bytes } = self.tokenizer.encode_plain(&shown.text)?;
        let original = |(start, end)| (shown.original(start), shown.original(end));
        Ok(Plain { ids, bytes: bytes.into_iter().map(original).collect() })
    }

    /// Characters of a text behind `before` bytes of a prompt, by the bytes of what the tokenizer got.
    fn characters(&self, text: &str, before: usize, places: &[(usize, usize)]) -> Vec<Range<usize>> {
        if self.lower_case {
            characters(text, before, places, |c| c.to_lowercase().map(char::len_utf8).sum())
        } else {
            characters(text, before, places, char::len_utf8)
        }
    }

    /// The row of a window.
    ///
    /// # Errors
    /// A post-processor that fails.
    fn window(&self, text: &Sliding, at: usize) -> Result<Encoded> {
        let Some(span) = text.spans.get(at) else { return Err(Error::internal("failed to find a window")) };
        let window = &text.ids[span.tokens.clone()];
        let (first, second) = match (&text.other, text.part) {
            (Some(other), Part::TextPair) => ([&*text.prompt, other].concat(), Some(window)),
            (other, _) => ([&*text.prompt, window].concat(), other.as_deref()),
        };
        let (ids, types) = self.tokenizer.surround(&first, second)?;
        Ok(Encoded { ids, types, skipped: self.skipped })
    }
}

impl Rows {
    /// How many there are.
    pub fn count(&self) -> usize {
        match self {
            Self::Whole(_) | Self::Cut(..) => 1,
            Self::Windows(sliding) => sliding.spans.len(),
        }
    }

    /// Tokens of a row.
    pub fn tokens(&self, at: usize) -> usize {
        match self {
            Self::Whole(row) | Self::Cut(row, _) => row.ids.len(),
            Self::Windows(sliding) => sliding.around + sliding.spans.get(at).map_or(0, |span| span.tokens.len()),
        }
    }

    /// The ids of the text and of what stands around it; of windows, those of the text.
    fn ids(&self) -> impl Iterator<Item = u32> {
        let (row, sliding) = match self {
            Self::Whole(row) | Self::Cut(row, _) => (Some(&row.ids), None),
            Self::Windows(sliding) => (None, Some(sliding)),
        };
        let sliding = sliding.into_iter().flat_map(|s| [Some(&s.prompt), Some(&s.ids), s.other.as_ref()]).flatten();
        row.into_iter().chain(sliding).flatten().copied()
    }

    /// A row.
    ///
    /// # Errors
    /// A post-processor that fails.
    pub fn row(&self, at: usize, texts: &Texts) -> Result<Cow<'_, Encoded>> {
        match self {
            Self::Whole(row) | Self::Cut(row, _) => Ok(Cow::Borrowed(row)),
            Self::Windows(sliding) => texts.window(sliding, at).map(Cow::Owned),
        }
    }

    /// What the text's rows came to, one value each.
    pub fn reading<T>(&self, values: Vec<T>) -> Option<Reading<T>> {
        let mut values = values.into_iter();
        Some(match self {
            Self::Whole(_) => Reading::Whole(values.next()?),
            Self::Cut(_, length) => Reading::Cut(values.next()?, *length),
            Self::Windows(sliding) => {
                let windows = sliding.spans.iter().cloned().zip(values).collect();
                Reading::Windows(Windows { tokens: sliding.ids.len(), part: sliding.part, windows })
            }
        })
    }
}

/// Windows of `room` tokens over a text; each begins in the middle of the one before, the last one ends with the text.
fn windows(tokens: usize, room: usize) -> Vec<Range<usize>> {
    let step = (room / 2).max(1);
    let mut windows = Vec::new();
    for start in (0..tokens).step_by(step) {
        windows.push(start..(start + room).min(tokens));
        if start + room >= tokens {
            break;
        }
    }
    windows
}

/// Characters of a text that stand at these bytes, of which the first `before` are of another text and each character takes
/// `width`. Half a character counts as one.
fn characters(
    text: &str,
    before: usize,
    places: &[(usize, usize)],
    width: impl Fn(char) -> usize,
) -> Vec<Range<usize>> {
    let after = |begin: &mut usize, c| Some(std::mem::replace(begin, *begin + width(c)));
    let begins: Vec<usize> = text.chars().scan(before, after).collect();
    let range = |(start, end): &(usize, usize)| {
        let first = begins.partition_point(|begin| begin <= start).saturating_sub(1);
        first..begins.partition_point(|begin| begin < end).max(first)
    };
    places.iter().map(range).collect()
}

/// Most tokens of a text: what `sentence_bert_config.json` says, within the model's positions.
fn length_limit(folder: &ModelFolder, spec: &EncoderSpec) -> Result<usize> {
    let told = read_json(folder, "sentence_bert_config.json")?
        .and_then(|config| config.get("max_seq_length").and_then(Value::as_u64))
        .map(|limit| limit as usize);
    let config = read_json(folder, "tokenizer_config.json")?;
    // Tokenizers without a limit carry an astronomic one.
    let tokenizer = config.and_then(|c| c.get("model_max_length").and_then(Value::as_f64)).map(|limit| limit as usize);
    Ok(told.or(tokenizer).unwrap_or(usize::MAX).min(spec.positions))
}
