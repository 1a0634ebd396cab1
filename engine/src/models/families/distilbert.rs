//! DistilBERT: BERT without segments and pooler, its sizes and tensors under names of its own.

use super::{Config, bert};
use crate::cpu::activation::Activation;
use crate::error::Result;
use crate::models::encoder_spec::Names;
use crate::models::encoder_spec::{ClassifierSpec, EncoderSpec};

const NAMES: Names = Names {
    prefix: "distilbert.",
    layer: "transformer.layer",
    query_key_value: &["attention.q_lin", "attention.k_lin", "attention.v_lin"],
    output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    up: "ffn.lin1",
    down: "ffn.lin2",
    feed_forward_norm: "output_layer_norm",
    ..bert::NAMES
};

const KEYS: bert::Keys = bert::Keys {
    hidden: "dim",
    intermediate: "hidden_dim",
    layers: "n_layers",
    heads: "n_heads",
    activation: "activation",
};

/// `DistilBertConfig` of transformers; sinusoidal positions lie in the weights like learned ones.
pub fn spec(config: &Config) -> Result<EncoderSpec> {
    let base = bert::base(config, &KEYS)?;
    let classifier = ClassifierSpec { dense: "pre_classifier", activation: Activation::Relu, ..base.classifier };
    // Not a matter of the configuration there.
    Ok(EncoderSpec { names: NAMES, norm_eps: 1e-12, classifier, ..base })
}
