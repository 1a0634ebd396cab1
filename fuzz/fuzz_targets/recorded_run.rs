//! Saved runs and recorded answers: result lines, manifests, verdicts, and the lines of `karat score --responses`.
#![no_main]

use karat::record::{Lines, Manifest, VerdictFile};
use karat::dataset::UnknownKeys;
use karat::run::{Recorded, Watch};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (_, path) = karat_fuzz::file("results.jsonl", data);
    let mut last = None;
    for line in Lines::open(&path).expect("opens") {
        match line {
            Ok(line) => {
                let key = (line.dataset.clone(), line.id.clone());
                assert!(last.as_ref().is_none_or(|last| *last < key), "not sorted");
                last = Some(key);
            }
            Err(error) => karat_fuzz::shown(&error),
        }
    }
    if let Err(error) = Manifest::parse(&path, data) {
        karat_fuzz::shown(&error);
    }
    if let Err(error) = VerdictFile::parse(&path, data) {
        karat_fuzz::shown(&error);
    }
    if let Err(error) = Recorded::open(&path, UnknownKeys::Allow, Watch { event: &|_| {}, stop: &|| Ok(()) }) {
        karat_fuzz::shown(&error);
    }
});
