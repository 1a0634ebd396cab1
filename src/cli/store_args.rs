//! Where runs and baselines live, and which baseline a run is held against.

use std::path::{Path, PathBuf};

use super::suite_args::suite_path;
use crate::compare::Without;
use crate::error::{Error, Kind, Result, nearest};
use crate::history::{Checkout, Current, Store, Workspace, project_of_folder, project_of_suite};
use crate::record::RunReader;
use crate::rule::{BaselineNames, DeviceClass};

/// The two folders.
#[derive(clap::Args)]
pub struct StoreArgs {
    /// Folder of runs (default: runs/ of the suite's project: the nearest folder above the suite with baselines/, else with .git,
    /// else the suite's own).
    #[arg(long, env = "KARAT_RUNS_DIR", value_name = "FOLDER")]
    runs_dir: Option<PathBuf>,
    /// Folder of baselines (default: baselines/ of the suite's project).
    #[arg(long, env = "KARAT_BASELINES_DIR", value_name = "FOLDER")]
    baselines_dir: Option<PathBuf>,
}

impl StoreArgs {
    /// Runs and baselines of a suite, by its file.
    ///
    /// # Errors
    /// A current folder that is not there.
    pub fn of_suite(&self, file: &Path) -> Result<Store> {
        Ok(self.over(&Store::new(&project_of_suite(file)?)))
    }

    /// Where names are looked up by commands that name no suite.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn workspace(&self) -> Result<Workspace> {
        match (&self.runs_dir, &self.baselines_dir) {
            (None, None) => Workspace::of_folder(Path::new("")),
            _ => Ok(self.over(&Store::new(&project_of_folder(Path::new(""))?)).into()),
        }
    }

    /// The store that a run belongs to, with what the call says instead.
    pub fn over(&self, store: &Store) -> Store {
        let or = |named: &Option<PathBuf>, own: &Path| named.clone().unwrap_or_else(|| own.to_owned());
        Store::with(or(&self.runs_dir, store.runs()), or(&self.baselines_dir, store.baselines()))
    }
}

/// A run that was named, opened and verified, and where its suite's runs and baselines live.
pub struct Opened {
    /// The run.
    pub run: RunReader,
    /// Where it belongs.
    pub store: Store,
}

/// The run that a reference means: what [`Workspace::resolve`] knows, or `git:REF:PATH`.
///
/// # Errors
/// Nothing is found, or its files are not what its manifest says.
pub fn open_run(workspace: &Workspace, suite: Option<&str>, reference: &str) -> Result<Opened> {
    if let Some(checkout) = Checkout::of(reference, Path::new("."))? {
        let run = RunReader::open(checkout.folder())?.keeping(checkout);
        return Ok(Opened { run, store: workspace.first().clone() });
    }
    let found = workspace.resolve(suite, reference)?;
    Ok(Opened { run: RunReader::open(&found.folder)?, store: found.store })
}

/// Which baseline to compare with.
#[derive(clap::Args)]
pub struct BaselineArgs {
    /// Compare with this baseline, or with this run, or git:REF:PATH (default: the suite's baseline, if one was accepted).
    #[arg(long, value_name = "NAME")]
    baseline: Option<String>,
    /// Compare with nothing: absolute rules judge alone.
    #[arg(long, conflicts_with = "baseline")]
    no_baseline: bool,
    /// Without an accepted baseline the run is inconclusive (exit code 3), not a first run; for CI.
    #[arg(long, env = "KARAT_REQUIRE_BASELINE", conflicts_with = "no_baseline", value_parser = clap::builder::FalseyValueParser::new(), num_args = 0)]
    require_baseline: bool,
}

/// What a suite says about its baseline.
pub struct Wanted<'a> {
    /// Name of the suite.
    pub suite: &'a str,
    /// Names of its baselines.
    pub names: &'a BaselineNames,
    /// The device that computes, or computed.
    pub class: DeviceClass,
    /// The name comes from the call (`--set baseline=…`): it must exist.
    pub by_call: bool,
}

/// The baseline to compare with, or why there is none.
pub struct Chosen {
    /// The accepted run.
    pub run: Option<RunReader>,
    /// Why there is none.
    pub without: Without,
    /// The name under which one was looked for, where there is one.
    pub name: Option<String>,
}

impl Chosen {
    fn without(without: Without, name: Option<&str>) -> Self {
        Self { run: None, without, name: name.map(str::to_owned) }
    }
}

impl BaselineArgs {
    /// The run to compare with, opened and verified. One that the call names must exist. One that the suite names may not have
    /// been accepted yet: a first run. Where entries are there and cannot be used, or stand under another name, evidence is
    /// missing.
    ///
    /// # Errors
    /// A name of the call that does not exist; a record of a newer version; a folder that cannot be read.
    pub fn open(&self, store: &Store, wanted: &Wanted<'_>) -> Result<Chosen> {
        if self.no_baseline {
            return Ok(Chosen::without(Without::NotAsked, None));
        }
        if let Some(name) = &self.baseline {
            return self.named(store, wanted.suite, name);
        }
        let Some(name) = wanted.names.of(wanted.class) else {
            let why = format!("the suite names no baseline for {}", wanted.class.word());
            return Ok(self.first(why, None));
        };
        match store.current(wanted.suite, name)? {
            Current::Run(run) => verified(&run.folder, name),
            Current::Broken(why) => Ok(Chosen::without(Without::Missing(unusable(name, &why)), Some(name))),
            Current::None => self.absent(store, wanted, name),
        }
    }

    /// A baseline of this name, or else any run that the words mean.
    fn named(&self, store: &Store, suite: &str, name: &str) -> Result<Chosen> {
        // Words that cannot be a baseline's name are a path, or a run in git.
        match store.current(suite, name).unwrap_or(Current::None) {
            Current::Run(run) => verified(&run.folder, name),
            Current::Broken(why) => Ok(Chosen::without(Without::Missing(unusable(name, &why)), Some(name))),
            Current::None => {
                let opened = open_run(&store.clone().into(), Some(suite), name);
                let Opened { run, .. } = opened.map_err(|e| e.context("open the baseline"))?;
                Ok(Chosen { run: Some(run), without: Without::NotYet, name: Some(name.to_owned()) })
            }
        }
    }

    /// Nothing was accepted under the suite's name.
    fn absent(&self, store: &Store, wanted: &Wanted<'_>, name: &str) -> Result<Chosen> {
        let suite = wanted.suite;
        let others: Vec<String> = store.list_baselines(Some(suite))?.into_iter().map(|other| other.name).collect();
        if wanted.by_call {
            let hint = match others.is_empty() {
                true => format!("nothing was accepted in {}", store.baselines().join(suite).display()),
                false => nearest(name, others.iter().map(String::as_str)),
            };
            return Err(Error::input(format!("find the baseline `{name}` of suite `{suite}`")).with_hint(hint));
        }
        // Those of other devices are no other names of this one.
        let declared = wanted.names.all();
        let foreign: Vec<String> = others
            .iter()
            .filter(|other| !declared.contains(&other.as_str()))
            .map(|other| format!("`{other}`"))
            .collect();
        if foreign.is_empty() {
            let folder = store.baselines().join(suite).join(name);
            return Ok(self.first(format!("nothing was accepted in {}", folder.display()), Some(name)));
        }
        let why = format!(
            "the suite's baseline is `{name}`, and {} holds {} of this suite instead: correct the name, or give --baseline",
            store.baselines().display(),
            foreign.join(", ")
        );
        Ok(Chosen::without(Without::Missing(why), Some(name)))
    }

    /// A first run, unless the call requires a baseline.
    fn first(&self, why: String, name: Option<&str>) -> Chosen {
        match self.require_baseline {
            true => Chosen::without(Without::Missing(format!("--require-baseline, and {why}")), name),
            false => Chosen::without(Without::NotYet, name),
        }
    }
}

/// The accepted run, if its files are what its manifest says.
fn verified(folder: &Path, name: &str) -> Result<Chosen> {
    match RunReader::open(folder) {
        Ok(run) => Ok(Chosen { run: Some(run), without: Without::NotYet, name: Some(name.to_owned()) }),
        // Another version, or a folder that may be readable later, is no finding about the run.
        Err(error) if matches!(error.kind(), Kind::Newer | Kind::Environment) => {
            Err(error.context("open the baseline"))
        }
        Err(error) => Ok(Chosen::without(Without::Missing(unusable(name, &error.told())), Some(name))),
    }
}

fn unusable(name: &str, why: &str) -> String {
    format!("the baseline `{name}` cannot be used: {why}")
}

/// The suite that is meant, where a command may go without one, and its store.
///
/// # Errors
/// None is named and there is none.
pub fn suite_and_store(named: Option<&Path>, command: &str, store: &StoreArgs) -> Result<(PathBuf, Store)> {
    let path = suite_path(named, command)?;
    let store = store.of_suite(&path)?;
    Ok((path, store))
}
