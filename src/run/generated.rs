//! Cases to the generator and its answers to scoring.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::SyncSender;

use super::cases::{Case, Cases};
use super::check::Checked;
use super::event::{Event, Watch};
use super::journalled::{Known, keep, known};
use super::meter::{GENERATED, Meter, PROMPT};
use super::outbox::{Answer, Answered, Outbox, SMALLEST, Unasked};
use super::recorded::Recorded;
use super::scored;
use crate::engine::scheduler::workload::Totals;
use crate::engine::{CaseKey, GenerateOptions, Generator, LogProb, Prompt, Request, Response, Scored};
use crate::error::{Error, Result};
use crate::record::{BASELINE_DRAFTS, CACHED, Journal, RESUMED};

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

    /// Log-likelihoods for a stream of questions, as [`Generator::logprob`] gives them.
    ///
    /// # Errors
    /// What ends the whole run.
    fn score(
        &mut self,
        questions: Questions<'_>,
        sink: &mut dyn FnMut(u64, std::result::Result<Vec<LogProb>, String>) -> Result<()>,
        progress: &mut dyn FnMut(&Totals) -> Result<()>,
    ) -> Result<Totals>;

    /// What makes the text of a prompt that the model sees.
    fn texts(&self) -> Texts;
}

/// Questions for log-likelihoods on their way into the engine.
pub(super) type Questions<'a> = Box<dyn Iterator<Item = Result<Scored>> + Send + 'a>;
/// The text of a prompt.
pub(super) type Texts = Box<dyn Fn(&Prompt) -> Result<String> + Send + Sync>;

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

    fn score(
        &mut self,
        questions: Questions<'_>,
        sink: &mut dyn FnMut(u64, std::result::Result<Vec<LogProb>, String>) -> Result<()>,
        progress: &mut dyn FnMut(&Totals) -> Result<()>,
    ) -> Result<Totals> {
        self.logprob(questions, sink, progress)
    }

    fn texts(&self) -> Texts {
        let renderer = self.renderer().clone();
        Box::new(move |prompt| renderer.text(prompt))
    }
}

/// What the answering side of a run works with.
pub(super) struct AnswerStage<'a> {
    pub checked: &'a Checked,
    pub sender: &'a SyncSender<Vec<Answered>>,
    /// Where finished answers go before anything else, and where those of the interrupted run are.
    pub journal: Option<&'a Journal>,
    pub meter: &'a Meter,
    pub watch: Watch<'a>,
}

/// Asks all cases: those whose answers are generated, then those of which log-likelihoods are asked.
pub(super) fn ask(answerer: &mut dyn Answerer, drafts: Option<Recorded>, stage: AnswerStage<'_>) -> Result<()> {
    let checked = stage.checked;
    let has_chat = answerer.has_chat_template();
    let asked = |generated: bool| checked.prompts.iter().any(|prompt| prompt.request().is_generate() == generated);
    checked.prompts.iter().try_for_each(|prompt| prompt.check_model(has_chat))?;
    let before = if asked(true) { generate(answerer, drafts, &stage)? } else { Totals::default() };
    if asked(false) { scored::score(answerer, &before, &stage) } else { Ok(()) }
}

/// Asks all cases whose answers are generated, with earlier answers as drafts. A case whose prompt cannot be built goes straight to scoring with its error,
/// one whose answer stands in the journal with that.
fn generate(answerer: &mut dyn Answerer, mut drafts: Option<Recorded>, stage: &AnswerStage<'_>) -> Result<Totals> {
    let AnswerStage { checked, sender, journal, meter, watch } = *stage;
    let has_chat = answerer.has_chat_template();
    let plan = &checked.suite.plan;
    let options = plan.datasets.iter().map(|dataset| plan.generation_of(dataset).options()).collect();
    let asking = Asking {
        checked,
        journal,
        has_chat,
        options,
        asked: Mutex::default(),
        unasked: Unasked::new(sender.clone()),
        resumed: AtomicU64::new(0),
        guessed: AtomicU64::new(0),
    };
    let mut outbox = Outbox::new(sender.clone(), SMALLEST);
    let mut next = 0;
    let requests = Cases::asked(checked, true).filter_map(|case| {
        let request = case.and_then(|case| asking.request(next, case, drafts.as_mut())).transpose()?;
        next += 1;
        Some(request)
    });
    let mut sink = |number: u64, response: Response| {
        let case = asking.asked.lock().ok().and_then(|mut asked| asked.remove(&number));
        let Some(Case { dataset, sample, repeat }) = case else {
            return Err(Error::internal("failed to find the case of an answer"));
        };
        if let Some(journal) = journal {
            // What went wrong is tried again, and where answers are not recorded they are not kept here either.
            if response.error.is_none() && journal.about().keep_outputs {
                keep(journal, (&checked.sources[dataset].name, &sample.id, repeat), &response)?;
            }
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
    let Asking { unasked, resumed, guessed, .. } = asking;
    unasked.finish()?;
    count(meter, &totals, guessed.into_inner(), resumed.into_inner());
    Ok(totals)
}

/// What the run cost, for `performance.json`.
pub(super) fn count(meter: &Meter, totals: &Totals, guessed: u64, resumed: u64) {
    meter.count(PROMPT, totals.prefill_tokens);
    meter.count(GENERATED, totals.generated_tokens);
    meter.count(CACHED, totals.cached);
    meter.count("generator.shared_tokens", totals.shared_tokens);
    meter.count("generator.drafted_tokens", totals.drafted_tokens);
    meter.count("generator.accepted_tokens", totals.accepted_tokens);
    meter.count(BASELINE_DRAFTS, guessed);
    meter.count(RESUMED[0], resumed);
    meter.count("generator.steps", totals.steps);
    meter.raise("generator.peak_sequences", totals.peak_sequences as u64);
    meter.raise("generator.peak_pages", totals.peak_blocks as u64);
}

/// Cases on their way to the generator. They are taken on a thread of its own.
struct Asking<'a> {
    checked: &'a Checked,
    journal: Option<&'a Journal>,
    has_chat: bool,
    /// By dataset.
    options: Vec<GenerateOptions>,
    /// Cases whose answer has not come yet, by the number of their request; as many as the engine's window.
    asked: Mutex<HashMap<u64, Case>>,
    unasked: Unasked,
    resumed: AtomicU64,
    /// Answers that an accepted run gave before: what they cost says little about the model.
    guessed: AtomicU64,
}

impl Asking<'_> {
    /// The request of a case, which has this number; none where there is nothing to ask.
    fn request(&self, number: u64, case: Case, drafts: Option<&mut Recorded>) -> Result<Option<Request>> {
        let dataset = self.checked.sources[case.dataset].name.clone();
        let prompt = match known(self.journal, (&dataset, &case.sample.id, case.repeat))? {
            Known::Line => return Ok(None),
            Known::Answer(response) => {
                self.resumed.fetch_add(1, Relaxed);
                Err(Answer::Generated(*response))
            }
            Known::Nothing => {
                let prompt = &self.checked.prompts[case.dataset];
                prompt.build(&case.sample, self.has_chat).map_err(|error| Answer::Unasked(error.chain()))
            }
        };
        let prompt = match prompt {
            Ok(prompt) => prompt,
            Err(answer) => return self.unasked.push(case, answer).map(|()| None),
        };
        let earlier = |drafts: &mut Recorded| drafts.output_ids((&dataset, &case.sample.id, case.repeat));
        let draft = drafts.map(earlier).unwrap_or_default();
        self.guessed.fetch_add(u64::from(!draft.is_empty()), Relaxed);
        let key = CaseKey { dataset, case: case.sample.id.clone(), repeat: case.repeat };
        let options = self.options[case.dataset].clone();
        self.asked.lock().map_err(|_| Error::internal("failed to note a case"))?.insert(number, case);
        Ok(Some(Request { prompt, options, key, draft }))
    }
}
