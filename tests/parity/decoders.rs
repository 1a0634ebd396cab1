//! Decoders against transformers in float64: greedy ids, logits, log-probabilities.

use std::path::Path;

use karat::engine::options::EngineOptions;

use crate::reference::{self, LIMITS, floats, ids, json};

/// Reference checkpoints of the shared folder.
const SHARED: [&str; 14] = [
    "gemma2",
    "gemma3",
    "gpt-neox",
    "gpt2",
    "granite",
    "llama",
    "llama3-rope",
    "mistral-window",
    "olmo2",
    "phi3",
    "qwen2",
    "qwen3",
    "qwen3-moe",
    "smollm3",
];
/// The project's own.
pub const DECODERS: [&str; 22] = [
    "gemma",
    "gemma2",
    "gemma3",
    "gpt-neox",
    "gpt2",
    "granite",
    "llama",
    "llama3-rope",
    "mistral-window",
    "mixtral",
    "olmo",
    "olmo2",
    "phi",
    "phi3-longrope",
    "qwen2",
    "qwen2-moe",
    "qwen3",
    "qwen3-moe",
    "smollm3",
    "stablelm",
    "stablelm-parallel",
    "starcoder2",
];

/// Holds a checkpoint against its `reference.json`; returns the worst differences of logits and log-probabilities.
fn check(folder: &Path, options: &EngineOptions) -> (f64, f64) {
    let mut model = reference::load_by(folder, options).unwrap();
    let reference = json(&folder.join("reference.json"));
    let prompts: Vec<Vec<u32>> = reference["prompts"].as_array().unwrap().iter().map(ids).collect();
    let work = prompts.iter().map(|p| reference::greedy(p.clone(), 24)).collect();
    for (index, got) in reference::generate(&mut *model, LIMITS, work).into_iter().enumerate() {
        if reference["margin"][index].as_f64().unwrap() >= 1e-3 {
            assert_eq!(got, ids(&reference["greedy"][index]), "{}: prompt {index}", folder.display());
        }
    }
    let (mut worst_logit, mut worst_logprob) = (0.0f64, 0.0f64);
    for (index, got) in reference::last_logits(&mut *model, &prompts).iter().enumerate() {
        let distance = reference::distance(got, &floats(&reference["last_logits"][index]));
        worst_logit = if distance <= worst_logit { worst_logit } else { distance };
    }
    // Of a single token there is nothing to score.
    let (expected, long): (Vec<f64>, Vec<Vec<u32>>) =
        floats(&reference["prompt_logprob"]).into_iter().zip(prompts).filter(|(_, prompt)| prompt.len() > 1).unzip();
    for (got, expected) in reference::prompt_logprobs(&mut *model, &long).into_iter().zip(expected) {
        worst_logprob = worst_logprob.max((got - expected).abs());
    }
    (worst_logit, worst_logprob)
}

/// Prints and judges the worst differences.
pub fn judge(folder: &Path, options: &EngineOptions) {
    let (logit, logprob) = check(folder, options);
    let whose = reference::whose(options);
    println!("{whose}{}: logits within {logit:.1e}, log-probabilities within {logprob:.1e}", folder.display());
    assert!(logit < 1e-3 && logprob < 1e-3, "{}: {logit} {logprob}", folder.display());
}

#[test]
fn fixture_checkpoints() {
    DECODERS.iter().for_each(|name| judge(&reference::fixture(name), &reference::options()));
}

#[test]
#[ignore = "needs ../shared (KARAT_SHARED): scripts/check_shared.sh"]
fn shared_checkpoints() {
    let shared = reference::shared();
    SHARED.iter().for_each(|name| judge(&shared.join("reference/models").join(name), &reference::options()));
}
