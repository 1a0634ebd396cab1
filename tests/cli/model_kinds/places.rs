//! What may lie in the place of a model or of one of its files.

use super::*;

pub(super) const STAND_INS: &[Row] = &[
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

pub(super) const PLACES: &[Row] = &[
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
