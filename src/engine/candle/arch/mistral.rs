//! Mistral: Llama with a sliding window.

use super::{Config, llama};
use crate::engine::candle::spec::DecoderSpec;
use crate::error::Result;

/// `MistralConfig` of transformers; a `sliding_window` of `null` means none.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    let mut spec = llama::spec(config)?;
    spec.attention.query_key_value_bias = false;
    spec.attention.output_bias = false;
    spec.feed_forward.bias = false;
    let windows = config.windows(spec.layers.len(), config.optional_count("sliding_window")?, 0)?;
    Ok(llama::with_windows(spec, &windows))
}
