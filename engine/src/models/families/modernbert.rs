//! ModernBERT: rotary positions, local and global layers in turns, gated feed-forward blocks, norms before the blocks.

use super::{Config, bert, rope};
use crate::cpu::activation::Activation;
use crate::error::{Error, Result};
use crate::models::encoder_spec::Names;
use crate::models::encoder_spec::{ClassifierSpec, EncoderSpec, Learned};
use crate::request::Pooling;

const NAMES: Names = Names {
    prefix: "model.",
    words: "embeddings.tok_embeddings",
    embedding_norm: "embeddings.norm",
    layer: "layers",
    query_key_value: &["attn.Wqkv"],
    output: "attn.Wo",
    attention_norm: "attn_norm",
    up: "mlp.Wi",
    down: "mlp.Wo",
    feed_forward_norm: "mlp_norm",
};

const KEYS: bert::Keys = bert::Keys { activation: "hidden_activation", ..bert::KEYS };

/// `ModernBertConfig` of transformers, in both spellings of the rotary options.
pub fn spec(config: &Config) -> Result<EncoderSpec> {
    let base = bert::base(config, &KEYS)?;
    let size = base.head_size();
    let pooling = match config.text_or("classifier_pooling", "cls")? {
        "cls" => Pooling::Cls,
        "mean" => Pooling::Mean,
        other => {
            return Err(Error::input(format!("pooling by `{other}` before the classifier is not supported"))
                .at(config.path())
                .with_hint("known are `cls`, `mean`"));
        }
    };
    let theta = |key, theta| rope::Defaults { theta_key: key, ..rope::Defaults::theta(theta) };
    Ok(EncoderSpec {
        names: NAMES,
        learned: Learned::None,
        windows: windows(config, base.windows.len())?,
        rotations: Some([
            rope::read_layer_type(config, "full_attention", true, size, theta("global_rope_theta", 160_000.0))?,
            rope::read_layer_type(config, "sliding_attention", true, size, theta("local_rope_theta", 10_000.0))?,
        ]),
        norms_before: true,
        norm_eps: config.number_or("norm_eps", 1e-5)? as f32,
        norm_bias: config.flag_or("norm_bias", false)?,
        attention_bias: config.flag_or("attention_bias", false)?,
        feed_forward_bias: config.flag_or("mlp_bias", false)?,
        gated: true,
        classifier: ClassifierSpec {
            pooling,
            dense: "head.dense",
            dense_bias: config.flag_or("classifier_bias", false)?,
            activation: Activation::parse(config.text_or("classifier_activation", "gelu")?)?,
            norm: Some("head.norm"),
            output: "classifier",
        },
        ..base
    })
}

/// `layer_types`, or a global layer every `global_attn_every_n_layers`.
fn windows(config: &Config, layers: usize) -> Result<Vec<Option<usize>>> {
    let window = config.optional_count("local_attention")?.unwrap_or(128);
    if config.get("layer_types").is_some() {
        return config.windows(layers, Some(window), 0);
    }
    let every = config.optional_count("global_attn_every_n_layers")?.unwrap_or(3).max(1);
    Ok((0..layers).map(|layer| (!layer.is_multiple_of(every)).then_some(window)).collect())
}
