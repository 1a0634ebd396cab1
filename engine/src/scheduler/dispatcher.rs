//! One workload over several backends, one for each GPU (data parallelism).
//!
//! Every backend has a scheduler and a thread of its own, with its own blocks; requests go to whoever has least to do, and
//! answers leave as they end. A row's bits depend on nothing but its own sequence, so who computes it decides speed only.
//! A thread that panics ends the run with an error, and so does one that ends while it has work or might get some.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::backend::Backend;
use super::workload::{Goal, Outcome, RequestSource, Totals, Work};
use super::{Limits, Scheduler};
use crate::error::{Error, Result};
use crate::guard::caught;

/// A request, or why it failed before it reached the engine.
type Asked = std::result::Result<Work, String>;

/// Runs work through the backends until there is none left.
///
/// # Errors
/// What ends the whole run.
pub fn run(backends: &mut [Box<dyn Backend>], limits: Limits, source: &mut dyn RequestSource) -> Result<Totals> {
    if let [only] = backends {
        return caught("compute", || Scheduler::new(&mut **only, limits).run(source)).and_then(|totals| totals);
    }
    std::thread::scope(|scope| {
        let (reports, received) = channel();
        let mut workers = Vec::with_capacity(backends.len());
        for (number, backend) in backends.iter_mut().enumerate() {
            let (sender, requests) = channel();
            let mut counter = WorkerSource { number, requests, reports: reports.clone() };
            let work = move || {
                let run = || Scheduler::new(&mut **backend, limits).run(&mut counter);
                let totals = caught("compute on a GPU", run).and_then(|totals| totals);
                // Nobody listens once the run has failed elsewhere.
                drop(counter.reports.send((number, Report::Ended(totals))));
            };
            let thread = std::thread::Builder::new().name(format!("GPU {number}"));
            thread
                .spawn_scoped(scope, work)
                .map_err(|e| Error::internal("failed to start a thread for a GPU").caused_by(e))?;
            workers.push(Worker::new(sender));
        }
        // The schedulers hold what reports there will be: when all have ended, no more can come.
        drop(reports);
        let window = limits.window.max(1) as u64;
        Dispatcher { workers, received, window, read: 0, unanswered: BTreeSet::new(), last: None }.run(source)
    })
}

/// What a backend's scheduler tells.
enum Report {
    /// The answer to its request of this number.
    Done(u64, Outcome),
    /// What it did so far.
    Stepped(Totals),
    /// It has no more to do.
    Ended(Result<Totals>),
}

/// Where a backend's scheduler gets its requests and leaves its answers.
struct WorkerSource {
    number: usize,
    requests: Receiver<Asked>,
    reports: Sender<(usize, Report)>,
}

impl WorkerSource {
    fn tell(&self, report: Report) -> Result<()> {
        self.reports
            .send((self.number, report))
            .map_err(|_| Error::internal("failed to answer after the end of the run"))
    }
}

impl RequestSource for WorkerSource {
    fn next(&mut self, wait: bool) -> Result<Option<Asked>> {
        Ok(if wait { self.requests.recv().ok() } else { self.requests.try_recv().ok() })
    }

    fn done(&mut self, index: u64, outcome: Outcome) -> Result<()> {
        self.tell(Report::Done(index, outcome))
    }

    fn stepped(&mut self, totals: &Totals) -> Result<()> {
        self.tell(Report::Stepped(*totals))
    }
}

/// A backend as the dispatcher sees it.
struct Worker {
    /// `None` once there are no more requests.
    sender: Option<Sender<Asked>>,
    /// Requests it got.
    sent: u64,
    /// By its own numbers, whose requests are unanswered, and the tokens that each may take.
    unanswered: BTreeMap<u64, (u64, u64)>,
    /// Sum of those tokens.
    left: u64,
    totals: Totals,
}

impl Worker {
    fn new(sender: Sender<Asked>) -> Self {
        Self { sender: Some(sender), sent: 0, unanswered: BTreeMap::new(), left: 0, totals: Totals::default() }
    }
}

struct Dispatcher {
    workers: Vec<Worker>,
    received: Receiver<(usize, Report)>,
    window: u64,
    read: u64,
    unanswered: BTreeSet<u64>,
    /// The group that was sent last, and to which worker: it holds what the rest of the group begins with.
    last: Option<(u64, usize)>,
}

impl Dispatcher {
    fn run(mut self, source: &mut dyn RequestSource) -> Result<Totals> {
        loop {
            self.dispatch(source)?;
            // Without requests all lanes end; a lane that ends drops its sender.
            let Ok(first) = self.received.recv() else { return self.end() };
            let mut told = Some(first);
            let mut stepped = false;
            while let Some((number, report)) = told {
                let worker = &mut self.workers[number];
                match report {
                    Report::Done(own, outcome) => {
                        let Some((index, cost)) = worker.unanswered.remove(&own) else {
                            return Err(Error::internal("failed to find the request of a GPU's answer"));
                        };
                        worker.left -= cost;
                        self.unanswered.remove(&index);
                        source.done(index, outcome)?;
                    }
                    Report::Stepped(totals) => (worker.totals, stepped) = (totals, true),
                    Report::Ended(totals) => {
                        worker.totals = totals?;
                        if worker.sender.is_some() || !worker.unanswered.is_empty() {
                            let left = worker.unanswered.len();
                            return Err(Error::internal(format!(
                                "failed to go on with GPU {number}: it ended with {left} requests unanswered"
                            )));
                        }
                    }
                }
                told = self.received.try_recv().ok();
            }
            if stepped {
                source.stepped(&self.totals())?;
            }
        }
    }

    /// What was done, when all lanes have ended.
    fn end(&self) -> Result<Totals> {
        match self.unanswered.len() {
            0 => Ok(self.totals()),
            left => Err(Error::internal(format!("failed to answer {left} requests: all GPUs have ended"))),
        }
    }

    /// Gives requests to whoever has least to do, as long as there are some and the window has room.
    fn dispatch(&mut self, source: &mut dyn RequestSource) -> Result<()> {
        while self.read - self.unanswered.first().copied().unwrap_or(self.read) < self.window
            && self.workers.iter().any(|worker| worker.sender.is_some())
        {
            let idle = self.unanswered.is_empty();
            let Some(asked) = source.next(idle)? else {
                if idle {
                    self.workers.iter_mut().for_each(|worker| worker.sender = None);
                }
                return Ok(());
            };
            let group = asked.as_ref().ok().and_then(|work| work.group);
            let same = self.last.filter(|(last, _)| group == Some(*last)).map(|(_, number)| number);
            let least = || self.workers.iter().enumerate().min_by_key(|(_, worker)| worker.left).map(|(at, _)| at);
            let Some(number) = same.or_else(least) else { return Ok(()) };
            self.last = group.map(|group| (group, number));
            let worker = &mut self.workers[number];
            let cost = asked.as_ref().map_or(0, cost);
            worker.unanswered.insert(worker.sent, (self.read, cost));
            worker.sent += 1;
            worker.left += cost;
            self.unanswered.insert(self.read);
            self.read += 1;
            // A lane that has failed no longer listens; what it failed of is among the reports.
            if let Some(sender) = &worker.sender {
                let _ = sender.send(asked);
            }
        }
        Ok(())
    }

    fn totals(&self) -> Totals {
        self.workers.iter().fold(Totals::default(), |sum, worker| sum.beside(&worker.totals))
    }
}

/// Tokens that a request may take; bounded, for costs are added up and a request may ask for any number.
fn cost(work: &Work) -> u64 {
    const MOST: u64 = 1 << 40;
    let more = match &work.goal {
        Goal::Generate { max_new_tokens, .. } => *max_new_tokens,
        Goal::Score { .. } | Goal::Candidates { .. } | Goal::Logits => 0,
    };
    (work.tokens.len().saturating_add(more) as u64).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests that never came to the engine.
    struct Asking(usize);

    impl RequestSource for Asking {
        fn next(&mut self, _wait: bool) -> Result<Option<Asked>> {
            self.0 = self.0.saturating_sub(1);
            Ok((self.0 > 0).then(|| Err("unreadable".into())))
        }

        fn done(&mut self, _index: u64, _outcome: Outcome) -> Result<()> {
            Ok(())
        }

        fn stepped(&mut self, _totals: &Totals) -> Result<()> {
            Ok(())
        }
    }

    fn ended(requests: usize, report: Option<Report>) -> String {
        let (reports, received) = channel();
        let (sender, _requests) = channel();
        report.into_iter().for_each(|report| reports.send((0, report)).unwrap());
        drop(reports);
        let workers = vec![Worker::new(sender)];
        let dispatcher = Dispatcher { workers, received, window: 4, read: 0, unanswered: BTreeSet::new(), last: None };
        dispatcher.run(&mut Asking(requests + 1)).unwrap_err().chain()
    }

    #[test]
    fn a_gpu_that_ends_while_it_has_work_or_might_get_some_ends_the_run() {
        let done = || Some(Report::Ended(Ok(Totals::default())));
        assert!(ended(3, done()).contains("ended with 3 requests unanswered"));
        assert!(ended(9, done()).contains("ended with 4 requests unanswered"), "the window is full, more may come");
        assert!(ended(2, None).contains("failed to answer 2 requests: all GPUs have ended"));
        let failed = Report::Ended(Err(Error::internal("multiply")));
        assert!(ended(2, Some(failed)).contains("multiply"), "its own words");
    }
}
