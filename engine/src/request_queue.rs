//! Prepared requests on their way to the scheduler, and what came of them on the way back.
//!
//! A request is one sequence or several; its answer goes back when all have ended. What was computed before passes the scheduler by.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::mpsc::{Receiver, SyncSender};

use crate::error::{Error, Result};
use crate::guard::{caught, guarded};
use crate::loglikelihood::Piece;
use crate::response_cache::Key;
use crate::scheduler::workload::{Closed, Outcome, RequestSource, Totals, Work};

/// Answers from the cache between two looks at whether to go on.
const LOOK: u64 = 256;

/// A request on its way to the scheduler, or past it.
#[derive(Default)]
pub struct Prepared {
    /// Its sequences, or why there are none; `None` where its answer is known.
    pub work: Option<std::result::Result<Vec<Work>, String>>,
    pub ticket: Ticket,
}

/// What the answer needs to know of its request.
#[derive(Default)]
pub struct Ticket {
    /// Its place in the input, from 0.
    pub number: u64,
    pub prompt_tokens: usize,
    pub prompt_hash: String,
    /// Where the answer is kept.
    pub key: Option<Key>,
    /// The answer, where it was computed before.
    pub known: Option<Closed>,
    /// The prompt has opened a thought.
    pub thought_opened: bool,
    /// How the answers to a question for log-probabilities are put together.
    pub answers: Vec<Vec<Piece>>,
}

/// Prepares requests until there are none left or nobody listens any more. A request whose preparing panics has failed; an input
/// that panics is an error, not an end.
pub fn feed<T>(
    mut items: impl Iterator<Item = Result<T>>,
    prepare: impl Fn(T) -> Prepared,
    sender: SyncSender<Result<Prepared>>,
) {
    for number in 0.. {
        let prepared = match caught("read the input", || items.next()) {
            Ok(None) => return,
            Ok(Some(Ok(item))) => {
                let prepared = guarded("prepare the prompt", || prepare(item));
                let failed = |error: Error| Prepared { work: Some(Err(error.chain())), ..Prepared::default() };
                let Prepared { work, ticket } = prepared.unwrap_or_else(failed);
                Ok(Prepared { work, ticket: Ticket { number, ..ticket } })
            }
            Ok(Some(Err(error))) | Err(error) => Err(error),
        };
        let failed = prepared.is_err();
        if sender.send(prepared).is_err() || failed {
            return;
        }
    }
}

/// A request whose sequences are computed.
struct Pending {
    ticket: Ticket,
    /// What came of its sequences.
    outcomes: Vec<Option<Outcome>>,
    /// How many of them have not ended.
    left: usize,
}

/// Takes prepared requests to the scheduler and outcomes back to whoever asked; known answers pass it by.
pub struct RequestQueue<A, P> {
    receiver: Receiver<Result<Prepared>>,
    window: u64,
    /// The first work, which was waited for before there was a scheduler.
    pub first: Option<std::result::Result<Work, String>>,
    /// Work of the newest request that the scheduler has not got yet.
    rest: VecDeque<Work>,
    /// Requests that are not answered, by their place in the input.
    pending: HashMap<u64, Pending>,
    /// By the scheduler's numbers: the request, and which of its sequences.
    sequences: HashMap<u64, (u64, usize)>,
    /// How much work the scheduler has got.
    handed: u64,
    /// Places in the input of what is not answered, and the next one.
    unanswered: BTreeSet<u64>,
    next: u64,
    answer: A,
    progress: P,
    /// Answers that were known.
    cached: u64,
    /// What the scheduler did so far.
    pub totals: Totals,
}

impl<A, P> RequestQueue<A, P>
where
    A: FnMut(Ticket, Vec<Outcome>) -> Result<()>,
    P: FnMut(&Totals) -> Result<()>,
{
    /// Takes requests from a channel; no more than `window` are under way.
    pub fn new(receiver: Receiver<Result<Prepared>>, window: usize, answer: A, progress: P) -> Self {
        Self {
            receiver,
            window: window.max(1) as u64,
            first: None,
            rest: VecDeque::new(),
            pending: HashMap::new(),
            sequences: HashMap::new(),
            handed: 0,
            unanswered: BTreeSet::new(),
            next: 0,
            answer,
            progress,
            cached: 0,
            totals: Totals::default(),
        }
    }

    /// Notes that the scheduler gets this sequence of a request next.
    fn hand(&mut self, request: u64, sequence: usize) {
        self.sequences.insert(self.handed, (request, sequence));
        self.handed += 1;
    }

    /// Gives an answer that is known already.
    fn release(&mut self, ticket: Ticket) -> Result<()> {
        (self.answer)(ticket, Vec::new())?;
        self.cached += 1;
        if self.cached.is_multiple_of(LOOK) {
            let totals = self.totals();
            (self.progress)(&totals)?;
        }
        Ok(())
    }

    /// Whether the next request would be less than a window ahead of the oldest that is not answered.
    fn has_room(&self) -> bool {
        self.next - self.unanswered.first().copied().unwrap_or(self.next) < self.window
    }

    /// What was done so far, known answers included.
    pub fn totals(&self) -> Totals {
        Totals { finished: self.totals.finished + self.cached, cached: self.cached, ..self.totals }
    }
}

impl<A, P> RequestSource for RequestQueue<A, P>
where
    A: FnMut(Ticket, Vec<Outcome>) -> Result<()>,
    P: FnMut(&Totals) -> Result<()>,
{
    fn next(&mut self, wait: bool) -> Result<Option<std::result::Result<Work, String>>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        if let Some(work) = self.rest.pop_front() {
            let request = self.next - 1;
            let of = self.pending.get(&request).map_or(0, |pending| pending.outcomes.len());
            self.hand(request, of - self.rest.len() - 1);
            return Ok(Some(Ok(work)));
        }
        // Whoever waits has nothing in flight: there is room, and this loop ends with the requests.
        while wait || self.has_room() {
            let prepared = if wait { self.receiver.recv().ok() } else { self.receiver.try_recv().ok() };
            let Some(Prepared { work, ticket }) = prepared.transpose()? else { return Ok(None) };
            self.next = ticket.number + 1;
            let Some(work) = work else {
                self.release(ticket)?;
                continue;
            };
            let number = ticket.number;
            self.unanswered.insert(number);
            let work = work.map(VecDeque::from);
            let count = work.as_ref().map_or(1, |work| work.len().max(1));
            let outcomes = (0..count).map(|_| None).collect();
            self.pending.insert(number, Pending { ticket, outcomes, left: count });
            self.hand(number, 0);
            let first = match work {
                Err(reason) => Err(reason),
                Ok(mut work) => {
                    if count > 1 {
                        let rank = work.iter().map(Work::longest).max().unwrap_or(0);
                        work.iter_mut().for_each(|work| (work.group, work.rank) = (Some(number), rank));
                    }
                    let first = work.pop_front().ok_or_else(|| "there is nothing to compute".to_owned());
                    self.rest = work;
                    first
                }
            };
            return Ok(Some(first));
        }
        Ok(None)
    }

    fn done(&mut self, index: u64, outcome: Outcome) -> Result<()> {
        let lost = || Error::internal("failed to find the request of an answer");
        let (number, sequence) = self.sequences.remove(&index).ok_or_else(lost)?;
        let pending = self.pending.get_mut(&number).ok_or_else(lost)?;
        pending.outcomes[sequence] = Some(outcome);
        pending.left -= 1;
        if pending.left > 0 {
            return Ok(());
        }
        self.unanswered.remove(&number);
        let Pending { ticket, outcomes, .. } = self.pending.remove(&number).ok_or_else(lost)?;
        (self.answer)(ticket, outcomes.into_iter().flatten().collect())
    }

    fn stepped(&mut self, totals: &Totals) -> Result<()> {
        self.totals = *totals;
        let totals = self.totals();
        (self.progress)(&totals)
    }
}
