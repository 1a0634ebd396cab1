//! `karat baseline`: accept, list, show.

use clap::Subcommand;

use super::form::{FormArgs, Told};
use super::store_args::StoreArgs;
use super::{Exit, terminal};
use crate::error::Result;
use crate::history::{Accept, Store};
use crate::record::RunReader;
use crate::report::Report;

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
    /// Accept a run with errored or missing cases.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    store: StoreArgs,
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
        Command::List(args) => list(&args, &args.store.store()),
        Command::Show(args) => show(&args, &args.store.store()),
    }
}

fn accept(args: &AcceptArgs, store: &Store) -> Result<Exit> {
    let run = store.resolve(args.suite.as_deref(), &args.run)?;
    let accepted = store.accept(Accept { run: &run, name: &args.name, force: args.force })?;
    let before = match (&accepted.replaced, accepted.known) {
        (Some(before), _) => format!(" in place of {before}"),
        (None, true) => " (it was already)".into(),
        (None, false) => String::new(),
    };
    terminal::show(&format!("accepted {}{before}\n", accepted.folder.display()))?;
    Ok(Exit::Passed)
}

fn list(args: &ListArgs, store: &Store) -> Result<Exit> {
    let baselines = store.list_baselines(args.suite.as_deref())?;
    let mut text = String::new();
    for baseline in &baselines {
        let current = baseline.current.as_ref().map_or("nothing accepted", |run| run.run_id.as_str());
        let entries = baseline.entries.len();
        let plural = if entries == 1 { "entry" } else { "entries" };
        text.push_str(&format!("{}  {}  {current}  {entries} {plural}\n", baseline.suite, baseline.name));
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
    let entries = store.baseline(&manifest.suite, &args.name)?.entries;
    eprintln!("accepted: {}", folder.display());
    for entry in entries.iter().filter(|entry| entry.run_id != manifest.run_id.as_str()) {
        eprintln!("earlier entry: {}", entry.run_id);
    }
    Ok(Exit::Passed)
}
