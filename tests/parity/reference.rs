//! Where reference checkpoints lie, and how they are run.

use std::path::{Path, PathBuf};

use karat::engine::device::DecoderPlan;
use karat::engine::models::families::Config;
use karat::engine::models::model_folder::ModelFolder;
use karat::engine::options::{BackendChoice, DeviceChoice, DtypeChoice, EngineOptions};
use karat::engine::scheduler::backend::Backend;
use karat::engine::scheduler::draft::Draft;
use karat::engine::scheduler::workload::{Closed, Goal, Outcome, Watcher, Work};
use karat::engine::scheduler::{Limits, run_all};
use karat::engine::{Embedder, Finish, Long, Pooling, Reading, Sampling, TextInput, Unread};

/// The shared folder of the workplace.
pub fn shared() -> PathBuf {
    let path = match std::env::var_os("KARAT_SHARED") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
    };
    assert!(path.is_dir(), "{} is not there", path.display());
    path
}

/// A reference checkpoint of the project's own.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/models").join(name)
}

pub fn json(path: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// f32, on the device that `KARAT_TEST_DEVICE` names, where it is set.
pub fn options() -> EngineOptions {
    let device = std::env::var("KARAT_TEST_DEVICE").map_or(DeviceChoice::Cpu, |device| device.parse().unwrap());
    EngineOptions { device, dtype: DtypeChoice::F32, ..EngineOptions::default() }
}

/// candle-transformers' model code.
pub fn candle() -> EngineOptions {
    EngineOptions { backend: BackendChoice::Reference, device: DeviceChoice::Cpu, ..options() }
}

/// What stands before a printed figure that is not of the engine's own backend: `scripts/family_table.py` reads the others.
pub fn whose(options: &EngineOptions) -> &'static str {
    if options.backend == BackendChoice::Fast { "" } else { "reference backend, " }
}

/// A decoder.
pub fn load(folder: &Path) -> Box<dyn Backend> {
    load_by(folder, &options()).unwrap()
}

/// A decoder of these options' backend.
pub fn load_by(folder: &Path, options: &EngineOptions) -> karat::error::Result<Box<dyn Backend>> {
    let folder = ModelFolder::new(folder);
    let options = EngineOptions { batch_tokens: 64, max_seqs: 16, ..*options };
    let plan = DecoderPlan::read(&folder, &Config::read(&folder)?, options.backend)?;
    Ok(plan.load(&folder, &options)?.swap_remove(0))
}

pub const LIMITS: Limits =
    Limits { batch_tokens: 64, prefill_chunk: 1000, max_seqs: 8, window: 100, sharing: true, drafts: true };

/// Lets an answer run to its limit.
pub struct Endless;
impl Watcher for Endless {
    fn ends(&mut self, _token: u32) -> bool {
        false
    }

    fn close(self: Box<Self>, ids: Vec<u32>) -> karat::error::Result<Closed> {
        Ok(Closed { text: String::new(), ids, finish: Finish::Length })
    }
}

pub fn greedy(tokens: Vec<u32>, max_new_tokens: usize) -> Work {
    let (sampling, draft) = (Sampling::default(), Draft::default());
    let goal = Goal::Generate { max_new_tokens, sampling, processors: None, key: 0, draft, watcher: Box::new(Endless) };
    Work::new(tokens, goal)
}

pub fn generate(model: &mut dyn Backend, limits: Limits, work: Vec<Work>) -> Vec<Vec<u32>> {
    let outcomes = run_all(model, limits, work).unwrap();
    outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Generated { tokens, .. } => tokens,
            _ => panic!("not generated"),
        })
        .collect()
}

pub fn ids(value: &serde_json::Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

pub fn floats(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// Log-probabilities of every token but the first, added up.
pub fn prompt_logprobs(model: &mut dyn Backend, prompts: &[Vec<u32>]) -> Vec<f64> {
    let work = |prompt: &Vec<u32>| Work::new(prompt.clone(), Goal::Score { from: 1 });
    let outcomes = run_all(model, LIMITS, prompts.iter().map(work).collect()).unwrap();
    let scored = |(prompt, outcome): (&Vec<u32>, Outcome)| match outcome {
        Outcome::Scored(scored) if scored.len() == prompt.len() - 1 => scored.iter().map(|one| one.logprob).sum(),
        _ => panic!("no score"),
    };
    prompts.iter().zip(outcomes).map(scored).collect()
}

/// The largest difference between two rows of the same length.
pub fn distance(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    got.iter().zip(expected).fold(0.0, |worst, (a, b)| {
        let difference = (f64::from(*a) - b).abs();
        // Not `f64::max`: that would let a NaN through.
        if difference <= worst { worst } else { difference }
    })
}

/// Cosine of two vectors.
pub fn cosine(got: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(got.len(), expected.len());
    let got: Vec<f64> = got.iter().map(|x| f64::from(*x)).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    dot(&got, expected) / (dot(&got, &got) * dot(expected, expected)).sqrt()
}

/// All logits after each prompt.
pub fn last_logits(model: &mut dyn Backend, prompts: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let work = prompts.iter().map(|p| Work::new(p.clone(), Goal::Logits)).collect();
    let outcomes = run_all(model, LIMITS, work).unwrap();
    let logits = |outcome| match outcome {
        Outcome::Logits(row) => row,
        _ => panic!("no logits"),
    };
    outcomes.into_iter().map(logits).collect()
}

/// The vectors of texts, in order.
pub fn embed(folder: &Path, pooling: Option<Pooling>, texts: &[String]) -> Vec<Vec<f32>> {
    embed_by(folder, pooling, texts, &options())
}

/// The vectors of texts by these options' backend.
pub fn embed_by(folder: &Path, pooling: Option<Pooling>, texts: &[String], options: &EngineOptions) -> Vec<Vec<f32>> {
    let mut model = Embedder::open(&ModelFolder::new(folder), pooling, false, options).unwrap();
    let mut vectors = vec![Vec::new(); texts.len()];
    let take = |place: u64, reading: Result<Reading<Vec<f32>>, Unread>| {
        vectors[place as usize] = reading.expect("a vector").values().map(|(_, vector)| vector.clone()).next().unwrap();
        Ok(())
    };
    // As sentence-transformers does.
    let input = |text: &String| Ok(TextInput { text: text.clone(), text_pair: None, long: Long::Cut });
    model.embed(texts.iter().map(input), take, |_| Ok(())).unwrap();
    vectors
}
