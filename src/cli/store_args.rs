//! Where runs and baselines live, and which baseline a run is held against.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde_json::{Map, Value};

use super::suite_args::suite_path;
use super::terminal;
use crate::compare::Without;
use crate::engine::options::{DeviceChoice, EngineOptions};
use crate::error::{Error, Kind, Result, nearest};
use crate::history::{Checkout, Current, REPAIR, Store, Workspace, open_verified, project_of_suite};
use crate::record::{MANIFEST, Manifest, RunId, RunReader};
use crate::rule::{BaselineNames, DeviceClass};
use crate::suite::{Overrides, Purpose, Suite};

/// The two folders.
#[derive(clap::Args)]
#[command(next_help_heading = "Folders")]
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
        Workspace::of_folder(Path::new(""), self.runs_dir.as_deref(), self.baselines_dir.as_deref())
    }

    /// Where names are looked up, and the name of the suite that is meant: `suite` is its name, or its file or folder, which has
    /// a project of its own.
    ///
    /// # Errors
    /// A folder that cannot be read; a suite that is not there or cannot be read.
    pub fn place(&self, suite: Option<&str>) -> Result<Place> {
        let Some(text) = suite else { return Ok(Place { workspace: self.workspace()?, suite: None, by_path: false }) };
        let path = Path::new(text);
        let spelled = text.contains(std::path::is_separator) || text.ends_with(".yaml");
        if !spelled {
            let workspace = self.workspace()?;
            if !path.join("suite.yaml").is_file() || workspace.suites().iter().any(|known| known == text) {
                return Ok(Place { workspace, suite: Some(text.to_owned()), by_path: false });
            }
        }
        let file = suite_path(Some(path), "")?;
        let name = Suite::load(&file, &Overrides::default(), Purpose::Look)?.plan.name;
        Ok(Place { workspace: self.of_suite(&file)?.into(), suite: Some(name), by_path: true })
    }

    /// The store that a run belongs to, with what the call says instead.
    pub fn over(&self, store: &Store) -> Store {
        let or = |named: &Option<PathBuf>, own: &Path| named.clone().unwrap_or_else(|| own.to_owned());
        Store::with(or(&self.runs_dir, store.runs()), or(&self.baselines_dir, store.baselines()))
    }
}

/// Where names are looked up.
pub struct Place {
    /// The stores.
    pub workspace: Workspace,
    /// Only this suite.
    pub suite: Option<String>,
    /// The suite was named by its file: its project is known.
    by_path: bool,
}

impl Place {
    /// The run that a reference means.
    ///
    /// # Errors
    /// As [`open_run`].
    pub fn open(&self, reference: &str) -> Result<Opened> {
        let opened = open_run(&self.workspace, self.suite.as_deref(), reference)?;
        Ok(if self.by_path { Opened { store: self.workspace.first().clone(), ..opened } } else { opened })
    }

    /// Why nothing is listed: "no runs in …", or that the suite is another's name.
    pub fn nothing(&self, what: &str, folder: &Path, makes: &str) -> String {
        let known = self.workspace.suites();
        match &self.suite {
            Some(suite) if !known.is_empty() && !known.contains(suite) => {
                let near = nearest(suite, known.iter().map(String::as_str));
                format!("no {what} of suite `{suite}` in {}; {near}", folder.display())
            }
            Some(suite) => format!("no {what} of suite `{suite}` in {}; `{makes}` makes one", folder.display()),
            None => format!("no {what} in {}; `{makes}` makes one", folder.display()),
        }
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
        let run = open_verified(&checkout.folder())?.keeping(checkout);
        tell_unvouched(&run);
        let store = workspace.holding(&run.manifest().suite).clone();
        return Ok(Opened { run, store });
    }
    let found = workspace.resolve(suite, reference)?;
    let run = open_verified(&found.folder)?;
    tell_unvouched(&run);
    let store = workspace.home(&found, &run.manifest().suite)?;
    Ok(Opened { run, store })
}

/// Says once that an edit of a run's manifest would not be seen.
fn tell_unvouched(run: &RunReader) {
    static TOLD: Mutex<BTreeSet<RunId>> = Mutex::new(BTreeSet::new());
    let id = &run.manifest().run_id;
    if !run.is_vouched() && TOLD.lock().is_ok_and(|mut told| told.insert(id.clone())) {
        say!(
            "note: `{MANIFEST}` of run `{id}` is not verified: no verdict beside it, no log of a baseline and no order of recorded \
             runs holds its SHA-256"
        );
    }
}

/// Which baseline to compare with.
#[derive(clap::Args)]
#[command(next_help_heading = "Baseline")]
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
    /// The plan as records keep it: the same suite is known by it under another name.
    pub plan: Value,
    /// The run that the judged one was compared with when it was recorded.
    pub recorded: Option<String>,
}

impl<'a> Wanted<'a> {
    /// What a loaded suite says.
    ///
    /// # Errors
    /// A plan that cannot be written as JSON.
    pub fn of_suite(suite: &'a Suite, engine: &EngineOptions) -> Result<Self> {
        let class = if engine.device == DeviceChoice::Cpu { DeviceClass::Cpu } else { DeviceClass::Cuda };
        let (plan, by_call) = (&suite.plan, suite.call_names_baseline());
        let json =
            serde_json::to_value(plan).map_err(|e| Error::internal("failed to write down the plan").caused_by(e))?;
        Ok(Self { suite: &plan.name, names: &plan.baseline, class, by_call, plan: json, recorded: None })
    }

    /// What a recorded run says.
    ///
    /// # Errors
    /// A summary that cannot be read.
    pub fn of_run(run: &'a RunReader, (names, class): (&'a BaselineNames, DeviceClass)) -> Result<Self> {
        let Manifest { suite, plan, baseline, .. } = run.manifest();
        let recorded = match baseline {
            Some(id) => Some(id.to_string()),
            // Older records say it in their verdict.
            None => run.summary()?.verdict.and_then(|verdict| verdict.baseline),
        };
        Ok(Self { suite, names, class, by_call: false, plan: plan.clone(), recorded })
    }
}

/// The baseline to compare with, or why there is none.
pub struct Chosen {
    /// The accepted run.
    pub run: Option<RunReader>,
    /// Why there is none.
    pub without: Without,
    /// The name under which one was looked for, where there is one.
    pub name: Option<String>,
    /// What to give `karat gate` so that it chooses the same, as a shell takes it, with a blank before each word.
    pub options: String,
}

impl Chosen {
    fn without(without: Without, name: Option<&str>) -> Self {
        Self { run: None, without, name: name.map(str::to_owned), options: String::new() }
    }

    /// This run, by this name.
    pub fn with(run: RunReader, name: &str) -> Self {
        Self { run: Some(run), without: Without::NotYet, name: Some(name.to_owned()), options: String::new() }
    }

    /// The accepted run's id.
    pub fn run_id(&self) -> Option<RunId> {
        self.run.as_ref().map(|run| run.manifest().run_id.clone())
    }
}

impl BaselineArgs {
    /// The run to compare with, opened and verified. One that the call names must exist. One that the suite names may not have
    /// been accepted yet: a first run. Where entries are there and cannot be used, or stand under another name, evidence is
    /// missing, as it is where a recorded run was compared with one.
    ///
    /// # Errors
    /// A name or folder of the call that does not exist; a record of a newer version; a folder that cannot be read.
    pub fn open(&self, folders: &StoreArgs, store: &Store, wanted: &Wanted<'_>) -> Result<Chosen> {
        Ok(Chosen { options: self.options(), ..self.choose(folders, store, wanted)? })
    }

    /// Whether the call says with which baseline to compare, in place of the suite.
    pub fn is_overridden(&self) -> bool {
        self.no_baseline || self.baseline.is_some()
    }

    fn options(&self) -> String {
        let name = self.baseline.as_ref().map(|name| format!(" --baseline {}", terminal::argument(name.as_ref())));
        let flags = [(self.no_baseline, " --no-baseline"), (self.require_baseline, " --require-baseline")];
        let flags = flags.into_iter().filter(|(given, _)| *given).map(|(_, flag)| flag.to_owned());
        name.into_iter().chain(flags).collect()
    }

    fn choose(&self, folders: &StoreArgs, store: &Store, wanted: &Wanted<'_>) -> Result<Chosen> {
        if self.no_baseline {
            return Ok(Chosen::without(Without::NotAsked, None));
        }
        let store = &folders.over(store);
        if let Some(name) = &self.baseline {
            return self.named(store, wanted.suite, name);
        }
        if let Some(folder) = folders.baselines_dir.as_ref().filter(|folder| !folder.is_dir()) {
            let error = Error::input(format!("there is no baselines folder `{}`", folder.display()));
            return Err(error
                .with_hint("correct --baselines-dir (KARAT_BASELINES_DIR), make the folder, or give --no-baseline"));
        }
        if let Some(folder) = folders.baselines_dir.as_ref().filter(|folder| is_part_of_baselines(folder)) {
            let error = Error::input(format!("`{}` is not a baselines folder", folder.display()));
            return Err(error.with_hint("name the folder that holds SUITE/NAME/current, not one above or below it"));
        }
        let Some(name) = wanted.names.of(wanted.class) else {
            let why = format!("the suite names no baseline for {}", wanted.class.word());
            let mut chosen = self.first(why.clone(), wanted, None);
            if chosen.without == Without::NotYet {
                chosen.without = Without::Unnamed(why);
            }
            return Ok(chosen);
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
                let Opened { run, .. } = opened.map_err(|e| e.context("failed to open the baseline"))?;
                Ok(Chosen::with(run, name))
            }
        }
    }

    /// Nothing was accepted under the suite's name.
    fn absent(&self, store: &Store, wanted: &Wanted<'_>, name: &str) -> Result<Chosen> {
        let suite = wanted.suite;
        let others: Vec<String> = store.list_baselines(Some(suite))?.into_iter().map(|other| other.name).collect();
        if wanted.by_call {
            let hint = if others.is_empty() {
                format!("nothing was accepted in {}", store.baselines().join(suite).display())
            } else {
                nearest(name, others.iter().map(String::as_str))
            };
            return Err(Error::input(format!("suite `{suite}` has no baseline `{name}`")).with_hint(hint));
        }
        // Those of other devices are no other names of this one.
        let declared = wanted.names.all();
        let foreign = store.baseline_names(suite)?.into_iter().filter(|other| !declared.contains(&other.as_str()));
        let foreign: Vec<String> = foreign.map(|other| format!("`{other}`")).collect();
        let at = store.baselines().display();
        if !foreign.is_empty() {
            let why = format!(
                "the suite's baseline is `{name}`, and {at} holds {} of this suite instead: correct the name, or give --baseline",
                foreign.join(", ")
            );
            return Ok(Chosen::without(Without::Missing(why), Some(name)));
        }
        if !store.holds(suite) {
            let twins = twins(store, &wanted.plan)?;
            if !twins.is_empty() {
                let why = format!(
                    "{at} holds this suite under another name: {}; rename its folder to `{suite}`, or accept a run of this name",
                    twins.join(", ")
                );
                return Ok(Chosen::without(Without::Missing(why), Some(name)));
            }
        }
        let folder = store.baselines().join(suite).join(name);
        Ok(self.first(format!("nothing was accepted in {}", folder.display()), wanted, Some(name)))
    }

    /// A first run, unless the call requires a baseline or the record names one.
    fn first(&self, why: String, wanted: &Wanted<'_>, name: Option<&str>) -> Chosen {
        if let Some(id) = &wanted.recorded {
            let missing = format!(
                "the run was compared with `{id}` when it was recorded, and {why}: name the folder of it with --baselines-dir, or a run \
                 with --baseline"
            );
            return Chosen::without(Without::Missing(missing), name);
        }
        if self.require_baseline {
            Chosen::without(Without::Missing(format!("--require-baseline, and {why}")), name)
        } else {
            Chosen::without(Without::NotYet, name)
        }
    }
}

/// Other suites with an accepted run whose plan has the same datasets, scorers, prompt and gates, in quotes.
fn twins(store: &Store, plan: &Value) -> Result<Vec<String>> {
    let ours = essence(plan);
    let mut names: Vec<String> = Vec::new();
    for run in store.accepted_runs()? {
        // One that cannot be read is no evidence of anything.
        let Ok(manifest) = RunReader::read_manifest(&run.folder) else { continue };
        if essence(&manifest.plan) == ours {
            names.push(format!("`{}`", run.suite));
        }
    }
    names.dedup();
    Ok(names)
}

/// What makes a suite this suite, whatever its name: without what calls change and without what is not said.
fn essence(plan: &Value) -> Value {
    let kept = ["datasets", "scorers", "prompt", "gates"].into_iter();
    Value::Object(kept.map(|key| (key.to_owned(), said(plan.get(key).unwrap_or(&Value::Null)))).collect())
}

fn said(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, value)| !value.is_null() && key.as_str() != "limit");
            Value::Object(kept.map(|(key, value)| (key.clone(), said(value))).collect::<Map<_, _>>())
        }
        Value::Array(values) => Value::Array(values.iter().map(said).collect()),
        other => other.clone(),
    }
}

/// Whether a folder lies above a folder of baselines, or within it.
fn is_part_of_baselines(folder: &Path) -> bool {
    let below = || std::fs::read_dir(folder).into_iter().flatten().flatten();
    folder.join("current").is_file()
        || folder.join("baselines").is_dir()
        || below().any(|entry| entry.path().join("current").is_file())
}

/// The accepted run, if its files are what its manifest says.
fn verified(folder: &Path, name: &str) -> Result<Chosen> {
    match open_verified(folder) {
        Ok(run) => {
            tell_unvouched(&run);
            Ok(Chosen::with(run, name))
        }
        // Another version, or a folder that may be readable later, is no finding about the run.
        Err(error) if matches!(error.kind(), Kind::Newer | Kind::Environment) => {
            Err(error.context("failed to open the baseline"))
        }
        Err(error) => Ok(Chosen::without(Without::Missing(unusable(name, &error.told())), Some(name))),
    }
}

fn unusable(name: &str, why: &str) -> String {
    let repair = if why.contains(REPAIR) { String::new() } else { format!("; {REPAIR}") };
    format!("the baseline `{name}` cannot be used: {why}{repair}")
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
