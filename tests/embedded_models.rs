//! The models that the repository carries: every entry holds, and every model folder below `models/` belongs to an entry.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use karat::engine::hub::registry::{Found, visible};
use karat::engine::models::model_folder::ModelFolder;

fn repository() -> PathBuf {
    std::fs::canonicalize(env!("CARGO_MANIFEST_DIR")).unwrap()
}

/// The entries of the repository as they are found from the fixtures, whose own come first.
fn entries() -> Vec<Found> {
    let own = |path: &PathBuf| std::fs::canonicalize(path).unwrap().starts_with(repository());
    let paths = visible(&repository().join("tests/fixtures")).unwrap().into_values().filter(own);
    paths.map(|path| Found::read(&path).unwrap_or_else(|error| panic!("{error:?}"))).collect()
}

/// Every folder below `folder` that holds weights.
fn with_weights(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            with_weights(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "safetensors") {
            found.insert(std::fs::canonicalize(folder).unwrap());
        }
    }
}

#[test]
fn every_entry_is_what_its_files_are() {
    let entries = entries();
    assert!(!entries.is_empty());
    for found in entries {
        let Some(folder) = found.local() else { panic!("{:?}", found.lost()) };
        let folder = ModelFolder::new(folder);
        let problems = found.check(&folder);
        assert!(problems.is_empty(), "{problems:?}");
        found.check_claims(&folder).unwrap_or_else(|error| panic!("{error:?}"));
    }
}

#[test]
fn every_folder_with_weights_belongs_to_an_entry() {
    let mut folders = BTreeSet::new();
    with_weights(&repository().join("models"), &mut folders);
    for found in entries() {
        if let Some(folder) = found.local() {
            folders.remove(&std::fs::canonicalize(folder).unwrap());
        }
    }
    assert!(folders.is_empty(), "no entry names {folders:?}; scripts/registry_entry.py writes one");
}
