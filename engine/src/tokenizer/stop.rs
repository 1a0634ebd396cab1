//! Stop strings: the answer ends where one of them begins, wherever the token borders fall.
//!
//! They are looked for in two texts: the one that is shown, and the one that spells special tokens out, which is not shown. So
//! `<|end|>` stops at that token, and so does `.<|end|>` or `end`. Of several occurrences the one that ends first counts, and
//! of those the longest: what a reader who sees the text grow character by character would stop at. So the cut does not
//! depend on how the text is split into tokens.

use super::{TextStream, Tokenizer};
use crate::error::{Error, Result};

/// What bytes are shown as that are no character.
const HALF: char = '\u{fffd}';

/// Whether stop strings are such that an answer can meet them.
///
/// # Errors
/// One that holds U+FFFD: whether bytes are half a character depends on what follows, and on which tokens are shown.
pub fn check_stops(stops: &[String]) -> Result<()> {
    match stops.iter().find(|stop| stop.contains(HALF)) {
        None => Ok(()),
        Some(stop) => {
            let error = Error::input(format!(
                "the stop string `{}` holds U+FFFD, which is no character of an answer",
                stop.escape_debug()
            ));
            Err(error.with_hint("write the characters themselves, in UTF-8"))
        }
    }
}

/// Watches a growing answer for stop strings.
#[derive(Clone)]
pub struct StopMatcher {
    tokenizer: Tokenizer,
    stops: Vec<String>,
    ids: Vec<u32>,
    /// The text with special tokens.
    spelled: Search,
    /// The text without them, from the first of them on; before, both are one.
    shown: Option<Search>,
}

/// A stop string occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The shown text before it.
    pub text: String,
    /// The most ids, from the first on, whose text lies wholly before it.
    pub ids: usize,
    /// The stop string.
    pub stop: String,
}

impl StopMatcher {
    /// A matcher for an answer that starts empty and is shown without special tokens. Stop strings that are empty, or that hold
    /// U+FFFD, which stands for bytes that are no character yet, are ignored: callers refuse the latter ([`check_stops`]).
    pub fn new(tokenizer: &Tokenizer, stops: &[String]) -> Self {
        Self {
            tokenizer: tokenizer.clone(),
            stops: stops.iter().filter(|stop| !stop.is_empty() && !stop.contains(HALF)).cloned().collect(),
            ids: Vec::new(),
            spelled: Search { stream: tokenizer.stream(false), searched: 0 },
            shown: None,
        }
    }

    /// Takes the next id; says so as soon as a stop string has occurred, even in text that the stream still holds back.
    ///
    /// # Errors
    /// As for [`Tokenizer::decode`].
    pub fn push(&mut self, id: u32) -> Result<Option<Stopped>> {
        let Self { tokenizer, stops, ids, spelled, shown } = self;
        if stops.is_empty() {
            return Ok(None);
        }
        if shown.is_none() && tokenizer.is_special(id) {
            let mut stream = tokenizer.stream(true);
            for id in ids.iter() {
                stream.push(*id);
            }
            let searched = stream.text().len();
            *shown = Some(Search { stream, searched });
        }
        ids.push(id);
        spelled.stream.push(id);
        shown.iter_mut().for_each(|shown| _ = shown.stream.push(id));
        self.look()
    }

    fn look(&mut self) -> Result<Option<Stopped>> {
        let in_spelled = self.spelled.look(&self.stops);
        let in_shown = self.shown.as_mut().and_then(|shown| shown.look(&self.stops));
        let by_spelling = in_spelled.map(|found| self.before_spelled(found)).transpose()?;
        let by_sight = in_shown.map(|(text, stop)| {
            Ok::<_, crate::error::Error>(Stopped { ids: self.ids_before(&text, true)?, text, stop })
        });
        // Where both say so at one token, the shorter text has neither.
        let found = [by_spelling, by_sight.transpose()?].into_iter().flatten();
        Ok(found.min_by_key(|stopped| (stopped.text.len(), stopped.ids)))
    }

    /// The cut of the shown text that a stop string in the spelled one asks for.
    fn before_spelled(&self, (before, stop): (String, String)) -> Result<Stopped> {
        let count = self.ids_before(&before, false)?;
        if self.shown.is_none() {
            return Ok(Stopped { text: before, ids: count, stop });
        }
        let whole = self.tokenizer.decode(&self.ids[..count], true)?;
        let cut_short = self.tokenizer.decode(&self.ids[..count], false)? != before;
        if cut_short && self.ids.get(count).is_some_and(|id| !self.tokenizer.is_special(*id)) {
            // The stop string begins within a token: what stands before it there is shown.
            for end in count + 1..=self.ids.len() {
                let spelled = self.tokenizer.decode(&self.ids[..end], false)?;
                let Some(rest) = spelled.strip_prefix(before.as_str()) else { continue };
                let shown = self.tokenizer.decode(&self.ids[..end], true)?;
                if let Some(text) = shown.strip_suffix(rest) {
                    return Ok(Stopped { text: text.to_owned(), ids: count, stop });
                }
            }
        }
        Ok(Stopped { text: whole, ids: count, stop })
    }

    /// The most ids whose decoded text is a beginning of `text`. The stop string is at the end: few steps suffice.
    fn ids_before(&self, text: &str, skip_special_tokens: bool) -> Result<usize> {
        for count in (1..self.ids.len()).rev() {
            if text.starts_with(&self.tokenizer.decode(&self.ids[..count], skip_special_tokens)?) {
                return Ok(count);
            }
        }
        Ok(0)
    }
}

/// A growing text and how much of it has been searched.
#[derive(Clone)]
struct Search {
    stream: TextStream,
    searched: usize,
}

impl Search {
    /// The text before the first stop string, and that string.
    fn look(&mut self, stops: &[String]) -> Option<(String, String)> {
        let held = self.stream.held_back();
        // Half a character cannot be part of a stop string.
        let held = held.trim_end_matches(HALF);
        let stable = self.stream.text();
        let longest = stops.iter().map(String::len).max().unwrap_or(0);
        let mut from = self.searched.saturating_sub(longest.saturating_sub(1));
        while !stable.is_char_boundary(from) {
            from -= 1;
        }
        let found = if held.is_empty() {
            first_to_end(stops, &stable[from..])
        } else {
            first_to_end(stops, &[&stable[from..], held].concat())
        };
        let Some((start, stop)) = found else {
            self.searched = stable.len();
            return None;
        };
        let mut text = [stable, held].concat();
        text.truncate(from + start);
        Some((text, stop.to_owned()))
    }
}

/// Start and string of the occurrence that ends first, the longest of those.
fn first_to_end<'a>(stops: &'a [String], text: &str) -> Option<(usize, &'a str)> {
    let found = stops.iter().filter_map(|stop| text.find(stop.as_str()).map(|start| (start + stop.len(), start, stop)));
    found.min_by_key(|(end, start, _)| (*end, *start)).map(|(_, start, stop)| (start, stop.as_str()))
}
