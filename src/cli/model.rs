//! From a model reference to a folder.

use std::path::Path;

use super::cache_args::CacheFolder;
use crate::engine::candle::weight_files;
use crate::engine::hash_memo::HashMemo;
use crate::engine::identity::ModelFolder;
use crate::engine::{ModelRef, hub, registry};
use crate::error::{Error, Result};

/// The folder of a model: as it is, pulled from the hub, or looked up in the registry with all of its files checked. Of
/// contents that `memo` knows, SHA-256 is not computed again.
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
        ModelRef::Gguf(path) => return gguf_folder(path, memo),
        ModelRef::Registry { name, version, base } => return registry::open(base, name, version, memo),
    };
    Ok(ModelFolder::remembering(path, memo.cloned()))
}

/// The folder of a GGUF file, which may hold files that go before its metadata, and must hold no other weights.
fn gguf_folder(path: &Path, memo: Option<&HashMemo>) -> Result<ModelFolder> {
    if !path.is_file() {
        return Err(Error::input(format!("find the GGUF file `{}`", path.display())));
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = ModelFolder::remembering(folder, memo.cloned());
    let weights = weight_files(&folder)?;
    if weights.iter().any(|name| Some(name.as_ref()) != path.file_name()) {
        return Err(
            Error::input(format!("use `{}` beside other weights", path.display())).with_hint("give it its own folder")
        );
    }
    Ok(folder)
}

/// A model named on the command line, whose hashes are remembered where there is a cache.
///
/// # Errors
/// As for [`folder`].
pub fn named(text: &str) -> Result<ModelFolder> {
    folder(&ModelRef::parse(text, Path::new("."))?, memo().as_ref())
}

/// Where hashes are remembered, whether or not answers are: what is known by its contents alone is never stale.
pub fn memo() -> Option<HashMemo> {
    CacheFolder::find().map(|cache| cache.memo())
}
