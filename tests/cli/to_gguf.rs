//! Writes GGUF files as ggml's converter (`convert_hf_to_gguf.py`) does: its names, its order of rows, its metadata.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{self, Value as Field};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use serde_json::Value;

use crate::project::Project;

const PARTS: [(&str, &str); 16] = [
    ("input_layernorm", "attn_norm"),
    ("post_attention_layernorm", "ffn_norm"),
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.qkv_proj", "attn_qkv"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.gate_up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
    ("mlp.gate", "ffn_gate_inp"),
    ("block_sparse_moe.gate", "ffn_gate_inp"),
    // Of Gemma 2 and 3.
    ("post_feedforward_layernorm", "post_ffw_norm"),
];

/// Matrices of an expert.
const EXPERT: [(&str, &str); 6] = [
    ("gate_proj", "ffn_gate_exps"),
    ("up_proj", "ffn_up_exps"),
    ("down_proj", "ffn_down_exps"),
    ("w1", "ffn_gate_exps"),
    ("w2", "ffn_down_exps"),
    ("w3", "ffn_up_exps"),
];

/// Numbers of the metadata, by their keys in a `config.json`.
const COUNTS: [(&str, &str); 11] = [
    ("num_hidden_layers", "block_count"),
    ("max_position_embeddings", "context_length"),
    ("hidden_size", "embedding_length"),
    ("intermediate_size", "feed_forward_length"),
    ("num_attention_heads", "attention.head_count"),
    ("num_key_value_heads", "attention.head_count_kv"),
    ("head_dim", "attention.key_length"),
    ("sliding_window", "attention.sliding_window"),
    ("num_local_experts", "expert_count"),
    ("num_experts_per_tok", "expert_used_count"),
    ("moe_intermediate_size", "expert_feed_forward_length"),
];

/// A model to convert.
struct Source {
    config: Value,
    /// The `model_type`.
    family: String,
    /// ggml's name of the architecture.
    architecture: &'static str,
}

impl Source {
    fn read(folder: &Path) -> Self {
        let bytes = std::fs::read(folder.join("config.json")).expect("read a configuration");
        let config: Value = serde_json::from_slice(&bytes).expect("parse a configuration");
        let family = config["model_type"].as_str().expect("a family").to_owned();
        let architecture = match family.as_str() {
            "llama" | "mixtral" | "mistral" => "llama",
            "qwen2" => "qwen2",
            "qwen3" => "qwen3",
            "qwen3_moe" => "qwen3moe",
            "gemma" => "gemma",
            "gemma2" => "gemma2",
            "gemma3_text" => "gemma3",
            "phi3" => "phi3",
            other => panic!("no GGUF of {other}"),
        };
        Self { config, family, architecture }
    }

    fn count(&self, key: &str) -> Option<usize> {
        self.config[key].as_u64().map(|n| n as usize)
    }

    fn head_size(&self) -> usize {
        self.count("head_dim")
            .unwrap_or_else(|| self.config["hidden_size"].as_u64().expect("a size") as usize / self.heads())
    }

    fn heads(&self) -> usize {
        self.count("num_attention_heads").expect("heads")
    }

    /// An option of the rotation, in either spelling.
    fn rope(&self, key: &str) -> &Value {
        let spelled = ["rope_parameters", "rope_scaling"].map(|at| &self.config[at][key]);
        spelled.into_iter().find(|value| !value.is_null()).unwrap_or(&self.config[key])
    }

    /// The name that ggml's converter gives a tensor, and which expert's it is.
    fn name(&self, name: &str) -> (String, Option<usize>) {
        let (stem, kind) = name.rsplit_once('.').expect("a name with a kind");
        let Some((layer, part)) = stem.strip_prefix("model.layers.").and_then(|rest| rest.split_once('.')) else {
            let stem = match stem {
                "model.embed_tokens" => "token_embd",
                "model.norm" => "output_norm",
                "lm_head" => "output",
                other => panic!("no name for {other}"),
            };
            return (format!("{stem}.{kind}"), None);
        };
        if let Some((_, rest)) = part.split_once("experts.") {
            let (expert, matrix) = rest.split_once('.').expect("an expert's matrix");
            let part = EXPERT.iter().find(|(name, _)| *name == matrix).expect("a known matrix").1;
            return (format!("blk.{layer}.{part}.{kind}"), Some(expert.parse().expect("a number")));
        }
        let part = match (self.family.as_str(), part) {
            ("gemma2" | "gemma3_text", "pre_feedforward_layernorm") => "ffn_norm",
            ("gemma2" | "gemma3_text", "post_attention_layernorm") => "post_attention_norm",
            _ => PARTS.iter().find(|(name, _)| *name == part).expect("a known part").1,
        };
        (format!("blk.{layer}.{part}.{kind}"), None)
    }

    /// A tensor's numbers as ggml has them.
    fn values(&self, name: &str, tensor: Tensor) -> Tensor {
        if self.family.starts_with("gemma") && name.ends_with("norm.weight") {
            return (tensor + 1.0).expect("a norm above 1");
        }
        let heads = match name {
            _ if self.architecture != "llama" => return tensor,
            name if name.contains(".attn_q.") => self.heads(),
            name if name.contains(".attn_k.") => self.count("num_key_value_heads").expect("heads"),
            _ => return tensor,
        };
        interleaved(&tensor, heads)
    }

    /// The tensors, in f32, by ggml's names.
    fn tensors(&self, folder: &Path) -> BTreeMap<String, Tensor> {
        let bytes = std::fs::read(folder.join("model.safetensors")).expect("read weights");
        let mut tensors = BTreeMap::new();
        let mut experts: BTreeMap<String, BTreeMap<usize, Tensor>> = BTreeMap::new();
        for (name, view) in SafeTensors::deserialize(&bytes).expect("parse weights").tensors() {
            let dtype = match view.dtype() {
                safetensors::Dtype::F16 => DType::F16,
                safetensors::Dtype::BF16 => DType::BF16,
                _ => DType::F32,
            };
            let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu).expect("a tensor");
            let tensor = tensor.to_dtype(DType::F32).expect("f32");
            match self.name(&name) {
                (name, Some(expert)) => drop(experts.entry(name).or_default().insert(expert, tensor)),
                (name, None) => drop(tensors.insert(name.clone(), self.values(&name, tensor))),
            }
        }
        for (name, experts) in experts {
            let experts: Vec<Tensor> = experts.into_values().collect();
            tensors.insert(name, Tensor::stack(&experts, 0).expect("experts of one shape"));
        }
        for (name, key) in [("rope_factors_long", "long_factor"), ("rope_factors_short", "short_factor")] {
            if let Some(factors) = self.rope(key).as_array() {
                let factors = factors.iter().map(|x| x.as_f64().expect("a factor") as f32).collect();
                tensors.insert(format!("{name}.weight"), vector(factors));
            }
        }
        if self.rope("rope_type") == "llama3" {
            tensors.insert("rope_freqs.weight".into(), vector(self.llama3()));
        }
        tensors
    }

    /// What the converter divides the speeds of Llama 3.1 by.
    fn llama3(&self) -> Vec<f32> {
        let need = |key: &str| self.rope(key).as_f64().expect("an option of llama3");
        let (theta, size) = (need("rope_theta"), self.head_size());
        let original = need("original_max_position_embeddings");
        let (low, high) = (need("low_freq_factor"), need("high_freq_factor"));
        let factor = |i: usize| {
            let wave = 2.0 * std::f64::consts::PI * theta.powf(2.0 * i as f64 / size as f64);
            let smooth = (original / wave - low) / (high - low);
            match wave {
                wave if wave < original / high => 1.0,
                wave if wave > original / low => need("factor"),
                _ => 1.0 / ((1.0 - smooth) / need("factor") + smooth),
            }
        };
        (0..size / 2).map(|i| factor(i) as f32).collect()
    }

    /// The metadata but for the tokenizer's.
    fn fields(&self) -> Vec<(String, Field)> {
        let architecture = self.architecture;
        let mut fields = vec![("general.architecture".to_owned(), Field::String(architecture.into()))];
        let mut add = |key: &str, value: Field| fields.push((format!("{architecture}.{key}"), value));
        for (key, name) in COUNTS {
            if let Some(count) = self.count(key) {
                add(name, Field::U32(count as u32));
            }
        }
        let share = self.config["partial_rotary_factor"].as_f64().unwrap_or(1.0);
        add("rope.dimension_count", Field::U32((self.head_size() as f64 * share) as u32));
        let theta = self.rope("rope_theta").as_f64().expect("theta");
        add("rope.freq_base", Field::F32(theta as f32));
        let eps = self.config["rms_norm_eps"].as_f64().expect("epsilon");
        add("attention.layer_norm_rms_epsilon", Field::F32(eps as f32));
        let numbers = [
            ("attn_logit_softcapping", "attn_logit_softcapping"),
            ("final_logit_softcapping", "final_logit_softcapping"),
            ("rope_local_base_freq", "rope.freq_base_swa"),
            ("beta_fast", "rope.scaling.yarn_beta_fast"),
            ("beta_slow", "rope.scaling.yarn_beta_slow"),
        ];
        for (key, name) in numbers {
            if let Some(number) = self.rope(key).as_f64() {
                add(name, Field::F32(number as f32));
            }
        }
        if let Some(period) = self.count("sliding_window_pattern") {
            add("attention.sliding_window_pattern", Field::U32(period as u32));
        }
        let original = self.rope("original_max_position_embeddings").as_u64();
        let kind = [self.rope("rope_type"), self.rope("type")].into_iter().find_map(Value::as_str);
        match kind.unwrap_or("default") {
            kind @ ("linear" | "yarn") => {
                add("rope.scaling.type", Field::String(kind.into()));
                add("rope.scaling.factor", Field::F32(self.rope("factor").as_f64().expect("a factor") as f32));
            }
            "longrope" => {
                let (longest, original) = (self.count("max_position_embeddings"), original.expect("a length") as f64);
                let scale = longest.expect("a length") as f64 / original;
                let factor = (1.0 + scale.ln() / original.ln()).sqrt();
                add("rope.scaling.attn_factor", Field::F32(factor as f32));
            }
            _ => {}
        }
        if let Some(original) = original {
            add("rope.scaling.original_context_length", Field::U32(original as u32));
        }
        fields.push(("tokenizer.ggml.eos_token_id".into(), Field::U32(2)));
        fields
    }
}

fn vector(values: Vec<f32>) -> Tensor {
    let len = values.len();
    Tensor::from_vec(values, len, &Device::Cpu).expect("a vector")
}

/// Rows as `LlamaModel.permute` of ggml's converter orders them: the halves of a head side by side.
fn interleaved(tensor: &Tensor, heads: usize) -> Tensor {
    let shape = tensor.dims().to_vec();
    let half = shape[0] / heads / 2;
    let width: usize = shape[1..].iter().product();
    let halves = tensor.reshape((heads, 2, half, width)).expect("rows of heads");
    halves.transpose(1, 2).expect("two halves").contiguous().expect("a copy").reshape(shape).expect("rows")
}

/// A GGUF file in a folder of its own, with the tokenizer of the model that it is made from. `stored` says how the matrices
/// are stored, by their names in ggml.
pub fn convert(project: &Project, from: &Path, stored: impl Fn(&str) -> GgmlDType) -> PathBuf {
    let folder = convert_alone(project, from, stored, Vec::new());
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        if from.join(name).is_file() {
            std::fs::copy(from.join(name), folder.join(name)).expect("copy a tokenizer");
        }
    }
    folder
}

/// A GGUF file in a folder of its own with nothing beside it; `further` is more metadata.
pub fn convert_alone(
    project: &Project,
    from: &Path,
    stored: impl Fn(&str) -> GgmlDType,
    further: Vec<(String, Field)>,
) -> PathBuf {
    let source = Source::read(from);
    let mut fields = source.fields();
    fields.extend(further);
    let quantised = source.tensors(from).into_iter().map(|(name, tensor)| {
        let dtype = if tensor.rank() == 1 { GgmlDType::F32 } else { stored(&name) };
        (name, QTensor::quantize(&tensor, dtype).expect("quantise"))
    });
    let tensors: BTreeMap<String, QTensor> = quantised.collect();
    let path = project.write("gguf/model.gguf", "");
    let fields: Vec<(&str, &Field)> = fields.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    gguf_file::write(&mut File::create(&path).expect("create a file"), &fields, &tensors).expect("write a GGUF file");
    project.path("gguf")
}
