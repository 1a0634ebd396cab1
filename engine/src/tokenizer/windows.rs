//! Texts as ids without special tokens, and special tokens around ids: what windows are made of.

use tokenizers::{Encoding, Token};

use super::{Tokenizer, encoded};
use crate::error::Result;

/// Ids of a text without special tokens, and the bytes that each stands for.
pub struct Plain {
    /// The ids.
    pub ids: Vec<u32>,
    /// Where each begins and ends in the text.
    pub bytes: Vec<(usize, usize)>,
}

impl Tokenizer {
    /// A text without special tokens, and where its tokens stand.
    ///
    /// # Errors
    /// As for [`Tokenizer::encode`].
    pub fn encode_plain(&self, text: &str) -> Result<Plain> {
        self.takes(text.len())?;
        let encoding = encoded(|| self.inner.encode(text, false))?;
        Ok(Plain { ids: encoding.get_ids().to_vec(), bytes: encoding.get_offsets().to_vec() })
    }

    /// Ids and segment numbers of one or two texts, given as ids, with the special tokens that belong around them.
    ///
    /// # Errors
    /// A post-processor that fails.
    pub fn surround(&self, ids: &[u32], pair: Option<&[u32]>) -> Result<(Vec<u32>, Vec<u32>)> {
        let encoding = |ids: &[u32], segment| {
            let tokens = ids.iter().map(|id| Token::new(*id, String::new(), (0, 0))).collect();
            Encoding::from_tokens(tokens, segment)
        };
        let pair = pair.map(|ids| encoding(ids, 1));
        let whole = encoded(|| self.inner.post_process(encoding(ids, 0), pair, true))?;
        Ok((whole.get_ids().to_vec(), whole.get_type_ids().to_vec()))
    }
}
