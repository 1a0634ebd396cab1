//! Model families: what a `config.json` means for the parametric decoder and encoder, one file per family.
//!
//! A family maps its configuration to a [`DecoderSpec`] or [`EncoderSpec`] and holds no arithmetic. Both spellings of the
//! rotary options are read: `rope_parameters` of transformers 5, and `rope_theta` with `rope_scaling` before it.

mod bert;
mod config;
mod deberta_v2;
mod distilbert;
mod llama;
mod mistral;
mod modernbert;
mod mpnet;
mod qwen2;
mod qwen3;
mod roberta;
mod rope;

pub use config::Config;

use super::decoder::DecoderSpec;
use super::encoder::EncoderSpec;
use crate::error::{Error, Result, nearest};

/// `model_type`s that generate.
pub const DECODERS: [&str; 4] = ["llama", "mistral", "qwen2", "qwen3"];
/// `model_type`s that embed and classify.
pub const ENCODERS: [&str; 7] = ["bert", "deberta-v2", "distilbert", "modernbert", "mpnet", "roberta", "xlm-roberta"];

/// The decoder that a configuration describes.
///
/// # Errors
/// The family is not supported, or a value is missing or out of range.
pub fn decoder(config: &Config) -> Result<DecoderSpec> {
    let spec = match config.model_type()? {
        "llama" => llama::spec(config)?,
        "mistral" => mistral::spec(config)?,
        "qwen2" => qwen2::spec(config)?,
        "qwen3" => qwen3::spec(config)?,
        other => return Err(unsupported(config, other, &DECODERS, &ENCODERS, "generate with")),
    };
    spec.check().map_err(|e| e.at(config.path()))?;
    Ok(spec)
}

/// The encoder that a configuration describes.
///
/// # Errors
/// As for [`decoder`].
pub fn encoder(config: &Config) -> Result<EncoderSpec> {
    match config.model_type()? {
        "bert" => bert::spec(config),
        "deberta-v2" => deberta_v2::spec(config),
        "distilbert" => distilbert::spec(config),
        "modernbert" => modernbert::spec(config),
        "mpnet" => mpnet::spec(config),
        "roberta" | "xlm-roberta" => roberta::spec(config),
        other => Err(unsupported(config, other, &ENCODERS, &DECODERS, "embed or classify with")),
    }
}

fn unsupported(config: &Config, name: &str, supported: &[&str], wrong_side: &[&str], verb: &str) -> Error {
    let list = supported.join(", ");
    let hint = if wrong_side.contains(&name) {
        format!("`{name}` is supported for the other commands; here: {list}")
    } else {
        format!("supported are {list}; {}", nearest(name, supported.iter().copied()))
    };
    Error::input(format!("{verb} model type `{name}`")).at(config.path()).with_hint(hint)
}
