//! From a model reference to a folder.

use std::path::Path;

use super::cache_args::CacheFolder;
use crate::engine::ModelRef;
use crate::engine::hub::registry::Source;
use crate::engine::hub::{self, registry};
use crate::engine::models::hash_memo::HashMemo;
use crate::engine::models::kind;
use crate::engine::models::kind::Role;
use crate::engine::models::model_folder::ModelFolder;
use crate::engine::options::BackendChoice;
use crate::error::Result;

/// A model's folder, or the GGUF file that is named: as it is, pulled from the hub, or looked up in the registry with all of its
/// files checked, and held against what karat can use in this role with a backend. Of contents that `memo` knows, SHA-256 is not computed
/// again.
///
/// # Errors
/// There is no such model, or it is of a kind that is not read; the registry has no such entry or other files; the hub does not
/// have it.
pub fn folder(
    reference: &ModelRef,
    role: Role,
    backend: BackendChoice,
    memo: Option<&HashMemo>,
) -> Result<ModelFolder> {
    kind::check_reference(reference, role, backend)?;
    let path = match reference {
        ModelRef::Folder(path) => path.clone(),
        ModelRef::Gguf(path) => return Ok(ModelFolder::gguf(path, memo.cloned())),
        ModelRef::Hub { repo, revision } => {
            let path = hub::pull(repo, revision.as_deref().unwrap_or("main"), hub::MODEL_FILES)?;
            // What was fetched just now was not looked at yet.
            kind::check(&path, role, backend)?;
            path
        }
        ModelRef::Registry { name, version, base } => return registry::open(base, name, version, memo),
    };
    Ok(ModelFolder::remembering(path, memo.cloned()))
}

/// Whether [`folder`] would ask no hub for this model.
pub fn is_here(reference: &ModelRef) -> bool {
    let cached = |repo: &str, revision: &str| hub::cached(repo, revision, hub::MODEL_FILES).is_some();
    match reference {
        ModelRef::Folder(_) | ModelRef::Gguf(_) => true,
        ModelRef::Hub { repo, revision } => cached(repo, revision.as_deref().unwrap_or("main")),
        ModelRef::Registry { name, version, base } => match registry::find(base, name, version) {
            Ok(found) => match &found.entry.source {
                Source::Folder(_) => true,
                Source::Hub { repo, revision } => cached(repo, revision.as_str()),
            },
            Err(_) => true,
        },
    }
}

/// A model named on the command line, whose hashes are remembered where there is a cache.
///
/// # Errors
/// As for [`folder`].
pub fn named(text: &str, role: Role, backend: BackendChoice) -> Result<ModelFolder> {
    folder(&ModelRef::parse(text, Path::new("."))?, role, backend, memo().as_ref())
}

/// Where hashes are remembered, whether or not answers are: what is known by its contents alone is never stale.
pub fn memo() -> Option<HashMemo> {
    CacheFolder::find().map(|cache| cache.memo())
}
