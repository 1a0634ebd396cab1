//! Damaged model folders: refused before any output, with the file and what is wrong with it; numbers that are not finite
//! are recorded case by case.

use std::path::Path;

use safetensors::Dtype;
use serde_json::{Value, json};

use crate::bad_input::{Case, Outcome};
use crate::checkpoint::{Checkpoint, Tensor};
use crate::project::{Project, fixture, random_tiny};

/// Damages a copy of `from` and runs an engine command on it.
fn check(from: &Path, command: &str, damage: impl FnOnce(&Checkpoint), outcome: Outcome<'_>) {
    let project = Project::new();
    let line = |id: &str| match command {
        "generate" => json!({"id": id, "prompt": "Which metal is heavier?", "max_new_tokens": 4}),
        "logprob" => json!({"id": id, "ids": [5, 6, 7]}),
        _ => json!({"id": id, "text": "Which metal is heavier?"}),
    };
    project.write_lines("in.jsonl", &[line("a"), line("b")]);
    let model = Checkpoint::copy(&project, from);
    damage(&model);
    Case { name: command, command, model: model.folder, flags: &[], outcome }.check(&project);
}

/// [`check`] for a generator that has to be refused; standard error must hold one of each group.
fn refused(name: &str, damage: impl FnOnce(&Checkpoint), groups: &[&[&str]]) {
    check(&fixture(name), "generate", damage, Outcome::Refused(groups));
}

#[test]
fn a_missing_folder_or_file_is_refused() {
    let project = Project::new();
    project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "a"})]);
    let model = project.path("no-such-model");
    let outcome = Outcome::Refused(&[&["no-such-model"]]);
    Case { name: "folder", command: "generate", model, flags: &[], outcome }.check(&project);
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        refused("llama", |model| model.remove(file), &[&[file, "safetensors"]]);
    }
}

// ---- config.json ----------------------------------------------------------------------------------------------------

#[test]
fn an_unknown_family_is_refused_with_the_known_ones() {
    refused("llama", |m| m.set("model_type", json!("mamba9")), &[&["mamba9"], &["qwen2"]]);
    refused("llama", |m| m.set("model_type", json!("qwen3moe")), &[&["did you mean `qwen3_moe`?"], &["starcoder2"]]);
    refused("llama", |m| m.set("model_type", Value::Null), &[&["model_type"], &["config.json"]]);
}

#[test]
fn missing_or_senseless_config_keys_are_refused() {
    for key in ["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"] {
        refused("qwen3", |m| m.set(key, Value::Null), &[&[key], &["config.json"]]);
    }
    refused("llama", |m| m.set("hidden_size", json!("wide")), &[&["hidden_size"], &["config.json"]]);
    refused("llama", |m| m.set("num_key_value_heads", json!(3)), &[&["num_key_value_heads", "heads"]]);
    refused("llama", |m| m.set("num_attention_heads", json!(0)), &[&["heads", "zero"], &["config.json"]]);
    refused("llama", |m| m.set("num_hidden_layers", json!(3)), &[&["model.layers.2."]]);
    refused("llama", |m| m.set("hidden_act", json!("sinus")), &[&["sinus"]]);
    let rope = json!({"rope_type": "spiral", "rope_theta": 10000.0});
    refused("llama", |m| m.set("rope_parameters", rope), &[&["spiral"]]);
    refused("llama", |m| m.edit_file("config.json", |bytes| bytes.truncate(40)), &[&["config.json"]]);
}

// ---- weights --------------------------------------------------------------------------------------------------------

#[test]
fn a_wrong_shape_is_refused_with_both_shapes() {
    let name = "model.layers.1.self_attn.k_proj.weight";
    refused("llama", |m| m.replace(name, Tensor::filled(&[16, 31], 0.1)), &[&[name], &["31"], &["32"]]);
    refused("llama", |m| m.replace("model.norm.weight", Tensor::filled(&[33], 0.1)), &[&["model.norm.weight"]]);
    let bias = "model.layers.0.self_attn.q_proj.bias";
    refused("qwen2", |m| m.replace(bias, Tensor::filled(&[39], 0.1)), &[&[bias]]);
}

#[test]
fn a_missing_tensor_is_refused_by_name() {
    for name in ["model.norm.weight", "lm_head.weight", "model.layers.0.mlp.up_proj.weight"] {
        let drop_it = |m: &Checkpoint| m.edit_tensors(|tensors| drop(tensors.remove(name)));
        refused("llama", drop_it, &[&[name]]);
    }
    let norm = "model.layers.2.self_attn.q_norm.weight";
    refused("qwen3", |m| m.edit_tensors(|tensors| drop(tensors.remove(norm))), &[&[norm]]);
}

#[test]
fn a_type_that_is_no_float_is_refused() {
    let name = "model.layers.0.mlp.up_proj.weight";
    let integers = Tensor { dtype: Dtype::I32, ..Tensor::filled(&[72, 32], 0.0) };
    refused("llama", |m| m.replace(name, integers), &[&[name], &["i32"]]);
}

#[test]
fn truncated_or_broken_weight_files_are_refused() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [Damage; 5] = [
        |bytes| bytes.truncate(bytes.len() - 1000),
        |bytes| bytes.truncate(100),
        |bytes| bytes.truncate(5),
        |bytes| bytes.clear(),
        |bytes| bytes[..8].copy_from_slice(&u64::MAX.to_le_bytes()),
    ];
    for damage in damages {
        refused("llama", |m| m.edit_file("model.safetensors", damage), &[&["model.safetensors"]]);
    }
    let shard = "model-00002-of-00003.safetensors";
    refused("mistral-window", |m| m.edit_file(shard, |bytes| bytes.truncate(50_000)), &[&[shard]]);
}

#[test]
fn a_missing_shard_or_a_broken_index_is_refused() {
    let shard = "model-00003-of-00003.safetensors";
    refused("mistral-window", |m| m.remove(shard), &[&[shard]]);
    let index = "model.safetensors.index.json";
    refused("mistral-window", |m| m.edit_file(index, |bytes| bytes.truncate(60)), &[&[index]]);
    let outside =
        |m: &Checkpoint| m.edit_json(index, |v| v["weight_map"]["lm_head.weight"] = json!("../../etc/passwd"));
    refused("mistral-window", outside, &[&["lm_head.weight", "passwd"]]);
}

#[test]
fn weights_that_are_not_finite_are_recorded() {
    let both = &["a", "b"];
    let spoil = |name: &'static str, value: f32| {
        move |m: &Checkpoint| {
            m.edit_tensors(|tensors| {
                let tensor = tensors.get_mut(name).unwrap_or_else(|| panic!("no tensor {name}"));
                tensor.data[..4].copy_from_slice(&value.to_le_bytes());
            });
        }
    };
    let outcome = || Outcome::Recorded(both, &["nan", "finite"]);
    for value in [f32::NAN, f32::INFINITY] {
        check(&fixture("llama"), "generate", spoil("model.norm.weight", value), outcome());
        check(&fixture("llama"), "logprob", spoil("model.norm.weight", value), outcome());
        check(&fixture("bert"), "embed", spoil("embeddings.LayerNorm.weight", value), outcome());
        check(&fixture("bert-2class"), "classify", spoil("classifier.bias", value), outcome());
    }
}

/// A NaN that only one case meets spoils no other.
#[test]
fn a_neighbour_of_nan_keeps_its_answer() {
    let project = Project::new();
    let line = |id: &str, last: u32| json!({"id": id, "prompt_ids": [10, 11, last], "max_new_tokens": 1});
    let lines = [line("clean", 12), line("bad", 300)];
    let model = Checkpoint::copy(&project, &fixture("llama"));
    let clean = project.engine_raw("generate", &model.folder, &lines[..1], &[]);
    model.edit_tensors(|tensors| {
        let row = tensors.get_mut("model.embed_tokens.weight").expect("an embedding");
        row.data[300 * 32 * 4..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    });
    project.write_lines("in.jsonl", &lines);
    let outcome = Outcome::Recorded(&["bad"], &["nan", "finite"]);
    Case { name: "NaN", command: "generate", model: model.folder, flags: &[], outcome }.check(&project);
    assert_eq!(project.read("out.jsonl").lines().next(), clean.first().map(String::as_str));
}

// ---- tokenizer, template, sentence-transformers ---------------------------------------------------------------------

#[test]
fn a_tokenizer_larger_than_the_embedding_is_refused() {
    let shrink = |m: &Checkpoint| {
        let head = Tensor { dtype: Dtype::F16, shape: vec![200, 64], data: vec![0x11; 200 * 64 * 2] };
        m.replace("model.embed_tokens.weight", head.clone());
        m.replace("lm_head.weight", head);
        m.set("vocab_size", json!(200));
    };
    check(&random_tiny(), "generate", shrink, Outcome::Refused(&[&["tokenizer"], &["200"]]));
}

#[test]
fn a_broken_tokenizer_is_refused() {
    refused("llama", |m| m.edit_file("tokenizer.json", |bytes| bytes.truncate(500)), &[&["tokenizer.json"]]);
    refused(
        "llama",
        |m| m.edit_json("tokenizer.json", |v| v["model"]["type"] = json!("Abacus")),
        &[&["tokenizer.json"]],
    );
}

#[test]
fn a_broken_sentence_transformers_folder_is_refused() {
    let outcome = |groups| Outcome::Refused(groups);
    let folder = fixture("bert-mean");
    let pooling = "1_Pooling/config.json";
    check(&folder, "embed", |m| m.remove(pooling), outcome(&[&["1_Pooling"]]));
    check(&folder, "embed", |m| m.edit_file(pooling, Vec::clear), outcome(&[&["1_Pooling"]]));
    let unknown = |m: &Checkpoint| {
        m.edit_json("modules.json", |v| v[2]["type"] = json!("sentence_transformers.models.Astrology"));
    };
    check(&folder, "embed", unknown, outcome(&[&["astrology"]]));
}

/// What a model cannot do is said, not tried.
#[test]
fn the_wrong_kind_of_model_is_refused() {
    let nothing = |_: &Checkpoint| ();
    check(&fixture("bert"), "generate", nothing, Outcome::Refused(&[&["bert"]]));
    check(&fixture("bert"), "logprob", nothing, Outcome::Refused(&[&["bert"]]));
    check(&fixture("bert"), "classify", nothing, Outcome::Refused(&[&["classif"]]));
    check(&fixture("llama"), "classify", nothing, Outcome::Refused(&[&["llama", "classif"]]));
}
