//! `--backend reference`: what records, caches and comparisons say of it, and what it refuses. How near both backends are to each
//! other is the subject of `tests/parity/second_opinion.rs`.

use std::path::Path;

use candle_core::quantized::GgmlDType;
use serde_json::{Value, json};

use crate::project::{Project, engine_args, fixture, random_tiny, repository};
use crate::reference::{Reference, ids};
use crate::to_gguf::convert;

const REFERENCE: &[&str] = &["--backend", "reference"];
const PART: &str = "generator.backend";

fn parse(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("read a file")).expect("parse a file")
}

#[test]
fn a_family_of_candle_transformers_alone_generates_and_scores() {
    for name in ["glm4", "helium"] {
        let reference = Reference::of(&fixture(name));
        let prompts = reference.list("prompts").iter().enumerate();
        let asked: Vec<Value> = prompts.map(|(id, ids)| json!({"id": id, "prompt_ids": ids})).collect();
        let flags = ["--max-new-tokens", "24", "--ignore-eos"];
        let project = Project::new();
        project.write_lines("in.jsonl", &asked);
        let refused = project.karat(engine_args("generate", &reference.folder, &flags)).code(2);
        refused.complains(&["hint: `--backend reference` computes this family"]);
        let answers = project.engine("generate", &reference.folder, &asked, &[&flags, REFERENCE].concat());
        for (answer, expected) in answers.iter().zip(reference.list("greedy")) {
            assert_eq!(ids(&answer["ids"]), ids(expected), "{name}");
        }
        let pairs = reference.list("pairs");
        let line = |(id, pair): (usize, &Value)| json!({"id": id, "context": pair["context"], "continuation": pair["continuation"]});
        let asked: Vec<Value> = pairs.iter().enumerate().map(line).collect();
        let scored = project.engine("logprob", &reference.folder, &asked, REFERENCE);
        for (got, expected) in scored.iter().zip(pairs) {
            let of = |value: &Value| value["logprob"].as_f64().expect("a number");
            assert!((of(got) - of(expected)).abs() < 1e-3, "{name}: {got} {expected}");
            assert_eq!(got["greedy"], expected["greedy"], "{name}");
        }
    }
}

#[test]
fn sequences_go_one_by_one_and_bounds_of_steps_change_no_byte() {
    let asked: Vec<Value> = (0..6).map(|i| json!({"id": i, "prompt": "Why is it so? ".repeat(1 + i)})).collect();
    let answers = |flags: &[&str]| {
        let flags = [&["--max-new-tokens", "9"], REFERENCE, flags].concat();
        Project::new().engine_raw("generate", &random_tiny(), &asked, &flags)
    };
    let first = answers(&[]);
    for flags in [&["--batch-tokens", "2"][..], &["--prefill-chunk", "3"], &["--threads", "1"], &["--window", "1"]] {
        assert_eq!(answers(flags), first, "{flags:?}");
    }
    let fast = Project::new().engine_raw("generate", &random_tiny(), &asked, &["--max-new-tokens", "9"]);
    assert_eq!(fast, first, "greedy answers differ");
}

#[test]
fn answers_of_the_backends_are_kept_apart() {
    let project = Project::caching();
    let asked: Vec<Value> = (0..4).map(|i| json!({"id": i, "prompt": format!("Question {i}")})).collect();
    project.write_lines("in.jsonl", &asked);
    let cached = |backend: &[&str], count: usize| {
        let flags = [&["--max-new-tokens", "5"], backend].concat();
        let run = project.karat(engine_args("generate", &random_tiny(), &flags)).code(0);
        assert!(run.stderr.contains(&format!("{count} answers from the cache")), "{backend:?}: {run}");
    };
    cached(&[], 0);
    cached(REFERENCE, 0);
    cached(REFERENCE, 4);
    cached(&["--backend", "fast"], 4);
}

#[test]
fn a_record_names_the_backend_where_it_is_not_the_default() {
    let project = Project::new();
    let suite = repository("datasets/support-desk").to_string_lossy().into_owned();
    let run = |flags: &[&str]| {
        let fixed = ["run", &suite, "--quiet", "--no-baseline", "--runs-dir", "runs", "--limit", "2"];
        project.karat(fixed.iter().chain(flags))
    };
    run(REFERENCE);
    let reference = project.runs("support-desk").pop().expect("a run");
    // It is no finished run of a call that asks for the other backend.
    run(&["--resume"]).code(4);
    run(&[]);
    let fast = project.runs("support-desk").into_iter().find(|run| *run != reference).expect("another run");
    let (one, two) = (parse(&fast.join("manifest.json")), parse(&reference.join("manifest.json")));
    let named = |manifest: &Value| -> Vec<String> {
        let parts = manifest["fingerprint"].as_object().expect("a fingerprint");
        parts.iter().filter(|(part, _)| part.ends_with(".backend")).map(|(part, _)| part.clone()).collect()
    };
    assert_eq!(named(&one), [""; 0]);
    assert_eq!(named(&two), ["embedder.backend", PART, "toxicity.backend"]);
    assert!(two["fingerprint"][PART].as_str().is_some_and(|name| name.starts_with("reference (candle-transformers ")));
    assert_eq!(parse(&fast.join("performance.json"))["settings"]["backend"], Value::Null);
    let settings = &parse(&reference.join("performance.json"))["settings"];
    assert_eq!((&settings["backend"], &settings["max_seqs"]), (&json!("reference"), &json!(1)));
    let folders = [fast.to_string_lossy().into_owned(), reference.to_string_lossy().into_owned()];
    let compared = project.karat(["compare", &folders[0], &folders[1]]);
    assert!(format!("{}{}", compared.stdout, compared.stderr).contains(PART), "{compared}");
}

#[test]
fn what_it_cannot_do_is_an_error() {
    for (flags, words) in [
        (&["--dtype", "bf16"][..], "--dtype bf16 does not go with `--backend reference`"),
        (&["--device", "cuda"], "cuda"),
        (&["--max-seqs", "8"], "--max-seqs does not go with `--backend reference`"),
        (&["--kv-gib", "1"], "--kv-gib does not go with `--backend reference`"),
    ] {
        let project = Project::new();
        project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "a"})]);
        let run = project.karat(engine_args("generate", &random_tiny(), &[REFERENCE, flags].concat()));
        assert!(matches!(run.code, Some(2 | 5)), "{run}");
        run.complains(&[words]);
    }
    let project = Project::new();
    project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "a"})]);
    let unknown = project.karat(engine_args("generate", &random_tiny(), &["--backend", "slow"])).code(2);
    unknown.complains(&["`slow` is not a backend"]).complains(&["`fast`, `reference`"]);
    let gguf = convert(&project, &fixture("qwen2"), |_| GgmlDType::F32);
    project
        .karat(engine_args("generate", &gguf, REFERENCE))
        .code(2)
        .complains(&["the reference backend reads no GGUF files"]);
    let refused = project.karat(engine_args("generate", &fixture("smollm3"), REFERENCE)).code(2);
    refused.complains(&["candle-transformers has no model of this family"]);
}
