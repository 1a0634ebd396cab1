//! `--resume`: which unfinished run a call goes on with, and what there is to say of the others.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::conclude::{exit, judged};
use super::store_args::Chosen;
use super::{Exit, terminal};
use crate::compare::Without;
use crate::engine::device::fingerprint;
use crate::engine::options::{BackendChoice, EngineOptions};
use crate::error::{Error, Kind, Result};
use crate::history::{Store, open_verified};
use crate::record::{About, Journal, Manifest, RunId, RunReader, Unfinished, refused, unfinished};
use crate::report::markdown;
use crate::run::ModelFolders;

/// What stands for the only unfinished run; no run has this name.
const ONE: &str = "-";

/// The flag.
#[derive(clap::Args, Clone, Default)]
#[command(next_help_heading = "Long runs")]
pub struct ResumeArgs {
    /// Go on with the unfinished run of this very plan, under its id; where there are several, with the one that is named
    /// (--resume=RUN). Starts nothing where there is none.
    #[arg(long, value_name = "RUN", num_args = 0..=1, require_equals = true, default_missing_value = ONE)]
    resume: Option<String>,
}

/// What a call does.
pub enum Start {
    /// It begins a run.
    Anew,
    /// It goes on with one.
    On(Box<Journal>),
    /// Nothing: there is nothing to resume. How the call ends, and the folder of the finished run, where there is one.
    Not(Exit, Option<PathBuf>),
}

/// What a call would run.
pub struct Wanted<'a> {
    /// Plan, data, prompts.
    pub about: &'a About,
    /// The models.
    pub models: &'a ModelFolders,
    /// Whether it keeps a journal.
    pub keeps_journal: bool,
    /// Where runs are.
    pub store: &'a Store,
    /// What a finished run is held against, where it was not judged yet.
    pub baseline: &'a Chosen,
    /// How it computes.
    pub engine: &'a EngineOptions,
    /// Whether notes are left out.
    pub quiet: bool,
}

impl ResumeArgs {
    /// What the call does. Without `--resume`, unfinished runs of the suite are named and one begins.
    ///
    /// # Errors
    /// Plan, data or models are not those of the unfinished run; there are several; another process is at it.
    pub fn start(&self, wanted: &Wanted<'_>) -> Result<Start> {
        let Wanted { about, keeps_journal, store, .. } = wanted;
        let suite = &about.manifest.suite;
        let folder = store.runs().join(suite);
        let found = if *keeps_journal { unfinished(&folder)? } else { Vec::new() };
        let (running, left): (Vec<Unfinished>, Vec<Unfinished>) = found.into_iter().partition(|run| run.running);
        let changed = |run: &Unfinished| match &run.about {
            Ok(then) => then.changed(about),
            Err(error) => Some(error.chain()),
        };
        let Some(named) = &self.resume else {
            for run in left.iter().filter(|_| !wanted.quiet) {
                let what = match changed(run) {
                    None => "--resume goes on with it",
                    Some(_) => "it is another plan's; `karat runs prune` removes it",
                };
                say!("note: {}; {what}", told(run));
            }
            return Ok(Start::Anew);
        };
        let running: Vec<Unfinished> = running.into_iter().filter(|run| changed(run).is_none()).collect();
        let mut same: Vec<&Unfinished> = left.iter().filter(|run| changed(run).is_none()).collect();
        if named != ONE {
            let one = left.iter().find(|run| run.run_id.as_str() == named);
            let at_it = running.iter().any(|run| run.run_id.as_str() == named);
            let Some(one) = one else { return Err(unknown(named, at_it, &left)) };
            if let Some(what) = changed(one) {
                return Err(refused(&one.run_id, &what));
            }
            same = vec![one];
        }
        match same[..] {
            [one] => open(one, wanted.quiet).map(|journal| Start::On(Box::new(journal))),
            [] => {
                // What is damaged is no plan's.
                let readable = |run: &&Unfinished| run.about.as_ref().err().is_none_or(|e| e.kind() != Kind::Input);
                let other = left.iter().rev().find(readable);
                self.nothing(wanted, &running, other.map(|run| (run, changed(run))))
            }
            _ => {
                same.iter().for_each(|run| say!("{}", told(run)));
                let message =
                    format!("{} runs of this plan are unfinished: which one to resume is not clear", same.len());
                let last = same.last().map_or("RUN", |run| run.run_id.as_str());
                Err(Error::input(message).with_hint(format!("name one, as in --resume={last}")))
            }
        }
    }

    /// No unfinished run is of this plan: the finished one says how the call ends.
    fn nothing(
        &self,
        wanted: &Wanted<'_>,
        running: &[Unfinished],
        other: Option<(&Unfinished, Option<String>)>,
    ) -> Result<Start> {
        if let Some(run) = running.last() {
            return Err(busy(run.run_id.as_str()));
        }
        if let Some(finished) = finished(wanted)? {
            let exit = verdict_of(&finished, wanted.baseline)?;
            say!("nothing to resume: run {} is finished", terminal::argument(finished.folder()));
            return Ok(Start::Not(exit, Some(finished.folder().to_owned())));
        }
        if let Some((run, Some(what))) = other {
            return Err(refused(&run.run_id, &what));
        }
        say!("nothing to resume: no run of this plan was begun; without --resume it is");
        Ok(Start::Not(Exit::Nothing, None))
    }
}

/// Whether the models of a record were computed by the backend of these options: only one that is not the default is named.
fn same_backend(manifest: &Manifest, engine: &EngineOptions) -> bool {
    let named = manifest.fingerprint.keys().any(|part| part.ends_with(".backend"));
    manifest.fingerprint.is_empty() || named == (engine.backend == BackendChoice::Reference)
}

/// The run that was recorded last of this plan, these data and these models.
fn finished(wanted: &Wanted<'_>) -> Result<Option<RunReader>> {
    let Wanted { about, models, store, engine, .. } = wanted;
    let mut now = Manifest::new("", RunId::parse("now")?, jiff::Timestamp::UNIX_EPOCH, serde_json::Value::Null);
    if let Some(generator) = &models.generator {
        now.add_fingerprint("generator", &fingerprint(generator, engine)?)?;
    }
    let mut known = None;
    for entry in store.list_runs(Some(&about.manifest.suite))?.into_iter().rev() {
        // What cannot be read is no run of this plan.
        let Ok(run) = RunReader::unverified(&entry.folder) else { continue };
        let kept = run.performance().map(|performance| performance.settings.get("keep_outputs") != Some(&false.into()));
        let (Ok(kept), manifest) = (kept, run.manifest().clone()) else { continue };
        if About::new(manifest.clone(), kept).changed(about).is_some() {
            continue;
        }
        let numerics = now.fingerprint.iter().all(|(part, value)| manifest.fingerprint.get(part) == Some(value))
            && same_backend(&manifest, engine);
        let hashes = match known.take() {
            Some(hashes) => hashes,
            None => models.hashes()?,
        };
        if numerics && *known.insert(hashes) == manifest.hashes.models {
            return open_verified(&entry.folder).map(Some);
        }
    }
    Ok(None)
}

/// How a finished run ended. One that was not judged, because something failed then, is judged now.
fn verdict_of(run: &RunReader, baseline: &Chosen) -> Result<Exit> {
    let stored = run.verdict()?;
    // One that was judged as a first run is none for a call that requires a baseline.
    let required = matches!(baseline.without, Without::Missing(_)) && baseline.run.is_none();
    if let Some(verdict) = stored.as_ref().filter(|verdict| verdict.baseline.is_some() || !required) {
        return Ok(exit(verdict));
    }
    let judged = judged(baseline.run.as_ref(), &baseline.without, run)?;
    // As `karat gate` would: only what the run itself would have said is kept with it.
    if stored.is_none() && run.manifest().baseline == baseline.run_id() {
        run.keep(judged.verdict.clone(), &markdown::render(&judged.report(run)))?;
    }
    Ok(judged.exit)
}

fn open(run: &Unfinished, quiet: bool) -> Result<Journal> {
    let Some(journal) = Journal::<About>::resume(&run.path)? else { return Err(busy(run.run_id.as_str())) };
    if journal.cut() > 0 {
        say!("note: the last {} bytes of the journal are damaged; their work is done again", journal.cut());
    }
    if !quiet {
        say!("resume: {}", told(run));
    }
    Ok(journal)
}

fn busy(run_id: &str) -> Error {
    let error =
        Error::new(Kind::Incomplete, format!("cannot resume run `{run_id}`: another karat process is at work on it"));
    error.with_hint("wait until it ends")
}

fn unknown(named: &str, running: bool, left: &[Unfinished]) -> Error {
    if running {
        return busy(named);
    }
    let ids: Vec<String> = left.iter().map(|run| format!("`{}`", run.run_id)).collect();
    let hint = if ids.is_empty() {
        "no run of this suite is unfinished".to_owned()
    } else {
        format!("unfinished are {}", ids.join(", "))
    };
    Error::input(format!("there is no unfinished run `{named}`")).with_hint(hint)
}

/// "run 2026… of `desk` is unfinished: 206 of 3000 cases, last written 2026-11-30 02:10".
pub fn told(run: &Unfinished) -> String {
    let (suite, cases) = match &run.about {
        Ok(about) => {
            let cases: u64 = about.manifest.selected.values().map(|selected| selected.cases).sum();
            let done = match (run.finished, run.computed) {
                (0, 1..) => format!("{} texts encoded for {cases} cases", run.computed),
                (finished, _) => format!("{finished} of {cases} cases"),
            };
            (format!(" of `{}`", about.manifest.suite), done)
        }
        Err(error) => (String::new(), format!("{} cases; {}", run.finished, error.chain())),
    };
    let time = jiff::Timestamp::try_from(run.modified).map_or_else(|_| "?".into(), |time| format!("{time:.0}"));
    let state = if run.running { "is running" } else { "is unfinished" };
    format!("run {}{suite} {state}: {cases}, last written {time}", run.run_id)
}

/// This call, to go on with what it has finished; of several unfinished runs with this one.
pub fn call_again(run_id: Option<&str>) -> String {
    let mut args: Vec<OsString> = std::env::args_os().skip(1).collect();
    args.retain(|arg| !arg.to_string_lossy().starts_with("--resume"));
    args.push(run_id.map_or_else(|| "--resume".into(), |id| format!("--resume={id}").into()));
    let shown = args.iter().map(|arg| terminal::argument(Path::new(arg)));
    std::iter::once("karat".to_owned()).chain(shown).collect::<Vec<_>>().join(" ")
}
