//! What `karat logprob` scores: contexts and continuations as lm-evaluation-harness splits them, and lines in which there is
//! nothing to score.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::project::{Project, engine_args, fixture, random_tiny};

fn lines(project: &Project) -> Vec<Value> {
    project.read("out.jsonl").lines().map(|line| serde_json::from_str(line).expect("a line")).collect()
}

/// The answers to some lines, in time: a line that is never answered must not be waited for.
#[track_caller]
fn answers(model: &Path, asked: &[Value], code: i32) -> Vec<Value> {
    let project = Project::new();
    project.write_lines("in.jsonl", asked);
    let mut child = project.command(engine_args("logprob", model, &["--quiet"])).spawn().expect("start karat");
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait for karat") {
            break status;
        }
        if began.elapsed() > Duration::from_secs(120) {
            child.kill().expect("kill karat");
            panic!("it never ends: {asked:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(code), "{asked:?}");
    lines(&project)
}

fn pair(context: &str, continuation: &str) -> Value {
    json!({"id": format!("{context:?} {continuation:?}"), "context": context, "continuation": continuation})
}

/// A copy of the random model with other special tokens named, `None` for none.
fn with_specials(project: &Project, bos: Option<&str>, eos: Option<&str>) -> PathBuf {
    let folder = project.path("m");
    std::fs::create_dir_all(&folder).expect("make a folder");
    for entry in std::fs::read_dir(random_tiny()).expect("list the model") {
        let path = entry.expect("an entry").path();
        std::fs::copy(&path, folder.join(path.file_name().expect("a name"))).expect("copy a file");
    }
    let config = folder.join("tokenizer_config.json");
    let mut value: Value = serde_json::from_slice(&std::fs::read(&config).expect("read")).expect("JSON");
    (value["bos_token"], value["eos_token"]) = (json!(bos), json!(eos));
    std::fs::write(&config, value.to_string()).expect("write");
    folder
}

/// Ids of a text without special tokens.
fn ids(model: &Path, text: &str) -> Vec<u64> {
    let out = Project::new().engine("render", model, &[json!({"id": 1, "prompt": text})], &[]);
    out[0]["ids"].as_array().expect("ids").iter().map(|id| id.as_u64().expect("an id")).collect()
}

fn scored(line: &Value) -> (f64, u64) {
    (line["logprob"].as_f64().unwrap_or_else(|| panic!("{line}")), line["tokens"].as_u64().expect("a count"))
}

#[test]
fn a_context_without_a_token_is_the_prefix_token() {
    let project = Project::new();
    for (bos, eos, prefix) in
        [(None, Some("<|im_end|>"), "<|im_end|>"), (Some("<|im_start|>"), Some("<|im_end|>"), "<|im_start|>")]
    {
        let model = with_specials(&project, bos, eos);
        let prefix = ids(&model, prefix)[0];
        for (context, continuation, text) in [
            ("", "gold", "gold"),
            (" ", "gold", " gold"),
            ("\n\n", "gold", "\n\ngold"),
            ("\u{1f}\t", " a", "\u{1f}\t a"),
        ] {
            let whole = [&[prefix][..], &ids(&model, text)].concat();
            let asked = [pair(context, continuation), json!({"id": 2, "ids": whole})];
            let out = answers(&model, &asked, 0);
            assert_eq!(scored(&out[0]), scored(&out[1]), "{context:?}");
            assert_eq!(out[0]["tokens"], whole.len() - 1, "{context:?}");
        }
        // A continuation that begins with the prefix token has it once.
        let text = format!("{}gold", if bos.is_some() { "<|im_start|>" } else { "<|im_end|>" });
        let out = answers(&model, &[pair("", &text), pair("", "gold")], 0);
        assert_eq!(scored(&out[0]), scored(&out[1]));
    }
}

#[test]
fn without_a_prefix_token_an_empty_context_is_an_error_of_its_line() {
    let project = Project::new();
    let model = with_specials(&project, None, None);
    let out = answers(&model, &[pair("", "gold"), pair("the", " gold"), pair("  ", "gold")], 3);
    for at in [0, 2] {
        assert!(out[at]["error"].as_str().is_some_and(|e| e.contains("neither a bos nor an eos token")), "{}", out[at]);
        assert_eq!(out[at]["logprob"], Value::Null);
    }
    assert_eq!(out[1]["tokens"], 5);
}

#[test]
fn where_there_is_nothing_to_score_the_line_has_an_error() {
    let nothing = [pair("Hello", ""), pair("", ""), json!({"id": 3, "ids": []}), json!({"id": 4, "ids": [5]})];
    let good = json!({"id": 5, "ids": [5, 6]});
    for model in [random_tiny(), fixture("llama"), fixture("qwen2")] {
        let out = answers(&model, &[&nothing[..], std::slice::from_ref(&good)].concat(), 3);
        for line in &out[..4] {
            let error = line["error"].as_str().unwrap_or_else(|| panic!("{line}"));
            assert!(error.contains("adds no token") || error.contains("token ids"), "{line}");
            assert_eq!((&line["logprob"], &line["greedy"]), (&Value::Null, &json!(false)), "{line}");
        }
        assert_eq!(out[4]["tokens"], 1);
    }
}

/// Two letters that the tokenizer makes one token of: the continuation ends within the context's last token.
#[test]
fn a_continuation_that_merges_into_the_context_is_an_error_of_its_line() {
    let model = crate::project::repository("models/karat-mini/2");
    let count = |text: &str| ids(&model, text).len();
    let word = "the order was delivered today";
    let cut = (1..word.len()).find(|cut| count(&word[..*cut]) == count(word)).expect("a token of several letters");
    let out = answers(&model, &[pair(&word[..cut], &word[cut..]), pair("the order", " was")], 3);
    assert!(out[0]["error"].as_str().is_some_and(|error| error.contains("adds no token")), "{}", out[0]);
    assert!(out[1]["error"].is_null() && out[1]["logprob"].is_number(), "{}", out[1]);
}

#[test]
fn a_text_longer_than_the_context_is_an_error_of_its_line() {
    let long = "gold ".repeat(2000);
    let out = answers(&random_tiny(), &[pair(&long, "x"), pair("a", "b")], 3);
    assert!(out[0]["error"].as_str().is_some_and(|error| error.contains("context")), "{}", out[0]);
    assert_eq!(out[1]["tokens"], 1);
}
