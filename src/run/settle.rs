//! From an answer to what the record holds of it, before any score.

use std::borrow::Cow;

use super::outbox::{Answer, ScoredAnswer};
use super::recorded_line::RecordedLine;
use crate::dataset::Sample;
use crate::engine::{Finish, Response};
use crate::prompt::Builder;
use crate::score::Likelihoods;

/// An answer in the fields of a result line.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Settled {
    pub prompt_hash: Option<String>,
    pub output: Option<String>,
    pub output_ids: Option<Vec<u32>>,
    pub finish: Option<Finish>,
    pub prompt_tokens: Option<u64>,
    pub timestamp: Option<String>,
    /// The prompt ended with the start of a thought.
    pub thought_opened: bool,
    pub likelihoods: Option<Likelihoods>,
    pub error: Option<String>,
}

impl Settled {
    /// What there is to say of an answer.
    pub fn new(answer: Answer, sample: &Sample, prompt: &Builder) -> Self {
        match answer {
            Answer::Generated(response) => Self::generated(response),
            Answer::Scored(scored) => Self::scored(scored, sample),
            Answer::Recorded(line) => Self::recorded(line, sample, prompt),
            Answer::Unasked(reason) => Self::failed(reason),
        }
    }

    fn failed(reason: String) -> Self {
        Self { finish: Some(Finish::Error), error: Some(reason), ..Self::default() }
    }

    fn generated(response: Response) -> Self {
        let Response { text, ids, finish, prompt_tokens, prompt_hash, error, thought_opened } = response;
        let failed = finish == Finish::Error || error.is_some();
        Self {
            prompt_hash: Some(prompt_hash).filter(|hash| !hash.is_empty()),
            output: (!failed).then_some(text),
            output_ids: (!failed).then_some(ids),
            finish: Some(finish),
            prompt_tokens: Some(prompt_tokens as u64).filter(|tokens| *tokens > 0),
            timestamp: None,
            thought_opened: thought_opened && !failed,
            likelihoods: None,
            error: failed.then(|| error.unwrap_or_else(|| "the answer ended in an error".into())),
        }
    }

    fn scored(scored: ScoredAnswer, sample: &Sample) -> Self {
        let ScoredAnswer { outcome, hash } = scored;
        let settled = Self { prompt_hash: Some(hash), ..Self::default() };
        match outcome {
            Err(reason) => Self { finish: Some(Finish::Error), error: Some(reason), ..settled },
            Ok(likelihoods) => {
                // What a model that had to choose would answer: scorers of answers look at it.
                let output = match &likelihoods {
                    Likelihoods::Choice(choice) => sample.choices.get(choice.picked).cloned(),
                    Likelihoods::Continuation(_) | Likelihoods::Document(_) => None,
                };
                Self { output, likelihoods: Some(likelihoods), ..settled }
            }
        }
    }

    fn recorded(line: Option<String>, sample: &Sample, prompt: &Builder) -> Self {
        // As for a model with a chat template, as the linter does: which model answered is not known.
        let prompt_hash = match prompt.digest(sample, true) {
            Ok(digest) => Some(digest),
            Err(error) => return Self::failed(error.chain()),
        };
        let line = match line.as_deref().map(RecordedLine::parse) {
            Some(Err((error, _))) => return Self { prompt_hash, ..Self::failed(error.chain()) },
            // The index holds hashes: a case without an answer may meet the line of another.
            Some(Ok(line)) if line.id == sample.id => line,
            None | Some(Ok(_)) => return Self { prompt_hash, ..Self::failed("no recorded answer".into()) },
        };
        let RecordedLine { output, output_ids, finish, prompt_tokens, timestamp, thought_opened, error, .. } = line;
        match error {
            Some(error) => Self { prompt_hash, prompt_tokens, timestamp, ..Self::failed(error) },
            None => Self {
                prompt_hash,
                output: output.map(Cow::into_owned),
                output_ids,
                finish,
                prompt_tokens,
                timestamp,
                thought_opened,
                likelihoods: None,
                error: None,
            },
        }
    }
}
