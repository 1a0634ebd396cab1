//! `karat baseline`: accept, regenerate, list, show.

use std::path::PathBuf;

use clap::Subcommand;

use super::cache_args::CacheArgs;
use super::conclude::{Concluded, baseline_of, failing, judged, own_failures, plan, told_rule};
use super::engine_args::EngineArgs;
use super::form::{FormArgs, ReportInput};
use super::progress_args::{Form, ProgressArgs};
use super::report_files::{ReportArgs, ReportFiles};
use super::resume::ResumeArgs;
use super::run::{Running, Showing, carry_out};
use super::signals::WallArgs;
use super::store_args::{Chosen, Opened, StoreArgs, suite_and_store};
use super::{Exit, terminal};
use crate::compare::{Verdict, Without};
use crate::engine::options::{DeviceChoice, EngineOptions};
use crate::error::{Error, Kind, Result};
use crate::history::{Accept, Acceptance, Accepted, Baseline, Current, REPAIR, Review, RunEntry, Store, open_verified};
use crate::record::{Manifest, Outcome, RESULTS, RunReader};
use crate::report::{Errored, Report};
use crate::rule::DeviceClass;
use crate::stats::format::fixed;
use crate::suite::{Overrides, Plan, Purpose, Suite};

/// Arguments of `karat baseline`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a run the accepted one of a baseline: it is copied and never changes again.
    Accept(AcceptArgs),
    /// Run the accepted plan again and compare: the same models and options, data and prompts as they are now. A gate that
    /// fails is shown and changes the exit code; nothing is accepted but with --accept, and then only a complete run.
    Regenerate(Box<RegenerateArgs>),
    /// All baselines with their accepted runs.
    List(ListArgs),
    /// The accepted run of a baseline, and the entries before it.
    Show(ShowArgs),
}

#[derive(clap::Args)]
struct AcceptArgs {
    /// The run: a run folder, a run id, `latest` or SUITE/latest, or a label.
    run: String,
    /// Name of the baseline (default: the one that the run's suite names).
    #[arg(long)]
    name: Option<String>,
    /// The suite, by its name, file or folder, where the run's name alone does not tell it.
    #[arg(long, value_name = "NAME")]
    suite: Option<String>,
    /// Why: recorded with who accepts, when, the commit, and what got worse.
    #[arg(long, short, value_name = "TEXT")]
    message: String,
    /// Keep results and prompts compressed, for large sets; everything reads them as before.
    #[arg(long)]
    compress: bool,
    /// Accept a run that is partial, has errored or missing cases, fails an absolute or critical rule, or is of files that were
    /// not committed.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(clap::Args)]
struct RegenerateArgs {
    /// The suite file, or its folder (default: suite.yaml here, else datasets/support-desk/suite.yaml).
    suite: Option<PathBuf>,
    /// Name of the baseline (default: the suite's).
    #[arg(long)]
    name: Option<String>,
    /// All accepted baselines of the suite, one after the other; those of another device are told and left.
    #[arg(long, conflicts_with_all = ["name", "resume"])]
    all: bool,
    /// Accept the new run.
    #[arg(long, requires = "message")]
    accept: bool,
    /// Why: recorded with who accepts, when, and the commit.
    #[arg(long, short, value_name = "TEXT", requires = "accept")]
    message: Option<String>,
    #[command(flatten)]
    cache: CacheArgs,
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

#[derive(clap::Args)]
struct ListArgs {
    /// Only this suite, by its name, file or folder.
    #[arg(long, value_name = "NAME")]
    suite: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(clap::Args)]
struct ShowArgs {
    /// Name of the baseline.
    #[arg(default_value = "main")]
    name: String,
    /// The suite, by its name, file or folder, where several have a baseline of this name.
    #[arg(long, value_name = "NAME")]
    suite: Option<String>,
    #[command(flatten)]
    form: FormArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit> {
    match args.command {
        Command::Accept(args) => accept(&args),
        Command::Regenerate(args) => regenerate(&args),
        Command::List(args) => list(&args),
        Command::Show(args) => show(&args),
    }
}

fn accept(args: &AcceptArgs) -> Result<Exit> {
    let Opened { run, store } = args.store.place(args.suite.as_deref())?.open(&args.run)?;
    let store = args.store.over(&store);
    let manifest = run.manifest();
    let name = match &args.name {
        Some(name) => name.clone(),
        None => own_name(manifest)?,
    };
    let accepted =
        take(&store, &run, Taking { name: &name, force: args.force, compress: args.compress, why: &args.message })?;
    let before = match (&accepted.replaced, accepted.known) {
        (Some(before), _) => format!(" in place of {before}"),
        (None, true) => " (it was already)".into(),
        (None, false) => String::new(),
    };
    terminal::lines([format!("accepted {}{before}", accepted.folder.display())])?;
    Ok(Exit::Passed)
}

/// The baseline that a run's own suite names for the device that computed it.
fn own_name(manifest: &Manifest) -> Result<String> {
    let (names, class) = baseline_of(manifest);
    names.of(class).map(str::to_owned).ok_or_else(|| {
        let message = format!("the suite names no baseline for {}", class.word());
        Error::input(message).with_hint("name it: --name NAME")
    })
}

/// How a run is accepted.
struct Taking<'a> {
    name: &'a str,
    force: bool,
    compress: bool,
    why: &'a str,
}

/// Accepts a run, unless it fails a rule of its own: one that does not depend on the baseline that it replaces. A first run is
/// accepted whatever its rules say; the log and a note name them. One after a broken baseline is no first run.
fn take(store: &Store, run: &RunReader, how: Taking<'_>) -> Result<Accepted> {
    if how.why.trim().is_empty() {
        return Err(Error::input("a reason is missing").with_hint("say why: -m \"new prompt, reviewed by Ann\""));
    }
    let manifest = run.manifest();
    let alone = judged(None, &Without::NotAsked, run)?;
    let failed: Vec<String> = failing(&alone.verdict).map(told_rule).collect();
    let review = |current: &Current, entries: &[RunEntry]| {
        let own = |entry: &RunEntry| entry.run_id == manifest.run_id.as_str();
        let first = match current {
            Current::None => true,
            Current::Run(entry) => own(entry),
            Current::Broken(_) => false,
        };
        let forced = !first && !failed.is_empty();
        if forced && !how.force {
            let broken = match current {
                Current::Broken(why) => format!("; the baseline is broken, this is no first run: {why}"),
                _ => String::new(),
            };
            let message = format!("cannot accept run `{}`: it fails {}{broken}", manifest.run_id, failed.join("; "));
            let hint = "mend it, or accept it as it is with `--force`";
            return Err(Error::input(message).at(run.folder()).with_hint(hint));
        }
        let mut worse = failed.clone();
        match current {
            // One that cannot be read says nothing about what got worse.
            Current::Run(entry) if !own(entry) => {
                if let Ok(before) = open_verified(&entry.folder) {
                    worse.extend(worse_than(&before, run, &alone.verdict)?);
                }
            }
            Current::Broken(_) => {
                let others = entries.iter().rev().filter(|entry| !own(entry));
                if let Some(last) = others.filter_map(|entry| open_verified(&entry.folder).ok()).next() {
                    let than = format!("than `{}`, the newest entry", last.manifest().run_id);
                    let all = worse_than(&last, run, &alone.verdict)?.into_iter();
                    worse.extend(all.map(|line| format!("{line} ({than})")));
                }
            }
            Current::None | Current::Run(_) => {}
        }
        Ok(Review { forced, worse })
    };
    let Taking { name, force, compress, why } = how;
    let accepted = store.accept(Accept { run: run.folder(), name, force, compress, why }, review)?;
    own_failures(&alone.verdict).iter().for_each(|note| say!("note: {note}"));
    Ok(accepted)
}

/// What got worse since the run that is replaced: rules that fail against it, which none could judge `alone`, and pass rates that
/// fell.
fn worse_than(before: &RunReader, run: &RunReader, alone: &Verdict) -> Result<Vec<String>> {
    let judged = judged(Some(before), &Without::NotAsked, run)?;
    let relative: Vec<&str> =
        alone.rules.iter().filter(|rule| rule.outcome == Outcome::Skipped).map(|rule| rule.rule.as_str()).collect();
    let failed: Vec<String> =
        failing(&judged.verdict).filter(|rule| relative.contains(&rule.rule.as_str())).map(told_rule).collect();
    let datasets = judged.comparison.iter().flat_map(|comparison| &comparison.datasets);
    let fell = datasets.flat_map(|dataset| dataset.scorers.iter().map(move |metric| (&dataset.dataset, metric)));
    let fell = fell.filter_map(|(dataset, metric)| {
        let (one, two) = (metric.paired_base.rate?, metric.paired_candidate.rate?);
        (two < one).then(|| {
            format!("{dataset}.{} {} to {} of {} pairs", metric.metric, fixed(one), fixed(two), metric.pairs.pairs())
        })
    });
    Ok(failed.into_iter().chain(fell).collect())
}

fn regenerate(args: &RegenerateArgs) -> Result<Exit> {
    let form = args.progress.begin();
    let mut reports = args.reports.open()?;
    let (path, store) = suite_and_store(args.suite.as_deref(), "baseline regenerate", &args.store)?;
    let engine = args.engine.apply()?;
    let overrides = Overrides { backend: engine.backend, ..Overrides::default() };
    let load = || Suite::load(&path, &overrides, Purpose::Look);
    let plan = load()?.plan;
    let names: Vec<String> = match (&args.name, args.all) {
        (Some(name), _) => vec![name.clone()],
        (None, true) => store.list_baselines(Some(&plan.name))?.into_iter().map(|baseline| baseline.name).collect(),
        (None, false) => wanted_name(&plan, &engine).map(|name| vec![name])?,
    };
    if names.is_empty() {
        let error = Error::input(format!("suite `{}` has no accepted baseline", plan.name));
        return Err(error.with_hint("`karat baseline accept` makes one"));
    }
    if args.all && !args.reports.is_empty() && names.len() > 1 {
        let error = Error::input("the reports of several baselines do not fit into one file");
        return Err(error.with_hint("regenerate one at a time: --name NAME"));
    }
    let mut worst = Exit::Passed;
    for name in &names {
        if args.all {
            say!("baseline `{name}`");
        }
        // There are some where there is one baseline.
        let reports = std::mem::take(&mut reports);
        let what = Regenerated { store: &store, name, suite: load()?, reports, engine: &engine, form };
        let exit = match regenerate_one(args, what) {
            Ok(exit) => exit,
            // The others are regenerated all the same.
            Err(error) if args.all && !matches!(error.kind(), Kind::Interrupted | Kind::Incomplete) => {
                super::error::show(&error);
                Exit::of(&error)
            }
            Err(error) => return Err(error),
        };
        worst = worst.worse(exit);
    }
    Ok(worst)
}

/// The suite's baseline for the device that computes.
fn wanted_name(plan: &Plan, engine: &EngineOptions) -> Result<String> {
    let class = if engine.device == DeviceChoice::Cpu { DeviceClass::Cpu } else { DeviceClass::Cuda };
    plan.baseline.of(class).map(str::to_owned).ok_or_else(|| {
        let error = Error::input(format!("the suite names no baseline for {}", class.word()));
        error.with_hint("name it: --name NAME, or --all")
    })
}

/// A baseline that is made anew.
struct Regenerated<'a> {
    store: &'a Store,
    name: &'a str,
    suite: Suite,
    reports: ReportFiles,
    engine: &'a EngineOptions,
    form: Form,
}

fn regenerate_one(args: &RegenerateArgs, what: Regenerated<'_>) -> Result<Exit> {
    let Regenerated { store, name, suite, reports, engine, form } = what;
    let current = match store.baseline(&suite.plan.name, name)?.current {
        Current::Run(run) => run,
        Current::None => return Err(Error::input(format!("baseline `{name}` has no accepted run"))),
        Current::Broken(why) => {
            return Err(Error::input(format!("failed to regenerate the baseline `{name}`: {why}")).with_hint(REPAIR));
        }
    };
    let baseline = open_verified(&current.folder)?;
    let (_, class) = baseline_of(baseline.manifest());
    let ours = if engine.device == DeviceChoice::Cpu { DeviceClass::Cpu } else { DeviceClass::Cuda };
    if class != ours {
        let message = format!(
            "the baseline `{name}` cannot be regenerated on {}: it was computed on {}",
            ours.word(),
            class.word()
        );
        return Err(Error::environment(message).with_hint(format!("run it with --device {}", class.word())));
    }
    let suite = suite.replanned(plan(baseline.manifest())?, Purpose::Run)?;
    let label = baseline.manifest().label.clone();
    let options = format!(" --baseline {}", terminal::argument(name.as_ref()));
    let baseline = Chosen { options, ..Chosen::with(baseline, name) };
    let (cache, resume) = (&args.cache, &args.resume);
    let what = Running { suite, baseline, engine: *engine, cache, keep_outputs: true, label, resume };
    let how = Showing { store, reports, form, wall: &args.wall, only: None };
    let Concluded { exit, folder } = carry_out(what, how)?;
    let (Some(run), true, Some(why)) = (folder, args.accept, &args.message) else {
        say!("nothing was accepted; repeat with --accept -m WHY to accept what comes out");
        return Ok(exit);
    };
    // As the entry before it.
    let compress = !current.folder.join(RESULTS).exists();
    let run = open_verified(&run)?;
    let accepted = take(store, &run, Taking { name, force: false, compress, why })?;
    terminal::lines([format!("accepted {}", accepted.folder.display())])?;
    Ok(exit)
}

fn list(args: &ListArgs) -> Result<Exit> {
    let place = args.store.place(args.suite.as_deref())?;
    let baselines = place.workspace.list_baselines(place.suite.as_deref())?;
    let line = |baseline: &Baseline| {
        let current = match &baseline.current {
            Current::Run(run) => run.run_id.clone(),
            Current::None => "nothing accepted".into(),
            Current::Broken(why) => format!("unusable: {why}; {REPAIR}"),
        };
        let entries = baseline.entries.len();
        let plural = if entries == 1 { "entry" } else { "entries" };
        let told = baseline.accepted.last().map_or(String::new(), |last| format!("  {}", told(last)));
        format!("{}  {}  {current}  {entries} {plural}{told}", baseline.suite, baseline.name)
    };
    terminal::lines(baselines.iter().map(line))?;
    if baselines.is_empty() {
        let folder = place.workspace.first().baselines();
        say!("{}", place.nothing("baselines", folder, "karat baseline accept RUN -m WHY"));
    }
    Ok(Exit::Passed)
}

fn show(args: &ShowArgs) -> Result<Exit> {
    let form = args.form.open()?;
    let reference = format!("baseline:{}", args.name);
    let Opened { run, store } = args.store.place(args.suite.as_deref())?.open(&reference)?;
    let (manifest, summary) = (run.manifest(), run.summary()?);
    let missing = manifest.missing(&summary);
    let errored = Errored::among(run.lines()?)?;
    let verdict = run.verdict()?;
    let report = Report {
        verdict: verdict.as_ref(),
        missing: Some(&missing),
        errored: Some(&errored),
        ..Report::of_run(manifest, &summary)
    };
    let written = form.write(&ReportInput { report, run: &run, base: None })?;
    let Baseline { entries, accepted, .. } = args.store.over(&store).baseline(&manifest.suite, &args.name)?;
    say!("accepted: {}", run.folder().display());
    for acceptance in &accepted {
        say!("{}: {}", acceptance.run_id, told(acceptance));
        acceptance.worse.iter().for_each(|worse| say!("  worse: {worse}"));
    }
    for entry in entries.iter().filter(|entry| entry.run_id != manifest.run_id.as_str()) {
        say!("earlier entry: {}", entry.run_id);
    }
    Ok(written)
}

/// Who accepted, when and why, in a line.
fn told(acceptance: &Acceptance) -> String {
    let Acceptance { by, at, why, forced, .. } = acceptance;
    let by = by.as_ref().map_or(String::new(), |by| format!(" by {by}"));
    let forced = if *forced { ", forced" } else { "" };
    let why = why.as_ref().map_or(String::new(), |why| format!(": {why}"));
    format!("accepted {at}{by}{forced}{why}")
}
