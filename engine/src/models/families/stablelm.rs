//! StableLM: Llama with LayerNorm, partial rotation and, in some sizes, parallel blocks and norms of its own for every head.

use super::{Config, llama, rope};
use crate::error::Result;
use crate::models::spec::{DecoderSpec, HeadNorms, NormSpec};

/// `StableLmConfig` of transformers.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    let head_size = llama::even_head_size(config)?;
    let defaults = rope::Defaults { share: 0.25, ..rope::Defaults::theta(10_000.0) };
    let mut spec = llama::like(config, head_size, defaults)?;
    spec.norm = NormSpec::layer(config.number_or("layer_norm_eps", 1e-5)?);
    spec.attention.query_key_value_bias = config.flag_or("use_qkv_bias", false)?;
    spec.attention.output_bias = false;
    spec.feed_forward.bias = false;
    if config.flag_or("qk_layernorm", false)? {
        spec.attention.head_norms = HeadNorms::PerHead;
        spec.names.head_norms = ["self_attn.q_layernorm", "self_attn.k_layernorm"];
    }
    if config.flag_or("use_parallel_residual", false)? {
        spec.parallel = true;
        spec.names.feed_forward_norm = None;
    }
    Ok(spec)
}
