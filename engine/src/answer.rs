//! One answer as it grows: when it ends, and what its text and ids are.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::render::Renderer;
use crate::request::Finish;
use crate::scheduler::workload::Watcher;
use crate::tokenizer::{StopMatcher, Stopped};

/// Watches for the model's end tokens and for stop strings.
pub struct Answer {
    renderer: Arc<Renderer>,
    eos: Vec<u32>,
    /// Only where there are stop strings: without them the text is decoded once, at the end.
    matcher: Option<StopMatcher>,
    end: Option<End>,
}

/// What ended the answer before its limit.
enum End {
    Eos,
    Stop(Stopped),
    Failed(Error),
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

impl Answer {
    /// An answer that ends at one of the `eos` tokens or of the `stop` strings.
    pub fn new(renderer: Arc<Renderer>, eos: Vec<u32>, stop: &[String]) -> Self {
        let wanted = stop.iter().any(|s| !s.is_empty());
        let matcher = wanted.then(|| StopMatcher::new(renderer.tokenizer(), stop));
        Self { renderer, eos, matcher, end: None }
    }
}

impl Watcher for Answer {
    fn ends(&mut self, token: u32) -> bool {
        if self.eos.contains(&token) {
            self.end = Some(End::Eos);
        } else if let Some(matcher) = &mut self.matcher {
            self.end = match matcher.push(token) {
                Ok(stopped) => stopped.map(End::Stop),
                Err(error) => Some(End::Failed(error)),
            };
        }
        self.end.is_some()
    }

    fn close(self: Box<Self>, mut tokens: Vec<u32>) -> Result<Closed> {
        let finish = match self.end {
            Some(End::Stop(stopped)) => {
                tokens.truncate(stopped.ids);
                return Ok(Closed { text: stopped.text, ids: tokens, finish: Finish::Stop });
            }
            Some(End::Failed(error)) => return Err(error),
            Some(End::Eos) => {
                tokens.pop();
                Finish::Eos
            }
            None => Finish::Length,
        };
        let text = self.renderer.tokenizer().decode(&tokens, true)?;
        Ok(Closed { text, ids: tokens, finish })
    }
}
