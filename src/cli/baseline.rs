//! `karat baseline`: accept, regenerate, list, show.

use std::path::PathBuf;

use clap::Subcommand;

use super::cache_args::CacheArgs;
use super::conclude::{Concluded, plan};
use super::engine_args::EngineArgs;
use super::form::{FormArgs, ReportArgs, Told};
use super::run::{Running, Showing, carry_out};
use super::store_args::{StoreArgs, open_run};
use super::suite_args::suite_path;
use super::{Exit, terminal};
use crate::error::{Error, Result};
use crate::history::{Accept, Acceptance, Baseline, Store};
use crate::record::{RESULTS, RunReader};
use crate::report::Report;
use crate::suite::{Overrides, Purpose, Suite};

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
    Regenerate(RegenerateArgs),
    /// All baselines with their accepted runs.
    List(ListArgs),
    /// The accepted run of a baseline, and the entries before it.
    Show(ShowArgs),
}

#[derive(clap::Args)]
struct AcceptArgs {
    /// The run: a run folder, a run id or `latest`.
    run: String,
    /// Name of the baseline.
    #[arg(long, default_value = "main")]
    name: String,
    /// The suite, where a name alone does not tell it.
    #[arg(long, value_name = "NAME")]
    suite: Option<String>,
    /// Why: recorded with who accepts, when, and the commit.
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// Keep results and prompts compressed, for large sets; everything reads them as before.
    #[arg(long)]
    compress: bool,
    /// Accept a run with errored or missing cases, or of files that were not committed.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(clap::Args)]
struct RegenerateArgs {
    /// The suite file, or its folder (default: datasets/support-desk/suite.yaml).
    suite: Option<PathBuf>,
    /// Name of the baseline (default: the suite's).
    #[arg(long)]
    name: Option<String>,
    /// Accept the new run.
    #[arg(long)]
    accept: bool,
    /// Why: recorded with who accepts, when, and the commit.
    #[arg(long, short, value_name = "TEXT", requires = "accept")]
    message: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    engine: EngineArgs,
    #[command(flatten)]
    reports: ReportArgs,
    /// No progress.
    #[arg(long, short)]
    quiet: bool,
}

#[derive(clap::Args)]
struct ListArgs {
    /// Only this suite.
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
    /// The suite, where several have a baseline of this name.
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
        Command::Accept(args) => accept(&args, &args.store.store()),
        Command::Regenerate(args) => regenerate(&args, &args.store.store()),
        Command::List(args) => list(&args, &args.store.store()),
        Command::Show(args) => show(&args, &args.store.store()),
    }
}

fn accept(args: &AcceptArgs, store: &Store) -> Result<Exit> {
    let run = open_run(store, args.suite.as_deref(), &args.run)?;
    let why = args.message.as_deref();
    let (name, force, compress) = (args.name.as_str(), args.force, args.compress);
    let accepted = store.accept(Accept { run: run.folder(), name, force, compress, why })?;
    let before = match (&accepted.replaced, accepted.known) {
        (Some(before), _) => format!(" in place of {before}"),
        (None, true) => " (it was already)".into(),
        (None, false) => String::new(),
    };
    terminal::show(&format!("accepted {}{before}\n", accepted.folder.display()))?;
    Ok(Exit::Passed)
}

fn regenerate(args: &RegenerateArgs, store: &Store) -> Result<Exit> {
    args.reports.check()?;
    let path = suite_path(args.suite.as_deref(), "baseline regenerate")?;
    let suite = Suite::load(&path, &Overrides::default(), Purpose::Lint)?;
    let name = args.name.clone().unwrap_or_else(|| suite.plan.baseline.clone());
    let Baseline { current, .. } = store.baseline(&suite.plan.name, &name)?;
    let Some(current) = current else {
        return Err(Error::input(format!("regenerate the baseline `{name}`: nothing is accepted")));
    };
    let baseline = RunReader::open(&current.folder)?;
    let suite = suite.replanned(plan(baseline.manifest())?, Purpose::Run)?;
    let engine = args.engine.apply()?;
    let what = Running { suite, baseline: Some(baseline), engine, cache: &args.cache, keep_outputs: true };
    let how = Showing { store, reports: &args.reports, quiet: args.quiet, dry_run: false };
    let Concluded { exit, folder } = carry_out(what, &how)?;
    let Some(run) = folder.filter(|_| args.accept) else {
        eprintln!("nothing was accepted; repeat with --accept to accept what comes out");
        return Ok(exit);
    };
    // As the entry before it.
    let compress = !current.folder.join(RESULTS).exists();
    let why = args.message.as_deref();
    let accepted = store.accept(Accept { run: &run, name: &name, force: false, compress, why })?;
    terminal::show(&format!("accepted {}\n", accepted.folder.display()))?;
    Ok(exit)
}

fn list(args: &ListArgs, store: &Store) -> Result<Exit> {
    let baselines = store.list_baselines(args.suite.as_deref())?;
    let mut text = String::new();
    for baseline in &baselines {
        let current = baseline.current.as_ref().map_or("nothing accepted", |run| run.run_id.as_str());
        let entries = baseline.entries.len();
        let plural = if entries == 1 { "entry" } else { "entries" };
        let told = baseline.accepted.last().map_or(String::new(), |last| format!("  {}", told(last)));
        text.push_str(&format!("{}  {}  {current}  {entries} {plural}{told}\n", baseline.suite, baseline.name));
    }
    terminal::show(&text)?;
    if baselines.is_empty() {
        eprintln!("no baselines in {}; `karat baseline accept RUN` makes one", store.baselines().display());
    }
    Ok(Exit::Passed)
}

fn show(args: &ShowArgs, store: &Store) -> Result<Exit> {
    args.form.check()?;
    let folder = store.resolve(args.suite.as_deref(), &format!("baseline:{}", args.name))?;
    let run = RunReader::open(&folder)?;
    let (manifest, summary) = (run.manifest(), run.summary()?);
    let missing = manifest.missing(&summary);
    let report = Report { missing: Some(&missing), ..Report::of_run(manifest, &summary) };
    args.form.write(&Told { report, run: &run, base: None })?;
    let Baseline { entries, accepted, .. } = store.baseline(&manifest.suite, &args.name)?;
    eprintln!("accepted: {}", folder.display());
    for acceptance in &accepted {
        eprintln!("{}: {}", acceptance.run_id, told(acceptance));
    }
    for entry in entries.iter().filter(|entry| entry.run_id != manifest.run_id.as_str()) {
        eprintln!("earlier entry: {}", entry.run_id);
    }
    Ok(Exit::Passed)
}

/// Who accepted, when and why, in a line.
fn told(acceptance: &Acceptance) -> String {
    let Acceptance { by, at, why, forced, .. } = acceptance;
    let by = by.as_ref().map_or(String::new(), |by| format!(" by {by}"));
    let forced = if *forced { ", forced" } else { "" };
    let why = why.as_ref().map_or(String::new(), |why| format!(": {why}"));
    format!("accepted {at}{by}{forced}{why}")
}
