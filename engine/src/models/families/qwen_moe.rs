//! Qwen2-MoE and Qwen3-MoE: mixtures of experts in some or all layers.

use serde_json::Value;

use super::{Config, llama, qwen2};
use crate::error::Result;
use crate::models::spec::{DecoderSpec, ExpertsSpec, HeadNorms};

/// `Qwen3MoeConfig` of transformers. Its heads have `hidden_size / num_attention_heads` values unless said otherwise, and its
/// window holds for all layers.
pub fn third(config: &Config) -> Result<DecoderSpec> {
    let mut spec = llama::spec(config)?;
    spec.attention.head_norms = HeadNorms::Shared;
    spec.feed_forward.bias = false;
    let experts = ExpertsSpec {
        count: count(config, 128)?,
        chosen: config.optional_count("num_experts_per_tok")?.unwrap_or(8),
        intermediate: config.optional_count("moe_intermediate_size")?.unwrap_or(768),
        normalised: config.flag_or("norm_topk_prob", false)?,
        shared: None,
    };
    mix(config, &mut spec, experts)?;
    let window = if config.flag_or("use_sliding_window", false)? {
        Some(config.optional_count("sliding_window")?.unwrap_or(4096))
    } else {
        None
    };
    let windows = vec![window; spec.layers.len()];
    Ok(llama::with_windows(spec, &windows))
}

/// `Qwen2MoeConfig` of transformers: Qwen2 with experts and, beside them, one that every token takes.
pub fn second(config: &Config) -> Result<DecoderSpec> {
    let mut spec = qwen2::spec(config)?;
    spec.attention.query_key_value_bias = config.flag_or("qkv_bias", true)?;
    let experts = ExpertsSpec {
        count: count(config, 60)?,
        chosen: config.optional_count("num_experts_per_tok")?.unwrap_or(4),
        intermediate: config.optional_count("moe_intermediate_size")?.unwrap_or(1408),
        normalised: config.flag_or("norm_topk_prob", false)?,
        shared: Some(config.optional_count("shared_expert_intermediate_size")?.unwrap_or(5632)),
    };
    mix(config, &mut spec, experts)?;
    Ok(spec)
}

/// Experts of a layer; transformers 5 reads both names and writes the second.
fn count(config: &Config, default: usize) -> Result<usize> {
    match config.optional_count("num_experts")? {
        Some(count) => Ok(count),
        None => Ok(config.optional_count("num_local_experts")?.unwrap_or(default)),
    }
}

/// Gives every `decoder_sparse_step`-th layer experts, but for those of `mlp_only_layers`.
fn mix(config: &Config, spec: &mut DecoderSpec, experts: ExpertsSpec) -> Result<()> {
    let step = config.optional_count("decoder_sparse_step")?.unwrap_or(1).max(1);
    let dense = config.get("mlp_only_layers").and_then(Value::as_array).cloned().unwrap_or_default();
    for (index, layer) in spec.layers.iter_mut().enumerate() {
        let named = dense.iter().any(|at| at.as_u64() == Some(index as u64));
        layer.experts = !named && experts.count > 0 && (index + 1).is_multiple_of(step);
    }
    spec.experts = (experts.count > 0).then_some(experts);
    Ok(())
}
