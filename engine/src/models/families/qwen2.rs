//! Qwen2 and Qwen2.5: Llama with biases on q, k and v, and optional windows in the upper layers.

use super::{Config, llama};
use crate::error::Result;
use crate::models::spec::DecoderSpec;

/// `Qwen2Config` of transformers.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    let mut spec = llama::spec(config)?;
    spec.attention.query_key_value_bias = true;
    spec.attention.output_bias = false;
    spec.feed_forward.bias = false;
    let windows = windows(config, spec.layers.len())?;
    Ok(llama::with_windows(spec, &windows))
}

/// Windows of the Qwen families: off unless `use_sliding_window`, and then from layer `max_window_layers` on.
pub fn windows(config: &Config, layers: usize) -> Result<Vec<Option<usize>>> {
    let window = if config.flag_or("use_sliding_window", false)? {
        Some(config.optional_count("sliding_window")?.unwrap_or(4096))
    } else {
        None
    };
    let first = config.optional_count("max_window_layers")?.unwrap_or(28);
    config.windows(layers, window, first)
}
