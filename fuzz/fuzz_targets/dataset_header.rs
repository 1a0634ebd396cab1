//! Headers of datasets from arbitrary bytes: refused with a place or read; after a NUL, rows that are held against the schema.
#![no_main]

use std::path::Path;

use karat::dataset::{Header, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (header, rows) = karat_fuzz::two(data);
    let header = match Header::parse(header, Path::new("x.jsonl.yaml")) {
        Ok(header) => header,
        Err(error) => {
            karat_fuzz::shown(&error);
            assert!(error.location().is_some(), "no place: {}", error.chain());
            return;
        }
    };
    assert!(!header.version.trim().is_empty());
    assert!(header.changelog.first().is_none_or(|newest| newest.version == header.version));
    let Some(schema) = &header.schema else { return };
    let (_folder, path) = karat_fuzz::file("x.jsonl", rows);
    let Ok(source) = Source::file(path) else { return };
    let read = source.each_row(|row| {
        let _ = (schema.faults(row), schema.unknown(row));
    });
    if let Err(error) = read {
        karat_fuzz::shown(&error);
    }
});
