//! What lies at a path by its name and its links, and how errors about it begin.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// How an adapter becomes a model.
pub(super) const MERGE: &str =
    "merge it into its base first: peft's merge_and_unload, then save_pretrained, writes a model that karat reads";

/// An error about a path: "use `PATH`: WHAT".
pub(super) fn used(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::input(format!("failed to use `{}`: {what}", path.display()))
}

/// What names a model.
pub(super) const GRAMMAR: &str = "a model is a folder, a .gguf file, name@version of the registry, or org/name[@revision] on the hub; in a suite, \
                       paths start from its folder";

/// Whether this is a GGUF file, by its name.
pub fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"))
}

/// Where a link leads that leads nowhere.
pub(super) fn dangling(path: &Path) -> Option<PathBuf> {
    let target = std::fs::read_link(path).ok()?;
    (!path.exists()).then_some(target)
}

/// That a link leads nowhere, and how its target comes back.
pub(super) fn lost(path: &Path, target: &Path) -> Error {
    let text = target.to_string_lossy();
    let hint = if text.contains(".git/annex/objects") {
        "fetch it with `git annex get`"
    } else if text.contains(".dvc/cache") || text.contains("files/md5") {
        "fetch it with `dvc pull`"
    } else if text.contains("blobs/") {
        "the hub's cache lacks the file: the download was not finished, or the cache was cleaned; download the model again"
    } else {
        "copy the file itself, or mend the link"
    };
    used(path, format!("it is a link to `{text}`, which does not exist")).with_hint(hint)
}
