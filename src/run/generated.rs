//! Cases to the generator and its answers to scoring.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;

use super::cases::{Case, Cases};
use super::check::Checked;
use super::event::{Event, Watch};
use super::meter::{GENERATED, Meter, PROMPT};
use super::outbox::{Answer, Answered, Outbox, SMALLEST};
use super::recorded::Recorded;
use crate::engine::workload::Totals;
use crate::engine::{CaseKey, Generator, Request, Response};
use crate::error::{Error, Result};
use crate::record::{BASELINE_DRAFTS, CACHED};

/// Requests on their way into the engine.
pub(super) type Requests<'a> = Box<dyn Iterator<Item = Result<Request>> + Send + 'a>;

/// What answers requests in input order: the generator, or a script in tests.
pub(super) trait Answerer {
    /// Whether it takes conversations.
    fn has_chat_template(&self) -> bool;

    /// Answers all requests in order; `progress` is called after each step. Requests are taken on a thread of its own.
    ///
    /// # Errors
    /// What ends the whole run.
    fn answer(
        &mut self,
        requests: Requests<'_>,
        sink: &mut dyn FnMut(Response) -> Result<()>,
        progress: &mut dyn FnMut(&Totals) -> Result<()>,
    ) -> Result<Totals>;
}

impl Answerer for Generator {
    fn has_chat_template(&self) -> bool {
        self.renderer().has_chat_template()
    }

    fn answer(
        &mut self,
        requests: Requests<'_>,
        sink: &mut dyn FnMut(Response) -> Result<()>,
        progress: &mut dyn FnMut(&Totals) -> Result<()>,
    ) -> Result<Totals> {
        self.generate(requests, sink, progress)
    }
}

/// What the answering side of a run works with.
pub(super) struct Desk<'a> {
    pub checked: &'a Checked,
    pub sender: SyncSender<Vec<Answered>>,
    pub meter: &'a Meter,
    pub watch: Watch<'a>,
}

/// Asks all cases, with earlier answers as drafts. A case whose prompt cannot be built goes straight to scoring with its error.
pub(super) fn generate(answerer: &mut dyn Answerer, mut drafts: Option<Recorded>, desk: Desk<'_>) -> Result<()> {
    let Desk { checked, sender, meter, watch } = desk;
    let has_chat = answerer.has_chat_template();
    checked.prompt.check_model(has_chat)?;
    let options = checked.suite.plan.generation.options();
    // Cases whose answer has not come yet, in order; as many as the engine's window.
    let asked: Mutex<VecDeque<Case>> = Mutex::default();
    let unasked = sender.clone();
    let mut outbox = Outbox::new(sender, SMALLEST);
    // Answers that an accepted run gave before: what they cost says little about the model.
    let known = AtomicU64::new(0);
    let requests = Cases::new(checked).filter_map(|case| {
        let case = match case {
            Ok(case) => case,
            Err(error) => return Some(Err(error)),
        };
        let prompt = match checked.prompt.build(&case.sample, has_chat) {
            Ok(prompt) => prompt,
            Err(error) => {
                let Case { dataset, sample, repeat } = case;
                let answered = Answered { dataset, sample, repeat, answer: Answer::Unasked(error.chain()) };
                // One at a time: they are rare, and waiting here is what bounds memory where they are not.
                let sent = unasked.send(vec![answered]);
                return sent.is_err().then(|| Err(Error::internal("hand over a case that was not asked")));
            }
        };
        let dataset = checked.sources[case.dataset].name.clone();
        let earlier = |drafts: &mut Recorded| drafts.output_ids((&dataset, &case.sample.id, case.repeat));
        let draft = drafts.as_mut().map(earlier).unwrap_or_default();
        known.fetch_add(u64::from(!draft.is_empty()), Relaxed);
        let key = CaseKey { dataset, case: case.sample.id.clone(), repeat: case.repeat };
        match asked.lock() {
            Ok(mut asked) => asked.push_back(case),
            Err(_) => return Some(Err(Error::internal("note a case"))),
        }
        Some(Ok(Request { prompt, options: options.clone(), key, draft }))
    });
    let mut sink = |response: Response| {
        let case = asked.lock().ok().and_then(|mut asked| asked.pop_front());
        let Some(Case { dataset, sample, repeat }) = case else {
            return Err(Error::internal("find the case of an answer"));
        };
        outbox.push(Answered { dataset, sample, repeat, answer: Answer::Generated(response) })
    };
    let tell = |totals: &Totals| {
        watch.tell(Event::Answered {
            cases: totals.finished,
            cached: totals.cached,
            prompt_tokens: totals.prefill_tokens,
            generated_tokens: totals.generated_tokens,
        });
    };
    let mut progress = |totals: &Totals| {
        watch.check()?;
        tell(totals);
        Ok(())
    };
    let totals = answerer.answer(Box::new(requests), &mut sink, &mut progress)?;
    tell(&totals);
    outbox.flush()?;
    meter.count(PROMPT, totals.prefill_tokens);
    meter.count(GENERATED, totals.generated_tokens);
    meter.count(CACHED, totals.cached);
    meter.count("generator.shared_tokens", totals.shared_tokens);
    meter.count("generator.drafted_tokens", totals.drafted_tokens);
    meter.count("generator.accepted_tokens", totals.accepted_tokens);
    meter.count(BASELINE_DRAFTS, known.load(Relaxed));
    meter.count("generator.steps", totals.steps);
    meter.raise("generator.peak_sequences", totals.peak_sequences as u64);
    meter.raise("generator.peak_pages", totals.peak_pages as u64);
    Ok(())
}
