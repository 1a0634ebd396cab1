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

use std::borrow::Cow;
use std::ops::Range;

use serde_json::Value;

use super::backend::Encoded;
use super::candle::{EncoderSpec, arch};
use super::identity::ModelFolder;
use super::model_json::read_json;
use super::reading::{Length, Long, Part, Reading, Span, Unread, Windows};
use super::request::TextInput;
use super::tokenizer::{LONG, Plain, Spaced, Tokenizer};
use crate::error::{Error, Result};

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
    pub fn open(folder: &ModelFolder, config: &arch::Config, spec: &EncoderSpec) -> Result<Self> {
        let tokenizer = Tokenizer::from_folder(folder)?;
        let known = tokenizer.model_vocab_size();
        if known > spec.vocab {
            return Err(Error::input(format!("use a tokenizer of {known} tokens with an embedding of {}", spec.vocab))
                .at(config.path())
                .with_hint("tokenizer.json and config.json belong to different models"));
        }
        let limit = length_limit(folder, spec)?;
        if limit <= tokenizer.surround(&[], None)?.0.len() {
            return Err(Error::input(format!("read texts of at most {limit} tokens: special tokens leave no room"))
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
            Some(id) => Err(Error::input(format!("look up token {id} in an embedding of {} rows", self.vocab)).into()),
        }
    }

    fn rows(&self, input: &TextInput) -> std::result::Result<Rows, Unread> {
        let pair = input.text_pair.as_deref();
        let text = match self.prompt.is_empty() {
            true => Cow::Borrowed(&*input.text),
            false => Cow::Owned(format!("{}{}", self.prompt, input.text)),
        };
        let text = self.lowered(&text);
        if text.len() + pair.map_or(0, str::len) > LONG {
            return self.encode_long(input, &text, pair);
        }
        let (ids, types) = self.tokenizer.encode_segments(&text, pair)?;
        if ids.is_empty() {
            return Err(Error::input("encode a text without tokens").into());
        }
        let read = ids.len().min(self.limit);
        let shown = self.shown(&text, pair, &ids)?;
        let (ids, types) = match shown.is_spaced {
            true => self.tokenizer.encode_segments(&shown.text.text, shown.pair.as_ref().map(|pair| &*pair.text))?,
            false => (ids, types),
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
            return Err(Error::input(format!("read the text in windows: {what}")));
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
        match self.lower_case {
            true => characters(text, before, places, |c| c.to_lowercase().map(char::len_utf8).sum()),
            false => characters(text, before, places, char::len_utf8),
        }
    }

    /// The row of a window.
    ///
    /// # Errors
    /// A post-processor that fails.
    fn window(&self, text: &Sliding, at: usize) -> Result<Encoded> {
        let Some(span) = text.spans.get(at) else { return Err(Error::internal("find a window")) };
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(model: &str) -> Texts {
        let folder = ModelFolder::new(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(model));
        let config = arch::Config::read(&folder).unwrap();
        Texts::open(&folder, &config, &arch::encoder(&config).unwrap()).unwrap()
    }

    fn embedder() -> Texts {
        texts("tests/fixtures/models/bert-mean")
    }

    fn input(text: &str, pair: Option<&str>, long: Long) -> TextInput {
        TextInput { text: text.to_owned(), text_pair: pair.map(str::to_owned), long }
    }

    fn sliding(texts: &Texts, text: &str, pair: Option<&str>) -> (Vec<Encoded>, Windows<usize>) {
        let rows = texts.encode(&input(text, pair, Long::Windows)).unwrap();
        let encoded: Vec<Encoded> = (0..rows.count()).map(|at| rows.row(at, texts).unwrap().into_owned()).collect();
        assert!(encoded.iter().enumerate().all(|(at, row)| row.ids.len() == rows.tokens(at)));
        assert!(encoded.iter().all(|row| row.ids.len() <= texts.limit && row.types.len() == row.ids.len()));
        match rows.reading((0..rows.count()).collect()).unwrap() {
            Reading::Windows(windows) => (encoded, windows),
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn windows_cover_a_text_and_whatever_is_no_longer_than_half_of_one(tokens in 1usize..2000, room in 1usize..300) {
            let windows = windows(tokens, room);
            prop_assert_eq!((windows[0].start, windows.last().unwrap().end), (0, tokens));
            prop_assert!(windows.iter().all(|window| window.len() <= room && !window.is_empty()));
            let step = (room / 2).max(1);
            prop_assert!(windows.windows(2).all(|pair| pair[1].start - pair[0].start == step && pair[0].end < tokens));
            let half = (room - step + 1).min(room);
            for start in 0..tokens {
                let end = (start + half).min(tokens);
                prop_assert!(windows.iter().any(|window| window.start <= start && end <= window.end));
            }
        }
    }

    #[test]
    fn a_text_within_the_limit_is_one_row_whatever_becomes_of_long_ones() {
        let texts = embedder();
        // 46 tokens and two special ones.
        let text = vec!["gold"; 46].join(" ");
        for long in [Long::Windows, Long::Cut, Long::Error] {
            match texts.encode(&input(&text, None, long)) {
                Ok(Rows::Whole(row)) => assert_eq!(row.ids.len(), 48),
                _ => panic!("{long:?}"),
            }
        }
        let longer = text + " gold";
        let Ok(Rows::Cut(row, length)) = texts.encode(&input(&longer, None, Long::Cut)) else { panic!() };
        assert_eq!((row.ids.len(), length, length.cut()), (48, Length { tokens: 49, read: 48 }, 1));
        let Err(unread) = texts.encode(&input(&longer, None, Long::Error)) else { panic!() };
        assert_eq!(unread.to_string(), "read the text: it has 49 tokens, the model reads 48");
        let (rows, windows) = sliding(&texts, &longer, None);
        assert_eq!((rows.len(), windows.tokens), (2, 47));
        assert_eq!(rows[0], row, "the first window is what is left of a cut text");
    }

    #[test]
    fn windows_hold_the_tokens_and_characters_of_their_part() {
        let texts = embedder();
        let words: Vec<String> = (0..300).map(|n| format!("gäld{}", n % 3)).collect();
        let text = words.join("  ");
        let (rows, windows) = sliding(&texts, &text, None);
        let whole = texts.tokenizer.encode(&text, false).unwrap();
        assert_eq!(windows.tokens, whole.len());
        for (row, (span, _)) in rows.iter().zip(&windows.windows) {
            assert_eq!(row.ids[1..row.ids.len() - 1], whole[span.tokens.clone()]);
            // What a window shows has its tokens: words that begin or end at its border are there whole or in part.
            let shown = span.of(&text);
            let said = texts.tokenizer.decode(&row.ids, true).unwrap().replace([' ', '#'], "");
            assert_eq!(said, shown.replace(' ', "").replace('ä', "a"));
        }
        assert_eq!(windows.windows.last().unwrap().0.characters.end, text.chars().count());
    }

    #[test]
    fn a_prompt_stands_before_every_window() {
        let mut texts = embedder();
        let long = "silver ".repeat(200);
        let (plain, _) = sliding(&texts, &long, None);
        texts.prompt("gold gold: ".into(), false).unwrap();
        let prompt = texts.tokenizer.encode("gold gold: ", false).unwrap();
        let (rows, windows) = sliding(&texts, &long, None);
        assert!(rows.len() > plain.len(), "less room, more windows");
        assert!(rows.iter().all(|row| row.ids[1..].starts_with(&prompt) && row.skipped == 1 + prompt.len()));
        assert_eq!(windows.tokens, texts.tokenizer.encode(&long, false).unwrap().len());
        assert_eq!(windows.windows[0].0.of(&long).chars().next(), Some('s'));
        texts.prompt("gold ".repeat(60), true).unwrap();
        let Err(unread) = texts.encode(&input(&long, None, Long::Windows)) else { panic!() };
        assert_eq!(unread.to_string(), "read the text in windows: the prompt leaves no room for it");
    }

    /// sentence-transformers may turn texts into lower case, which changes how many bytes they have.
    #[test]
    fn characters_are_those_of_the_text_as_it_was_given() {
        let mut texts = embedder();
        texts.lower_case = true;
        texts.prompt("İİ ".into(), true).unwrap();
        let text = "İstanbul ".repeat(100);
        let (_, windows) = sliding(&texts, &text, None);
        let last = &windows.windows.last().unwrap().0;
        assert!(last.of(&text).ends_with("İstanbul"), "{last:?} {}", last.of(&text));
        assert!(windows.windows.iter().all(|(span, _)| span.characters.end <= text.chars().count()));
    }

    #[test]
    fn passages_follow_the_windows() {
        let mut texts = embedder();
        let long = "silver sea ".repeat(100);
        let (_, windows) = sliding(&texts, &long, None);
        texts.passage = Some(10);
        let (_, both) = sliding(&texts, &long, None);
        let spans = |windows: &Windows<usize>| windows.windows.iter().map(|(span, _)| span.clone()).collect::<Vec<_>>();
        let (windows, both) = (spans(&windows), spans(&both));
        let (first, passages) = both.split_at(windows.len());
        assert_eq!(first, windows);
        assert!(passages.iter().all(|span| span.tokens.len() <= 10));
        assert!(passages.windows(2).all(|pair| pair[1].tokens.start == pair[0].tokens.start + 5));
        assert_eq!(passages.last().unwrap().tokens.end, windows.last().unwrap().tokens.end);
        texts.passage = Some(100);
        assert_eq!(spans(&sliding(&texts, &long, None).1), windows, "none that are longer than windows");
    }

    #[test]
    fn the_longer_text_of_a_pair_slides_past_the_other() {
        let texts = embedder();
        let (long, short) = ("silver ".repeat(100), "gold gold");
        let other = texts.tokenizer.encode(short, false).unwrap();
        for (text, pair, part) in [(&*long, short, Part::Text), (short, &long, Part::TextPair)] {
            let (rows, windows) = sliding(&texts, text, Some(pair));
            assert_eq!(windows.part, part);
            for row in &rows {
                let segment =
                    row.ids.iter().zip(&row.types).filter(|(_, kind)| **kind == u32::from(part == Part::Text));
                let ids: Vec<u32> = segment.map(|(id, _)| *id).collect();
                assert!(ids.windows(other.len()).any(|ids| ids == other), "{ids:?}");
            }
            let Ok(Rows::Cut(cut, _)) = texts.encode(&input(text, Some(pair), Long::Cut)) else { panic!() };
            assert_eq!(rows[0], cut);
        }
        assert!(texts.encode(&input(&long, Some(&long), Long::Windows)).is_err(), "only one may be long");
    }

    #[test]
    fn a_text_without_a_space_and_one_of_a_megabyte_have_windows() {
        let texts = embedder();
        let (_, windows) = sliding(&texts, &"金".repeat(100_000), None);
        assert_eq!(windows.windows.last().unwrap().0.characters.end, 100_000);
        let (rows, _) = sliding(&texts, &"The gold of the silver sea. ".repeat(37_000), None);
        assert!(rows.len() > 1000);
    }

    /// Piece by piece or at once, a text has the same tokens at the same places.
    #[test]
    fn a_long_text_is_read_as_one_that_is_tokenized_at_once() {
        for (model, word) in
            [("tests/fixtures/models/bert-mean", "gäld "), ("tests/fixtures/models/xlm-roberta", "gold, ")]
        {
            let texts = texts(model);
            let text = format!("{}silver sea", word.repeat(LONG / word.len() + 10));
            assert!(text.len() > LONG);
            let whole = texts.tokenizer.encode_plain(&text).unwrap();
            let pieces = texts.tokenizer.encode_pieces(&text, 7).unwrap();
            assert!(pieces.plain.ids == whole.ids, "{model}");
            // The first token of a piece may have the space before it, which some post-processors take for one of their own.
            let places = pieces.plain.bytes.iter().zip(&whole.bytes);
            assert!(places.into_iter().all(|(a, b)| a.1 == b.1 && b.0 - a.0 <= 1), "{model}");
            let (row, types) = texts.cut.encode_segments(&text, None).unwrap();
            let Ok(Rows::Cut(cut, length)) = texts.encode(&input(&text, None, Long::Cut)) else { panic!("not cut") };
            assert_eq!((&cut.ids, cut.types), (&row, types));
            let tokens = texts.tokenizer.encode(&text, true).unwrap().len();
            assert_eq!(length, Length { tokens, read: texts.limit });
            assert!(
                matches!(texts.encode(&input(&text, None, Long::Error)), Err(Unread::TooLong(told)) if told == length)
            );
            let (rows, windows) = sliding(&texts, &text, None);
            assert_eq!((windows.tokens, &rows[0].ids), (whole.ids.len(), &row));
            assert!(windows.windows.last().unwrap().0.of(&text).ends_with("silver sea"));
            let pair = "gold silver";
            let Ok(Rows::Cut(cut, _)) = texts.encode(&input(&text, Some(pair), Long::Cut)) else { panic!("not cut") };
            let right = texts.cut.encode_segments(&text, Some(pair)).unwrap();
            assert_eq!((cut.ids, cut.types), right);
        }
    }

    /// A tokenizer may have added tokens that the model has no vector for: a text with one fails, and no other.
    #[test]
    fn a_token_beyond_the_table_fails_its_text() {
        let mut texts = embedder();
        texts.vocab = 5;
        let Err(Unread::Failed(error)) = texts.encode(&input("gold silver", None, Long::Cut)) else { panic!("read") };
        assert!(error.contains("in an embedding of 5 rows"), "{error}");
    }

    /// WordPiece makes one unknown token of a word of more than a hundred characters: nothing of it would be read.
    #[test]
    fn a_word_that_is_too_long_is_read_in_pieces_or_counted_or_refused() {
        let texts = embedder();
        let word = "goldsilver".repeat(11);
        let text = format!("sea {word} sea");
        let spaced = texts.tokenizer.spaced(&text, &texts.tokenizer.encode(&text, true).unwrap()).unwrap();
        assert!(spaced.is_some(), "{:?}", texts.tokenizer.encode(&text, true));
        let Ok(Rows::Cut(row, length)) = texts.encode(&input(&text, None, Long::Cut)) else { panic!("not cut") };
        let plain = texts.tokenizer.encode_segments(&text, None).unwrap().0;
        assert_eq!((&row.ids, length.read), (&plain, plain.len()), "as transformers has it");
        let (_, read) = sliding(&texts, &text, None);
        assert_eq!(read.tokens + 2, length.tokens);
        assert!(length.cut() >= 12, "{length}");
        assert!(matches!(texts.encode(&input(&text, None, Long::Error)), Err(Unread::TooLong(told)) if told == length));
        let text = format!("sea {} end", "goldsilver".repeat(1000));
        let (rows, windows) = sliding(&texts, &text, None);
        assert!(rows.len() > 20);
        let (first, last) = (windows.windows[0].0.of(&text), windows.windows.last().unwrap().0.of(&text));
        assert!(first.starts_with("sea gold") && last.ends_with("silver end"), "{first} {last}");
        assert!(windows.windows.iter().all(|(span, _)| span.of(&text).len() > 25));
    }
}
