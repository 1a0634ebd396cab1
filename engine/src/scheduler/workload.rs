//! What there is to do, what came of it, and who asks: what the scheduler takes and gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::draft::Draft;
use crate::error::{Error, Result};
use crate::request::{Finish, Sampling};
use crate::sampling::TokenLogProb;
use crate::sampling::processors::Processors;

/// Ends an answer: looks at every chosen token.
pub trait Watcher: Send {
    /// Whether the answer ends with this token.
    fn ends(&mut self, token: u32) -> bool;

    /// What the answer is, given all chosen tokens.
    ///
    /// # Errors
    /// The tokens cannot be decoded.
    fn close(self: Box<Self>, tokens: Vec<u32>) -> Result<Closed>;
}

/// What an answer is in the end.
pub struct Closed {
    /// The text without special tokens and without the stop string.
    pub text: String,
    /// The ids without the end token and without those that carry a part of the stop string.
    pub ids: Vec<u32>,
    /// Why it ended.
    pub finish: Finish,
}

/// What is to be done with a sequence.
pub enum Goal {
    /// Continue it.
    Generate {
        /// Most tokens to choose.
        max_new_tokens: usize,
        /// How to choose.
        sampling: Sampling,
        /// What goes before the choice; `None` where nothing does.
        processors: Option<Arc<Processors>>,
        /// Stream of random numbers.
        key: u64,
        /// What the answer may be.
        draft: Draft,
        /// Looks at every chosen token.
        watcher: Box<dyn Watcher>,
    },
    /// Log-probabilities of the tokens from this index on: at least 1, and one at least is left.
    Score {
        /// Index of the first scored token.
        from: usize,
    },
    /// Log-probabilities of several tokens that may come next, all read from the row of the last token.
    Candidates {
        /// The tokens; at least one.
        targets: Vec<u32>,
    },
    /// All logits after the last token.
    Logits,
}

/// One sequence of the workload.
pub struct Work {
    /// Its tokens; not empty.
    pub tokens: Vec<u32>,
    /// What to do.
    pub goal: Goal,
    /// Works of one group share their beginning, and follow one another: they go to one GPU.
    pub group: Option<u64>,
    /// Tokens of the longest of its group, by which all of them wait; 0 without a group. A question whose short sequences waited for the
    /// end would be lost with an interruption.
    pub rank: usize,
}

impl Work {
    /// A sequence that belongs to no group.
    pub fn new(tokens: Vec<u32>, goal: Goal) -> Self {
        Self { tokens, goal, group: None, rank: 0 }
    }

    /// What it waits by: the longest goes first.
    pub(crate) fn order(&self) -> usize {
        self.longest().max(self.rank)
    }

    /// Tokens that it may come to need in the cache: the last chosen token is never computed.
    pub(crate) fn longest(&self) -> usize {
        match &self.goal {
            Goal::Generate { max_new_tokens, .. } => self.tokens.len() + max_new_tokens.saturating_sub(1),
            Goal::Score { .. } => self.tokens.len() - 1,
            Goal::Candidates { .. } | Goal::Logits => self.tokens.len(),
        }
    }

    /// Tokens that it may come to have, known and chosen.
    pub(crate) fn grown(&self) -> usize {
        match &self.goal {
            Goal::Generate { max_new_tokens, .. } => self.tokens.len() + max_new_tokens,
            Goal::Score { .. } | Goal::Candidates { .. } | Goal::Logits => self.tokens.len(),
        }
    }

    /// How many of its first tokens are computed for sure, and how many of those nothing is read from.
    pub(crate) fn prompt(&self) -> (usize, usize) {
        let len = self.tokens.len();
        match self.goal {
            Goal::Generate { .. } | Goal::Candidates { .. } | Goal::Logits => (len, len - 1),
            Goal::Score { from } => (len - 1, from.saturating_sub(1).min(len - 1)),
        }
    }
}

/// What came of it.
pub enum Outcome {
    /// The chosen tokens (with the one that ended the answer, if any) and the watcher that saw them.
    Generated {
        /// Chosen tokens.
        tokens: Vec<u32>,
        /// The watcher, with what it learned.
        watcher: Box<dyn Watcher>,
    },
    /// The log-probabilities of the scored tokens in order, or of the candidates in theirs.
    Scored(Vec<TokenLogProb>),
    /// All logits after the last token.
    Logits(Vec<f32>),
    /// The sequence failed; the text says why.
    Failed(String),
}

/// What the scheduler did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests answered.
    pub finished: u64,
    /// Requests whose answer was known from an earlier run, and which the scheduler never saw.
    pub cached: u64,
    /// Steps computed.
    pub steps: u64,
    /// Prompt and scored tokens computed.
    pub prefill_tokens: u64,
    /// Prompt and scored tokens that were not, since an earlier sequence began alike.
    pub shared_tokens: u64,
    /// Tokens chosen.
    pub generated_tokens: u64,
    /// Guessed tokens computed beside them.
    pub drafted_tokens: u64,
    /// Guesses that were right: chosen tokens that needed no step of their own.
    pub accepted_tokens: u64,
    /// Most sequences in flight.
    pub peak_sequences: usize,
    /// Most blocks in use by sequences.
    pub peak_blocks: usize,
}

impl Totals {
    /// What two schedulers did at once.
    pub(crate) fn beside(&self, other: &Self) -> Self {
        Self {
            finished: self.finished + other.finished,
            cached: self.cached + other.cached,
            steps: self.steps + other.steps,
            prefill_tokens: self.prefill_tokens + other.prefill_tokens,
            shared_tokens: self.shared_tokens + other.shared_tokens,
            generated_tokens: self.generated_tokens + other.generated_tokens,
            drafted_tokens: self.drafted_tokens + other.drafted_tokens,
            accepted_tokens: self.accepted_tokens + other.accepted_tokens,
            peak_sequences: self.peak_sequences + other.peak_sequences,
            peak_blocks: self.peak_blocks + other.peak_blocks,
        }
    }
}

/// Where work comes from and answers go.
pub trait RequestSource {
    /// The next sequence, `Ok(None)` if there is none now; with `wait`, `None` means there is none any more. `Err` in the
    /// inner result is a request that failed before it reached the engine.
    ///
    /// # Errors
    /// What ends the whole run.
    fn next(&mut self, wait: bool) -> Result<Option<std::result::Result<Work, String>>>;

    /// The answer to the request that [`RequestSource::next`] gave as number `index`, from 0. Answers come as they end, those of a step
    /// before the next one is planned; the newest request is less than a window ahead of the oldest unanswered one.
    ///
    /// # Errors
    /// What ends the whole run.
    fn done(&mut self, index: u64, outcome: Outcome) -> Result<()>;

    /// Called after each step, behind its answers.
    ///
    /// # Errors
    /// What ends the whole run, such as an interruption.
    fn stepped(&mut self, totals: &Totals) -> Result<()>;
}

/// Work that is all there from the beginning, and what came of it.
pub(crate) struct List {
    work: std::vec::IntoIter<Work>,
    outcomes: BTreeMap<u64, Outcome>,
}

impl List {
    pub fn new(work: Vec<Work>) -> Self {
        Self { work: work.into_iter(), outcomes: BTreeMap::new() }
    }

    /// What came of it, in the order of the work.
    pub fn into_outcomes(self) -> Vec<Outcome> {
        self.outcomes.into_values().collect()
    }
}

impl RequestSource for List {
    fn next(&mut self, _wait: bool) -> Result<Option<std::result::Result<Work, String>>> {
        Ok(self.work.next().map(Ok))
    }

    fn done(&mut self, index: u64, outcome: Outcome) -> Result<()> {
        match self.outcomes.insert(index, outcome) {
            None => Ok(()),
            Some(_) => Err(Error::internal("failed to answer a request once")),
        }
    }

    fn stepped(&mut self, _totals: &Totals) -> Result<()> {
        Ok(())
    }
}
