//! From a prompt to the tokens that the model sees, without any weights.

use super::chat::{ChatTemplate, Clock};
use super::identity::ModelFolder;
use super::request::{Prompt, Scored};
use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};

/// Tokenizer and chat template of a model.
pub struct Renderer {
    tokenizer: Tokenizer,
    chat: Option<ChatTemplate>,
    clock: Clock,
}

/// What the model sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The text before tokenization; for ids, what they decode to, special tokens included.
    pub text: String,
    /// The token ids.
    pub ids: Vec<u32>,
}

/// A text whose probability is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// All tokens.
    pub ids: Vec<u32>,
    /// Index of the first scored token.
    pub from: usize,
}

impl Renderer {
    /// Reads tokenizer and chat template of a model folder. `clock` is what `strftime_now` shows.
    ///
    /// # Errors
    /// Missing or broken files.
    pub fn open(folder: &ModelFolder, clock: Clock) -> Result<Self> {
        Ok(Self { tokenizer: Tokenizer::from_folder(folder)?, chat: ChatTemplate::from_folder(folder)?, clock })
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Whether messages can be rendered.
    pub fn has_chat_template(&self) -> bool {
        self.chat.is_some()
    }

    /// Text and ids of a prompt: text gets the tokenizer's special tokens, a rendered chat does not.
    ///
    /// # Errors
    /// The template refuses the messages, or there is none.
    pub fn render(&self, prompt: &Prompt) -> Result<Rendered> {
        match prompt {
            Prompt::Ids(ids) => {
                let text = self.tokenizer.decode(ids, false)?;
                Ok(Rendered { text, ids: ids.clone() })
            }
            Prompt::Text(text) => Ok(Rendered { ids: self.tokenizer.encode(text, true)?, text: text.clone() }),
            Prompt::Messages { messages, add_generation_prompt } => {
                let Some(chat) = &self.chat else {
                    return Err(Error::input("render messages for a model without a chat template")
                        .with_hint("add chat_template.jinja to the model folder, or give `prompt` instead"));
                };
                let text = chat.render(messages, *add_generation_prompt, &self.clock)?;
                Ok(Rendered { ids: self.tokenizer.encode(&text, false)?, text })
            }
        }
    }

    /// The ids of a prompt alone; ids are not decoded.
    ///
    /// # Errors
    /// As for [`Renderer::render`].
    pub fn ids(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        match prompt {
            Prompt::Ids(ids) => Ok(ids.clone()),
            other => Ok(self.render(other)?.ids),
        }
    }

    /// Tokens and the first scored one, as lm-evaluation-harness splits them (`_encode_pair` and `loglikelihood`): spaces
    /// at the end of the context belong to the continuation, both are encoded together, and an empty context is the
    /// model's first special token.
    ///
    /// # Errors
    /// The texts cannot be encoded, or there is no token to start an empty context with.
    pub fn split(&self, scored: &Scored) -> Result<Split> {
        let (context, continuation) = match scored {
            Scored::Ids(ids) => return Ok(Split { ids: ids.clone(), from: 1 }),
            Scored::Pair { context, continuation } => (context, continuation),
        };
        if context.is_empty() {
            let Some(first) = self.tokenizer.bos_id().or(self.tokenizer.eos_id()) else {
                return Err(Error::input("score a continuation of an empty context")
                    .with_hint("the tokenizer has neither a bos nor an eos token to start from; give a context"));
            };
            let ids = [&[first], &self.tokenizer.encode(continuation, false)?[..]].concat();
            return Ok(Split { ids, from: 1 });
        }
        let mut ids = self.tokenizer.encode(context.trim_end(), true)?;
        let whole = self.tokenizer.encode(&format!("{context}{continuation}"), true)?;
        let from = ids.len();
        // Where a token spans the border, the context keeps its own tokens, as it does there.
        ids.extend(whole.into_iter().skip(from));
        Ok(Split { ids, from })
    }
}
