//! From what a user calls a run to its folder.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::{CURRENT, RunEntry, Store};
use crate::error::{Error, Result, nearest};
use crate::record::{MANIFEST, RunReader};

/// Length of the time in a run id; what follows tells plans apart and says nothing about order.
const SECOND: usize = "20261120T110455Z".len();

/// The run that was started last. Ids name the second; among those of one second their manifests decide.
fn newest(runs: Vec<RunEntry>) -> Result<Option<RunEntry>> {
    let second = |run: &RunEntry| run.run_id.get(..SECOND).unwrap_or(&run.run_id).to_owned();
    let Some(last) = runs.iter().map(second).max() else { return Ok(None) };
    let mut candidates: Vec<RunEntry> = runs.into_iter().filter(|run| second(run) == last).collect();
    if candidates.len() < 2 {
        return Ok(candidates.pop());
    }
    let started =
        |run: RunEntry| Ok((RunReader::read_manifest(&run.folder)?.created_at.parse::<Timestamp>().ok(), run));
    let started = candidates.into_iter().map(started).collect::<Result<Vec<_>>>()?;
    Ok(started.into_iter().max_by(|a, b| (a.0, &a.1.run_id).cmp(&(b.0, &b.1.run_id))).map(|(_, run)| run))
}

impl Store {
    /// The run folder that `reference` means, within a suite or among all:
    ///
    /// 1. a path: a run folder, or a baseline's folder (its accepted run)
    /// 2. `latest`: the newest finished run
    /// 3. `baseline:NAME`: the accepted run of that baseline
    /// 4. a run id, or its unambiguous beginning
    /// 5. a plain baseline name
    ///
    /// Runs of both `runs/` and `baselines/` are found by id. Nothing found is an error with the nearest names as hint.
    pub fn resolve(&self, suite: Option<&str>, reference: &str) -> Result<PathBuf> {
        if let Some(folder) = self.as_path(Path::new(reference))? {
            return Ok(folder);
        }
        if reference == "latest" {
            let hint = "`karat run` makes one";
            return match newest(self.list_runs(suite)?)? {
                Some(run) => Ok(run.folder),
                None => Err(Error::input("find a run").at(&self.runs).with_hint(hint)),
            };
        }
        if let Some(name) = reference.strip_prefix("baseline:") {
            return match self.as_baseline(suite, name)? {
                Some(folder) => Ok(folder),
                None => Err(self.unknown(suite, "baseline", name)),
            };
        }
        if let Some(folder) = self.as_run_id(suite, reference)? {
            return Ok(folder);
        }
        match self.as_baseline(suite, reference)? {
            Some(folder) => Ok(folder),
            None => Err(self.unknown(suite, "run or baseline", reference)),
        }
    }

    fn as_path(&self, path: &Path) -> Result<Option<PathBuf>> {
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

    fn as_baseline(&self, suite: Option<&str>, name: &str) -> Result<Option<PathBuf>> {
        let baselines = self.list_baselines(suite)?;
        let named: Vec<_> = baselines.into_iter().filter(|baseline| baseline.name == name).collect();
        if named.len() > 1 {
            let suites: Vec<_> = named.iter().map(|baseline| format!("`{}`", baseline.suite)).collect();
            let fragment = format!("tell which baseline `{name}` is meant: the suites {} have one", suites.join(", "));
            return Err(Error::input(fragment).with_hint("name its folder"));
        }
        Ok(named.into_iter().find_map(|baseline| baseline.current).map(|entry| entry.folder))
    }

    fn as_run_id(&self, suite: Option<&str>, id: &str) -> Result<Option<PathBuf>> {
        // Runs first: a baseline entry of the same id is a copy.
        let mut known = self.list_runs(suite)?;
        known.extend(self.list_baselines(suite)?.into_iter().flat_map(|baseline| baseline.entries));
        if let Some(run) = known.iter().find(|run| run.run_id == id) {
            return Ok(Some(run.folder.clone()));
        }
        // Shorter beginnings are dates at best, and could just as well be a baseline's name.
        const SHORTEST: usize = 8;
        let mut begun: Vec<_> = known.iter().filter(|run| id.len() >= SHORTEST && run.run_id.starts_with(id)).collect();
        begun.dedup_by(|b, a| a.run_id == b.run_id);
        let ids: std::collections::BTreeSet<&str> = begun.iter().map(|run| run.run_id.as_str()).collect();
        if ids.len() > 1 {
            let named: Vec<_> = ids.into_iter().take(5).map(|id| format!("`{id}`")).collect();
            return Err(Error::input(format!("tell which run `{id}` is meant: {}", named.join(", "))));
        }
        Ok(begun.first().map(|run| run.folder.clone()))
    }

    fn unknown(&self, suite: Option<&str>, what: &str, name: &str) -> Error {
        let mut known: Vec<String> =
            self.list_baselines(suite).unwrap_or_default().into_iter().map(|b| b.name).collect();
        if what != "baseline" {
            let runs = self.list_runs(suite).unwrap_or_default();
            // The newest are the likeliest to be meant.
            known.extend(runs.into_iter().rev().take(20).map(|run| run.run_id));
            known.push("latest".into());
        }
        let hint = match known.is_empty() {
            true => "no run was accepted yet; `karat baseline accept` does it".to_owned(),
            false => nearest(name, known.iter().map(String::as_str)),
        };
        Error::input(format!("find the {what} `{name}`")).with_hint(hint)
    }
}
