//! OLMo 2: Llama with norms behind its blocks instead of before them, and one over all query and all key heads.

use super::{Config, llama};
use crate::error::Result;
use crate::models::spec::{DecoderSpec, HeadNorms};

/// `Olmo2Config` of transformers.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    let mut spec = llama::spec(config)?;
    spec.norm.eps = config.number_or("rms_norm_eps", 1e-5)? as f32;
    spec.attention.head_norms = HeadNorms::Whole;
    spec.feed_forward.bias = false;
    spec.names.attention_norm = None;
    spec.names.attention_post_norm = Some("post_attention_layernorm");
    spec.names.feed_forward_norm = None;
    spec.names.feed_forward_post_norm = Some("post_feedforward_layernorm");
    Ok(spec)
}
