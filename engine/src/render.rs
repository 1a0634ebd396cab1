//! From a prompt to the tokens that the model sees, without any weights.

use crate::chat::notes::ChatNotes;
use crate::chat::{ChatTemplate, Clock, OddRole, odd_role};
use crate::error::{Error, Result};
use crate::models::families;
use crate::models::model_folder::ModelFolder;
use crate::request::Prompt;
use crate::tokenizer::Tokenizer;

/// Tokenizer and chat template of a model.
pub struct Renderer {
    tokenizer: Tokenizer,
    chat: Option<ChatTemplate>,
    clock: Clock,
    notes: ChatNotes,
    /// Tokens of the longest text that the model reads, where its configuration says so.
    context: Option<usize>,
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
        let tokenizer = Tokenizer::from_folder(folder)?;
        let chat = ChatTemplate::from_folder(folder, tokenizer.special_tokens())?;
        // Whether the configuration is one of a generator is for others to say.
        let config = families::Config::read(folder).ok();
        let context = config.and_then(|config| families::decoder_sizes(&config)).map(|(_, context)| context);
        Ok(Self { tokenizer, chat, clock, notes: ChatNotes::default(), context })
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Whether messages can be rendered.
    pub fn has_chat_template(&self) -> bool {
        self.chat.is_some()
    }

    /// Whether the chat template holds a text, the marker of a thought say.
    pub fn mentions(&self, text: &str) -> bool {
        self.chat.as_ref().is_some_and(|chat| chat.source().contains(text))
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
            _ => {
                let text = self.text(prompt)?;
                let ids = self.tokenized(&text, matches!(prompt, Prompt::Text(_)))?;
                self.notes.see_ids(&ids, self.tokenizer.bos_id());
                Ok(Rendered { text, ids })
            }
        }
    }

    /// The ids of a text. One that is far longer than the model reads fails before it is tokenized: that takes hundreds of bytes
    /// of memory for each of a text.
    fn tokenized(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>> {
        if let Some(context) = self.context
            && self.tokenizer.far_exceeds(text, context)?
        {
            let bytes = text.len();
            return Err(Error::input(format!(
                "the prompt (more than {context} tokens, {bytes} bytes) exceeds the model's context ({context} tokens)"
            )));
        }
        self.tokenizer.encode(text, add_special_tokens)
    }

    /// The text of a prompt before tokenization; for ids, what they decode to.
    ///
    /// # Errors
    /// As for [`Renderer::render`].
    pub fn text(&self, prompt: &Prompt) -> Result<String> {
        match prompt {
            Prompt::Ids(ids) => self.tokenizer.decode(ids, false),
            Prompt::Text(text) => Ok(text.clone()),
            Prompt::Messages { messages, chat: options } => {
                let Some(chat) = &self.chat else {
                    return Err(Error::input("the model has no chat template, which `messages` need")
                        .with_hint("add chat_template.jinja to the model folder, or give `prompt` instead"));
                };
                if messages.is_empty() {
                    return Err(Error::input("the conversation has no messages"));
                }
                let text = chat.render(messages, options, &self.clock)?;
                self.notes.see_chat(chat, messages, options, &text);
                Ok(text)
            }
        }
    }

    /// What is odd about the prompts rendered so far, in sentences for an operator: two begin tokens, contents that the chat
    /// template cannot take, template arguments that it never looks at, roles that it does not know.
    pub fn warnings(&self) -> Vec<String> {
        [self.warnings_but_roles(), self.notes.role_lines()].concat()
    }

    /// The same without the roles, for who looks at each message himself.
    pub fn warnings_but_roles(&self) -> Vec<String> {
        self.notes.lines(self.tokenizer.special_tokens().get("bos_token").unwrap_or_default())
    }

    /// What is odd about a role under the chat template; nothing where there is none.
    pub fn odd_role(&self, role: &str) -> Option<OddRole> {
        let chat = self.chat.as_ref()?;
        odd_role(role, Some(&|role| chat.names_role(role)))
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

    /// Tokens and the first scored one of each continuation, as lm-evaluation-harness 0.4 splits them (`loglikelihood` and
    /// `_encode_pair`): spaces at the end of the context belong to the continuation, both are encoded together, and what follows
    /// as many tokens as the context alone has is the continuation. Where that leaves nothing before the continuation, as an
    /// empty context does, the model's prefix token stands there, unless the continuation begins with it.
    ///
    /// # Errors
    /// The texts cannot be encoded; nothing is there to score; there is no token to begin an empty context with. An error names
    /// the continuation where there are several.
    pub fn split(&self, context: &str, continuations: &[String]) -> Result<Vec<Split>> {
        let before = match context {
            "" => Vec::new(),
            _ => self.encoded(context.trim_end_matches(is_python_space))?,
        };
        let one = |(at, continuation): (usize, &String)| {
            let split = self.split_one((context, &before), continuation);
            if continuations.len() == 1 {
                return split;
            }
            split.map_err(|error| error.context(format!("failed to score continuation {at}")))
        };
        continuations.iter().enumerate().map(one).collect()
    }

    fn split_one(&self, (context, before): (&str, &[u32]), continuation: &str) -> Result<Split> {
        let (ids, from) = if context.is_empty() {
            (self.tokenized(continuation, false)?, 0)
        } else {
            let whole = self.encoded(&format!("{context}{continuation}"))?;
            // Where a token spans the border, the context keeps its own tokens, as it does there.
            (before.iter().copied().chain(whole.into_iter().skip(before.len())).collect(), before.len())
        };
        let split = match from {
            0 => self.prefixed(ids)?,
            _ => Split { ids, from },
        };
        if split.from >= split.ids.len() {
            let error = Error::input("the continuation adds no token to the context");
            return Err(error.with_hint("it is empty, or its text ends within the context's last token"));
        }
        self.notes.see_ids(&split.ids[..split.from], self.tokenizer.bos_id());
        Ok(split)
    }

    /// A text in windows that the model can read, as lm-evaluation-harness 0.4 makes them (`get_rolling_token_windows` and
    /// `make_disjoint_window` with one token of context): every token is scored once, the first behind the prefix token; the
    /// last window is filled up with what came before.
    ///
    /// # Errors
    /// The text cannot be encoded or has no token; there is no token to begin it with; the model does not say how much it reads.
    pub fn windows(&self, text: &str) -> Result<Vec<Split>> {
        let Some(context) = self.context.filter(|context| *context > 0) else {
            return Err(Error::input("the model's configuration does not say how many tokens it reads"));
        };
        let ids = self.with_specials(text, |text, specials| self.tokenizer.encode(text, specials))?;
        if ids.is_empty() {
            return Err(Error::input("the document has no token"));
        }
        let first = context.min(ids.len());
        let mut windows = vec![Split { ids: [&[self.prefix()?], &ids[..first]].concat(), from: 1 }];
        let mut scored = first;
        while scored < ids.len() {
            let (start, end) = (scored, ids.len().min(scored + context));
            let begin = end - context - 1;
            windows.push(Split { ids: ids[begin..end].to_vec(), from: start - begin });
            scored = end;
        }
        self.notes.see_ids(&windows[0].ids, self.tokenizer.bos_id());
        Ok(windows)
    }

    /// What is all continuation, behind the prefix token: the tokenizer's bos, else its eos token (`prefix_token_id`).
    fn prefixed(&self, mut ids: Vec<u32>) -> Result<Split> {
        let prefix = self.prefix()?;
        if !ids.is_empty() && ids[0] != prefix {
            ids.insert(0, prefix);
        }
        Ok(Split { ids, from: 1 })
    }

    fn prefix(&self) -> Result<u32> {
        self.prefix_id().ok_or_else(|| {
            let message = "nothing stands before the text, and the tokenizer has neither a bos nor an eos token for it";
            Error::input(message).with_hint("give a context that has a token")
        })
    }

    fn prefix_id(&self) -> Option<u32> {
        self.tokenizer.bos_id().or(self.tokenizer.eos_id())
    }

    /// A text with the tokenizer's special tokens; without them where it begins with the text of the prefix token already
    /// (`has_bos_prefix`).
    fn encoded(&self, text: &str) -> Result<Vec<u32>> {
        self.with_specials(text, |text, specials| self.tokenized(text, specials))
    }

    fn with_specials(&self, text: &str, encode: impl Fn(&str, bool) -> Result<Vec<u32>>) -> Result<Vec<u32>> {
        let prefix = self.prefix_id().map(|id| self.tokenizer.decode(&[id], false)).transpose()?;
        let begun = prefix.is_some_and(|prefix| !prefix.is_empty() && text.starts_with(&prefix));
        encode(text, !begun)
    }
}

/// What Python's `isspace` says of a character: white space, and the separators of ASCII.
pub fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}
