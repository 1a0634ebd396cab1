//! `karat run`: the main job.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::cache_args::CacheArgs;
use super::chat_args::ChatArgs;
use super::conclude::{Concluded, conclude};
use super::engine_args::EngineArgs;
use super::lint;
use super::preflight::{Named, Ready, Readying, findings, first_prompts, ready};
use super::progress_args::{Form, ProgressArgs};
use super::report_files::{ReportArgs, ReportFiles};
use super::resume::{self, ResumeArgs, Start};
use super::run_progress::RunProgress;
use super::signals::{Signals, WallArgs};
use super::store_args::{BaselineArgs, Chosen, StoreArgs, Wanted, suite_and_store};
use super::suite_args::{LabelArgs, OverrideArgs};
use super::{Exit, terminal};
use crate::dataset::UnknownKeys;
use crate::engine::models::model_folder::ModelFolder;
use crate::engine::options::EngineOptions;
use crate::error::{Error, Result};
use crate::history::Store;
use crate::record::RESULTS;
use crate::rule::Gate;
use crate::run::{Event, Job, Recorded, Watch, execute};
use crate::suite::{DatasetPlan, Overrides, Purpose, Suite, has_errors};

/// Arguments of `karat run`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  karat run my-suite\n  karat run my-suite --model ./candidate --label candidate-7 --report report.html\n  karat run my-suite --require-baseline --report junit.xml     # in CI\n  karat run my-suite --resume                                  # after an interruption"
)]
pub struct Args {
    /// The suite file, or its folder (default: suite.yaml here, else datasets/support-desk/suite.yaml).
    suite: Option<PathBuf>,
    /// Another generator: a model folder, name@version of the registry, or org/name[@revision] on the hub. Given several times,
    /// there is a run for each, and for each of the suite's prompts.
    #[arg(long, value_name = "MODEL")]
    model: Vec<String>,
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
    /// Record no answers and no explanations, only scores; keep no answers in the cache either.
    #[arg(long)]
    no_outputs: bool,
    /// Check everything that `karat lint` checks, show the plan as JSON (datasets and cases, models, baseline, the first prompts)
    /// and stop.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    chat: ChatArgs,
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
    let (path, store) = suite_and_store(args.suite.as_deref(), "run", &args.store)?;
    let arms = Arm::all(&args.model, &path, args.overrides.prompt())?;
    if let [arm] = &arms[..] {
        return Ok(one(&args, arm, (&path, &store), (reports, form), args.label.checked()?)?.exit);
    }
    if reports.paths().next().is_some() {
        let error = Error::input(format!("there are {} runs, and a report is of one", arms.len()));
        return Err(error.with_hint("write one of each run with `karat gate RUN --report FILE`, or compare the runs"));
    }
    // All of them before the first run.
    let labels = arms.iter().map(|arm| args.label.of_one(&arm.to_string())).collect::<Result<Vec<_>>>()?;
    let (mut exit, mut folders) = (Exit::Passed, Vec::new());
    for ((number, arm), label) in (1..).zip(&arms).zip(labels) {
        if !form.is_quiet() {
            say!("run {number} of {}: {arm}", arms.len());
        }
        let done = one(&args, arm, (&path, &store), (ReportFiles::default(), form), Some(label))?;
        exit = exit.worse(done.exit);
        folders.extend(done.folder);
    }
    if !args.dry_run && folders.len() > 1 {
        let names: Vec<String> = folders.iter().map(|folder| terminal::argument(folder)).collect();
        say!("next: `karat compare {}` holds the runs against the first", names.join(" "));
    }
    Ok(exit)
}

/// One run.
fn one(
    args: &Args,
    arm: &Arm,
    (path, store): (&Path, &Store),
    (reports, form): (ReportFiles, Form),
    label: Option<String>,
) -> Result<Concluded> {
    let (chat_template_kwargs, continue_final_message) = args.chat.overrides()?;
    let overrides = Overrides {
        generator: arm.model.clone(),
        prompt: arm.prompt.clone(),
        backend: args.engine.backend()?,
        seed: args.seed,
        repeat: args.repeat,
        chat_template_kwargs,
        continue_final_message,
        ..args.overrides.overrides()?
    };
    let suite = Suite::load(path, &overrides, Purpose::Run)?;
    let engine = args.engine.apply()?;
    let baseline = args.baseline.open(&args.store, store, &Wanted::of_suite(&suite, &engine)?)?;
    let (cache, keep_outputs, resume) = (&args.cache, !args.no_outputs, &args.resume);
    let what = Running { suite, baseline, engine, cache, keep_outputs, label, resume };
    let named = Named { path, overrides: &overrides, purpose: Purpose::Run };
    carry_out(what, Showing { store, reports, form, wall: &args.wall, only: args.dry_run.then_some(named) })
}

/// A model and a prompt of which there is a run.
struct Arm {
    model: Option<String>,
    prompt: Option<String>,
    /// What the model is called: the last part of its path, where that tells it from the others.
    name: Option<String>,
}

impl Arm {
    /// Each model with each prompt; what is not named is the suite's own.
    fn all(models: &[String], path: &Path, chosen: Option<&str>) -> Result<Vec<Self>> {
        let names = match chosen {
            Some(name) => vec![name.to_owned()],
            None => Suite::prompt_names(path)?,
        };
        let or_none = |list: &[String]| match list {
            [] => vec![None],
            list => list.iter().cloned().map(Some).collect::<Vec<_>>(),
        };
        let prompts = or_none(&names);
        let last = |model: &String| model.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or(model).to_owned();
        let name = |model: &String| {
            let alone = models.iter().filter(|other| last(other) == last(model)).count() == 1;
            if alone { last(model) } else { model.clone() }
        };
        let with = |model: Option<String>| {
            let name = model.as_ref().map(name);
            prompts.iter().map(move |prompt| Self { model: model.clone(), prompt: prompt.clone(), name: name.clone() })
        };
        Ok(or_none(models).into_iter().flat_map(with).collect())
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<&str> = [&self.name, &self.prompt].into_iter().flatten().map(String::as_str).collect();
        f.write_str(&parts.join(", "))
    }
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
    /// Check this, show the plan and stop.
    pub only: Option<Named<'a>>,
}

/// Runs a suite with its generator.
///
/// # Errors
/// What is wrong with data, models or files; an interrupt.
pub fn carry_out(what: Running<'_>, how: Showing<'_>) -> Result<Concluded> {
    let Running { suite, baseline, engine, cache, keep_outputs, label, resume } = what;
    let signals = Signals::listen(how.wall)?;
    let dry_run = how.only.is_some();
    let progress = RunProgress::start(if dry_run { Form::Quiet } else { how.form });
    let (event, stop) = (|event: Event| progress.see(event), || signals.check());
    let watch = Watch { event: &event, stop: &stop };
    let cache = cache.folder();
    let made = ready(suite, None, Readying { pulls: !dry_run, watch })?;
    let about = made.checked.about(label, keep_outputs)?;
    if let Some(named) = &how.only {
        return Ok(Concluded { exit: tell(&made, named, &baseline)?, folder: None });
    }
    let Ready { checked, models, .. } = made;
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
    let drafts = answers.and_then(|answers| Recorded::open(answers.path(), UnknownKeys::Allow, watch).ok());
    let cache = cache.filter(|_| keep_outputs).map(|cache| cache.responses());
    let runs = how.store.runs();
    let mut finished = execute(Job { checked, models, engine, drafts, cache, runs, about, resume, watch })?;
    finished.manifest.baseline = baseline.run_id();
    progress.end();
    conclude(finished, &baseline, how.reports, how.store)
}

/// What `--dry-run` does in place of the run: shows what is wrong, or else what would run.
///
/// # Errors
/// Files that cannot be read or written.
pub fn tell(made: &Ready, named: &Named<'_>, baseline: &Chosen) -> Result<Exit> {
    let found = findings(named, Some(made));
    found.iter().for_each(lint::show);
    if has_errors(&found) {
        return Ok(Exit::BadInput);
    }
    terminal::json(&plan(made, baseline)?)?;
    Ok(Exit::Passed)
}

/// What would run: the plan with all layers applied, what its datasets hold, which models, and the first prompts.
fn plan(made: &Ready, baseline: &Chosen) -> Result<String> {
    let Ready { checked, models, .. } = made;
    let plan = &checked.suite.plan;
    let first = first_prompts(made)?;
    let datasets: Vec<_> = plan
        .datasets
        .iter()
        .zip(&checked.surveys)
        .zip(first)
        .map(|((dataset, survey), first)| {
            let DatasetPlan { name, kind, .. } = dataset;
            let sha256 = survey.digest.sha256();
            json!({"name": name, "kind": kind, "cases": survey.cases, "sha256": sha256, "first_prompt": first})
        })
        .collect();
    let folder = |model: &Option<ModelFolder>| model.as_ref().map(|model| model.path().to_string_lossy().into_owned());
    let document = json!({
        "suite": checked.suite.path().to_string_lossy(),
        "cases": checked.cases(),
        "datasets": datasets,
        "needs": {"embedder": checked.needs_embedder, "toxicity": checked.needs_toxicity},
        "models": {
            "generator": folder(&models.generator),
            "embedder": folder(&models.embedder),
            "toxicity": folder(&models.toxicity),
        },
        "baseline": baseline.run_id().map(|id| id.to_string()),
        "plan": plan,
    });
    let text = serde_json::to_string_pretty(&document);
    text.map(|text| text + "\n").map_err(|e| Error::internal("failed to write down the plan").caused_by(e))
}
