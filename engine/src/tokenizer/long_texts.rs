//! Texts that are longer than most models read: how many tokens they have at least, and tokens piece by piece, so that memory does
//! not grow with the text. Tokenizing takes some 400 bytes of memory for each of a text.

use std::ops::Range;

use super::{Plain, Tokenizer};
use crate::error::Result;

/// Bytes from which on a text is long.
pub const LONG: usize = 128 << 10;
/// Bytes of a piece.
const PIECE: usize = 32 << 10;
/// Bytes at the end of a piece in which a space is looked for to end it at.
const BORDER: usize = 2 << 10;
/// A text has at least one part in so many of the tokens that its pieces have, wherever they are cut.
const SLACK: usize = 2;

/// A long text as ids without special tokens.
pub struct Pieces {
    /// What is read of it, with places in the text as it was given.
    pub plain: Plain,
    /// The first ids of it as it is, where words are in it that are too long to be read; nothing where there are none.
    pub unread: Option<Vec<u32>>,
    /// How many ids those are in all.
    pub tokens: usize,
}

impl Tokenizer {
    /// Whether a text has more than `limit` tokens, by far; known without tokenizing more of it than that takes. Of a text that is
    /// not long, or hardly longer than the limit, nothing is said.
    ///
    /// # Errors
    /// As for [`Tokenizer::encode`].
    pub fn far_exceeds(&self, text: &str, limit: usize) -> Result<bool> {
        let mut tokens = 0;
        if text.len() <= LONG {
            return Ok(false);
        }
        for piece in pieces(text) {
            tokens += self.encode(&text[piece], false)?.len();
            if tokens / SLACK > limit {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The ids of a long text, piece by piece. Pieces end before a space between two words where there is one: there tokenizers of
    /// words and sentence pieces begin anew. Of the ids of a text as it is, with words that are too long to be read, the first
    /// `kept` are kept.
    ///
    /// # Errors
    /// As for [`Tokenizer::encode`].
    pub fn encode_pieces(&self, text: &str, kept: usize) -> Result<Pieces> {
        let (mut ids, mut bytes) = (Vec::new(), Vec::new());
        let (mut first, mut tokens, mut is_spaced) = (Vec::new(), 0, false);
        for piece in pieces(text) {
            let (start, text) = (piece.start, &text[piece]);
            let mut plain = self.encode_plain(text)?;
            tokens += plain.ids.len();
            first.extend(plain.ids.iter().take(kept - first.len().min(kept)));
            if let Some(spaced) = self.spaced(text, &plain.ids)? {
                is_spaced = true;
                plain = self.encode_plain(&spaced.text)?;
                plain
                    .bytes
                    .iter_mut()
                    .for_each(|(from, to)| (*from, *to) = (spaced.original(*from), spaced.original(*to)));
            }
            ids.append(&mut plain.ids);
            bytes.extend(plain.bytes.into_iter().map(|(from, to)| (start + from, start + to)));
        }
        Ok(Pieces { plain: Plain { ids, bytes }, unread: is_spaced.then_some(first), tokens })
    }
}

/// A text in pieces of at most [`PIECE`] bytes.
fn pieces(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = &text[start..];
        if rest.is_empty() {
            return None;
        }
        let begin = start;
        start += if rest.len() <= PIECE { rest.len() } else { border(rest) };
        Some(begin..start)
    })
}

/// Where the first piece of a text ends that has more than one.
fn border(text: &str) -> usize {
    let (bytes, end) = (text.as_bytes(), text.floor_char_boundary(PIECE));
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80;
    let between = |at: &usize| bytes[*at] == b' ' && is_word(bytes[at - 1]) && is_word(bytes[at + 1]);
    let found = (end - BORDER..end).rev().find(between);
    found.or_else(|| (end - BORDER..end).rev().find(|at| bytes[*at] == b' ')).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_text_and_end_between_words() {
        let word = "gäld".repeat(PIECE);
        for text in ["", "a", &"gold silver ".repeat(9000), &"  ,gold".repeat(9000), &"金".repeat(40_000), &word] {
            let pieces: Vec<Range<usize>> = pieces(text).collect();
            assert_eq!(pieces.iter().map(|piece| &text[piece.clone()]).collect::<String>(), *text);
            assert!(pieces.iter().all(|piece| (1..=PIECE).contains(&piece.len())));
            let few = text.len().div_ceil(PIECE - BORDER) + 1;
            assert!(pieces.len() <= few);
            if text.starts_with("gold") {
                assert!(pieces[1..].iter().all(|piece| text[piece.clone()].starts_with(' ')));
            }
        }
    }
}
