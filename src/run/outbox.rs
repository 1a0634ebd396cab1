//! Answered cases on their way to the scoring thread, in chunks.

use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, TrySendError};

use serde::{Deserialize, Serialize};

use super::cases::Case;
use crate::dataset::Sample;
use crate::engine::Response;
use crate::error::{Error, Kind, Result};
use crate::score::Likelihoods;

/// A case with its answer.
pub(super) struct Answered {
    /// Index of the dataset in the plan.
    pub dataset: usize,
    pub sample: Sample,
    /// Which of the case's answers.
    pub repeat: u32,
    pub answer: Answer,
}

/// What became of a case before scoring.
pub(super) enum Answer {
    /// The generator's response, which may be an error.
    Generated(Response),
    /// Log-likelihoods.
    Scored(ScoredAnswer),
    /// The line of the recorded answer as it stands in the file, if there is one.
    Recorded(Option<String>),
    /// It was never asked, and why.
    Unasked(String),
}

/// What came of asking for log-likelihoods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct ScoredAnswer {
    /// What they are, or why there are none.
    pub outcome: std::result::Result<Likelihoods, String>,
    /// SHA-256 (hex) of what was asked: prompts and what stands behind them.
    pub hash: String,
}

/// Generated answers go at once when scoring waits for work and there are this many, …
pub(super) const SMALLEST: usize = 32;
/// … and all at the latest when there are this many: texts of one chunk are deduplicated and packed together.
pub(super) const LARGEST: usize = 2048;

/// Gathers answers and hands them over.
pub(super) struct Outbox {
    sender: SyncSender<Vec<Answered>>,
    smallest: usize,
    chunk: Vec<Answered>,
}

impl Outbox {
    /// Hands over at least `smallest` answers at a time, except the last ones.
    pub fn new(sender: SyncSender<Vec<Answered>>, smallest: usize) -> Self {
        Self { sender, smallest, chunk: Vec::new() }
    }

    /// Takes an answer; waits when scoring is far behind.
    pub fn push(&mut self, answered: Answered) -> Result<()> {
        self.chunk.push(answered);
        if self.chunk.len() >= LARGEST {
            return self.flush();
        }
        if self.chunk.len() >= self.smallest {
            match self.sender.try_send(std::mem::take(&mut self.chunk)) {
                Ok(()) => {}
                Err(TrySendError::Full(chunk)) => self.chunk = chunk,
                Err(TrySendError::Disconnected(_)) => return Err(stopped()),
            }
        }
        Ok(())
    }

    /// Hands over what there is.
    pub fn flush(&mut self) -> Result<()> {
        if self.chunk.is_empty() {
            Ok(())
        } else {
            self.sender.send(std::mem::take(&mut self.chunk)).map_err(|_| stopped())
        }
    }
}

/// Cases that need not be asked, on their way to scoring past the engine.
pub(super) struct Unasked(Mutex<Outbox>);

impl Unasked {
    /// On their way to this receiver.
    pub fn new(sender: SyncSender<Vec<Answered>>) -> Self {
        Self(Mutex::new(Outbox::new(sender, SMALLEST)))
    }

    /// Takes a case with what is known of it. Waiting here is what bounds memory where there are many.
    pub fn push(&self, case: Case, answer: Answer) -> Result<()> {
        let Case { dataset, sample, repeat } = case;
        self.0.lock().map_err(|_| broken())?.push(Answered { dataset, sample, repeat, answer })
    }

    /// Hands over what is left.
    pub fn finish(self) -> Result<()> {
        self.0.into_inner().map_err(|_| broken())?.flush()
    }
}

fn broken() -> Error {
    Error::internal("failed to hand over a case that is not asked")
}

/// The scoring thread's own error is the one that is shown.
fn stopped() -> Error {
    Error::new(Kind::Incomplete, "failed to score the answers: scoring has stopped")
}
