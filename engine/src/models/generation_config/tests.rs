//! Settings of generation_config.json in the forms that transformers takes, and in those that it refuses.

use serde_json::json;

use super::*;
use crate::request::Sampling;

fn read(value: &Value) -> Result<GenerationConfig> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(FILE), value.to_string()).expect("written");
    GenerationConfig::read(&ModelFolder::new(folder.path()))
}

#[test]
fn processors_are_read_in_every_form_that_transformers_takes() {
    let file = read(&json!({
        "repetition_penalty": 2, "no_repeat_ngram_size": 3.0, "bad_words_ids": [[5, 6.0], [7]], "min_length": -1,
        "min_new_tokens": null, "suppress_tokens": [4, -1, 9e12], "begin_suppress_tokens": [],
        "sequence_bias": [[[1, 2], -3]], "forced_eos_token_id": 5, "do_sample": true, "temperature": 0.6, "frequency_penalty": 9,
    }));
    let right = ProcessorOptions {
        repetition_penalty: Some(2.0),
        no_repeat_ngram_size: Some(3),
        bad_words_ids: Some(vec![vec![5, 6], vec![7]]),
        min_length: Some(0),
        suppress_tokens: Some(vec![4]),
        begin_suppress_tokens: Some(vec![]),
        sequence_bias: Some(vec![(vec![1, 2], -3.0)]),
        forced_eos_token_id: Some(vec![5]),
        ..ProcessorOptions::default()
    };
    let file = file.expect("read");
    assert_eq!(file.processors, right);
    assert!(file.notes(&GenerateOptions::default(), 9).is_empty(), "sampling is the call's own");
}

#[test]
fn what_cannot_be_is_an_error_that_names_it() {
    for (name, value) in [
        ("repetition_penalty", json!("1.5")),
        ("repetition_penalty", json!(0)),
        ("no_repeat_ngram_size", json!(2.5)),
        ("bad_words_ids", json!([5])),
        ("bad_words_ids", json!([[-1]])),
        ("suppress_tokens", json!(5)),
        ("suppress_tokens", json!(["5"])),
        ("sequence_bias", json!([[[5]]])),
        ("forced_eos_token_id", json!("</s>")),
        ("eos_token_id", json!("</s>")),
        ("eos_token_id", json!("2")),
        ("eos_token_id", json!(2.5)),
        ("eos_token_id", json!(true)),
        ("eos_token_id", json!([null, 2])),
        ("eos_token_id", json!([[2]])),
        ("eos_token_id", json!({"id": 2})),
    ] {
        let error = read(&json!({ name: value })).expect_err(&value.to_string());
        assert!(error.chain().contains(name) && error.location().is_some(), "{}", error.chain());
    }
    assert!(read(&json!([1])).is_err());
}

#[test]
fn what_is_not_applied_is_told() {
    let file = read(&json!({
        "num_beams": 4, "num_beam_groups": 1, "guidance_scale": 1.0, "encoder_repetition_penalty": 1.2, "stop_strings": ["a"],
        "remove_invalid_values": false, "min_p": 0.1, "typical_p": 1.0, "max_time": null, "cache_implementation": "static",
    }));
    let (file, greedy) = (file.expect("read"), GenerateOptions::default());
    let told = |field: &str| format!("generation_config.json sets `{field}`, which karat does not apply");
    let always = [told("encoder_repetition_penalty: 1.2"), told("num_beams: 4"), told("stop_strings: [\"a\"]")];
    assert_eq!(file.notes(&greedy, 9), always);
    let sampled = Sampling { temperature: 1.0, ..Sampling::default() };
    let notes = file.notes(&GenerateOptions { sampling: sampled, ..greedy.clone() }, 9);
    assert_eq!(notes, [&always[..], &[told("min_p: 0.1")]].concat());
    assert!(file.notes(&GenerateOptions { generation_config: FileUse::Ignore, ..greedy }, 9).is_empty());
}

/// As transformers has it: who suppresses a token that there is not suppresses nothing; who forces one fails.
#[test]
fn tokens_beyond_the_vocabulary_are_told_or_refused() {
    let file = read(&json!({"suppress_tokens": [4, -1, 9], "begin_suppress_tokens": [12]})).expect("read");
    let options = GenerateOptions::default();
    let notes = file.notes(&options, 9);
    assert!(
        notes[0].starts_with("`suppress_tokens` 9 of generation_config.json is not in the vocabulary of 9"),
        "{notes:?}"
    );
    assert!(notes[1].starts_with("`begin_suppress_tokens` 12"), "{notes:?}");
    assert!(notes.len() == 2 && file.notes(&options, 13).is_empty());
    file.check(&[1], 9).expect("as in transformers");
    let processors = file.processors(&options, &[1], 9).expect("possible").expect("some");
    assert_eq!(*processors.options(), ProcessorOptions { suppress_tokens: Some(vec![4]), ..Default::default() });
    for name in ["forced_bos_token_id", "forced_eos_token_id"] {
        let error = read(&json!({ name: 9 })).expect("read").check(&[1], 9).expect_err("beyond");
        assert!(error.chain().contains(name) && error.location().is_some(), "{}", error.chain());
    }
    // What the call asks for is a mistake of the call.
    let mut asked = GenerateOptions::default();
    asked.processors.suppress_tokens = Some(vec![9]);
    assert!(file.processors(&asked, &[1], 9).is_err() && file.processors(&asked, &[1], 10).is_ok());
}

#[test]
fn config_json_counts_where_there_is_no_file_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, value: Value| {
        std::fs::write(folder.path().join(name), value.to_string()).expect("written");
    };
    write("config.json", json!({"repetition_penalty": 1.5, "num_beams": 3, "eos_token_id": 4}));
    let file = GenerationConfig::read(&ModelFolder::new(folder.path())).expect("read");
    assert_eq!(file.processors.repetition_penalty, Some(1.5));
    assert_eq!(
        file.notes(&GenerateOptions::default(), 9),
        ["config.json sets `num_beams: 3`, which karat does not apply"]
    );
    write(FILE, json!({}));
    assert_eq!(
        GenerationConfig::read(&ModelFolder::new(folder.path())).expect("read").processors,
        ProcessorOptions::default()
    );
}

#[test]
fn what_is_asked_goes_before_the_file_or_instead_of_it() {
    let file = read(&json!({"repetition_penalty": 1.5, "min_new_tokens": 4})).expect("read");
    let mut options = GenerateOptions::default();
    options.processors.repetition_penalty = Some(1.0);
    let processors = file.processors(&options, &[1], 9).expect("possible").expect("some");
    assert_eq!(*processors.options(), ProcessorOptions { min_new_tokens: Some(4), ..Default::default() });
    options.generation_config = FileUse::Ignore;
    assert_eq!(file.processors(&options, &[1], 9).expect("possible"), None);
}

/// The end tokens of karat-mini's folder with other files.
fn end(files: &[(&str, Value)]) -> Result<EndTokens> {
    let folder = tempfile::tempdir().expect("a folder");
    let mini = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/karat-mini/2");
    for name in ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(mini.join(name), folder.path().join(name)).expect("copied");
    }
    for (name, value) in files {
        let path = folder.path().join(name);
        match value {
            Value::Null => std::fs::remove_file(path).expect("removed"),
            Value::Object(fields) if *name != FILE => {
                let mut merged: Value = serde_json::from_slice(&std::fs::read(&path).expect("there")).expect("JSON");
                fields.iter().for_each(|(key, value)| merged[key] = value.clone());
                std::fs::write(path, merged.to_string()).expect("written");
            }
            value => std::fs::write(path, value.to_string()).expect("written"),
        }
    }
    let (file, config) = (
        GenerationConfig::read(&ModelFolder::new(folder.path()))?,
        families::Config::read(&ModelFolder::new(folder.path()))?,
    );
    file.end_tokens(&config, &Tokenizer::from_folder(&ModelFolder::new(folder.path()))?, 2048)
}

#[test]
fn end_tokens_in_all_their_forms() {
    let ids = |files: &[(&str, Value)]| end(files).expect("read").ids;
    assert_eq!(end(&[]).expect("read"), EndTokens { ids: vec![1], notes: vec![] });
    for (value, right) in
        [(json!(5), vec![5]), (json!(5.0), vec![5]), (json!([5, 6]), vec![5, 6]), (json!([5.0]), vec![5])]
    {
        assert_eq!(ids(&[(FILE, json!({"eos_token_id": value}))]), right, "{value}");
        let config = [(FILE, Value::Null), ("config.json", json!({"eos_token_id": value}))];
        assert_eq!(ids(&config), right, "{value} of config.json");
        let nested = json!({"eos_token_id": null, "text_config": {"eos_token_id": value}});
        assert_eq!(ids(&[(FILE, Value::Null), ("config.json", nested)]), right, "{value} of text_config");
    }
    let elsewhere = [(FILE, Value::Null), ("config.json", json!({"eos_token_id": null}))];
    assert_eq!(ids(&elsewhere), [1], "the tokenizer's");
    let object = json!({"eos_token": {"content": "<|user|>", "special": true}});
    let other = ids(&[elsewhere[0].clone(), elsewhere[1].clone(), ("tokenizer_config.json", object)]);
    assert_ne!((other.len(), other[0]), (1, 1), "the tokenizer's own");
    let wrong = [("config.json", json!({"eos_token_id": "1"}))];
    assert!(end(&wrong).expect_err("a text").chain().contains("eos_token_id"));
}

#[test]
fn end_tokens_that_are_none_are_told() {
    let notes = |files: &[(&str, Value)]| end(files).expect("read").notes;
    for empty in [json!({}), json!({"eos_token_id": null})] {
        let told = end(&[(FILE, empty)]).expect("read");
        assert_eq!((told.ids, told.notes.len()), (vec![1], 1));
        assert!(told.notes[0].starts_with("generation_config.json names no end-of-sequence token"), "{:?}", told.notes);
    }
    let none = "no end-of-sequence token is known: answers end at max_new_tokens or a stop string";
    assert_eq!(notes(&[(FILE, json!({"eos_token_id": []}))]), [none]);
    let beyond = |id| format!("`eos_token_id` {id} is not in the vocabulary of 2048: no answer ends with it");
    assert_eq!(notes(&[(FILE, json!({"eos_token_id": [-1, 2048, 3]}))]), [beyond(-1), beyond(2048)]);
    assert_eq!(notes(&[(FILE, json!({"eos_token_id": -1}))]), [beyond(-1), none.to_owned()]);
    let nowhere = [
        (FILE, Value::Null),
        ("config.json", json!({"eos_token_id": null})),
        ("tokenizer_config.json", json!({"eos_token": null})),
    ];
    assert_eq!(notes(&nowhere), [none]);
}
