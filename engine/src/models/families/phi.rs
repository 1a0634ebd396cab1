//! Phi-1, 1.5 and 2: LayerNorm, biases, partial rotation, both blocks reading one norm.

use super::{Config, llama, rope};
use crate::cpu::activation::Activation;
use crate::error::{Error, Result};
use crate::models::spec::{DecoderSpec, NormSpec};

/// `PhiConfig` of transformers.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    if config.flag_or("qk_layernorm", false)? {
        return Err(Error::input("Phi models with norms of queries and keys are not supported").at(config.path()));
    }
    let head_size = llama::even_head_size(config)?;
    let defaults = rope::Defaults { share: 0.5, ..rope::Defaults::theta(10_000.0) };
    let mut spec = llama::like(config, head_size, defaults)?;
    spec.norm = NormSpec::layer(config.number_or("layer_norm_eps", 1e-5)?);
    spec.attention.query_key_value_bias = true;
    spec.attention.output_bias = true;
    spec.feed_forward.activation = Activation::parse(config.text_or("hidden_act", "gelu_new")?)?;
    spec.feed_forward.gated = false;
    spec.feed_forward.bias = true;
    spec.parallel = true;
    spec.head_bias = true;
    spec.names.output = "self_attn.dense";
    spec.names.feed_forward_norm = None;
    spec.names.up = &["mlp.fc1"];
    spec.names.down = "mlp.fc2";
    spec.names.norm = "final_layernorm";
    Ok(spec)
}
