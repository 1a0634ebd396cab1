//! SmolLM3: Llama whose every few layers know no positions (NoPE, Kazemnejad et al., 2023).

use serde_json::Value;

use super::{Config, llama};
use crate::error::{Error, Result};
use crate::models::spec::DecoderSpec;

/// `SmolLM3Config` of transformers.
pub fn spec(config: &Config) -> Result<DecoderSpec> {
    let mut spec = llama::with_theta(config, 2_000_000.0)?;
    spec.tied = config.flag_or("tie_word_embeddings", true)?;
    let layers = spec.layers.len();
    let turns: Vec<bool> = match config.get("no_rope_layers").and_then(Value::as_array) {
        // Despite the name, a 1 marks a layer that has it.
        Some(listed) if listed.len() == layers => listed.iter().map(|flag| flag.as_u64() != Some(0)).collect(),
        Some(listed) => {
            return Err(Error::input(format!("`no_rope_layers` has {} entries for {layers} layers", listed.len()))
                .at(config.path()));
        }
        None => {
            let interval = config.optional_count("no_rope_layer_interval")?.unwrap_or(4).max(1);
            (1..=layers).map(|layer| !layer.is_multiple_of(interval)).collect()
        }
    };
    let window =
        if config.flag_or("use_sliding_window", false)? { config.optional_count("sliding_window")? } else { None };
    let windows = match config.get("layer_types") {
        Some(_) => config.windows(layers, window, 0)?,
        None => turns.iter().map(|turns| window.filter(|_| !turns)).collect(),
    };
    spec.layers.iter_mut().zip(turns).for_each(|(layer, turns)| layer.rope = turns.then_some(0));
    Ok(llama::with_windows(spec, &windows))
}
