//! GPT-2: a table of positions, LayerNorm, matrices stored input by input.

use super::Config;
use crate::cpu::activation::Activation;
use crate::error::{Error, Result};
use crate::models::spec::{
    AttentionSpec, DecoderSpec, FeedForwardSpec, LLAMA_NAMES, LayerSpec, Names, NormSpec, Projections,
};

/// `GPT2Config` of transformers.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    let (hidden, heads) = (config.count("n_embd")?, config.count("n_head")?);
    if heads == 0 || !hidden.is_multiple_of(heads) {
        return Err(
            Error::input(format!("the hidden size {hidden} is not a multiple of {heads} heads")).at(config.path())
        );
    }
    if config.flag_or("scale_attn_by_inverse_layer_idx", false)? || config.flag_or("add_cross_attention", false)? {
        return Err(Error::input("GPT-2 with scores scaled by layer or with cross-attention is not supported")
            .at(config.path()));
    }
    let mut attention = AttentionSpec::new(heads, heads, hidden / heads);
    attention.query_key_value_bias = true;
    attention.output_bias = true;
    if !config.flag_or("scale_attn_weights", true)? {
        attention.scale = 1.0;
    }
    Ok(DecoderSpec {
        vocab: config.count("vocab_size")?,
        hidden,
        context: config.count("n_positions")?,
        embedding_scale: 1.0,
        positions: true,
        norm: NormSpec::layer(config.number_or("layer_norm_epsilon", 1e-5)?),
        attention,
        feed_forward: FeedForwardSpec {
            intermediate: config.optional_count("n_inner")?.unwrap_or(4 * hidden),
            activation: Activation::parse(config.text_or("activation_function", "gelu_new")?)?,
            gated: false,
            bias: true,
        },
        experts: None,
        parallel: false,
        residual_scale: 1.0,
        ropes: Vec::new(),
        layers: vec![LayerSpec { window: None, rope: None, experts: false }; config.count("n_layer")?],
        logit_scale: 1.0,
        logit_soft_cap: None,
        tied: config.flag_or("tie_word_embeddings", true)?,
        head_bias: false,
        names: Names {
            base: "transformer.",
            embedding: "wte",
            positions: "wpe",
            layers: "h",
            attention_norm: Some("ln_1"),
            query_key_value: Projections::Fused("attn.c_attn"),
            output: "attn.c_proj",
            feed_forward_norm: Some("ln_2"),
            up: &["mlp.c_fc"],
            down: "mlp.c_proj",
            norm: "ln_f",
            transposed: true,
            ..LLAMA_NAMES
        },
    })
}
