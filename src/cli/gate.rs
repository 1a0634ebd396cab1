//! `karat gate`: may a run that was made before pass?

use super::Exit;
use super::conclude::{baseline_of, judged};
use super::form::{FormArgs, Told};
use super::store_args::{BaselineArgs, Chosen, Opened, StoreArgs, Wanted};
use crate::error::Result;

/// Arguments of `karat gate`.
#[derive(clap::Args)]
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
    args.form.check()?;
    let Opened { run, store } = args.store.place(args.suite.as_deref())?.open(&args.run)?;
    let (names, class) = baseline_of(run.manifest());
    let wanted = Wanted::of_run(&run, (&names, class))?;
    let Chosen { run: base, without, .. } = args.baseline.open(&args.store, &store, &wanted)?;
    let judged = judged(base.as_ref(), &without, &run)?;
    args.form.write(&Told { report: judged.report(&run), run: &run, base: base.as_ref() })?;
    Ok(judged.exit)
}
