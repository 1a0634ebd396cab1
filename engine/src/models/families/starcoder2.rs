//! StarCoder2: LayerNorm, biases everywhere, no gate, a window in all layers.

use super::{Config, llama};
use crate::cpu::activation::Activation;
use crate::error::Result;
use crate::models::spec::{DecoderSpec, NormSpec};

/// `Starcoder2Config` of transformers.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    let mut spec = llama::spec(config)?;
    let bias = config.flag_or("use_bias", true)?;
    spec.norm = NormSpec::layer(config.number_or("norm_epsilon", 1e-5)?);
    spec.attention.query_key_value_bias = bias;
    spec.attention.output_bias = bias;
    spec.feed_forward.activation = Activation::parse(config.text_or("hidden_act", "gelu_pytorch_tanh")?)?;
    spec.feed_forward.gated = false;
    spec.feed_forward.bias = bias;
    spec.tied = config.flag_or("tie_word_embeddings", true)?;
    spec.names.up = &["mlp.c_fc"];
    spec.names.down = "mlp.c_proj";
    let windows = vec![config.optional_count("sliding_window")?; spec.layers.len()];
    Ok(llama::with_windows(spec, &windows))
}
