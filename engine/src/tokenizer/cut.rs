//! Cutting at a model's limit.

use std::sync::Arc;

use tokenizers::TruncationParams;

use super::Tokenizer;
use crate::error::{Error, Result};
use crate::guard::guarded;

impl Tokenizer {
    /// A copy that cuts texts to `limit` tokens, special tokens included, as transformers' `truncation=True` does: from the
    /// right, the longer text of a pair first.
    ///
    /// # Errors
    /// The limit has no room for the special tokens.
    pub fn cutting_at(&self, limit: usize) -> Result<Self> {
        let mut inner = (*self.inner).clone();
        let params = TruncationParams { max_length: limit, ..TruncationParams::default() };
        let failed = |error| Error::input(format!("texts cannot be cut at {limit} tokens")).caused_by(error);
        guarded("cut texts", || inner.with_truncation(Some(params)).map(|_| ()))?.map_err(failed)?;
        Ok(Self { inner: Arc::new(inner), ..self.clone() })
    }
}
