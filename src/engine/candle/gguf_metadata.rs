//! The metadata of GGUF files, and the `config.json` that they imply.

use std::collections::HashMap;
use std::path::Path;

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, Value};
use serde_json::json;

use crate::error::{Error, Result};

/// The metadata of a file.
pub struct Metadata<'a> {
    /// Its keys and values.
    pub values: &'a HashMap<String, Value>,
    /// The file, for messages.
    pub path: &'a Path,
}

impl Metadata<'_> {
    /// The error that a key is missing, or of another type.
    pub fn missing(&self, key: &str) -> Error {
        Error::input(format!("find `{key}` in the metadata")).at(self.path)
    }

    /// A text.
    pub fn text(&self, key: &str) -> Result<&str> {
        let value = self.values.get(key).and_then(|v| v.to_string().ok());
        value.map(String::as_str).ok_or_else(|| self.missing(key))
    }

    /// A flag.
    pub fn flag(&self, key: &str) -> Option<bool> {
        self.values.get(key).and_then(|value| value.to_bool().ok())
    }

    /// A list.
    pub fn list(&self, key: &str) -> Option<&[Value]> {
        self.values.get(key).and_then(|value| value.to_vec().ok()).map(Vec::as_slice)
    }

    /// A number.
    pub fn number(&self, key: &str) -> Option<serde_json::Value> {
        match self.values.get(key)? {
            Value::F32(x) => Some(json!(x)),
            Value::F64(x) => Some(json!(x)),
            Value::I32(x) => Some(json!(x)),
            Value::I64(x) => Some(json!(x)),
            other => other.to_u64().ok().map(|x| json!(x)),
        }
    }

    /// A count above zero.
    pub fn count(&self, key: &str) -> Result<usize> {
        let count = self.number(key).and_then(|n| n.as_u64()).filter(|n| (1..1 << 28).contains(n));
        count.map(|n| n as usize).ok_or_else(|| self.missing(key))
    }

    /// The values of a vector of f32 tensors beside the weights.
    fn factors(&self, content: &Content, bytes: &[u8], name: &str) -> Result<Option<Vec<f32>>> {
        let Some(info) = content.tensor_infos.get(name) else { return Ok(None) };
        let count = info.shape.elem_count();
        let start = content.tensor_data_offset.checked_add(info.offset).and_then(|start| usize::try_from(start).ok());
        let range = start.zip(count.checked_mul(4)).and_then(|(start, len)| Some(start..start.checked_add(len)?));
        let values = range.and_then(|range| bytes.get(range)).filter(|_| info.ggml_dtype == GgmlDType::F32);
        let values = values.ok_or_else(|| Error::input(format!("read rotary factors `{name}`")).at(self.path))?;
        Ok(Some(values.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()))
    }

    /// What a `config.json` would say.
    ///
    /// # Errors
    /// The file holds no language model, or factors that are not f32.
    pub fn config(&self, architecture: &str, content: &Content, bytes: &[u8]) -> Result<serde_json::Value> {
        let own = |key: &str| self.number(&format!("{architecture}.{key}"));
        let tensors = &content.tensor_infos;
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
        let set = |config: &mut serde_json::Value, more: serde_json::Value| {
            for (key, value) in more.as_object().into_iter().flatten() {
                config[key] = value.clone();
            }
        };
        if let Some(kind) = self.text(&format!("{architecture}.rope.scaling.type")).ok().filter(|kind| *kind != "none")
        {
            config["rope_scaling"] = json!({
                "rope_type": kind,
                "factor": own("rope.scaling.factor"),
                "original_max_position_embeddings": own("rope.scaling.original_context_length"),
                "attention_factor": own("rope.scaling.attn_factor"),
            });
        }
        if let Some(factors) = self.factors(content, bytes, "rope_freqs.weight")? {
            config["rope_scaling"] = json!({"rope_type": "factors", "factors": factors});
        }
        match architecture {
            "llama" if own("expert_count").is_some() => set(
                &mut config,
                json!({
                    "model_type": "mixtral",
                    "num_local_experts": own("expert_count"),
                    "num_experts_per_tok": own("expert_used_count"),
                }),
            ),
            "qwen3moe" => set(
                &mut config,
                json!({
                    "model_type": "qwen3_moe",
                    "num_experts": own("expert_count"),
                    "num_experts_per_tok": own("expert_used_count"),
                    "moe_intermediate_size": own("expert_feed_forward_length"),
                    "norm_topk_prob": true,
                }),
            ),
            "phi3" => {
                // ggml writes the whole length where there is no window.
                let window = own("attention.sliding_window").filter(|window| window.as_u64() != Some(0));
                let turned = own("rope.dimension_count").and_then(|n| n.as_f64());
                let size = own("embedding_length").and_then(|n| n.as_f64());
                let heads = own("attention.head_count").and_then(|n| n.as_f64());
                let share = turned.zip(size.zip(heads)).map(|(turned, (size, heads))| turned * heads / size);
                set(&mut config, json!({"sliding_window": window, "partial_rotary_factor": share}));
                let long = self.factors(content, bytes, "rope_factors_long.weight")?;
                if let Some((long, short)) = long.zip(self.factors(content, bytes, "rope_factors_short.weight")?) {
                    config["rope_scaling"] = json!({
                        "rope_type": "longrope",
                        "long_factor": long,
                        "short_factor": short,
                        "original_max_position_embeddings": own("rope.scaling.original_context_length"),
                        "attention_factor": own("rope.scaling.attn_factor"),
                    });
                }
            }
            "gemma" | "gemma2" | "gemma3" => {
                set(&mut config, json!({"gguf_norms_are_whole": true}));
                if architecture != "gemma" {
                    // As llama.cpp scales scores: by the head's size, but by hidden/heads in the sizes of 27 B.
                    let largest = matches!(own("block_count").and_then(|n| n.as_u64()), Some(46 | 62));
                    let scalar = match largest {
                        true => {
                            self.count(&format!("{architecture}.embedding_length"))?
                                / self.count(&format!("{architecture}.attention.head_count"))?
                        }
                        false => self.count(&format!("{architecture}.attention.key_length"))?,
                    };
                    set(
                        &mut config,
                        json!({
                            "query_pre_attn_scalar": scalar,
                            "sliding_window": own("attention.sliding_window"),
                            "attn_logit_softcapping": own("attn_logit_softcapping"),
                            "final_logit_softcapping": own("final_logit_softcapping"),
                        }),
                    );
                }
                if architecture == "gemma3" {
                    config["model_type"] = json!("gemma3_text");
                }
            }
            _ => {}
        }
        let ends = ["eos", "eot", "eom"].map(|end| self.number(&format!("tokenizer.ggml.{end}_token_id")));
        let ends: Vec<_> = ends.into_iter().flatten().collect();
        if !ends.is_empty() {
            config["eos_token_id"] = json!(ends);
        }
        Ok(config)
    }
}
