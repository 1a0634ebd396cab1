//! Phi-3, Phi-3.5 and Phi-4: Llama with fused projections, optional windows and LongRoPE.

use super::{Config, llama, rope};
use crate::error::Result;
use crate::models::spec::{DecoderSpec, Projections};

/// `Phi3Config` of transformers.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    let head_size = llama::even_head_size(config)?;
    let mut spec = llama::like(config, head_size, rope::Defaults::theta(10_000.0))?;
    spec.norm.eps = config.number_or("rms_norm_eps", 1e-5)? as f32;
    spec.attention.query_key_value_bias = false;
    spec.attention.output_bias = false;
    spec.feed_forward.bias = false;
    spec.names.query_key_value = Projections::Fused("self_attn.qkv_proj");
    spec.names.up = &["mlp.gate_up_proj"];
    let windows = vec![config.optional_count("sliding_window")?; spec.layers.len()];
    Ok(llama::with_windows(spec, &windows))
}
