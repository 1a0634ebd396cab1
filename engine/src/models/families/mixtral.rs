//! Mixtral: Mistral whose feed-forward blocks are mixtures of experts.

use super::{Config, llama, mistral};
use crate::error::Result;
use crate::models::spec::{DecoderSpec, ExpertNames, ExpertsSpec};

/// `MixtralConfig` of transformers.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    let mut spec = mistral::windowed(config, llama::with_theta(config, 1_000_000.0)?)?;
    spec.experts = Some(ExpertsSpec {
        count: config.optional_count("num_local_experts")?.unwrap_or(8),
        chosen: config.optional_count("num_experts_per_tok")?.unwrap_or(2),
        intermediate: spec.feed_forward.intermediate,
        normalised: true,
        shared: None,
    });
    spec.layers.iter_mut().for_each(|layer| layer.experts = true);
    spec.names.experts =
        ExpertNames { router: "block_sparse_moe.gate", experts: "block_sparse_moe.experts", parts: ["w1", "w3", "w2"] };
    Ok(spec)
}
