//! A GGUF file with nothing beside it is a whole model: the same ids, texts and answers as the model that it was made from.

use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Value as Field;
use karat::engine::chat::ChatTemplate;
use karat::engine::models::model_folder::ModelFolder;
use karat::engine::tokenizer::Tokenizer;
use karat::engine::tokenizer::special_tokens::SpecialTokens;
use serde_json::{Value, json};

use crate::project::{Project, fixture};
use crate::random_model::Random;
use crate::to_gguf::convert_alone;

fn parse(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("read a file")).expect("parse a file")
}

/// The metadata that a converter writes for the tokenizer of a folder.
pub fn vocabulary(from: &Path) -> Vec<(String, Field)> {
    let (file, config) = (parse(&from.join("tokenizer.json")), parse(&from.join("tokenizer_config.json")));
    let vocab = file["model"]["vocab"].as_object().expect("a vocabulary");
    let mut tokens: Vec<(u64, String)> =
        vocab.iter().map(|(token, id)| (id.as_u64().expect("an id"), token.clone())).collect();
    tokens.sort();
    let merges: Vec<String> = file["model"]["merges"]
        .as_array()
        .expect("merges")
        .iter()
        .map(|merge| format!("{} {}", merge[0].as_str().expect("a text"), merge[1].as_str().expect("a text")))
        .collect();
    let special: Vec<&str> =
        file["added_tokens"].as_array().expect("a list").iter().filter_map(|token| token["content"].as_str()).collect();
    let kind = |token: &str| match token {
        "<unk>" => 2,
        token if special.contains(&token) => 3,
        token if token.starts_with("<0x") => 6,
        _ => 1,
    };
    let scored = |token: &str| merges.iter().position(|merge| merge.replacen(' ', "", 1) == token);
    let score = |token: &str| -scored(token).map_or(1e6, |at| at as f32);
    let pieces = file["model"]["byte_fallback"] == true;
    let mut fields = vec![
        ("model".to_owned(), Field::String(if pieces { "llama" } else { "gpt2" }.into())),
        ("tokens".into(), Field::Array(tokens.iter().map(|(_, token)| Field::String(token.clone())).collect())),
        ("token_type".into(), Field::Array(tokens.iter().map(|(_, token)| Field::I32(kind(token))).collect())),
    ];
    if pieces {
        let scores = tokens.iter().map(|(_, token)| Field::F32(score(token))).collect();
        fields.push(("scores".into(), Field::Array(scores)));
        fields.push(("bos_token_id".into(), Field::U32(1)));
    } else {
        // The class of Qwen 2 cuts texts its own way, whatever its tokenizer.json says.
        let pre = if from.ends_with("qwen2") { "qwen2" } else { "gpt-2" };
        fields.push(("pre".into(), Field::String(pre.into())));
        fields.push(("merges".into(), Field::Array(merges.into_iter().map(Field::String).collect())));
    }
    let mut fields: Vec<(String, Field)> =
        fields.into_iter().map(|(name, value)| (format!("tokenizer.ggml.{name}"), value)).collect();
    let template = config["chat_template"].as_str().expect("a template");
    fields.push(("tokenizer.chat_template".into(), Field::String(template.into())));
    fields
}

/// A folder with nothing but a GGUF file, made of a fixture.
fn alone(project: &Project, name: &str) -> PathBuf {
    let folder = convert_alone(project, &fixture(name), |_| GgmlDType::F32, vocabulary(&fixture(name)));
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 1);
    folder
}

fn texts() -> Vec<Value> {
    let texts = [
        "gold",
        " the old  house   on the hill",
        "",
        "   ",
        "It's 12.5% déjà-vu, 日本語 🙂\n\n  done — \u{1f468}\u{200d}\u{1f469}.\ttab",
        "<s>[INST] spelled </s> out <unk> <|im_start|>user\n<|im_end|>",
        "▁ \u{0} e\u{301} <0x41>",
    ];
    let mut lines: Vec<Value> = texts.iter().enumerate().map(|(i, text)| json!({"id": i, "prompt": text})).collect();
    let talk = json!([
        {"role": "user", "content": " Where is the gold? "},
        {"role": "assistant", "content": "In the  house 🙂"},
        {"role": "user", "content": "Which?"},
    ]);
    lines.push(json!({"id": "talk", "messages": talk}));
    lines
}

#[test]
fn a_file_alone_renders_and_answers_like_the_model_it_was_made_from() {
    for name in ["llama", "qwen2"] {
        let project = Project::new();
        let folder = alone(&project, name);
        let (file, plain) = (folder.join("model.gguf"), fixture(name));
        let right = project.engine_raw("render", &plain, &texts(), &[]);
        assert_eq!(project.engine_raw("render", &file, &texts(), &[]), right, "{name}");
        assert_eq!(project.engine_raw("render", &folder, &texts(), &[]), right, "{name}");
        let lines: Vec<Value> = texts().into_iter().filter(|line| line["prompt"] != "").collect();
        let flags = ["--max-new-tokens", "12", "--seed", "4", "--temperature", "0.8"];
        let right = project.engine_raw("generate", &plain, &lines, &flags);
        assert_eq!(project.engine_raw("generate", &file, &lines, &flags), right, "{name}");
        let pairs = [json!({"id": 1, "context": "the gold", "continuation": " is old"})];
        let right = project.engine_raw("logprob", &plain, &pairs, &[]);
        assert_eq!(project.engine_raw("logprob", &file, &pairs, &[]), right, "{name}");
    }
}

#[test]
fn files_beside_it_go_before_its_metadata() {
    let project = Project::new();
    let folder = alone(&project, "qwen2");
    // Of a folder: a file that is named says all itself (`model_kinds`).
    let rendered = |lines: &[Value]| project.engine_raw("render", &folder, lines, &[]);
    let lines = texts();
    let before = rendered(&lines);
    std::fs::write(folder.join("chat_template.jinja"), "{{ eos_token }}{{ messages|length }}").expect("write a file");
    let after = rendered(&lines);
    assert_eq!(before[..7], after[..7]);
    assert!(after[7].contains("\"<|im_end|>3\""), "{}", after[7]);
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(fixture("bert").join(name), folder.join(name)).expect("copy a file");
    }
    let right = project.engine_raw("render", &fixture("bert"), &lines[..7], &[]);
    assert_eq!(rendered(&lines[..7]), right);
}

#[test]
fn a_metadata_template_without_a_default_is_refused() {
    let project = Project::new();
    let mut fields = vocabulary(&fixture("qwen2"));
    let (name, template) = fields.pop().expect("the template");
    fields.push((format!("{name}.tool_use"), template.clone()));
    let folder = convert_alone(&project, &fixture("qwen2"), |_| GgmlDType::F16, fields.clone());
    project.write_lines("in.jsonl", &texts());
    let model = folder.to_string_lossy().into_owned();
    let run = project.karat(["render", &model, "--in", "in.jsonl", "--out", "out.jsonl"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("tool_use") && run.stderr.contains("chat_template.jinja"), "{}", run.stderr);
    fields.push((name, template));
    let folder = convert_alone(&project, &fixture("qwen2"), |_| GgmlDType::F16, fields);
    let right = project.engine_raw("render", &fixture("qwen2"), &texts(), &[]);
    assert_eq!(project.engine_raw("render", &folder, &texts(), &[]), right);
}

/// Whatever a byte of the metadata turns into: a tokenizer or an error, never a panic.
#[test]
fn damaged_tokenizer_metadata_never_panics() {
    let project = Project::new();
    for name in ["llama", "qwen2"] {
        let folder = alone(&project, name);
        let path = folder.join("model.gguf");
        let bytes = std::fs::read(&path).expect("read a file");
        let header = bytes.windows(17).position(|window| window == b"token_embd.weight").expect("a tensor");
        let mut random = Random(23);
        let mut built = 0;
        for _ in 0..250 {
            let mut damaged = bytes.clone();
            for _ in 0..1 + random.below(3) {
                damaged[random.below(header)] = random.below(256) as u8;
            }
            std::fs::write(&path, damaged).expect("write a file");
            let model = ModelFolder::new(&folder);
            if let Ok(tokenizer) = Tokenizer::from_folder(&model) {
                built += 1;
                let ids = tokenizer.encode("the <s> gold 🙂 <|im_end|>", true).unwrap_or_default();
                tokenizer.decode(&ids, true).unwrap_or_default();
            }
            drop(ChatTemplate::from_folder(&model, &SpecialTokens::default()));
        }
        assert!((20..250).contains(&built), "{name}: {built}");
    }
}
