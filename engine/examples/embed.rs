//! Compares texts by their embeddings: `cargo run --release -p karat-engine --example embed -- MODEL_FOLDER`.

#![expect(clippy::print_stdout, reason = "a program")]

use karat_engine::models::model_folder::ModelFolder;
use karat_engine::options::EngineOptions;
use karat_engine::{Embedder, Long, Reading, TextInput, Unread};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = ModelFolder::new(std::env::args().nth(1).ok_or("name a model folder")?);
    let mut embedder = Embedder::open(&folder, None, true, &EngineOptions::default())?;

    let texts = ["Where is my order?", "When will my parcel arrive?", "How do I change my password?"];
    let inputs =
        texts.into_iter().map(|text| Ok(TextInput { text: text.into(), text_pair: None, long: Long::default() }));
    let mut vectors = vec![Vec::<f32>::new(); texts.len()];
    let sink = |number: u64, read: Result<Reading<Vec<f32>>, Unread>| {
        match read {
            // Longer texts have a vector for each of their windows.
            Ok(reading) => vectors[number as usize].extend(reading.values().flat_map(|(_, vector)| vector)),
            Err(why) => println!("not read: {why}"),
        }
        Ok(())
    };
    embedder.embed(inputs, sink, |_| Ok(()))?;
    for (text, vector) in texts.iter().zip(&vectors) {
        let similarity: f32 = vector.iter().zip(&vectors[0]).map(|(a, b)| a * b).sum();
        println!("{similarity:.4}  {text}");
    }
    Ok(())
}
