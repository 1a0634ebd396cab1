//! `karat runs`: what was recorded, in order of recording.

use super::store_args::StoreArgs;
use super::{Exit, terminal};
use crate::error::Result;
use crate::history::RunEntry;
use crate::record::RunReader;
use crate::report::runs::{Listed, terminal as table};

/// Arguments of `karat runs`.
#[derive(clap::Args)]
pub struct Args {
    /// Only this suite, by its name, file or folder.
    #[arg(long, value_name = "NAME")]
    suite: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs the command. No runs are no error.
pub fn run(args: Args) -> Result<Exit> {
    let place = args.store.place(args.suite.as_deref())?;
    let runs = place.workspace.list_runs(place.suite.as_deref())?;
    if runs.is_empty() {
        say!("{}", place.nothing("runs", place.workspace.first().runs(), "karat run SUITE"));
        return Ok(Exit::Passed);
    }
    let listed: Vec<Listed> = runs.into_iter().map(listed).collect();
    terminal::show(&table(&listed, terminal::style()))?;
    Ok(Exit::Passed)
}

/// A run as the list shows it; one that cannot be read is in the list, too.
fn listed(run: RunEntry) -> Listed {
    let RunEntry { suite, run_id, folder } = run;
    let manifest = match RunReader::read_manifest(&folder) {
        Ok(manifest) => manifest,
        Err(error) => return Listed { suite, run_id, verdict: error.chain(), ..Listed::default() },
    };
    let model = manifest.plan.pointer("/models/generator/model").and_then(|model| model.as_str()).map(str::to_owned);
    let verdict = match RunReader::read_summary(&folder) {
        Ok(summary) => summary.verdict.map_or("–".into(), |verdict| verdict.outcome.word().into()),
        Err(error) => error.chain(),
    };
    let date = manifest.created_at.get(..16).unwrap_or(&manifest.created_at).replace('T', " ");
    Listed {
        suite,
        run_id,
        model,
        label: manifest.label,
        verdict,
        date,
        partial: manifest.selected.values().any(|s| s.partial),
    }
}
