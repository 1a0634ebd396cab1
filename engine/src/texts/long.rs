//! Texts of more bytes than are tokenized at once: their tokens are made piece by piece, so that memory stays flat.

use super::{Rows, Texts};
use crate::error::Result;
use crate::reading::{Length, Long, Unread};
use crate::request::TextInput;
use crate::scheduler::backend::Encoded;
use crate::tokenizer::Pieces;

impl Texts {
    /// The rows of a long text, prompt first, or of a pair in which one is long.
    ///
    /// # Errors
    /// Those of [`Texts::encode`].
    pub(super) fn encode_long(
        &self,
        input: &TextInput,
        text: &str,
        pair: Option<&str>,
    ) -> std::result::Result<Rows, Unread> {
        let text = self.tokenizer.encode_pieces(text, self.limit + 1)?;
        let pair = pair.map(|pair| self.tokenizer.encode_pieces(pair, self.limit + 1)).transpose()?;
        let special = self.tokenizer.surround(&[], pair.as_ref().map(|_| &[][..]))?.0.len();
        let count = |of: fn(&Pieces) -> usize| special + of(&text) + pair.as_ref().map_or(0, of);
        let tokens = count(|pieces| pieces.plain.ids.len());
        let length = Length { tokens, read: count(|pieces| pieces.tokens).min(self.limit) };
        let is_spaced = text.unread.is_some() || pair.as_ref().is_some_and(|pair| pair.unread.is_some());
        let is_long = tokens > self.limit;
        let row = |(ids, types)| Encoded { ids, types, skipped: self.skipped };
        match input.long {
            Long::Windows if is_long => {
                Ok(Rows::Windows(self.sliding(input, text.plain, pair.map(|pair| pair.plain), length)?))
            }
            Long::Windows => Ok(Rows::Whole(row(self.whole(&text, pair.as_ref())?))),
            _ if !is_long && !is_spaced => Ok(Rows::Whole(row(self.whole(&text, pair.as_ref())?))),
            Long::Cut => Ok(Rows::Cut(row(self.beginning(&text, pair.as_ref())?), length)),
            Long::Error => Err(Unread::TooLong(length)),
        }
    }

    fn whole(&self, text: &Pieces, pair: Option<&Pieces>) -> Result<(Vec<u32>, Vec<u32>)> {
        self.tokenizer.surround(&text.plain.ids, pair.map(|pair| &*pair.plain.ids))
    }

    /// What is left of texts that are cut. Who is cut, and how far, depends on which is longer: one token beyond the limit tells.
    fn beginning(&self, text: &Pieces, pair: Option<&Pieces>) -> Result<(Vec<u32>, Vec<u32>)> {
        let longer = pair.map(|pair| (text.tokens > pair.tokens, pair.tokens > text.tokens));
        let first = |pieces: &Pieces, is_longer: bool| -> Vec<u32> {
            let ids = pieces.unread.as_ref().unwrap_or(&pieces.plain.ids);
            ids[..ids.len().min(self.limit + usize::from(is_longer))].to_vec()
        };
        let (text, pair) = match (pair, longer) {
            (Some(pair), Some((is_text, is_pair))) => (first(text, is_text), Some(first(pair, is_pair))),
            _ => (first(text, true), None),
        };
        self.cut.surround(&text, pair.as_deref())
    }
}
