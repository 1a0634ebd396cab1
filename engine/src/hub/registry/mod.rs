//! The model registry: `models/<name>@<version>.yaml`, the one place where a name is looked up and its files are checked.
//!
//! An [`Entry`] says what a model is: where its folder lies (beside the entry, or on the hub at a commit), the SHA-256 of
//! every file that inference reads, how it was made and what it was measured to do. [`find()`] looks for it from a folder
//! upwards; [`open()`] also holds every file against its hash. A file that would change answers and is not listed is an
//! error like a wrong hash: nothing unlisted has a say. Entries are written by hand and by `scripts/registry_entry.py`,
//! never by karat.

mod check;
mod entry;
mod find;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use entry::{Digest, Entry, Inside, Line, ModelKind, Revision, Source, Training, WeightType};
pub use find::{Found, find, visible};

use crate::error::Result;
use crate::models::hash_memo::HashMemo;
use crate::models::model_folder::ModelFolder;

/// The folder of the entry `name@version`, all of its files checked; pulled from the hub where the entry says so. Of contents
/// that `memo` knows, SHA-256 is not computed again.
///
/// # Errors
/// No such entry, a broken one, a pull that fails, or the first file that is not what the entry says.
pub fn open(base: &Path, name: &str, version: &str, memo: Option<&HashMemo>) -> Result<ModelFolder> {
    let found = find(base, name, version)?;
    let folder = ModelFolder::remembering(found.folder()?, memo.cloned());
    match found.check(&folder).into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok(folder),
    }
}
