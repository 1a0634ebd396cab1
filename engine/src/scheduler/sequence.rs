//! A sequence on its way: how far it is, what a step may do with it, and what it learns of one.

use std::sync::Arc;

use super::backend::{OutputKind, OutputRequest, Processing, Step, StepOutput};
use super::blocks::BlockTable;
use super::plan::Runnable;
use super::workload::{Goal, Outcome, Work};
use crate::sampling::TokenLogProb;

/// A sequence that runs.
pub struct Sequence {
    /// Its place in the order of the input.
    pub index: u64,
    /// Its tokens, known and chosen.
    pub tokens: Vec<u32>,
    /// Known ones.
    pub prompt: usize,
    /// First tokens that nothing is read from.
    pub unread: usize,
    /// Whether it is known what it has in common with others.
    pub started: bool,
    /// Tokens in the cache, or on their way there.
    pub cached: usize,
    /// What the last step that was planned leaves to be known.
    pub deferred: Deferred,
    /// Its blocks.
    pub table: BlockTable,
    /// See [`crate::scheduler::backend::Backend::rotation`].
    pub rotation: usize,
    /// What to do with it.
    pub goal: Goal,
    scored: Vec<TokenLogProb>,
}

/// What of a sequence is not known before the step in flight is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deferred {
    /// Nothing.
    #[default]
    Nothing,
    /// Which token it chooses: that of this output request.
    Token(usize),
    /// Whether it goes on, and where.
    Completion,
}

impl Sequence {
    /// Of work that is admitted, with its blocks.
    pub fn new(index: u64, work: Work, table: BlockTable, rotation: usize) -> Self {
        let (prompt, unread) = (work.tokens.len(), work.prompt().1);
        let Work { tokens, goal, .. } = work;
        let (started, cached, deferred) = (false, 0, Deferred::Nothing);
        let scored = Vec::new();
        Self { index, tokens, prompt, unread, started, cached, deferred, table, rotation, goal, scored }
    }

    /// Tokens that are known or are chosen by now.
    pub fn grown(&self, deferred: Deferred) -> usize {
        self.tokens.len() + usize::from(matches!(deferred, Deferred::Token(_)))
    }

    /// Those that must still go through the model. The last token of a scored text need not: nothing follows it.
    pub fn waiting(&self, deferred: Deferred) -> usize {
        let needed = match self.goal {
            Goal::Score { .. } => self.tokens.len() - 1,
            Goal::Generate { .. } | Goal::Candidates { .. } | Goal::Logits => self.grown(deferred),
        };
        needed - self.cached
    }

    /// Whether its prompt is computed.
    pub fn decoding(&self) -> bool {
        self.cached >= self.prompt
    }

    /// What could be done with it next.
    pub fn runnable(&self, deferred: Deferred) -> Runnable {
        match deferred {
            Deferred::Completion => Runnable { waiting: 0, decoding: false },
            _ if !self.started => Runnable { waiting: 0, decoding: false },
            _ => Runnable { waiting: self.waiting(deferred), decoding: self.decoding() },
        }
    }

    /// What a step leaves open that computes all its tokens, with guesses or without, and reads this. Logits processors look at
    /// every token before the next one: they are never deferred.
    pub fn deferral(&self, grown: usize, guessed: bool, output: usize) -> Deferred {
        match self.goal {
            Goal::Generate { processors: Some(_), .. } => Deferred::Completion,
            Goal::Generate { max_new_tokens, .. } if !guessed && grown - self.prompt + 1 < max_new_tokens => {
                Deferred::Token(output)
            }
            Goal::Generate { .. } | Goal::Candidates { .. } | Goal::Logits => Deferred::Completion,
            Goal::Score { .. } => Deferred::Nothing,
        }
    }

    /// The output requests of a segment of `count` tokens, and `guessed` more, that starts at `row` of the step; the sequence has grown
    /// to so many tokens.
    pub fn request_outputs(&self, (count, grown): (usize, usize), guessed: usize, row: usize, step: &mut Step) {
        let (start, end) = (self.cached, self.cached + count);
        match &self.goal {
            Goal::Generate { sampling, key, .. } if end == grown => {
                let chosen = grown - self.prompt;
                step.outputs.extend((0..=guessed).map(|guess| {
                    let position = (chosen + guess) as u32;
                    OutputRequest {
                        row: row + count - 1 + guess,
                        kind: OutputKind::Next { sampling: *sampling, key: *key, position },
                    }
                }));
            }
            Goal::Generate { .. } => {}
            Goal::Candidates { targets } => {
                if end == grown {
                    let kind = OutputKind::Candidates { first: step.targets.len(), count: targets.len() };
                    step.targets.extend_from_slice(targets);
                    step.outputs.push(OutputRequest { row: row + count - 1, kind });
                }
            }
            Goal::Logits => {
                if end == grown {
                    step.outputs.push(OutputRequest { row: row + count - 1, kind: OutputKind::Logits });
                }
            }
            Goal::Score { from } => {
                // The row of token i tells the probability of token i + 1.
                let first = start.max(from.saturating_sub(1));
                for at in first..end {
                    let kind = OutputKind::Score { target: self.tokens[at + 1] };
                    step.outputs.push(OutputRequest { row: row + at - start, kind });
                }
            }
        }
    }

    /// What goes before the choices of a segment that ends with all of its tokens and these guesses, whose output requests begin at `output`.
    pub fn processing(&self, guess: &[u32], output: usize, processing: &mut Vec<Processing>) {
        let Goal::Generate { processors: Some(processors), max_new_tokens, .. } = &self.goal else { return };
        // As if each guess were right: what is read behind a wrong one is thrown away.
        let tokens: Arc<[u32]> = [&self.tokens, guess].concat().into();
        processing.extend((0..=guess.len()).map(|at| Processing {
            output: output + at,
            processors: processors.clone(),
            tokens: tokens.clone(),
            len: self.tokens.len() + at,
            prompt: self.prompt,
            max_new_tokens: *max_new_tokens,
        }));
    }

    /// Takes up what was read; `Some` if it is at its end.
    pub fn take_up(&mut self, output: StepOutput) -> Option<Completion> {
        match output {
            StepOutput::NotFinite => {
                Some(Completion::With(Outcome::Failed("the logits are not finite numbers".into())))
            }
            StepOutput::NothingLeft => {
                Some(Completion::With(Outcome::Failed("the logits processors leave no token".into())))
            }
            StepOutput::Logits(logits) => Some(Completion::With(Outcome::Logits(logits))),
            StepOutput::Candidates(scored) => Some(Completion::With(Outcome::Scored(scored))),
            StepOutput::Score { logprob, greedy } => {
                self.scored.push(TokenLogProb { logprob, greedy });
                let Goal::Score { from } = self.goal else { return None };
                (self.scored.len() == self.tokens.len() - from).then_some(Completion::Finished)
            }
            StepOutput::Next(token) => {
                self.tokens.push(token);
                let chosen = self.tokens.len() - self.prompt;
                let Goal::Generate { max_new_tokens, watcher, draft, .. } = &mut self.goal else { return None };
                draft.saw(&self.tokens[self.prompt..]);
                (watcher.ends(token) || chosen >= *max_new_tokens).then_some(Completion::Finished)
            }
        }
    }

    /// What came of it, and its blocks.
    pub fn close(mut self, end: Completion) -> (Outcome, BlockTable) {
        let outcome = match (end, self.goal) {
            (Completion::With(outcome), _) => outcome,
            (Completion::Finished, Goal::Generate { watcher, .. }) => {
                Outcome::Generated { tokens: self.tokens.split_off(self.prompt), watcher }
            }
            (Completion::Finished, Goal::Score { .. } | Goal::Candidates { .. } | Goal::Logits) => {
                Outcome::Scored(self.scored)
            }
        };
        (outcome, self.table)
    }
}

/// How a sequence ended.
pub enum Completion {
    /// As it should.
    Finished,
    /// With this.
    With(Outcome),
}
