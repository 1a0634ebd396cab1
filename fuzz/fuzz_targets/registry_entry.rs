//! Registry entries from arbitrary bytes: refused with a place or read, and then nothing in them leaves the folder.
#![no_main]

use std::path::{Component, Path};

use karat::engine::hub::registry::{Entry, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let path = Path::new("random-tiny@1.yaml");
    match Entry::parse(text, path) {
        Ok(entry) => {
            let folder = match &entry.source {
                Source::Folder(folder) => Some(folder),
                Source::Hub { .. } => None,
            };
            for inside in entry.files.keys().chain(folder).chain(&entry.card) {
                assert!(Path::new(inside.as_str()).components().all(|part| matches!(part, Component::Normal(_))));
            }
        }
        Err(error) => {
            karat_fuzz::shown(&error);
            assert!(error.location().is_some(), "no place: {}", error.chain());
        }
    }
});
