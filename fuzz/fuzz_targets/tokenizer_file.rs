//! A whole `tokenizer.json` of arbitrary bytes, then a text through it; after a NUL, the text.
#![no_main]

use karat::engine::models::model_folder::ModelFolder;
use karat::engine::tokenizer::Tokenizer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (file, text) = karat_fuzz::two(data);
    let (folder, _) = karat_fuzz::file("tokenizer.json", file);
    let tokenizer = match Tokenizer::from_folder(&ModelFolder::new(folder)) {
        Ok(tokenizer) => tokenizer,
        Err(error) => return karat_fuzz::shown(&error),
    };
    let text = String::from_utf8_lossy(text);
    let cut = tokenizer.cutting_at(8);
    for encoded in [tokenizer.encode(&text, true), tokenizer.encode_segments(&text, Some("b")).map(|(ids, _)| ids)] {
        match encoded {
            Ok(ids) => drop(tokenizer.decode(&ids, false)),
            Err(error) => karat_fuzz::shown(&error),
        }
    }
    let _ = cut.map(|cut| cut.encode_segments(&text, None));
});
