//! Dataset files in every format, from arbitrary bytes: the first byte chooses the format.
#![no_main]

use karat::dataset::{Field, FieldMap, Format, Ids, Kind, Source, content_id};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((choice, bytes)) = data.split_first() else { return };
    let format = [Format::Jsonl, Format::Json, Format::Csv, Format::Tsv][usize::from(choice % 4)];
    let separator = format.separator(None).expect("its own");
    // As templates of a suite see rows, too.
    let fields = if choice & 4 == 0 { FieldMap::default() } else { FieldMap::default().with_rows(vec![Field::Input]) };
    let ids = if choice & 8 == 0 { Ids::Content } else { Ids::Row };
    let (name, kind, path) = ("fuzz".into(), Kind::Golden, "fuzz".into());
    let source = Source { name, kind, path, format, separator, fields, limit: None, ids, derive: None };
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
