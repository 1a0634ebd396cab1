//! `karat score`: recorded answers in place of a generator.

use std::path::PathBuf;

use super::Exit;
use super::conclude::conclude;
use super::engine_args::EngineArgs;
use super::input::Input;
use super::preflight::{Named, Ready, Readying, ready};
use super::progress_args::{Form, ProgressArgs};
use super::report_files::ReportArgs;
use super::resume::{self, ResumeArgs, Start};
use super::run::tell;
use super::run_progress::RunProgress;
use super::signals::{Signals, WallArgs};
use super::store_args::{BaselineArgs, StoreArgs, Wanted, suite_and_store};
use super::suite_args::{LabelArgs, OverrideArgs};

use crate::dataset::UnknownKeys;
use crate::error::Result;
use crate::run::{Answers, Event, Job, Recorded, Watch, execute};
use crate::suite::{Overrides, Purpose, Suite};

/// Arguments of `karat score`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  karat score my-suite --responses answers.jsonl")]
pub struct Args {
    /// The suite file, or its folder (default: suite.yaml here, else datasets/support-desk/suite.yaml).
    suite: Option<PathBuf>,
    /// Recorded answers (JSONL): `id`, `output`, and `dataset` where ids are not unique in the suite; optional are `repeat`,
    /// `output_ids`, `finish`, `prompt_tokens`, `timestamp`, `error` and `metadata`. Output of `karat generate` and results of a run
    /// will do. - is standard input.
    #[arg(long, value_name = "FILE")]
    responses: PathBuf,
    /// Leave out answers for cases that the suite does not have, instead of refusing them.
    #[arg(long)]
    allow_extra: bool,
    /// Ignore keys of recorded answers that karat does not know. Otherwise they are errors that name the nearest known key.
    #[arg(long)]
    allow_unknown_keys: bool,
    #[command(flatten)]
    label: LabelArgs,
    #[command(flatten)]
    overrides: OverrideArgs,
    /// Record no answers and no explanations, only scores.
    #[arg(long)]
    no_outputs: bool,
    /// Check everything that `karat lint` checks, and the answers; show the plan as JSON and stop.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    baseline: BaselineArgs,
    #[command(flatten)]
    reports: ReportArgs,
    #[command(flatten)]
    resume: ResumeArgs,
    #[command(flatten)]
    wall: WallArgs,
    #[command(flatten)]
    progress: ProgressArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit> {
    let form = args.progress.begin();
    let reports = args.reports.open()?;
    let (path, store) = suite_and_store(args.suite.as_deref(), "score --responses FILE", &args.store)?;
    let label = args.label.checked()?;
    let engine = args.engine.apply()?;
    let overrides = Overrides { backend: engine.backend, ..args.overrides.overrides()? };
    let suite = Suite::load(&path, &overrides, Purpose::Score)?;
    let baseline = args.baseline.open(&args.store, &store, &Wanted::of_suite(&suite, &engine)?)?;
    let signals = Signals::listen(&args.wall)?;
    let progress = RunProgress::start(if args.dry_run { Form::Quiet } else { form });
    let (event, stop) = (|event: Event| progress.see(event), || signals.check());
    let watch = Watch { event: &event, stop: &stop };
    let (name, unknown) = (Input::name(&args.responses), UnknownKeys::by_flag(args.allow_unknown_keys));
    let recorded = match Input::open(&args.responses, &signals)? {
        Input::File(file) => Recorded::of_file((file, &name), unknown, watch)?,
        Input::Stream(stream) => Recorded::of_stream((stream, &name), unknown, watch)?,
    };
    let answers = Answers { recorded, allow_extra: args.allow_extra };
    let made = ready(suite, Some(answers), Readying { pulls: !args.dry_run, watch })?;
    if args.dry_run {
        return tell(&made, &Named { path: &path, overrides: &overrides, purpose: Purpose::Score }, &baseline);
    }
    let Ready { checked, models, .. } = made;
    let about = checked.about(label, !args.no_outputs)?;
    let wanted = resume::Wanted {
        about: &about,
        models: &models,
        keeps_journal: checked.keeps_journal(),
        store: &store,
        baseline: &baseline,
        engine: &engine,
        quiet: form.is_quiet(),
    };
    let resume = match progress.suspend(|| args.resume.start(&wanted))? {
        Start::Anew => None,
        Start::On(journal) => Some(*journal),
        Start::Not(exit, folder) => {
            reports.left(folder.as_deref());
            return Ok(exit);
        }
    };
    let (drafts, cache, runs) = (None, None, store.runs());
    let mut finished = execute(Job { checked, models, engine, drafts, cache, runs, about, resume, watch })?;
    finished.manifest.baseline = baseline.run_id();
    progress.end();
    Ok(conclude(finished, &baseline, reports, &store)?.exit)
}
