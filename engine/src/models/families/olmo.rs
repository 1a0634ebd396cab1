//! OLMo 1: Llama with LayerNorm that has no weights.

use super::{Config, llama};
use crate::error::{Error, Result};
use crate::models::spec::{DecoderSpec, NormSpec};

/// `OlmoConfig` of transformers.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    if config.get("clip_qkv").is_some() {
        return Err(Error::input("OLMo models that clip queries, keys and values are not supported").at(config.path()));
    }
    let mut spec = llama::spec(config)?;
    spec.norm = NormSpec { weight: false, bias: false, ..NormSpec::layer(1e-5) };
    spec.feed_forward.bias = false;
    Ok(spec)
}
