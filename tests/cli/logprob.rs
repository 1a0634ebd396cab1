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

fn several(context: &str, continuations: &[&str]) -> Value {
    json!({"id": format!("{context:?} {continuations:?}"), "context": context, "continuations": continuations})
}

/// Every continuation of a line has the bits that it has in a line of its own, and the context is computed once.
#[test]
fn continuations_have_the_bits_of_pairs_and_share_their_context() {
    let long = "the order was delivered today and the customer asked for ".repeat(9);
    let contexts = ["", " ", "The order", "The order ", "the order was delivered today, the parcel ", long.as_str()];
    let choices: [&[&str]; 5] = [
        &[" A", " B", " C", " D"],
        &["was late", "was lost", "came back to the warehouse", "was"],
        &["x", "x", " refund"],
        &["one"],
        &["the order was delivered today", "the order was delivered tomorrow", "a"],
    ];
    for (model, longest) in [(crate::project::repository("models/karat-mini/2"), 900), (fixture("gemma2"), 40)] {
        let contexts = contexts.iter().filter(|context| context.len() < longest);
        let cases: Vec<(&str, &[&str])> =
            contexts.flat_map(|context| choices.iter().map(|choices| (*context, *choices))).collect();
        let asked: Vec<Value> = cases.iter().map(|(context, choices)| several(context, choices)).collect();
        let alone: Vec<Value> =
            cases.iter().flat_map(|(context, choices)| choices.iter().map(|choice| pair(context, choice))).collect();
        let together = answers(&model, &asked, 0);
        let mut alone = answers(&model, &alone, 0).into_iter();
        for (line, (context, choices)) in together.iter().zip(&cases) {
            let found = line["continuations"].as_array().expect("a list");
            assert_eq!(found.len(), choices.len());
            for (found, choice) in found.iter().zip(*choices) {
                let mut right = alone.next().expect("a line each");
                right.as_object_mut().expect("a map").remove("id");
                assert_eq!(*found, right, "{context:?} {choice:?}");
            }
        }
    }
}

/// Rows that are computed, as the command counts them.
fn computed(model: &Path, asked: &[Value], flags: &[&str]) -> u64 {
    let project = Project::new();
    project.write_lines("in.jsonl", asked);
    let run = project.karat(engine_args("logprob", model, flags)).code(0);
    let line = run.stderr.lines().find(|line| line.starts_with("scored ")).expect("what was scored").to_owned();
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number of tokens")
}

#[test]
fn each_distinct_token_is_computed_about_once() {
    let model = crate::project::repository("models/karat-mini/2");
    for words in [1, 3, 7, 12, 40, 90] {
        let context = |case: usize| format!("Case {case}: {} Answer:", "the parcel was late. ".repeat(words));
        let choices = [" refund", " the parcel was delivered today", " B", " the parcel was lost"];
        let asked: Vec<Value> = (0..10).map(|case| several(&context(case), &choices)).collect();
        // No other case helps: each is asked alone.
        for line in &asked {
            let context = line["context"].as_str().expect("a text");
            let before = ids(&model, context).len();
            // Of each continuation all tokens but the first, which the context's row gives, and the last, behind which
            // nothing is asked.
            let after = |choice: &&str| ids(&model, &format!("{context}{choice}")).len() - before;
            let distinct = before + choices.iter().map(after).map(|tokens| tokens - 1).sum::<usize>();
            let rows = computed(&model, std::slice::from_ref(line), &[]) as usize;
            assert!(rows * 100 <= distinct * 115, "{rows} rows for {distinct} distinct tokens");
        }
    }
}

#[test]
fn a_document_is_read_in_windows() {
    let model = fixture("qwen2");
    let config: Value = serde_json::from_slice(&std::fs::read(model.join("config.json")).expect("read")).expect("JSON");
    let context = config["max_position_embeddings"].as_u64().expect("a number") as usize;
    let text = "The parcel left the warehouse on Monday, and the customer wrote twice to ask where it is. ".repeat(13);
    let short = &text[..60];
    let tokens = ids(&model, &text);
    assert!(tokens.len() > 2 * context, "{} tokens", tokens.len());
    let document = |id: &str, text: &str| json!({"id": id, "document": text});
    let prefix = {
        // What stands before the first token of a document is what stands before an empty context's continuation.
        let out = answers(&model, &[document("short", short), pair("", short)], 0);
        assert_eq!(scored(&out[0]), scored(&out[1]));
        out
    };
    assert_eq!(prefix[0]["tokens"], ids(&model, short).len());
    // By hand: windows of `context` tokens one after the other, each behind one token, the last one filled up.
    let whole = |ids: &[u64]| json!({"id": "w", "ids": ids});
    let (mut parts, mut at) = (Vec::new(), context);
    while at < tokens.len() {
        let end = tokens.len().min(at + context);
        parts.push((whole(&tokens[end - context - 1..end]), whole(&tokens[end - context - 1..=at - 1])));
        at = end;
    }
    let first = answers(&model, &[document("first", &text)], 0);
    let asked: Vec<Value> = parts
        .iter()
        .flat_map(|(all, before)| [all.clone(), before.clone()])
        .filter(|line| line["ids"].as_array().is_some_and(|ids| ids.len() > 1))
        .collect();
    let out = answers(&model, &asked, 0);
    let sum: f64 = out
        .iter()
        .zip(&asked)
        .map(|(line, asked)| {
            let all = asked["ids"].as_array().expect("ids").len() == context + 1;
            if all { scored(line).0 } else { -scored(line).0 }
        })
        .sum();
    let head = answers(&model, &[json!({"id": 1, "document": text_of(&model, &tokens[..context])})], 0);
    let (total, count) = scored(&first[0]);
    assert_eq!(count as usize, tokens.len(), "every token is scored once");
    assert!((total - (scored(&head[0]).0 + sum)).abs() < 1e-3 * total.abs(), "{total}");
}

/// The text of ids.
fn text_of(model: &Path, ids: &[u64]) -> String {
    let out = Project::new().engine("render", model, &[json!({"id": 1, "prompt_ids": ids})], &[]);
    out[0]["text"].as_str().expect("a text").to_owned()
}

#[test]
fn what_cannot_be_chosen_or_read_is_an_error_with_its_place() {
    let long = "gold ".repeat(2000);
    let asked = [
        several("Hello", &[" a", ""]),
        json!({"id": 2, "document": ""}),
        several("a", &[" b", " c"]),
        several("a", &[" b", &long]),
    ];
    let out = answers(&random_tiny(), &asked, 3);
    let too_long = out[3]["error"].as_str().unwrap_or_default();
    assert!(too_long.contains("continuation 1") && too_long.contains("exceeds the model's context"), "{too_long}");
    let error = |at: usize| out[at]["error"].as_str().unwrap_or_else(|| panic!("{}", out[at])).to_owned();
    assert!(error(0).contains("continuation 1") && error(0).contains("adds no token"), "{}", error(0));
    assert_eq!(out[0]["continuations"], Value::Null);
    assert!(error(1).contains("no token"), "{}", error(1));
    assert!(out[2]["error"].is_null() && out[2]["continuations"].as_array().is_some_and(|list| list.len() == 2));
    for (line, what) in [
        (json!({"id": 1, "context": "a", "continuations": []}), "`continuations` is empty"),
        (json!({"id": 1, "context": "a", "continuation": "b", "continuations": ["c"]}), "one of"),
        (json!({"id": 1, "document": "a", "context": "b"}), "one of"),
        (json!({"id": 1, "continuations": ["b"]}), "one of"),
    ] {
        let project = Project::new();
        project.write_lines("in.jsonl", &[line]);
        project.karat(engine_args("logprob", &random_tiny(), &[])).code(2).complains(&[what]);
    }
}

/// Where RoPE scaling depends on a sequence's length, continuations share no row.
#[test]
fn continuations_have_the_bits_of_pairs_where_rows_depend_on_the_length() {
    let context = "abcdefghijklmnopqrstuvwxyz".repeat(2);
    let long = "q".repeat(30);
    for (model, length) in [("smollm3", 40), ("phi3-longrope", 50)] {
        let context = &context[..length];
        let choices = [long.as_str(), "x", "x"];
        let alone: Vec<Value> = choices.iter().map(|choice| pair(context, choice)).collect();
        let alone = answers(&fixture(model), &alone, 0);
        let together = answers(&fixture(model), &[several(context, &choices)], 0);
        let found = together[0]["continuations"].as_array().expect("a list");
        for (found, right) in found.iter().zip(&alone) {
            assert_eq!(found["logprob"], right["logprob"], "{model}");
        }
    }
}
