//! A sequence on its way: how far it is, what a step may do with it, and what it learns of one.

use std::sync::Arc;

use super::backend::{Processing, Read, Seen, Want};
use super::pages::Lease;
use super::plan::Runnable;
use super::workload::{Goal, Outcome, Work};

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
    /// What the last step that was planned leaves open.
    pub open: Open,
    /// Its pages.
    pub lease: Lease,
    /// See [`crate::scheduler::backend::Backend::rotation`].
    pub rotation: usize,
    /// What to do with it.
    pub goal: Goal,
    logprob: f64,
    scored: usize,
    greedy: bool,
}

/// What of a sequence is not known before a step is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Open {
    /// Nothing.
    #[default]
    Nothing,
    /// Which token it chooses: this read of the step.
    Token(usize),
    /// Whether it goes on, and where.
    End,
}

impl Sequence {
    /// Of work that is admitted, with its pages.
    pub fn new(index: u64, work: Work, lease: Lease, rotation: usize) -> Self {
        let (prompt, unread) = (work.tokens.len(), work.prompt().1);
        let Work { tokens, goal } = work;
        let (started, cached, open) = (false, 0, Open::Nothing);
        let (logprob, scored, greedy) = (0.0, 0, true);
        Self { index, tokens, prompt, unread, started, cached, open, lease, rotation, goal, logprob, scored, greedy }
    }

    /// Tokens that are known or are chosen by now.
    pub fn grown(&self, open: Open) -> usize {
        self.tokens.len() + usize::from(matches!(open, Open::Token(_)))
    }

    /// Those that must still go through the model. The last token of a scored text need not: nothing follows it.
    pub fn waiting(&self, open: Open) -> usize {
        let needed = match self.goal {
            Goal::Score { .. } => self.tokens.len() - 1,
            Goal::Generate { .. } | Goal::Logits => self.grown(open),
        };
        needed - self.cached
    }

    /// Whether its prompt is computed.
    pub fn decoding(&self) -> bool {
        self.cached >= self.prompt
    }

    /// What could be done with it next.
    pub fn runnable(&self, open: Open) -> Runnable {
        match open {
            Open::End => Runnable { waiting: 0, decoding: false },
            _ if !self.started => Runnable { waiting: 0, decoding: false },
            _ => Runnable { waiting: self.waiting(open), decoding: self.decoding() },
        }
    }

    /// What a step leaves open that computes all its tokens, with guesses or without, and reads this. Logits processors look at
    /// every token before the next one: nothing runs ahead of them.
    pub fn left_open(&self, grown: usize, guessed: bool, read: usize) -> Open {
        match self.goal {
            Goal::Generate { processors: Some(_), .. } => Open::End,
            Goal::Generate { max_new_tokens, .. } if !guessed && grown - self.prompt + 1 < max_new_tokens => {
                Open::Token(read)
            }
            Goal::Generate { .. } | Goal::Logits => Open::End,
            Goal::Score { .. } => Open::Nothing,
        }
    }

    /// The reads of a segment of `count` tokens, and `guessed` more, that starts at `row` of the step; the sequence has grown
    /// to so many tokens.
    pub fn reads(&self, (count, grown): (usize, usize), guessed: usize, row: usize, reads: &mut Vec<Read>) {
        let (start, end) = (self.cached, self.cached + count);
        match &self.goal {
            Goal::Generate { sampling, key, .. } if end == grown => {
                let chosen = grown - self.prompt;
                reads.extend((0..=guessed).map(|guess| {
                    let position = (chosen + guess) as u32;
                    Read { row: row + count - 1 + guess, want: Want::Next { sampling: *sampling, key: *key, position } }
                }));
            }
            Goal::Generate { .. } => {}
            Goal::Logits => {
                if end == grown {
                    reads.push(Read { row: row + count - 1, want: Want::Logits });
                }
            }
            Goal::Score { from } => {
                // The row of token i tells the probability of token i + 1.
                let first = start.max(from.saturating_sub(1));
                for at in first..end {
                    let want = Want::Score { target: self.tokens[at + 1] };
                    reads.push(Read { row: row + at - start, want });
                }
            }
        }
    }

    /// What goes before the choices of a segment that ends with all of its tokens and these guesses, whose reads begin at `read`.
    pub fn processing(&self, guess: &[u32], read: usize, processing: &mut Vec<Processing>) {
        let Goal::Generate { processors: Some(processors), max_new_tokens, .. } = &self.goal else { return };
        // As if each guess were right: what is read behind a wrong one is thrown away.
        let tokens: Arc<[u32]> = [&self.tokens, guess].concat().into();
        processing.extend((0..=guess.len()).map(|at| Processing {
            read: read + at,
            processors: processors.clone(),
            tokens: tokens.clone(),
            len: self.tokens.len() + at,
            prompt: self.prompt,
            max_new_tokens: *max_new_tokens,
        }));
    }

    /// Takes up what was read; `Some` if it is at its end.
    pub fn look(&mut self, seen: Seen) -> Option<End> {
        match seen {
            Seen::NotFinite => Some(End::With(Outcome::Failed("the logits are not finite numbers".into()))),
            Seen::NothingLeft => Some(End::With(Outcome::Failed("the logits processors leave no token".into()))),
            Seen::Logits(logits) => Some(End::With(Outcome::Logits(logits))),
            Seen::Score { logprob, greedy } => {
                self.logprob += logprob;
                self.scored += 1;
                self.greedy &= greedy;
                let Goal::Score { from } = self.goal else { return None };
                (self.scored == self.tokens.len() - from).then_some(End::Finished)
            }
            Seen::Next(token) => {
                self.tokens.push(token);
                let chosen = self.tokens.len() - self.prompt;
                let Goal::Generate { max_new_tokens, watcher, draft, .. } = &mut self.goal else { return None };
                draft.saw(&self.tokens[self.prompt..]);
                (watcher.ends(token) || chosen >= *max_new_tokens).then_some(End::Finished)
            }
        }
    }

    /// What came of it, and its pages.
    pub fn close(mut self, end: End) -> (Outcome, Lease) {
        let outcome = match (end, self.goal) {
            (End::With(outcome), _) => outcome,
            (End::Finished, Goal::Generate { watcher, .. }) => {
                Outcome::Generated { tokens: self.tokens.split_off(self.prompt), watcher }
            }
            (End::Finished, Goal::Score { .. } | Goal::Logits) => {
                Outcome::Scored { logprob: self.logprob, tokens: self.scored, greedy: self.greedy }
            }
        };
        (outcome, self.lease)
    }
}

/// How a sequence ended.
pub enum End {
    /// As it should.
    Finished,
    /// With this.
    With(Outcome),
}
