//! BERT: embeddings and sequence classification.

use super::Config;
use crate::cpu::activation::Activation;
use crate::cpu::relative::RelativeBias;
use crate::error::{Error, Result};
use crate::models::encoder_spec::Names;
use crate::models::encoder_spec::{ClassifierSpec, EncoderSpec, Learned};
use crate::request::Pooling;

/// Tensors of `BertModel`.
pub const NAMES: Names = Names {
    prefix: "bert.",
    words: "embeddings.word_embeddings",
    embedding_norm: "embeddings.LayerNorm",
    layer: "encoder.layer",
    query_key_value: &["attention.self.query", "attention.self.key", "attention.self.value"],
    output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    feed_forward_norm: "output.LayerNorm",
};

/// What `config.json` calls the sizes.
pub struct Keys {
    /// Width of the token vectors.
    pub hidden: &'static str,
    /// Width of the feed-forward block.
    pub intermediate: &'static str,
    /// Number of layers.
    pub layers: &'static str,
    /// Number of heads.
    pub heads: &'static str,
    /// Activation.
    pub activation: &'static str,
}

/// The keys of BERT and of most that came after.
pub const KEYS: Keys = Keys {
    hidden: "hidden_size",
    intermediate: "intermediate_size",
    layers: "num_hidden_layers",
    heads: "num_attention_heads",
    activation: "hidden_act",
};

/// `BertConfig` of transformers, absolute positions only.
pub fn spec(config: &Config) -> Result<EncoderSpec> {
    let token_types = config.optional_count("type_vocab_size")?.unwrap_or(2);
    Ok(EncoderSpec { token_types, segments: true, ..base(config, &KEYS)? })
}

/// What the families have in common: norms after the blocks, learned positions, no segments.
pub fn base(config: &Config, keys: &Keys) -> Result<EncoderSpec> {
    let kind = config.text_or("position_embedding_type", "absolute")?;
    if kind != "absolute" {
        return Err(Error::input(format!("position embeddings of type `{kind}` are not supported"))
            .at(config.path())
            .with_hint("encoders with `absolute` positions are supported"));
    }
    let hidden = config.count(keys.hidden)?;
    let heads = config.count(keys.heads)?;
    if heads == 0 || hidden % heads != 0 || hidden == 0 {
        return Err(
            Error::input(format!("the hidden size {hidden} is not a multiple of {heads} heads")).at(config.path())
        );
    }
    Ok(EncoderSpec {
        names: NAMES,
        vocab: config.count("vocab_size")?,
        embedding: hidden,
        hidden,
        intermediate: config.count(keys.intermediate)?,
        heads,
        scale: scale(hidden / heads),
        positions: config.count("max_position_embeddings")?,
        learned: Learned::Counted,
        token_types: 0,
        segments: false,
        windows: vec![None; config.count(keys.layers)?],
        relative: RelativeBias::None,
        rotations: None,
        norms_before: false,
        norm_eps: config.number_or("layer_norm_eps", 1e-12)? as f32,
        norm_bias: true,
        attention_bias: true,
        feed_forward_bias: true,
        activation: Activation::parse(config.text_or(keys.activation, "gelu")?)?,
        gated: false,
        convolution: None,
        classifier: ClassifierSpec {
            pooling: Pooling::Cls,
            dense: "bert.pooler.dense",
            dense_bias: true,
            activation: Activation::Tanh,
            norm: None,
            output: "classifier",
        },
    })
}

/// Factor of scores that are sums of `terms` products.
pub fn scale(terms: usize) -> f32 {
    (1.0 / (terms as f64).sqrt()) as f32
}
