//! What a case asks of a model, before it is tokenized.

use super::transcript::transcript;
use crate::engine::Prompt;

/// What a case asks of the model.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// An answer to a prompt.
    Answer(Prompt),
    /// The log-likelihoods of continuations of one prompt.
    Choices {
        /// What stands before each of them.
        context: Prompt,
        /// With what separates them from it; at least one.
        continuations: Vec<String>,
    },
    /// The log-likelihoods of texts, each behind its own prompt.
    Contexts(Vec<(Prompt, String)>),
    /// The log-likelihood of a whole text.
    Document(String),
}

impl Question {
    /// What stands before the words that are generated or scored; the first of several. None for a document.
    pub fn context(&self) -> Option<&Prompt> {
        match self {
            Self::Answer(prompt) | Self::Choices { context: prompt, .. } => Some(prompt),
            Self::Contexts(pairs) => pairs.first().map(|(prompt, _)| prompt),
            Self::Document(_) => None,
        }
    }

    /// As people read it: what stands before the words that are generated or scored.
    pub fn transcript(&self) -> String {
        match self {
            Self::Answer(prompt) | Self::Choices { context: prompt, .. } => transcript(prompt),
            Self::Contexts(pairs) => pairs.first().map(|(prompt, _)| transcript(prompt)).unwrap_or_default(),
            Self::Document(text) => text.clone(),
        }
    }
}
