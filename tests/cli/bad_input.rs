//! Bad input lines, prompts and flags: a clear error with the right exit code, or a recorded error of that one case;
//! never a panic, nothing half-written.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::project::{Project, engine_args, fixture, holds_one, random_tiny};

/// What has to come of it.
pub enum Outcome<'a> {
    /// Exit code 2, no output file, nothing left behind; standard error holds one of each group.
    Refused(&'a [&'a [&'a str]]),
    /// Exit code 3 and a whole output in which exactly these ids have an `error` that holds one of the fragments.
    Recorded(&'a [&'a str], &'a [&'a str]),
}

/// One row of a table: an engine command on `in.jsonl`, and what has to come of it.
pub struct Case<'a> {
    pub name: &'a str,
    pub command: &'a str,
    pub model: PathBuf,
    pub flags: &'a [&'a str],
    pub outcome: Outcome<'a>,
}

impl Case<'_> {
    #[track_caller]
    pub fn check(&self, project: &Project) {
        let before = project.files();
        let run = project.karat(engine_args(self.command, &self.model, self.flags));
        match self.outcome {
            Outcome::Refused(groups) => {
                let run = groups.iter().fold(run.code(2), |run, group| run.complains(group));
                assert!(run.stdout.is_empty(), "{}: standard output carries results only{run}", self.name);
                assert_eq!(project.files(), before, "{}: something was left behind{run}", self.name);
            }
            Outcome::Recorded(ids, fragments) => {
                let run = run.code(3);
                let lines = project.read("out.jsonl");
                let lines: Vec<Value> =
                    lines.lines().map(|line| serde_json::from_str(line).expect("whole lines")).collect();
                let input = project.read("in.jsonl").lines().count();
                assert_eq!(lines.len(), input, "{}: a case is missing{run}", self.name);
                for line in &lines {
                    let expected = ids.iter().any(|id| line["id"] == *id);
                    let error = line["error"].as_str();
                    assert_eq!(error.is_some(), expected, "{}: {line}{run}", self.name);
                    assert!(error.is_none_or(|text| holds_one(text, fragments)), "{}: {line}{run}", self.name);
                    if self.command == "generate" {
                        assert_eq!(line["finish"] == "error", expected, "{}: {line}{run}", self.name);
                    }
                }
            }
        }
    }
}

fn generate<'a>(name: &'a str, outcome: Outcome<'a>) -> Case<'a> {
    Case { name, command: "generate", model: random_tiny(), flags: &["--max-new-tokens", "4"], outcome }
}

// ---- the file -------------------------------------------------------------------------------------------------------

#[test]
fn a_missing_input_file_is_refused() {
    generate("missing", Outcome::Refused(&[&["in.jsonl"], &["no such file", "not found"]])).check(&Project::new());
}

#[test]
fn a_missing_output_folder_is_refused_before_the_work() {
    let project = Project::new();
    project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "a"})]);
    let model = random_tiny();
    let args = ["generate", &model.to_string_lossy(), "--in", "in.jsonl", "--out", "no/such/folder/out.jsonl"]
        .map(str::to_owned);
    project.karat(args).code(2).complains(&["no/such/folder"]);
}

/// Name, contents, and what standard error has to hold: one of each group.
type BadFile = (&'static str, &'static [u8], &'static [&'static [&'static str]]);

const FILES: &[BadFile] = &[
    ("broken JSON", b"{\"id\":1,\"prompt\":\"a\"}\n{\"id\":2,\"prompt\":\n", &[&["in.jsonl:2"]]),
    ("two values", b"{\"id\":1,\"prompt\":\"a\"} {\"id\":2}\n", &[&["in.jsonl:1"]]),
    ("a list", b"[1,2]\n", &[&["in.jsonl:1"]]),
    ("a number", b"{\"id\":1,\"prompt\":\"a\"}\n\n17\n", &[&["in.jsonl:3"]]),
    ("a wrong type", b"{\"id\":1,\"prompt\":17}\n", &[&["in.jsonl:1"], &["string", "prompt"]]),
    ("a negative token", b"{\"id\":1,\"prompt_ids\":[5,-1]}\n", &[&["in.jsonl:1"]]),
    ("a fraction as token", b"{\"id\":1,\"prompt_ids\":[1.5]}\n", &[&["in.jsonl:1"]]),
    ("no id", b"{\"prompt\":\"a\"}\n", &[&["in.jsonl:1"], &["id"]]),
    ("no prompt", b"{\"id\":1}\n", &[&["in.jsonl:1"], &["prompt"]]),
    ("a message without role", b"{\"id\":1,\"messages\":[{\"content\":\"a\"}]}\n", &[&["in.jsonl:1"], &["role"]]),
    (
        "not UTF-8",
        b"{\"id\":1,\"prompt\":\"a\"}\n{\"id\":2,\"prompt\":\"\xff\xfe\"}\n",
        &[&["in.jsonl:2"], &["utf-8", "utf8"]],
    ),
    ("UTF-16", b"\xff\xfe{\0\"\0i\0d\0\"\0", &[&["in.jsonl:1"], &["utf-8", "utf8"]]),
    ("a lone surrogate", br#"{"id":1,"prompt":"\ud83d"}"#, &[&["in.jsonl:1"]]),
    ("cut off in the middle", br#"{"id":1,"prompt":"a"#, &[&["in.jsonl:1"]]),
];

#[test]
fn unreadable_lines_are_refused_with_their_place() {
    for (name, contents, groups) in FILES {
        let project = Project::new();
        project.write("in.jsonl", contents);
        generate(name, Outcome::Refused(groups)).check(&project);
    }
}

#[test]
fn harmless_oddities_are_accepted() {
    let project = Project::new();
    let odd: [&[u8]; 5] = [
        b"{\"id\":1,\"prompt\":\"a\"}",               // no line break at the end
        b"{\"id\":1,\"prompt\":\"a\"}\r\n",           // Windows
        b"\xef\xbb\xbf{\"id\":1,\"prompt\":\"a\"}\n", // a byte order mark
        b"\n{\"id\":1,\"prompt\":\"a\"}\n   \n",      // blank lines
        b"{\"id\":1,\"prompt\":\"a\",\"metadata\":{\"deep\":[1,null]}}\n", // what is not for karat
    ];
    for contents in odd {
        project.write("in.jsonl", contents);
        project.karat(engine_args("generate", &random_tiny(), &["--max-new-tokens", "2"])).code(0);
        assert_eq!(project.read("out.jsonl").lines().count(), 1, "{}", String::from_utf8_lossy(contents));
    }
}

#[test]
fn an_empty_input_selects_nothing() {
    let project = Project::new();
    project.write("in.jsonl", "");
    project.karat(engine_args("generate", &random_tiny(), &[])).code(4);
}

// ---- one bad case among good ones -----------------------------------------------------------------------------------

/// A bad line, alone between two good ones.
fn recorded(bad: &Value, model: &Path, fragments: &[&str]) {
    let project = Project::new();
    let good = |id: &str| json!({"id": id, "prompt": "Which metal is heavier?"});
    project.write_lines("in.jsonl", &[good("before"), bad.clone(), good("after")]);
    let outcome = Outcome::Recorded(&["bad"], fragments);
    Case { name: &bad.to_string(), model: model.into(), ..generate("", outcome) }.check(&project);
}

#[test]
fn a_prompt_longer_than_the_context_is_recorded() {
    let ids = vec![5; 300];
    recorded(&json!({"id": "bad", "prompt_ids": ids}), &fixture("llama3-rope"), &["context"]);
    recorded(&json!({"id": "bad", "prompt": "gold ".repeat(2000)}), &random_tiny(), &["context"]);
}

/// It is not tokenized as a whole, which would take gigabytes.
#[test]
fn a_prompt_of_twenty_megabytes_is_recorded() {
    let bad = json!({"id": "bad", "prompt": "gold and silver ".repeat(1_300_000)});
    let project = Project::new();
    let good = |id: &str| json!({"id": id, "prompt": "Which metal is heavier?"});
    project.write_lines("in.jsonl", &[good("before"), bad, good("after")]);
    let outcome = Outcome::Recorded(&["bad"], &["20800000 bytes) exceeds the model's context"]);
    Case { name: "twenty megabytes", ..generate("", outcome) }.check(&project);
}

#[test]
fn a_token_beyond_the_vocabulary_is_recorded() {
    recorded(&json!({"id": "bad", "prompt_ids": [5, 259]}), &random_tiny(), &["vocabulary"]);
    recorded(&json!({"id": "bad", "prompt_ids": [4_294_967_295_u32]}), &random_tiny(), &["vocabulary"]);
}

#[test]
fn an_empty_prompt_is_recorded() {
    recorded(&json!({"id": "bad", "prompt": ""}), &random_tiny(), &["empty"]);
    recorded(&json!({"id": "bad", "prompt_ids": []}), &random_tiny(), &["empty"]);
}

#[test]
fn a_conversation_that_the_template_refuses_is_recorded() {
    let messages = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hm?"}]);
    recorded(&json!({"id": "bad", "messages": messages}), &fixture("llama"), &["only user and assistant turns"]);
}

#[test]
fn a_sequence_that_fills_the_context_ends_there() {
    let project = Project::new();
    let lines = [json!({"id": 1, "prompt_ids": vec![5; 250]}), json!({"id": 2, "prompt_ids": [5, 6]})];
    let out = project.engine("generate", &fixture("qwen2"), &lines, &["--max-new-tokens", "100", "--ignore-eos"]);
    assert_eq!((out[0]["finish"].as_str(), out[1]["finish"].as_str()), (Some("length"), Some("length")));
    assert_eq!(out[1]["ids"].as_array().map(Vec::len), Some(100), "the long neighbour must not shorten this one");
    let count = out[0]["ids"].as_array().map_or(0, Vec::len);
    assert!(
        (6..=7).contains(&count),
        "250 prompt tokens leave room for 6, the last of which may be followed by one more: {count}"
    );
}

// ---- flags ----------------------------------------------------------------------------------------------------------

#[test]
fn wrong_flags_are_refused() {
    let wrong: [(&[&str], &str); 13] = [
        (&["--no-such-flag"], "--no-such-flag"),
        (&["--batch-tokens", "1"], "batch-tokens"),
        (&["--batch-tokens", "many"], "batch-tokens"),
        (&["--prefill-chunk", "0"], "prefill-chunk"),
        (&["--max-seqs", "0"], "max-seqs"),
        (&["--threads", "0"], "`--threads 0` is not possible"),
        (&["--threads", "10000"], "1 to 1024 are possible"),
        (&["--temperature", "-1"], "temperature"),
        (&["--temperature", "NaN"], "temperature"),
        (&["--top-p", "0"], "top-p"),
        (&["--top-p", "1.5"], "top-p"),
        (&["--device", "abacus"], "abacus"),
        (&["--dtype", "f12"], "f12"),
    ];
    for (flags, message) in wrong {
        let project = Project::new();
        project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "a"})]);
        Case { flags, ..generate(message, Outcome::Refused(&[&[message]])) }.check(&project);
    }
    Project::new().karat(["generat"]).code(2).complains(&["generate"]);
}
