//! GPT-NeoX and Pythia: LayerNorm, biases, partial rotation, both blocks side by side.

use super::{Config, llama, rope};
use crate::cpu::activation::Activation;
use crate::error::Result;
use crate::models::spec::{DecoderSpec, Names, NormSpec, Projections};

/// `GPTNeoXConfig` of transformers.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    let head_size = llama::even_head_size(config)?;
    let defaults =
        rope::Defaults { theta: 10_000.0, share: 0.25, theta_key: "rotary_emb_base", share_key: "rotary_pct" };
    let mut spec = llama::like(config, head_size, defaults)?;
    spec.attention.keys = spec.attention.queries;
    spec.attention.query_key_value_bias = config.flag_or("attention_bias", true)?;
    spec.attention.output_bias = spec.attention.query_key_value_bias;
    spec.norm = NormSpec::layer(config.number_or("layer_norm_eps", 1e-5)?);
    spec.feed_forward.activation = Activation::parse(config.text_or("hidden_act", "gelu")?)?;
    spec.feed_forward.gated = false;
    spec.feed_forward.bias = true;
    spec.parallel = config.flag_or("use_parallel_residual", true)?;
    spec.names = Names {
        base: "gpt_neox.",
        embedding: "embed_in",
        query_key_value: Projections::ByHead("attention.query_key_value"),
        output: "attention.dense",
        up: &["mlp.dense_h_to_4h"],
        down: "mlp.dense_4h_to_h",
        norm: "final_layer_norm",
        head: "embed_out",
        ..spec.names
    };
    Ok(spec)
}
