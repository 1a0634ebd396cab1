//! To which project a suite belongs: the folder whose `runs/` and `baselines/` are its own.
//!
//! The nearest ancestor of the suite's file with `baselines/`, else with `.git`, else the suite's folder. An existing `runs/`
//! says nothing: it is where something ran once. The current folder has no say, so that a suite has one history from wherever
//! it is run.

use std::path::{Path, PathBuf};

use super::Store;
use crate::error::{Error, Result};

/// What a suite's file is called where its folder is named.
pub(super) const SUITE: &str = "suite.yaml";

/// The project of a suite, by its file.
///
/// # Errors
/// A current folder that is not there any more.
pub fn project_of_suite(file: &Path) -> Result<PathBuf> {
    project_of_folder(file.parent().unwrap_or(Path::new("")))
}

/// The project that a folder lies in, as seen from the current folder: relative where it is there or below.
///
/// # Errors
/// A current folder that is not there any more.
pub fn project_of_folder(folder: &Path) -> Result<PathBuf> {
    let whole = if folder.is_absolute() { folder.to_path_buf() } else { here()?.join(folder) };
    // What links lead to is where the files are; a folder that is not there yet is where it will be.
    let whole = std::fs::canonicalize(&whole).unwrap_or(whole);
    let nearest = |marker: &str| whole.ancestors().find(|folder| folder.join(marker).exists());
    let baselines = || whole.ancestors().find(|folder| folder.join("baselines").is_dir());
    let root = baselines().or_else(|| nearest(".git")).unwrap_or(&whole);
    Ok(shown(root))
}

/// The current folder.
fn here() -> Result<PathBuf> {
    std::env::current_dir().map_err(|e| {
        let error = Error::environment("failed to find the current folder").caused_by(e);
        error.with_hint("it was removed or is closed: change to one that is there")
    })
}

/// A whole path as seen from the current folder.
pub(super) fn shown(path: &Path) -> PathBuf {
    let here = std::env::current_dir().and_then(std::fs::canonicalize);
    match here {
        // From the root, everything is below.
        Ok(here) if here.parent().is_some() => path.strip_prefix(&here).unwrap_or(path).to_path_buf(),
        _ => path.to_path_buf(),
    }
}

/// Stores of the suites that lie directly below a folder, by the names of their folders.
pub(super) fn suites_below(folder: &Path) -> Result<Vec<Store>> {
    let listing = match std::fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }) {
        Ok(listing) => listing,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("read", folder, e)),
    };
    let mut folders: Vec<PathBuf> = listing.filter_map(|entry| Some(folder.join(entry.ok()?.file_name()))).collect();
    folders.retain(|folder| folder.join(SUITE).is_file());
    folders.sort();
    let mut stores: Vec<Store> = Vec::new();
    for folder in folders {
        let store = Store::new(&project_of_folder(&folder)?);
        if !stores.contains(&store) {
            stores.push(store);
        }
    }
    Ok(stores)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::create_dir_all;

    #[test]
    fn baselines_mark_a_project_then_git_then_the_suite_itself() {
        let folder = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(folder.path()).unwrap();
        let suite = root.join("a/b/suite.yaml");
        create_dir_all(suite.parent().unwrap()).unwrap();
        let project = || project_of_suite(&suite).unwrap();
        assert_eq!(project(), root.join("a/b"));
        create_dir_all(root.join("runs")).unwrap();
        assert_eq!(project(), root.join("a/b"), "an existing `runs` is no marker");
        // A worktree has a file of that name.
        std::fs::write(root.join("a/.git"), "gitdir: elsewhere").unwrap();
        assert_eq!(project(), root.join("a"));
        create_dir_all(root.join("baselines")).unwrap();
        assert_eq!(project(), root, "a folder of baselines, however far");
        create_dir_all(root.join("a/b/baselines")).unwrap();
        assert_eq!(project(), root.join("a/b"), "the nearest");
        std::fs::remove_dir(root.join("a/b/baselines")).unwrap();
        std::fs::write(root.join("a/b/baselines"), "a file").unwrap();
        assert_eq!(project(), root);
    }
}
