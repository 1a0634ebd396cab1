//! The end of a run: comparison with the baseline, verdict, reports, the folder's final name, the exit code.

use std::path::PathBuf;
use std::time::Instant;

use super::form::{ReportArgs, Told};
use super::{Exit, terminal};
use crate::compare::{Cases, CompareOptions, Comparison, GatePolicy, Side, Subject, Verdict, compare, judge};
use crate::error::{Error, Result};
use crate::history::Store;
use crate::record::{Lines, Manifest, Phase, REPORT, RunReader, Summary, VERDICT, VerdictFile};
use crate::report::{Report, markdown, terminal as page};
use crate::run::Finished;
use crate::suite::Plan;

/// Judges a finished run, writes its reports, commits it and shows it.
///
/// # Errors
/// Files that cannot be read or written. No run folder is left then.
pub fn conclude(
    finished: Finished,
    baseline: Option<&RunReader>,
    store: &Store,
    reports: &ReportArgs,
) -> Result<Concluded> {
    let Finished { mut sealed, manifest, mut performance } = finished;
    let began = Instant::now();
    let comparison = match baseline {
        Some(baseline) => {
            let candidate = Side { manifest: &manifest, lines: sealed.lines()?, prompts: sealed.prompts()? };
            Some(compare(side(baseline)?, candidate, CompareOptions::default())?)
        }
        None => None,
    };
    let base_performance = baseline.map(RunReader::performance).transpose()?;
    let subject = Subject {
        manifest: &manifest,
        summary: sealed.summary(),
        comparison: comparison.as_ref(),
        performance: Some(&performance),
        base_performance: base_performance.as_ref(),
        cases: &sealed,
        base_cases: baseline.map(|baseline| baseline as &dyn Cases),
    };
    let verdict = judge(&policy(&manifest)?, &subject)?;
    let seconds = began.elapsed().as_secs_f64();
    performance.phases.push(Phase { name: "compare".into(), seconds });
    let missing = manifest.missing(sealed.summary());
    let report = Report {
        comparison: comparison.as_ref(),
        verdict: Some(&verdict),
        missing: Some(&missing),
        ..Report::of_run(&manifest, sealed.summary())
    };
    let (shown, written) = (page::render(&report, terminal::style()), markdown::render(&report));
    let exit = exit(&verdict, &manifest, sealed.summary());
    let file = VerdictFile::new(&manifest.suite, manifest.run_id.as_str(), verdict.clone());
    sealed.write(VERDICT, &file.to_bytes()?)?;
    sealed.set_verdict(verdict);
    sealed.write(REPORT, written.as_bytes())?;
    let folder = sealed.commit(manifest, &performance)?;
    terminal::show(&format!("{shown}\nrun folder: {}\n", folder.display()))?;
    if !reports.is_empty() {
        let run = RunReader::open(&folder)?;
        let (manifest, summary) = (run.manifest(), run.summary()?);
        let missing = manifest.missing(&summary);
        let comparison = comparison.as_ref();
        let report = Report { comparison, missing: Some(&missing), ..Report::of_run(manifest, &summary) };
        reports.write(&Told { report, run: &run, base: baseline })?;
    }
    if baseline.is_none() && exit == Exit::Passed && store.list_baselines(None)?.is_empty() {
        eprintln!("note: no baseline yet; `karat baseline accept latest` makes this run one");
    }
    Ok(Concluded { exit, folder: Some(folder) })
}

/// How a run ended.
pub struct Concluded {
    /// The exit code.
    pub exit: Exit,
    /// Its folder, where anything ran.
    pub folder: Option<PathBuf>,
}

/// What the plan in a manifest asks of a candidate.
///
/// # Errors
/// A plan that this karat does not understand.
pub fn policy(manifest: &Manifest) -> Result<GatePolicy> {
    let plan = plan(manifest)?;
    Ok(GatePolicy { gates: plan.gates, prices: plan.prices })
}

/// The plan in a manifest.
///
/// # Errors
/// A plan that this karat does not understand.
pub fn plan(manifest: &Manifest) -> Result<Plan> {
    serde_json::from_value(manifest.plan.clone()).map_err(|e| {
        let fragment = format!("read the plan of run `{}`", manifest.run_id);
        Error::input(fragment).caused_by(e).with_hint("the run was written by another version of karat; repeat it")
    })
}

/// A failed gate comes before an incomplete run.
pub fn exit(verdict: &Verdict, manifest: &Manifest, summary: &Summary) -> Exit {
    let incomplete = summary.totals.errored > 0 || !manifest.missing(summary).is_empty();
    match (verdict.passed, incomplete) {
        (false, _) => Exit::GateFailed,
        (true, true) => Exit::Incomplete,
        (true, false) => Exit::Passed,
    }
}

/// Two saved runs compared, and the verdict over the candidate by its own gates.
///
/// # Errors
/// Files that cannot be read.
pub fn judged(base: Option<&RunReader>, candidate: &RunReader) -> Result<Judged> {
    let comparison = match base {
        Some(base) => Some(compare(side(base)?, side(candidate)?, CompareOptions::default())?),
        None => None,
    };
    let summary = candidate.summary()?;
    let manifest = candidate.manifest();
    let (performance, base_performance) = (candidate.performance()?, base.map(RunReader::performance).transpose()?);
    let subject = Subject {
        manifest,
        summary: &summary,
        comparison: comparison.as_ref(),
        performance: Some(&performance),
        base_performance: base_performance.as_ref(),
        cases: candidate,
        base_cases: base.map(|base| base as &dyn Cases),
    };
    let verdict = judge(&policy(manifest)?, &subject)?;
    let exit = exit(&verdict, manifest, &summary);
    Ok(Judged { comparison, summary, verdict, exit })
}

/// A saved run as a comparison sees it.
fn side(run: &RunReader) -> Result<Side<'_, Lines>> {
    Ok(Side { manifest: run.manifest(), lines: run.lines()?, prompts: run.prompts()? })
}

/// What [`judged`] found.
pub struct Judged {
    /// What changed since the base run.
    pub comparison: Option<Comparison>,
    /// The candidate in figures.
    pub summary: Summary,
    /// What the gates say.
    pub verdict: Verdict,
    /// The exit code.
    pub exit: Exit,
}
