//! From a suite file and the command line to a validated [`Suite`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layers;
use super::overrides::Overrides;
use super::plan::{DatasetPlan, Plan};
use super::validate;
use crate::dataset::{Cells, FieldMap, Format, Source};
use crate::engine::ModelRef;
use crate::engine::hub::registry;
use crate::engine::options::BackendChoice;
use crate::error::{Error, Result};
use crate::prompt::{self, Builder, Finding, same_file};
use crate::score::ScorerSpec;
use crate::stand_in::read_file;
use crate::yaml::{self, Content, Node, Origin};

/// Bytes of a suite file, and of each that it builds upon.
const SUITE_BYTES: u64 = 64 << 20;

/// What a suite is loaded for; decides which models must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A run: a generator is needed, and every model folder.
    Run,
    /// Scoring recorded answers: no generator is needed, but every other model folder.
    Score,
    /// Checking: every model that is named must be there, and a suite for recorded answers alone names no generator.
    Lint,
    /// Looking at what the suite says: no model is needed.
    Look,
}

/// A plan and where it came from.
#[derive(Clone, Debug)]
pub struct Suite {
    /// What is to be done.
    pub plan: Plan,
    path: PathBuf,
    generator_base: PathBuf,
    backend: BackendChoice,
    /// The limits of the suite file itself, by dataset.
    limits: BTreeMap<String, Option<usize>>,
    pub(super) tree: Node,
}

impl Suite {
    /// Reads the suite file, lays the options over it and checks everything that can be checked without reading whole
    /// datasets or loading models.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn load(path: &Path, overrides: &Overrides, purpose: Purpose) -> Result<Self> {
        let suite = Self::read(path, overrides)?;
        match validate::problems(&suite, purpose).into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(suite),
        }
    }

    /// The same suite with another plan, that of an earlier run say; its paths start from the same folder. Plans in records
    /// hold no absolute path: where such a one has become a name that is what this suite's own path becomes, the suite's own is
    /// taken.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn replanned(self, mut plan: Plan, purpose: Purpose) -> Result<Self> {
        let generator_base = root_of(&self.path);
        let own = &self.plan;
        restore(&mut plan.models.generator, &own.models.generator);
        restore(&mut plan.models.embedder, &own.models.embedder);
        restore(&mut plan.models.toxicity, &own.models.toxicity);
        restore(&mut plan.prompt, &own.prompt);
        for dataset in &mut plan.datasets {
            if let Some(same) = own.datasets.iter().find(|same| same.name == dataset.name) {
                let mut named = DatasetPlan { file: dataset.file.clone(), ..same.clone() };
                restore(&mut named, same);
                dataset.file = named.file;
                restore(&mut dataset.prompt, &same.prompt);
            }
        }
        let suite = Self { plan, generator_base, ..self };
        match validate::problems(&suite, purpose).into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(suite),
        }
    }

    /// The suite as read, with nothing but spelling and types checked.
    pub(super) fn read(path: &Path, overrides: &Overrides) -> Result<Self> {
        let mut tree = parsed(path)?;
        let limits = limits(&tree);
        layers::choose_prompt(&mut tree, overrides.prompt.as_deref(), path)?;
        overrides.apply(&mut tree, path)?;
        layers::complete(&mut tree);
        let plan: Plan = yaml::read(&tree).map_err(|error| error.located("read the suite", path))?;
        // `--model` is a path from the working folder, one in the suite or in `--set` from the suite's.
        let generator = plan.models.generator.as_ref().map(|generator| &generator.model);
        let from_option = overrides.generator.is_some() && overrides.generator.as_ref() == generator;
        let generator_base = if from_option { PathBuf::new() } else { root_of(path) };
        Ok(Self { plan, path: path.into(), generator_base, backend: overrides.backend, limits, tree })
    }

    /// The names of the prompts in a suite file of which `karat run` makes a run each; none where it has one prompt.
    ///
    /// # Errors
    /// A file that cannot be read, an entry without a name or with one that is given twice.
    pub fn prompt_names(path: &Path) -> Result<Vec<String>> {
        layers::prompt_names(&parsed(path)?, path)
    }

    /// The suite file, as the user named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose model code will compute.
    pub fn backend(&self) -> BackendChoice {
        self.backend
    }

    /// A path of the plan, from the working folder.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        root_of(&self.path).join(path)
    }

    /// A dataset of the plan as a source to open, with what completes its cases.
    ///
    /// # Errors
    /// A file ending that names no format, wrong `fields` or `cells`, or a separator that separates nothing.
    pub fn source(&self, dataset: &DatasetPlan, prompt: &Arc<Builder>) -> Result<Source> {
        let path = self.resolve(&dataset.file);
        let format = Format::of(&path)?;
        Ok(Source {
            name: dataset.name.clone(),
            kind: dataset.kind,
            format,
            path,
            separator: format.separator(dataset.separator)?,
            fields: prompt.fields(
                self.plan.prompt_of(dataset),
                FieldMap::new(&dataset.fields)?
                    .with_cells(Cells::new(&dataset.cells)?)
                    .allowing_unknown_keys(dataset.allow_unknown_keys),
            ),
            limit: dataset.limit,
            ids: dataset.ids,
            derive: prompt.derive(),
        })
    }

    /// All datasets as sources, in the plan's order.
    ///
    /// # Errors
    /// Those of [`Suite::source`].
    pub fn sources(&self, prompts: &[Arc<Builder>]) -> Result<Vec<Source>> {
        self.plan.datasets.iter().zip(prompts).map(|(dataset, prompt)| self.source(dataset, prompt)).collect()
    }

    /// The scorers that look at every case of a dataset, in the dataset's order.
    pub fn scorers(&self, dataset: &DatasetPlan) -> Vec<&ScorerSpec> {
        let named = |name: &String| self.plan.scorers.iter().find(|scorer| scorer.name() == name);
        dataset.scorers.iter().filter_map(named).collect()
    }

    /// What turns the cases of each dataset into prompts, in the plan's order.
    ///
    /// # Errors
    /// Prompt files that are missing or wrong.
    pub fn prompts(&self) -> Result<Vec<Arc<Builder>>> {
        let mut shared: Option<Arc<Builder>> = None;
        let prompt = |dataset: &DatasetPlan| match &shared {
            Some(shared) if self.is_usual(dataset) => Ok(shared.clone()),
            _ => {
                let prompt = Arc::new(self.prompt(dataset)?);
                if self.is_usual(dataset) {
                    shared = Some(prompt.clone());
                }
                Ok(prompt)
            }
        };
        self.plan.datasets.iter().map(prompt).collect()
    }

    /// What turns the cases of a dataset into prompts.
    ///
    /// # Errors
    /// Prompt files that are missing or wrong.
    pub fn prompt(&self, dataset: &DatasetPlan) -> Result<Builder> {
        let cases = self.resolve(&dataset.file);
        let purpose = prompt::Purpose { request: dataset.request, cases: Some(&cases) };
        Builder::load(self.plan.prompt_of(dataset), &root_of(&self.path), purpose)
    }

    /// Whether its prompts are built as those of all others that say nothing else.
    pub(super) fn is_usual(&self, dataset: &DatasetPlan) -> bool {
        let examples = self.plan.prompt.few_shot.as_ref().map(|shots| self.resolve(&shots.file));
        let cases = self.resolve(&dataset.file);
        let itself = examples.is_some_and(|examples| same_file(&examples, &cases));
        dataset.prompt.is_none() && dataset.request.is_generate() && !itself
    }

    /// The generator, with its path from the working folder.
    ///
    /// # Errors
    /// No generator in the suite, or text that is no model reference.
    pub fn generator(&self) -> Result<ModelRef> {
        let Some(generator) = &self.plan.models.generator else {
            let error = Error::input("the suite names no generator").at(&self.path);
            return Err(error.with_hint("add `models: {generator: {model: …}}`, or give --model"));
        };
        let from = |base: &Path| ModelRef::parse(&generator.model, base).map(|model| model.resolved(base));
        let model = from(&self.generator_base)?;
        // A name on the command line: from the working folder, then from the suite's project.
        if let ModelRef::Registry { name, version, base } = &model
            && registry::find(base, name, version).is_err_and(|error| error.location().is_none())
            && registry::find(&root_of(&self.path), name, version).is_ok()
        {
            return from(&root_of(&self.path));
        }
        Ok(model)
    }

    /// Whether the call, not the suite file, decides how many cases of a dataset there are.
    pub(super) fn is_limited_by_call(&self, dataset: &DatasetPlan) -> bool {
        self.limits.get(&dataset.name).is_none_or(|own| *own != dataset.limit)
    }

    /// Whether the call names the baseline, by `--set`.
    pub fn call_names_baseline(&self) -> bool {
        self.tree.get("baseline").is_some_and(|node| matches!(node.origin, Origin::Option(_)))
    }

    /// The embedder, if the suite has one, with its path from the working folder.
    ///
    /// # Errors
    /// Text that is no model reference.
    pub fn embedder(&self) -> Result<Option<ModelRef>> {
        self.plan.models.embedder.as_ref().map(|plan| self.model(&plan.model)).transpose()
    }

    /// The toxicity classifier, if the suite has one, with its path from the working folder.
    ///
    /// # Errors
    /// Text that is no model reference.
    pub fn toxicity(&self) -> Result<Option<ModelRef>> {
        self.plan.models.toxicity.as_ref().map(|plan| self.model(&plan.model)).transpose()
    }

    fn model(&self, text: &str) -> Result<ModelRef> {
        let root = root_of(&self.path);
        Ok(ModelRef::parse(text, &root)?.resolved(&root))
    }

    /// An error about the value at a dotted path of the plan, placed where that value was written.
    pub(super) fn problem(&self, place: &str, error: Error) -> Error {
        self.tree.nearest(place).origin.locate(error, &self.path)
    }

    /// A finding at the place where a value of the plan was written.
    pub(super) fn placed(&self, place: &str, finding: Finding) -> Finding {
        let error = self.problem(place, finding.clone().into_error());
        Finding { place: error.location().cloned(), ..finding }
    }
}

/// The tree of a suite file.
fn parsed(path: &Path) -> Result<Node> {
    let bytes = read_file(path, SUITE_BYTES).map_err(|error| error.context("failed to read the suite").at(path))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        Error::input("the suite is not valid UTF-8").at_line(path, line).with_hint("save the file as UTF-8")
    })?;
    // Old Macs end lines so.
    let text = if text.contains('\n') { text } else { text.replace('\r', "\n") };
    Node::parse(text.strip_prefix('\u{feff}').unwrap_or(&text), path)
}

/// The limits that the file states.
fn limits(tree: &Node) -> BTreeMap<String, Option<usize>> {
    let Some(Node { content: Content::List(datasets), .. }) = tree.get("datasets") else { return BTreeMap::new() };
    let limit = |dataset: &Node| match dataset.get("limit").map(|node| &node.content) {
        Some(Content::Unsigned(limit)) => usize::try_from(*limit).ok(),
        _ => None,
    };
    datasets.iter().filter_map(|dataset| Some((dataset.get("name")?.text()?.to_owned(), limit(dataset)))).collect()
}

/// Takes a suite's own value where a record writes both alike.
fn restore<T: Clone + serde::Serialize>(recorded: &mut T, own: &T) {
    if serde_json::to_value(&*recorded).ok() == serde_json::to_value(own).ok() {
        *recorded = own.clone();
    }
}

/// The folder that a suite's paths start from.
fn root_of(path: &Path) -> PathBuf {
    path.parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Reads one entry of a case's `checks`, with the same hints as the suite's `scorers`.
///
/// # Errors
/// An unknown scorer, unknown or wrong options. The error has no place.
pub fn parse_check(check: &serde_json::Value) -> Result<ScorerSpec> {
    let tree = Node::parse(&check.to_string(), Path::new(""))
        .map_err(|error| Error::input(format!("check: {}", error.message())))?;
    let spec: ScorerSpec = yaml::read(&tree).map_err(|error| error.told("read a check"))?;
    spec.validate()?;
    Ok(spec)
}
