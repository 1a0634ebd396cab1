//! `karat compare`: two saved runs case by case, or several candidates ranked against the first.

use super::Exit;
use super::conclude::{Judged, judged};
use super::form::{Form, FormArgs, ReportInput};
use super::store_args::StoreArgs;
use crate::compare::{Candidate, First, Without, rank};
use crate::error::Result;
use crate::record::RunReader;

/// Arguments of `karat compare`.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  karat compare main latest\n  karat compare main candidate-7 candidate-8                   # ranks them"
)]
pub struct Args {
    /// The run to compare against: a run folder, a run id, `latest` or SUITE/latest, the name of a baseline, a label, or
    /// git:REF:PATH.
    base: String,
    /// The run in question, named in the same ways; the gates of its own plan apply. Several are ranked.
    #[arg(required = true)]
    candidates: Vec<String>,
    /// Rank by this scorer instead of by cases that pass all scorers.
    #[arg(long, value_name = "SCORER")]
    by: Option<String>,
    /// The suite, by its name, file or folder, where a run's name alone does not tell it.
    #[arg(long, value_name = "NAME")]
    suite: Option<String>,
    #[command(flatten)]
    form: FormArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// Runs the command.
pub fn run(args: Args) -> Result<Exit> {
    if args.candidates.len() > 1 || args.by.is_some() {
        args.form.check_ranking()?;
    }
    let form = args.form.open()?;
    let place = args.store.place(args.suite.as_deref())?;
    let open = |reference: &String| place.open(reference).map(|opened| opened.run);
    let base = open(&args.base)?;
    let candidates = args.candidates.iter().map(open).collect::<Result<Vec<_>>>()?;
    for candidate in &candidates {
        let (one, two) = (&base.manifest().suite, &candidate.manifest().suite);
        if one != two {
            say!("note: the runs belong to different suites, `{one}` and `{two}`");
        }
    }
    match candidates.as_slice() {
        [candidate] if args.by.is_none() => one(&base, candidate, form),
        several => many(&base, several, form, args.by.as_deref()),
    }
}

fn one(base: &RunReader, candidate: &RunReader, form: Form) -> Result<Exit> {
    let judged = judged(Some(base), &Without::NotAsked, candidate)?;
    let written = form.write(&ReportInput { report: judged.report(candidate), run: candidate, base: Some(base) })?;
    Ok(judged.exit.worse(written))
}

/// Each candidate against the base run; the exit code is the worst of them.
fn many(base: &RunReader, candidates: &[RunReader], form: Form, by: Option<&str>) -> Result<Exit> {
    let judge = |candidate: &RunReader| judged(Some(base), &Without::NotAsked, candidate);
    let judged = candidates.iter().map(judge).collect::<Result<Vec<_>>>()?;
    let performances = candidates.iter().map(RunReader::performance).collect::<Result<Vec<_>>>()?;
    let all = candidates.iter().zip(&judged).zip(&performances).filter_map(|((run, judged), performance)| {
        let Judged { comparison, verdict, .. } = judged;
        Some(Candidate { comparison: comparison.as_ref()?, performance, verdict, model: model(run) })
    });
    let performance = base.performance()?;
    let first = First { performance: &performance, model: model(base) };
    let written = form.write_ranking(&rank(&first, &all.collect::<Vec<_>>(), by)?)?;
    Ok(judged.iter().fold(written, |exit, judged| exit.worse(judged.exit)))
}

/// The generator that a run's plan names.
fn model(run: &RunReader) -> Option<String> {
    run.manifest().plan.pointer("/models/generator/model")?.as_str().map(str::to_owned)
}
