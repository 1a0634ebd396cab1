//! Stop strings: the answer ends where one of them begins, wherever the token borders fall.
//!
//! Of several occurrences the one that ends first counts, and of those the longest: what a reader who sees the text grow
//! character by character would stop at. So the cut does not depend on how the text is split into tokens.

use super::{TextStream, Tokenizer};
use crate::error::Result;

/// Watches a growing answer for stop strings.
#[derive(Clone)]
pub struct StopMatcher {
    tokenizer: Tokenizer,
    skip_special_tokens: bool,
    stream: TextStream,
    stops: Vec<String>,
    ids: Vec<u32>,
    /// How much of the stream's text has been searched.
    searched: usize,
}

/// A stop string occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The text before it.
    pub text: String,
    /// The most ids, from the first on, whose text lies wholly before it.
    pub ids: usize,
    /// The stop string.
    pub stop: String,
}

impl StopMatcher {
    /// A matcher for an answer that starts empty. Empty stop strings are ignored.
    pub fn new(tokenizer: &Tokenizer, stops: &[String], skip_special_tokens: bool) -> Self {
        Self {
            tokenizer: tokenizer.clone(),
            skip_special_tokens,
            stream: tokenizer.stream(skip_special_tokens),
            stops: stops.iter().filter(|stop| !stop.is_empty()).cloned().collect(),
            ids: Vec::new(),
            searched: 0,
        }
    }

    /// Takes the next id; says so as soon as a stop string has occurred, even in text that the stream still holds back.
    ///
    /// # Errors
    /// As for [`Tokenizer::decode`].
    pub fn push(&mut self, id: u32) -> Result<Option<Stopped>> {
        self.ids.push(id);
        self.stream.push(id);
        if self.stops.is_empty() {
            return Ok(None);
        }
        // Half a character at the end cannot be part of a stop string yet.
        let held = self.stream.held_back();
        let held = held.trim_end_matches('\u{fffd}');
        let stable = self.stream.text();
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let mut from = self.searched.saturating_sub(longest - 1);
        while !stable.is_char_boundary(from) {
            from -= 1;
        }
        let found = if held.is_empty() {
            first_to_end(&self.stops, &stable[from..])
        } else {
            first_to_end(&self.stops, &[&stable[from..], held].concat())
        };
        let Some((start, stop)) = found else {
            self.searched = stable.len();
            return Ok(None);
        };
        let mut text = [stable, held].concat();
        text.truncate(from + start);
        let ids = self.ids_before(&text)?;
        Ok(Some(Stopped { text, ids, stop: stop.to_owned() }))
    }

    /// The text so far, without what is held back.
    pub fn text(&self) -> &str {
        self.stream.text()
    }

    /// The whole text and all ids of an answer that ended without a stop string.
    pub fn finish(self) -> (String, Vec<u32>) {
        (self.stream.finish(), self.ids)
    }

    /// The most ids whose decoded text is a beginning of `text`. The stop string is at the end: few steps suffice.
    fn ids_before(&self, text: &str) -> Result<usize> {
        for count in (1..self.ids.len()).rev() {
            if text.starts_with(&self.tokenizer.decode(&self.ids[..count], self.skip_special_tokens)?) {
                return Ok(count);
            }
        }
        Ok(0)
    }
}

/// Start and string of the occurrence that ends first, the longest of those.
fn first_to_end<'a>(stops: &'a [String], text: &str) -> Option<(usize, &'a str)> {
    let found = stops.iter().filter_map(|stop| text.find(stop.as_str()).map(|start| (start + stop.len(), start, stop)));
    found.min_by_key(|(end, start, _)| (*end, *start)).map(|(_, start, stop)| (start, stop.as_str()))
}
