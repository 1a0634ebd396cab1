//! The linter's look at what the generator's folder says of generating: what answers would not get, and how they end.

use super::load::Suite;
use crate::engine::ModelRef;
use crate::engine::hub::{self, registry};
use crate::engine::models::generation_config;
use crate::engine::models::model_folder::ModelFolder;
use crate::engine::render::Renderer;
use crate::prompt::Finding;

/// Where the suite says which model.
const PLACE: &str = "models.generator.model";

/// What a run would warn of. A model that is not on this machine is not looked at.
pub(super) fn findings(suite: &Suite, renderer: Option<&Renderer>) -> Vec<Finding> {
    let Some(folder) = suite.generator().ok().and_then(local) else { return Vec::new() };
    let asked = suite.plan.datasets.iter().filter(|dataset| dataset.request.is_generate());
    let mut findings: Vec<Finding> = Vec::new();
    for generation in asked.map(|dataset| suite.plan.generation_of(dataset)) {
        // Values that cannot be are among the problems already.
        if generation.processors().check().is_err() {
            continue;
        }
        let notes = match generation_config::survey(&folder, renderer.map(Renderer::tokenizer), &generation.options()) {
            Ok(notes) => notes.into_iter().map(|note| suite.placed(PLACE, Finding::warning(note))).collect(),
            Err(error) => vec![Finding::from(&error)],
        };
        for note in notes {
            if !findings.contains(&note) {
                findings.push(note);
            }
        }
    }
    findings
}

/// A model, unchecked, without the network.
pub(super) fn local(model: ModelRef) -> Option<ModelFolder> {
    let path = match model {
        ModelRef::Folder(path) => Some(path).filter(|path| path.is_dir()),
        ModelRef::Gguf(path) => Some(path).filter(|path| path.is_file()),
        ModelRef::Registry { name, version, base } => registry::find(&base, &name, &version).ok()?.local(),
        ModelRef::Hub { repo, revision } => hub::cached(&repo, revision.as_deref().unwrap_or("main"), hub::MODEL_FILES),
    };
    path.map(|path| ModelFolder::at(&path))
}
