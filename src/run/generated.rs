//! Cases to the generator and its answers to scoring.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;

use super::cases::{Case, Cases};
use super::check::Checked;
use super::event::{Event, Watch};
use super::meter::{GENERATED, Meter, PROMPT};
use super::outbox::{Answer, Answered, Outbox, SMALLEST};
use super::recorded::Recorded;
use crate::engine::scheduler::workload::Totals;
use crate::engine::{CaseKey, Generator, Request, Response};
use crate::error::{Error, Result};
use crate::record::{BASELINE_DRAFTS, CACHED, Journal, Key, RESUMED, Work};

/// Requests on their way into the engine.
pub(super) type Requests<'a> = Box<dyn Iterator<Item = Result<Request>> + Send + 'a>;

/// What answers requests: the generator, or a script in tests.
pub(super) trait Answerer {
    /// Whether it takes conversations.
    fn has_chat_template(&self) -> bool;

    /// Answers all requests, as [`Generator::generate`] does. Requests are taken on a thread of its own.
    ///
    /// # Errors
    /// What ends the whole run.
    fn answer(
        &mut self,
        requests: Requests<'_>,
        sink: &mut dyn FnMut(u64, Response) -> Result<()>,
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
        sink: &mut dyn FnMut(u64, Response) -> Result<()>,
        progress: &mut dyn FnMut(&Totals) -> Result<()>,
    ) -> Result<Totals> {
        self.generate(requests, sink, progress)
    }
}

/// What the answering side of a run works with.
pub(super) struct Desk<'a> {
    pub checked: &'a Checked,
    pub sender: SyncSender<Vec<Answered>>,
    /// Where finished answers go before anything else, and where those of the interrupted run are.
    pub journal: Option<&'a Journal>,
    pub meter: &'a Meter,
    pub watch: Watch<'a>,
}

/// Asks all cases, with earlier answers as drafts. A case whose prompt cannot be built goes straight to scoring with its error,
/// one whose answer stands in the journal with that.
pub(super) fn generate(answerer: &mut dyn Answerer, mut drafts: Option<Recorded>, desk: Desk<'_>) -> Result<()> {
    let Desk { checked, sender, journal, meter, watch } = desk;
    let has_chat = answerer.has_chat_template();
    checked.prompt.check_model(has_chat)?;
    let options = checked.suite.plan.generation.options();
    // Cases whose answer has not come yet, by the number of their request; as many as the engine's window.
    let asked: Mutex<HashMap<u64, Case>> = Mutex::default();
    let mut next = 0;
    let unasked = Mutex::new(Outbox::new(sender.clone(), SMALLEST));
    let resumed = AtomicU64::new(0);
    let mut outbox = Outbox::new(sender, SMALLEST);
    // Answers that an accepted run gave before: what they cost says little about the model.
    let guessed = AtomicU64::new(0);
    let requests = Cases::new(checked).filter_map(|case| {
        let case = match case {
            Ok(case) => case,
            Err(error) => return Some(Err(error)),
        };
        let dataset = checked.sources[case.dataset].name.clone();
        let prompt = match known(journal, (&dataset, &case.sample.id, case.repeat)) {
            Err(error) => return Some(Err(error)),
            Ok(Known::Line) => return None,
            Ok(Known::Answer(response)) => {
                resumed.fetch_add(1, Relaxed);
                Err(Answer::Generated(*response))
            }
            Ok(Known::Nothing) => {
                checked.prompt.build(&case.sample, has_chat).map_err(|error| Answer::Unasked(error.chain()))
            }
        };
        let prompt = match prompt {
            Ok(prompt) => prompt,
            Err(answer) => {
                let Case { dataset, sample, repeat } = case;
                let passed = unasked.lock().map_err(|_| Error::internal("hand over a case that is not asked"));
                // Waiting here is what bounds memory where there are many.
                return passed
                    .and_then(|mut unasked| unasked.push(Answered { dataset, sample, repeat, answer }))
                    .err()
                    .map(Err);
            }
        };
        let earlier = |drafts: &mut Recorded| drafts.output_ids((&dataset, &case.sample.id, case.repeat));
        let draft = drafts.as_mut().map(earlier).unwrap_or_default();
        guessed.fetch_add(u64::from(!draft.is_empty()), Relaxed);
        let key = CaseKey { dataset, case: case.sample.id.clone(), repeat: case.repeat };
        match asked.lock() {
            Ok(mut asked) => asked.insert(next, case),
            Err(_) => return Some(Err(Error::internal("note a case"))),
        };
        next += 1;
        Some(Ok(Request { prompt, options: options.clone(), key, draft }))
    });
    let mut sink = |number: u64, response: Response| {
        let case = asked.lock().ok().and_then(|mut asked| asked.remove(&number));
        let Some(Case { dataset, sample, repeat }) = case else {
            return Err(Error::internal("find the case of an answer"));
        };
        if let Some(journal) = journal {
            keep(journal, (&checked.sources[dataset].name, &sample.id, repeat), &response)?;
        }
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
        // Before the next step, and before anybody stops the run.
        journal.map_or(Ok(()), Journal::flush)?;
        watch.check()?;
        tell(totals);
        Ok(())
    };
    let totals = answerer.answer(Box::new(requests), &mut sink, &mut progress)?;
    journal.map_or(Ok(()), Journal::flush)?;
    tell(&totals);
    outbox.flush()?;
    unasked.into_inner().map_err(|_| Error::internal("hand over a case that is not asked"))?.flush()?;
    meter.count(PROMPT, totals.prefill_tokens);
    meter.count(GENERATED, totals.generated_tokens);
    meter.count(CACHED, totals.cached);
    meter.count("generator.shared_tokens", totals.shared_tokens);
    meter.count("generator.drafted_tokens", totals.drafted_tokens);
    meter.count("generator.accepted_tokens", totals.accepted_tokens);
    meter.count(BASELINE_DRAFTS, guessed.load(Relaxed));
    meter.count(RESUMED[0], resumed.load(Relaxed));
    meter.count("generator.steps", totals.steps);
    meter.raise("generator.peak_sequences", totals.peak_sequences as u64);
    meter.raise("generator.peak_pages", totals.peak_pages as u64);
    Ok(())
}

/// What the journal of the interrupted run knows of a case.
enum Known {
    Nothing,
    /// Its answer.
    Answer(Box<Response>),
    /// All that is recorded of it.
    Line,
}

fn known(journal: Option<&Journal>, case: (&str, &str, u32)) -> Result<Known> {
    let Some(journal) = journal else { return Ok(Known::Nothing) };
    if journal.knows(&Key::of_case(Work::Line, case)) {
        return Ok(Known::Line);
    }
    let Some(bytes) = journal.find(&Key::of_case(Work::Answer, case))? else { return Ok(Known::Nothing) };
    let response = serde_json::from_slice(&bytes);
    response.map(Known::Answer).map_err(|e| Error::internal("read an answer in the journal").caused_by(e))
}

/// Puts an answer into the journal. What went wrong is tried again, and where answers are not recorded they are not kept here
/// either.
fn keep(journal: &Journal, case: (&str, &str, u32), response: &Response) -> Result<()> {
    if response.error.is_some() || !journal.about().keep_outputs {
        return Ok(());
    }
    let bytes = serde_json::to_vec(response).map_err(|e| Error::internal("write the journal").caused_by(e))?;
    journal.put(Work::Answer, &Key::of_case(Work::Answer, case), &bytes).map(drop)
}
