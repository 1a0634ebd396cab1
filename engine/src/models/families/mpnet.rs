//! MPNet: RoBERTa without segments, with a number per bucket of distances on every score.

use super::{Config, bert, roberta};
use crate::cpu::relative::{BUCKETS, RelativeBias};
use crate::error::{Error, Result};
use crate::models::encoder_spec::EncoderSpec;
use crate::models::encoder_spec::Names;

const NAMES: Names = Names {
    prefix: "mpnet.",
    query_key_value: &["attention.attn.q", "attention.attn.k", "attention.attn.v"],
    output: "attention.attn.o",
    attention_norm: "attention.LayerNorm",
    ..bert::NAMES
};

/// The padding token that `MPNetEmbeddings` counts from, whatever the configuration says.
const PADDING: usize = 1;

/// `MPNetConfig` of transformers.
pub fn spec(config: &Config) -> Result<EncoderSpec> {
    let rows = config.optional_count("relative_attention_num_buckets")?.unwrap_or(BUCKETS);
    if rows < BUCKETS {
        return Err(Error::input(format!("{rows} buckets of relative positions are not supported"))
            .at(config.path())
            .with_hint(format!("transformers computes {BUCKETS} buckets: fewer rows have none for some distances")));
    }
    Ok(EncoderSpec { names: NAMES, relative: RelativeBias::Buckets(rows), ..roberta::after_padding(config, PADDING)? })
}
