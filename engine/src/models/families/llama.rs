//! Llama 1 to 3.x and what shares their configuration (TinyLlama, SmolLM2).

use super::{Config, rope};
use crate::cpu::activation::Activation;
use crate::cpu::rotary::{Rope, Scaling};
use crate::error::Result;
use crate::models::spec::{AttentionSpec, DecoderSpec, FeedForwardSpec, LLAMA_NAMES, LayerSpec, NormSpec};

/// `LlamaConfig` of transformers.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    with_theta(config, 10_000.0)
}

/// [`spec`] with another base of the rotary frequencies where the configuration names none.
pub fn with_theta(config: &Config, theta: f64) -> Result<DecoderSpec> {
    let head_size = config.optional_count("head_dim")?.map_or_else(|| even_head_size(config), Ok)?;
    like(config, head_size, rope::Defaults::theta(theta))
}

/// The size of heads that share the hidden values evenly.
pub fn even_head_size(config: &Config) -> Result<usize> {
    Ok(config.count("hidden_size")? / config.count("num_attention_heads")?.max(1))
}

/// What most families have in common with Llama: names, norms, a gated feed-forward block and one rotary embedding.
pub fn like(config: &Config, head_size: usize, defaults: rope::Defaults) -> Result<DecoderSpec> {
    like_with(config, head_size, vec![rope::read(config, head_size, defaults)?])
}

/// [`like`] with other rotary embeddings, of which layers have the first.
pub fn like_with(config: &Config, head_size: usize, ropes: Vec<Rope>) -> Result<DecoderSpec> {
    let queries = config.count("num_attention_heads")?;
    let keys = config.optional_count("num_key_value_heads")?.unwrap_or(queries);
    let bias = config.flag_or("attention_bias", false)?;
    let positions = config.count("max_position_embeddings")?;
    let context = match ropes.first().map(|rope| &rope.scaling) {
        // Made for sequences that are longer than what the model was trained with.
        Some(Scaling::Dynamic { factor, .. }) => (positions as f64 * factor.clamp(1.0, 1024.0)) as usize,
        _ => positions,
    };
    let layer = LayerSpec { window: None, rope: Some(0), experts: false };
    let attention = AttentionSpec::new(queries, keys, head_size.max(1));
    Ok(DecoderSpec {
        vocab: config.count("vocab_size")?,
        hidden: config.count("hidden_size")?,
        context,
        embedding_scale: 1.0,
        positions: false,
        norm: NormSpec::rms(config.number_or("rms_norm_eps", 1e-6)?),
        attention: AttentionSpec { head_size, query_key_value_bias: bias, output_bias: bias, ..attention },
        feed_forward: FeedForwardSpec {
            intermediate: config.count("intermediate_size")?,
            activation: Activation::parse(config.text_or("hidden_act", "silu")?)?,
            gated: true,
            bias: config.flag_or("mlp_bias", false)?,
        },
        experts: None,
        parallel: false,
        residual_scale: 1.0,
        ropes,
        layers: vec![layer; config.count("num_hidden_layers")?],
        logit_scale: 1.0,
        logit_soft_cap: None,
        tied: config.flag_or("tie_word_embeddings", false)?,
        head_bias: false,
        names: LLAMA_NAMES,
    })
}

/// Sets the window of each layer.
pub fn with_windows(mut spec: DecoderSpec, windows: &[Option<usize>]) -> DecoderSpec {
    spec.layers.iter_mut().zip(windows).for_each(|(layer, window)| layer.window = *window);
    spec
}
