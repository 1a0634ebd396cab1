//! From a model reference to a folder.

use std::path::{Path, PathBuf};

use crate::engine::{ModelRef, hub};
use crate::error::{Error, Result};

/// The folder of a model: as it is, or pulled from the hub.
///
/// # Errors
/// The folder does not exist, the hub does not have it, or this kind of reference cannot be used yet.
pub fn folder(reference: &ModelRef) -> Result<PathBuf> {
    match reference {
        ModelRef::Folder(path) => {
            if !path.is_dir() {
                return Err(Error::input(format!("find the model folder `{}`", path.display()))
                    .with_hint("a model is a folder, or org/name[@revision] on the hub"));
            }
            Ok(path.clone())
        }
        ModelRef::Hub { repo, revision } => hub::pull(repo, revision.as_deref().unwrap_or("main"), hub::MODEL_FILES),
        ModelRef::Gguf(path) => Err(Error::input(format!("read `{}`: GGUF files are not supported", path.display()))
            .with_hint("give the folder with the safetensors files")),
        ModelRef::Registry { name, version } => Err(Error::input(format!("look up `{name}@{version}`"))
            .with_hint("there is no model registry in this version; give a folder or org/name@revision")),
    }
}

/// The folder of a model named on the command line.
///
/// # Errors
/// As for [`folder`].
pub fn from_argument(text: &str) -> Result<PathBuf> {
    folder(&ModelRef::parse(text, Path::new("."))?)
}
