//! ModernBERT: rotary positions, local and global layers in turns, gated feed-forward blocks, norms before the blocks.

use serde_json::{Value, json};

use super::{Config, bert, rope};
use crate::engine::candle::activation::Activation;
use crate::engine::candle::encoder::{ClassifierSpec, EncoderSpec, Learned};
use crate::engine::candle::encoder_weights::Names;
use crate::engine::request::Pooling;
use crate::error::{Error, Result};

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
            return Err(Error::input(format!("pool by `{other}` before the classifier"))
                .at(config.path())
                .with_hint("known are `cls`, `mean`"));
        }
    };
    Ok(EncoderSpec {
        names: NAMES,
        learned: Learned::None,
        windows: windows(config, base.windows.len())?,
        rotations: Some([
            frequencies(config, size, "full_attention", ("global_rope_theta", 160_000.0))?,
            frequencies(config, size, "sliding_attention", ("local_rope_theta", 10_000.0))?,
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

/// Frequencies of one type of layers: `rope_parameters` by type, or a key of its own with what `rope_scaling` says of both.
fn frequencies(config: &Config, size: usize, kind: &str, (key, theta): (&str, f64)) -> Result<Vec<f64>> {
    let of_kind = config.get("rope_parameters").and_then(|options| options.get(kind)).filter(|v| !v.is_null());
    let mut options = of_kind.or_else(|| config.get("rope_scaling")).cloned().unwrap_or_else(|| json!({}));
    let Some(known) = options.as_object_mut() else {
        return Err(Error::input(format!("read the rotary options of `{kind}`")).at(config.path()));
    };
    if known.get("rope_theta").is_none_or(Value::is_null) {
        known.insert("rope_theta".into(), config.number_or(key, theta)?.into());
    }
    rope::inverse_frequencies(&config.part(json!({"rope_parameters": options})), size, theta)
}
