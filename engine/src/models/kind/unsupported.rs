//! Formats and methods of others, by the names of their files and keys, with what to do about each.

use std::path::Path;

use serde_json::Value;

use super::place::used;
use crate::error::Error;

/// What weights karat reads, for hints.
pub const READ: &str = "karat reads f32, f16 and bf16 safetensors, and GGUF files of Q4_0 to Q8_0 and Q2_K to Q6_K: take the \
                        original model, or a GGUF file of it";

/// Weights in a format that is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// What it is, to stand behind "it is" or "it holds".
    pub what: &'static str,
    /// What to do.
    pub hint: &'static str,
}

const SAVE: &str = "convert it: transformers.AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW) writes safetensors, \
                    and its tokenizer likewise";

/// Formats by how the names of their files end, in lower case; the first that fits counts.
const FORMATS: [(&str, Format); 22] = [
    (".incomplete", UNFINISHED),
    (".part", UNFINISHED),
    (".crdownload", UNFINISHED),
    (".aria2", UNFINISHED),
    (".dvc", Format { what: "a DVC pointer, not the file", hint: "fetch it with `dvc pull`" }),
    (".bin", PICKLE),
    (".pt", PICKLE),
    (".ckpt", PICKLE),
    (".pkl", PICKLE),
    (
        ".pth",
        Format {
            what: "a checkpoint of PyTorch (a pickle: `.pth`)",
            hint: "take the model in the format of transformers (config.json and safetensors), or convert it with the scripts of its \
                   family in transformers",
        },
    ),
    (".onnx", ONNX),
    (".onnx_data", ONNX),
    (".h5", Format { what: "weights of TensorFlow or Keras (`.h5`)", hint: SAVE }),
    (".msgpack", Format { what: "weights of Flax (`.msgpack`)", hint: SAVE }),
    (".ot", Format { what: "weights of rust-bert (`.ot`)", hint: SAVE }),
    (".npz", Format { what: "weights of numpy (`.npz`)", hint: SAVE }),
    ("saved_model.pb", Format { what: "a SavedModel of TensorFlow", hint: SAVE }),
    (".tflite", Format { what: "a model of TensorFlow Lite", hint: READ }),
    (".mlmodel", Format { what: "a model of Core ML", hint: READ }),
    ("openvino_model.xml", Format { what: "a model of OpenVINO", hint: READ }),
    (".engine", Format { what: "an engine of TensorRT", hint: READ }),
    (".plan", Format { what: "an engine of TensorRT", hint: READ }),
];

const PICKLE: Format = Format { what: "weights of PyTorch (a pickle: `.bin`, `.pt`, `.ckpt`)", hint: SAVE };
const ONNX: Format =
    Format { what: "a model in ONNX", hint: "take the model in safetensors or GGUF that it was exported from" };
const UNFINISHED: Format =
    Format { what: "a download that was not finished", hint: "finish the download, or start it again" };

/// Files that end as weights do and are none.
const NO_WEIGHTS: [&str; 6] =
    ["training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "tokenizer.pkl"];

/// The format of a file by its name in lower case, with its place in the order in which formats are named.
pub fn format_of(name: &str) -> Option<(usize, Format)> {
    let found = FORMATS.iter().position(|(ending, _)| name.ends_with(ending)).map(|rank| (rank, FORMATS[rank].1));
    found.filter(|_| !NO_WEIGHTS.contains(&name) && !name.starts_with("rng_state"))
}

/// How the weights are quantised, where a configuration says so: `quantization_config` of transformers, `quantization` of MLX.
pub fn quantised(config: &Value) -> Option<String> {
    let parts = [config.get("text_config"), config.get("llm_config"), Some(config)];
    let of = |key: &str| parts.iter().flatten().find_map(|part| part.get(key)).filter(|value| !value.is_null());
    if let Some(mlx) = of("quantization").filter(|mlx| mlx.get("bits").is_some() || mlx.get("group_size").is_some()) {
        return Some(mlx_words(mlx));
    }
    let method = of("quantization_config").or_else(|| of("compression_config"))?;
    let named = ["quant_method", "quant_algo", "method"].iter().find_map(|key| method.get(*key)?.as_str());
    if named.is_none() && method.get("group_size").is_some() && method.get("bits").is_some() {
        return Some(mlx_words(method));
    }
    let flag = |key: &str| method.get(key) == Some(&Value::Bool(true));
    let (four, eight) = (flag("load_in_4bit"), flag("load_in_8bit"));
    let name = named.unwrap_or(if four || eight { "bitsandbytes" } else { "a method that it does not name" });
    let counted =
        ["bits", "w_bit", "nbits", "num_bits", "weight_bits"].iter().find_map(|key| method.get(*key)?.as_u64());
    let bits = counted.or(four.then_some(4)).or(eight.then_some(8));
    let bits = bits.map_or(String::new(), |bits| format!(", {bits} bits"));
    Some(format!("are quantised by {name}{bits} (`quantization_config` of config.json)"))
}

fn mlx_words(options: &Value) -> String {
    let count = |key: &str| options.get(key).and_then(Value::as_u64);
    let bits = count("bits").map_or(String::new(), |bits| format!(", {bits} bits"));
    let groups = count("group_size").map_or(String::new(), |size| format!(" in groups of {size}"));
    format!("are quantised by MLX{bits}{groups} (`quantization` of config.json)")
}

/// Files that older tools wrote beside `config.json` to say how weights are quantised.
pub const QUANTISED: [(&str, &str); 4] = [
    ("quantize_config.json", "GPTQ"),
    ("quant_config.json", "AWQ"),
    ("hf_quant_config.json", "ModelOpt"),
    ("quant_strategy.json", "ExLlama"),
];

/// That weights are quantised.
pub fn quantised_error(folder: &Path, how: &str) -> Error {
    used(folder, format!("its weights {how}")).with_hint(READ)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_named() {
        let how = |text: &str| quantised(&serde_json::from_str(text).unwrap());
        let table = [
            (r#"{"quantization_config": {"quant_method": "gptq", "bits": 4}}"#, "gptq, 4 bits"),
            (r#"{"quantization_config": {"quant_method": "awq", "w_bit": 4}}"#, "awq, 4 bits"),
            (r#"{"quantization_config": {"quant_method": "fp8"}}"#, "fp8 ("),
            (r#"{"quantization_config": {"load_in_4bit": true}}"#, "bitsandbytes, 4 bits"),
            (
                r#"{"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": true}}"#,
                "bitsandbytes, 8 bits",
            ),
            (r#"{"text_config": {"quantization_config": {"quant_method": "mxfp4"}}}"#, "mxfp4 ("),
            (r#"{"compression_config": {"quant_method": "compressed-tensors"}}"#, "compressed-tensors"),
            (r#"{"quantization_config": {}}"#, "does not name"),
            (r#"{"quantization": {"group_size": 64, "bits": 4}}"#, "MLX, 4 bits in groups of 64"),
            (r#"{"quantization_config": {"group_size": 64, "bits": 8}}"#, "MLX, 8 bits"),
        ];
        for (text, words) in table {
            assert!(how(text).is_some_and(|how| how.contains(words)), "{text}: {:?}", how(text));
        }
        assert_eq!(how(r#"{"quantization_config": null, "model_type": "llama"}"#), None);
    }

    #[test]
    fn formats_are_told_by_names() {
        for (name, words) in [
            ("pytorch_model-00001-of-00002.bin", "PyTorch"),
            ("consolidated.00.pth", "PyTorch"),
            ("model.onnx", "ONNX"),
            ("tf_model.h5", "TensorFlow"),
            ("flax_model.msgpack", "Flax"),
            ("model.safetensors.incomplete", "not finished"),
            ("model.safetensors.dvc", "DVC"),
        ] {
            assert!(format_of(name).is_some_and(|(_, format)| format.what.contains(words)), "{name}");
        }
        for name in ["training_args.bin", "rng_state_0.pth", "model.safetensors", "config.json"] {
            assert_eq!(format_of(name), None, "{name}");
        }
    }
}
