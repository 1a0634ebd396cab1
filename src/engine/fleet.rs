//! One workload over several backends, one for each card (data parallelism).
//!
//! Every backend has a scheduler and a thread of its own, with its own pages; requests go to whoever has least to do, and
//! answers leave in input order. A row's bits depend on nothing but its own sequence, so who computes it decides speed only.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::backend::Backend;
use super::scheduler::{Limits, Scheduler};
use super::workload::{Exchange, Goal, Outcome, Totals, Work};
use crate::error::{Error, Result};

/// A request, or why it failed before it reached the engine.
type Asked = std::result::Result<Work, String>;

/// Runs work through the backends until there is none left.
///
/// # Errors
/// What ends the whole run.
pub fn run(backends: &mut [Box<dyn Backend>], limits: Limits, exchange: &mut dyn Exchange) -> Result<Totals> {
    if let [only] = backends {
        return Scheduler::new(&mut **only, limits).run(exchange);
    }
    std::thread::scope(|scope| {
        let (reports, received) = channel();
        let mut lanes = Vec::with_capacity(backends.len());
        for (number, backend) in backends.iter_mut().enumerate() {
            let (sender, requests) = channel();
            let mut counter = Counter { number, requests, reports: reports.clone() };
            let work = move || {
                let totals = Scheduler::new(&mut **backend, limits).run(&mut counter);
                // Nobody listens once the run has failed elsewhere.
                drop(counter.reports.send((number, Report::Ended(totals))));
            };
            let thread = std::thread::Builder::new().name(format!("card {number}"));
            thread.spawn_scoped(scope, work).map_err(|e| Error::internal("start a thread for a card").caused_by(e))?;
            lanes.push(Lane::new(sender));
        }
        // The schedulers hold what reports there will be: when all have ended, no more can come.
        drop(reports);
        Fleet { lanes, received, window: limits.window.max(1), order: VecDeque::new() }.run(exchange)
    })
}

/// What a backend's scheduler tells.
enum Report {
    /// An answer; they come in the order of the backend's requests.
    Done(Outcome),
    /// What it did so far.
    Stepped(Totals),
    /// It has no more to do.
    Ended(Result<Totals>),
}

/// Where a backend's scheduler gets its requests and leaves its answers.
struct Counter {
    number: usize,
    requests: Receiver<Asked>,
    reports: Sender<(usize, Report)>,
}

impl Counter {
    fn tell(&self, report: Report) -> Result<()> {
        self.reports.send((self.number, report)).map_err(|_| Error::internal("answer after the end of the run"))
    }
}

impl Exchange for Counter {
    fn next(&mut self, wait: bool) -> Result<Option<Asked>> {
        Ok(match wait {
            true => self.requests.recv().ok(),
            false => self.requests.try_recv().ok(),
        })
    }

    fn done(&mut self, outcome: Outcome) -> Result<()> {
        self.tell(Report::Done(outcome))
    }

    fn stepped(&mut self, totals: &Totals) -> Result<()> {
        self.tell(Report::Stepped(*totals))
    }
}

/// A backend as the fleet sees it.
struct Lane {
    /// `None` once there are no more requests.
    sender: Option<Sender<Asked>>,
    /// Tokens that each unanswered request may take.
    costs: VecDeque<u64>,
    /// Their sum.
    left: u64,
    /// Answers whose turn it is not yet.
    answers: VecDeque<Outcome>,
    totals: Totals,
}

impl Lane {
    fn new(sender: Sender<Asked>) -> Self {
        let (costs, answers) = (VecDeque::new(), VecDeque::new());
        Self { sender: Some(sender), costs, left: 0, answers, totals: Totals::default() }
    }
}

struct Fleet {
    lanes: Vec<Lane>,
    received: Receiver<(usize, Report)>,
    window: usize,
    /// Whose each request is that is not answered yet.
    order: VecDeque<usize>,
}

impl Fleet {
    fn run(mut self, exchange: &mut dyn Exchange) -> Result<Totals> {
        loop {
            self.hand_out(exchange)?;
            // Without requests all lanes end; a lane that ends drops its sender.
            let Ok(first) = self.received.recv() else { return Ok(self.totals()) };
            let mut told = Some(first);
            let mut stepped = false;
            while let Some((number, report)) = told {
                let lane = &mut self.lanes[number];
                match report {
                    Report::Done(outcome) => {
                        lane.left -= lane.costs.pop_front().unwrap_or(0);
                        lane.answers.push_back(outcome);
                    }
                    Report::Stepped(totals) => (lane.totals, stepped) = (totals, true),
                    Report::Ended(totals) => lane.totals = totals?,
                }
                told = self.received.try_recv().ok();
            }
            while let Some(number) = self.order.front()
                && let Some(outcome) = self.lanes[*number].answers.pop_front()
            {
                self.order.pop_front();
                exchange.done(outcome)?;
            }
            if stepped {
                exchange.stepped(&self.totals())?;
            }
        }
    }

    /// Gives requests to whoever has least to do, as long as there are some and the window has room.
    fn hand_out(&mut self, exchange: &mut dyn Exchange) -> Result<()> {
        while self.order.len() < self.window && self.lanes.iter().any(|lane| lane.sender.is_some()) {
            let idle = self.order.is_empty();
            let Some(asked) = exchange.next(idle)? else {
                if idle {
                    self.lanes.iter_mut().for_each(|lane| lane.sender = None);
                }
                return Ok(());
            };
            let least = self.lanes.iter().enumerate().min_by_key(|(_, lane)| lane.left);
            let Some((number, _)) = least else { return Ok(()) };
            let lane = &mut self.lanes[number];
            let cost = asked.as_ref().map_or(0, cost);
            lane.costs.push_back(cost);
            lane.left += cost;
            self.order.push_back(number);
            // A lane that has failed no longer listens; what it failed of is among the reports.
            lane.sender.as_ref().map(|sender| sender.send(asked));
        }
        Ok(())
    }

    fn totals(&self) -> Totals {
        self.lanes.iter().fold(Totals::default(), |sum, lane| sum.beside(&lane.totals))
    }
}

/// Tokens that a request may take.
fn cost(work: &Work) -> u64 {
    let more = match &work.goal {
        Goal::Generate { max_new_tokens, .. } => *max_new_tokens,
        Goal::Score { .. } | Goal::Logits => 0,
    };
    (work.tokens.len() + more) as u64
}
