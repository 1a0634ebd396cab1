//! Llama 2, 3.x and what shares their configuration (TinyLlama, SmolLM2).

use super::{Config, rope};
use crate::engine::candle::activation::Activation;
use crate::engine::candle::decoder::DecoderSpec;
use crate::error::Result;

/// `LlamaConfig` of transformers.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    let hidden = config.count("hidden_size")?;
    let queries = config.count("num_attention_heads")?;
    let layers = config.count("num_hidden_layers")?;
    let head_size = config.optional_count("head_dim")?.unwrap_or(hidden / queries.max(1));
    let attention_bias = config.flag_or("attention_bias", false)?;
    Ok(DecoderSpec {
        vocab: config.count("vocab_size")?,
        hidden,
        intermediate: config.count("intermediate_size")?,
        context: config.count("max_position_embeddings")?,
        queries,
        keys: config.optional_count("num_key_value_heads")?.unwrap_or(queries),
        head_size,
        norm_eps: config.number_or("rms_norm_eps", 1e-6)? as f32,
        activation: Activation::parse(config.text_or("hidden_act", "silu")?)?,
        query_key_value_bias: attention_bias,
        output_bias: attention_bias,
        feed_forward_bias: config.flag_or("mlp_bias", false)?,
        head_norms: false,
        inverse_frequencies: rope::inverse_frequencies(config, head_size, 10_000.0)?,
        windows: vec![None; layers],
        tied: config.flag_or("tie_word_embeddings", false)?,
    })
}
