//! From a model reference to a folder.

use std::path::{Path, PathBuf};

use super::cache_args::CacheFolder;
use crate::engine::candle::weight_files;
use crate::engine::hash_memo::HashMemo;
use crate::engine::identity::ModelFolder;
use crate::engine::registry::Source;
use crate::engine::{ModelRef, hub, registry};
use crate::error::{Error, Result};

/// The folder of a model: as it is, pulled from the hub, or looked up in the registry with all of its files checked. Files
/// that `memo` knows are not read again.
///
/// # Errors
/// The folder does not exist, the hub does not have it, the registry has no such entry or other files, or this kind of
/// reference cannot be used yet.
pub fn folder(reference: &ModelRef, memo: Option<&HashMemo>) -> Result<ModelFolder> {
    let path = match reference {
        ModelRef::Folder(path) if path.is_dir() => path.clone(),
        ModelRef::Folder(path) => {
            return Err(Error::input(format!("find the model folder `{}`", path.display()))
                .with_hint("a model is a folder, name@version of the registry, or org/name[@revision] on the hub"));
        }
        ModelRef::Hub { repo, revision } => hub::pull(repo, revision.as_deref().unwrap_or("main"), hub::MODEL_FILES)?,
        ModelRef::Gguf(path) => gguf_folder(path)?,
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

/// The folder of a GGUF file, which may hold files that go before its metadata, and must hold no other weights.
fn gguf_folder(path: &Path) -> Result<PathBuf> {
    if !path.is_file() {
        return Err(Error::input(format!("find the GGUF file `{}`", path.display())));
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let weights = weight_files(folder)?;
    if weights.iter().any(|file| file.file_name() != path.file_name()) {
        return Err(
            Error::input(format!("use `{}` beside other weights", path.display())).with_hint("give it its own folder")
        );
    }
    Ok(folder.into())
}

/// A model named on the command line, whose hashes are remembered where there is a cache.
///
/// # Errors
/// As for [`folder`].
pub fn named(text: &str) -> Result<ModelFolder> {
    let memo = CacheFolder::find().map(|cache| cache.memo());
    folder(&ModelRef::parse(text, Path::new("."))?, memo.as_ref())
}

/// The folder of a model named on the command line.
///
/// # Errors
/// As for [`folder`].
pub fn from_argument(text: &str) -> Result<PathBuf> {
    Ok(folder(&ModelRef::parse(text, Path::new("."))?, None)?.path)
}
