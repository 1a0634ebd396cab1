//! One answer as it grows: when it ends, and what its text and ids are.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::render::Renderer;
use crate::request::Finish;
use crate::scheduler::workload::{Closed, Watcher};
use crate::tokenizer::{StopMatcher, Stopped};

/// Watches for the model's end tokens and for stop strings.
pub struct Answer {
    renderer: Arc<Renderer>,
    eos: Vec<u32>,
    /// Only where there are stop strings: without them the text is decoded once, at the end.
    matcher: Option<StopMatcher>,
    end: Option<StopCondition>,
}

/// What ended the answer before its limit.
enum StopCondition {
    Eos,
    Stop(Stopped),
    Failed(Error),
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
            self.end = Some(StopCondition::Eos);
        } else if let Some(matcher) = &mut self.matcher {
            self.end = match matcher.push(token) {
                Ok(stopped) => stopped.map(StopCondition::Stop),
                Err(error) => Some(StopCondition::Failed(error)),
            };
        }
        self.end.is_some()
    }

    fn close(self: Box<Self>, mut tokens: Vec<u32>) -> Result<Closed> {
        let Self { renderer, end, .. } = *self;
        let finish = match end {
            Some(StopCondition::Stop(stopped)) => {
                tokens.truncate(stopped.ids);
                return Ok(Closed { text: stopped.text, ids: tokens, finish: Finish::Stop });
            }
            Some(StopCondition::Failed(error)) => return Err(error),
            Some(StopCondition::Eos) => {
                tokens.pop();
                Finish::Eos
            }
            None => Finish::Length,
        };
        let text = renderer.tokenizer().decode(&tokens, true)?;
        Ok(Closed { text, ids: tokens, finish })
    }
}
