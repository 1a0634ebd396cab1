//! Mistral: Llama with a sliding window.

use super::{Config, llama};
use crate::engine::candle::decoder::DecoderSpec;
use crate::error::Result;

/// `MistralConfig` of transformers; a `sliding_window` of `null` means none.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    let base = llama::spec(config)?;
    let windows = config.windows(base.windows.len(), config.optional_count("sliding_window")?, 0)?;
    Ok(DecoderSpec { query_key_value_bias: false, output_bias: false, feed_forward_bias: false, windows, ..base })
}
