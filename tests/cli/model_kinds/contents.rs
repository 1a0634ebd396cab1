//! What a model may hold that karat does not read: adapters, packed weights, other formats, architectures and purposes.

use super::*;

pub(super) const ADAPTERS: &[Row] = &[
    (
        "adapter beside its base",
        |t| t.write("adapter_config.json", r#"{"peft_type": "LORA", "base_model_name_or_path": "org/base"}"#),
        &["LoRA adapter", "not apply", "merge_and_unload"],
    ),
    (
        "adapter alone",
        |t| {
            t.write("adapter_config.json", r#"{"peft_type": "LORA", "base_model_name_or_path": "org/base"}"#);
            t.write("adapter_model.safetensors", "x");
            t.only(&["adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "tokenizer_config.json"])
        },
        &["LoRA adapter", "`org/base`"],
    ),
    (
        "another adapter",
        |t| t.write("adapter_config.json", r#"{"peft_type": "IA3"}"#),
        &["an adapter (IA3)", "adapter_config.json"],
    ),
    (
        "weights of an adapter beside a base",
        |t| t.write("adapter_model.safetensors", "x"),
        &["LoRA adapter", "adapter_model.safetensors", "not apply"],
    ),
    (
        "tensors of an adapter",
        |t| {
            let tensor = Tensor::filled(&[4, 256], 0.0);
            let name = "model.layers.0.mlp.up_proj.lora_A.default.weight";
            t.model.edit_tensors(|tensors| drop(tensors.insert(name.into(), tensor)));
            "./model".into()
        },
        &["up_proj.lora_A.default.weight", "adapter", "not apply"],
    ),
];

pub(super) const QUANTISED: &[Row] = &[
    (
        "GPTQ",
        |t| t.config("quantization_config", json!({"quant_method": "gptq", "bits": 4})),
        &["gptq, 4 bits", "GGUF"],
    ),
    ("AWQ", |t| t.config("quantization_config", json!({"quant_method": "awq", "bits": 4})), &["awq, 4 bits"]),
    ("FP8", |t| t.config("quantization_config", json!({"quant_method": "fp8"})), &["quantised by fp8"]),
    (
        "bitsandbytes",
        |t| t.config("quantization_config", json!({"quant_method": "bitsandbytes", "load_in_4bit": true})),
        &["bitsandbytes, 4 bits"],
    ),
    (
        "a method of tomorrow",
        |t| t.config("quantization_config", json!({"quant_method": "wizardry"})),
        &["quantised by wizardry"],
    ),
    ("old GPTQ", |t| t.write("quantize_config.json", r#"{"bits": 4}"#), &["quantised by GPTQ", "quantize_config.json"]),
    ("MLX", |t| t.config("quantization", json!({"group_size": 64, "bits": 4})), &["MLX, 4 bits in groups of 64"]),
    (
        "MLX by its tensors",
        |t| {
            let scales = Tensor::filled(&[704, 4], 1.0);
            t.model.edit_tensors(|tensors| {
                tensors.insert("model.layers.0.mlp.up_proj.scales".into(), scales.clone());
                tensors.insert("model.layers.0.mlp.up_proj.biases".into(), scales);
            });
            t.typed(Dtype::U32, 4)
        },
        &["quantised by MLX"],
    ),
    (
        "packed weights without a word",
        |t| {
            let packed = Tensor { dtype: Dtype::I32, shape: vec![2], data: vec![0; 8] };
            t.model.edit_tensors(|tensors| drop(tensors.insert("model.layers.0.mlp.up_proj.qweight".into(), packed)));
            "./model".into()
        },
        &["packed as by GPTQ or AWQ"],
    ),
    ("tensors in FP8", |t| t.typed(Dtype::F8_E4M3, 1), &["`model.layers.0.mlp.up_proj.weight`", "F8_E4M3", "bf16"]),
    ("tensors of whole numbers", |t| t.typed(Dtype::I8, 1), &["`model.layers.0.mlp.up_proj.weight`", "type I8"]),
];

pub(super) const FORMATS: &[Row] = &[
    ("ONNX alone", |t| t.rename("model.safetensors", "model.onnx"), &["model.onnx", "ONNX"]),
    (
        "ONNX in a subfolder",
        |t| {
            t.write("onnx/model.onnx", "x");
            t.remove("model.safetensors")
        },
        &["onnx/model.onnx", "ONNX"],
    ),
    (
        "pickle alone",
        |t| t.rename("model.safetensors", "pytorch_model.bin"),
        &["pytorch_model.bin", "pickle", "save_pretrained"],
    ),
    (
        "pickle of the original",
        |t| t.rename("model.safetensors", "consolidated.00.pth"),
        &["consolidated.00.pth", "pickle"],
    ),
    ("checkpoint alone", |t| t.rename("model.safetensors", "last.ckpt"), &["last.ckpt", "pickle"]),
    ("TensorFlow alone", |t| t.rename("model.safetensors", "tf_model.h5"), &["tf_model.h5", "TensorFlow"]),
    ("Flax alone", |t| t.rename("model.safetensors", "flax_model.msgpack"), &["flax_model.msgpack", "Flax"]),
    (
        "Mistral's own names",
        |t| t.rename("model.safetensors", "consolidated.safetensors"),
        &["consolidated.safetensors", "Mistral"],
    ),
    ("another name", |t| t.rename("model.safetensors", "weights.safetensors"), &["`weights.safetensors`", "rename"]),
    (
        "shards without an index",
        |t| t.rename("model.safetensors", "model-00001-of-00002.safetensors"),
        &["1 of 2 shards", "model.safetensors.index.json"],
    ),
    (
        "a missing shard",
        |t| {
            let map = json!({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}});
            t.write("model.safetensors.index.json", map.to_string());
            t.rename("model.safetensors", "model-00001-of-00002.safetensors")
        },
        &["`model-00002-of-00002.safetensors`", "does not hold"],
    ),
    (
        "a tensor in two shards",
        |t| {
            t.shards(|[first, second]| {
                let (name, tensor) = first.first_key_value().expect("a tensor");
                second.insert(name.clone(), tensor.clone());
            })
        },
        &["is in `model-00001-of-00002.safetensors` and in `model-00002-of-00002.safetensors`"],
    ),
    (
        "a tensor that no shard holds",
        |t| t.shards(|[first, _]| drop(first.pop_first())),
        &["model.safetensors.index.json names tensor", "no shard holds it"],
    ),
    (
        "an unfinished download",
        |t| t.rename("model.safetensors", "model.safetensors.incomplete"),
        &["model.safetensors.incomplete", "not finished"],
    ),
    (
        "a pipeline of diffusers",
        |t| {
            t.write("model_index.json", "{}");
            t.only(&["model_index.json"])
        },
        &["diffusers"],
    ),
    ("weights without a configuration", |t| t.remove("config.json"), &["no config.json"]),
    ("configuration alone", |t| t.only(&["config.json", "tokenizer.json"]), &["config.json, but no weights"]),
];

pub(super) const GGUF: &[Row] = &[
    (
        "a type that is not read",
        |t| t.gguf("x.gguf", &[], retype(23)),
        &["tensor `blk.0.attn_q.weight` is of type IQ4_XS", "it reads F32, F16, Q4_0"],
    ),
    ("a type of one bit", |t| t.gguf("x.gguf", &[], retype(34)), &["tensor `blk.0.attn_q.weight` is of type TQ1_0"]),
    ("a type of tomorrow", |t| t.gguf("x.gguf", &[], retype(250)), &["tensor `blk.0.attn_q.weight` is of type 250"]),
    (
        "a part by its name",
        |t| t.gguf("x-00001-of-00002.gguf", &[], |_| ()),
        &["one of 2 parts", "split GGUF is not supported", "llama-gguf-split --merge"],
    ),
    (
        "a part by its metadata",
        |t| t.gguf("x.gguf", &[("split.count", Field::U16(3)), ("split.no", Field::U16(0))], |_| ()),
        &["one of 3 parts", "split GGUF is not supported"],
    ),
    (
        "parts in a folder",
        |t| {
            t.gguf("x-00001-of-00002.gguf", &[], |_| ());
            t.gguf("x-00002-of-00002.gguf", &[], |_| ());
            "./files".into()
        },
        &["one of 2 parts"],
    ),
    (
        "several in a folder",
        |t| {
            t.gguf("a.gguf", &[], |_| ());
            t.gguf("b.gguf", &[], |_| ());
            "./files".into()
        },
        &["several GGUF files: `a.gguf`, `b.gguf`", "`./files/a.gguf`"],
    ),
    ("an adapter", |t| t.gguf("x.gguf", &[("general.type", text("adapter"))], |_| ()), &["LoRA adapter"]),
    ("a projector", |t| t.gguf("mmproj-x.gguf", &[("general.type", text("mmproj"))], |_| ()), &["vision part"]),
    ("a matrix", |t| t.gguf("x.gguf", &[("general.type", text("imatrix"))], |_| ()), &["importance matrix"]),
    (
        "version 1",
        |t| t.gguf("x.gguf", &[], |bytes| bytes[4..8].copy_from_slice(&1u32.to_le_bytes())),
        &["version 1 of GGUF"],
    ),
    (
        "big-endian",
        |t| t.gguf("x.gguf", &[], |bytes| bytes[4..8].copy_from_slice(&3u32.to_be_bytes())),
        &["big-endian"],
    ),
    (
        "another magic",
        |t| t.gguf("x.gguf", &[], |bytes| bytes[..4].copy_from_slice(b"XGUF")),
        &["begin", "GGUF", "XGUF"],
    ),
    ("older than GGUF", |t| t.gguf("x.gguf", &[], |bytes| bytes[..4].copy_from_slice(b"tjgg")), &["from before GGUF"]),
    ("a cut file", |t| t.gguf("x.gguf", &[], |bytes| bytes.truncate(bytes.len() - 100)), &["truncated"]),
    ("a cut header", |t| t.gguf("x.gguf", &[], |bytes| bytes.truncate(60)), &["GGUF header", "truncated"]),
    ("an LFS pointer", |t| t.gguf("x.gguf", &[], |bytes| *bytes = LFS.into()), &["Git LFS pointer", "git lfs pull"]),
    ("a page", |t| t.gguf("x.gguf", &[], |bytes| *bytes = PAGE.into()), &["HTML page"]),
    ("nothing as GGUF", |t| t.gguf("x.gguf", &[], Vec::clear), &["it is empty"]),
    (
        "another architecture",
        |t| {
            t.gguf("x.gguf", &[], |bytes| {
                let at = bytes.windows(5).position(|window| window == b"qwen2").expect("the architecture");
                bytes[at..at + 5].copy_from_slice(b"mamba");
            })
        },
        &["GGUF architecture `mamba`"],
    ),
];

/// What matters only to those that render conversations.
pub(super) const TEMPLATES: &[Row] = &[
    (
        "blanks as a template",
        |t| t.write("chat_template.jinja", " \n"),
        &["chat_template.jinja", "the chat template is empty"],
    ),
    (
        "an empty text as a template",
        |t| t.template(json!("")),
        &["tokenizer_config.json", "the chat template is empty"],
    ),
    ("a number as a template", |t| t.template(json!(1)), &["tokenizer_config.json", "neither a string nor a list"]),
    ("no template in a list", |t| t.template(json!([])), &["tokenizer_config.json", "names none"]),
    (
        "null in a list of templates",
        |t| t.template(json!([{"name": "default", "template": null}])),
        &["tokenizer_config.json", "called `default` is not a string"],
    ),
    (
        "null as a template for tools",
        |t| t.template(json!([{"name": "default", "template": "{{ 1 }}"}, {"name": "tool_use", "template": null}])),
        &["tokenizer_config.json", "called `tool_use` is not a string"],
    ),
];

pub(super) const ROLES: &[Row] = &[
    (
        "an embedder that generates",
        |t| {
            Checkpoint::copy(&t.project, &repository("models/karat-embed"));
            "./model".into()
        },
        &["bert", "karat embed"],
    ),
    (
        "a classifier of a decoder's family",
        |t| t.config("architectures", json!(["Qwen3ForSequenceClassification"])),
        &["classifier", "Qwen3ForSequenceClassification"],
    ),
    (
        "an embedder of a decoder's family",
        |t| t.write("modules.json", "[]"),
        &["sentence-transformers", "modules.json"],
    ),
    (
        "a tensor that is missing",
        |t| {
            t.model.edit_tensors(|tensors| drop(tensors.remove("model.layers.0.mlp.up_proj.weight")));
            "./model".into()
        },
        &["there is no tensor `model.layers.0.mlp.up_proj.weight` in `./model`"],
    ),
    (
        "a tensor of another shape",
        |t| {
            t.model.replace("model.norm.weight", Tensor::filled(&[255], 1.0));
            "./model".into()
        },
        &["tensor `model.norm.weight` has the shape [255] where config.json implies [256]"],
    ),
    (
        "a spare head of another shape",
        |t| {
            let head = Tensor::filled(&[2048, 8], 1.0);
            t.model.edit_tensors(|tensors| drop(tensors.insert("lm_head.weight".into(), head)));
            "./model".into()
        },
        &["tensor `lm_head.weight` has the shape [2048, 8]"],
    ),
    ("an unknown family", |t| t.config("model_type", json!("mamba9")), &["`mamba9`"]),
];
