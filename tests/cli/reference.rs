//! What transformers answered: the `reference.json` of a model folder.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A model folder with its reference answers.
pub struct Reference {
    pub name: String,
    pub folder: PathBuf,
    pub value: Value,
}

impl Reference {
    pub fn of(folder: &Path) -> Self {
        let path = folder.join("reference.json");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
        let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
        Self { name, folder: folder.into(), value: serde_json::from_str(&text).expect("reference.json") }
    }

    /// A list of the reference; empty where this reference has none.
    pub fn list(&self, key: &str) -> &[Value] {
        self.value[key].as_array().map_or(&[], Vec::as_slice)
    }

    /// A JSON file of the folder.
    pub fn json(&self, file: &str) -> Value {
        let text = std::fs::read_to_string(self.folder.join(file)).expect("read a model file");
        serde_json::from_str(&text).expect("parse a model file")
    }
}

/// Reference checkpoints that lie beside the repository (`KARAT_SHARED`, or `../shared`), if there are any.
pub fn shared(name: &str) -> Option<Reference> {
    let folder = shared_path("reference/models").join(name);
    folder.join("reference.json").is_file().then(|| Reference::of(&folder))
}

/// A place beside the repository (below `KARAT_SHARED`, or `../shared`), whether it is there or not.
pub fn shared_path(name: &str) -> PathBuf {
    let shared =
        std::env::var_os("KARAT_SHARED").map_or_else(|| crate::project::repository("../shared"), PathBuf::from);
    shared.join(name)
}

pub fn ids(value: &Value) -> Vec<u32> {
    numbers(value).into_iter().map(|id| id as u32).collect()
}

pub fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap_or_else(|| panic!("a list of numbers instead of {value}"));
    list.iter().map(|number| number.as_f64().unwrap_or(f64::NAN)).collect()
}

/// Cosine of two vectors; 0 for vectors of different length.
pub fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    if a.len() == b.len() { dot(a, b) / (dot(a, a) * dot(b, b)).sqrt() } else { 0.0 }
}

/// Natural logarithm of the softmax.
pub fn log_softmax(logits: &[f64]) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|x| (x - highest).exp()).sum();
    logits.iter().map(|x| x - highest - sum.ln()).collect()
}

pub fn norm(vector: &[f64]) -> f64 {
    vector.iter().map(|x| x * x).sum::<f64>().sqrt()
}
