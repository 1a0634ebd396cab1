//! From a model reference to a folder.

use std::path::{Path, PathBuf};

use super::cache_args::CacheFolder;
use crate::engine::hash_memo::HashMemo;
use crate::engine::identity::ModelFolder;
use crate::engine::model_kind::{self, Role};
use crate::engine::registry::Source;
use crate::engine::{ModelRef, hub, registry};
use crate::error::Result;

/// The folder of a model, or the GGUF file that is named: as it is, pulled from the hub, or looked up in the registry with all
/// of its files checked, and held against what karat can use in this role. Files that `memo` knows are not read again.
///
/// # Errors
/// There is no such model, or it is of a kind that is not read; the registry has no such entry or other files; the hub does not
/// have it.
pub fn folder(reference: &ModelRef, role: Role, memo: Option<&HashMemo>) -> Result<ModelFolder> {
    model_kind::check_reference(reference, role)?;
    let path = match reference {
        ModelRef::Folder(path) | ModelRef::Gguf(path) => path.clone(),
        ModelRef::Hub { repo, revision } => {
            let path = hub::pull(repo, revision.as_deref().unwrap_or("main"), hub::MODEL_FILES)?;
            // What was fetched just now was not looked at yet.
            model_kind::check(&path, role)?;
            path
        }
        ModelRef::Registry { name, version, base } => return registry::open(base, name, version, memo),
    };
    Ok(ModelFolder { path, hashes: None, memo: memo.cloned() })
}

/// Whether [`folder`] would ask no hub for this model: it is here, or it never will be.
pub fn is_here(reference: &ModelRef) -> bool {
    let cached =
        |repo: &str, revision: &str| hub::is_offline() || hub::cached(repo, revision, hub::MODEL_FILES).is_some();
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
pub fn named(text: &str, role: Role) -> Result<ModelFolder> {
    let memo = CacheFolder::find().map(|cache| cache.memo());
    folder(&ModelRef::parse(text, Path::new("."))?, role, memo.as_ref())
}

/// The folder of a model named on the command line.
///
/// # Errors
/// As for [`folder`].
pub fn from_argument(text: &str, role: Role) -> Result<PathBuf> {
    Ok(folder(&ModelRef::parse(text, Path::new("."))?, role, None)?.path)
}
