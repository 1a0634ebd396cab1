//! Mistral: Llama with a sliding window.

use super::{Config, llama};
use crate::error::Result;
use crate::models::spec::DecoderSpec;

/// `MistralConfig` of transformers; a `sliding_window` of `null` means none.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    windowed(config, llama::spec(config)?)
}

/// A Llama without biases, with the window of the configuration in all layers or in those that it lists.
pub fn windowed(config: &Config, mut spec: DecoderSpec) -> Result<DecoderSpec> {
    spec.attention.query_key_value_bias = false;
    spec.attention.output_bias = false;
    spec.feed_forward.bias = false;
    let windows = config.windows(spec.layers.len(), config.optional_count("sliding_window")?, 0)?;
    Ok(llama::with_windows(spec, &windows))
}
