//! Sound files of every kind of model, changed at random: whatever becomes of them is an error of the file, an error of the text, or
//! tokens, and never a panic.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::Tokenizer;
use crate::models::model_folder::ModelFolder;

/// Files with merges, word pieces and sentence pieces.
const SOUND: [&str; 4] = [
    "tests/fixtures/models/llama",
    "tests/fixtures/models/bert-mean",
    "tests/fixtures/models/xlm-roberta",
    "models/karat-mini/2",
];

fn sound(at: usize) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(SOUND[at]).join("tokenizer.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A part of one of the kinds that there are, with settings that nobody would choose.
fn parts() -> Vec<Value> {
    let regex = |pattern: &str| json!({"Regex": pattern});
    let sequence = |key: &str, inner: Value| json!({"type": "Sequence", key: [inner]});
    let deep = |key: &str, last: Value| (0..50).fold(last, |inner, _| sequence(key, inner));
    vec![
        json!({"type": "Precompiled", "precompiled_charsmap": "AAAAAAAAAAAAAAAA"}),
        json!({"type": "Precompiled", "precompiled_charsmap": "/////wAAAAAAAAAA"}),
        json!({"type": "Precompiled", "precompiled_charsmap": "BAAAAP////9hYmMA"}),
        json!({"type": "Precompiled", "precompiled_charsmap": "?"}),
        json!({"type": "Precompiled", "precompiled_charsmap": 1}),
        json!({"type": "Replace", "pattern": {"String": ""}, "content": "ab"}),
        json!({"type": "Replace", "pattern": regex(""), "content": "ab"}),
        json!({"type": "Replace", "pattern": regex("("), "content": ""}),
        json!({"type": "Replace", "pattern": regex("(a+)+(?!b)"), "content": ""}),
        json!({"type": "Replace", "pattern": regex("(?:(?=a)a){1000000000}"), "content": ""}),
        json!({"type": "Replace", "pattern": regex("(?:a{1000}){1000}"), "content": ""}),
        json!({"type": "Replace", "pattern": regex(&"(".repeat(3000)), "content": ""}),
        json!({"type": "Prepend", "prepend": "▁▁"}),
        json!({"type": "Strip", "strip_left": true, "strip_right": true}),
        json!({"type": "Split", "pattern": {"String": ""}, "behavior": "Removed", "invert": true}),
        json!({"type": "Split", "pattern": regex("\\b|$|^"), "behavior": "MergedWithNext", "invert": false}),
        json!({"type": "FixedLength", "length": 0}),
        json!({"type": "FixedLength", "length": u64::MAX}),
        json!({"type": "Metaspace", "replacement": "", "prepend_scheme": "always", "split": true}),
        json!({"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}),
        json!({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "nope", "type_id": 0}}], "pair": [],
            "special_tokens": {}}),
        json!({"type": "TemplateProcessing", "single": [], "pair": [],
            "special_tokens": {"x": {"id": "x", "ids": [4_000_000_000u32], "tokens": []}}}),
        json!({"type": "TemplateProcessing", "single": "$B $B:7 $A", "pair": "$A", "special_tokens": {}}),
        json!({"type": "RobertaProcessing", "sep": ["</s>", 4_000_000_000u32], "cls": ["", 0], "trim_offsets": true,
            "add_prefix_space": true}),
        json!({"type": "Strip", "content": " ", "start": 900, "stop": 900}),
        json!({"type": "CTC", "pad_token": "", "word_delimiter_token": "", "cleanup": true}),
        json!({"type": "WordPiece", "prefix": "", "cleanup": true}),
        json!({"type": "BPEDecoder", "suffix": ""}),
        deep("normalizers", json!({"type": "NFC"})),
        deep("pretokenizers", json!({"type": "Whitespace"})),
        deep("processors", json!({"type": "ByteLevel"})),
        deep("decoders", json!({"type": "Fuse"})),
        sequence("normalizers", json!({"type": "Unknown"})),
    ]
}

/// What may stand anywhere.
fn values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(1u64 << 40),
        json!(u64::MAX),
        json!(1e308),
        json!(""),
        json!("\u{0}"),
        json!("a".repeat(3000)),
        json!([]),
        json!({}),
        json!([["a", "b"], ["ab", "ab"], ["", ""]]),
        json!(["a b", "x", " "]),
        json!({"": 0, "a": 4_000_000_000u32, "b": 4_000_000_000u32}),
        json!([["", 0.0], ["a", -1e308], ["a", 1e308], ["b", 0.0]]),
        json!([{"id": 7, "content": "a", "single_word": true, "lstrip": true, "rstrip": true, "normalized": true, "special": false},
            {"id": 4_000_000_000u32, "content": "", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            "special": true}]),
        json!({"direction": "Left", "max_length": 0, "strategy": "OnlySecond", "stride": 9}),
        json!({"strategy": {"Fixed": 1u64 << 40}, "direction": "Left", "pad_to_multiple_of": 0, "pad_id": 0, "pad_type_id": 0,
            "pad_token": ""}),
    ]
}

/// Puts a value where a path leads: keys from the root down, by numbers that choose among those that there are.
fn put(file: &mut Value, path: &[usize], value: Value) {
    let mut place = file;
    for step in path {
        let length = place.as_object().map_or(0, |map| map.len()).max(place.as_array().map_or(0, Vec::len));
        if length == 0 {
            break;
        }
        place = match place {
            Value::Object(map) => map.values_mut().nth(step % length).unwrap(),
            Value::Array(list) => &mut list[step % length],
            _ => unreachable!("it has no length"),
        };
    }
    *place = value;
}

/// Loads a file, and does with it whatever is done with one.
fn used(file: &Value) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), file.to_string()).unwrap();
    let Ok(tokenizer) = Tokenizer::from_folder(&ModelFolder::new(folder.path())) else { return };
    let cut = tokenizer.cutting_at(9);
    let long = format!("{} ", "aab ".repeat(300));
    for text in ["", "a", "Hé llo  wörld\n", "日本語 🙂\u{200d} ﷺ", "<s> [CLS] a</s>", &"a".repeat(400), &long]
    {
        let _ = tokenizer.encode_segments(text, Some("b c"));
        let _ = tokenizer.encode_plain(text);
        let _ = tokenizer.encode_pieces(text, 9);
        let _ = cut.as_ref().map(|cut| cut.encode_segments(text, None));
        let mut ids = tokenizer.encode(text, true).unwrap_or_default();
        assert!(ids.len() <= 100_000, "{} tokens of {} bytes", ids.len(), text.len());
        let _ = tokenizer.spaced(text, &ids);
        let _ = tokenizer.surround(&ids, Some(&[0, 1]));
        ids.extend([0, 1, 2, 40, 299, 4_000_000_000]);
        let mut stream = tokenizer.stream(false);
        ids.iter().take(40).for_each(|id| {
            stream.push(*id);
        });
        let (streamed, decoded) = (stream.finish(), tokenizer.decode(&ids[..ids.len().min(40)], false));
        assert!(decoded.is_err() || decoded.is_ok_and(|decoded| decoded == streamed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_changed_file_is_an_error_or_a_tokenizer(
        base in 0..SOUND.len(),
        part in prop::option::of((0usize..4, any::<prop::sample::Index>())),
        changes in prop::collection::vec((prop::collection::vec(0usize..1000, 1..5), any::<prop::sample::Index>()), 0..3),
    ) {
        let mut file = sound(base);
        if let Some((key, part)) = part {
            let key = ["normalizer", "pre_tokenizer", "post_processor", "decoder"][key];
            file[key] = part.get(&parts()).clone();
        }
        for (path, value) in changes {
            put(&mut file, &path, value.get(&values()).clone());
        }
        used(&file);
    }
}

/// Every part where it belongs, with every kind of model.
#[test]
fn parts_that_nobody_would_choose_are_errors_or_used() {
    for base in 0..3 {
        for part in parts() {
            for key in ["normalizer", "pre_tokenizer", "post_processor", "decoder"] {
                let mut file = sound(base);
                file[key] = part.clone();
                used(&file);
            }
        }
    }
}

/// The two of the reproduction: both are errors of the file that say what is wrong.
#[test]
fn a_template_without_its_token_and_a_broken_map_are_errors_of_the_file() {
    let refused = |key: &str, part: Value| {
        let mut file = sound(0);
        file[key] = part;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), file.to_string()).unwrap();
        let error = Tokenizer::from_folder(&ModelFolder::new(folder.path())).err().expect("refused");
        assert!(error.location().is_some_and(|place| place.path.ends_with("tokenizer.json")));
        error.message().to_owned()
    };
    let template = refused("post_processor", parts()[20].clone());
    assert!(template.contains("special token `nope`"), "{template}");
    let map = refused("normalizer", parts()[0].clone());
    assert!(map.contains("map of characters"), "{map}");
}
