//! Model folders with random weights in shapes that matrix kernels notice.
//!
//! Tiny models hide a lot: products never split below 512 inputs and small ones never thread. `scripts/make_random_model.py`
//! does the same from the shell; here it is Rust, so that the tests need no Python.

use std::collections::BTreeMap;
use std::path::PathBuf;

use safetensors::Dtype;
use serde_json::{Value, json};

use crate::checkpoint::{Tensor, save};
use crate::project::{Project, fixture, random_tiny};

/// A sequence of random numbers (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// An f16 matrix of uniform values whose standard deviation is `gain / sqrt(inputs)`.
    fn matrix(&mut self, outputs: usize, inputs: usize, gain: f64) -> Tensor {
        self.values(&[outputs, inputs], 0.0, gain * (3.0 / inputs as f64).sqrt())
    }

    /// An f16 tensor of uniform values in `middle ± half`.
    fn values(&mut self, shape: &[usize], middle: f64, half: f64) -> Tensor {
        let count: usize = shape.iter().product();
        let mut data = Vec::with_capacity(count * 2);
        for _ in 0..count {
            let unit = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
            data.extend(half::f16::from_f64(middle + half * (2.0 * unit - 1.0)).to_le_bytes());
        }
        Tensor { dtype: Dtype::F16, shape: shape.to_vec(), data }
    }
}

fn write(
    project: &Project,
    config: &Value,
    tensors: &BTreeMap<String, Tensor>,
    tokenizer_of: &std::path::Path,
) -> PathBuf {
    let config = project.write("wide/config.json", config.to_string());
    let folder = config.parent().expect("a folder").to_path_buf();
    save(&folder.join("model.safetensors"), tensors);
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(tokenizer_of.join(name), folder.join(name)).expect("copy a tokenizer");
    }
    folder
}

/// A two-layer Mistral of hidden size 896 with a window of 300 tokens: products that split and thread.
pub fn wide_decoder(project: &Project) -> PathBuf {
    let config = json!({"architectures": ["MistralForCausalLM"], "model_type": "mistral", "hidden_act": "silu",
        "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 2, "num_attention_heads": 14,
        "num_key_value_heads": 2, "vocab_size": 259, "max_position_embeddings": 2048, "sliding_window": 300,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": false, "eos_token_id": 2,
        "torch_dtype": "float16"});
    decoder(project, &config)
}

/// A two-layer Llama whose sizes are multiples of 256, as ggml's larger blocks need them.
pub fn square_decoder(project: &Project) -> PathBuf {
    let config = json!({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "vocab_size": 259, "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "tie_word_embeddings": false, "eos_token_id": 2, "torch_dtype": "float16"});
    decoder(project, &config)
}

/// Random weights for the shapes of a configuration.
fn decoder(project: &Project, config: &Value) -> PathBuf {
    let count = |key: &str| config[key].as_u64().expect("a count") as usize;
    let (hidden, intermediate, vocab) = (count("hidden_size"), count("intermediate_size"), count("vocab_size"));
    let head = hidden / count("num_attention_heads");
    let keys = count("num_key_value_heads") * head;
    let mut random = Random(hidden as u64);
    let mut tensors = BTreeMap::from([
        ("model.embed_tokens.weight".to_owned(), random.matrix(vocab, hidden, 2.0)),
        ("lm_head.weight".to_owned(), random.matrix(vocab, hidden, 3.0)),
        ("model.norm.weight".to_owned(), random.values(&[hidden], 1.0, 0.3)),
    ]);
    for layer in 0..count("num_hidden_layers") {
        let mut add = |name: &str, tensor| tensors.insert(format!("model.layers.{layer}.{name}.weight"), tensor);
        add("input_layernorm", random.values(&[hidden], 1.0, 0.3));
        add("post_attention_layernorm", random.values(&[hidden], 1.0, 0.3));
        add("self_attn.q_proj", random.matrix(hidden, hidden, 1.6));
        add("self_attn.k_proj", random.matrix(keys, hidden, 1.6));
        add("self_attn.v_proj", random.matrix(keys, hidden, 1.6));
        add("self_attn.o_proj", random.matrix(hidden, hidden, 1.6));
        add("mlp.gate_proj", random.matrix(intermediate, hidden, 1.6));
        add("mlp.up_proj", random.matrix(intermediate, hidden, 1.6));
        add("mlp.down_proj", random.matrix(hidden, intermediate, 1.6));
    }
    write(project, config, &tensors, &random_tiny())
}

/// A two-layer BERT of hidden size 768, the shape of the common sentence encoders.
pub fn wide_encoder(project: &Project) -> PathBuf {
    let (hidden, intermediate, vocab) = (768, 3072, 300);
    let mut random = Random(768);
    let mut tensors = BTreeMap::new();
    let table = |random: &mut Random, rows| random.values(&[rows, hidden], 0.0, 1.0);
    for (name, rows) in [("word", vocab), ("position", 512), ("token_type", 2)] {
        tensors.insert(format!("embeddings.{name}_embeddings.weight"), table(&mut random, rows));
    }
    let norm = |random: &mut Random, name: &str, tensors: &mut BTreeMap<String, Tensor>| {
        tensors.insert(format!("{name}.LayerNorm.weight"), random.values(&[hidden], 1.0, 0.3));
        tensors.insert(format!("{name}.LayerNorm.bias"), random.values(&[hidden], 0.0, 0.3));
    };
    norm(&mut random, "embeddings", &mut tensors);
    for layer in 0..2 {
        let at = format!("encoder.layer.{layer}");
        let linear = [
            ("attention.self.query", hidden, hidden),
            ("attention.self.key", hidden, hidden),
            ("attention.self.value", hidden, hidden),
            ("attention.output.dense", hidden, hidden),
            ("intermediate.dense", intermediate, hidden),
            ("output.dense", hidden, intermediate),
        ];
        for (name, outputs, inputs) in linear {
            tensors.insert(format!("{at}.{name}.weight"), random.matrix(outputs, inputs, 1.6));
            tensors.insert(format!("{at}.{name}.bias"), random.values(&[outputs], 0.0, 0.3));
        }
        norm(&mut random, &format!("{at}.attention.output"), &mut tensors);
        norm(&mut random, &format!("{at}.output"), &mut tensors);
    }
    let config = json!({"architectures": ["BertModel"], "model_type": "bert", "hidden_act": "gelu", "hidden_size": hidden,
        "intermediate_size": intermediate, "num_hidden_layers": 2, "num_attention_heads": 12, "vocab_size": vocab,
        "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "pad_token_id": 0,
        "torch_dtype": "float16"});
    let folder = write(project, &config, &tensors, &fixture("bert"));
    project.write("wide/tokenizer_config.json", json!({"model_max_length": 512}).to_string());
    folder
}
