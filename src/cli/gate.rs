//! `karat gate`: may a run that was made before pass?
//!
//! A run that was recorded and could not be judged then, or lost its verdict, gets it here.

use super::Exit;
use super::conclude::{Judged, baseline_of, judged};
use super::form::{FormArgs, ReportInput};
use super::store_args::{BaselineArgs, Chosen, Opened, StoreArgs, Wanted};
use crate::error::Result;
use crate::record::{RunReader, is_recorded};
use crate::report::markdown;

/// Arguments of `karat gate`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  karat gate latest\n  karat gate latest --baseline git:main:baselines/my-suite/main"
)]
pub struct Args {
    /// The run: a run folder, a run id, `latest` or SUITE/latest, the name of a baseline, a label, or git:REF:PATH. The gates of
    /// its own plan apply.
    #[arg(default_value = "latest")]
    run: String,
    /// The suite, by its name, file or folder, where the run's name alone does not tell it.
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
    let form = args.form.open()?;
    let Opened { run, store } = args.store.place(args.suite.as_deref())?.open(&args.run)?;
    let (names, class) = baseline_of(run.manifest());
    let wanted = Wanted::of_run(&run, (&names, class))?;
    let Chosen { run: base, without, .. } = args.baseline.open(&args.store, &store, &wanted)?;
    let judged = judged(base.as_ref(), &without, &run)?;
    if let Err(error) = keep(&run, &judged, base.as_ref(), args.baseline.is_overridden()) {
        say!("note: the verdict is shown, and not kept: {}", error.chain());
    }
    let written = form.write(&ReportInput { report: judged.report(&run), run: &run, base: base.as_ref() })?;
    Ok(judged.exit.worse(written))
}

/// Puts verdict and report into a run folder that lacks them, where the run was judged as it would have been at its end: against
/// the baseline that it names, or, where it names none, without another word from the call.
fn keep(run: &RunReader, judged: &Judged, base: Option<&RunReader>, overridden: bool) -> Result<()> {
    let as_recorded = match &run.manifest().baseline {
        Some(id) => base.is_some_and(|base| base.manifest().run_id == *id),
        None => !overridden,
    };
    // A verdict would vouch for what nothing vouches for.
    if !as_recorded || !run.is_vouched() || !is_recorded(run.folder())? || run.is_judged()? {
        return Ok(());
    }
    run.keep(judged.verdict.clone(), &markdown::render(&judged.report(run)))
}
