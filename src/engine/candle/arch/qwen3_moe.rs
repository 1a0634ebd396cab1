//! Qwen3-MoE: Qwen3 with a mixture of experts in some or all layers.

use serde_json::Value;

use super::{Config, llama, rope};
use crate::engine::candle::spec::{DecoderSpec, ExpertsSpec, HeadNorms};
use crate::error::Result;

/// `Qwen3MoeConfig` of transformers. Its heads have `hidden_size / num_attention_heads` values unless said otherwise, and its
/// window holds for all layers.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    let mut spec = llama::spec(config)?;
    spec.ropes = vec![rope::read(config, spec.attention.head_size, rope::Defaults::theta(10_000.0))?];
    spec.attention.head_norms = HeadNorms::Shared;
    spec.feed_forward.bias = false;
    // transformers 5 reads both names and writes the second.
    let count = match config.optional_count("num_experts")? {
        Some(count) => count,
        None => config.optional_count("num_local_experts")?.unwrap_or(128),
    };
    spec.experts = Some(ExpertsSpec {
        count,
        chosen: config.optional_count("num_experts_per_tok")?.unwrap_or(8),
        intermediate: config.optional_count("moe_intermediate_size")?.unwrap_or(768),
        normalised: config.flag_or("norm_topk_prob", false)?,
        shared: None,
    });
    let step = config.optional_count("decoder_sparse_step")?.unwrap_or(1).max(1);
    let dense = config.get("mlp_only_layers").and_then(Value::as_array).cloned().unwrap_or_default();
    for (index, layer) in spec.layers.iter_mut().enumerate() {
        let named = dense.iter().any(|at| at.as_u64() == Some(index as u64));
        layer.experts = !named && count > 0 && (index + 1) % step == 0;
    }
    let window = match config.flag_or("use_sliding_window", false)? {
        true => Some(config.optional_count("sliding_window")?.unwrap_or(4096)),
        false => None,
    };
    let windows = vec![window; spec.layers.len()];
    Ok(llama::with_windows(spec, &windows))
}
