//! Flags of the logits processors: what goes before the choice of a token, over what the model's folder says of the same.

use crate::engine::{FileUse, ProcessorOptions};
use crate::error::Error;

/// Logits processors.
#[derive(clap::Args)]
#[command(next_help_heading = "Logits processors")]
pub struct ProcessorArgs {
    /// Divide logits of tokens that came before, the prompt's among them, by this where they are positive, multiply where
    /// they are negative; 1 changes nothing.
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    repetition_penalty: Option<f64>,
    /// Let no run of so many tokens come twice, the prompt's among them; 0 lets it.
    #[arg(long, value_name = "N")]
    no_repeat_ngram_size: Option<usize>,
    /// Let no answer end with an end token before it has so many tokens.
    #[arg(long, value_name = "N")]
    min_new_tokens: Option<usize>,
    /// Never choose these tokens; an empty list suppresses none.
    #[arg(long, value_name = "ID,…")]
    suppress_tokens: Option<Ids>,
    /// Begin no answer with these tokens.
    #[arg(long, value_name = "ID,…")]
    begin_suppress_tokens: Option<Ids>,
    /// Leave out the logits processors of the model's generation_config.json; its end tokens count all the same.
    #[arg(long)]
    ignore_generation_config: bool,
}

/// Token ids, separated by commas.
#[derive(Clone)]
struct Ids(Vec<u32>);

impl std::str::FromStr for Ids {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let ids = text.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::parse);
        ids.collect::<Result<_, _>>()
            .map(Self)
            .map_err(|_| Error::input(format!("`{text}` is not a list of token ids")))
    }
}

impl ProcessorArgs {
    /// What the flags ask for.
    pub fn options(&self) -> ProcessorOptions {
        ProcessorOptions {
            repetition_penalty: self.repetition_penalty,
            no_repeat_ngram_size: self.no_repeat_ngram_size,
            min_new_tokens: self.min_new_tokens,
            suppress_tokens: self.suppress_tokens.as_ref().map(|ids| ids.0.clone()),
            begin_suppress_tokens: self.begin_suppress_tokens.as_ref().map(|ids| ids.0.clone()),
            ..ProcessorOptions::default()
        }
    }

    /// Whether those of the model's folder count.
    pub fn file(&self) -> FileUse {
        if self.ignore_generation_config { FileUse::Ignore } else { FileUse::Apply }
    }
}
