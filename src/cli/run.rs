//! `karat run`: the main job.

use std::path::PathBuf;

use serde_json::json;

use super::cache_args::CacheArgs;
use super::conclude::{Concluded, conclude};
use super::engine_args::EngineArgs;
use super::progress_args::{Form, ProgressArgs};
use super::report_files::{ReportArgs, ReportFiles};
use super::resume::{self, ResumeArgs, Start};
use super::run_progress::RunProgress;
use super::signals::{Signals, WallArgs};
use super::store_args::{BaselineArgs, Chosen, StoreArgs, Wanted, suite_and_store};
use super::suite_args::{LabelArgs, OverrideArgs};
use super::{Exit, model, terminal};
use crate::engine::options::{DeviceChoice, EngineOptions};
use crate::error::{Error, Result};
use crate::history::Store;
use crate::record::RESULTS;
use crate::rule::{DeviceClass, Gate};
use crate::run::{Checked, Event, Job, ModelFolders, Recorded, Watch, check, execute};
use crate::suite::{Overrides, Purpose, Suite};

/// Arguments of `karat run`.
#[derive(clap::Args)]
pub struct Args {
    /// The suite file, or its folder (default: suite.yaml here, else datasets/support-desk/suite.yaml).
    suite: Option<PathBuf>,
    /// Another generator: a model folder, name@version of the registry, or org/name[@revision] on the hub.
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Another seed of the random numbers.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Answer each case this many times; statistics count cases, not answers.
    #[arg(long, value_name = "N")]
    repeat: Option<u32>,
    #[command(flatten)]
    label: LabelArgs,
    #[command(flatten)]
    overrides: OverrideArgs,
    #[command(flatten)]
    baseline: BaselineArgs,
    #[command(flatten)]
    store: StoreArgs,
    /// Record no answers and no explanations, only scores; keep no answers in the cache either.
    #[arg(long)]
    no_outputs: bool,
    /// Check everything, show the plan as JSON and stop.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    reports: ReportArgs,
    #[command(flatten)]
    resume: ResumeArgs,
    #[command(flatten)]
    wall: WallArgs,
    #[command(flatten)]
    progress: ProgressArgs,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit> {
    let form = args.progress.begin();
    let reports = args.reports.open()?;
    let (path, store) = suite_and_store(args.suite.as_deref(), "run", &args.store)?;
    let overrides =
        Overrides { generator: args.model, seed: args.seed, repeat: args.repeat, ..args.overrides.overrides()? };
    let suite = Suite::load(&path, &overrides, Purpose::Run)?;
    let engine = args.engine.apply()?;
    let baseline = args.baseline.open(&args.store, &store, &wanted(&suite, &engine)?)?;
    let label = args.label.checked()?;
    let (cache, keep_outputs, resume) = (&args.cache, !args.no_outputs, &args.resume);
    let what = Running { suite, baseline, engine, cache, keep_outputs, label, resume };
    let (wall, dry_run) = (&args.wall, args.dry_run);
    let how = Showing { store: &store, reports, form, wall, dry_run };
    Ok(carry_out(what, how)?.exit)
}

/// What a loaded suite says about its baseline.
///
/// # Errors
/// A plan that cannot be written as JSON.
pub fn wanted<'a>(suite: &'a Suite, engine: &EngineOptions) -> Result<Wanted<'a>> {
    let class = if engine.device == DeviceChoice::Cpu { DeviceClass::Cpu } else { DeviceClass::Cuda };
    let (plan, by_call) = (&suite.plan, suite.call_names_baseline());
    let json = serde_json::to_value(plan).map_err(|e| Error::internal("write down the plan").caused_by(e))?;
    Ok(Wanted { suite: &plan.name, names: &plan.baseline, class, by_call, plan: json, recorded: None })
}

/// What is run.
pub struct Running<'a> {
    /// The suite, loaded.
    pub suite: Suite,
    /// What the run is compared with.
    pub baseline: Chosen,
    /// How models compute.
    pub engine: EngineOptions,
    /// Where answers are kept.
    pub cache: &'a CacheArgs,
    /// Whether answers are recorded.
    pub keep_outputs: bool,
    /// What the run is called.
    pub label: Option<String>,
    /// Whether it goes on with an unfinished one.
    pub resume: &'a ResumeArgs,
}

/// Where it goes and what is shown of it.
pub struct Showing<'a> {
    /// Runs and baselines.
    pub store: &'a Store,
    /// Files that reports are written to.
    pub reports: ReportFiles,
    /// How progress is shown.
    pub form: Form,
    /// How long it may take.
    pub wall: &'a WallArgs,
    /// Check everything, show the plan and stop.
    pub dry_run: bool,
}

/// Runs a suite with its generator.
///
/// # Errors
/// What is wrong with data, models or files; an interrupt.
pub fn carry_out(what: Running<'_>, how: Showing<'_>) -> Result<Concluded> {
    let Running { suite, baseline, engine, cache, keep_outputs, label, resume } = what;
    let signals = Signals::listen(how.wall)?;
    let progress = RunProgress::start(if how.dry_run { Form::Quiet } else { how.form });
    let (event, stop) = (|event: Event| progress.see(event), || signals.check());
    let watch = Watch { event: &event, stop: &stop };
    let checked = check(suite, None, watch)?;
    let about = checked.about(label, keep_outputs)?;
    if how.dry_run {
        terminal::show(&plan(&checked)?)?;
        return Ok(Concluded { exit: Exit::Passed, folder: None });
    }
    let cache = cache.folder();
    let generator = model::folder(&checked.suite.generator()?, model::memo().as_ref())?;
    let models = ModelFolders { generator: Some(generator), ..encoders(&checked)? };
    let wanted = resume::Wanted {
        about: &about,
        models: &models,
        keeps_journal: checked.keeps_journal(),
        store: how.store,
        baseline: &baseline,
        engine: &engine,
        quiet: how.form.is_quiet(),
    };
    let resume = match progress.suspend(|| resume.start(&wanted))? {
        Start::Anew => None,
        Start::On(journal) => Some(*journal),
        Start::Not(exit, folder) => {
            how.reports.left(folder.as_deref());
            return Ok(Concluded { exit, folder });
        }
    };
    // A baseline without answers gives no drafts; nothing else depends on them. Where a gate asks how fast the model is, answers
    // that are known already must not help it.
    let timed = checked.suite.plan.gates.iter().any(Gate::times);
    let drafted = engine.drafts && !timed;
    let answers = baseline.run.as_ref().filter(|_| drafted).and_then(|run| run.plain(RESULTS).ok());
    let drafts = answers.and_then(|answers| Recorded::open(answers.path(), watch).ok());
    let cache = cache.filter(|_| keep_outputs).map(|cache| cache.responses());
    let runs = how.store.runs();
    let mut finished = execute(Job { checked, models, engine, drafts, cache, runs, about, resume, watch })?;
    finished.manifest.baseline = baseline.run_id();
    progress.end();
    conclude(finished, &baseline, how.reports, how.store)
}

/// The folders of the models that scorers need, checked or pulled where they are named so.
///
/// # Errors
/// A model that is not there.
pub fn encoders(checked: &Checked) -> Result<ModelFolders> {
    let memo = model::memo();
    let mut folders = ModelFolders::default();
    if let Some(embedder) = checked.suite.embedder()?.filter(|_| checked.needs_embedder) {
        folders.embedder = Some(model::folder(&embedder, memo.as_ref())?);
    }
    if let Some(toxicity) = checked.suite.toxicity()?.filter(|_| checked.needs_toxicity) {
        folders.toxicity = Some(model::folder(&toxicity, memo.as_ref())?);
    }
    Ok(folders)
}

/// What would run: the plan with all layers applied, and what its datasets hold.
pub fn plan(checked: &Checked) -> Result<String> {
    let plan = &checked.suite.plan;
    let datasets: Vec<_> = plan
        .datasets
        .iter()
        .zip(&checked.surveys)
        .map(|(dataset, survey)| {
            json!({"name": dataset.name, "kind": dataset.kind, "cases": survey.cases, "sha256": survey.sha256})
        })
        .collect();
    let document = json!({
        "suite": checked.suite.path().to_string_lossy(),
        "cases": checked.cases(),
        "datasets": datasets,
        "needs": {"embedder": checked.needs_embedder, "toxicity": checked.needs_toxicity},
        "plan": plan,
    });
    let text = serde_json::to_string_pretty(&document);
    text.map(|text| text + "\n").map_err(|e| Error::internal("write down the plan").caused_by(e))
}
