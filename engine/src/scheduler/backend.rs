//! The seam between scheduling and arithmetic: what one step computes and what it answers, in plain vectors.
//!
//! A backend owns weights and KV pages. The scheduler decides which tokens go into a step and which pages belong to which
//! sequence; it never sees a tensor. A backend must give a row the same bits whatever other rows share its step.

use std::sync::Arc;

use crate::error::Result;
use crate::request::Sampling;
use crate::sampling::processors::{Processors, Progress};

/// What the scheduler must know of a model and its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Number of token ids.
    pub vocab: usize,
    /// Longest sequence in tokens, prompt and answer together.
    pub context: usize,
    /// Tokens per KV page.
    pub page_tokens: usize,
    /// KV pages that exist.
    pub pages: usize,
}

/// Consecutive tokens of one sequence in a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Position of the first token in its sequence.
    pub start: usize,
    /// Number of tokens.
    pub len: usize,
    /// The sequence's pages, in order of position; they cover `start + len` tokens.
    pub pages: Vec<u32>,
    /// The sequence's rotation, see [`Backend::rotation`].
    pub rotation: usize,
}

/// What to read from the model's output at one row of the step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Want {
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
    /// All logits.
    Logits,
}

/// A row of the step and what to read there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Read {
    /// Index into the step's tokens.
    pub row: usize,
    /// What to read.
    pub want: Want,
}

/// Logits processors between the row of a read, which chooses the next token, and that choice.
#[derive(Clone, Debug, PartialEq)]
pub struct Processing {
    /// Index into the step's reads.
    pub read: usize,
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

/// A token that a step takes from the step before it, which may not be read yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Index into the step's tokens; what stands there is not used.
    pub row: usize,
    /// Index into the reads of the step before, one that chooses the next token.
    pub read: usize,
}

/// The tokens of one pass through the model: segments back to back, no padding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Pages to copy before anything else, over all layers: from, to.
    pub copies: Vec<(u32, u32)>,
    /// Token ids of all segments.
    pub tokens: Vec<u32>,
    /// Tokens that the step before chooses; none where a backend does not run ahead.
    pub carried: Vec<Carried>,
    /// Whose tokens they are, in the same order.
    pub segments: Vec<Segment>,
    /// What to read, in ascending row order.
    pub reads: Vec<Read>,
    /// What goes before the choice, in ascending order of the reads; nothing for reads that have none.
    pub processing: Vec<Processing>,
}

/// The processing of a read, where it has any.
pub fn processing_of(processing: &[Processing], read: usize) -> Option<&Processing> {
    processing.binary_search_by_key(&read, |one| one.read).ok().map(|at| &processing[at])
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// The chosen token.
    Next(u32),
    /// The target's natural-log probability and whether it is the greedy choice.
    Score {
        /// ln p(target).
        logprob: f64,
        /// Whether the target has the highest logit (lowest id on ties).
        greedy: bool,
    },
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

    /// Computes one step; the answers come in the order of `step.reads`.
    ///
    /// # Errors
    /// Only what ends the whole run; a sequence that fails by itself is [`Seen::NotFinite`] or [`Seen::NothingLeft`].
    fn step(&mut self, step: &Step) -> Result<Vec<Seen>>;

    /// The same as a backend that computes while its caller does something else, if it is one.
    fn ahead(&mut self) -> Option<&mut dyn Ahead> {
        None
    }
}

/// A backend that computes while its caller does something else. Steps are computed one after the other.
pub trait Ahead {
    /// Gives it a step; at most two are not finished at a time.
    ///
    /// # Errors
    /// What ends the whole run.
    fn begin(&mut self, step: &Step) -> Result<()>;

    /// Waits for the oldest step that is not finished; the answers come in the order of its reads. A sequence whose token
    /// was taken over from one that failed by itself fails as well.
    ///
    /// # Errors
    /// What ends the whole run.
    fn finish(&mut self) -> Result<Vec<Seen>>;
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
