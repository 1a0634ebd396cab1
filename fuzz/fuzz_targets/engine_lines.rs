//! Input lines of the engine commands. The reader is private to the command line, hence the path.
#![no_main]
#![allow(dead_code)]

use karat::engine::Message;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

mod error {
    pub use karat::error::{Error, Result};
}
#[path = "../../src/cli/lines.rs"]
mod lines;

/// A line as `karat generate` takes it.
#[derive(serde::Deserialize)]
struct Line {
    #[serde(default)]
    id: Value,
    prompt: Option<String>,
    prompt_ids: Option<Vec<u32>>,
    messages: Option<Vec<Message>>,
    max_new_tokens: Option<usize>,
    seed: Option<u64>,
}

impl lines::Identified for Line {
    fn id(&self) -> &Value {
        &self.id
    }
}

fuzz_target!(|data: &[u8]| {
    let (_, path) = karat_fuzz::file("in.jsonl", data);
    for line in lines::Lines::<Line>::open(&path).expect("opens") {
        match line {
            Ok(line) => assert!(line.id.is_string() || line.id.is_number()),
            Err(error) => return karat_fuzz::shown(&error),
        }
    }
});
