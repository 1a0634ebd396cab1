//! Continuous batching over a workload known in advance.
//!
//! Work enters through a bounded window in input order and leaves as it ends; inside the window the longest goes
//! first, so that the batch stays full to the end, and behind it what begins alike. A sequence is admitted when blocks for
//! its whole possible length are free, so that nothing is ever evicted; a finished one frees its blocks for the next step.
//! What a prompt has in common with an earlier one is not computed again (`blocks`); while the earlier one is at it, the
//! later one waits. Rows that a step has to spare verify guesses of what comes next (`draft`). Who runs beside whom changes
//! speed only.
//!
//! An asynchronous backend gets the next step while it computes one, so that it never waits for the host: what the first
//! chooses goes into the second unseen. A sequence that turns out to have ended has computed a row for nothing.

pub mod backend;
pub(crate) mod blocks;
pub(crate) mod dispatcher;
pub mod draft;
pub mod plan;
pub(crate) mod sequence;
#[cfg(test)]
mod tests;
pub mod workload;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};

use crate::error::{Error, Result};
use backend::{Backend, DeferredToken, Segment, Shape, Step, StepOutput};
use blocks::BlockPool;
use plan::{Budget, Runnable};
use sequence::{Completion, Deferred, Sequence};
use workload::{Goal, List, Outcome, RequestSource, Totals, Work};

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

/// A step that was started and not read yet.
struct InFlightStep {
    parts: Vec<Part>,
    /// What it answered, where the backend said so at once.
    outputs: Option<Vec<StepOutput>>,
}

/// What a step has of one sequence.
struct Part {
    /// Its place among those that run; `None` once it has ended.
    place: Option<usize>,
    guess: Vec<u32>,
    outputs: usize,
}

/// Runs work through a backend until there is none left.
pub struct Scheduler<'a> {
    backend: &'a mut dyn Backend,
    shape: Shape,
    limits: Limits,
    /// Work that waits, that of the longest question first.
    pending: BTreeSet<(Reverse<usize>, u64)>,
    /// The same by its tokens, where beginnings are shared: what begins alike stands side by side.
    alike: BTreeSet<(Box<[u32]>, u64)>,
    /// What was started last, not counting what only filled up blocks.
    leader: (Box<[u32]>, u64),
    waiting: BTreeMap<u64, Work>,
    running: Vec<Sequence>,
    /// Steps that were not read yet, the oldest first.
    in_flight: VecDeque<InFlightStep>,
    /// Answers that were not handed out yet.
    finished: Vec<(u64, Outcome)>,
    /// Work that was read and not answered.
    unanswered: BTreeSet<u64>,
    pool: BlockPool,
    read: u64,
    exhausted: bool,
    turn: usize,
    totals: Totals,
}

impl<'a> Scheduler<'a> {
    /// A scheduler over a backend's blocks.
    pub fn new(backend: &'a mut dyn Backend, limits: Limits) -> Self {
        let shape = backend.shape();
        let mut limits = Limits {
            batch_tokens: limits.batch_tokens.max(2),
            prefill_chunk: limits.prefill_chunk.max(1),
            max_seqs: limits.max_seqs.max(1),
            window: limits.window.max(1),
            ..limits
        };
        if backend.one_by_one() {
            limits = Limits { max_seqs: 1, sharing: false, drafts: false, ..limits };
        }
        Self {
            backend,
            shape,
            limits,
            pending: BTreeSet::new(),
            alike: BTreeSet::new(),
            leader: Default::default(),
            waiting: BTreeMap::new(),
            running: Vec::new(),
            in_flight: VecDeque::new(),
            finished: Vec::new(),
            unanswered: BTreeSet::new(),
            pool: BlockPool::new(shape.blocks, shape.block_size, limits.sharing),
            read: 0,
            exhausted: false,
            turn: 0,
            totals: Totals::default(),
        }
    }

    /// Runs everything.
    ///
    /// # Errors
    /// What ends the whole run.
    pub fn run(mut self, source: &mut dyn RequestSource) -> Result<Totals> {
        let ran = self.run_all(source);
        // Of a run that failed: the backend may serve another one.
        while let Some(InFlightStep { outputs: None, .. }) = self.in_flight.pop_front() {
            self.backend.as_async().map(|backend| backend.finish());
        }
        ran.map(|()| self.totals)
    }

    fn run_all(&mut self, source: &mut dyn RequestSource) -> Result<()> {
        loop {
            self.fill(source)?;
            self.admit();
            self.emit(source)?;
            if self.running.is_empty() && self.in_flight.is_empty() {
                if !self.waiting.is_empty() {
                    return Err(stuck(format!("{} sequences wait, none runs and none begins", self.waiting.len())));
                }
                if self.exhausted {
                    return Ok(());
                }
                continue;
            }
            self.step()?;
            self.emit(source)?;
            source.stepped(&self.totals)?;
        }
    }

    /// Reads work until the window is full; waits for it only when there is nothing else to do.
    fn fill(&mut self, source: &mut dyn RequestSource) -> Result<()> {
        while !self.exhausted && self.read - self.oldest() < self.limits.window as u64 {
            let idle = self.unanswered.is_empty() && self.finished.is_empty();
            let Some(work) = source.next(idle)? else {
                self.exhausted = idle;
                return Ok(());
            };
            let index = self.read;
            self.read += 1;
            self.unanswered.insert(index);
            match work.and_then(|work| self.check(work)) {
                Ok(Work { goal: Goal::Generate { max_new_tokens: 0, watcher, .. }, .. }) => {
                    self.finished.push((index, Outcome::Generated { tokens: Vec::new(), watcher }));
                }
                Ok(work) => {
                    self.pending.insert((Reverse(work.order()), index));
                    if self.limits.sharing {
                        self.alike.insert((work.tokens.as_slice().into(), index));
                    }
                    self.waiting.insert(index, work);
                }
                Err(reason) => {
                    self.finished.push((index, Outcome::Failed(reason)));
                }
            }
        }
        Ok(())
    }

    /// What can never be computed fails here, before it takes a place.
    fn check(&self, mut work: Work) -> std::result::Result<Work, String> {
        let (len, context) = (work.tokens.len(), self.shape.context);
        if len == 0 {
            return Err("the prompt is empty".into());
        }
        let fits = match work.goal {
            Goal::Generate { .. } => len < context,
            Goal::Score { .. } => len <= context + 1,
            Goal::Candidates { .. } | Goal::Logits => len <= context,
        };
        if !fits {
            return Err(format!("the prompt ({len} tokens) exceeds the model's context ({context} tokens)"));
        }
        if let Goal::Score { from } = work.goal
            && !(1..len).contains(&from)
        {
            // Nobody would ever see it end.
            return Err(format!(
                "the tokens from {from} on of a text of {len} cannot be scored: there are none, or none before them"
            ));
        }
        let targets = match &work.goal {
            Goal::Candidates { targets } if targets.is_empty() => return Err("there are no candidates to score".into()),
            Goal::Candidates { targets } => targets.as_slice(),
            _ => &[],
        };
        if let Some(id) = work.tokens.iter().chain(targets).find(|id| **id as usize >= self.shape.vocab) {
            return Err(format!("token {id} is outside the vocabulary of {}", self.shape.vocab));
        }
        if let Goal::Generate { max_new_tokens, draft, .. } = &mut work.goal {
            *max_new_tokens = (*max_new_tokens).min(context - len);
            draft.cut(self.shape.vocab);
        }
        let needed = work.longest().div_ceil(self.shape.block_size);
        if needed > self.shape.blocks {
            return Err(format!(
                "the sequence needs {needed} KV blocks of {} tokens, and there are {}; raise --kv-gib or lower max_new_tokens",
                self.shape.block_size, self.shape.blocks
            ));
        }
        Ok(work)
    }

    /// Starts what fits: the longest first, and after each what begins like it, so that the blocks they share are still
    /// there; then whatever the free blocks still take.
    fn admit(&mut self) {
        let (mut filling, mut last) = (false, None);
        while self.running.len() < self.limits.max_seqs && !self.pool.are_exhausted() {
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
        self.totals.peak_blocks = self.pool.peak();
    }

    /// The waiting work that has most in common with the leader, if that is half of its tokens or more.
    fn relative(&self) -> Option<u64> {
        let (before, behind) = (self.alike.range(..&self.leader).next_back(), self.alike.range(&self.leader..).next());
        let common = |tokens: &[u32]| tokens.iter().zip(&self.leader.0).take_while(|(a, b)| a == b).count();
        let beside = before.into_iter().chain(behind).map(|(tokens, index)| (common(tokens), tokens.len(), *index));
        let (common, length, index) = beside.max_by_key(|(common, _, _)| *common)?;
        (2 * common >= length).then_some(index)
    }

    /// Starts waiting work; false where there are too few blocks.
    fn start_one(&mut self, index: u64) -> bool {
        let Some(work) = self.waiting.get(&index) else { return false };
        let ((computed, unread), longest, order) = (work.prompt(), work.longest(), work.order());
        let rotation = self.backend.rotation(work.grown());
        let Some(table) = self.pool.allocate(&work.tokens[..computed], unread, longest, rotation) else { return false };
        let Some(mut work) = self.waiting.remove(&index) else { return false };
        self.pending.remove(&(Reverse(order), index));
        let key = (work.tokens.into_boxed_slice(), index);
        self.alike.remove(&key);
        work.tokens = key.0.into_vec();
        self.running.push(Sequence::new(index, work, table, rotation));
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
            if !sequence.started {
                // Whoever was to compute a block may have failed before it was there.
                self.pool.take_over(&mut sequence.table);
            }
            if !self.pool.are_ready(&sequence.table) {
                continue;
            }
            if !sequence.started {
                let Some((known, copy)) = self.pool.start(&sequence.table, &sequence.tokens, sequence.unread) else {
                    continue;
                };
                (sequence.cached, sequence.started) = (known, true);
                self.totals.shared_tokens += known as u64;
                copies.extend(copy);
            }
            left = left.saturating_sub(sequence.waiting(Deferred::Nothing).min(self.limits.prefill_chunk));
        }
        copies
    }

    /// Gives the backend one more step, and looks at what those before it answered.
    fn step(&mut self) -> Result<()> {
        let mut behind = 0;
        if let Some((step, parts)) = self.plan() {
            // A small step is read before the next one is made: known tokens make guesses, which are worth more there.
            let small = self.limits.drafts && step.tokens.len() < SMALL;
            self.totals.steps += 1;
            let outputs = match self.backend.as_async() {
                Some(backend) => {
                    backend.begin(&step)?;
                    behind = usize::from(!small);
                    None
                }
                None => Some(self.backend.step(&step)?),
            };
            self.in_flight.push_back(InFlightStep { parts, outputs });
        } else if self.in_flight.is_empty() {
            return Err(stuck(format!("{} sequences run and none has anything to compute", self.running.len())));
        }
        while self.in_flight.len() > behind {
            self.read_oldest()?;
        }
        Ok(())
    }

    /// The next step, unless all that could be done hangs on a step that was not read yet.
    fn plan(&mut self) -> Option<(Step, Vec<Part>)> {
        let mut step = Step { copies: self.start(), ..Step::default() };
        // Where the last step was read, nothing is deferred any more.
        let all_read = self.in_flight.is_empty();
        let deferred = self.running.iter_mut().map(|sequence| std::mem::take(&mut sequence.deferred));
        let deferred: Vec<Deferred> =
            deferred.map(|deferred| if all_read { Deferred::Nothing } else { deferred }).collect();
        let runnable: Vec<Runnable> =
            self.running.iter().zip(&deferred).map(|(s, deferred)| s.runnable(*deferred)).collect();
        let budget = Budget { tokens: self.limits.batch_tokens, chunk: self.limits.prefill_chunk };
        let take = plan::pack(&runnable, budget, self.turn);
        self.turn = self.turn.wrapping_add(self.limits.batch_tokens);
        let mut rows: usize = take.iter().sum();
        let mut parts = Vec::new();
        for (place, (count, deferred)) in
            take.into_iter().zip(deferred).enumerate().filter(|(_, (count, _))| *count > 0)
        {
            let sequence = &self.running[place];
            let (start, row, output) = (sequence.cached, step.tokens.len(), step.outputs.len());
            let (end, grown) = (start + count, sequence.grown(deferred));
            let guess = if end == grown { self.guess(sequence, deferred, rows).to_vec() } else { Vec::new() };
            rows += guess.len();
            step.tokens.extend_from_slice(&sequence.tokens[start..end.min(sequence.tokens.len())]);
            if let Deferred::Token(output) = deferred {
                step.deferred.push(DeferredToken { row: step.tokens.len(), output });
                step.tokens.push(0);
            }
            step.tokens.extend_from_slice(&guess);
            let len = count + guess.len();
            let blocks = (start + len).div_ceil(self.shape.block_size);
            let blocks = sequence.table.blocks[..blocks].to_vec();
            step.segments.push(Segment { start, len, blocks, rotation: sequence.rotation });
            sequence.request_outputs((count, grown), guess.len(), row, &mut step);
            let sequence = &mut self.running[place];
            if !sequence.decoding() {
                self.totals.prefill_tokens += count as u64;
            }
            sequence.cached = end;
            if end == grown {
                sequence.processing(&guess, output, &mut step.processing);
                sequence.deferred = sequence.deferral(grown, !guess.is_empty(), output);
            }
            // Whoever waits for these blocks comes in a later step.
            self.pool.computed(&sequence.table, end);
            parts.push(Part { place: Some(place), guess, outputs: step.outputs.len() - output });
        }
        (!parts.is_empty()).then_some((step, parts))
    }

    /// Takes up the outputs of the oldest step in flight.
    fn read_oldest(&mut self) -> Result<()> {
        let Some(InFlightStep { parts, outputs }) = self.in_flight.pop_front() else { return Ok(()) };
        let outputs = match (outputs, self.backend.as_async()) {
            (Some(outputs), _) => outputs,
            (None, Some(backend)) => backend.finish()?,
            (None, None) => return Err(Error::internal("failed to wait for a backend that is not asynchronous")),
        };
        let mut ends: Vec<Option<Completion>> = self.running.iter().map(|_| None).collect();
        let mut outputs_left = outputs.into_iter();
        for Part { place, guess, outputs } in parts {
            let given: Vec<StepOutput> = outputs_left.by_ref().take(outputs).collect();
            let Some(place) = place else { continue };
            self.totals.drafted_tokens += guess.len() as u64;
            ends[place] = self.take_up(place, &guess, given);
        }
        let mut places = Vec::with_capacity(ends.len());
        for (sequence, end) in std::mem::take(&mut self.running).into_iter().zip(ends) {
            places.push(end.is_none().then_some(self.running.len()));
            let Some(end) = end else {
                self.running.push(sequence);
                continue;
            };
            let index = sequence.index;
            let (outcome, table) = sequence.close(end);
            self.pool.release(table);
            self.finished.push((index, outcome));
        }
        for part in self.in_flight.iter_mut().flat_map(|step| &mut step.parts) {
            part.place = part.place.and_then(|place| places[place]);
        }
        Ok(())
    }

    /// Takes up what was read of a running sequence; `Some` if it is at its end.
    fn take_up(&mut self, place: usize, guess: &[u32], outputs: Vec<StepOutput>) -> Option<Completion> {
        let sequence = &mut self.running[place];
        for (nth, output) in outputs.into_iter().enumerate() {
            if nth > 0 && !guess.is_empty() {
                // This row stands after a guess: it tells something only if the guess was right.
                if sequence.tokens.last() != Some(&guess[nth - 1]) {
                    return None;
                }
                sequence.cached += 1;
                self.totals.accepted_tokens += 1;
            }
            self.totals.generated_tokens += u64::from(matches!(output, StepOutput::Next(_)));
            let end = sequence.take_up(output);
            if end.is_some() {
                return end;
            }
        }
        None
    }

    /// What may follow the known tokens of a sequence, where a step of `rows` rows has room to verify it.
    fn guess<'s>(&self, sequence: &'s Sequence, deferred: Deferred, rows: usize) -> &'s [u32] {
        let Goal::Generate { max_new_tokens, draft, .. } = &sequence.goal else { return &[] };
        if !self.limits.drafts {
            return &[];
        }
        // A guess takes the place of a token that is computed, which the last one of an answer is not.
        let room = (sequence.prompt + max_new_tokens - 1).saturating_sub(sequence.grown(deferred));
        let Totals { drafted_tokens, accepted_tokens, .. } = self.totals;
        let trusted = drafted_tokens < 4 * SMALL as u64 || accepted_tokens * 4 >= drafted_tokens * 3;
        let careful = if trusted { room } else { room.min(CAREFUL) };
        let most = careful.min(self.limits.batch_tokens.saturating_sub(rows));
        if let Deferred::Token(_) = deferred {
            // The token that is not known yet is the next one of the record, if the draft is right.
            return draft.recorded(most + 1).get(1..).unwrap_or_default();
        }
        let recorded = draft.recorded(most);
        if recorded.is_empty() {
            draft::look_up(&sequence.tokens, room.min(SMALL.saturating_sub(rows)))
        } else {
            recorded
        }
    }

    /// The oldest work that is not answered; the next, where there is none.
    fn oldest(&self) -> u64 {
        self.unanswered.first().copied().unwrap_or(self.read)
    }

    /// Hands out the answers that there are.
    fn emit(&mut self, source: &mut dyn RequestSource) -> Result<()> {
        for (index, outcome) in self.finished.drain(..) {
            self.unanswered.remove(&index);
            self.totals.finished += 1;
            source.done(index, outcome)?;
        }
        Ok(())
    }
}

/// A state that must not be: to wait would be to wait for ever.
fn stuck(state: String) -> Error {
    Error::internal(format!("failed to go on with the sequences: {state}"))
        .with_hint("this is a fault of karat: report it with the call and its input")
}

/// Runs a list of work and gives the outcomes in its order.
///
/// # Errors
/// What ends the whole run.
pub fn run_all(backend: &mut dyn Backend, limits: Limits, work: Vec<Work>) -> Result<Vec<Outcome>> {
    let mut list = List::new(work);
    Scheduler::new(backend, limits).run(&mut list)?;
    Ok(list.into_outcomes())
}
