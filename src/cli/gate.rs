//! `karat gate`: may a run that was made before pass?

use super::Exit;
use super::conclude::{Judged, judged, plan};
use super::form::{FormArgs, Told};
use super::store_args::{BaselineArgs, StoreArgs, open_run};
use crate::error::Result;
use crate::report::Report;

/// Arguments of `karat gate`.
#[derive(clap::Args)]
pub struct Args {
    /// The run: a run folder, a run id, `latest`, the name of a baseline, or git:REF:PATH. The gates of its own plan apply.
    #[arg(default_value = "latest")]
    run: String,
    /// The suite, where a name alone does not tell it.
    #[arg(long, value_name = "NAME")]
    suite: Option<String>,
    #[command(flatten)]
    baseline: BaselineArgs,
    #[command(flatten)]
    form: FormArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit> {
    args.form.check()?;
    let store = args.store.store();
    let run = open_run(&store, args.suite.as_deref(), &args.run)?;
    let manifest = run.manifest();
    let baseline = args.baseline.open(&store, &manifest.suite, &plan(manifest)?.baseline)?;
    let Judged { comparison, summary, verdict, exit } = judged(baseline.as_ref(), &run)?;
    let missing = manifest.missing(&summary);
    let report = Report {
        comparison: comparison.as_ref(),
        verdict: Some(&verdict),
        missing: Some(&missing),
        ..Report::of_run(manifest, &summary)
    };
    args.form.write(&Told { report, run: &run, base: baseline.as_ref() })?;
    Ok(exit)
}
