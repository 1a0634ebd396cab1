//! A decoder of arbitrary JSON in an otherwise sound `tokenizer.json`, then text and ids through it; after a NUL, the text.
#![no_main]

use std::sync::LazyLock;

use karat::engine::models::model_folder::ModelFolder;
use karat::engine::tokenizer::Tokenizer;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static SOUND: LazyLock<Value> = LazyLock::new(|| {
    let text = std::fs::read_to_string(karat_fuzz::fixture("llama").join("tokenizer.json")).expect("a fixture");
    serde_json::from_str(&text).expect("JSON")
});

fuzz_target!(|data: &[u8]| {
    let (decoder, text) = karat_fuzz::two(data);
    let Ok(decoder) = serde_json::from_slice::<Value>(decoder) else { return };
    let mut json = SOUND.clone();
    json["decoder"] = decoder;
    let (folder, _) = karat_fuzz::file("tokenizer.json", json.to_string());
    let tokenizer = match Tokenizer::from_folder(&ModelFolder::new(folder)) {
        Ok(tokenizer) => tokenizer,
        Err(error) => return karat_fuzz::shown(&error),
    };
    let mut ids = tokenizer.encode(&String::from_utf8_lossy(text), true).expect("encodes");
    ids.extend([0, 1, 2, 40, 3, 60, 299, 77, 300]);
    let mut stream = tokenizer.stream(false);
    ids.iter().for_each(|id| {
        stream.push(*id);
        stream.held_back();
    });
    match tokenizer.decode(&ids, false) {
        Ok(text) => assert_eq!(text, stream.finish()),
        Err(error) => karat_fuzz::shown(&error),
    }
});
