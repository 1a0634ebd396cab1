//! Continuous batching over a workload known in advance.
//!
//! Work enters through a bounded window in input order and leaves in input order; inside the window the longest goes
//! first, so that the batch stays full to the end, and behind it what begins alike. A sequence is admitted when pages for
//! its whole possible length are free, so that nothing is ever evicted; a finished one frees its pages for the next step.
//! What a prompt has in common with an earlier one is not computed again (`pages`); while the earlier one is at it, the
//! later one waits. Rows that a step has to spare verify guesses of what comes next (`draft`). Who runs beside whom changes
//! speed only.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};

use super::answer::Closed;
use super::backend::{Backend, Read, Seen, Segment, Shape, Step, Want};
use super::draft::{self, Draft};
use super::pages::{Lease, Pages};
use super::plan::{self, Budget, Runnable};
use super::request::Sampling;
use crate::error::Result;

/// Bounds of the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rows of a step; at least 2.
    pub batch_tokens: usize,
    /// Rows of one sequence's prefill in a step.
    pub prefill_chunk: usize,
    /// Sequences in flight.
    pub max_seqs: usize,
    /// Requests between the oldest unanswered and the newest read.
    pub window: usize,
    /// Whether equal beginnings of prompts are computed once.
    pub sharing: bool,
    /// Whether free rows of a step verify drafts.
    pub drafts: bool,
}

/// A step of so few rows is bound by reading the weights: uncertain guesses fill it up.
const SMALL: usize = 16;
/// Recorded tokens that are guessed at a time once more than a quarter of all guesses were wrong.
const CAREFUL: usize = 8;

/// Ends an answer: looks at every chosen token.
pub trait Watcher: Send {
    /// Whether the answer ends with this token.
    fn ends(&mut self, token: u32) -> bool;

    /// What the answer is, given all chosen tokens.
    ///
    /// # Errors
    /// The tokens cannot be decoded.
    fn close(self: Box<Self>, tokens: Vec<u32>) -> Result<Closed>;
}

/// What is to be done with a sequence.
pub enum Goal {
    /// Continue it.
    Generate {
        /// Most tokens to choose.
        max_new_tokens: usize,
        /// How to choose.
        sampling: Sampling,
        /// Stream of random numbers.
        key: u64,
        /// What the answer may be.
        draft: Draft,
        /// Looks at every chosen token.
        watcher: Box<dyn Watcher>,
    },
    /// Log-probabilities of the tokens from this index on (at least 1).
    Score {
        /// Index of the first scored token.
        from: usize,
    },
    /// All logits after the last token.
    Logits,
}

/// One sequence of the workload.
pub struct Work {
    /// Its tokens; not empty.
    pub tokens: Vec<u32>,
    /// What to do.
    pub goal: Goal,
}

/// What came of it.
pub enum Outcome {
    /// The chosen tokens (with the one that ended the answer, if any) and the watcher that saw them.
    Generated {
        /// Chosen tokens.
        tokens: Vec<u32>,
        /// The watcher, with what it learned.
        watcher: Box<dyn Watcher>,
    },
    /// Sum over the scored tokens.
    Scored {
        /// Sum of natural-log probabilities, added in order.
        logprob: f64,
        /// Number of scored tokens.
        tokens: usize,
        /// Whether all were greedy.
        greedy: bool,
    },
    /// All logits after the last token.
    Logits(Vec<f32>),
    /// The sequence failed; the text says why.
    Failed(String),
}

/// What the scheduler did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests answered.
    pub finished: u64,
    /// Requests whose answer was known from an earlier run, and which the scheduler never saw.
    pub cached: u64,
    /// Steps computed.
    pub steps: u64,
    /// Prompt and scored tokens computed.
    pub prefill_tokens: u64,
    /// Prompt and scored tokens that were not, since an earlier sequence began alike.
    pub shared_tokens: u64,
    /// Tokens chosen.
    pub generated_tokens: u64,
    /// Guessed tokens computed beside them.
    pub drafted_tokens: u64,
    /// Guesses that were right: chosen tokens that needed no step of their own.
    pub accepted_tokens: u64,
    /// Most sequences in flight.
    pub peak_sequences: usize,
    /// Most pages in use by sequences.
    pub peak_pages: usize,
}

impl Totals {
    /// What two schedulers did at once.
    pub(super) fn beside(&self, other: &Self) -> Self {
        Self {
            finished: self.finished + other.finished,
            cached: self.cached + other.cached,
            steps: self.steps + other.steps,
            prefill_tokens: self.prefill_tokens + other.prefill_tokens,
            shared_tokens: self.shared_tokens + other.shared_tokens,
            generated_tokens: self.generated_tokens + other.generated_tokens,
            drafted_tokens: self.drafted_tokens + other.drafted_tokens,
            accepted_tokens: self.accepted_tokens + other.accepted_tokens,
            peak_sequences: self.peak_sequences + other.peak_sequences,
            peak_pages: self.peak_pages + other.peak_pages,
        }
    }
}

/// Where work comes from and answers go.
pub trait Exchange {
    /// The next sequence, `Ok(None)` if there is none now; with `wait`, `None` means there is none any more. `Err` in the
    /// inner result is a request that failed before it reached the engine.
    ///
    /// # Errors
    /// What ends the whole run.
    fn next(&mut self, wait: bool) -> Result<Option<std::result::Result<Work, String>>>;

    /// An answer; called in input order.
    ///
    /// # Errors
    /// What ends the whole run.
    fn done(&mut self, outcome: Outcome) -> Result<()>;

    /// Called after each step.
    ///
    /// # Errors
    /// What ends the whole run, such as an interruption.
    fn stepped(&mut self, totals: &Totals) -> Result<()>;
}

struct Sequence {
    index: u64,
    tokens: Vec<u32>,
    prompt: usize,
    /// First tokens that nothing is read from.
    unread: usize,
    /// Whether it is known what it has in common with others.
    started: bool,
    /// Tokens in the cache.
    cached: usize,
    lease: Lease,
    rotation: usize,
    goal: Goal,
    logprob: f64,
    scored: usize,
    greedy: bool,
}

impl Sequence {
    /// Known tokens that must still go through the model. The last token of a scored text need not: nothing follows it.
    fn waiting(&self) -> usize {
        let needed = match self.goal {
            Goal::Score { .. } => self.tokens.len() - 1,
            Goal::Generate { .. } | Goal::Logits => self.tokens.len(),
        };
        needed - self.cached
    }

    fn decoding(&self) -> bool {
        self.cached >= self.prompt
    }
}

impl Work {
    /// Whether it asks for no token and no probability.
    fn is_answered(&self) -> bool {
        match &self.goal {
            Goal::Generate { max_new_tokens, .. } => *max_new_tokens == 0,
            Goal::Score { from } => *from >= self.tokens.len(),
            Goal::Logits => false,
        }
    }

    /// How many of its first tokens are computed for sure, and how many of those nothing is read from.
    fn prompt(&self) -> (usize, usize) {
        let len = self.tokens.len();
        match self.goal {
            Goal::Generate { .. } | Goal::Logits => (len, len - 1),
            Goal::Score { from } => (len - 1, from.saturating_sub(1).min(len - 1)),
        }
    }
}

/// Tokens that a sequence may come to need in the cache: the last chosen token is never computed.
fn longest(work: &Work) -> usize {
    match &work.goal {
        Goal::Generate { max_new_tokens, .. } => work.tokens.len() + max_new_tokens.saturating_sub(1),
        Goal::Score { .. } => work.tokens.len() - 1,
        Goal::Logits => work.tokens.len(),
    }
}

/// Tokens that the sequence may come to have, known and chosen.
fn grown(work: &Work) -> usize {
    match &work.goal {
        Goal::Generate { max_new_tokens, .. } => work.tokens.len() + max_new_tokens,
        Goal::Score { .. } | Goal::Logits => work.tokens.len(),
    }
}

/// Runs work through a backend until there is none left.
pub struct Scheduler<'a> {
    backend: &'a mut dyn Backend,
    shape: Shape,
    limits: Limits,
    /// Work that waits, longest first.
    pending: BTreeSet<(Reverse<usize>, u64)>,
    /// The same by its tokens, where beginnings are shared: what begins alike stands side by side.
    alike: BTreeSet<(Box<[u32]>, u64)>,
    /// What was started last, not counting what only filled up pages.
    leader: (Box<[u32]>, u64),
    waiting: BTreeMap<u64, Work>,
    running: Vec<Sequence>,
    /// Answers that wait for an earlier one.
    finished: BTreeMap<u64, Outcome>,
    pages: Pages,
    read: u64,
    emitted: u64,
    exhausted: bool,
    turn: usize,
    totals: Totals,
}

impl<'a> Scheduler<'a> {
    /// A scheduler over a backend's pages.
    pub fn new(backend: &'a mut dyn Backend, limits: Limits) -> Self {
        let shape = backend.shape();
        let limits = Limits {
            batch_tokens: limits.batch_tokens.max(2),
            prefill_chunk: limits.prefill_chunk.max(1),
            max_seqs: limits.max_seqs.max(1),
            window: limits.window.max(1),
            ..limits
        };
        Self {
            backend,
            shape,
            limits,
            pending: BTreeSet::new(),
            alike: BTreeSet::new(),
            leader: Default::default(),
            waiting: BTreeMap::new(),
            running: Vec::new(),
            finished: BTreeMap::new(),
            pages: Pages::new(shape.pages, shape.page_tokens, limits.sharing),
            read: 0,
            emitted: 0,
            exhausted: false,
            turn: 0,
            totals: Totals::default(),
        }
    }

    /// Runs everything.
    ///
    /// # Errors
    /// What ends the whole run.
    pub fn run(mut self, exchange: &mut dyn Exchange) -> Result<Totals> {
        loop {
            self.fill(exchange)?;
            self.admit();
            self.emit(exchange)?;
            if self.running.is_empty() {
                if self.exhausted && self.waiting.is_empty() {
                    return Ok(self.totals);
                }
                continue;
            }
            self.step()?;
            exchange.stepped(&self.totals)?;
            self.emit(exchange)?;
        }
    }

    /// Reads work until the window is full; waits for it only when there is nothing else to do.
    fn fill(&mut self, exchange: &mut dyn Exchange) -> Result<()> {
        while !self.exhausted && self.read - self.emitted < self.limits.window as u64 {
            let idle = self.running.is_empty() && self.waiting.is_empty() && self.finished.is_empty();
            let Some(work) = exchange.next(idle)? else {
                self.exhausted = idle;
                return Ok(());
            };
            let index = self.read;
            self.read += 1;
            match work.and_then(|work| self.check(work)) {
                Ok(work) if work.is_answered() => {
                    let outcome = match work.goal {
                        Goal::Generate { watcher, .. } => Outcome::Generated { tokens: Vec::new(), watcher },
                        Goal::Score { .. } | Goal::Logits => Outcome::Scored { logprob: 0.0, tokens: 0, greedy: true },
                    };
                    self.finished.insert(index, outcome);
                }
                Ok(work) => {
                    self.pending.insert((Reverse(longest(&work)), index));
                    if self.limits.sharing {
                        self.alike.insert((work.tokens.as_slice().into(), index));
                    }
                    self.waiting.insert(index, work);
                }
                Err(reason) => {
                    self.finished.insert(index, Outcome::Failed(reason));
                }
            }
        }
        Ok(())
    }

    /// What can never be computed fails here, before it takes a place.
    fn check(&self, mut work: Work) -> std::result::Result<Work, String> {
        let (len, context) = (work.tokens.len(), self.shape.context);
        if len == 0 {
            return Err("continue an empty prompt".into());
        }
        let fits = match work.goal {
            Goal::Generate { .. } => len < context,
            Goal::Score { .. } => len <= context + 1,
            Goal::Logits => len <= context,
        };
        if !fits {
            return Err(format!("fit a prompt of {len} tokens into the model's context of {context}"));
        }
        if let Some(id) = work.tokens.iter().find(|id| **id as usize >= self.shape.vocab) {
            return Err(format!("look up token {id} in a vocabulary of {}", self.shape.vocab));
        }
        if let Goal::Generate { max_new_tokens, draft, .. } = &mut work.goal {
            *max_new_tokens = (*max_new_tokens).min(context - len);
            draft.cut(self.shape.vocab);
        }
        let needed = longest(&work).div_ceil(self.shape.page_tokens);
        if needed > self.shape.pages {
            return Err(format!(
                "reserve {needed} KV pages of {} tokens where there are {}; raise --kv-gib or lower max_new_tokens",
                self.shape.page_tokens, self.shape.pages
            ));
        }
        Ok(work)
    }

    /// Starts what fits: the longest first, and after each what begins like it, so that the pages they share are still
    /// there; then whatever the free pages still take.
    fn admit(&mut self) {
        let (mut filling, mut last) = (false, None);
        while self.running.len() < self.limits.max_seqs && !self.pages.are_exhausted() {
            if !filling && let Some(index) = self.relative() {
                filling = !self.start_one(index);
                continue;
            }
            let next = match last {
                Some(last) => self.pending.range((Excluded(last), Unbounded)).next(),
                None => self.pending.first(),
            };
            let Some(key) = next.copied() else { break };
            last = Some(key);
            if self.start_one(key.1)
                && !filling
                && let Some(started) = self.running.last()
            {
                self.leader = (started.tokens.as_slice().into(), started.index);
            }
        }
        self.totals.peak_sequences = self.totals.peak_sequences.max(self.running.len());
        self.totals.peak_pages = self.pages.peak();
    }

    /// The waiting work that has most in common with the leader, if that is half of its tokens or more.
    fn relative(&self) -> Option<u64> {
        let (before, behind) = (self.alike.range(..&self.leader).next_back(), self.alike.range(&self.leader..).next());
        let common = |tokens: &[u32]| tokens.iter().zip(&self.leader.0).take_while(|(a, b)| a == b).count();
        let beside = before.into_iter().chain(behind).map(|(tokens, index)| (common(tokens), tokens.len(), *index));
        let (common, length, index) = beside.max_by_key(|(common, _, _)| *common)?;
        (2 * common >= length).then_some(index)
    }

    /// Starts waiting work; false where there are too few pages.
    fn start_one(&mut self, index: u64) -> bool {
        let Some(work) = self.waiting.get(&index) else { return false };
        let ((computed, unread), longest) = (work.prompt(), longest(work));
        let rotation = self.backend.rotation(grown(work));
        let Some(lease) = self.pages.lease(&work.tokens[..computed], unread, longest, rotation) else { return false };
        let Some(Work { tokens, goal }) = self.waiting.remove(&index) else { return false };
        self.pending.remove(&(Reverse(longest), index));
        let key = (tokens.into_boxed_slice(), index);
        self.alike.remove(&key);
        let tokens = key.0.into_vec();
        self.running.push(Sequence {
            index,
            prompt: tokens.len(),
            tokens,
            unread,
            started: false,
            cached: 0,
            lease,
            rotation,
            goal,
            logprob: 0.0,
            scored: 0,
            greedy: true,
        });
        true
    }

    /// Looks what the sequences that the next step will reach have in common with others; the copies that this takes.
    fn start(&mut self) -> Vec<(u32, u32)> {
        let mut left = self.limits.batch_tokens.saturating_sub(self.running.iter().filter(|s| s.decoding()).count());
        let mut copies = Vec::new();
        for sequence in self.running.iter_mut().filter(|s| !s.decoding()) {
            if left == 0 {
                break;
            }
            if !self.pages.are_ready(&sequence.lease) {
                continue;
            }
            if !sequence.started {
                let (known, copy) = self.pages.start(&sequence.lease, &sequence.tokens, sequence.unread);
                (sequence.cached, sequence.started) = (known, true);
                self.totals.shared_tokens += known as u64;
                copies.extend(copy);
            }
            left = left.saturating_sub(sequence.waiting().min(self.limits.prefill_chunk));
        }
        copies
    }

    /// Computes one step and looks at what it answered.
    fn step(&mut self) -> Result<()> {
        let mut step = Step { copies: self.start(), ..Step::default() };
        let runnable = |s: &Sequence| {
            let waiting = if s.started { s.waiting() } else { 0 };
            Runnable { waiting, decoding: s.decoding() }
        };
        let runnable: Vec<Runnable> = self.running.iter().map(runnable).collect();
        let budget = Budget { tokens: self.limits.batch_tokens, chunk: self.limits.prefill_chunk };
        let take = plan::pack(&runnable, budget, self.turn);
        self.turn = self.turn.wrapping_add(self.limits.batch_tokens);
        // What is guessed for each running sequence, and which of them each read belongs to.
        let (mut guesses, mut owners) = (vec![Vec::new(); self.running.len()], Vec::new());
        let mut rows: usize = take.iter().sum();
        for (index, (sequence, count)) in self.running.iter().zip(&take).enumerate() {
            if *count == 0 {
                continue;
            }
            let (start, row) = (sequence.cached, step.tokens.len());
            let guess = if start + count == sequence.tokens.len() { self.guess(sequence, rows) } else { &[] };
            rows += guess.len();
            step.tokens.extend_from_slice(&sequence.tokens[start..start + count]);
            step.tokens.extend_from_slice(guess);
            let len = count + guess.len();
            let pages = (start + len).div_ceil(self.shape.page_tokens);
            let pages = sequence.lease.pages[..pages].to_vec();
            step.segments.push(Segment { start, len, pages, rotation: sequence.rotation });
            reads(sequence, *count, guess.len(), row, &mut step.reads);
            guesses[index] = guess.to_vec();
            owners.resize(step.reads.len(), index);
            if !sequence.decoding() {
                self.totals.prefill_tokens += *count as u64;
            }
        }
        self.totals.steps += 1;
        let seen = self.backend.step(&step)?;
        self.totals.drafted_tokens += guesses.iter().map(|guess| guess.len() as u64).sum::<u64>();
        for (sequence, count) in self.running.iter_mut().zip(&take) {
            sequence.cached += count;
            self.pages.computed(&sequence.lease, sequence.cached);
        }
        self.look(&guesses, owners.into_iter().zip(seen));
        Ok(())
    }

    /// Takes up what was read, with the index of the sequence it belongs to.
    fn look(&mut self, guesses: &[Vec<u32>], read: impl Iterator<Item = (usize, Seen)>) {
        let mut outcomes: Vec<Option<End>> = self.running.iter().map(|_| None).collect();
        let mut looked = vec![0; self.running.len()];
        for (owner, seen) in read {
            if outcomes[owner].is_some() {
                continue;
            }
            let (sequence, guess, nth) = (&mut self.running[owner], &guesses[owner], &mut looked[owner]);
            if *nth > 0 && !guess.is_empty() {
                // This row stands after a guess: it tells something only if the guess was right.
                if sequence.tokens.last() != Some(&guess[*nth - 1]) {
                    continue;
                }
                sequence.cached += 1;
                self.totals.accepted_tokens += 1;
            }
            *nth += 1;
            self.totals.generated_tokens += u64::from(matches!(seen, Seen::Next(_)));
            outcomes[owner] = look(sequence, seen);
        }
        let running = std::mem::take(&mut self.running);
        for (sequence, end) in running.into_iter().zip(outcomes) {
            match end {
                None => self.running.push(sequence),
                Some(End::Finished) => self.finish(sequence),
                Some(End::With(outcome)) => self.release(sequence.index, sequence.lease, outcome),
            }
        }
    }

    /// What may follow the known tokens of a sequence, where a step of `rows` rows has room to verify it.
    fn guess<'s>(&self, sequence: &'s Sequence, rows: usize) -> &'s [u32] {
        let Goal::Generate { max_new_tokens, draft, .. } = &sequence.goal else { return &[] };
        if !self.limits.drafts {
            return &[];
        }
        // A guess takes the place of a token that is computed, which the last one of an answer is not.
        let room = (sequence.prompt + max_new_tokens - 1).saturating_sub(sequence.tokens.len());
        let Totals { drafted_tokens, accepted_tokens, .. } = self.totals;
        let trusted = drafted_tokens < 4 * SMALL as u64 || accepted_tokens * 4 >= drafted_tokens * 3;
        let careful = if trusted { room } else { room.min(CAREFUL) };
        let recorded = draft.recorded(careful.min(self.limits.batch_tokens.saturating_sub(rows)));
        match recorded.is_empty() {
            true => draft::look_up(&sequence.tokens, room.min(SMALL.saturating_sub(rows))),
            false => recorded,
        }
    }

    fn finish(&mut self, mut sequence: Sequence) {
        let outcome = match sequence.goal {
            Goal::Generate { watcher, .. } => {
                Outcome::Generated { tokens: sequence.tokens.split_off(sequence.prompt), watcher }
            }
            Goal::Score { .. } | Goal::Logits => {
                Outcome::Scored { logprob: sequence.logprob, tokens: sequence.scored, greedy: sequence.greedy }
            }
        };
        self.release(sequence.index, sequence.lease, outcome);
    }

    fn release(&mut self, index: u64, lease: Lease, outcome: Outcome) {
        self.pages.give_back(lease);
        self.finished.insert(index, outcome);
    }

    /// Hands out the answers whose turn it is.
    fn emit(&mut self, exchange: &mut dyn Exchange) -> Result<()> {
        while let Some(outcome) = self.finished.remove(&self.emitted) {
            self.emitted += 1;
            self.totals.finished += 1;
            exchange.done(outcome)?;
        }
        Ok(())
    }
}

/// Runs a list of work and gives the outcomes in its order.
///
/// # Errors
/// What ends the whole run.
pub fn run_all(backend: &mut dyn Backend, limits: Limits, work: Vec<Work>) -> Result<Vec<Outcome>> {
    let mut list = List::new(work);
    Scheduler::new(backend, limits).run(&mut list)?;
    Ok(list.outcomes)
}

/// Work that is all there from the beginning, and what came of it.
pub(super) struct List {
    work: std::vec::IntoIter<Work>,
    pub outcomes: Vec<Outcome>,
}

impl List {
    pub fn new(work: Vec<Work>) -> Self {
        Self { work: work.into_iter(), outcomes: Vec::new() }
    }
}

impl Exchange for List {
    fn next(&mut self, _wait: bool) -> Result<Option<std::result::Result<Work, String>>> {
        Ok(self.work.next().map(Ok))
    }

    fn done(&mut self, outcome: Outcome) -> Result<()> {
        self.outcomes.push(outcome);
        Ok(())
    }

    fn stepped(&mut self, _totals: &Totals) -> Result<()> {
        Ok(())
    }
}

/// How a sequence ended.
enum End {
    Finished,
    With(Outcome),
}

/// The reads of a segment of `count` tokens, and `guessed` more, that starts at `row` of the step.
fn reads(sequence: &Sequence, count: usize, guessed: usize, row: usize, reads: &mut Vec<Read>) {
    let (start, end) = (sequence.cached, sequence.cached + count);
    match &sequence.goal {
        Goal::Generate { sampling, key, .. } if end == sequence.tokens.len() => {
            let chosen = sequence.tokens.len() - sequence.prompt;
            reads.extend((0..=guessed).map(|guess| {
                let position = (chosen + guess) as u32;
                Read { row: row + count - 1 + guess, want: Want::Next { sampling: *sampling, key: *key, position } }
            }));
        }
        Goal::Generate { .. } => {}
        Goal::Logits => {
            if end == sequence.tokens.len() {
                reads.push(Read { row: row + count - 1, want: Want::Logits });
            }
        }
        Goal::Score { from } => {
            // The row of token i tells the probability of token i + 1.
            let first = start.max(from.saturating_sub(1));
            for at in first..end {
                let want = Want::Score { target: sequence.tokens[at + 1] };
                reads.push(Read { row: row + at - start, want });
            }
        }
    }
}

/// Takes up what was read; `Some` if the sequence is at its end.
fn look(sequence: &mut Sequence, seen: Seen) -> Option<End> {
    match seen {
        Seen::NotFinite => Some(End::With(Outcome::Failed("compute logits that are finite numbers".into()))),
        Seen::Logits(logits) => Some(End::With(Outcome::Logits(logits))),
        Seen::Score { logprob, greedy } => {
            sequence.logprob += logprob;
            sequence.scored += 1;
            sequence.greedy &= greedy;
            let Goal::Score { from } = sequence.goal else { return None };
            (sequence.scored == sequence.tokens.len() - from).then_some(End::Finished)
        }
        Seen::Next(token) => {
            sequence.tokens.push(token);
            let chosen = sequence.tokens.len() - sequence.prompt;
            let Goal::Generate { max_new_tokens, watcher, draft, .. } = &mut sequence.goal else { return None };
            draft.saw(&sequence.tokens[sequence.prompt..]);
            (watcher.ends(token) || chosen >= *max_new_tokens).then_some(End::Finished)
        }
    }
}
