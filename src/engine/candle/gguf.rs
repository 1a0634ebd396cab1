//! Headers of GGUF files (specification: `docs/gguf.md` of ggml): which tensors there are, under the names that Hugging Face
//! gives them, and the configuration that the metadata implies.

use std::io::Cursor;
use std::path::Path;

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Content;

use super::gguf_metadata::Metadata;
use super::gguf_vocabulary::Vocabulary;
use super::linear::Kind;
use super::weights::Stored;
use crate::engine::guard;
use crate::error::{Error, Result, nearest};

/// Architectures whose tensor names are known here.
const ARCHITECTURES: [&str; 8] = ["gemma", "gemma2", "gemma3", "llama", "phi3", "qwen2", "qwen3", "qwen3moe"];

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

fn broken(path: &Path, cause: String) -> Error {
    Error::input(format!("read the GGUF header of `{}`", path.display()))
        .caused_by(cause)
        .with_hint("the file is truncated or not a GGUF file; fetch it again")
}

fn content(path: &Path, bytes: &[u8]) -> Result<Content> {
    // candle divides by an alignment of zero.
    guard::guarded("read a GGUF header", || Content::read(&mut Cursor::new(bytes)))
        .map_err(|e| broken(path, e.to_string()))?
        .map_err(|e| broken(path, e.to_string()))
}

/// What a file says of tokens.
///
/// # Errors
/// The header is broken, or the file has no tokenizer.
pub fn vocabulary(path: &Path, bytes: &[u8]) -> Result<Vocabulary> {
    let content = content(path, bytes)?;
    Vocabulary::read(&Metadata { values: &content.metadata, path })
}

/// Reads the header of a file.
///
/// # Errors
/// It is broken, or its architecture is not supported.
pub fn read(path: &Path, bytes: &[u8]) -> Result<Header> {
    let content = content(path, bytes)?;
    let metadata = Metadata { values: &content.metadata, path };
    let architecture = metadata.text("general.architecture")?;
    if !ARCHITECTURES.contains(&architecture) {
        return Err(Error::input(format!("use the GGUF architecture `{architecture}`"))
            .at(path)
            .with_hint(nearest(architecture, ARCHITECTURES)));
    }
    let config = metadata.config(architecture, &content, bytes)?;
    let mixed = architecture == "llama" && metadata.number("llama.expert_count").is_some();
    let heads = |name: &str| match (architecture, name) {
        ("llama", name) if name.contains(".q_proj.") => metadata.count("llama.attention.head_count"),
        ("llama", name) if name.contains(".k_proj.") => metadata.count("llama.attention.head_count_kv"),
        _ => Ok(1),
    };
    let mut tensors = Vec::with_capacity(content.tensor_infos.len());
    for (name, info) in &content.tensor_infos {
        let name = plain_name(architecture, mixed, name);
        let start = content.tensor_data_offset.checked_add(info.offset).and_then(|start| usize::try_from(start).ok());
        let start = start.ok_or_else(|| broken(path, format!("tensor `{name}` starts outside of the file")))?;
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

/// The name of a tensor in a Hugging Face checkpoint; what has none keeps its own. `mixed` is Mixtral, which ggml calls Llama.
fn plain_name(architecture: &str, mixed: bool, name: &str) -> String {
    let (stem, kind) = name.rsplit_once('.').unwrap_or((name, ""));
    let sandwiched = matches!(architecture, "gemma2" | "gemma3");
    let plain = match stem.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) {
        Some((layer, part)) => {
            let part = match part {
                "attn_norm" => "input_layernorm",
                "post_attention_norm" => "post_attention_layernorm",
                "ffn_norm" if sandwiched => "pre_feedforward_layernorm",
                "ffn_norm" => "post_attention_layernorm",
                "post_ffw_norm" => "post_feedforward_layernorm",
                "attn_qkv" => "self_attn.qkv_proj",
                "attn_q" => "self_attn.q_proj",
                "attn_k" => "self_attn.k_proj",
                "attn_v" => "self_attn.v_proj",
                "attn_output" => "self_attn.o_proj",
                "attn_q_norm" => "self_attn.q_norm",
                "attn_k_norm" => "self_attn.k_norm",
                "ffn_gate" => "mlp.gate_proj",
                "ffn_up" if architecture == "phi3" => "mlp.gate_up_proj",
                "ffn_up" => "mlp.up_proj",
                "ffn_down" => "mlp.down_proj",
                "ffn_gate_inp" if mixed => "block_sparse_moe.gate",
                "ffn_gate_exps" if mixed => "block_sparse_moe.experts.w1",
                "ffn_up_exps" if mixed => "block_sparse_moe.experts.w3",
                "ffn_down_exps" if mixed => "block_sparse_moe.experts.w2",
                "ffn_gate_inp" => "mlp.gate",
                "ffn_gate_exps" => "mlp.experts.gate_proj",
                "ffn_up_exps" => "mlp.experts.up_proj",
                "ffn_down_exps" => "mlp.experts.down_proj",
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
