//! candle-transformers as a second opinion on further families, each read from the fixture's own `config.json`.
//!
//! Where its implementation departs from transformers, the family is given what makes up for it, or is left out:
//!
//! - its windows let a token see one token more than transformers' do, so it is given windows one smaller;
//! - rotary options are written flat for it;
//! - left out: Gemma 2 (windows in all layers there), Gemma 3 (stops at a tensor that is not contiguous), Granite (no multipliers),
//!   Phi-3 with LongRoPE (long factors by the model's maximum, not by the sequence) and Mixtral (no YaRN). SmolLM3, GPT-2 and
//!   GPT-NeoX are not there.

use std::path::Path;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models as theirs;
use karat::engine::models::weight_files;
use serde_json::{Value, json};

use crate::reference::{self, distance, ids, json as read, last_logits};
use karat::engine::models::identity::ModelFolder;

/// A family's logits of a prompt `[1, tokens]` by a configuration and weights.
type Family = fn(Value, VarBuilder, &Tensor) -> Result<Tensor>;

fn config<C: serde::de::DeserializeOwned>(value: Value) -> C {
    serde_json::from_value(value).unwrap()
}

const FAMILIES: [(&str, Family); 9] = [
    ("gemma", |c, w, x| theirs::gemma::Model::new(false, &config(c), w)?.forward(x, 0)),
    ("olmo", |c, w, x| theirs::olmo::Model::new(&config(c), w)?.forward(x, 0)),
    ("olmo2", |c, w, x| theirs::olmo2::Model::new(&config(c), w)?.forward(x, 0)),
    ("phi", |c, w, x| theirs::phi::Model::new(&config(c), w)?.forward(x)),
    ("phi3", |c, w, x| theirs::phi3::Model::new(&config(c), w)?.forward(x, 0)),
    ("qwen2-moe", |c, w, x| theirs::qwen2_moe::Model::new(&config(c), w)?.forward(x, 0)),
    ("qwen3-moe", |c, w, x| theirs::qwen3_moe::ModelForCausalLM::new(&config(c), w)?.forward(x, 0)),
    ("stablelm", |c, w, x| theirs::stable_lm::Model::new(&config(c), w)?.forward(x, 0)),
    ("starcoder2", |c, w, x| theirs::starcoder2::Model::new(&config(c), w)?.forward(x, 0)),
];

/// The configuration with flat rotary options and what candle-transformers asks for besides.
fn flat(folder: &Path) -> Value {
    let mut config = read(&folder.join("config.json"));
    let map = config.as_object_mut().unwrap();
    if let Some(Value::Object(rope)) = map.shift_remove("rope_parameters") {
        for key in ["rope_theta", "partial_rotary_factor"] {
            rope.get(key).and_then(|value| map.insert(key.into(), value.clone()));
        }
    }
    let defaults = json!({"attention_bias": false, "clip_qkv": null, "use_cache": true, "sliding_window": 4096,
        "max_window_layers": 99, "use_sliding_window": false, "hidden_activation": null, "num_experts": map.get("num_local_experts")});
    for (key, value) in defaults.as_object().unwrap() {
        match map.get(key) {
            Some(there) if !there.is_null() => {}
            _ => drop(map.insert(key.clone(), value.clone())),
        }
    }
    // Zero where transformers has written down that there is none.
    if let Some(window) = map["sliding_window"].as_u64() {
        map.insert("sliding_window".into(), json!(window.checked_sub(1).unwrap_or(4096)));
    }
    config
}

fn weights(folder: &Path) -> VarBuilder<'static> {
    let mut tensors = std::collections::HashMap::new();
    for part in weight_files(&ModelFolder::new(folder)).unwrap() {
        tensors.extend(candle_core::safetensors::load(folder.join(part), &Device::Cpu).unwrap());
    }
    VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu)
}

/// It knows no layers without experts among others with them, and no long factors, which the fixtures have.
const BESIDE: [&str; 2] = ["phi3", "qwen3-moe"];

#[test]
fn further_families_agree_with_candle_transformers() {
    agree(|name| !BESIDE.contains(&name), reference::fixture);
}

#[test]
#[ignore = "needs ../shared (KARAT_SHARED): scripts/check_shared.sh"]
fn families_beside_agree_with_candle_transformers() {
    agree(|name| BESIDE.contains(&name), |name| reference::shared().join("reference/models").join(name));
}

fn agree(chosen: impl Fn(&str) -> bool, folder: impl Fn(&str) -> std::path::PathBuf) {
    let mut wrong = Vec::new();
    for (name, family) in FAMILIES.into_iter().filter(|(name, _)| chosen(name)) {
        let folder = folder(name);
        let prompts: Vec<Vec<u32>> =
            read(&folder.join("reference.json"))["prompts"].as_array().unwrap().iter().map(ids).collect();
        let ours = last_logits(&mut *reference::load(&folder), &prompts);
        let mut worst = 0.0;
        for (prompt, ours) in prompts.iter().zip(&ours) {
            let prompt = Tensor::new(prompt.as_slice(), &Device::Cpu).unwrap().unsqueeze(0).unwrap();
            let theirs = family(flat(&folder), weights(&folder), &prompt).unwrap().flatten_all().unwrap();
            let theirs: Vec<f32> = theirs.to_vec1().unwrap();
            let theirs: Vec<f64> = theirs[theirs.len() - ours.len()..].iter().map(|x| f64::from(*x)).collect();
            worst = f64::max(worst, distance(ours, &theirs));
        }
        println!("{name}: logits within {worst:.1e} of candle-transformers");
        if worst.is_nan() || worst >= 1e-3 {
            wrong.push(format!("{name}: {worst}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
