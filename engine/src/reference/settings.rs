//! A `config.json` as candle-transformers reads it, and what of it is not known there.
//!
//! It reads the older spelling of transformers and wants keys that files may leave out. Values of the file stay as they are;
//! what it leaves out comes from the engine's own reading where the engine knows the family.

use serde_json::{Map, Value, json};

use super::families::Family;
use crate::cpu::Activation;
use crate::error::{Error, Result};
use crate::models::DecoderSpec;
use crate::models::families::Config;
use crate::models::model_folder::ModelFolder;
use crate::models::weights::gguf_file;

/// That the reference backend does not compute what a configuration asks for.
pub(super) fn refused(config: &Config, what: impl std::fmt::Display) -> Error {
    let name = config.model_type().unwrap_or_default();
    Error::input(format!("the reference backend cannot compute this `{name}` model: candle-transformers has no {what}"))
        .at(config.path())
        .with_hint("`--backend fast`, the default, computes what `karat models` lists")
}

/// Its tensors are read from safetensors alone.
///
/// # Errors
/// The folder's model is a GGUF file.
pub(super) fn refuse_gguf(folder: &ModelFolder) -> Result<()> {
    match gguf_file(folder)? {
        Some(file) => Err(Error::input("the reference backend reads no GGUF files")
            .at(file.path())
            .with_hint("take the model in safetensors, or `--backend fast`")),
        None => Ok(()),
    }
}

/// The configuration of a decoder. `spec` is the engine's own reading of it, `tied` whether the head is the embedding.
///
/// # Errors
/// It asks for what the family does not have in candle-transformers.
pub(super) fn decoder(config: &Config, family: &Family, spec: Option<&DecoderSpec>, tied: bool) -> Result<Value> {
    let mut map = config.object();
    rotary(config, &mut map, family)?;
    map.insert("tie_word_embeddings".into(), tied.into());
    // Never looked at; a list of them is not read everywhere.
    map.insert("bos_token_id".into(), 0.into());
    map.insert("eos_token_id".into(), 0.into());
    // It does not cache where it could not forget.
    map.insert("use_cache".into(), family.caches.into());
    if let Some(spec) = spec {
        known(config, &mut map, family, spec)?;
    }
    Ok(Value::Object(map))
}

/// Writes the rotary options flat.
fn rotary(config: &Config, map: &mut Map<String, Value>, family: &Family) -> Result<()> {
    let options = config.get("rope_parameters").or(config.get("rope_scaling")).and_then(Value::as_object);
    let kind = options.and_then(|options| options.get("rope_type").or(options.get("type"))).and_then(Value::as_str);
    let scaled = kind.filter(|kind| *kind != "default");
    if let Some(kind) = scaled.filter(|kind| Some(*kind) != family.scaling) {
        return Err(refused(config, format!("`{kind}` scaling of rotary frequencies in this family")));
    }
    let scaling = options.filter(|_| scaled.is_some()).cloned().map_or(Value::Null, Value::Object);
    for key in ["rope_theta", "partial_rotary_factor"] {
        if let Some(value) = options.and_then(|options| options.get(key)) {
            map.insert(key.into(), value.clone());
        }
    }
    map.insert("rope_scaling".into(), scaling);
    Ok(())
}

/// Fills in what the engine knows of a family.
fn known(config: &Config, map: &mut Map<String, Value>, family: &Family, spec: &DecoderSpec) -> Result<()> {
    if family.model_type == "llama" && spec.feed_forward.activation != Activation::Silu {
        return Err(refused(config, "activation but `silu` in this family"));
    }
    if spec.parallel && family.model_type == "stablelm" {
        return Err(refused(config, "parallel blocks in this family"));
    }
    if family.model_type.starts_with("gemma") {
        // It wants one of both names.
        map.shift_remove("hidden_act");
        map.insert("hidden_activation".into(), activation(spec.feed_forward.activation).into());
    }
    let size = spec.attention.head_size as f64;
    if (f64::from(spec.attention.scale) * size.sqrt() - 1.0).abs() > 1e-6 {
        return Err(refused(config, "scale of attention but by the size of a head in this family"));
    }
    let windows: Vec<Option<usize>> = spec.layers.iter().map(|layer| layer.window).collect();
    let window = windows.first().copied().flatten();
    if family.windows && windows.iter().any(|other| *other != window) {
        return Err(refused(config, "windows in some layers alone"));
    }
    // A window counts the token itself in transformers and does not there; where there is none, none may mask.
    let window = window.filter(|_| family.windows).map_or(spec.context, |window| window - 1);
    map.insert("sliding_window".into(), window.into());
    map.insert("use_sliding_window".into(), false.into());
    let attention = &spec.attention;
    let defaults = json!({
        "attention_bias": attention.query_key_value_bias,
        "clip_qkv": null,
        "head_dim": attention.head_size,
        "hidden_act": activation(spec.feed_forward.activation),
        "max_window_layers": spec.layers.len(),
        "num_key_value_heads": attention.keys,
        "num_experts": map.get("num_local_experts"),
        "rms_norm_eps": 1e-6,
        "rope_theta": 10_000.0,
    });
    for (key, value) in defaults.as_object().into_iter().flatten() {
        let there = map.get(key).is_some_and(|value| !value.is_null());
        // Gemma has it under another name.
        let elsewhere = key == "hidden_act" && map.contains_key("hidden_activation");
        if !there && !elsewhere {
            map.insert(key.clone(), value.clone());
        }
    }
    Ok(())
}

/// Hugging Face's name.
fn activation(activation: Activation) -> &'static str {
    match activation {
        Activation::Silu => "silu",
        Activation::Gelu => "gelu",
        Activation::GeluTanh => "gelu_pytorch_tanh",
        Activation::Relu => "relu",
        Activation::Tanh => "tanh",
    }
}
