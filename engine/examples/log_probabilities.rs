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
    let question = Scored::Choices {
        context: "You find your orders on".into(),
        continuations: choices.map(str::to_owned).to_vec(),
    };
    let sink = |_number: u64, scored: Result<Vec<LogProb>, String>| {
        match scored {
            Ok(scored) => {
                for (LogProb { logprob, tokens, .. }, choice) in scored.iter().zip(choices) {
                    println!("{logprob:8.3} over {tokens} tokens {choice}");
                }
            }
            Err(why) => println!("not scored: {why}"),
        }
        Ok(())
    };
    generator.logprob(std::iter::once(Ok(question)), sink, |_| Ok(()))?;
    Ok(())
}
