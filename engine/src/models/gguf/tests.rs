//! Configurations of small files, one for each family.

use std::io::{Cursor, Write};

use candle_core::quantized::gguf_file::{self, Value as Field};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor as Values};
use serde_json::{Value, json};

use super::*;

/// Bytes of a file: fields below the architecture's name, other fields, and f32 tensors filled with a number.
fn file(
    architecture: &str,
    own: &[(&str, Field)],
    other: &[(&str, Field)],
    tensors: &[(&str, &[usize], f32)],
) -> Vec<u8> {
    let mut fields = vec![("general.architecture".to_owned(), Field::String(architecture.into()))];
    let common = [("block_count", 6), ("embedding_length", 32), ("attention.head_count", 4)];
    fields.extend(common.iter().map(|(name, count)| (format!("{architecture}.{name}"), Field::U32(*count))));
    fields.extend(own.iter().map(|(name, value)| (format!("{architecture}.{name}"), value.clone())));
    fields.extend(other.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let fields: Vec<(&str, &Field)> = fields.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let held: Vec<(&str, QTensor)> = [("token_embd.weight", &[10, 32][..], 0.0)]
        .iter()
        .chain(tensors)
        .map(|(name, shape, value)| {
            let values = Values::full(*value, *shape, &Device::Cpu).expect("a tensor");
            (*name, QTensor::quantize(&values, GgmlDType::F32).expect("f32"))
        })
        .collect();
    let tensors: Vec<(&str, &QTensor)> = held.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let mut bytes = Cursor::new(Vec::new());
    gguf_file::write(&mut bytes, &fields, &tensors).expect("written");
    bytes.into_inner()
}

/// A file of these bytes.
fn on_disk(bytes: &[u8]) -> HashedFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    HashedFile::open(file.path(), Default::default()).expect("opened").expect("a file")
}

fn config(bytes: &[u8]) -> Value {
    read(&on_disk(bytes)).unwrap_or_else(|e| panic!("{}", e.chain())).config
}

fn strings(list: &[&str]) -> Field {
    Field::Array(list.iter().map(|text| Field::String((*text).into())).collect())
}

#[test]
fn gemma_has_what_ggml_leaves_to_the_reader() {
    let gemma = config(&file("gemma", &[("attention.key_length", Field::U32(16))], &[], &[]));
    assert_eq!((&gemma["model_type"], &gemma["gguf_norms_are_whole"]), (&json!("gemma"), &json!(true)));
    assert_eq!((&gemma["head_dim"], &gemma["tie_word_embeddings"]), (&json!(16), &json!(true)));
    let own = [("attention.key_length", Field::U32(16)), ("attn_logit_softcapping", Field::F32(25.0))];
    let gemma2 = config(&file("gemma2", &own, &[], &[]));
    assert_eq!(gemma2["attn_logit_softcapping"], json!(25.0));
    assert_eq!((&gemma2["final_logit_softcapping"], &gemma2["sliding_window"]), (&json!(30.0), &json!(4096)));
    assert_eq!(gemma2["query_pre_attn_scalar"], json!(16));
    let kinds = ["sliding_attention", "full_attention"];
    assert_eq!(gemma2["layer_types"], json!([kinds, kinds, kinds].concat()));
    let own = [
        ("attention.sliding_window", Field::U32(512)),
        ("rope.scaling.type", Field::String("linear".into())),
        ("rope.scaling.factor", Field::F32(8.0)),
    ];
    let gemma3 = config(&file("gemma3", &own, &[], &[]));
    assert_eq!((&gemma3["model_type"], &gemma3["query_pre_attn_scalar"]), (&json!("gemma3_text"), &json!(8)));
    assert_eq!((&gemma3["rope_theta"], &gemma3["rope_local_base_freq"]), (&json!(1e6), &json!(1e4)));
    assert_eq!(gemma3["rope_scaling"], json!({"rope_type": "linear", "factor": 8.0}));
    assert_eq!((&gemma3["sliding_window"], &gemma3["sliding_window_pattern"]), (&json!(512), &json!(6)));
    assert_eq!(gemma3["layer_types"], json!([&["sliding_attention"; 5][..], &["full_attention"]].concat()));
}

#[test]
fn rotary_factors_come_from_tensors() {
    let llama = config(&file("llama", &[], &[], &[("rope_freqs.weight", &[4], 2.0)]));
    assert_eq!(llama["rope_scaling"], json!({"rope_type": "gguf_factors", "factors": [2.0, 2.0, 2.0, 2.0]}));
    let own = [
        ("rope.dimension_count", Field::U32(6)),
        ("rope.scaling.original_context_length", Field::U32(4096)),
        ("rope.scaling.attn_factor", Field::F32(1.5)),
        ("attention.sliding_window", Field::U32(0)),
    ];
    let tensors: [(&str, &[usize], f32); 2] =
        [("rope_factors_long.weight", &[3], 4.0), ("rope_factors_short.weight", &[3], 1.0)];
    let phi3 = config(&file("phi3", &own, &[], &tensors));
    let (long, short) = ([4.0; 3], [1.0; 3]);
    let options = json!({"rope_type": "longrope", "long_factor": long, "short_factor": short, "attention_factor": 1.5});
    assert_eq!(phi3["rope_scaling"], options);
    assert_eq!(phi3["original_max_position_embeddings"], json!(4096));
    assert_eq!((&phi3["partial_rotary_factor"], &phi3["sliding_window"]), (&json!(0.75), &Value::Null));
    let own = [
        ("rope.scaling.type", Field::String("yarn".into())),
        ("rope.scaling.factor", Field::F32(4.0)),
        ("rope.scaling.original_context_length", Field::U32(32768)),
    ];
    let yarn = json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768});
    assert_eq!(config(&file("qwen2", &own, &[], &[]))["rope_scaling"], yarn);
    let cut = file("llama", &[], &[], &[("rope_freqs.weight", &[2, 4], 2.0)]);
    assert!(read(&on_disk(&cut)).is_err());
}

#[test]
fn experts_are_taken_apart() {
    let own = [("expert_count", Field::U32(3)), ("expert_used_count", Field::U32(2))];
    let mixed: [(&str, &[usize], f32); 3] = [
        ("blk.0.ffn_down_exps.weight", &[3, 32, 8], 1.0),
        ("blk.0.ffn_gate_inp.weight", &[3, 32], 1.0),
        ("blk.0.attn_q.weight", &[32, 32], 1.0),
    ];
    let bytes = file("llama", &own, &[("llama.attention.head_count_kv", Field::U32(2))], &mixed);
    let header = read(&on_disk(&bytes)).expect("reads");
    assert_eq!((&header.config["model_type"], &header.config["num_local_experts"]), (&json!("mixtral"), &json!(3)));
    assert_eq!(header.config["num_experts_per_tok"], json!(2));
    let tensor = |name: &str| header.tensors.iter().find(|tensor| tensor.name == name).expect("a tensor");
    let first = tensor("model.layers.0.block_sparse_moe.experts.0.w2.weight");
    let last = tensor("model.layers.0.block_sparse_moe.experts.2.w2.weight");
    assert_eq!((&first.shape, last.start - first.start), (&vec![32, 8], 2 * 32 * 8 * 4));
    assert_eq!(tensor("model.layers.0.block_sparse_moe.gate.weight").shape, [3, 32]);
    assert_eq!(tensor("model.layers.0.self_attn.q_proj.weight").interleaved, Some(4));
    let own = [("expert_count", Field::U32(8)), ("expert_feed_forward_length", Field::U32(16))];
    let qwen = config(&file("qwen3moe", &own, &[], &[]));
    assert_eq!((&qwen["model_type"], &qwen["num_experts"]), (&json!("qwen3_moe"), &json!(8)));
    assert_eq!((&qwen["moe_intermediate_size"], &qwen["norm_topk_prob"]), (&json!(16), &json!(true)));
}

#[test]
fn every_end_of_a_turn_counts_once() {
    let kinds = Field::Array([1, 3, 3, 1, 4].map(Field::I32).to_vec());
    let other = [
        ("tokenizer.ggml.tokens", strings(&["a", "<eos>", "<|eot_id|>", "<|end|>", "<|im_end|>"])),
        ("tokenizer.ggml.token_type", kinds),
        ("tokenizer.ggml.eos_token_id", Field::U32(1)),
        ("tokenizer.ggml.eot_token_id", Field::U32(2)),
        ("tokenizer.ggml.eom_token_id", Field::U32(7)),
    ];
    assert_eq!(config(&file("llama", &[], &other, &[]))["eos_token_id"], json!([1, 2, 7, 4]));
}

#[test]
fn metadata_of_the_tokenizer_is_plain() {
    let other = [
        ("tokenizer.ggml.tokens", strings(&["a", "b"])),
        ("tokenizer.ggml.scores", Field::Array(vec![Field::F32(-1.5), Field::F32(f32::NAN)])),
        ("tokenizer.ggml.add_bos_token", Field::Bool(true)),
        ("general.name", Field::String("x".into())),
    ];
    let found = metadata(&on_disk(&file("llama", &[], &other, &[]))).expect("reads");
    let expected = json!({
        "general.architecture": "llama",
        "tokenizer.ggml.tokens": ["a", "b"],
        "tokenizer.ggml.scores": [-1.5, null],
        "tokenizer.ggml.add_bos_token": true,
    });
    assert_eq!(Value::Object(found), expected);
}
