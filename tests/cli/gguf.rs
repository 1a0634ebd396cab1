//! GGUF weights: equal to safetensors where they hold the same numbers, close to them where they are quantised, byte-equal
//! under every setting, and refused with a reason where they are broken.

use candle_core::quantized::GgmlDType;
use serde_json::{Value, json};

use crate::checkpoint::Checkpoint;
use crate::invariance::{APART, Sweep, prompts};
use crate::project::{Project, fixture};
use crate::random_model::square_decoder;
use crate::to_gguf::convert;

/// Types as a mixed file has them: several within one fused product.
fn mixed(name: &str) -> GgmlDType {
    match name.rsplit('.').nth(1).expect("a part") {
        "attn_q" | "ffn_gate" => GgmlDType::Q4K,
        "attn_k" => GgmlDType::Q3K,
        "ffn_up" => GgmlDType::Q5K,
        "attn_v" | "ffn_down" | "output" => GgmlDType::Q6K,
        _ => GgmlDType::Q8_0,
    }
}

fn sequences() -> Vec<Value> {
    prompts(20, 60, 250).iter().map(|line| json!({"id": line["id"], "ids": line["prompt_ids"]})).collect()
}

/// A fixture as its family's GGUF files can hold it.
fn holdable(project: &Project, name: &str) -> std::path::PathBuf {
    let model = Checkpoint::copy(project, &fixture(name));
    if ["gemma2", "gemma3"].contains(&name) {
        // Readers know the divisor of the scores by the family.
        model.edit_json("config.json", |config| config["query_pre_attn_scalar"] = config["head_dim"].clone());
    }
    model.folder
}

#[test]
fn the_same_numbers_give_the_same_bytes_as_safetensors() {
    let (mixtures, gemmas) = (["mixtral", "qwen3-moe"], ["gemma", "gemma2", "gemma3"]);
    for name in [&["llama", "qwen2", "qwen3"][..], &mixtures, &gemmas].concat() {
        let project = Project::new();
        let plain = holdable(&project, name);
        let folder = convert(&project, &plain, |_| GgmlDType::F32);
        let lines = prompts(12, 40, 200);
        let flags = ["--max-new-tokens", "12", "--ignore-eos"];
        let right = project.engine_raw("generate", &plain, &lines, &flags);
        assert_eq!(project.engine_raw("generate", &folder, &lines, &flags), right, "{name}");
        assert_eq!(project.engine_raw("generate", &folder.join("model.gguf"), &lines, &flags), right, "{name}");
        let right = project.engine_raw("logprob", &plain, &sequences(), &[]);
        assert_eq!(project.engine_raw("logprob", &folder, &sequences(), &[]), right, "{name}");
    }
}

/// What the speeds of Llama 3.1 and LongRoPE are divided by, files hold rounded to f32.
#[test]
fn speeds_divided_by_the_files_factors_are_those_of_the_configuration() {
    for name in ["llama3-rope", "phi3-longrope"] {
        let project = Project::new();
        let folder = convert(&project, &fixture(name), |_| GgmlDType::F32);
        let right = project.engine("logprob", &fixture(name), &sequences(), &[]);
        let found = project.engine("logprob", &folder, &sequences(), &[]);
        let apart = difference(&found, &right);
        assert!(apart < 1e-5, "{name}: {apart}");
    }
}

/// Largest difference between the mean log-probabilities of a token in two runs.
fn difference(a: &[Value], b: &[Value]) -> f64 {
    let mean = |line: &Value| line["logprob"].as_f64().unwrap_or(0.0) / line["tokens"].as_f64().unwrap_or(1.0).max(1.0);
    a.iter().zip(b).map(|(a, b)| (mean(a) - mean(b)).abs()).fold(0.0, f64::max)
}

#[test]
fn quantised_weights_are_close_to_what_they_stand_for() {
    let project = Project::new();
    let plain = square_decoder(&project);
    let folder = convert(&project, &plain, mixed);
    let run = |dtype: &str| project.engine("logprob", &folder, &sequences(), &["--dtype", dtype]);
    let (quantised, widened, halved) = (run("auto"), run("f32"), run("bf16"));
    // The same weights; what differs is that inputs are rounded to 8 bits, or weights and inputs to bfloat16.
    let (bytes, halves) = (difference(&quantised, &widened), difference(&halved, &widened));
    println!("inputs of 8 bits: {bytes:.4}, bfloat16: {halves:.4}");
    assert!(bytes > 0.0 && bytes < 0.15, "{bytes}");
    assert!(halves > 0.0 && halves < 0.1, "{halves}");
    // And the weights stand for the original ones, which are further away.
    let original = project.engine("logprob", &plain, &sequences(), &[]);
    let rounded = difference(&widened, &original);
    assert!(rounded > bytes && rounded < 1.5, "{rounded}");
}

#[test]
fn quantised_and_bf16_weights_generate_the_same_bytes_everywhere() {
    let project = Project::new();
    let folder = convert(&project, &square_decoder(&project), mixed);
    let flags = ["--max-new-tokens", "8", "--temperature", "0.7", "--seed", "2", "--ignore-eos"];
    let lines = prompts(16, 60, 250);
    Sweep { command: "generate", model: &folder, lines: lines.clone(), flags: &flags }.run(&APART);
    let flags = [&flags[..], &["--dtype", "bf16"]].concat();
    Sweep { command: "generate", model: &folder, lines, flags: &flags }.run(&APART);
}

/// Every instruction set of this machine, down to plain Rust.
#[test]
fn every_instruction_set_gives_the_same_bytes() {
    let project = Project::new();
    let folder = convert(&project, &square_decoder(&project), mixed);
    let lines = &sequences()[..6];
    for dtype in ["auto", "f32", "bf16"] {
        let flags = ["--dtype", dtype];
        let best = project.engine_raw("logprob", &folder, lines, &flags);
        for set in ["avx512-vnni", "avx512", "avx2", "portable"] {
            let mut command = project.command(crate::project::engine_args("logprob", &folder, &flags));
            let output = command.env("KARAT_INSTRUCTIONS", set).output().expect("start karat");
            let told = String::from_utf8_lossy(&output.stderr);
            if told.contains("KARAT_INSTRUCTIONS") {
                assert_ne!(set, "portable", "{told}");
                continue;
            }
            let lines: Vec<String> = project.read("out.jsonl").lines().map(str::to_owned).collect();
            assert_eq!(lines, best, "{set} {dtype}: {told}");
        }
    }
    let mut command = project.command(crate::project::engine_args("logprob", &folder, &[]));
    let output = command.env("KARAT_INSTRUCTIONS", "avx3").output().expect("start karat");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("avx3"));
}

/// Runs a damaged copy of a file and gives what standard error says.
fn refused(damage: impl FnOnce(&Checkpoint)) -> String {
    let project = Project::new();
    let folder = convert(&project, &fixture("llama"), |_| GgmlDType::F16);
    let model = Checkpoint::copy(&project, &folder);
    damage(&model);
    project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "gold"})]);
    let run = project.karat(["generate", "model/model.gguf", "--in", "in.jsonl", "--out", "out.jsonl"]);
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(!run.stderr.contains("panicked"), "{}", run.stderr);
    run.stderr
}

#[test]
fn what_cannot_be_read_is_refused_with_the_reason() {
    let replace = |from: &'static str, to: &'static str| {
        move |bytes: &mut Vec<u8>| {
            let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).expect("the text");
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
    };
    let edit = |edit: &dyn Fn(&mut Vec<u8>)| refused(|model| model.edit_file("model.gguf", edit));
    assert!(edit(&|bytes| bytes.truncate(bytes.len() - 100)).contains("truncated"));
    assert!(edit(&|bytes| bytes.truncate(60)).contains("GGUF"));
    assert!(edit(&|bytes| bytes[0] = b'X').contains("GGUF"));
    let told = edit(&replace(
        "general.architecture\u{8}\0\0\0\u{5}\0\0\0\0\0\0\0llama",
        "general.architecture\u{8}\0\0\0\u{5}\0\0\0\0\0\0\0mamba",
    ));
    assert!(told.contains("mamba"), "{told}");
    assert!(edit(&replace("blk.1.attn_k.weight", "blk.1.attn_x.weight")).contains("k_proj"));
    assert!(edit(&replace("llama.block_count", "llama.block_xount")).contains("num_hidden_layers"));
    assert!(refused(|model| model.remove("tokenizer.json")).contains("tokenizer.json"));
    assert!(refused(|model| model.remove("model.gguf")).contains("model.gguf"));
}

/// Whatever a byte of the header turns into: an answer or an error, never a panic.
#[test]
fn damaged_headers_never_panic() {
    let project = Project::new();
    let folder = convert(&project, &fixture("llama"), |_| GgmlDType::F16);
    let bytes = std::fs::read(folder.join("model.gguf")).expect("read a file");
    let mut random = crate::random_model::Random(17);
    for _ in 0..400 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + random.below(3) {
            damaged[random.below(1800)] = random.below(256) as u8;
        }
        std::fs::write(folder.join("model.gguf"), damaged).expect("write a file");
        let model = karat::engine::models::model_folder::ModelFolder::new(&folder);
        let spec = karat::engine::models::families::Config::read(&model)
            .and_then(|config| karat::engine::models::families::decoder(&config));
        if let Ok(spec) = spec {
            let loaded = karat::engine::cpu::Decoder::load(&model, spec, karat::engine::options::DtypeChoice::Auto, 4);
            drop(loaded);
        }
    }
}
