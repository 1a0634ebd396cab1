//! The end of a run: the commit, then comparison with the baseline, verdict, reports and the exit code.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::form::{self, ReportInput};
use super::report_files::ReportFiles;
use super::store_args::Chosen;
use super::{Exit, terminal};
use crate::compare::{
    Cases, CompareOptions, Comparison, Decision, GatePolicy, Method, Outcome, RuleResult, Side, Subject, Tier,
    Unreadable, Verdict, Without, compare, judge,
};
use crate::error::{Error, Result};
use crate::history::{Found, Store, Workspace, obstacle};
use crate::record::{Lines, MANIFEST, Manifest, RunReader, Summary};
use crate::report::{Errored, Report, markdown, terminal as page, visible};
use crate::rule::{BaselineNames, DeviceClass, Statistics};
use crate::run::Finished;
use crate::suite::Plan;

/// Commits a finished run, then judges it, shows it and writes its reports. Whatever fails after the commit costs itself alone.
///
/// # Errors
/// Files that cannot be read or written. The run is recorded where the hint says so.
pub fn conclude(finished: Finished, baseline: &Chosen, reports: ReportFiles, store: &Store) -> Result<Concluded> {
    let Finished { sealed, manifest, performance } = finished;
    let folder = sealed.commit(manifest, &performance)?;
    let again = Again { folder: &folder, options: &baseline.options, store };
    // Its files were hashed as they were written.
    let judged = RunReader::unverified(&folder)
        .map(RunReader::vouched)
        .and_then(|run| Ok((judged(baseline.run.as_ref(), &baseline.without, &run)?, run)));
    let (judged, run) = judged.map_err(|error| {
        let reports: Vec<&Path> = reports.paths().collect();
        again.advise(error.context("failed to judge the run"), &reports)
    })?;
    let report = judged.report(&run);
    let mut exit = judged.exit;
    let kept = run.keep(judged.verdict.clone(), &markdown::render(&report)).map_err(|error| again.advise(error, &[]));
    let place = visible(&folder.display().to_string());
    let shown = format!("{}\nrun folder: {place}\n", page::render(&report, terminal::style()));
    for failed in [kept, terminal::page(&shown)].into_iter().filter_map(Result::err) {
        super::error::show(&failed);
        exit = exit.worse(Exit::of(&failed));
    }
    let input = ReportInput { report, run: &run, base: baseline.run.as_ref() };
    let advised = |error, file: &Path| again.advise(error, &[file]);
    exit = exit.worse(reports.write(|format| form::bytes(format, &input, page::Style::default()), advised));
    match next(run.manifest(), &judged.summary, &judged.verdict, baseline) {
        Some(Next::Not(why)) => say!("next: this run is no baseline yet: {why}"),
        Some(Next::Accept { name, notes }) => {
            let named = if name == "main" { String::new() } else { format!(" --name {name}") };
            let (shown, place) = (terminal::argument(&folder), elsewhere(&folder, &run.manifest().suite, store));
            say!(
                "next: `karat baseline accept {shown}{named}{place} -m WHY` makes this run what later ones are held against{notes}"
            );
        }
        None => {}
    }
    Ok(Concluded { exit, folder: Some(folder) })
}

/// How a recorded run is judged once more.
struct Again<'a> {
    folder: &'a Path,
    /// Those that choose the same baseline.
    options: &'a str,
    store: &'a Store,
}

impl Again<'_> {
    /// Says that the run is there, and which call judges it and writes these reports.
    fn advise(&self, error: Error, reports: &[&Path]) -> Error {
        let Self { folder, options, store } = self;
        let suite = folder.parent().and_then(Path::file_name).map(|name| name.to_string_lossy()).unwrap_or_default();
        let place = elsewhere(folder, &suite, store);
        let reports: String =
            reports.iter().map(|report| format!(" --report {}", terminal::argument(report))).collect();
        let call = format!("karat gate {}{options}{place}{reports}", terminal::argument(folder));
        let advice = format!("the run is recorded in {}; `{call}` judges it again", folder.display());
        let hint = error.hint().map_or(String::new(), |hint| format!("{hint}; "));
        error.with_hint(format!("{hint}{advice}"))
    }
}

/// What to do after a first run.
enum Next<'a> {
    /// Accept it under this name; what its own rules say against it.
    Accept { name: &'a str, notes: String },
    /// It would be refused: why, and what to do.
    Not(String),
}

fn next<'a>(manifest: &Manifest, summary: &Summary, verdict: &Verdict, baseline: &'a Chosen) -> Option<Next<'a>> {
    let name = baseline.name.as_deref().filter(|_| baseline.run.is_none() && baseline.without == Without::NotYet)?;
    if let Some(obstacle) = obstacle(manifest, summary) {
        return Some(Next::Not(format!("{}; {}", obstacle.what, obstacle.hint)));
    }
    // The reasons stand in the report above.
    let notes = own_failures(verdict).into_iter();
    let notes: Vec<String> = notes.filter_map(|note| Some(note.split_once(": ")?.0.to_owned())).collect();
    let notes = if notes.is_empty() { String::new() } else { format!("; by its own rules, {}", notes.join("; ")) };
    Some(Next::Accept { name, notes })
}

/// The option that brings a run to the baselines of `store`, where its path alone would not from the current folder.
fn elsewhere(folder: &Path, suite: &str, store: &Store) -> String {
    let home = || {
        let workspace = Workspace::of_folder(Path::new(""), None, None)?;
        let found = Store::owner(folder).unwrap_or_else(|| workspace.first().clone());
        workspace.home(&Found { folder: folder.into(), store: found }, suite)
    };
    let whole = |path: &Path| std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).ok();
    match home() {
        Ok(home) if whole(home.baselines()) == whole(store.baselines()) => String::new(),
        _ => format!(" --baselines-dir {}", terminal::argument(store.baselines())),
    }
}

/// How a run ended.
pub struct Concluded {
    /// The exit code.
    pub exit: Exit,
    /// Its folder, where anything ran.
    pub folder: Option<PathBuf>,
}

/// What the plan in a manifest asks of a candidate. A gate that this version does not understand is inconclusive; other fields
/// of the plan, which say what ran, do not matter here.
pub fn policy(manifest: &Manifest) -> GatePolicy {
    let mut found = Vec::new();
    let gates: Vec<Value> = read(manifest, "gates", &mut found).unwrap_or_default();
    let gates = gates.iter().filter_map(|gate| understood("gate", gate, &mut found)).collect();
    let prices = read(manifest, "prices", &mut found);
    let errors = read(manifest, "errors", &mut found);
    // What decides how, and what is held against what: read where it is needed, and no default in place of what was asked.
    read::<Statistics>(manifest, "statistics", &mut found);
    read::<BaselineNames>(manifest, "baseline", &mut found);
    GatePolicy { gates, prices, errors, method: options(manifest).method, unreadable: found }
}

/// A key of the plan in a manifest; none where it is not there, or is not understood, which is noted.
fn read<T: DeserializeOwned>(manifest: &Manifest, key: &str, unreadable: &mut Vec<Unreadable>) -> Option<T> {
    let value = manifest.plan.get(key).filter(|value| !value.is_null())?;
    understood(key, value, unreadable)
}

fn understood<T: DeserializeOwned>(what: &str, value: &Value, unreadable: &mut Vec<Unreadable>) -> Option<T> {
    let note = |error| Unreadable {
        gate: format!("{what} {value}"),
        reason: format!("this version of karat does not understand it: {error}"),
    };
    serde_json::from_value(value.clone()).map_err(|error| unreadable.push(note(error))).ok()
}

/// How the plan in a manifest wants runs compared.
pub fn options(manifest: &Manifest) -> CompareOptions {
    let statistics =
        manifest.plan.get("statistics").and_then(|value| serde_json::from_value::<Statistics>(value.clone()).ok());
    let method = Method { mcnemar: statistics.unwrap_or_default().mcnemar };
    CompareOptions { method, ..CompareOptions::default() }
}

/// The baselines that the plan in a manifest names, and the class of device that computed the run.
pub fn baseline_of(manifest: &Manifest) -> (BaselineNames, DeviceClass) {
    let names = manifest.plan.get("baseline").and_then(|value| serde_json::from_value(value.clone()).ok());
    let mut devices = ["generator", "embedder", "toxicity"].iter();
    let device = devices.find_map(|role| manifest.fingerprint.get(&format!("{role}.device")));
    let class = device.map_or(DeviceClass::Cpu, |device| DeviceClass::of_fingerprint(device));
    (names.unwrap_or_default(), class)
}

/// The whole plan in a manifest, for what runs it again.
///
/// # Errors
/// A plan that this karat does not understand.
pub fn plan(manifest: &Manifest) -> Result<Plan> {
    serde_json::from_value(manifest.plan.clone()).map_err(|e| {
        let message = format!("failed to read the plan of run `{}`", manifest.run_id);
        Error::input(message).caused_by(e).with_hint("the run was written by another version of karat; repeat it")
    })
}

/// What a verdict ends with.
pub fn exit(verdict: &Verdict) -> Exit {
    match verdict.outcome {
        Decision::Passed => Exit::Passed,
        Decision::Failed => Exit::RuleFailed,
        Decision::Inconclusive => Exit::Inconclusive,
    }
}

/// A saved run, compared where there is a base run, and the verdict over it by its own gates.
///
/// # Errors
/// Files that cannot be read.
pub fn judged(base: Option<&RunReader>, without: &Without, candidate: &RunReader) -> Result<Judged> {
    let manifest = candidate.manifest();
    let comparison = match base {
        Some(base) => Some(compare(side(base)?, side(candidate)?, options(manifest))?),
        None => None,
    };
    let summary = candidate.summary()?;
    let (performance, base_performance) = (candidate.performance()?, base.map(RunReader::performance).transpose()?);
    let subject = Subject {
        manifest,
        summary: &summary,
        comparison: comparison.as_ref(),
        without,
        performance: Some(&performance),
        base_manifest: base.map(RunReader::manifest),
        base_performance: base_performance.as_ref(),
        cases: candidate,
        base_cases: base.map(|base| base as &dyn Cases),
    };
    let mut policy = policy(manifest);
    for run in [Some(candidate), base].into_iter().flatten() {
        policy.unreadable.extend(unverified(run)?);
    }
    let verdict = judge(&policy, &subject)?;
    let errored = match summary.totals.errored {
        0 => Errored::default(),
        _ => Errored::among(candidate.lines()?)?,
    };
    let (exit, missing) = (exit(&verdict), manifest.missing(&summary));
    Ok(Judged { comparison, summary, verdict, exit, errored, missing })
}

/// A record of which an edit would not be seen is no evidence.
fn unverified(run: &RunReader) -> Result<Option<Unreadable>> {
    Ok(run.is_unverified()?.then(|| Unreadable {
        gate: format!("record of run `{}`", run.manifest().run_id),
        reason: format!(
            "nothing holds the SHA-256 of its {MANIFEST}; repeat the run, or accept it again where it is a baseline"
        ),
    }))
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
    errored: Errored,
    missing: std::collections::BTreeMap<String, u64>,
}

impl Judged {
    /// All of it, to be reported.
    pub fn report<'a>(&'a self, run: &'a RunReader) -> Report<'a> {
        Report {
            comparison: self.comparison.as_ref(),
            verdict: Some(&self.verdict),
            missing: Some(&self.missing),
            errored: Some(&self.errored),
            ..Report::of_run(run.manifest(), &self.summary)
        }
    }
}

/// What a run's own rules say against it: "it fails 2 rules: …", "1 rule is inconclusive: …".
pub fn own_failures(alone: &Verdict) -> Vec<String> {
    let open = alone.rules.iter().filter(|rule| rule.outcome == Outcome::Inconclusive && rule.tier() != Tier::Advisory);
    let (failed, open): (Vec<String>, Vec<String>) =
        (failing(alone).map(told_rule).collect(), open.map(told_rule).collect());
    let count = |rules: &[String]| if rules.len() == 1 { "1 rule".into() } else { format!("{} rules", rules.len()) };
    let mut notes = Vec::new();
    if !failed.is_empty() {
        notes.push(format!("it fails {}: {}", count(&failed), failed.join("; ")));
    }
    if !open.is_empty() {
        let verb = if open.len() == 1 { "is" } else { "are" };
        notes.push(format!("{} {verb} inconclusive: {}", count(&open), open.join("; ")));
    }
    notes
}

/// A rule and why it went so.
pub fn told_rule(rule: &RuleResult) -> String {
    format!("{}: {}", rule.rule, rule.reason)
}

/// Critical and required rules that failed.
pub fn failing(verdict: &Verdict) -> impl Iterator<Item = &RuleResult> {
    verdict.rules.iter().filter(|rule| rule.outcome == Outcome::Failed && rule.tier() != Tier::Advisory)
}
