//! Whatever is given as a model: `lint`, `run` and the engine's commands say the same one thing about it, before anything loads.
//!
//! The table of docs/models.md, each kind made of a real model; and the files that stand in the place of data.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Value as Field;
use karat::engine::models::identity::ModelFolder;
use safetensors::Dtype;
use serde_json::{Value, json};

use crate::checkpoint::{Checkpoint, Tensor, save};
use crate::gguf_alone::vocabulary;
use crate::project::{Project, Run, fixture, repository};
use crate::to_gguf::convert_alone;

/// A kind of thing: its name, how it is made from a copy of a model in `model`, giving what is named as the model, and words
/// that its one error must hold.
type Row = (&'static str, fn(&Thing) -> String, &'static [&'static str]);

/// A project with a copy of a model, to be made into something else.
struct Thing {
    project: Project,
    model: Checkpoint,
}

impl Thing {
    fn new() -> Self {
        let project = Project::new();
        let model = Checkpoint::copy(&project, &repository("models/karat-mini/2"));
        Self { project, model }
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        self.project.write(&format!("model/{name}"), bytes);
        "./model".into()
    }

    fn rename(&self, from: &str, to: &str) -> String {
        std::fs::rename(self.model.file(from), self.model.file(to)).expect("rename a file");
        "./model".into()
    }

    fn remove(&self, name: &str) -> String {
        self.model.remove(name);
        "./model".into()
    }

    /// Removes all but some files.
    fn only(&self, names: &[&str]) -> String {
        for entry in std::fs::read_dir(&self.model.folder).expect("list a folder") {
            let path = entry.expect("an entry").path();
            if !names.iter().any(|name| path.ends_with(name)) {
                std::fs::remove_file(path).expect("remove a file");
            }
        }
        "./model".into()
    }

    fn config(&self, key: &str, value: Value) -> String {
        self.model.set(key, value);
        "./model".into()
    }

    /// Puts a tensor of a type in the place of the first up-projection.
    fn typed(&self, dtype: Dtype, bytes: usize) -> String {
        let tensor = Tensor { dtype, shape: vec![704, 256], data: vec![0; 704 * 256 * bytes] };
        self.model.replace("model.layers.0.mlp.up_proj.weight", tensor);
        "./model".into()
    }

    /// Cuts the weights after so many bytes.
    fn cut(&self, len: usize) -> String {
        self.model.edit_file("model.safetensors", |bytes| bytes.truncate(len));
        "./model".into()
    }

    /// Changes the header of the weights, and nothing behind it.
    fn header(&self, edit: impl FnOnce(&mut Value)) -> String {
        self.model.edit_file("model.safetensors", |bytes| {
            let size = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes")) as usize;
            let mut header = serde_json::from_slice(&bytes[8..8 + size]).expect("parse JSON");
            edit(&mut header);
            let header = header.to_string();
            let len = (header.len() as u64).to_le_bytes();
            *bytes = [&len[..], header.as_bytes(), &bytes[8 + size..]].concat();
        });
        "./model".into()
    }

    /// Puts something else in the place of a file.
    fn instead(&self, name: &str, make: impl FnOnce(&Path)) -> String {
        if self.model.file(name).exists() {
            self.model.remove(name);
        }
        make(&self.model.file(name));
        "./model".into()
    }

    /// Two shards with their index, in the place of the weights; `edit` changes their tensors.
    fn shards(&self, edit: impl FnOnce(&mut [BTreeMap<String, Tensor>; 2])) -> String {
        let mut tensors = BTreeMap::new();
        self.model.edit_tensors(|all| tensors = all.clone());
        let (mut first, mut second) = (BTreeMap::new(), BTreeMap::new());
        for (at, (name, tensor)) in tensors.into_iter().enumerate() {
            (if at % 2 == 0 { &mut first } else { &mut second }).insert(name, tensor);
        }
        let mut shards = [first, second];
        let names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
        let named =
            shards.iter().zip(names).flat_map(|(shard, file)| shard.keys().map(move |name| (name.clone(), file)));
        let map: BTreeMap<String, &str> = named.collect();
        edit(&mut shards);
        self.write("model.safetensors.index.json", json!({ "weight_map": map }).to_string());
        for (shard, name) in shards.iter().zip(names) {
            save(&self.model.file(name), shard);
        }
        self.remove("model.safetensors")
    }

    /// A template in the tokenizer's settings, in the place of the file's.
    fn template(&self, value: Value) -> String {
        self.model.edit_json("tokenizer_config.json", |config| config["chat_template"] = value);
        self.remove("chat_template.jinja")
    }

    /// A whole GGUF file under a name, with more metadata, changed afterwards.
    fn gguf(&self, name: &str, further: &[(&str, Field)], edit: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut fields = vocabulary(&fixture("qwen2"));
        fields.extend(further.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let folder = convert_alone(&self.project, &fixture("qwen2"), |_| GgmlDType::F16, fields);
        let mut bytes = std::fs::read(folder.join("model.gguf")).expect("read a file");
        edit(&mut bytes);
        self.project.write(&format!("files/{name}"), bytes);
        format!("files/{name}")
    }

    /// A hub cache of this model, in `hub`.
    fn hub(&self) -> PathBuf {
        let root = self.project.path("hub/models--org--name");
        let (snapshot, blobs) = (root.join("snapshots").join("a".repeat(40)), root.join("blobs"));
        std::fs::create_dir_all(&snapshot).expect("make a folder");
        std::fs::create_dir_all(&blobs).expect("make a folder");
        std::fs::create_dir_all(root.join("refs")).expect("make a folder");
        std::fs::write(root.join("refs/main"), "a".repeat(40)).expect("write a file");
        for entry in std::fs::read_dir(&self.model.folder).expect("list a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name");
            std::fs::rename(&path, blobs.join(name)).expect("move a file");
            symlink(PathBuf::from("../../blobs").join(name), snapshot.join(name)).expect("make a link");
        }
        root
    }
}

/// Makes a named pipe, to which nobody writes.
fn pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().expect("start mkfifo");
    assert!(made.success(), "mkfifo");
}

fn folder(path: &Path) {
    std::fs::create_dir(path).expect("make a folder");
}

const LFS: &str = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 6957328\n";
const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>\n";

fn text(value: &str) -> Field {
    Field::String(value.into())
}

/// Gives the tensor of the first query projection another type.
fn retype(kind: u32) -> impl Fn(&mut Vec<u8>) {
    move |bytes| {
        let name = b"blk.0.attn_q.weight";
        let at = bytes.windows(name.len()).position(|window| window == name).expect("the tensor") + name.len();
        // Behind the name: the number of dimensions, two of eight bytes, the type.
        bytes[at + 4 + 16..][..4].copy_from_slice(&kind.to_le_bytes());
    }
}

const ADAPTERS: &[Row] = &[
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

const QUANTISED: &[Row] = &[
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

const FORMATS: &[Row] = &[
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

const STAND_INS: &[Row] = &[
    (
        "LFS pointer of weights",
        |t| t.write("model.safetensors", LFS),
        &["`model.safetensors`", "Git LFS pointer", "git lfs pull"],
    ),
    ("LFS pointer of a tokenizer", |t| t.write("tokenizer.json", LFS), &["`tokenizer.json`", "Git LFS pointer"]),
    ("LFS pointer of a configuration", |t| t.write("config.json", LFS), &["`config.json`", "Git LFS pointer"]),
    (
        "LFS pointer of the generation's options",
        |t| t.write("generation_config.json", LFS),
        &["`generation_config.json`", "Git LFS pointer"],
    ),
    (
        "DVC in the place of weights",
        |t| t.rename("model.safetensors", "model.safetensors.dvc"),
        &["`model.safetensors`", "DVC pointer", "dvc pull"],
    ),
    (
        "DVC in the place of a template",
        |t| t.rename("chat_template.jinja", "chat_template.jinja.dvc"),
        &["`chat_template.jinja`", "DVC pointer"],
    ),
    ("page as weights", |t| t.write("model.safetensors", PAGE), &["`model.safetensors`", "HTML page"]),
    ("page as a tokenizer", |t| t.write("tokenizer.json", PAGE), &["`tokenizer.json`", "HTML page"]),
    ("page as a configuration", |t| t.write("config.json", PAGE), &["`config.json`", "HTML page"]),
    ("page as a template", |t| t.write("chat_template.jinja", PAGE), &["`chat_template.jinja`", "HTML page"]),
    ("nothing as weights", |t| t.write("model.safetensors", ""), &["`model.safetensors` is empty"]),
    ("nothing as a tokenizer", |t| t.write("tokenizer.json", ""), &["`tokenizer.json` is empty"]),
    ("nothing as a configuration", |t| t.write("config.json", ""), &["`config.json` is empty"]),
    (
        "an answer as weights",
        |t| t.write("model.safetensors", "Entry not found"),
        &["`model.safetensors`", "begins `Entry not found`"],
    ),
    (
        "an answer as a configuration",
        |t| t.write("config.json", r#"{"error": "Repository not found"}"#),
        &["`config.json`", "`Repository not found`"],
    ),
    ("gzip as weights", |t| t.write("model.safetensors", b"\x1f\x8b\x08\0\0\0\0\0\0\x03"), &["gzip archive"]),
    ("pickle as weights", |t| t.write("model.safetensors", b"PK\x03\x04\x14\0\0\0\0\0"), &["zip archive"]),
    ("cut weights", |t| t.cut(1_000_000), &["`model.safetensors`", "truncated"]),
    (
        "bytes behind the weights",
        |t| {
            t.model.edit_file("model.safetensors", |bytes| bytes.extend([0; 3]));
            "./model".into()
        },
        &["`model.safetensors` goes on for 3 bytes behind its last tensor"],
    ),
    (
        "a shape beyond all numbers",
        |t| t.header(|h| h["model.norm.weight"]["shape"] = json!([1_u64 << 40, 1_u64 << 40])),
        &["`model.norm.weight`", "asks for more than any file has"],
    ),
    (
        "a shape of other bytes",
        |t| t.header(|h| h["model.norm.weight"]["shape"] = json!([255])),
        &["`model.norm.weight`", "shape [255] asks for 510 bytes"],
    ),
    (
        "tensors that overlap",
        |t| {
            t.header(|header| {
                let offsets = header["model.norm.weight"]["data_offsets"].clone();
                header["model.layers.0.input_layernorm.weight"]["data_offsets"] = offsets;
            })
        },
        &["is no whole safetensors file: tensor"],
    ),
    (
        "a gap between tensors",
        |t| {
            t.header(|header| {
                drop(header.as_object_mut().expect("an object").remove("model.layers.0.input_layernorm.weight"))
            })
        },
        &["is no whole safetensors file", "leaves a gap before it"],
    ),
    (
        "no tensors",
        |t| t.write("model.safetensors", b"\x02\0\0\0\0\0\0\0{}"),
        &["`model.safetensors` holds no tensors"],
    ),
    (
        "a header beyond the file",
        |t| t.write("model.safetensors", b"\xff\0\0\0\0\0\0\0{}"),
        &["its 10 bytes ask for a header of 255"],
    ),
    ("nothing as a template", |t| t.write("chat_template.jinja", ""), &["`chat_template.jinja` is empty"]),
    ("a pipe as weights", |t| t.instead("model.safetensors", pipe), &["`model.safetensors` is a named pipe"]),
    ("a folder as weights", |t| t.instead("model.safetensors", folder), &["`model.safetensors` is a folder"]),
    ("a pipe as options", |t| t.instead("generation_config.json", pipe), &["`generation_config.json` is a named pipe"]),
    ("a folder as options", |t| t.instead("generation_config.json", folder), &["`generation_config.json` is a folder"]),
    ("a folder as a configuration", |t| t.instead("config.json", folder), &["`config.json` is a folder"]),
    ("a folder as a tokenizer", |t| t.instead("tokenizer.json", folder), &["`tokenizer.json` is a folder"]),
    (
        "a pipe as its settings",
        |t| t.instead("tokenizer_config.json", pipe),
        &["`tokenizer_config.json` is a named pipe"],
    ),
    ("a folder as a template", |t| t.instead("chat_template.jinja", folder), &["`chat_template.jinja` is a folder"]),
    (
        "a dangling link of a tool template",
        |t| {
            folder(&t.model.file("additional_chat_templates"));
            symlink("gone", t.model.file("additional_chat_templates/tool_use.jinja")).expect("make a link");
            "./model".into()
        },
        &["tool_use.jinja", "link to `gone`"],
    ),
    ("a few bytes of weights", |t| t.cut(5), &["`model.safetensors`", "5 bytes"]),
    (
        "a dangling link of weights",
        |t| {
            t.remove("model.safetensors");
            symlink("../gone/model.safetensors", t.model.file("model.safetensors")).expect("make a link");
            "./model".into()
        },
        &["model.safetensors", "link to `../gone/model.safetensors`", "does not exist"],
    ),
    (
        "a dangling link of options",
        |t| {
            t.remove("generation_config.json");
            symlink("../../.git/annex/objects/x", t.model.file("generation_config.json")).expect("make a link");
            "./model".into()
        },
        &["generation_config.json", "does not exist", "git annex get"],
    ),
];

const PLACES: &[Row] = &[
    ("an empty folder", |t| t.only(&[]), &["the folder is empty"]),
    ("nothing", |_| "./modl".into(), &["./modl", "did you mean", "./model"]),
    ("no GGUF file", |_| "./nothing.gguf".into(), &["./nothing.gguf"]),
    (
        "a dangling link",
        |t| {
            symlink("gone", t.project.path("link")).expect("make a link");
            "./link".into()
        },
        &["`./link`", "`gone`", "does not exist"],
    ),
    (
        "a pipe",
        |t| {
            pipe(&t.project.path("pipe"));
            "./pipe".into()
        },
        &["./pipe", "it is a named pipe"],
    ),
    (
        "a pipe called GGUF",
        |t| {
            pipe(&t.project.path("pipe.gguf"));
            "./pipe.gguf".into()
        },
        &["./pipe.gguf", "it is a named pipe"],
    ),
    ("a device", |_| "/dev/zero".into(), &["/dev/zero", "it is a device"]),
    ("a file of the model", |_| "model/model.safetensors".into(), &["one file of a model", "`model`"]),
    ("a configuration", |_| "./model/config.json".into(), &["one file of a model"]),
    (
        "a pickle",
        |t| {
            t.write("pytorch_model.bin", "x");
            "model/pytorch_model.bin".into()
        },
        &["pickle"],
    ),
    (
        "an ONNX file",
        |t| {
            t.write("model.onnx", "x");
            "model/model.onnx".into()
        },
        &["ONNX"],
    ),
    (
        "a GGUF file without its ending",
        |t| {
            t.write("sha256-00", b"GGUF\x03\0\0\0");
            "model/sha256-00".into()
        },
        &["GGUF file", "does not end in `.gguf`"],
    ),
    ("one level too high", |_| ".".into(), &["`.`", "`./model`"]),
    (
        "one level too low",
        |t| {
            t.write("1_Pooling/config.json", r#"{"pooling_mode": "mean"}"#);
            "model/1_Pooling".into()
        },
        &["part of the model", "`model`"],
    ),
    (
        "a repository in the hub's cache",
        |t| {
            t.hub();
            "hub/models--org--name".into()
        },
        &["hub's cache", "hub/models--org--name/snapshots/aaaa", "`org/name`"],
    ),
    (
        "a repository without a version",
        |t| {
            std::fs::remove_dir_all(t.hub().join("snapshots").join("a".repeat(40))).expect("remove a folder");
            "hub/models--org--name".into()
        },
        &["without any version"],
    ),
    (
        "its snapshots",
        |t| {
            t.hub();
            "hub/models--org--name/snapshots".into()
        },
        &["holds no model itself", "snapshots/aaaa"],
    ),
    (
        "the hub's cache",
        |t| {
            t.hub();
            "./hub".into()
        },
        &["hub's cache", "org/name"],
    ),
    (
        "a version without a blob",
        |t| {
            let root = t.hub();
            std::fs::remove_file(root.join("blobs/model.safetensors")).expect("remove a file");
            format!("hub/models--org--name/snapshots/{}", "a".repeat(40))
        },
        &["model.safetensors", "does not exist", "not finished"],
    ),
];

const GGUF: &[Row] = &[
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
const TEMPLATES: &[Row] = &[
    ("blanks as a template", |t| t.write("chat_template.jinja", " \n"), &["chat_template.jinja", "it is empty"]),
    ("an empty text as a template", |t| t.template(json!("")), &["tokenizer_config.json", "it is empty"]),
    ("a number as a template", |t| t.template(json!(1)), &["tokenizer_config.json", "neither a text nor a list"]),
    ("no template in a list", |t| t.template(json!([])), &["tokenizer_config.json", "names none"]),
    (
        "null in a list of templates",
        |t| t.template(json!([{"name": "default", "template": null}])),
        &["tokenizer_config.json", "called `default` is not a text"],
    ),
    (
        "null as a template for tools",
        |t| t.template(json!([{"name": "default", "template": "{{ 1 }}"}, {"name": "tool_use", "template": null}])),
        &["tokenizer_config.json", "called `tool_use` is not a text"],
    ),
];

const ROLES: &[Row] = &[
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
        &["find tensor `model.layers.0.mlp.up_proj.weight` in `./model`"],
    ),
    (
        "a tensor of another shape",
        |t| {
            t.model.replace("model.norm.weight", Tensor::filled(&[255], 1.0));
            "./model".into()
        },
        &["use tensor `model.norm.weight` of shape [255] where config.json implies [256]"],
    ),
    (
        "a spare head of another shape",
        |t| {
            let head = Tensor::filled(&[2048, 8], 1.0);
            t.model.edit_tensors(|tensors| drop(tensors.insert("lm_head.weight".into(), head)));
            "./model".into()
        },
        &["use tensor `lm_head.weight` of shape [2048, 8]"],
    ),
    ("an unknown family", |t| t.config("model_type", json!("mamba9")), &["`mamba9`"]),
];

/// The one error of a command: exit code 2, a single line that tells it, a hint.
#[track_caller]
fn error(kind: &str, run: Run, words: &[&str]) -> String {
    let run = run.code(2);
    let errors: Vec<&str> = run.stderr.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    assert_eq!(errors.len(), 1, "{kind}: not one error{run}");
    let hints = run.stderr.lines().filter(|line| line.starts_with("hint: ")).count();
    assert_eq!(hints, 1, "{kind}: not one hint{run}");
    for word in words {
        assert!(run.stderr.contains(word), "{kind}: no `{word}`{run}");
    }
    assert!(run.stdout.is_empty() && !run.stderr.contains("RUST_BACKTRACE"), "{kind}{run}");
    assert!(!run.stderr.contains("   0: "), "{kind}: a backtrace{run}");
    errors[0].strip_prefix("failed to ").unwrap_or(errors[0]).to_owned()
}

/// A suite with one case for a model.
fn suite(project: &Project, model: &str) {
    project.write_lines("golden.jsonl", &[json!({"id": "g1", "input": "Is it gold?", "target": "yes"})]);
    let yaml = format!(
        "version: 1\nname: desk\nmodels:\n  generator: {{model: \"{model}\"}}\n\
         datasets:\n  - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}}\n\
         generation: {{max_new_tokens: 4}}\nscorers: [exact_match]\n"
    );
    project.write("suite.yaml", yaml);
}

/// Every cell of a row: `lint`, `run`, `generate` and its siblings.
#[track_caller]
fn refused((kind, make, words): &Row) {
    let thing = Thing::new();
    let (model, project) = (make(&thing), &thing.project);
    suite(project, &model);
    project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "Hi"})]);
    let karat = |args: &[&str]| {
        let mut command = project.command(args);
        let output = command.env("RUST_BACKTRACE", "1").output().expect("start karat");
        Run::new(format!("{command:?}"), output)
    };
    let generate = error(kind, karat(&["generate", &model, "--in", "in.jsonl", "--out", "out.jsonl"]), words);
    let lint = error(kind, karat(&["lint", "suite.yaml"]), words);
    let dry = error(kind, karat(&["run", "suite.yaml", "--dry-run"]), words);
    assert_eq!(dry, generate, "{kind}: run --dry-run and generate");
    let run = error(kind, karat(&["run", "suite.yaml"]), words);
    assert_eq!(lint, generate, "{kind}: lint and generate");
    assert_eq!(run, generate, "{kind}: run and generate");
    assert!(project.runs("desk").is_empty(), "{kind}: a run was begun");
    assert!(!project.path("out.jsonl").exists(), "{kind}: an output was begun");
    project.write_lines("ids.jsonl", &[json!({"id": 1, "ids": [5, 6]})]);
    let sibling = karat(&["logprob", &model, "--in", "ids.jsonl", "--out", "out.jsonl"]);
    assert_eq!(error(kind, sibling, words), generate, "{kind}: logprob");
    project.write_lines("texts.jsonl", &[json!({"id": 1, "text": "Hi"})]);
    if !ROLES.iter().any(|(name, ..)| name == kind) && !words.iter().any(|word| word.contains("architecture")) {
        let renders = TEMPLATES.iter().any(|(name, ..)| name == kind);
        for command in if renders { &["render"][..] } else { &["render", "embed", "classify"] } {
            let command = *command;
            // A tokenizer is enough to render.
            if command == "render" && *kind == "configuration alone" {
                continue;
            }
            let input = if command == "render" { "in.jsonl" } else { "texts.jsonl" };
            let sibling = karat(&[command, &model, "--in", input, "--out", "out.jsonl"]);
            assert_eq!(error(kind, sibling, words), generate, "{kind}: {command}");
        }
    }
}

/// Every row of a table, so that all that fail are shown.
fn all(rows: &[Row]) {
    let failed = rows.iter().filter(|row| std::panic::catch_unwind(|| refused(row)).is_err());
    let failed: Vec<&str> = failed.map(|(kind, ..)| *kind).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn adapters_are_refused_in_every_command() {
    all(ADAPTERS);
}

#[test]
fn quantised_weights_are_refused_in_every_command() {
    all(QUANTISED);
}

#[test]
fn other_formats_are_refused_in_every_command() {
    all(FORMATS);
}

#[test]
fn what_lies_in_the_place_of_a_file_is_named_in_every_command() {
    all(STAND_INS);
}

#[test]
fn places_that_are_no_model_are_refused_in_every_command() {
    all(PLACES);
}

#[test]
fn gguf_files_that_are_not_read_are_refused_in_every_command() {
    all(GGUF);
}

#[test]
fn templates_that_are_none_are_refused_where_conversations_are_rendered() {
    all(TEMPLATES);
}

#[test]
fn models_of_another_purpose_are_refused_by_name() {
    all(ROLES);
}

/// Every row stands in the documentation's table, and no kind twice.
#[test]
fn the_table_of_the_documentation_is_this_one() {
    let docs = std::fs::read_to_string(repository("docs/models.md")).expect("read the documentation");
    let rows: Vec<&Row> =
        [ADAPTERS, QUANTISED, FORMATS, STAND_INS, PLACES, GGUF, TEMPLATES, ROLES].into_iter().flatten().collect();
    let listed: Vec<&str> = docs.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next()).collect();
    for (kind, ..) in &rows {
        assert_eq!(listed.iter().filter(|name| *name == kind).count(), 1, "{kind} in docs/models.md");
    }
}

/// What shows only where tokenizer and weights are held together, lint finds too, once.
#[test]
fn a_tokenizer_that_is_broken_or_of_another_model_is_one_error() {
    type Broken = (&'static str, fn(&Thing), &'static str);
    let rows: [Broken; 4] = [
        (
            "of another model",
            |t| {
                let small = Tensor::filled(&[1000, 256], 0.5);
                t.model.replace("model.embed_tokens.weight", small);
                t.model.set("vocab_size", json!(1000));
            },
            "use a tokenizer of 2048 tokens with an embedding of 1000",
        ),
        ("broken", |t| drop(t.write("tokenizer.json", "{}")), "read the tokenizer"),
        ("broken settings", |t| drop(t.write("tokenizer_config.json", "[]")), "read a tokenizer setting"),
        ("a broken template", |t| drop(t.write("chat_template.jinja", "{% if %}")), "read the chat template"),
    ];
    for (kind, make, told) in rows {
        let thing = Thing::new();
        make(&thing);
        suite(&thing.project, "./model");
        for command in [&["lint", "suite.yaml"][..], &["run", "suite.yaml", "--dry-run"], &["run", "suite.yaml"]] {
            let run = thing.project.karat(command).code(2);
            assert!(run.stderr.contains(told), "{kind}{run}");
            assert_eq!(run.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{kind}{run}");
        }
    }
}

/// Embedder and toxicity model of a suite are looked at as the generator is, and an entry's folder as a folder.
#[test]
fn every_model_of_a_suite_is_looked_at() {
    let thing = Thing::new();
    let project = &thing.project;
    suite(project, "./model");
    let yaml = project.read("suite.yaml");
    project.karat(["lint", "suite.yaml"]).code(0);
    for (role, scorer) in [("embedder", "similarity"), ("toxicity", "toxicity")] {
        let with = |model: &str| {
            let models = format!("models:\n  {role}: {{model: \"{model}\"}}\n");
            let suite = yaml.replacen("models:\n", &models, 1).replace("exact_match", scorer);
            project.write("suite.yaml", suite);
        };
        // A decoder does not embed or classify.
        with("./model");
        error(role, project.karat(["lint", "suite.yaml"]), &["qwen3", "karat generate"]);
        error(role, project.karat(["run", "suite.yaml"]), &["qwen3", "karat generate"]);
        for (model, words) in [("./gone", "./gone"), ("gone@1", "gone@1"), ("a/b@..", "revision")] {
            with(model);
            let run = project.karat(["lint", "suite.yaml"]).code(2);
            assert!(run.stderr.contains(words), "{role} {model}{run}");
        }
        // What only the network knows is not asked for.
        with("org/unknown");
        project.karat(["lint", "suite.yaml"]).code(0);
    }
}

#[test]
fn a_hub_reference_is_looked_at_where_the_cache_holds_it() {
    let thing = Thing::new();
    let (root, project) = (thing.hub(), &thing.project);
    suite(project, "org/name");
    project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "Hi"})]);
    let karat = |args: &[&str]| {
        let mut command = project.command(args);
        let output = command.env("HF_HUB_CACHE", project.path("hub")).output().expect("start karat");
        Run::new(format!("{command:?}"), output)
    };
    karat(&["lint", "suite.yaml"]).code(0);
    karat(&["generate", "org/name", "--in", "in.jsonl", "--out", "out.jsonl", "--max-new-tokens", "2"]).code(0);
    std::fs::remove_file(root.join("blobs/model.safetensors")).expect("remove a file");
    let words = ["model.safetensors", "does not exist"];
    let lint = error("lint", karat(&["lint", "suite.yaml"]), &words);
    let run = error("run", karat(&["run", "suite.yaml"]), &words);
    let generate = error("generate", karat(&["generate", "org/name", "--in", "in.jsonl", "--out", "x.jsonl"]), &words);
    assert_eq!((&lint, &run), (&generate, &generate));
}

/// A GGUF file that is named decides all itself: no other file beside it has a say.
#[test]
fn a_named_gguf_file_is_used_whatever_lies_beside_it() {
    let thing = Thing::new();
    let project = &thing.project;
    let lines =
        [json!({"id": 1, "prompt": "the gold"}), json!({"id": 2, "messages": [{"role": "user", "content": "Hi"}]})];
    let flags = ["--max-new-tokens", "6"];
    let named = thing.gguf("x.gguf", &[], |_| ());
    let path = project.path(&named);
    let alone = project.engine_raw("generate", &path, &lines, &flags);
    let hashes = ModelFolder::gguf(&path, None).hashes().expect("hash a file");
    assert_eq!(hashes.keys().collect::<Vec<_>>(), ["x.gguf"]);

    thing.gguf("other.gguf", &[("general.type", text("mmproj"))], |bytes| bytes.truncate(200));
    thing.gguf("x-00001-of-00002.gguf", &[], |_| ());
    for name in
        ["model.safetensors", "config.json", "tokenizer.json", "generation_config.json", "tokenizer_config.json"]
    {
        std::fs::copy(thing.model.file(name), project.path(format!("files/{name}"))).expect("copy a file");
    }
    project.write("files/chat_template.jinja", "{{ 1 / 0 }}");
    project.write("files/adapter_config.json", "{}");
    assert_eq!(project.engine_raw("generate", &path, &lines, &flags), alone);
    assert_eq!(ModelFolder::gguf(&path, None).hashes().expect("hash a file"), hashes);
    suite(project, &named);
    project.karat(["lint", "suite.yaml"]).code(0);
    project.karat(["run", "suite.yaml"]).code(0);
    let manifest: Value = {
        let run = project.runs("desk").pop().expect("a run");
        serde_json::from_str(&std::fs::read_to_string(run.join("manifest.json")).expect("read")).expect("parse")
    };
    let text = manifest.to_string();
    assert!(text.contains("x.gguf") && !text.contains("model.safetensors"), "{text}");
}

/// A file without a tokenizer takes the one beside it, and nothing else.
#[test]
fn a_named_gguf_file_without_a_tokenizer_takes_the_one_beside_it() {
    let project = Project::new();
    let folder = crate::to_gguf::convert(&project, &fixture("llama"), |_| GgmlDType::F16);
    let path = folder.join("model.gguf");
    let lines = [json!({"id": 1, "prompt": "the gold"})];
    let flags = ["--max-new-tokens", "6", "--ignore-eos"];
    let right = project.engine_raw("generate", &path, &lines, &flags);
    std::fs::copy(&path, folder.join("other.gguf")).expect("copy a file");
    std::fs::copy(fixture("qwen2").join("model.safetensors"), folder.join("model.safetensors")).expect("copy a file");
    std::fs::copy(fixture("qwen2").join("config.json"), folder.join("config.json")).expect("copy a file");
    assert_eq!(project.engine_raw("generate", &path, &lines, &flags), right);
    let hashes = ModelFolder::gguf(&path, None).hashes().expect("hash a file");
    assert_eq!(hashes.keys().collect::<Vec<_>>(), ["model.gguf", "tokenizer.json", "tokenizer_config.json"]);
}

/// What looks odd and is a model all the same.
#[test]
fn what_is_a_model_is_taken() {
    type Row = (&'static str, fn(&Thing) -> String);
    let rows: &[Row] = &[
        ("as it is", |_| "./model".into()),
        ("a version in the hub's cache", |t| {
            t.hub();
            format!("hub/models--org--name/snapshots/{}", "a".repeat(40))
        }),
        ("a link to a folder", |t| {
            symlink("model", t.project.path("link")).expect("make a link");
            "./link".into()
        }),
        ("a folder whose name ends in .gguf", |t| {
            std::fs::rename(&t.model.folder, t.project.path("x.gguf")).expect("rename");
            "./x.gguf".into()
        }),
        ("weights of other tools beside it", |t| {
            t.write("pytorch_model.bin", "x");
            t.write("onnx/model.onnx", "x");
            t.write("training_args.bin", "x")
        }),
        ("null in the place of a quantisation", |t| t.config("quantization_config", Value::Null)),
        ("a stale DVC pointer", |t| t.write("model.safetensors.dvc", "outs:\n- md5: 0\n  path: model.safetensors\n")),
        ("one part of one", |t| t.gguf("x-00001-of-00001.gguf", &[("split.count", Field::U16(1))], |_| ())),
    ];
    for (kind, make) in rows {
        let thing = Thing::new();
        let model = make(&thing);
        suite(&thing.project, &model);
        thing.project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "Hi"})]);
        let lint = thing.project.karat(["lint", "suite.yaml"]);
        assert_eq!(lint.code, Some(0), "{kind}{lint}");
        let args = ["generate", &model, "--in", "in.jsonl", "--out", "out.jsonl", "--max-new-tokens", "2"];
        let run = thing.project.karat(args);
        assert_eq!(run.code, Some(0), "{kind}{run}");
    }
    let thing = Thing::new();
    let model = thing.only(&["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]);
    thing.project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "Hi"})]);
    thing.project.karat(["render", &model, "--in", "in.jsonl", "--out", "out.jsonl"]).code(0);
    let generate = thing.project.karat(["generate", &model, "--in", "in.jsonl", "--out", "x.jsonl"]);
    error("tokenizer alone", generate, &["tokenizer, but no weights"]);
}

/// Files in the place of a dataset.
#[test]
fn what_lies_in_the_place_of_data_is_named() {
    let rows: [(&str, &[u8], &[&str]); 7] = [
        ("golden.jsonl", LFS.as_bytes(), &["Git LFS pointer", "git lfs pull"]),
        ("golden.csv", LFS.as_bytes(), &["Git LFS pointer"]),
        ("golden.json", PAGE.as_bytes(), &["HTML page"]),
        ("golden.csv", PAGE.as_bytes(), &["HTML page"]),
        ("golden.jsonl", b"\0\x01\x02\x03", &["binary data"]),
        ("golden.jsonl", b"\xff\xfe{\0\"\0", &["UTF-16"]),
        ("golden.json", b"PAR1\x15\x04", &["Parquet"]),
    ];
    for (file, bytes, words) in rows {
        let thing = Thing::new();
        suite(&thing.project, "./model");
        let yaml = thing.project.read("suite.yaml").replace("golden.jsonl", file);
        thing.project.write("suite.yaml", yaml);
        thing.project.write(file, bytes);
        let lint = error(file, thing.project.karat(["lint", "suite.yaml"]), words);
        let run = error(file, thing.project.karat(["run", "suite.yaml"]), words);
        assert_eq!(lint, run);
    }
    let thing = Thing::new();
    suite(&thing.project, "./model");
    std::fs::remove_file(thing.project.path("golden.jsonl")).expect("remove a file");
    symlink("gone.jsonl", thing.project.path("golden.jsonl")).expect("make a link");
    let lint = error("link", thing.project.karat(["lint", "suite.yaml"]), &["golden.jsonl", "link to `gone.jsonl`"]);
    assert_eq!(
        lint,
        error("link", thing.project.karat(["run", "suite.yaml"]), &["golden.jsonl", "link to `gone.jsonl`"])
    );
    // Nothing at all, and what only its pointer names.
    let thing = Thing::new();
    suite(&thing.project, "./model");
    thing.project.write("golden.jsonl", "");
    thing.project.karat(["lint", "suite.yaml"]).code(2).complains(&["empty dataset"]);
    thing.project.karat(["run", "suite.yaml"]).code(2).complains(&["empty dataset"]);
    std::fs::rename(thing.project.path("golden.jsonl"), thing.project.path("golden.jsonl.dvc")).expect("rename");
    let lint = error("dvc", thing.project.karat(["lint", "suite.yaml"]), &["golden.jsonl", "dvc pull"]);
    assert_eq!(lint, error("dvc", thing.project.karat(["run", "suite.yaml"]), &["golden.jsonl", "dvc pull"]));
}

/// A head of its own beside token vectors that the configuration ties it to: used where it differs, as transformers 5 does.
#[test]
fn a_separate_head_that_differs_from_the_tied_embedding_is_used() {
    let told = "warning: lm_head.weight differs from the tied embedding: the separate head is used";
    let lines = [json!({"id": 1, "prompt": "What does Flint do?"}), json!({"id": 2, "prompt": "gold"})];
    let flags = ["--max-new-tokens", "6"];
    let thing = Thing::new();
    let (project, model) = (&thing.project, &thing.model);
    let tied = project.engine_raw("generate", &model.folder, &lines, &flags);
    let head = |shift: usize| {
        model.edit_tensors(|tensors| {
            let mut head = tensors["model.embed_tokens.weight"].clone();
            let row = head.data.len() / head.shape[0];
            head.data.rotate_left(shift * row);
            tensors.insert("lm_head.weight".into(), head);
        });
    };
    let stderr = |tie: bool| {
        model.set("tie_word_embeddings", json!(tie));
        project.write_lines("in.jsonl", &lines);
        let args = crate::project::engine_args("generate", &model.folder, &flags);
        project.karat(args.iter().map(String::as_str).chain(["-q"])).code(0).stderr
    };
    // The same values: as before, without a word.
    head(0);
    assert!(!stderr(true).contains("lm_head"));
    assert_eq!(project.read("out.jsonl").lines().collect::<Vec<_>>(), tied);
    head(1);
    assert!(stderr(true).contains(told));
    let separate = project.read("out.jsonl");
    assert_ne!(separate.lines().collect::<Vec<_>>(), tied);
    // As a configuration that does not tie them.
    assert!(!stderr(false).contains("lm_head"));
    assert_eq!(project.read("out.jsonl"), separate);
    model.set("tie_word_embeddings", json!(true));
    suite(project, "./model");
    let run = project.karat(["run", "suite.yaml"]).code(0);
    assert!(run.stderr.contains("lm_head.weight differs from the tied embedding"), "{run}");
    // Another type with the same values is no other head.
    model.edit_tensors(|tensors| {
        let table = tensors["model.embed_tokens.weight"].clone();
        let wide = table.data.as_chunks::<2>().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f32());
        let data = wide.flat_map(f32::to_le_bytes).collect();
        tensors.insert("lm_head.weight".into(), Tensor { dtype: Dtype::F32, data, ..table });
    });
    assert!(!stderr(true).contains("lm_head"));
    assert_eq!(project.read("out.jsonl").lines().collect::<Vec<_>>(), tied);
    // Not tied and no head: there is nothing to answer with, and nothing is guessed.
    model.edit_tensors(|tensors| drop(tensors.remove("lm_head.weight")));
    model.set("tie_word_embeddings", json!(false));
    project
        .karat(["generate", "./model", "--in", "in.jsonl", "--out", "x.jsonl"])
        .code(2)
        .complains(&["lm_head.weight"]);
}
