//! The run itself: threads, channels and the order of things.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use super::cases::{Case, Cases};
use super::check::Checked;
use super::event::{Event, Phase, Watch};
use super::generated::{AnswerStage, Answerer, ask};
use super::manifest;
use super::models::{ModelFolders, load};
use super::outbox::{Answer, Answered, LARGEST, Outbox};
use super::probe::probe;
use super::recorded::Recorded;
use super::scoring::{PromptForm, Scoring, Tools};
use crate::engine::Generator;
use crate::engine::models::model_folder::ModelFolder;
use crate::engine::options::EngineOptions;
use crate::error::{Error, Kind, Result};
use crate::record::{
    About, Batch, Journal, Key, Manifest, Models, Performance, Phase as RecordedPhase, RESUMED, RunWriter, SealedRun,
    Work, resumable,
};

/// Chunks that wait for scoring.
const AHEAD: usize = 1;

/// What to run, with what, and where to.
pub struct Job<'a> {
    /// The suite, checked.
    pub checked: Checked,
    /// The models it needs.
    pub models: ModelFolders,
    /// How they compute.
    pub engine: EngineOptions,
    /// Earlier answers to the same cases: guesses that make an unchanged answer cheap.
    pub drafts: Option<Recorded>,
    /// The folder of answers that were computed before, where they are to be used.
    pub cache: Option<PathBuf>,
    /// The folder that holds one folder of runs per suite.
    pub runs: &'a Path,
    /// What it is, as [`Checked::about`] says; without answers the record holds scores alone, and explanations, which quote
    /// answers, are empty.
    pub about: About,
    /// The journal of an interrupted run of this very plan, to go on with. It keeps its label unless it gets another.
    pub resume: Option<Journal>,
    /// Who watches.
    pub watch: Watch<'a>,
}

/// A run whose cases are all in; the caller commits it, and judges it then.
pub struct Finished {
    /// The run folder to be.
    pub sealed: SealedRun,
    /// What ran.
    pub manifest: Manifest,
    /// How it went.
    pub performance: Performance,
}

/// Runs a suite: all cases are answered, scored and sorted. Until the caller commits it, no run folder exists.
///
/// # Errors
/// Models that do not load, files that cannot be read or written, a failure of the arithmetic, or what the watcher's
/// `stop` says. Errors of single cases are recorded with them.
pub fn execute(job: Job<'_>) -> Result<Finished> {
    let (watch, runs, now) = (job.watch, job.runs, job.about.clone());
    // First of all, so that a folder that cannot be written is known before anything is loaded.
    let (writer, mut manifest) = match job.resume {
        Some(journal) => {
            if let Some(what) = journal.about().changed(&now) {
                return Err(journal.refused(&what));
            }
            let then = journal.about().manifest.clone();
            let label = now.manifest.label.or(then.label);
            (RunWriter::resume(runs, journal)?, Manifest { label, ..then })
        }
        None if job.checked.keeps_journal() => (RunWriter::with_journal(runs, now.clone())?, now.manifest),
        None => (RunWriter::create(runs, &now.manifest.suite, &now.manifest.run_id)?, now.manifest),
    };
    manifest.run_id = writer.run_id().clone();
    let journal = writer.journal();
    let job = Job { resume: None, ..job };
    answer_and_score(job, manifest, writer).map_err(|error| match journal {
        // A mistake in suite, data or models: nobody can go on like this.
        Some(journal) if !journal.is_empty() && error.kind() != Kind::Input => {
            let run_id = journal.about().manifest.run_id.to_string();
            watch.tell(Event::Unfinished { run_id, finished: journal.finished() });
            resumable(error)
        }
        _ => error,
    })
}

/// What [`execute`] does once the run has an id.
fn answer_and_score(job: Job<'_>, mut manifest: Manifest, mut writer: RunWriter) -> Result<Finished> {
    let Job { mut checked, models, engine, drafts, cache, about, watch, .. } = job;
    let keep_outputs = about.keep_outputs;
    let (journal, meter) = (writer.journal(), std::mem::take(&mut checked.meter));
    let loaded = meter.phase(watch, Phase::Load, None, || {
        // What its answers are kept by.
        models.generator.as_ref().filter(|_| cache.is_some()).map(ModelFolder::hashes).transpose()?;
        let loaded = load(&checked, &models, &engine, cache.as_deref(), watch)?;
        // After what loads at once: most of it is hashed then.
        Ok((loaded, models.hashes()?))
    });
    let ((mut encoders, mut generator), hashes) = loaded?;
    let recorded = checked.recorded.take();
    manifest::add_fingerprints(&mut manifest, generator.as_ref(), &encoders)?;
    // Before the first answer: a journal without them could not be trusted.
    manifest.hashes.models = hashes;
    if let Some(journal) = &journal {
        let (fingerprint, hashes) = (manifest.fingerprint.clone(), manifest.hashes.models.clone());
        if let Some(what) = journal.settle_models(&Models { fingerprint, hashes })? {
            return Err(journal.refused(&what));
        }
        encoders.journal = Some(journal.clone());
        let lines = writer.push_journalled()?;
        meter.count(RESUMED[0], lines);
        if journal.finished() > 0 {
            watch.tell(Event::Resumed { cases: journal.finished() });
        }
    }
    let asked = generator.as_ref().filter(|_| keep_outputs && recorded.is_none());
    let prompts = asked.map(|generator| PromptForm { has_chat_template: generator.has_chat_template() });
    let scoring = Scoring::new(&checked, Tools { encoders, keep_outputs, prompts, meter: &meter, watch })?;
    let answers = match (&mut generator, recorded) {
        (_, Some(recorded)) => Answers::Recorded(Box::new(recorded)),
        (Some(generator), None) => Answers::Generated(generator, drafts.map(Box::new)),
        (None, None) => return Err(Error::internal("failed to find something that answers")),
    };
    let streamed = stream(&checked, answers, scoring, &mut writer);
    // Those of a run that was interrupted, too.
    if let Some(Err(error)) = generator.as_ref().map(Generator::keep) {
        watch.tell(Event::Noted { text: format!("answers were not kept: {}", error.chain()) });
    }
    streamed?;
    for line in generator.iter().flat_map(|generator| generator.renderer().warnings()) {
        watch.tell(Event::Noted { text: line });
    }
    let sealed = meter.phase(watch, Phase::Sort, None, || writer.seal())?;
    let mut performance = meter.finish(&engine);
    // After all that the record says of the run: the probe is no part of it.
    if let (Some(plan), Some(generator)) = (&checked.suite.plan.probe, &mut generator) {
        let (began, cases) = (Instant::now(), plan.cases.min(checked.cases()));
        watch.tell(Event::Began { phase: Phase::Probe, cases: Some(cases) });
        performance.probe = Some(probe(generator, &checked, cases, watch)?);
        let seconds = began.elapsed().as_secs_f64();
        performance.phases.push(RecordedPhase { name: Phase::Probe.name().into(), seconds });
        watch.tell(Event::Ended { phase: Phase::Probe, seconds, complete: true });
    }
    performance.hashing = models.hashing();
    performance.settings.insert("keep_outputs".into(), keep_outputs.into());
    Ok(Finished { sealed, manifest, performance })
}

/// Where answers come from.
pub(super) enum Answers<'a> {
    /// A generator, and earlier answers as its drafts.
    Generated(&'a mut dyn Answerer, Option<Box<Recorded>>),
    Recorded(Box<Recorded>),
}

/// Answers on this thread, scores on another.
pub(super) fn stream(
    checked: &Checked,
    answers: Answers<'_>,
    scoring: Scoring<'_>,
    writer: &mut RunWriter,
) -> Result<()> {
    let (meter, watch) = (scoring.meter(), scoring.watch());
    let (sender, receiver) = sync_channel(AHEAD);
    let journal = writer.journal();
    std::thread::scope(|scope| {
        // It goes when the answers are in, which ends the scoring.
        let sender = sender;
        let stage = AnswerStage { checked, sender: &sender, journal: journal.as_deref(), meter, watch };
        let scored = scope.spawn(move || score_all(receiver, scoring, writer));
        let answered = meter.phase(watch, Phase::Answer, Some(checked.cases()), || match answers {
            Answers::Generated(answerer, drafts) => ask(answerer, drafts.map(|drafts| *drafts), stage),
            Answers::Recorded(recorded) => look_up(*recorded, stage),
        });
        drop(sender);
        let scored = scored.join().map_err(|_| Error::internal("failed to score the answers: the thread panicked"))?;
        // When scoring fails, answering fails because of it.
        scored.and(answered)
    })
}

/// Looks the answers of all cases up.
fn look_up(mut recorded: Recorded, stage: AnswerStage<'_>) -> Result<()> {
    let AnswerStage { checked, sender, journal, meter: _, watch } = stage;
    let mut outbox = Outbox::new(sender.clone(), LARGEST);
    for (number, case) in (1..).zip(Cases::new(checked)) {
        let Case { dataset, sample, repeat } = case?;
        let name = (checked.sources[dataset].name.as_str(), sample.id.as_str(), repeat);
        if journal.is_some_and(|journal| journal.knows(&Key::of_case(Work::Line, name))) {
            continue;
        }
        let line = recorded.line((&checked.sources[dataset].name, &sample.id, repeat))?;
        outbox.push(Answered { dataset, sample, repeat, answer: Answer::Recorded(line) })?;
        if number % 256 == 0 {
            watch.check()?;
            watch.tell(Event::Answered { cases: number, cached: 0, prompt_tokens: 0, generated_tokens: 0 });
        }
    }
    outbox.flush()
}

/// Scores chunks until there are no more; what is scored goes to the record, on a thread of its own.
fn score_all(receiver: Receiver<Vec<Answered>>, mut scoring: Scoring<'_>, writer: &mut RunWriter) -> Result<()> {
    let watch = scoring.watch();
    std::thread::scope(|scope| {
        let (sender, batches) = sync_channel::<Vec<Batch>>(AHEAD);
        let written = scope.spawn(move || batches.iter().flatten().try_for_each(|batch| writer.push(batch)));
        let (mut cases, mut passed, mut errored) = (0, 0, 0);
        let scored = receiver.iter().try_for_each(|chunk| {
            watch.check()?;
            let batches = scoring.chunk(chunk)?;
            for totals in batches.iter().map(Batch::totals) {
                cases += totals.cases;
                passed += totals.passed;
                errored += totals.errored;
            }
            // It stops only at an error, which is shown instead.
            sender.send(batches).map_err(|_| Error::internal("failed to write the scores: the thread has stopped"))?;
            watch.tell(Event::Scored { cases, passed, errored });
            Ok(())
        });
        drop((sender, receiver));
        written.join().map_err(|_| Error::internal("failed to write the scores: the thread panicked"))?.and(scored)
    })
}
