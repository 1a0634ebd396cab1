//! RoBERTa and XLM-RoBERTa: BERT with positions that begin after the padding token's and a head of its own.

use super::{Config, bert};
use crate::error::{Error, Result};
use crate::models::encoder_spec::Names;
use crate::models::encoder_spec::{ClassifierSpec, EncoderSpec, Learned};

/// `RobertaConfig` and `XLMRobertaConfig` of transformers, whose tokenizers give no segments.
pub fn spec(config: &Config) -> Result<EncoderSpec> {
    let padding = config.optional_count("pad_token_id")?.unwrap_or(1);
    let token_types = config.optional_count("type_vocab_size")?.unwrap_or(2);
    let names = Names { prefix: "roberta.", ..bert::NAMES };
    Ok(EncoderSpec { names, token_types, ..after_padding(config, padding)? })
}

/// A BERT whose positions begin after row `padding`, with the head of `RobertaClassificationHead`.
pub fn after_padding(config: &Config, padding: usize) -> Result<EncoderSpec> {
    let base = bert::base(config, &bert::KEYS)?;
    let (Some(positions @ 1..), Ok(row)) = (base.positions.checked_sub(padding + 1), u32::try_from(padding)) else {
        return Err(
            Error::input(format!("positions begin after row {padding}, of {} rows", base.positions)).at(config.path())
        );
    };
    let classifier = ClassifierSpec { dense: "classifier.dense", output: "classifier.out_proj", ..base.classifier };
    Ok(EncoderSpec { positions, learned: Learned::After(row), classifier, ..base })
}
