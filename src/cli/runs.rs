//! `karat runs`: what was recorded, what is unfinished, and removing that.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;

use super::resume::told;
use super::signals::duration;
use super::store_args::{Place, StoreArgs};
use super::{Exit, terminal};
use crate::error::{Error, Result};
use crate::history::RunEntry;
use crate::record::{RunReader, Unfinished, leftovers, prune, unfinished};
use crate::report::runs::{Listed, terminal as table};

/// Arguments of `karat runs`.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Remove unfinished runs, with what they have computed. One that a process is at stays.
    Prune(PruneArgs),
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
struct PruneArgs {
    /// Only these runs, by their ids.
    runs: Vec<String>,
    /// Only this suite, by its name, file or folder.
    #[arg(long, value_name = "NAME")]
    suite: Option<String>,
    /// Only runs that were last written longer ago than this (7d, 12h).
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    older_than: Option<Duration>,
    /// Say what would be removed, and remove nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs the command. No runs are no error.
pub fn run(args: Args) -> Result<Exit> {
    match args.command {
        Some(Command::Prune(args)) => remove(&args),
        None => list(&args.list),
    }
}

fn list(args: &ListArgs) -> Result<Exit> {
    let place = args.store.place(args.suite.as_deref())?;
    let runs = place.workspace.list_runs(place.suite.as_deref())?;
    let left = begun(&place)?;
    if runs.is_empty() && left.is_empty() {
        say!("{}", place.nothing("runs", place.workspace.first().runs(), "karat run SUITE"));
        return Ok(Exit::Passed);
    }
    let listed: Vec<Listed> = runs.into_iter().map(listed).collect();
    if !listed.is_empty() {
        terminal::page(&table(&listed, terminal::style()))?;
    }
    left.iter().for_each(|(_, run)| say!("{}", told(run)));
    if left.iter().any(|(_, run)| !run.running) {
        say!("hint: `karat run SUITE --resume` goes on with an unfinished run, `karat runs prune` removes them");
    }
    Ok(Exit::Passed)
}

/// Runs that are not recorded yet, with the folders of their suites' runs.
fn begun(place: &Place) -> Result<Vec<(PathBuf, Unfinished)>> {
    let mut found = Vec::new();
    for folder in place.workspace.suite_folders(place.suite.as_deref())? {
        found.extend(unfinished(&folder)?.into_iter().map(|run| (folder.clone(), run)));
    }
    Ok(found)
}

fn remove(args: &PruneArgs) -> Result<Exit> {
    let place = args.store.place(args.suite.as_deref())?;
    let mut left = begun(&place)?;
    for id in &args.runs {
        if !left.iter().any(|(_, run)| run.run_id.as_str() == id) {
            let error = Error::input(format!("there is no unfinished run `{id}`"));
            return Err(error.with_hint("`karat runs` lists them; finished runs are ordinary folders"));
        }
    }
    left.retain(|(_, run)| args.runs.is_empty() || args.runs.iter().any(|id| run.run_id.as_str() == id));
    let all_left = left.len();
    if let Some(least) = args.older_than {
        left.retain(|(_, run)| run.modified.elapsed().is_ok_and(|age| age > least));
    }
    let mut lines = Vec::new();
    for (folder, run) in &left {
        let done = match (run.running, args.dry_run) {
            (true, _) => "left, a process is at it",
            (false, true) => "would be removed",
            (false, false) if prune(folder, run)? => "removed",
            (false, false) => "left, a process is at it",
        };
        lines.push(format!("{}: {done}", told(run)));
    }
    // Without journals there is nothing to choose among.
    let all = args.runs.is_empty() && args.older_than.is_none();
    for folder in place.workspace.suite_folders(place.suite.as_deref())?.iter().filter(|folder| all && folder.is_dir())
    {
        for leftover in leftovers(folder)? {
            let done = if args.dry_run { "would be removed" } else { "removed" };
            if !args.dry_run {
                std::fs::remove_dir_all(&leftover).map_err(|e| Error::io("remove", &leftover, e))?;
            }
            lines.push(format!("what a crash left in {}: {done}", leftover.display()));
        }
    }
    match (lines.is_empty(), all_left) {
        (false, _) => {}
        (true, 0) => say!("nothing to remove: no run is unfinished"),
        (true, younger) => say!("nothing to remove: {younger} unfinished runs are younger"),
    }
    terminal::lines(lines)?;
    Ok(Exit::Passed)
}

/// A run as the list shows it; one that cannot be read is in the list, too.
fn listed(run: RunEntry) -> Listed {
    let RunEntry { suite, run_id, folder } = run;
    let run = match RunReader::unverified(&folder) {
        Ok(run) => run,
        Err(error) => return Listed { suite, run_id, verdict: error.chain(), ..Listed::default() },
    };
    let manifest = run.manifest();
    let model = manifest.plan.pointer("/models/generator/model").and_then(|model| model.as_str()).map(str::to_owned);
    let verdict = match run.verdict() {
        Ok(verdict) => verdict.map_or("not judged", |verdict| verdict.outcome.word()).into(),
        Err(error) => error.chain(),
    };
    let date = manifest.created_at.get(..16).unwrap_or(&manifest.created_at).replace('T', " ");
    Listed {
        suite,
        run_id,
        model,
        label: manifest.label.clone(),
        verdict,
        date,
        partial: manifest.selected.values().any(|s| s.partial),
    }
}
