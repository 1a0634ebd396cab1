//! Which continuation a model finds likelier: `cargo run --release -p karat-engine --example log_probabilities -- MODEL_FOLDER`.

#![expect(clippy::print_stdout, reason = "a program")]

use std::sync::Arc;

use karat_engine::chat::Clock;
use karat_engine::models::model_folder::ModelFolder;
use karat_engine::options::EngineOptions;
use karat_engine::render::Renderer;
use karat_engine::{Generator, LogProb, Scored};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = ModelFolder::new(std::env::args().nth(1).ok_or("name a model folder")?);
    let renderer = Arc::new(Renderer::open(&folder, Clock::default())?);
    let mut generator = Generator::open(&folder, renderer, &EngineOptions::default())?;

    let choices = [" your account page.", " the moon."];
    let questions = choices
        .into_iter()
        .map(|choice| Ok(Scored::Pair { context: "You find your orders on".into(), continuation: choice.into() }));
    let sink = |number: u64, scored: Result<LogProb, String>| {
        match scored {
            Ok(LogProb { logprob, tokens, .. }) => {
                println!("{logprob:8.3} over {tokens} tokens {}", choices[number as usize]);
            }
            Err(why) => println!("not scored: {why}"),
        }
        Ok(())
    };
    generator.logprob(questions, sink, |_| Ok(()))?;
    Ok(())
}
