//! Saved runs: result lines, and manifests.
#![no_main]

use karat::record::{Lines, Manifest};
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
});
