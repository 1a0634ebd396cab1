//! Loading what a run needs, and the hashes of what was loaded.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::check::Checked;
use super::encoders::Encoders;
use super::event::{Event, Watch};
use crate::engine::chat::Clock;
use crate::engine::models::model_folder::ModelFolder;
use crate::engine::options::EngineOptions;
use crate::engine::render::Renderer;
use crate::engine::response_cache::ResponseCache;
use crate::engine::{Classifier, Embedder, Generator};
use crate::error::{Error, Result};
use crate::record::Hashing;

/// The folders of the models that a run loads; those it does not need are absent.
#[derive(Clone, Debug, Default)]
pub struct ModelFolders {
    /// Answers the cases.
    pub generator: Option<ModelFolder>,
    /// Embeds texts.
    pub embedder: Option<ModelFolder>,
    /// Classifies texts.
    pub toxicity: Option<ModelFolder>,
}

/// Hashes by role and file.
pub type ModelHashes = BTreeMap<String, BTreeMap<String, String>>;

impl ModelFolders {
    /// The hashes of all files that decide answers, of the bytes that were loaded or will be.
    ///
    /// # Errors
    /// A file cannot be read, or was changed since it was first read.
    pub fn hashes(&self) -> Result<ModelHashes> {
        self.roles().map(|(role, folder)| Ok((role.to_owned(), folder.hashes()?))).collect()
    }

    /// What hashing has cost, by role.
    pub(super) fn hashing(&self) -> BTreeMap<String, Hashing> {
        let cost = |(role, folder): (&str, &ModelFolder)| {
            let cost = folder.cost();
            (role.to_owned(), Hashing { seconds: cost.time().as_secs_f64(), bytes: cost.bytes() })
        };
        self.roles().map(cost).collect()
    }

    fn roles(&self) -> impl Iterator<Item = (&'static str, &ModelFolder)> {
        let Self { generator, embedder, toxicity } = self;
        let roles = [("generator", generator), ("embedder", embedder), ("toxicity", toxicity)];
        roles.into_iter().filter_map(|(role, folder)| Some((role, folder.as_ref()?)))
    }
}

/// Loads the encoders that scorers need, then the generator: its KV cache takes a share of the memory that is left. Answers in
/// the folder `cache` need not be computed.
pub(super) fn load(
    checked: &Checked,
    folders: &ModelFolders,
    engine: &EngineOptions,
    cache: Option<&Path>,
    watch: Watch<'_>,
) -> Result<(Encoders, Option<Generator>)> {
    let mut encoders = Encoders::default();
    if let Some(folder) = folders.embedder.as_ref().filter(|_| checked.needs_embedder) {
        watch.tell(Event::Loading { role: "embedder" });
        let embedder = Embedder::open(folder, None, false, engine);
        encoders.embedder = Some(embedder.map_err(|e| e.context("failed to load the embedder"))?);
    }
    if let Some(folder) = folders.toxicity.as_ref().filter(|_| checked.needs_toxicity) {
        watch.tell(Event::Loading { role: "toxicity" });
        let classifier = Classifier::open(folder, engine);
        encoders.classifier = Some(classifier.map_err(|e| e.context("failed to load the toxicity model"))?);
    }
    let missing = (checked.needs_embedder && encoders.embedder.is_none())
        || (checked.needs_toxicity && encoders.classifier.is_none());
    if missing {
        return Err(Error::internal("failed to load the models that the scorers need: a folder is missing"));
    }
    let Some(folder) = folders.generator.as_ref().filter(|_| checked.recorded.is_none()) else {
        return Ok((encoders, None));
    };
    watch.tell(Event::Loading { role: "generator" });
    let known = |cache: &Path| {
        let opened = ResponseCache::open(cache, folder, engine);
        let refused =
            |error: &Error| watch.tell(Event::Noted { text: format!("without the cache: {}", error.chain()) });
        opened.inspect_err(refused).ok()
    };
    let open = || -> Result<Generator> {
        let renderer = Arc::new(Renderer::open(folder, Clock::parse(&checked.suite.plan.clock)?)?);
        let mut generator = Generator::with_cache(folder, renderer, engine, cache.and_then(known))?;
        generator.set_thought_markers(checked.suite.plan.reasoning.owned_markers())?;
        Ok(generator)
    };
    let generator = open().map_err(|e| e.context("failed to load the generator"))?;
    let plan = &checked.suite.plan;
    let asked = plan.datasets.iter().filter(|dataset| dataset.request.is_generate());
    let mut told = BTreeSet::new();
    for dataset in asked {
        for text in generator.warnings(&plan.generation_of(dataset).options())? {
            if told.insert(text.clone()) {
                watch.tell(Event::Warned { text });
            }
        }
    }
    generator.notes().iter().for_each(|text| watch.tell(Event::Noted { text: text.clone() }));
    Ok((encoders, Some(generator)))
}
