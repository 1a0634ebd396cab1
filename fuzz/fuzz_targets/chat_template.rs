//! Chat templates from arbitrary text, with the messages after a NUL (or a plain conversation).
#![no_main]

use karat::engine::chat::{ChatTemplate, Clock};
use karat::engine::{ChatOptions, Message};
use karat::engine::tokenizer::special_tokens::SpecialTokens;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|data: &[u8]| {
    let (source, messages) = karat_fuzz::two(data);
    let Ok(source) = std::str::from_utf8(source) else { return };
    let messages: Vec<Message> = serde_json::from_slice(messages).unwrap_or_else(|_| {
        let plain = json!([{"role": "user", "content": "Hé"}, {"role": "assistant", "content": ["a", 1, null, {"b": 2.5}]}]);
        serde_json::from_value(plain).expect("messages")
    });
    let tokens = json!({"bos_token": "<s>", "eos_token": "</s>"});
    let tokens = SpecialTokens::from_map(tokens.as_object().expect("an object"));
    match ChatTemplate::new(source, tokens) {
        Ok(template) => match template.render(&messages, &ChatOptions::default(), &Clock::default()) {
            Ok(_) => {}
            Err(error) => karat_fuzz::shown(&error),
        },
        Err(error) => karat_fuzz::shown(&error),
    }
});
