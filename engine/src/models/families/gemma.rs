//! Gemma 1, 2 and 3 (text): norm weights stored as distances from 1, token vectors scaled by √hidden, and from Gemma 2 on
//! norms on both sides of every block, alternating windows, soft-caps or head norms.

use super::{Config, llama, rope};
use crate::cpu::activation::Activation;
use crate::error::Result;
use crate::models::spec::{DecoderSpec, HeadNorms};

const GLOBAL: &str = "full_attention";
const LOCAL: &str = "sliding_attention";

/// `GemmaConfig` of transformers.
pub fn first(config: &Config) -> Result<DecoderSpec> {
    let mut spec = llama::like(config, head_size(config)?, rope::Defaults::theta(10_000.0))?;
    spec.feed_forward.bias = false;
    // Files before transformers 4.40 say `gelu` and mean the approximation, as transformers still reads them.
    let named = config.text_or("hidden_act", "gelu")?;
    spec.feed_forward.activation = Activation::parse(if named == "gelu" { "gelu_pytorch_tanh" } else { named })?;
    common(config, &mut spec)?;
    Ok(spec)
}

/// `Gemma2Config` of transformers.
pub fn second(config: &Config) -> Result<DecoderSpec> {
    let mut spec = llama::like(config, head_size(config)?, rope::Defaults::theta(10_000.0))?;
    sandwiched(config, &mut spec, 2)?;
    spec.attention.soft_cap = cap(config, "attn_logit_softcapping", Some(50.0))?;
    spec.logit_soft_cap = cap(config, "final_logit_softcapping", Some(30.0))?;
    Ok(spec)
}

/// `Gemma3TextConfig` of transformers: two rotary embeddings, one for layers with a window.
pub fn third(config: &Config) -> Result<DecoderSpec> {
    let head_size = head_size(config)?;
    let global = rope::Defaults::theta(1_000_000.0);
    let local = rope::Defaults { theta_key: "rope_local_base_freq", ..rope::Defaults::theta(10_000.0) };
    let ropes = vec![
        rope::read_layer_type(config, GLOBAL, true, head_size, global)?,
        rope::read_layer_type(config, LOCAL, false, head_size, local)?,
    ];
    let mut spec = llama::like_with(config, head_size, ropes)?;
    let pattern = match config.optional_count("_sliding_window_pattern")? {
        Some(pattern) => pattern,
        None => config.optional_count("sliding_window_pattern")?.unwrap_or(6),
    };
    sandwiched(config, &mut spec, pattern)?;
    spec.attention.head_norms = HeadNorms::Shared;
    spec.attention.soft_cap = cap(config, "attn_logit_softcapping", None)?;
    spec.logit_soft_cap = cap(config, "final_logit_softcapping", None)?;
    for layer in &mut spec.layers {
        layer.rope = Some(if layer.window.is_some() { 1 } else { 0 });
    }
    Ok(spec)
}

fn head_size(config: &Config) -> Result<usize> {
    Ok(config.optional_count("head_dim")?.unwrap_or(256))
}

/// A cap; a key that is there with `null` turns it off.
fn cap(config: &Config, key: &str, default: Option<f64>) -> Result<Option<f32>> {
    if config.has(key) {
        config.get(key).map(|_| config.number_or(key, 0.0).map(|cap| cap as f32)).transpose()
    } else {
        Ok(default.map(|cap| cap as f32))
    }
}

fn common(config: &Config, spec: &mut DecoderSpec) -> Result<()> {
    spec.embedding_scale = (spec.hidden as f64).sqrt() as f32;
    // GGUF files hold the weights as they are used.
    spec.norm.offset = if config.flag_or("gguf_norms_are_whole", false)? { 0.0 } else { 1.0 };
    spec.tied = config.flag_or("tie_word_embeddings", true)?;
    Ok(())
}

/// Norms before and behind every block, and a layer without a window after every `pattern - 1` with one.
fn sandwiched(config: &Config, spec: &mut DecoderSpec, pattern: usize) -> Result<()> {
    common(config, spec)?;
    spec.feed_forward.bias = false;
    spec.feed_forward.activation = Activation::parse(config.text_or("hidden_activation", "gelu_pytorch_tanh")?)?;
    let scalar = config.number_or("query_pre_attn_scalar", 256.0)?;
    spec.attention.scale = (1.0 / scalar.sqrt()) as f32;
    spec.names.attention_post_norm = Some("post_attention_layernorm");
    spec.names.feed_forward_norm = Some("pre_feedforward_layernorm");
    spec.names.feed_forward_post_norm = Some("post_feedforward_layernorm");
    let window = if config.has("sliding_window") { config.optional_count("sliding_window")? } else { Some(4096) };
    let windows = match config.get("layer_types") {
        Some(_) => config.windows(spec.layers.len(), window, 0)?,
        None => {
            let sliding = |index: usize| !(index + 1).is_multiple_of(pattern.max(1));
            (0..spec.layers.len()).map(|index| window.filter(|_| sliding(index))).collect()
        }
    };
    spec.layers.iter_mut().zip(windows).for_each(|(layer, window)| layer.window = window);
    Ok(())
}
