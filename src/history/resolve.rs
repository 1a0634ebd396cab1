//! From what a user calls a run to its folder.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::list::{Baseline, Current};
use super::project::{SUITE, project_of_folder, suites_below};
use super::{CURRENT, REPAIR, RunEntry, Store};
use crate::error::{Error, Result, nearest};
use crate::record::{MANIFEST, ORDER, RunReader, recorded_lines, recorded_order};

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
    /// The workspace of a folder, usually the current one, with the folders of runs and of baselines that are named instead of
    /// the projects' own. What is not named stays where it is.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn of_folder(folder: &Path, runs: Option<&Path>, baselines: Option<&Path>) -> Result<Self> {
        if let (Some(runs), Some(baselines)) = (runs, baselines) {
            return Ok(Store::with(runs.into(), baselines.into()).into());
        }
        let own = Store::new(&project_of_folder(folder)?);
        // A folder that is named says nothing about the project.
        let filled = |store: &Store| {
            (runs.is_none() && store.runs.is_dir()) || (baselines.is_none() && store.baselines.is_dir())
        };
        let mut stores = if filled(&own) { Vec::new() } else { suites_below(folder)? };
        stores.retain(filled);
        if stores.is_empty() {
            stores.push(own);
        }
        let named = |store: Store| {
            let or = |named: Option<&Path>, own: PathBuf| named.map_or(own, Path::to_owned);
            Store::with(or(runs, store.runs), or(baselines, store.baselines))
        };
        Ok(Self { stores: stores.into_iter().map(named).collect() })
    }

    /// The store that a run of a suite belongs to: of the one that it was found in and its folder's project, the first that holds
    /// baselines of the suite. Where neither does, and the folder above its runs is no project of a suite, that of this workspace
    /// which holds some; else of the run's own the first that has any baselines, else the one that it was found in.
    ///
    /// # Errors
    /// A current folder that is not there any more.
    pub fn home(&self, found: &Found, suite: &str) -> Result<Store> {
        let runs = found.store.runs.clone();
        let project = Store::with(runs, Store::new(&project_of_folder(&found.folder)?).baselines);
        let owner = Store::owner(&found.folder);
        let settled =
            owner.as_ref().is_some_and(|owner| owner.baselines.is_dir() || owner.runs.with_file_name(SUITE).is_file());
        let own: Vec<Store> = owner.into_iter().chain([found.store.clone(), project]).collect();
        let holding = |stores: &[Store]| stores.iter().find(|store| store.holds(suite)).cloned();
        if let Some(store) = holding(&own) {
            return Ok(store);
        }
        if !settled {
            // Runs in the current folder hide no suite below it that has baselines.
            let below = || Self::of_folder(Path::new(""), Some(&found.store.runs), None);
            let store = match holding(&self.stores) {
                Some(store) => Some(store),
                None => holding(&below()?.stores),
            };
            if let Some(store) = store {
                return Ok(store);
            }
        }
        Ok(own.iter().find(|store| store.baselines.is_dir()).unwrap_or(&found.store).clone())
    }

    /// The first store that holds baselines of a suite, else the first of all.
    pub fn holding(&self, suite: &str) -> &Store {
        self.stores.iter().find(|store| store.holds(suite)).unwrap_or_else(|| self.first())
    }

    /// Names of all suites that have runs or baselines here, sorted.
    pub fn suites(&self) -> Vec<String> {
        let runs = self.list_runs(None).unwrap_or_default().into_iter().map(|run| run.suite);
        let baselines = self.list_baselines(None).unwrap_or_default().into_iter().map(|baseline| baseline.suite);
        runs.chain(baselines).collect::<BTreeSet<String>>().into_iter().collect()
    }

    /// The stores, each folder of runs once.
    fn run_stores(&self) -> Vec<&Store> {
        let mut stores: Vec<&Store> = Vec::new();
        for store in &self.stores {
            if stores.iter().all(|other| other.runs != store.runs) {
                stores.push(store);
            }
        }
        stores
    }

    /// The stores, each folder of baselines once.
    fn baseline_stores(&self) -> Vec<&Store> {
        let mut stores: Vec<&Store> = Vec::new();
        for store in &self.stores {
            if stores.iter().all(|other| other.baselines != store.baselines) {
                stores.push(store);
            }
        }
        stores
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
        for store in self.run_stores() {
            found.extend(store.list_runs(suite)?);
        }
        Ok(found)
    }

    /// The folders that hold the runs of a suite, or of each suite.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn suite_folders(&self, suite: Option<&str>) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for store in self.run_stores() {
            found.extend(store.suite_folders(suite)?);
        }
        Ok(found)
    }

    /// Baselines of a suite, or of all suites, by suite and name.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn list_baselines(&self, suite: Option<&str>) -> Result<Vec<Baseline>> {
        let mut found = Vec::new();
        for store in self.baseline_stores() {
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
        for store in self.run_stores() {
            let suites: BTreeSet<String> = store.list_runs(suite)?.into_iter().map(|run| run.suite).collect();
            for name in suites {
                if let Some(run) = store.list_runs(Some(&name))?.pop() {
                    found.push((name, Found { folder: run.folder, store: store.clone() }));
                }
            }
        }
        let twice = found.iter().find(|(name, _)| found.iter().filter(|(other, _)| other == name).count() > 1);
        if let Some((name, _)) = twice {
            let same = found.iter().filter(|(other, _)| other == name);
            return Err(ambiguous(name, same.map(|(_, found)| found.store.runs.join(name))));
        }
        if found.len() > 1 {
            let named: Vec<String> = found.iter().map(|(suite, _)| format!("`{suite}/{LATEST}`")).collect();
            let message = format!("which suite's latest run is meant is not clear: {}", named.join(", "));
            return Err(Error::input(message).with_hint("name one of them, or run the command with --suite NAME"));
        }
        if let Some((_, last)) = found.pop() {
            return refuse_ambiguous(&last.folder).map(|()| last);
        }
        Err({
            let at = self.first().runs();
            match suite {
                None => Error::input("there is no run").at(at).with_hint("`karat run SUITE` makes one"),
                Some(name) => {
                    let known = self.list_runs(None).unwrap_or_default();
                    let known: BTreeSet<&str> = known.iter().map(|run| run.suite.as_str()).collect();
                    let hint =
                        if known.is_empty() { "`karat run SUITE` makes one".into() } else { nearest(name, known) };
                    Error::input(format!("there is no run of suite `{name}`")).at(at).with_hint(hint)
                }
            }
        })
    }

    fn as_baseline(&self, suite: Option<&str>, name: &str) -> Result<Option<Found>> {
        let mut named = Vec::new();
        for store in self.baseline_stores() {
            let baselines = store.list_baselines(suite)?.into_iter().filter(|baseline| baseline.name == name);
            named.extend(baselines.map(|baseline| (baseline, store)));
        }
        let same = |suite: &str| named.iter().filter(|(other, _)| other.suite == suite).count() > 1;
        if let Some((twice, _)) = named.iter().find(|(baseline, _)| same(&baseline.suite)) {
            let folders = named.iter().filter(|(other, _)| other.suite == twice.suite);
            return Err(ambiguous(&twice.suite, folders.map(|(_, store)| store.baselines.join(&twice.suite))));
        }
        if named.len() > 1 {
            let suites: Vec<_> = named.iter().map(|(baseline, _)| format!("`{}`", baseline.suite)).collect();
            let message =
                format!("which baseline `{name}` is meant is not clear: the suites {} have one", suites.join(", "));
            return Err(Error::input(message).with_hint("name its suite with --suite, or its folder"));
        }
        let Some((baseline, store)) = named.pop() else { return Ok(None) };
        match baseline.current {
            Current::Run(run) => Ok(Some(Found { folder: run.folder, store: store.clone() })),
            Current::None => Ok(None),
            Current::Broken(why) => {
                let message = format!("baseline `{name}` is broken: {why}");
                Err(Error::input(message).with_hint(REPAIR))
            }
        }
    }

    fn as_run_id(&self, suite: Option<&str>, id: &str) -> Result<Option<Found>> {
        let mut known = Vec::new();
        for store in self.run_stores() {
            // Runs first: a baseline entry of the same id is a copy.
            known.extend(store.list_runs(suite)?.into_iter().map(|run| (run, store)));
        }
        for store in self.baseline_stores() {
            let entries = store.list_baselines(suite)?.into_iter().flat_map(|baseline| baseline.entries);
            known.extend(entries.map(|run| (run, store)));
        }
        let found = |(run, store): &(RunEntry, &Store)| Found { folder: run.folder.clone(), store: (*store).clone() };
        if let Some(known) = known.iter().find(|(run, _)| run.run_id == id) {
            return Ok(Some(found(known)));
        }
        // A whole id is no beginning of another: of two runs in one second the second has `-2` behind it, up to `-999`.
        let nth = |rest: &str| {
            let number = rest.strip_prefix('-').unwrap_or_default();
            (1..=3).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
        };
        if let Some((run, _)) = known.iter().find(|(run, _)| run.run_id.strip_prefix(id).is_some_and(nth)) {
            let error = Error::input(format!("there is no run `{id}`, or it has no manifest"));
            return Err(error.at(run.folder.with_file_name(id)).with_hint("`karat runs` lists what is there"));
        }
        // Shorter beginnings are dates at best, and could just as well be a baseline's name.
        const SHORTEST: usize = 8;
        let begun: Vec<_> =
            known.iter().filter(|(run, _)| id.len() >= SHORTEST && run.run_id.starts_with(id)).collect();
        let ids: BTreeSet<&str> = begun.iter().map(|(run, _)| run.run_id.as_str()).collect();
        if ids.len() > 1 {
            let named: Vec<_> = ids.into_iter().take(5).map(|id| format!("`{id}`")).collect();
            return Err(Error::input(format!("which run `{id}` means is not clear: {}", named.join(", "))));
        }
        Ok(begun.first().map(|known| found(known)))
    }

    fn as_label(&self, suite: Option<&str>, label: &str) -> Result<Option<Found>> {
        let mut named = Vec::new();
        for store in self.run_stores() {
            let runs = store.list_runs(suite)?;
            let labelled = runs.into_iter().filter(|run| run.label().as_deref() == Some(label));
            named.extend(labelled.map(|run| (run.run_id, Found { folder: run.folder, store: store.clone() })));
        }
        if named.len() > 1 {
            let ids: Vec<String> = named.iter().rev().take(5).map(|(id, _)| format!("`{id}`")).collect();
            let message =
                format!("which run is meant is not clear: {} have the label `{label}`, the last first", ids.join(", "));
            return Err(Error::input(message).with_hint("name one by its id"));
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
        let hint = if known.is_empty() {
            "no run was accepted yet; `karat baseline accept` does it".to_owned()
        } else {
            let near = nearest(name, known.iter().map(String::as_str));
            let stop = if near.ends_with('?') { "" } else { ";" };
            let all = if what == "baseline" { "karat baseline list" } else { "karat runs" };
            format!("{near}{stop} `{all}` lists all")
        };
        Error::input(format!("there is no {what} `{name}`")).with_hint(hint)
    }
}

impl RunEntry {
    /// What whoever started the run calls it, where the run can be read.
    pub fn label(&self) -> Option<String> {
        RunReader::read_manifest(&self.folder).ok()?.label
    }
}

/// Two folders hold a suite of one name.
fn ambiguous(suite: &str, folders: impl Iterator<Item = PathBuf>) -> Error {
    let folders: Vec<String> = folders.map(|folder| format!("`{}`", folder.display())).collect();
    let message = format!("which suite `{suite}` is meant is not clear: there are {}", folders.join(" and "));
    Error::input(message).with_hint("name the suite's file or folder: --suite PATH")
}

/// Where the order of recording does not tell which run was recorded last, no run is the latest: that run is not there any more, a line
/// of the order was taken away or doubled, or a newer run was copied here.
fn refuse_ambiguous(latest: &Path) -> Result<()> {
    let (Some(folder), Some(id)) = (latest.parent(), latest.file_name().and_then(|name| name.to_str())) else {
        return Ok(());
    };
    let lines = recorded_lines(folder)?;
    let names: Vec<String> = std::fs::read_dir(folder)
        .map_err(|e| Error::io("read", folder, e))?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    let ambiguous = |why: String| {
        let error = Error::input(format!("which run is the latest is not clear: {why}"));
        Err(error.at(folder.join(ORDER)).with_hint("name a run; `karat runs` lists them"))
    };
    // One that did not come to its end never was there: its unfinished folder or its journal is. A crash may cut the line, too.
    let unfinished =
        |name: &&String| name.starts_with('.') && (name.ends_with(".partial") || name.ends_with(".journal"));
    let begun = |id: &str| names.iter().filter(unfinished).any(|name| name[1..].starts_with(id));
    let whole = |name: &str| folder.join(name).join(MANIFEST).is_file();
    let last = lines.iter().map(|(id, _)| id).rfind(|id| !id.is_empty() && !begun(id));
    if let Some(last) = last.filter(|last| !whole(last)) {
        return ambiguous(format!("the one recorded last, `{last}`, is not there any more"));
    }
    // A run that was killed before its folder stood was recorded again, with another manifest.
    let mut hashes = lines.iter().filter(|(recorded, _)| recorded == id).filter_map(|(_, sha256)| sha256.as_ref());
    let mut once = BTreeSet::new();
    if !hashes.all(|sha256| once.insert(sha256)) {
        return ambiguous(format!("`{id}` was recorded once and stands there twice"));
    }
    // A copy may have any name; the time stands in its run's id.
    let second = |id: &str| id.get(..SECOND).map(str::to_owned);
    let run_id =
        |name: &str| RunReader::read_manifest(&folder.join(name)).map_or(name.to_owned(), |it| it.run_id.to_string());
    let known = |name: &str| lines.is_empty() || lines.iter().any(|(recorded, _)| recorded == name);
    let own = second(&run_id(id));
    match names.iter().find(|name| !known(name) && whole(name) && second(&run_id(name)) > own) {
        Some(newer) => ambiguous(format!("`{newer}` is newer than `{id}`, the last of those that were recorded here")),
        None => Ok(()),
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
        return Err(Error::input(format!("the accepted run `{id}` is not there")).at(&current));
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
