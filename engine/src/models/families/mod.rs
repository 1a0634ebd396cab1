//! Model families: what a `config.json` means for the parametric decoder and encoder, one file per family.
//!
//! A family maps its configuration to a [`DecoderSpec`] or [`EncoderSpec`] and holds no arithmetic. Both spellings of the
//! rotary options are read: `rope_parameters` of transformers 5, and `rope_theta` with `rope_scaling` before it.

mod bert;
mod config;
mod deberta_v2;
mod distilbert;
mod gemma;
mod gpt2;
mod gpt_neox;
mod granite;
mod llama;
mod mistral;
mod mixtral;
mod modernbert;
mod mpnet;
mod olmo;
mod olmo2;
mod phi;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen_moe;
mod roberta;
mod rope;
mod smollm3;
mod stablelm;
mod starcoder2;

pub use config::Config;

use crate::error::{Error, Result, similar};
use crate::models::encoder_spec::EncoderSpec;
use crate::models::spec::DecoderSpec;
use crate::reference;

/// `model_type`s that generate.
pub const DECODERS: [&str; 21] = [
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3_text",
    "gpt2",
    "gpt_neox",
    "granite",
    "llama",
    "mistral",
    "mixtral",
    "olmo",
    "olmo2",
    "phi",
    "phi3",
    "qwen2",
    "qwen2_moe",
    "qwen3",
    "qwen3_moe",
    "smollm3",
    "stablelm",
    "starcoder2",
];
/// `model_type`s that embed and classify.
pub const ENCODERS: [&str; 7] = ["bert", "deberta-v2", "distilbert", "modernbert", "mpnet", "roberta", "xlm-roberta"];

/// What decoders are asked for.
const GENERATE: &str = "generate with";

/// The decoder that a configuration describes.
///
/// # Errors
/// The family is not supported, or a value is missing or out of range.
pub fn decoder(config: &Config) -> Result<DecoderSpec> {
    let spec = match config.model_type()? {
        "gemma" => gemma::first(config)?,
        "gemma2" => gemma::second(config)?,
        // With a vision part beside it, which texts do not use.
        "gemma3" => gemma::third(&config.language_model())?,
        "gemma3_text" => gemma::third(config)?,
        "gpt2" => gpt2::spec(config)?,
        "gpt_neox" => gpt_neox::spec(config)?,
        "granite" => granite::spec(config)?,
        "llama" => llama::spec(config)?,
        "mistral" => mistral::spec(config)?,
        "mixtral" => mixtral::spec(config)?,
        "olmo" => olmo::spec(config)?,
        "olmo2" => olmo2::spec(config)?,
        "phi" => phi::spec(config)?,
        "phi3" => phi3::spec(config)?,
        "qwen2" => qwen2::spec(config)?,
        "qwen2_moe" => qwen_moe::second(config)?,
        "qwen3" => qwen3::spec(config)?,
        "qwen3_moe" => qwen_moe::third(config)?,
        "smollm3" => smollm3::spec(config)?,
        "stablelm" => stablelm::spec(config)?,
        "starcoder2" => starcoder2::spec(config)?,
        other => return Err(unsupported(config, other, &DECODERS, &ENCODERS, GENERATE)),
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

/// Number of token ids and longest sequence of a decoder, where a backend knows its family.
pub(crate) fn decoder_sizes(config: &Config) -> Option<(usize, usize)> {
    match decoder(config) {
        Ok(spec) => Some((spec.vocab, spec.context)),
        Err(_) if reference::is_only_here(config) => {
            Some((config.count("vocab_size").ok()?, config.count("max_position_embeddings").ok()?))
        }
        Err(_) => None,
    }
}

/// Whether a configuration is of a family that generates.
pub fn is_decoder(config: &Config) -> bool {
    config.model_type().is_ok_and(|name| DECODERS.contains(&name))
}

fn unsupported(config: &Config, name: &str, supported: &[&str], wrong_side: &[&str], verb: &str) -> Error {
    let list = supported.join(", ");
    let hint = if DECODERS.contains(&name) && wrong_side.contains(&name) {
        format!("a `{name}` model generates: it is for `karat generate` and a suite's generator; here: {list}")
    } else if wrong_side.contains(&name) {
        format!(
            "a `{name}` model embeds or classifies: it is for `karat embed`, `karat classify` and a suite's embedder or toxicity \
             model; here: {list}"
        )
    } else if verb == GENERATE && reference::is_only_here(config) {
        "`--backend reference` computes this family, one sequence at a time".to_owned()
    } else {
        let meant = similar(name, supported).map(|near| format!("did you mean `{near}`? "));
        format!("{}supported are {list}", meant.unwrap_or_default())
    };
    Error::input(format!("{verb} model type `{name}`")).at(config.path()).with_hint(hint)
}
