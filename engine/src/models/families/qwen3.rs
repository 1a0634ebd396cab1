//! Qwen3: Llama with a norm on every query and key head.

use super::{Config, llama, qwen2, rope};
use crate::error::Result;
use crate::models::spec::{DecoderSpec, HeadNorms};

/// `Qwen3Config` of transformers; its heads have 128 values unless said otherwise.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    let head_size = config.optional_count("head_dim")?.unwrap_or(128);
    let mut spec = llama::like(config, head_size, rope::Defaults::theta(10_000.0))?;
    spec.attention.head_norms = HeadNorms::Shared;
    spec.feed_forward.bias = false;
    let windows = qwen2::windows(config, spec.layers.len())?;
    Ok(llama::with_windows(spec, &windows))
}
