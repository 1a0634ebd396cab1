//! Dataset files in every format, from arbitrary bytes: the first byte chooses the format.
#![no_main]

use karat::dataset::{FieldMap, Format, Kind, Source, content_id};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    let format = [Format::Jsonl, Format::Json, Format::Csv, Format::Tsv][usize::from(choice % 4)];
    let separator = format.separator(None).expect("its own");
    let (name, kind, path, fields) = ("fuzz".into(), Kind::Golden, "fuzz".into(), FieldMap::default());
    let source = Source { name, kind, path, format, separator, fields, limit: None };
    let samples = match source.read(Box::new(std::io::Cursor::new(bytes.to_vec()))) {
        Ok(samples) => samples,
        Err(error) => return karat_fuzz::shown(&error),
    };
    // Every byte can end at most one record: a stream that goes on for longer does not advance.
    for (count, sample) in samples.enumerate() {
        assert!(count <= bytes.len() + 1, "the stream never ends");
        match sample {
            Ok(sample) => assert!(!content_id(&sample).is_empty()),
            Err(error) => karat_fuzz::shown(&error),
        }
    }
});
