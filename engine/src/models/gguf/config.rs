//! What the metadata of a GGUF file says in the place of a `config.json`, with transformers' keys.
//!
//! Where ggml leaves a number to its reader's knowledge of the family, it is the one of llama.cpp (`src/models/`).

use candle_core::quantized::gguf_file::Content;
use serde_json::{Value, json};

use super::Metadata;
use crate::error::{Error, Result, nearest};
use crate::models::hashed_file::HashedFile;

/// Architectures whose tensor names and metadata are known here.
const ARCHITECTURES: [&str; 8] = ["llama", "qwen2", "qwen3", "qwen3moe", "gemma", "gemma2", "gemma3", "phi3"];

/// Names of tokens that end a turn, whether or not the metadata says so (`special_eog_ids` of `src/llama-vocab.cpp`).
const ENDS: [&str; 8] =
    ["<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<EOT>"];

/// Control and user-defined tokens in `tokenizer.ggml.token_type`.
const MARKED: [u64; 2] = [3, 4];

impl Metadata<'_> {
    /// The `model_type` of transformers.
    ///
    /// # Errors
    /// The architecture is missing or not supported.
    pub fn family(&self) -> Result<&'static str> {
        match self.text("general.architecture")? {
            "llama" if self.experts() > 0 => Ok("mixtral"),
            "llama" => Ok("llama"),
            "qwen2" => Ok("qwen2"),
            "qwen3" => Ok("qwen3"),
            "qwen3moe" => Ok("qwen3_moe"),
            "gemma" => Ok("gemma"),
            "gemma2" => Ok("gemma2"),
            "gemma3" => Ok("gemma3_text"),
            "phi3" => Ok("phi3"),
            other => Err(Error::input(format!("the GGUF architecture `{other}` is not supported"))
                .at(self.path)
                .with_hint(nearest(other, ARCHITECTURES))),
        }
    }

    /// Experts of a layer; 0 for a model without.
    pub fn experts(&self) -> u64 {
        self.own("expert_count").and_then(|n| n.as_u64()).unwrap_or(0)
    }

    /// A number under a key of the architecture.
    fn own(&self, key: &str) -> Option<Value> {
        self.number(&format!("{}.{key}", self.text("general.architecture").ok()?))
    }

    fn own_f64(&self, key: &str) -> Option<f64> {
        self.own(key)?.as_f64()
    }

    fn own_u64(&self, key: &str) -> Option<u64> {
        self.own(key)?.as_u64()
    }

    /// What a `config.json` would say.
    pub fn config(&self, family: &str, content: &Content, file: &HashedFile) -> Result<Value> {
        let tensors = &content.tensor_infos;
        let rows = |name: &str| tensors.get(name).and_then(|info| info.shape.dims().first().copied());
        let vocab = rows("token_embd.weight").ok_or_else(|| {
            Error::input("there is no tensor `token_embd.weight`")
                .at(self.path)
                .with_hint("the file holds no language model")
        })?;
        let mut config = json!({
            "model_type": family,
            "vocab_size": vocab,
            "hidden_size": self.own("embedding_length"),
            "intermediate_size": self.own("feed_forward_length"),
            "num_hidden_layers": self.own("block_count"),
            "num_attention_heads": self.own("attention.head_count"),
            "num_key_value_heads": self.own("attention.head_count_kv"),
            "head_dim": self.own("attention.key_length"),
            "max_position_embeddings": self.own("context_length"),
            "rms_norm_eps": self.own("attention.layer_norm_rms_epsilon"),
            "rope_theta": self.own("rope.freq_base"),
            "tie_word_embeddings": !tensors.contains_key("output.weight"),
            "attention_bias": tensors.contains_key("blk.0.attn_output.bias"),
        });
        self.add_rotation(&mut config, content, file)?;
        match family {
            "gemma" | "gemma2" | "gemma3_text" => self.add_gemma(family, &mut config),
            "mixtral" => {
                config["num_local_experts"] = json!(self.own("expert_count"));
                config["num_experts_per_tok"] = json!(self.own("expert_used_count"));
            }
            "qwen3_moe" => {
                config["num_experts"] = json!(self.own("expert_count"));
                config["num_experts_per_tok"] = json!(self.own("expert_used_count"));
                config["moe_intermediate_size"] = json!(self.own("expert_feed_forward_length"));
                config["norm_topk_prob"] = json!(true);
                config["decoder_sparse_step"] = json!(1);
                let layers = 0..self.own_u64("block_count").unwrap_or(0).min(1 << 14);
                let dense = layers.filter(|n| tensors.contains_key(&format!("blk.{n}.ffn_gate.weight")));
                config["mlp_only_layers"] = dense.collect();
            }
            // A window of zero stands for none.
            "phi3" => config["sliding_window"] = json!(self.own_u64("attention.sliding_window").filter(|n| *n > 0)),
            _ => {}
        }
        let ends = self.ends();
        if !ends.is_empty() {
            config["eos_token_id"] = json!(ends);
        }
        Ok(config)
    }

    /// The kind of rotary embedding.
    fn add_rotation(&self, config: &mut Value, content: &Content, file: &HashedFile) -> Result<()> {
        let factors = |name: &str| self.floats(content, file, name);
        let original = self.own("rope.scaling.original_context_length");
        if let (Some(rotated), Some(size)) = (self.own_u64("rope.dimension_count"), self.head_size())
            && rotated < size
        {
            config["partial_rotary_factor"] = json!(rotated as f64 / size as f64);
        }
        if let Some(factors) = factors("rope_freqs.weight")? {
            config["rope_scaling"] = json!({"rope_type": "gguf_factors", "factors": factors});
            return Ok(());
        }
        if let (Some(long), Some(short)) = (factors("rope_factors_long.weight")?, factors("rope_factors_short.weight")?)
        {
            config["rope_scaling"] = json!({"rope_type": "longrope", "long_factor": long, "short_factor": short});
            config["original_max_position_embeddings"] = json!(original);
            if let Some(factor) = self.own("rope.scaling.attn_factor") {
                config["rope_scaling"]["attention_factor"] = factor;
            }
            return Ok(());
        }
        let architecture = self.text("general.architecture")?;
        let kind = self.text(&format!("{architecture}.rope.scaling.type")).unwrap_or("none");
        // Files from before there was a kind have only the factor of a linear scaling.
        let (kind, factor) = match (kind, self.own("rope.scaling.factor"), self.own("rope.scale_linear")) {
            ("none", _, Some(factor)) if factor.as_f64() != Some(1.0) => ("linear", Some(factor)),
            (kind, factor, _) => (kind, factor),
        };
        match kind {
            "none" => {}
            "yarn" => {
                config["rope_scaling"] = json!({"rope_type": kind, "factor": factor});
                let options = [
                    ("original_max_position_embeddings", original),
                    ("beta_fast", self.own("rope.scaling.yarn_beta_fast")),
                    ("beta_slow", self.own("rope.scaling.yarn_beta_slow")),
                ];
                for (key, value) in options {
                    if let Some(value) = value {
                        config["rope_scaling"][key] = value;
                    }
                }
            }
            kind => config["rope_scaling"] = json!({"rope_type": kind, "factor": factor}),
        }
        Ok(())
    }

    /// The size of an attention head.
    fn head_size(&self) -> Option<u64> {
        let even = || self.own_u64("embedding_length")?.checked_div(self.own_u64("attention.head_count")?);
        self.own_u64("attention.key_length").or_else(even)
    }

    fn add_gemma(&self, family: &str, config: &mut Value) {
        // Gemma scales by 1 + weight; ggml's converter adds the 1.
        config["gguf_norms_are_whole"] = json!(true);
        config["hidden_activation"] = json!("gelu_pytorch_tanh");
        if family == "gemma" {
            return;
        }
        let layers = self.own_u64("block_count").unwrap_or(0);
        // The 27B models scale by the width of a head that they would have, had they no wider ones.
        let largest = if family == "gemma2" { 46 } else { 62 };
        let even = || self.own_u64("embedding_length")?.checked_div(self.own_u64("attention.head_count")?);
        config["query_pre_attn_scalar"] = json!(if layers == largest { even() } else { self.head_size() });
        let window = self.own_u64("attention.sliding_window");
        let period = match family {
            "gemma2" => {
                config["sliding_window"] = json!(window.unwrap_or(4096));
                config["attn_logit_softcapping"] = json!(self.own_f64("attn_logit_softcapping").unwrap_or(50.0));
                config["final_logit_softcapping"] = json!(self.own_f64("final_logit_softcapping").unwrap_or(30.0));
                2
            }
            _ => {
                config["sliding_window"] = json!(window);
                config["attn_logit_softcapping"] = json!(self.own_f64("attn_logit_softcapping"));
                config["final_logit_softcapping"] = json!(self.own_f64("final_logit_softcapping"));
                config["rope_local_base_freq"] = json!(self.own_f64("rope.freq_base_swa").unwrap_or(10000.0));
                config["rope_theta"] = json!(self.own_f64("rope.freq_base").unwrap_or(1_000_000.0));
                6
            }
        };
        let period = self.own_u64("attention.sliding_window_pattern").filter(|n| *n > 0).unwrap_or(period);
        if family == "gemma3_text" {
            config["sliding_window_pattern"] = json!(period);
        }
        // A file without a window has none in any layer.
        let full = |layer: u64| (layer + 1).is_multiple_of(period) || config["sliding_window"].is_null();
        let kind = |layer| if full(layer) { "full_attention" } else { "sliding_attention" };
        let kinds: Vec<&str> = (0..layers.min(1 << 14)).map(kind).collect();
        config["layer_types"] = json!(kinds);
    }

    /// Ids that end an answer.
    fn ends(&self) -> Vec<u64> {
        let keys = ["eos", "eot", "eom"];
        let listed = keys.iter().filter_map(|end| self.number(&format!("tokenizer.ggml.{end}_token_id"))?.as_u64());
        let mut ends: Vec<u64> = listed.collect();
        let (tokens, types) = (self.list("tokenizer.ggml.tokens"), self.list("tokenizer.ggml.token_type"));
        for (id, (token, kind)) in tokens.iter().zip(types).enumerate() {
            let named = token.to_string().is_ok_and(|token| ENDS.contains(&token.as_str()));
            if named && crate::models::gguf::plain(kind).as_u64().is_some_and(|kind| MARKED.contains(&kind)) {
                ends.push(id as u64);
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        ends.retain(|id| seen.insert(*id));
        ends
    }
}
