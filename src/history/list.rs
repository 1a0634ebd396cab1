//! What there is: runs, baselines and their entries.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::resolve::in_order;
use super::{ACCEPTED, Acceptance, CURRENT, Store, log};
use crate::error::{Error, Result};
use crate::record::{MANIFEST, RunId, check_name};
use crate::stand_in::check_file;

/// A run by place; [`crate::record::RunReader`] opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEntry {
    /// Suite name.
    pub suite: String,
    /// Run id.
    pub run_id: String,
    /// The run folder.
    pub folder: PathBuf,
}

/// A baseline: one name of one suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// Suite name.
    pub suite: String,
    /// Baseline name.
    pub name: String,
    /// The accepted run.
    pub current: Current,
    /// All entries, oldest first.
    pub entries: Vec<RunEntry>,
    /// Who accepted what, oldest first.
    pub accepted: Vec<Acceptance>,
}

/// What to do about a broken baseline.
pub const REPAIR: &str = "restore it from version control, or accept a run anew";

/// The accepted run of a baseline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Current {
    /// Nothing was accepted yet.
    None,
    /// This run.
    Run(RunEntry),
    /// Something is there, and which run is accepted cannot be told: why. [`REPAIR`] says what to do about it.
    Broken(String),
}

impl Current {
    /// The run, where there is one.
    pub fn run(self) -> Option<RunEntry> {
        match self {
            Self::Run(run) => Some(run),
            Self::None | Self::Broken(_) => None,
        }
    }
}

impl Store {
    /// Runs of a suite, or of all suites, in order of recording within a suite. Unfinished runs are not among them.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn list_runs(&self, suite: Option<&str>) -> Result<Vec<RunEntry>> {
        let mut found = Vec::new();
        for suite in suites(&self.runs, suite)? {
            let folder = self.runs.join(&suite);
            found.extend(in_order(&folder, entries(&folder, &suite)?)?);
        }
        Ok(found)
    }

    /// The folders that hold the runs of a suite, or of each suite.
    pub(super) fn suite_folders(&self, suite: Option<&str>) -> Result<Vec<PathBuf>> {
        Ok(suites(&self.runs, suite)?.into_iter().map(|suite| self.runs.join(suite)).collect())
    }

    /// Baselines of a suite, or of all suites, by suite and name.
    pub fn list_baselines(&self, suite: Option<&str>) -> Result<Vec<Baseline>> {
        let mut found = Vec::new();
        for suite in suites(&self.baselines, suite)? {
            for name in folders(&self.baselines.join(&suite))? {
                let baseline = self.read_baseline(&suite, &name)?;
                if baseline.current != Current::None || !baseline.entries.is_empty() {
                    found.push(baseline);
                }
            }
        }
        Ok(found)
    }

    /// One baseline. An unknown name is an error with the nearest known one as hint.
    pub fn baseline(&self, suite: &str, name: &str) -> Result<Baseline> {
        check_name("suite name", suite)?;
        check_name("baseline name", name)?;
        let baseline = self.read_baseline(suite, name)?;
        if baseline.entries.is_empty() && baseline.current == Current::None {
            let known = self.list_baselines(Some(suite))?;
            let hint = if known.is_empty() {
                "no run was accepted yet; `karat baseline accept` does it".to_owned()
            } else {
                crate::error::nearest(name, known.iter().map(|baseline| baseline.name.as_str()))
            };
            return Err(Error::input(format!("suite `{suite}` has no baseline `{name}`")).with_hint(hint));
        }
        Ok(baseline)
    }

    /// The accepted run of a baseline.
    pub fn current(&self, suite: &str, name: &str) -> Result<Current> {
        check_name("suite name", suite)?;
        check_name("baseline name", name)?;
        Ok(self.state(suite, name)?.0)
    }

    /// What is accepted under a name, and all entries, oldest first.
    pub(super) fn state(&self, suite: &str, name: &str) -> Result<(Current, Vec<RunEntry>)> {
        let above = self.baselines.join(suite);
        let folder = above.join(name);
        for folder in [&self.baselines, &above, &folder] {
            match shape(folder)? {
                Shape::Folder => {}
                Shape::Nothing => return Ok((Current::None, Vec::new())),
                Shape::Other(why) => return Ok((Current::Broken(why), Vec::new())),
            }
        }
        let entries = entries(&folder, suite)?;
        Ok((current(&folder, &entries)?, entries))
    }

    /// Whether anything is there in the name of a suite's baselines, be it a link to nothing.
    pub fn holds(&self, suite: &str) -> bool {
        fs::symlink_metadata(self.baselines.join(suite)).is_ok()
    }

    /// What stands in a suite's folder of baselines, sorted: folders and links, also hidden and broken ones.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn baseline_names(&self, suite: &str) -> Result<Vec<String>> {
        check_name("suite name", suite)?;
        let folder = self.baselines.join(suite);
        let fail = |e| Error::io("read", &folder, e);
        let listing = match fs::read_dir(&folder) {
            Ok(listing) => listing,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(fail(e)),
        };
        let mut names = Vec::new();
        for entry in listing {
            let entry = entry.map_err(fail)?;
            if !entry.file_type().map_err(fail)?.is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Accepted runs of all suites.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn accepted_runs(&self) -> Result<Vec<RunEntry>> {
        if !matches!(shape(&self.baselines)?, Shape::Folder) {
            return Ok(Vec::new());
        }
        Ok(self.list_baselines(None)?.into_iter().filter_map(|baseline| baseline.current.run()).collect())
    }

    fn read_baseline(&self, suite: &str, name: &str) -> Result<Baseline> {
        let (current, entries) = self.state(suite, name)?;
        let accepted = match &current {
            Current::None => Vec::new(),
            _ => log::read(&self.baselines.join(suite).join(name))?,
        };
        Ok(Baseline { suite: suite.into(), name: name.into(), current, entries, accepted })
    }
}

/// What stands at a path where a folder should be.
enum Shape {
    Folder,
    Nothing,
    /// Something else: what.
    Other(String),
}

fn shape(path: &Path) -> Result<Shape> {
    let gone = |e: &std::io::Error| matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    match (fs::symlink_metadata(path), fs::metadata(path)) {
        (_, Ok(metadata)) if metadata.is_dir() => Ok(Shape::Folder),
        (_, Ok(_)) => Ok(Shape::Other(format!("`{}` is no folder", path.display()))),
        (Err(e), _) if gone(&e) => Ok(Shape::Nothing),
        (Ok(_), Err(_)) => Ok(Shape::Other(format!("`{}` is a link that leads nowhere", path.display()))),
        (Err(e), _) => Err(Error::io("read", path, e)),
    }
}

/// What the `current` of a baseline's folder names among its entries.
fn current(folder: &Path, entries: &[RunEntry]) -> Result<Current> {
    let path = folder.join(CURRENT);
    check_file(&path)?;
    let text = match fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let entries = match entries.len() {
                0 => "no entry is".into(),
                1 => "1 entry is".into(),
                n => format!("{n} entries are"),
            };
            let why = format!("`{}` is missing, and {entries} there", path.display());
            return Ok(Current::Broken(why));
        }
        Err(e) if e.kind() == ErrorKind::IsADirectory => {
            return Ok(Current::Broken(format!("`{}` is a folder", path.display())));
        }
        Err(e) => return Err(Error::io("read", &path, e)),
    };
    let Ok(id) = RunId::parse(text.trim()) else {
        return Ok(Current::Broken(format!("`{}` names no run", path.display())));
    };
    Ok(match entries.iter().find(|entry| entry.run_id == id.as_str()) {
        Some(_) if !log::knows(folder, id.as_str())? => {
            Current::Broken(format!("`{}` names run `{id}`, which `{ACCEPTED}` beside it does not", path.display()))
        }
        Some(entry) => Current::Run(entry.clone()),
        None => Current::Broken(format!("`{}` names run `{id}`, which is not there", path.display())),
    })
}

/// The wanted suite, or all that have a folder.
fn suites(folder: &Path, wanted: Option<&str>) -> Result<Vec<String>> {
    match wanted {
        Some(suite) => check_name("suite name", suite).map(|()| vec![suite.to_owned()]),
        None => folders(folder),
    }
}

/// Finished runs in a folder, oldest first.
fn entries(folder: &Path, suite: &str) -> Result<Vec<RunEntry>> {
    let names = folders(folder)?.into_iter().map(|run_id| {
        let folder = folder.join(&run_id);
        RunEntry { suite: suite.into(), run_id, folder }
    });
    Ok(names.filter(|entry| entry.folder.join(MANIFEST).is_file()).collect())
}

/// Names of the folders in a folder, sorted; hidden ones are unfinished work. A folder that does not exist is empty.
fn folders(folder: &Path) -> Result<Vec<String>> {
    let fail = |e| Error::io("read", folder, e);
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        // Whatever the system calls it: a file is in the way, as for who writes there.
        Err(e) if e.kind() == ErrorKind::NotADirectory => {
            let error = Error::environment(format!("failed to read `{}`", folder.display())).caused_by(e);
            return Err(error.with_hint("name a folder: --runs-dir FOLDER, --baselines-dir FOLDER"));
        }
        Err(e) => return Err(fail(e)),
    };
    let mut names = Vec::new();
    for entry in listing {
        let entry = entry.map_err(fail)?;
        if let Ok(name) = entry.file_name().into_string()
            && check_name("folder", &name).is_ok()
            && entry.path().is_dir()
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}
