//! BERT: embeddings and sequence classification.

use super::Config;
use crate::engine::candle::activation::Activation;
use crate::engine::candle::encoder::EncoderSpec;
use crate::error::{Error, Result};

/// `BertConfig` of transformers, absolute positions only.
pub fn spec(config: &Config) -> Result<EncoderSpec> {
    let kind = config.text_or("position_embedding_type", "absolute")?;
    if kind != "absolute" {
        return Err(Error::input(format!("use position embeddings of type `{kind}`"))
            .at(config.path())
            .with_hint("BERT models with `absolute` positions are supported"));
    }
    let hidden = config.count("hidden_size")?;
    let heads = config.count("num_attention_heads")?;
    if heads == 0 || hidden % heads != 0 {
        return Err(Error::input(format!("split {hidden} hidden values over {heads} heads")).at(config.path()));
    }
    Ok(EncoderSpec {
        vocab: config.count("vocab_size")?,
        hidden,
        intermediate: config.count("intermediate_size")?,
        layers: config.count("num_hidden_layers")?,
        heads,
        positions: config.count("max_position_embeddings")?,
        token_types: config.optional_count("type_vocab_size")?.unwrap_or(2),
        norm_eps: config.number_or("layer_norm_eps", 1e-12)? as f32,
        activation: Activation::parse(config.text_or("hidden_act", "gelu")?)?,
    })
}
