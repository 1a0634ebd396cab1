//! DeBERTa v2 and v3: BERT whose scores also compare content with distances.

use serde_json::Value;

use super::{Config, bert};
use crate::cpu::activation::Activation;
use crate::cpu::relative::{Disentangled, RelativeBias};
use crate::error::{Error, Result};
use crate::models::encoder_spec::Names;
use crate::models::encoder_spec::{ClassifierSpec, ConvolutionSpec, EncoderSpec, Learned};

const NAMES: Names = Names {
    prefix: "deberta.",
    query_key_value: &["attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj"],
    ..bert::NAMES
};

/// `DebertaV2Config` of transformers.
pub fn spec(config: &Config) -> Result<EncoderSpec> {
    let base = bert::base(config, &bert::KEYS)?;
    for key in ["attention_head_size", "pooler_hidden_size"] {
        let expected = if key == "pooler_hidden_size" { base.hidden } else { base.head_size() };
        if let Some(size) = config.optional_count(key)?.filter(|size| *size != expected) {
            return Err(Error::input(format!("a `{key}` of {size} is not supported"))
                .at(config.path())
                .with_hint(format!("with these sizes it is {expected}")));
        }
    }
    let terms = position_terms(config)?;
    let kinds = ["c2p", "p2c"].map(|kind| terms.iter().any(|term| term == kind));
    // Also without relative attention, as in transformers.
    let products = 1 + kinds.iter().filter(|wanted| **wanted).count();
    let token_types = config.optional_count("type_vocab_size")?.unwrap_or(0);
    Ok(EncoderSpec {
        names: NAMES,
        embedding: config.optional_count("embedding_size")?.unwrap_or(base.hidden),
        scale: bert::scale(base.head_size() * products),
        learned: if config.flag_or("position_biased_input", true)? { Learned::Counted } else { Learned::None },
        token_types,
        segments: token_types > 1,
        relative: relative(config, base.positions, kinds)?,
        norm_eps: config.number_or("layer_norm_eps", 1e-7)? as f32,
        convolution: convolution(config, base.hidden)?,
        classifier: ClassifierSpec {
            dense: "pooler.dense",
            activation: Activation::parse(config.text_or("pooler_hidden_act", "gelu")?)?,
            ..base.classifier
        },
        ..base
    })
}

/// `pos_att_type`: a list, or one text with bars between.
fn position_terms(config: &Config) -> Result<Vec<String>> {
    let terms: Option<Vec<String>> = match config.get("pos_att_type") {
        None => Some(Vec::new()),
        Some(Value::String(text)) => Some(text.to_lowercase().split('|').map(|term| term.trim().to_owned()).collect()),
        Some(Value::Array(terms)) => terms.iter().map(|term| term.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    };
    terms.ok_or_else(|| Error::input("`pos_att_type` of the model configuration is not a list").at(config.path()))
}

fn relative(config: &Config, positions: usize, kinds: [bool; 2]) -> Result<RelativeBias> {
    if !config.flag_or("relative_attention", false)? {
        return Ok(RelativeBias::None);
    }
    let farthest = limit(config, "max_relative_positions")?.unwrap_or(positions);
    let buckets = limit(config, "position_buckets")?;
    let span = buckets.unwrap_or(farthest);
    if span == 0 || buckets == Some(1) {
        return Err(Error::input(format!("{span} buckets of relative positions are not supported")).at(config.path()));
    }
    let [content_to_position, position_to_content] = kinds;
    let norms = config.text_or("norm_rel_ebd", "none")?.to_lowercase();
    Ok(RelativeBias::Disentangled(Disentangled {
        content_to_position,
        position_to_content,
        shared: config.flag_or("share_att_key", false)?,
        norm: norms.split('|').any(|norm| norm.trim() == "layer_norm"),
        span,
        bucketed_to: buckets.map(|_| farthest),
    }))
}

/// A count of which everything below one, -1 in most files, means that there is none.
fn limit(config: &Config, key: &str) -> Result<Option<usize>> {
    match config.get(key).and_then(Value::as_i64) {
        Some(..=0) => Ok(None),
        _ => config.optional_count(key),
    }
}

fn convolution(config: &Config, hidden: usize) -> Result<Option<ConvolutionSpec>> {
    let Some(kernel) = limit(config, "conv_kernel_size")? else { return Ok(None) };
    let groups = config.optional_count("conv_groups")?.unwrap_or(1);
    if kernel.is_multiple_of(2) || groups == 0 || !hidden.is_multiple_of(groups) {
        return Err(Error::input(format!(
            "a convolution of {hidden} values by {kernel} tokens in {groups} groups is not supported"
        ))
        .at(config.path())
        .with_hint("an odd `conv_kernel_size` and `conv_groups` that divide the hidden size are supported"));
    }
    let activation = Activation::parse(config.text_or("conv_act", "tanh")?)?;
    Ok(Some(ConvolutionSpec { kernel, groups, activation }))
}
