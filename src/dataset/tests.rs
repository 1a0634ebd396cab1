//! Tests of the whole way from bytes to cases.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::error::Result;
use crate::hash::sha256;

fn read(name: &str, bytes: &[u8]) -> Vec<Result<Sample>> {
    let source = Source::file(name).unwrap();
    match source.read(Box::new(std::io::Cursor::new(bytes.to_vec()))) {
        Ok(samples) => samples.collect(),
        Err(error) => vec![Err(error)],
    }
}

fn good(name: &str, text: &str) -> Vec<Sample> {
    read(name, text.as_bytes()).into_iter().map(|sample| sample.unwrap()).collect()
}

fn error(name: &str, bytes: impl AsRef<[u8]>) -> String {
    let error = read(name, bytes.as_ref()).into_iter().find_map(Result::err).expect("an error");
    error.to_string()
}

#[test]
fn reads_the_pinned_spellings() {
    for key in ["target", "ideal", "expected", "expected_output", "answer", "gold", "reference", "references"] {
        for input in ["input", "prompt", "question", "query"] {
            let samples = good("a.jsonl", &json!({ input: "Q", key: ["A", 2, true], "extra": 1 }).to_string());
            assert_eq!(samples[0].target, ["A", "2", "true"]);
            assert_eq!(samples[0].input, Input::Text("Q".into()));
            assert_eq!(samples[0].metadata["extra"], 1);
        }
    }
}

#[test]
fn numbers_of_targets_and_choices_keep_their_text() {
    for number in [
        "12345678901234567890123",
        "-12345678901234567890123",
        "1.10",
        "1e400",
        "1E-3",
        "1.0",
        "-0",
        "18446744073709551616",
        "7",
    ] {
        let line = format!(
            r#"{{"input":"a","answer":{number},"choices":["x",{number},true],"score":1.50,"metadata":{{"n":[1e5]}}}}"#
        );
        for (name, text) in [("a.jsonl", line.clone()), ("a.json", format!("[{line}]"))] {
            let sample = &good(name, &text)[0];
            assert_eq!(sample.target, [number], "{name}");
            assert_eq!(sample.numeric_targets, [0], "{name}");
            assert_eq!(sample.choices, ["x", number, "true"], "{name}");
            assert_eq!((&sample.metadata["score"], &sample.metadata["n"]), (&json!(1.5), &json!([1e5])));
        }
        let list = format!(r#"{{"input":"a","target":[{number}, "b" ,1]}}"#);
        assert_eq!(good("a.jsonl", &list)[0].target, [number, "b", "1"]);
        assert_eq!(good("a.jsonl", &list)[0].numeric_targets, [0, 2]);
        let text = format!(r#"{{"input":"a","target":["{number}",true],"choices":[{number}]}}"#);
        assert_eq!(good("a.jsonl", &text)[0].numeric_targets, [0; 0]);
    }
    // Where a float must hold the number it still has to.
    for bad in [
        r#"{"input":"a","score":1e400}"#,
        r#"{"input":"a","target":1e400,"x":1e400}"#,
        r#"{"input":"a","target":[[1e400]]}"#,
    ] {
        assert!(error("a.jsonl", bad).starts_with("the JSON is not valid: number out of range (a.jsonl:1:"), "{bad}");
    }
    assert!(error("a.jsonl", r#"{"input":"a","target":1.5,"target":1}"#).contains("given twice"));
    assert!(error("a.jsonl", r#"{"input":"a","target":{"a":1.5}}"#).contains("it is an object"));
}

#[test]
fn ids_are_text_integers_or_from_the_content() {
    let samples = good(
        "a.jsonl",
        "\u{feff}{\"id\": 7, \"input\": \"a\"}\r\n\n{\"input\":\"b\",\"answer\":\"x\"}\n{\"gold\":\"x\",\"query\":\"c\"}",
    );
    assert_eq!(samples.iter().map(|s| s.line).collect::<Vec<_>>(), [1, 3, 4]);
    assert_eq!(samples[0].id, "7");
    assert_eq!(samples[1].id.len(), 16);
    let other = good("a.json", r#"[{"reference": "x", "prompt": "b"}]"#);
    assert_eq!(samples[1].id, other[0].id);
    assert_ne!(samples[1].id, samples[2].id);
}

#[test]
fn broken_cases_say_where_and_what() {
    let table: &[(&str, &[u8], &str)] = &[
        ("a.jsonl", b"", "the dataset is empty (a.jsonl)"),
        ("a.jsonl", b"\n \n", "the dataset is empty (a.jsonl)"),
        ("a.json", b"[]", "the dataset is empty (a.json)"),
        ("a.csv", b"input,target\n", "the dataset is empty (a.csv)"),
        ("a.jsonl", b"{\"input\": \"a\"}\n{\"input\": }\n", "the JSON is not valid: expected value (a.jsonl:2:11)"),
        ("a.jsonl", b"[1]\n", "the case is not valid: invalid type: sequence, expected an object (a.jsonl:1:1)"),
        ("a.jsonl", b"{\"input\":\"a\xff\"}\n", "the text is not valid UTF-8 (a.jsonl:1:12)"),
        ("a.jsonl", b"{\"target\":\"a\"}\n", "the case has no `input` (a.jsonl:1)"),
        (
            "a.jsonl",
            b"{\"input\":1}\n",
            "`input` of the case must be text or a list of messages; it is a number (a.jsonl:1)",
        ),
        (
            "a.jsonl",
            b"{\"prompt\":\"a\",\"query\":\"b\"}",
            "`prompt` and `query` of the case both mean input (a.jsonl:1)",
        ),
        (
            "a.jsonl",
            b"{\"input\":\"a\",\"input\":\"b\"}",
            "the case is not valid: key `input` is given twice (a.jsonl:1:20)",
        ),
        (
            "a.jsonl",
            b"{\"id\":1,\"input\":\"a\"}\n\n{\"id\":\"1\",\"input\":\"b\"}",
            "the id `1` is used on line 1 and again on line 3 (a.jsonl:3)",
        ),
        (
            "a.jsonl",
            b"{\"input\":\"a\"}\n{\"prompt\":\"a\"}",
            "line 2 is equal to line 1, and neither has an id (a.jsonl:2)",
        ),
        (
            "a.jsonl",
            b"{\"input\":[{\"role\":\"user\"}]}",
            "message 1 of `input` has no `content`, and nothing else that a model could see (a.jsonl:1)",
        ),
        ("a.jsonl", b"{\"input\":[]}", "`input` of the case is a conversation without messages (a.jsonl:1)"),
        (
            "a.jsonl",
            b"{\"id\":1.5,\"input\":\"a\"}",
            "`id` of the case must be text or a whole number; it is a number (a.jsonl:1)",
        ),
        (
            "a.jsonl",
            b"{\"input\":\"a\",\"target\":{}}",
            "`target` of the case must be text, a number, a bool or a list of these; it is an object (a.jsonl:1)",
        ),
        (
            "a.jsonl",
            b"{\"input\":\"a\",\"checks\":[{}]}",
            "every entry of `checks` must be a map with one key (a.jsonl:1)",
        ),
        ("a.json", b"{\"a\":1}", "the array does not begin with `[` (a.json:1:1)"),
        ("a.json", b"[{\"input\":\"a\"},\n", "the file ends before the array's `]` (a.json:2:1)"),
        ("a.json", b"[{\"input\":\"a\"},]", "the JSON is not valid: EOF while parsing a value (a.json:1:16)"),
        (
            "a.json",
            b"[\n {\"input\":\"a\"},\n {\"input\":\n  x}]",
            "the JSON is not valid: expected value (a.json:4:3)",
        ),
        ("a.json", b"[{\"input\":\"a\"}] x", "there is more after the array's `]` (a.json:1:17)"),
        ("a.csv", b"input,target\na,b,c\n", "the row has 3 cells, the header 2 (a.csv:2)"),
        ("a.csv", b"input,target\na,b\n\"c,d\n", "the row has a quote that is never closed (a.csv:3:1)"),
        ("a.csv", b"input,target\n\"a\"b,c\n", "the row has text after a closing quote (a.csv:2:4)"),
        ("a.csv", b"input,input\n", "column `input` is given twice (a.csv:1)"),
        ("a.csv", b"input,choices\na,b\n", "the cell `choices` of the case is not JSON (a.csv:2)"),
    ];
    for (name, bytes, expected) in table {
        assert_eq!(error(name, bytes), *expected, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn missing_files_and_unknown_endings() {
    let error = Source::file("/nowhere/a.jsonl").unwrap().open().err().unwrap();
    assert!(
        error.chain().starts_with("failed to open the dataset `a`: failed to open `/nowhere/a.jsonl`"),
        "{}",
        error.chain()
    );
    assert!(Source::file("a.parquet").unwrap_err().hint().unwrap().contains(".jsonl"));
}

#[test]
fn csv_keeps_line_breaks_commas_and_quotes() {
    let text =
        "\u{feff}id,question,answer,tags,note\r\n1,\"a, \"\"b\"\"\nc\",x,\"[\"\"t\"\",\"\"u\"\"]\",\r\n\r\n2,d,,v,n";
    let samples = good("a.csv", text);
    assert_eq!(samples.len(), 2);
    assert_eq!(samples[0].input, Input::Text("a, \"b\"\nc".into()));
    assert_eq!((samples[0].line, samples[1].line), (2, 5));
    assert_eq!(samples[0].tags, ["t", "u"]);
    assert!(samples[0].metadata.is_empty() && samples[1].target.is_empty());
    assert_eq!((samples[1].tags.as_slice(), &samples[1].metadata["note"]), (&["v".to_owned()][..], &json!("n")));
}

#[test]
fn columns_without_a_name_go_by_their_number() {
    let samples = good("a.csv", ",input\n0,a\n");
    assert_eq!(samples[0].metadata["column_1"], "0");
}

#[test]
fn limit_stops_early_and_bad_lines_do_not_stop_the_stream() {
    let mut source = Source::file("a.jsonl").unwrap();
    source.limit = Some(2);
    let text = "{\"input\":\"a\"}\nx\n{\"input\":\"b\"}\n{\"input\":\"c\"}\n";
    let results: Vec<_> = source.read(Box::new(text.as_bytes())).unwrap().collect();
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
}

/// The file of a source, read first, then again with other bytes in its place.
fn reread(name: &str, limit: Option<usize>, bytes: &[u8], later: &[u8]) -> (String, Vec<Result<Sample>>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let source = Source { limit, ..Source::file(&path).unwrap() };
    let mut samples = source.open().unwrap();
    samples.by_ref().for_each(|sample| drop(sample.unwrap()));
    let digest = samples.finish().unwrap();
    std::fs::write(&path, later).unwrap();
    let again = source.reopen(&digest).map_or_else(|error| vec![Err(error)], Iterator::collect);
    (digest.sha256().to_owned(), again)
}

#[test]
fn the_hash_is_of_the_bytes_that_were_parsed_and_other_bytes_are_refused() {
    let packed = |text: &str| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packer, text.as_bytes()).unwrap();
        packer.finish().unwrap()
    };
    let lines: String = (0..20_000).map(|n| format!("{{\"id\":{n},\"input\":\"case {n}\"}}\n")).collect();
    let array = format!("[{}]", lines.trim_end().replace('\n', ","));
    let table: String = (0..20_000).map(|n| format!("{n},case {n}\n")).collect();
    let table = format!("\u{feff}id,input\n{table}");
    let files: [(&str, Vec<u8>, Vec<u8>); 6] = [
        ("a.jsonl", lines.clone().into_bytes(), lines.replace("case 19999", "CASE 19999").into_bytes()),
        ("a.json", array.clone().into_bytes(), array.replace("case 19999", "CASE 19999").into_bytes()),
        ("a.csv", table.clone().into_bytes(), table.replace("case 19999", "CASE 19999").into_bytes()),
        ("a.tsv", table.replace(',', "\t").into_bytes(), table.replace(',', "\t").replace("19998", "1x").into_bytes()),
        ("a.jsonl.gz", packed(&lines), packed(&lines.replace("case 19999", "CASE 19999"))),
        ("b.csv", packed(&table), packed(&table.replace("case 19999", "CASE 19999"))),
    ];
    for (name, bytes, other) in files {
        for limit in [None, Some(3)] {
            let (hash, again) = reread(name, limit, &bytes, &bytes);
            assert_eq!(hash, sha256(&bytes), "{name} {limit:?}");
            assert_eq!(again.len(), limit.unwrap_or(20_000), "{name}");
            assert!(again.iter().all(Result::is_ok), "{name}");
        }
        let (_, again) = reread(name, None, &bytes, &other);
        let error = again.iter().find_map(|sample| sample.as_ref().err()).expect("an error");
        assert!(error.chain().contains("was changed during the run"), "{name}: {error}");
        let changed = |sample: &Sample| matches!(&sample.input, Input::Text(text) if text.contains("CASE"));
        assert!(!again.iter().flatten().any(changed), "{name}: nothing of a changed block comes out");
    }
    // Shorter, longer, gone.
    let (_, again) = reread("a.jsonl", None, lines.as_bytes(), &lines.as_bytes()[..lines.len() - 30]);
    assert!(again.last().unwrap().as_ref().unwrap_err().chain().contains("was changed"));
    let longer = format!("{lines}{{\"input\":\"x\"}}\n");
    assert!(reread("a.jsonl", None, lines.as_bytes(), longer.as_bytes()).1.iter().any(Result::is_err));
    let (hash, again) = reread("a.jsonl", Some(1), b"{\"input\":\"a\"}\n{\"input\":\"b\"}\n", b"");
    assert_eq!(hash, sha256(b"{\"input\":\"a\"}\n{\"input\":\"b\"}\n"), "a limit leaves nothing of the file unhashed");
    assert!(again[0].is_err());
}

#[test]
fn tables_of_other_separators_are_read_or_named() {
    let rows = good("a.tsv", "id\tinput\ttarget\r\n1\t\"a\tb\"\tx, y\r\n");
    assert_eq!((&rows[0].input, rows[0].target.as_slice()), (&Input::Text("a\tb".into()), &["x, y".to_owned()][..]));
    let mut source = Source::file("a.csv").unwrap();
    source.separator = source.format.separator(Some(';')).unwrap();
    let rows: Vec<_> = source.read(Box::new("id;input\n1;a,b\n".as_bytes())).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows[0].input, Input::Text("a,b".into()));
    for (name, text, told) in [
        ("a.csv", "id;input;target\n1;a;b\n", "separated by semicolons, not by commas"),
        ("a.csv", "id\tinput\n1\ta\n", "separated by tabs, not by commas"),
        ("a.tsv", "id,input\n1,a\n", "separated by commas, not by tabs"),
        ("a.csv", "id,input\n1,a\rb\n", "a carriage return in a cell without quotes"),
    ] {
        assert!(error(name, text).contains(told), "{}", error(name, text));
    }
    assert!(Format::Jsonl.separator(Some(';')).is_err() && Format::Csv.separator(Some('"')).is_err());
    assert!(Format::Csv.separator(Some('é')).is_err());
}

#[test]
fn lines_that_end_in_a_carriage_return_alone_are_lines() {
    let unix = [
        ("a.jsonl", "{\"id\":1,\"input\":\"a\"}\n{\"id\":2,\"input\":\"b\"}\n"),
        ("a.json", "[\n{\"id\":1,\"input\":\"a\"},\n{\"id\":2,\"input\":\"b\"}\n]"),
        ("a.csv", "id,input\n1,a\n2,b\n"),
    ];
    for (name, text) in unix {
        assert_eq!(good(name, &text.replace('\n', "\r")), good(name, text), "{name}");
        let windows: Vec<Sample> = good(name, &text.replace('\n', "\r\n"));
        assert_eq!(windows, good(name, text), "{name}");
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::hash_map("[a-z]{1,4}", inner, 0..3)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn input() -> impl Strategy<Value = Input> {
    let message = (".{1,6}", ".{0,10}").prop_map(|(role, content)| {
        let mut map = Map::new();
        map.insert("role".into(), role.into());
        map.insert("content".into(), content.into());
        map
    });
    prop_oneof![".{0,20}".prop_map(Input::Text), prop::collection::vec(message, 1..3).prop_map(Input::Messages)]
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let texts = || prop::collection::vec(".{0,6}", 0..3);
    let metadata = prop::collection::hash_map("[a-z]{1,4}", json_value(), 0..3);
    let one = (input(), texts(), texts(), prop::option::of(".{0,6}"), texts(), metadata);
    prop::collection::vec(one, 1..6).prop_map(|all| {
        let numbered = all.into_iter().enumerate();
        numbered
            .map(|(index, (input, target, choices, context, tags, metadata))| Sample {
                id: format!("case {index}"),
                input,
                target,
                numeric_targets: Vec::new(),
                choices,
                context,
                tags,
                metadata: metadata.into_iter().collect(),
                checks: vec![json!({ "contains": { "text": index } })],
                line: index as u64 + 1,
                row: None,
                gold: Vec::new(),
                shots: Vec::new(),
            })
            .collect()
    })
}

fn lines(samples: &[Sample]) -> String {
    samples.iter().map(|sample| to_json(sample).to_string() + "\n").collect()
}

proptest! {
    #[test]
    fn any_samples_survive_writing_and_reading(samples in samples()) {
        prop_assert_eq!(&good("a.jsonl", &lines(&samples)), &samples);
        let array = Value::Array(samples.iter().map(to_json).collect());
        let mut read = good("a.json", &serde_json::to_string_pretty(&array).unwrap());
        for (index, sample) in read.iter_mut().enumerate() {
            sample.line = index as u64 + 1;
        }
        prop_assert_eq!(&read, &samples);
    }

    #[test]
    fn content_ids_ignore_key_order(sample in samples().prop_map(|mut all| all.remove(0))) {
        let mut shuffled = sample.clone();
        shuffled.metadata = sample.metadata.iter().rev().map(|(k, v)| (k.clone(), v.clone())).collect();
        prop_assert_eq!(content_id(&sample), content_id(&shuffled));
    }

    #[test]
    fn broken_bytes_never_panic(samples in samples(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..8)) {
        let array = Value::Array(samples.iter().map(to_json).collect()).to_string();
        let table = "id,input,tags\n1,\"a\nb\",\"[]\"\n2,c,d\n".to_owned();
        for (name, text) in [("a.jsonl", lines(&samples)), ("a.json", array), ("a.csv", table)] {
            let mut bytes = text.into_bytes();
            for (index, byte, action) in &changes {
                let at = index.index(bytes.len().max(1));
                match action {
                    0 if at < bytes.len() => bytes[at] = *byte,
                    1 => bytes.insert(at.min(bytes.len()), *byte),
                    _ => bytes.truncate(at),
                }
            }
            for result in read(name, &bytes) {
                if let Err(error) = result {
                    prop_assert!(error.location().is_some());
                }
            }
        }
    }
}
