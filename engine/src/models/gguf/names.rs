//! Names of tensors: from those of ggml's converters (`gguf-py/gguf/tensor_mapping.py`) to those of Hugging Face checkpoints.

/// The name of a tensor in a Hugging Face checkpoint of `family` (a `model_type`); what has none keeps its own.
pub fn plain(family: &str, name: &str) -> String {
    let (stem, kind) = name.rsplit_once('.').unwrap_or((name, ""));
    let plain = match stem.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) {
        Some((layer, part)) => format!("model.layers.{layer}.{}", part_of(family, part)),
        None => match stem {
            "token_embd" => "model.embed_tokens".to_owned(),
            "output_norm" => "model.norm".to_owned(),
            "output" => "lm_head".to_owned(),
            other => other.to_owned(),
        },
    };
    format!("{plain}.{kind}")
}

/// The name of a part of a layer.
fn part_of(family: &str, part: &str) -> String {
    let four_norms = matches!(family, "gemma2" | "gemma3_text");
    let plain = match part {
        "attn_norm" => "input_layernorm",
        "ffn_norm" if four_norms => "pre_feedforward_layernorm",
        "ffn_norm" => "post_attention_layernorm",
        "post_attention_norm" => "post_attention_layernorm",
        "post_ffw_norm" => "post_feedforward_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_qkv" => "self_attn.qkv_proj",
        "attn_output" => "self_attn.o_proj",
        "attn_q_norm" => "self_attn.q_norm",
        "attn_k_norm" => "self_attn.k_norm",
        "ffn_gate" => "mlp.gate_proj",
        // Gate and up-projection are one matrix there, the gate first.
        "ffn_up" if family == "phi3" => "mlp.gate_up_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        "ffn_gate_inp" if family == "mixtral" => "block_sparse_moe.gate",
        "ffn_gate_inp" => "mlp.gate",
        other => {
            // Files from before the experts of a layer were stacked name each by its number.
            let alone = other.rsplit_once('.').filter(|(_, expert)| expert.parse::<usize>().is_ok());
            return match alone.and_then(|(part, expert)| Some((matrix(family, &format!("{part}_exps"))?, expert))) {
                Some((matrix, expert)) => expert_name(family, matrix, expert),
                None => other.to_owned(),
            };
        }
    };
    plain.to_owned()
}

/// The name of an expert's matrix, for a tensor that holds those of all experts of a layer.
fn matrix(family: &str, part: &str) -> Option<&'static str> {
    match (family, part) {
        ("mixtral", "ffn_gate_exps") => Some("w1"),
        ("mixtral", "ffn_down_exps") => Some("w2"),
        ("mixtral", "ffn_up_exps") => Some("w3"),
        ("qwen3_moe", "ffn_gate_exps") => Some("gate_proj"),
        ("qwen3_moe", "ffn_down_exps") => Some("down_proj"),
        ("qwen3_moe", "ffn_up_exps") => Some("up_proj"),
        _ => None,
    }
}

fn expert_name(family: &str, matrix: &str, expert: impl std::fmt::Display) -> String {
    match family {
        "mixtral" => format!("block_sparse_moe.experts.{expert}.{matrix}"),
        _ => format!("mlp.experts.{expert}.{matrix}"),
    }
}

/// The names of the experts' matrices that a stacked tensor (`[experts, outputs, inputs]`) holds; `None` for any other tensor.
pub fn stacked(family: &str, name: &str, experts: usize) -> Option<Vec<String>> {
    let (layer, part) = name.strip_prefix("blk.")?.strip_suffix(".weight")?.split_once('.')?;
    let matrix = matrix(family, part)?;
    let name = |expert| format!("model.layers.{layer}.{}.weight", expert_name(family, matrix, expert));
    Some((0..experts).map(name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_family() {
        let table = [
            ("llama", "token_embd.weight", "model.embed_tokens.weight"),
            ("llama", "output.weight", "lm_head.weight"),
            ("llama", "blk.3.attn_q.bias", "model.layers.3.self_attn.q_proj.bias"),
            ("llama", "blk.3.ffn_norm.weight", "model.layers.3.post_attention_layernorm.weight"),
            ("gemma", "blk.3.ffn_norm.weight", "model.layers.3.post_attention_layernorm.weight"),
            ("gemma2", "blk.3.ffn_norm.weight", "model.layers.3.pre_feedforward_layernorm.weight"),
            ("gemma2", "blk.3.post_attention_norm.weight", "model.layers.3.post_attention_layernorm.weight"),
            ("gemma3_text", "blk.3.post_ffw_norm.weight", "model.layers.3.post_feedforward_layernorm.weight"),
            ("gemma3_text", "blk.3.attn_k_norm.weight", "model.layers.3.self_attn.k_norm.weight"),
            ("phi3", "blk.0.attn_qkv.weight", "model.layers.0.self_attn.qkv_proj.weight"),
            ("phi3", "blk.0.ffn_up.weight", "model.layers.0.mlp.gate_up_proj.weight"),
            ("mixtral", "blk.0.ffn_gate_inp.weight", "model.layers.0.block_sparse_moe.gate.weight"),
            ("mixtral", "blk.0.ffn_down.7.weight", "model.layers.0.block_sparse_moe.experts.7.w2.weight"),
            ("qwen3_moe", "blk.0.ffn_gate_inp.weight", "model.layers.0.mlp.gate.weight"),
            ("llama", "blk.0.strange.weight", "model.layers.0.strange.weight"),
            ("llama", "rope_freqs.weight", "rope_freqs.weight"),
        ];
        for (family, name, expected) in table {
            assert_eq!(plain(family, name), expected, "{family} {name}");
        }
        let names = stacked("qwen3_moe", "blk.1.ffn_up_exps.weight", 2).expect("stacked");
        assert_eq!(
            names,
            ["model.layers.1.mlp.experts.0.up_proj.weight", "model.layers.1.mlp.experts.1.up_proj.weight"]
        );
        assert_eq!(stacked("mixtral", "blk.1.ffn_up.weight", 2), None);
    }
}
