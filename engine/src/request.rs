//! What goes into the engine and what comes out: plain vectors and options, no tensors, no datasets.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::reading::Long;
use crate::sampling::processors::ProcessorOptions;

/// One chat message with everything its template may look at (`role`, `content`, `name`, `tool_calls`, …).
pub type Message = Map<String, Value>;

/// What the model is asked to continue.
#[derive(Clone, Debug, PartialEq)]
pub enum Prompt {
    /// Text; it gets the tokenizer's special tokens.
    Text(String),
    /// Token ids, used as they are.
    Ids(Vec<u32>),
    /// A conversation for the model's chat template; the rendered text gets no further special tokens.
    Messages {
        /// The conversation so far.
        messages: Vec<Message>,
        /// How the template renders it.
        chat: ChatOptions,
    },
}

/// How a conversation is rendered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChatOptions {
    /// What stands behind the last message.
    pub turn: Turn,
    /// Further variables of the template (`enable_thinking`, `tools`, …), which win over all others.
    pub kwargs: Arc<Map<String, Value>>,
}

/// What stands behind the last message of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Turn {
    /// The assistant's turn is opened (`add_generation_prompt`).
    #[default]
    Opened,
    /// Nothing.
    Closed,
    /// The last message is left open where this field of it ends, so that the model goes on with it
    /// (`continue_final_message`).
    Continued(String),
}

impl Turn {
    /// The field that is continued unless another is named.
    pub const CONTENT: &'static str = "content";

    /// The last message goes on.
    pub fn continued() -> Self {
        Self::Continued(Self::CONTENT.into())
    }
}

/// How the next token is chosen. The default is greedy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Softmax temperature; 0 means greedy.
    pub temperature: f64,
    /// Keep the smallest set of most probable tokens whose probabilities add up to this (1 keeps all).
    pub top_p: f64,
    /// Keep this many most probable tokens (0 keeps all).
    pub top_k: usize,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.0, top_p: 1.0, top_k: 0 }
    }
}

/// Whether the logits processors of a model folder are applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileUse {
    /// They are, where nothing else is asked.
    #[default]
    Apply,
    /// They are not. End tokens are taken from it all the same.
    Ignore,
}

impl FileUse {
    /// Whether it is the default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Everything that shapes one generated answer besides the prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerateOptions {
    /// Stop after this many new tokens.
    pub max_new_tokens: usize,
    /// Do not stop at the model's end-of-sequence tokens.
    pub ignore_eos: bool,
    /// How the next token is chosen.
    pub sampling: Sampling,
    /// Seed of the counter-based generator.
    pub seed: u64,
    /// Strings that end the answer; the answer does not contain them.
    pub stop: Vec<String>,
    /// Logits processors, over those of the model's folder.
    #[serde(default, skip_serializing_if = "ProcessorOptions::is_empty")]
    pub processors: ProcessorOptions,
    /// Whether those of the folder count.
    #[serde(default, skip_serializing_if = "FileUse::is_default")]
    pub generation_config: FileUse,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            max_new_tokens: 256,
            ignore_eos: false,
            sampling: Sampling::default(),
            seed: 0,
            stop: Vec::new(),
            processors: ProcessorOptions::default(),
            generation_config: FileUse::default(),
        }
    }
}

/// Names the random numbers of one answer, independently of slot and order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CaseKey {
    /// Dataset name; empty for the engine commands.
    pub dataset: String,
    /// Case id.
    pub case: String,
    /// Repeat of the same case, from 0.
    pub repeat: u32,
}

/// One answer to generate.
#[derive(Clone, Debug)]
pub struct Request {
    /// What to continue.
    pub prompt: Prompt,
    /// How to continue it.
    pub options: GenerateOptions,
    /// Whose random numbers to use.
    pub key: CaseKey,
    /// What the answer may be, an earlier run's perhaps: a guess that changes speed only.
    pub draft: Vec<u32>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// A stop string was met.
    Stop,
    /// The model ended its turn.
    Eos,
    /// `max_new_tokens` or the context was used up.
    Length,
    /// The case failed; see the error text.
    Error,
}

/// One generated answer, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The decoded answer without special tokens and without the stop string.
    pub text: String,
    /// The generated ids without eos and stop tokens.
    pub ids: Vec<u32>,
    /// Why it ended.
    pub finish: Finish,
    /// Number of prompt tokens.
    pub prompt_tokens: usize,
    /// SHA-256 (hex) over the prompt's token ids: what the model really saw.
    pub prompt_hash: String,
    /// What went wrong, when `finish` is [`Finish::Error`].
    pub error: Option<String>,
    /// The prompt ended with the start of a thought, so that the answer begins within one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub thought_opened: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// A log-probability question.
#[derive(Clone, Debug, PartialEq)]
pub enum Scored {
    /// Score every token after the first.
    Ids(Vec<u32>),
    /// Score the continuation given the context; encoded together and split as lm-evaluation-harness does.
    Pair {
        /// The text before.
        context: String,
        /// The text whose probability is asked for.
        continuation: String,
    },
    /// Score each of several continuations of one context, each as a [`Scored::Pair`] and with its bits. The context is computed
    /// once, and one row of it gives the first token of every continuation.
    Choices {
        /// The text before.
        context: String,
        /// The texts whose probabilities are asked for; at least one.
        continuations: Vec<String>,
    },
    /// Score every token of a text of any length. A text longer than the model's context is read in windows that follow one
    /// another, each behind at least one token of what came before, as lm-evaluation-harness does (`loglikelihood_rolling`).
    Rolling(String),
    /// Several questions that are answered together, their answers one behind the other: none of them is left for later.
    Several(Vec<Scored>),
}

/// The answer to a [`Scored`] question, or to one of its continuations.
#[derive(Clone, Debug, PartialEq)]
pub struct LogProb {
    /// Sum of natural-log probabilities over the scored tokens.
    pub logprob: f64,
    /// Number of scored tokens.
    pub tokens: usize,
    /// Whether every scored token is the model's greedy choice.
    pub greedy: bool,
}

/// How token vectors become one sentence vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// Mean over all tokens.
    Mean,
    /// The first token.
    Cls,
    /// The last token.
    Last,
    /// The largest value over all tokens.
    Max,
    /// Sum over all tokens, divided by the square root of their number.
    MeanSqrtLen,
    /// Mean in which a token weighs its place, counted from one.
    WeightedMean,
}

/// One text for an encoder, with its second half for pair classifiers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TextInput {
    /// The text.
    pub text: String,
    /// The second text of a pair.
    pub text_pair: Option<String>,
    /// What becomes of it where it is longer than the model reads.
    pub long: Long,
}

/// Probabilities per label in the model's label order.
#[derive(Clone, Debug, PartialEq)]
pub struct Classification {
    /// `(label, probability)` in the order of `id2label`.
    pub scores: Vec<(String, f32)>,
    /// Raw logits in the same order.
    pub logits: Vec<f32>,
}
