//! The seam between scheduling and arithmetic: what one step computes and what it answers, in plain vectors.
//!
//! A backend owns weights and KV blocks. The scheduler decides which tokens go into a step and which blocks belong to which
//! sequence; it never sees a tensor. A backend must give a row the same bits whatever other rows share its step.

use std::sync::Arc;

use crate::error::Result;
use crate::request::Sampling;
use crate::sampling::TokenLogProb;
use crate::sampling::processors::{Processors, Progress};

/// What the scheduler must know of a model and its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Number of token ids.
    pub vocab: usize,
    /// Longest sequence in tokens, prompt and answer together.
    pub context: usize,
    /// Tokens per KV block.
    pub block_size: usize,
    /// KV blocks that exist.
    pub blocks: usize,
}

/// Consecutive tokens of one sequence in a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Position of the first token in its sequence.
    pub start: usize,
    /// Number of tokens.
    pub len: usize,
    /// The sequence's blocks, in order of position; they cover `start + len` tokens.
    pub blocks: Vec<u32>,
    /// The sequence's rotation, see [`Backend::rotation`].
    pub rotation: usize,
}

/// What a step gives for one of its rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OutputKind {
    /// Choose the next token.
    Next {
        /// How.
        sampling: Sampling,
        /// Stream of random numbers (see `sampler::stream_key`).
        key: u64,
        /// Index of the token in its answer, the counter of the stream.
        position: u32,
    },
    /// The natural-log probability of this token.
    Score {
        /// The token that follows in the scored text.
        target: u32,
    },
    /// The natural-log probabilities of several tokens, as they stand in the step's `targets`.
    Candidates {
        /// Index of the first.
        first: usize,
        /// How many.
        count: usize,
    },
    /// All logits.
    Logits,
}

/// An output request: a row of the step and what the step gives for it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutputRequest {
    /// Index into the step's tokens.
    pub row: usize,
    /// What it gives.
    pub kind: OutputKind,
}

/// Logits processors between the row of an output request, which chooses the next token, and that choice.
#[derive(Clone, Debug, PartialEq)]
pub struct Processing {
    /// Index into the step's output requests.
    pub output: usize,
    /// What they do.
    pub processors: Arc<Processors>,
    /// The sequence's tokens, and guesses behind them.
    pub tokens: Arc<[u32]>,
    /// How many of those stand before the token that is chosen.
    pub len: usize,
    /// How many of those are the prompt.
    pub prompt: usize,
    /// Most tokens of the answer.
    pub max_new_tokens: usize,
}

impl Processing {
    /// Changes the row of logits.
    pub fn apply(&self, row: &mut [f32]) {
        let Self { processors, tokens, len, prompt, max_new_tokens, .. } = self;
        let tokens = &tokens[..*len];
        processors.apply(row, Progress { tokens, prompt: *prompt, max_new_tokens: *max_new_tokens });
    }
}

/// A token that a step takes from the step before it, which may still be in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeferredToken {
    /// Index into the step's tokens; what stands there is not used.
    pub row: usize,
    /// Index into the output requests of the step before, one that chooses the next token.
    pub output: usize,
}

/// The tokens of one pass through the model: segments back to back, no padding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Blocks to copy before anything else, over all layers: from, to.
    pub copies: Vec<(u32, u32)>,
    /// Token ids of all segments.
    pub tokens: Vec<u32>,
    /// Tokens that the step before chooses; none unless the backend is asynchronous.
    pub deferred: Vec<DeferredToken>,
    /// Whose tokens they are, in the same order.
    pub segments: Vec<Segment>,
    /// Candidates of the output requests that have any.
    pub targets: Vec<u32>,
    /// Output requests, in ascending row order.
    pub outputs: Vec<OutputRequest>,
    /// What goes before the choice, in ascending order of the output requests; nothing for those that have none.
    pub processing: Vec<Processing>,
}

/// The processing of an output request, where it has any.
pub fn processing_of(processing: &[Processing], output: usize) -> Option<&Processing> {
    processing.binary_search_by_key(&output, |one| one.output).ok().map(|at| &processing[at])
}

/// What a step gave for an output request.
#[derive(Clone, Debug, PartialEq)]
pub enum StepOutput {
    /// The chosen token.
    Next(u32),
    /// The target's natural-log probability and whether it is the greedy choice.
    Score {
        /// ln p(target).
        logprob: f64,
        /// Whether the target has the highest logit (lowest id on ties).
        greedy: bool,
    },
    /// The log-probabilities of the candidates, in their order.
    Candidates(Vec<TokenLogProb>),
    /// All logits of the row.
    Logits(Vec<f32>),
    /// The row holds NaN or positive infinity: the sequence failed.
    NotFinite,
    /// Logits processors leave no token to choose: the sequence failed.
    NothingLeft,
}

/// A generator's arithmetic.
pub trait Backend: Send {
    /// Sizes.
    fn shape(&self) -> Shape;

    /// What the rotary angles of a sequence depend on that may come to hold `length` tokens, where the model's depend on
    /// that. Sequences of unequal rotations have nothing in common.
    fn rotation(&self, length: usize) -> usize {
        let _ = length;
        0
    }

    /// Whether it computes one sequence at a time, each from its first token to its last: no other is in flight then, no
    /// beginning is shared and no token is guessed.
    fn one_by_one(&self) -> bool {
        false
    }

    /// Computes one step; step outputs come in the order of `step.outputs`.
    ///
    /// # Errors
    /// Only what ends the whole run; a sequence that fails by itself is [`StepOutput::NotFinite`] or [`StepOutput::NothingLeft`].
    fn step(&mut self, step: &Step) -> Result<Vec<StepOutput>>;

    /// The same as an asynchronous backend, if it is one.
    fn as_async(&mut self) -> Option<&mut dyn AsyncBackend> {
        None
    }
}

/// A backend that computes while its caller does something else. Steps are computed one after the other.
pub trait AsyncBackend {
    /// Gives it a step; at most two are not finished at a time.
    ///
    /// # Errors
    /// What ends the whole run.
    fn begin(&mut self, step: &Step) -> Result<()>;

    /// Waits for the oldest step that is not finished; step outputs come in the order of its requests. A sequence whose token
    /// was taken over from one that failed by itself fails as well.
    ///
    /// # Errors
    /// What ends the whole run.
    fn finish(&mut self) -> Result<Vec<StepOutput>>;
}

/// One text for an encoder, as the tokenizer made it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Token ids with special tokens.
    pub ids: Vec<u32>,
    /// Segment ids of pair inputs, same length.
    pub types: Vec<u32>,
    /// Tokens at the beginning, those of a prompt, that averages leave out.
    pub skipped: usize,
}

/// An encoder's arithmetic: packed texts in, one row of values per text out.
pub trait EncoderBackend: Send {
    /// Values per text: hidden size, or number of labels.
    fn width(&self) -> usize;

    /// Token vectors pooled to one per text, or logits, in the order of the texts.
    ///
    /// # Errors
    /// What ends the whole run.
    fn encode(&mut self, texts: &[&Encoded]) -> Result<Vec<Vec<f32>>>;
}
