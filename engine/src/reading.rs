//! Texts that are longer than an encoder reads: what becomes of them, and what the encoder made of a text.
//!
//! Plain data. Which windows there are is decided in `texts`, what they are worth by whoever asked.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What becomes of a text that is longer than the model reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Long {
    /// It is read in windows, each of which begins in the middle of the one before.
    #[default]
    Windows,
    /// It is cut as transformers cuts it.
    Cut,
    /// It is not read; that is an error of the text.
    Error,
}

impl Long {
    /// Whether it is the default, which plans don't spell out.
    pub fn is_windows(&self) -> bool {
        *self == Self::Windows
    }

    /// The name in suites and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Windows => "windows",
            Self::Cut => "cut",
            Self::Error => "error",
        }
    }
}

/// Tokens of a text that is longer than the model reads, special tokens and prompt included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Length {
    /// Tokens of the whole text.
    pub tokens: usize,
    /// Tokens that the model reads.
    pub read: usize,
}

impl Length {
    /// Tokens that are not read.
    pub fn cut(self) -> usize {
        self.tokens.saturating_sub(self.read)
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "has {} tokens, the model reads {}", self.tokens, self.read)
    }
}

/// A part of a text, counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Tokens, without those of a prompt and special ones.
    pub tokens: Range<usize>,
    /// Characters.
    pub characters: Range<usize>,
}

impl Span {
    /// This part of its text.
    pub fn of<'a>(&self, text: &'a str) -> &'a str {
        let at = |character: usize| text.char_indices().nth(character).map_or(text.len(), |(at, _)| at);
        &text[at(self.characters.start)..at(self.characters.end.max(self.characters.start))]
    }
}

impl fmt::Display for Span {
    /// Its tokens, counted from 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tokens {} to {}", self.tokens.start + 1, self.tokens.end)
    }
}

/// Which of the texts of an input is the long one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The text, or the first of a pair.
    Text,
    /// The second text of a pair.
    TextPair,
}

/// What an encoder made of a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading<T> {
    /// Of all of it: the model reads it at once.
    Whole(T),
    /// Of its beginning; the rest was cut off.
    Cut(T, Length),
    /// Of every window of it.
    Windows(Windows<T>),
}

/// What an encoder made of the windows of a long text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Windows<T> {
    /// Tokens of the long text, without those of a prompt and special ones.
    pub tokens: usize,
    /// Which text is the long one; the other one stands in every window.
    pub part: Part,
    /// The windows in the order of the text, each with where it stands, and then a classifier's shorter ones in that order. The last one
    /// ends with the text.
    pub windows: Vec<(Span, T)>,
}

impl<T> Reading<T> {
    /// The same of other values.
    pub fn map<U>(self, mut to: impl FnMut(T) -> U) -> Reading<U> {
        match self {
            Self::Whole(value) => Reading::Whole(to(value)),
            Self::Cut(value, length) => Reading::Cut(to(value), length),
            Self::Windows(Windows { tokens, part, windows }) => {
                let windows = windows.into_iter().map(|(span, value)| (span, to(value))).collect();
                Reading::Windows(Windows { tokens, part, windows })
            }
        }
    }

    /// Its values in the order of the text, each with its window where the text has several.
    pub fn values(&self) -> impl Iterator<Item = (Option<&Span>, &T)> {
        let (one, windows) = match self {
            Self::Whole(value) | Self::Cut(value, _) => (Some((None, value)), &[][..]),
            Self::Windows(windows) => (None, &*windows.windows),
        };
        one.into_iter().chain(windows.iter().map(|(span, value)| (Some(span), value)))
    }

    /// What was cut off, if anything was.
    pub fn cut(&self) -> Option<Length> {
        match self {
            Self::Cut(_, length) => Some(*length),
            Self::Whole(_) | Self::Windows(_) => None,
        }
    }
}

/// Why an encoder made nothing of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is longer than the model reads, and whoever asked wanted no part of it.
    TooLong(Length),
    /// What failed.
    Failed(String),
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Self::Failed(error.chain())
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(length) => write!(f, "the text {length}"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_in_order_with_their_windows() {
        let span = |tokens: Range<usize>| Span { characters: tokens.clone(), tokens };
        let windows = vec![(span(0..4), 1), (span(2..5), 2)];
        let long = Reading::Windows(Windows { tokens: 5, part: Part::Text, windows });
        let length = Length { tokens: 9, read: 4 };
        for reading in [Reading::Whole(7), Reading::Cut(7, length), long.clone()] {
            let text = serde_json::to_string(&reading).unwrap();
            assert_eq!(serde_json::from_str::<Reading<i32>>(&text).unwrap(), reading, "{text}");
        }
        assert_eq!(Reading::Whole(7).values().collect::<Vec<_>>(), [(None, &7)]);
        assert_eq!(Reading::Cut(7, length).cut().map(Length::cut), Some(5));
        let doubled = long.map(|x| 2 * x);
        let found: Vec<_> = doubled.values().map(|(span, x)| (span.map(|span| span.tokens.start), *x)).collect();
        assert_eq!(found, [(Some(0), 2), (Some(2), 4)]);
        assert_eq!(span(1..3).to_string(), "tokens 2 to 3");
        assert_eq!((span(1..3).of("äöü"), span(2..9).of("äöü"), span(7..9).of("äöü")), ("öü", "ü", ""));
    }
}
