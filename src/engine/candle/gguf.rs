//! Headers of GGUF files (specification: `docs/gguf.md` of ggml): which tensors there are, under the names that Hugging Face
//! gives them, and the configuration that the metadata implies.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, Value};
use serde_json::json;

use super::linear::Kind;
use super::weights::Stored;
use crate::engine::guard;
use crate::error::{Error, Result, nearest};

/// Architectures whose tensor names are known here.
const ARCHITECTURES: [&str; 3] = ["llama", "qwen2", "qwen3"];

/// A tensor of a file.
pub struct Tensor {
    /// The name in a Hugging Face checkpoint.
    pub name: String,
    /// How its values are stored.
    pub stored: Stored,
    /// Rows first.
    pub shape: Vec<usize>,
    /// First byte in the file.
    pub start: usize,
    /// In how many heads its rows were interleaved for ggml's rotation; 1 for rows in their usual order.
    pub heads: usize,
}

/// What the header of a file says.
pub struct Header {
    /// The tensors, in no order.
    pub tensors: Vec<Tensor>,
    /// The configuration as a `config.json` would hold it.
    pub config: serde_json::Value,
}

/// Reads the header of a file.
///
/// # Errors
/// It is broken, or its architecture is not supported.
pub fn read(path: &Path, bytes: &[u8]) -> Result<Header> {
    let broken = |cause: String| {
        Error::input(format!("read the GGUF header of `{}`", path.display()))
            .caused_by(cause)
            .with_hint("the file is truncated or not a GGUF file; fetch it again")
    };
    // candle divides by an alignment of zero.
    let content = guard::guarded("read a GGUF header", || Content::read(&mut Cursor::new(bytes)))
        .map_err(|e| broken(e.to_string()))?
        .map_err(|e| broken(e.to_string()))?;
    let metadata = Metadata { values: &content.metadata, path };
    let architecture = metadata.text("general.architecture")?;
    if !ARCHITECTURES.contains(&architecture) {
        return Err(Error::input(format!("use the GGUF architecture `{architecture}`"))
            .at(path)
            .with_hint(nearest(architecture, ARCHITECTURES)));
    }
    let config = metadata.config(architecture, &content)?;
    let heads = |name: &str| match (architecture, name) {
        ("llama", name) if name.contains(".q_proj.") => metadata.count("llama.attention.head_count"),
        ("llama", name) if name.contains(".k_proj.") => metadata.count("llama.attention.head_count_kv"),
        _ => Ok(1),
    };
    let mut tensors = Vec::with_capacity(content.tensor_infos.len());
    for (name, info) in &content.tensor_infos {
        let name = plain_name(name);
        let start = content.tensor_data_offset.checked_add(info.offset).and_then(|start| usize::try_from(start).ok());
        let start = start.ok_or_else(|| broken(format!("tensor `{name}` starts outside of the file")))?;
        let (stored, shape, heads) = (stored(info.ggml_dtype), info.shape.dims().to_vec(), heads(&name)?);
        tensors.push(Tensor { name, stored, shape, start, heads });
    }
    Ok(Header { tensors, config })
}

fn stored(kind: GgmlDType) -> Stored {
    match kind {
        GgmlDType::F32 => Stored::F32,
        GgmlDType::F16 => Stored::F16,
        GgmlDType::BF16 => Stored::Bf16,
        GgmlDType::Q4_0 => Stored::Quantized(Kind::Q4_0),
        GgmlDType::Q4_1 => Stored::Quantized(Kind::Q4_1),
        GgmlDType::Q5_0 => Stored::Quantized(Kind::Q5_0),
        GgmlDType::Q5_1 => Stored::Quantized(Kind::Q5_1),
        GgmlDType::Q8_0 => Stored::Quantized(Kind::Q8_0),
        GgmlDType::Q4K => Stored::Quantized(Kind::Q4K),
        GgmlDType::Q5K => Stored::Quantized(Kind::Q5K),
        GgmlDType::Q6K => Stored::Quantized(Kind::Q6K),
        other => Stored::Other(format!("{other:?}")),
    }
}

/// The name of a tensor in a Hugging Face checkpoint; what has none keeps its own.
fn plain_name(name: &str) -> String {
    let (stem, kind) = name.rsplit_once('.').unwrap_or((name, ""));
    let plain = match stem.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) {
        Some((layer, part)) => {
            let part = match part {
                "attn_norm" => "input_layernorm",
                "ffn_norm" => "post_attention_layernorm",
                "attn_q" => "self_attn.q_proj",
                "attn_k" => "self_attn.k_proj",
                "attn_v" => "self_attn.v_proj",
                "attn_output" => "self_attn.o_proj",
                "attn_q_norm" => "self_attn.q_norm",
                "attn_k_norm" => "self_attn.k_norm",
                "ffn_gate" => "mlp.gate_proj",
                "ffn_up" => "mlp.up_proj",
                "ffn_down" => "mlp.down_proj",
                other => other,
            };
            format!("model.layers.{layer}.{part}")
        }
        None => match stem {
            "token_embd" => "model.embed_tokens".to_owned(),
            "output_norm" => "model.norm".to_owned(),
            "output" => "lm_head".to_owned(),
            other => other.to_owned(),
        },
    };
    format!("{plain}.{kind}")
}

struct Metadata<'a> {
    values: &'a HashMap<String, Value>,
    path: &'a Path,
}

impl Metadata<'_> {
    fn missing(&self, key: &str) -> Error {
        Error::input(format!("find `{key}` in the metadata")).at(self.path)
    }

    fn text(&self, key: &str) -> Result<&str> {
        let value = self.values.get(key).and_then(|v| v.to_string().ok());
        value.map(String::as_str).ok_or_else(|| self.missing(key))
    }

    fn number(&self, key: &str) -> Option<serde_json::Value> {
        match self.values.get(key)? {
            Value::F32(x) => Some(json!(x)),
            Value::F64(x) => Some(json!(x)),
            Value::I32(x) => Some(json!(x)),
            Value::I64(x) => Some(json!(x)),
            other => other.to_u64().ok().map(|x| json!(x)),
        }
    }

    fn count(&self, key: &str) -> Result<usize> {
        let count = self.number(key).and_then(|n| n.as_u64()).filter(|n| (1..1 << 28).contains(n));
        count.map(|n| n as usize).ok_or_else(|| self.missing(key))
    }

    /// What a `config.json` would say.
    fn config(&self, architecture: &str, content: &Content) -> Result<serde_json::Value> {
        let own = |key: &str| self.number(&format!("{architecture}.{key}"));
        let tensors = &content.tensor_infos;
        if tensors.contains_key("rope_freqs.weight") {
            return Err(Error::input("use rotary factors that are stored as a tensor")
                .at(self.path)
                .with_hint("put the model's own config.json beside the file: it names the kind of rotary embedding"));
        }
        let rows = |name: &str| tensors.get(name).and_then(|info| info.shape.dims().first().copied());
        let vocab = rows("token_embd.weight").ok_or_else(|| {
            Error::input("find tensor `token_embd.weight`").at(self.path).with_hint("the file holds no language model")
        })?;
        let mut config = json!({
            "model_type": architecture,
            "vocab_size": vocab,
            "hidden_size": own("embedding_length"),
            "intermediate_size": own("feed_forward_length"),
            "num_hidden_layers": own("block_count"),
            "num_attention_heads": own("attention.head_count"),
            "num_key_value_heads": own("attention.head_count_kv"),
            "head_dim": own("attention.key_length"),
            "max_position_embeddings": own("context_length"),
            "rms_norm_eps": own("attention.layer_norm_rms_epsilon"),
            "rope_theta": own("rope.freq_base"),
            "tie_word_embeddings": !tensors.contains_key("output.weight"),
            "attention_bias": tensors.contains_key("blk.0.attn_output.bias"),
        });
        let kind = self.text(&format!("{architecture}.rope.scaling.type")).unwrap_or("none");
        if kind != "none" {
            config["rope_scaling"] = json!({"rope_type": kind, "factor": own("rope.scaling.factor")});
        }
        let ends = ["eos", "eot"].map(|end| self.number(&format!("tokenizer.ggml.{end}_token_id")));
        let ends: Vec<_> = ends.into_iter().flatten().collect();
        if !ends.is_empty() {
            config["eos_token_id"] = json!(ends);
        }
        Ok(config)
    }
}
