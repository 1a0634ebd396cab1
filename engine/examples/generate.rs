//! Answers questions in one batch: `cargo run --release -p karat-engine --example generate -- MODEL_FOLDER`.

#![expect(clippy::print_stdout, reason = "a program")]

use std::sync::Arc;

use karat_engine::chat::Clock;
use karat_engine::models::model_folder::ModelFolder;
use karat_engine::options::EngineOptions;
use karat_engine::render::Renderer;
use karat_engine::{CaseKey, GenerateOptions, Generator, Prompt, Request};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = ModelFolder::new(std::env::args().nth(1).ok_or("name a model folder")?);
    let renderer = Arc::new(Renderer::open(&folder, Clock::default())?);
    let mut generator = Generator::open(&folder, renderer, &EngineOptions::default())?;

    let questions = ["Where is my order?", "May I return it?", "Do you ship to France?"];
    let options = GenerateOptions { max_new_tokens: 24, ..GenerateOptions::default() };
    let requests = questions.into_iter().map(|question| {
        let (prompt, key) = (Prompt::Text(question.into()), CaseKey { case: question.into(), ..CaseKey::default() });
        Ok(Request { prompt, options: options.clone(), key, draft: Vec::new() })
    });
    // Answers come as they end; the number is the place of the request.
    let mut answers = vec![String::new(); questions.len()];
    let sink = |number: u64, response: karat_engine::Response| {
        answers[number as usize] = response.text;
        Ok(())
    };
    let totals = generator.generate(requests, sink, |_| Ok(()))?;
    for (question, answer) in questions.iter().zip(&answers) {
        println!("{question}\n  {answer}");
    }
    println!("{} tokens in {} steps", totals.generated_tokens, totals.steps);
    Ok(())
}
