//! Qwen3: Llama with a norm on every query and key head.

use super::{Config, llama, qwen2};
use crate::engine::candle::decoder::DecoderSpec;
use crate::error::Result;

/// `Qwen3Config` of transformers; its heads have 128 values unless said otherwise.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    let head_size = config.optional_count("head_dim")?.unwrap_or(128);
    let base = llama::spec(config)?;
    let inverse_frequencies = super::rope::inverse_frequencies(config, head_size, 10_000.0)?;
    let windows = qwen2::windows(config, base.windows.len())?;
    Ok(DecoderSpec { head_size, head_norms: true, inverse_frequencies, feed_forward_bias: false, windows, ..base })
}
