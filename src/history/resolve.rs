//! From what a user calls a run to its folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::list::{Baseline, Current};
use super::project::{project_of_folder, suites_below};
use super::{CURRENT, RunEntry, Store};
use crate::error::{Error, Result, nearest};
use crate::record::{MANIFEST, RunReader, recorded_order};

/// Length of the time in a run id; what follows tells plans apart and says nothing about order.
const SECOND: usize = "20261120T110455Z".len();
/// The run that was recorded last.
const LATEST: &str = "latest";

/// The stores that names are looked up in: the one of the current folder's project, or those of the suites directly below the
/// current folder where that has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// At least one.
    stores: Vec<Store>,
}

/// A run and the store it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The run folder.
    pub folder: PathBuf,
    /// Where its suite's runs and baselines live.
    pub store: Store,
}

impl From<Store> for Workspace {
    fn from(store: Store) -> Self {
        Self { stores: vec![store] }
    }
}

impl Workspace {
    /// The workspace of a folder, usually the current one.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn of_folder(folder: &Path) -> Result<Self> {
        let own = Store::new(&project_of_folder(folder)?);
        let below = if own.is_empty() { suites_below(folder)? } else { Vec::new() };
        let filled: Vec<Store> = below.into_iter().filter(|store| !store.is_empty()).collect();
        Ok(if filled.is_empty() { own.into() } else { Self { stores: filled } })
    }

    /// The first store: the only one but where several suites lie below the current folder.
    pub fn first(&self) -> &Store {
        &self.stores[0]
    }

    /// Runs of a suite, or of all suites, in order of recording within a suite. Unfinished runs are not among them.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn list_runs(&self, suite: Option<&str>) -> Result<Vec<RunEntry>> {
        let mut found = Vec::new();
        for store in &self.stores {
            found.extend(store.list_runs(suite)?);
        }
        Ok(found)
    }

    /// Baselines of a suite, or of all suites, by suite and name.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn list_baselines(&self, suite: Option<&str>) -> Result<Vec<Baseline>> {
        let mut found = Vec::new();
        for store in &self.stores {
            found.extend(store.list_baselines(suite)?);
        }
        Ok(found)
    }

    /// The run that `reference` means, within a suite or among all:
    ///
    /// 1. a path: a run folder, or a baseline's folder (its accepted run)
    /// 2. `latest`: the run that was recorded last, of the only suite that has runs; `SUITE/latest` names the suite
    /// 3. `baseline:NAME`: the accepted run of that baseline
    /// 4. a run id, or its unambiguous beginning
    /// 5. a plain baseline name
    /// 6. a label that one run has
    ///
    /// Runs of both `runs/` and `baselines/` are found by id.
    ///
    /// # Errors
    /// Nothing found, with the nearest names as hint; several, with their names.
    pub fn resolve(&self, suite: Option<&str>, reference: &str) -> Result<Found> {
        if let Some(folder) = as_path(Path::new(reference))? {
            let store = Store::owner(&folder).unwrap_or_else(|| self.first().clone());
            return Ok(Found { folder, store });
        }
        if reference == LATEST {
            return self.latest(suite);
        }
        if let Some(named) = reference.strip_suffix("/latest") {
            return self.latest(Some(named));
        }
        if let Some(name) = reference.strip_prefix("baseline:") {
            return match self.as_baseline(suite, name)? {
                Some(found) => Ok(found),
                None => Err(self.unknown(suite, "baseline", name)),
            };
        }
        if let Some(found) = self.as_run_id(suite, reference)? {
            return Ok(found);
        }
        if let Some(found) = self.as_baseline(suite, reference)? {
            return Ok(found);
        }
        match self.as_label(suite, reference)? {
            Some(found) => Ok(found),
            None => Err(self.unknown(suite, "run or baseline", reference)),
        }
    }

    fn latest(&self, suite: Option<&str>) -> Result<Found> {
        let mut found: Vec<(String, Found)> = Vec::new();
        for store in &self.stores {
            let suites: BTreeSet<String> = store.list_runs(suite)?.into_iter().map(|run| run.suite).collect();
            for name in suites {
                if let Some(run) = store.list_runs(Some(&name))?.pop() {
                    found.push((name, Found { folder: run.folder, store: store.clone() }));
                }
            }
        }
        if found.len() > 1 {
            let named: Vec<String> = found.iter().map(|(suite, _)| format!("`{suite}/{LATEST}`")).collect();
            let fragment = format!("tell which suite's latest run is meant: {}", named.join(", "));
            return Err(Error::input(fragment).with_hint("name one of them, or run the command with --suite NAME"));
        }
        found.pop().map(|(_, found)| found).ok_or_else(|| {
            let at = self.first().runs();
            match suite {
                None => Error::input("find a run").at(at).with_hint("`karat run SUITE` makes one"),
                Some(name) => {
                    let known = self.list_runs(None).unwrap_or_default();
                    let known: BTreeSet<&str> = known.iter().map(|run| run.suite.as_str()).collect();
                    let hint =
                        if known.is_empty() { "`karat run SUITE` makes one".into() } else { nearest(name, known) };
                    Error::input(format!("find a run of suite `{name}`")).at(at).with_hint(hint)
                }
            }
        })
    }

    fn as_baseline(&self, suite: Option<&str>, name: &str) -> Result<Option<Found>> {
        let mut named = Vec::new();
        for store in &self.stores {
            let baselines = store.list_baselines(suite)?.into_iter().filter(|baseline| baseline.name == name);
            named.extend(baselines.map(|baseline| (baseline, store)));
        }
        if named.len() > 1 {
            let suites: Vec<_> = named.iter().map(|(baseline, _)| format!("`{}`", baseline.suite)).collect();
            let fragment = format!("tell which baseline `{name}` is meant: the suites {} have one", suites.join(", "));
            return Err(Error::input(fragment).with_hint("name its suite with --suite, or its folder"));
        }
        let Some((baseline, store)) = named.pop() else { return Ok(None) };
        match baseline.current {
            Current::Run(run) => Ok(Some(Found { folder: run.folder, store: store.clone() })),
            Current::None => Ok(None),
            Current::Broken(why) => {
                let fragment = format!("find the accepted run of baseline `{name}`: {why}");
                Err(Error::input(fragment).with_hint("restore the file, or accept a run anew"))
            }
        }
    }

    fn as_run_id(&self, suite: Option<&str>, id: &str) -> Result<Option<Found>> {
        let mut known = Vec::new();
        for store in &self.stores {
            // Runs first: a baseline entry of the same id is a copy.
            known.extend(store.list_runs(suite)?.into_iter().map(|run| (run, store)));
        }
        for store in &self.stores {
            let entries = store.list_baselines(suite)?.into_iter().flat_map(|baseline| baseline.entries);
            known.extend(entries.map(|run| (run, store)));
        }
        let found = |(run, store): &(RunEntry, &Store)| Found { folder: run.folder.clone(), store: (*store).clone() };
        if let Some(known) = known.iter().find(|(run, _)| run.run_id == id) {
            return Ok(Some(found(known)));
        }
        // Shorter beginnings are dates at best, and could just as well be a baseline's name.
        const SHORTEST: usize = 8;
        let begun: Vec<_> =
            known.iter().filter(|(run, _)| id.len() >= SHORTEST && run.run_id.starts_with(id)).collect();
        let ids: BTreeSet<&str> = begun.iter().map(|(run, _)| run.run_id.as_str()).collect();
        if ids.len() > 1 {
            let named: Vec<_> = ids.into_iter().take(5).map(|id| format!("`{id}`")).collect();
            return Err(Error::input(format!("tell which run `{id}` is meant: {}", named.join(", "))));
        }
        Ok(begun.first().map(|known| found(known)))
    }

    fn as_label(&self, suite: Option<&str>, label: &str) -> Result<Option<Found>> {
        let mut named = Vec::new();
        for store in &self.stores {
            let runs = store.list_runs(suite)?;
            let labelled = runs.into_iter().filter(|run| run.label().as_deref() == Some(label));
            named.extend(labelled.map(|run| (run.run_id, Found { folder: run.folder, store: store.clone() })));
        }
        if named.len() > 1 {
            let ids: Vec<String> = named.iter().rev().take(5).map(|(id, _)| format!("`{id}`")).collect();
            let fragment =
                format!("tell which run is meant: {} have the label `{label}`, the last first", ids.join(", "));
            return Err(Error::input(fragment).with_hint("name one by its id"));
        }
        Ok(named.pop().map(|(_, found)| found))
    }

    fn unknown(&self, suite: Option<&str>, what: &str, name: &str) -> Error {
        let mut known: Vec<String> =
            self.list_baselines(suite).unwrap_or_default().into_iter().map(|b| b.name).collect();
        if what != "baseline" {
            let runs = self.list_runs(suite).unwrap_or_default();
            // The newest are the likeliest to be meant.
            let newest: Vec<RunEntry> = runs.into_iter().rev().take(20).collect();
            known.extend(newest.iter().filter_map(RunEntry::label));
            known.extend(newest.into_iter().map(|run| run.run_id));
            known.push(LATEST.into());
        }
        let hint = match known.is_empty() {
            true => "no run was accepted yet; `karat baseline accept` does it".to_owned(),
            false => format!("{}; `karat runs` lists all", nearest(name, known.iter().map(String::as_str))),
        };
        Error::input(format!("find the {what} `{name}`")).with_hint(hint)
    }
}

impl RunEntry {
    /// What whoever started the run calls it, where the run can be read.
    pub fn label(&self) -> Option<String> {
        RunReader::read_manifest(&self.folder).ok()?.label
    }
}

fn as_path(path: &Path) -> Result<Option<PathBuf>> {
    if path.join(MANIFEST).is_file() {
        return Ok(Some(path.into()));
    }
    let current = path.join(CURRENT);
    if current.is_file() {
        let id = std::fs::read_to_string(&current).map_err(|e| Error::io("read", &current, e))?;
        let id = crate::record::RunId::parse(id.trim()).map_err(|e| e.at(&current))?;
        let folder = path.join(id.as_str());
        if folder.join(MANIFEST).is_file() {
            return Ok(Some(folder));
        }
        return Err(Error::input(format!("find run `{id}`, the accepted one")).at(&current));
    }
    Ok(None)
}

/// Runs of one suite in order of recording. Those that older versions recorded, or that were copied here, stand before all
/// others, by the time that their ids and manifests name.
pub(super) fn in_order(folder: &Path, runs: Vec<RunEntry>) -> Result<Vec<RunEntry>> {
    let order = recorded_order(folder)?;
    let place = |run: &RunEntry| order.iter().rposition(|id| *id == run.run_id);
    let second = |run: &RunEntry| run.run_id.get(..SECOND).unwrap_or(&run.run_id).to_owned();
    // Ids name the second; among those of one second their manifests decide.
    let started = |run: &RunEntry| {
        RunReader::read_manifest(&run.folder).ok().and_then(|manifest| manifest.created_at.parse::<Timestamp>().ok())
    };
    let mut keyed: Vec<_> = runs
        .into_iter()
        .map(|run| match place(&run) {
            Some(place) => ((Some(place), String::new(), None, String::new()), run),
            None => ((None, second(&run), started(&run), run.run_id.clone()), run),
        })
        .collect();
    keyed.sort_by(|(one, _), (two, _)| one.cmp(two));
    Ok(keyed.into_iter().map(|(_, run)| run).collect())
}
