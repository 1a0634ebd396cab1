//! Granite 3: Llama with four multipliers (muP, Yang et al., 2022).

use super::{Config, llama};
use crate::error::{Error, Result};
use crate::models::spec::DecoderSpec;

/// `GraniteConfig` of transformers.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    let mut spec = llama::spec(config)?;
    let number = |key: &str| config.number_or(key, 1.0);
    let divisor = number("logits_scaling")?;
    if divisor == 0.0 {
        return Err(Error::input("`logits_scaling` is zero").at(config.path()));
    }
    spec.embedding_scale = number("embedding_multiplier")? as f32;
    spec.residual_scale = number("residual_multiplier")? as f32;
    spec.attention.scale = number("attention_multiplier")? as f32;
    spec.logit_scale = (1.0 / divisor) as f32;
    Ok(spec)
}
