//! Keys that karat does not know, and keys that are given twice: an error of the input that names line, column and the nearest
//! known key, on every command that reads lines.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::project::{Project, Run, engine_args, fixture, random_tiny};

fn model(command: &str) -> PathBuf {
    match command {
        "embed" => fixture("bert"),
        "classify" => fixture("bert-2class"),
        _ => random_tiny(),
    }
}

fn engine(project: &Project, command: &str, line: &str, flags: &[&str]) -> Run {
    project.write("in.jsonl", format!("{line}\n"));
    project.karat(engine_args(command, &model(command), flags))
}

/// A command, the rest of a line behind its `id`, the column of the wrong key, and what to write in its place.
type Row = (&'static str, &'static str, usize, &'static str);

const ROWS: &[Row] = &[
    ("generate", r#""prompt":"a","max_tokens":1"#, 22, "`max_new_tokens`"),
    ("generate", r#""prompt":"a","maxNewTokens":1"#, 22, "`max_new_tokens`"),
    ("generate", r#""prompt":"ä","max_token":1"#, 22, "`max_new_tokens`"),
    ("generate", r#""prompt":"a","Stop":[","]"#, 22, "`stop`"),
    ("generate", r#""prompt":"a","stop_sequences":[","]"#, 22, "`stop`"),
    ("generate", r#""prompt":"a","temperature":5"#, 22, "--temperature"),
    ("generate", r#""prompt":"a","top_p":0.5"#, 22, "--top-p"),
    ("generate", r#""prompt":"a","n":2"#, 22, "a line has one answer"),
    ("generate", r#""promt":"a""#, 9, "`prompt`"),
    ("generate", r#""input":"a""#, 9, "`prompt`"),
    ("generate", r#""messages":[{"role":"user","content":"a"}],"tools":[]"#, 52, "chat_template_kwargs"),
    ("render", r#""messages":[{"role":"user","contnet":"a"}]"#, 36, "`content`"),
    ("render", r#""messages":[{"role":"user","value":"a"}]"#, 36, "`content`"),
    ("render", r#""messages":[{"Role":"user","content":"a"}]"#, 22, "`role`"),
    ("render", r#""messages":[{"role":"user","content":[{"type":"text","txt":"a"}]}]"#, 62, "`text`"),
    ("render", r#""messages":[{"role":"a","content":"","tool_calls":[{"function":{"nmae":"f"}}]}]"#, 73, "`name`"),
    ("render", r#""messages":[{"role":"a","content":"","tool_calls":[{"functoin":{}}]}]"#, 61, "`function`"),
    ("embed", r#""text":"a","sentence":"b""#, 20, "`text`"),
    ("embed", r#""text":"a","text_pair":"b""#, 20, "karat classify"),
    ("classify", r#""text":"a","hypothesis":"b""#, 20, "`text_pair`"),
    ("classify", r#""text":"a","label":"toxic""#, 20, "`metadata`"),
    ("logprob", r#""context":"a","continuation":"b","completion":"c""#, 42, "`continuation`"),
    ("logprob", r#""context":"a","choices":["b"]"#, 23, "`continuations`"),
    ("generate", r#""\u0070rompt2":"a""#, 9, "`prompt`"),
];

#[test]
fn unknown_keys_name_the_nearest() {
    for (command, rest, column, hint) in ROWS {
        let (project, line) = (Project::new(), format!("{{\"id\":1,{rest}}}"));
        let run = engine(&project, command, &line, &[]).code(2).complains(&["unknown key"]).complains(&[hint]);
        // A key with escapes is known by its end alone.
        let place = if rest.contains('\\') { "in.jsonl:1:".into() } else { format!("in.jsonl:1:{column}\n") };
        run.complains(&[&place]).complains(&["--allow-unknown-keys"]);
        assert_eq!(project.files().len(), 1, "{line}: something was left behind");
    }
}

#[test]
fn keys_that_are_given_twice_are_refused_at_any_depth() {
    for (command, rest) in [
        ("generate", r#""prompt":"a","prompt":"b""#),
        ("generate", r#""prompt":"a","metadata":{"k":[{"x":1,"x":2}]}"#),
        ("generate", r#""prompt":"a","\u0070rompt":"b""#),
        ("render", r#""messages":[{"role":"user","content":"a","content":"b"}]"#),
        (
            "render",
            r#""messages":[{"role":"user","content":"a","tool_calls":[{"function":{"arguments":{"x":1,"x":2}}}]}]"#,
        ),
        ("embed", r#""text":"a","text":"b""#),
        ("classify", r#""text":"a","text":"b""#),
        ("logprob", r#""ids":[1,2],"ids":[1,3]"#),
    ] {
        for flags in [&[][..], &["--allow-unknown-keys"]] {
            let run = engine(&Project::new(), command, &format!("{{\"id\":1,{rest}}}"), flags).code(2);
            run.complains(&["is given twice"]).complains(&["in.jsonl:1:"]);
        }
    }
}

#[test]
fn unknown_keys_may_be_allowed() {
    let allow = ["--allow-unknown-keys"];
    for (command, rest) in [
        ("generate", r#""prompt":"a","max_new_tokens":2,"temperature":5"#),
        ("embed", r#""text":"a","source":"x""#),
        ("classify", r#""text":"a","label":"x""#),
        ("logprob", r#""ids":[1,2],"note":"x""#),
    ] {
        engine(&Project::new(), command, &format!("{{\"id\":1,{rest}}}"), &allow).code(0);
    }
    // Those of messages reach the chat template.
    let project = Project::new();
    let folder = project.path("m");
    std::fs::create_dir(&folder).expect("make a folder");
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(random_tiny().join(name), folder.join(name)).expect("copy a file");
    }
    project.write("m/chat_template.jinja", "{{ messages[0].mood }}: {{ messages[0].content }}");
    project
        .write_lines("in.jsonl", &[json!({"id": 1, "messages": [{"role": "user", "content": "a", "mood": "glad"}]})]);
    project.karat(engine_args("render", &folder, &allow)).code(0);
    let line: Value = serde_json::from_str(&project.read("out.jsonl")).expect("a line");
    assert_eq!(line["text"], "glad: a");
    project.karat(engine_args("render", &folder, &[])).code(2).complains(&["unknown key `mood`"]);
}

/// What one command writes, the next one reads.
#[test]
fn output_of_one_command_is_input_of_another() {
    let project = Project::new();
    project.write_lines("in.jsonl", &[json!({"id": "a", "prompt": "Which metal?", "max_new_tokens": 4})]);
    for writer in ["generate", "render"] {
        project.karat(engine_args(writer, &random_tiny(), &[])).code(0);
        for reader in ["embed", "classify", "logprob"] {
            let model = model(reader);
            let args =
                [reader, &model.to_string_lossy(), "--in", "out.jsonl", "--out", "next.jsonl"].map(str::to_owned);
            project.karat(args).code(0);
        }
    }
}

const SUITE: &str = "version: 1\nname: s\ndatasets:\n  - {name: golden, kind: golden, file: d.jsonl, scorers: [exact_match]}\nscorers: [exact_match]\n";

fn score(answer: &str, flags: &[&str]) -> Run {
    let project = Project::new();
    project.write("suite.yaml", SUITE);
    project.write("d.jsonl", "{\"id\":1,\"input\":\"a\",\"target\":\"x\"}\n");
    project.write("r.jsonl", format!("{answer}\n"));
    project.karat([&["score", "suite.yaml", "--responses", "r.jsonl", "--quiet"][..], flags].concat())
}

#[test]
fn recorded_answers_have_known_keys_alone() {
    for (answer, place, hint) in [
        (r#"{"id":1,"output":"x","scores":{"exact_match":1.0}}"#, "r.jsonl:1:22", "karat computes the scores"),
        (r#"{"id":1,"output":"x","score":1}"#, "r.jsonl:1:22", "karat computes the scores"),
        (r#"{"id":1,"completion":"x"}"#, "r.jsonl:1:9", "`output`"),
        (r#"{"id":1,"generated_text":"x"}"#, "r.jsonl:1:9", "`output`"),
        (r#"{"id":1,"output":"x","finish_reason":"length"}"#, "r.jsonl:1:22", "`finish`"),
        (r#"{"id":1,"output":"x","model":"gpt"}"#, "r.jsonl:1:22", "`metadata`"),
    ] {
        score(answer, &[]).code(2).complains(&["unknown key"]).complains(&[place]).complains(&[hint]);
        if answer.contains("output") {
            score(answer, &["--allow-unknown-keys"]).code(0);
        }
    }
    for answer in [r#"{"id":1,"output":"x","output":"y"}"#, r#"{"id":1,"output":"x","metadata":{"a":{"b":1,"b":2}}}"#] {
        score(answer, &["--allow-unknown-keys"]).code(2).complains(&["is given twice"]).complains(&["r.jsonl:1:"]);
    }
    score(r#"{"id":1,"output":"x","text":"y"}"#, &[]).code(2).complains(&["has `output` and `text`"]);
    score(r#"{"id":1,"output":"x","metadata":{"model":"gpt","scores":{"f1":1}}}"#, &[]).code(0);
    score(r#"{"id":1,"text":"x","ids":[1],"finish":"eos","prompt_tokens":3}"#, &[]).code(0);
}

#[test]
fn messages_of_a_dataset_have_known_keys_alone() {
    let project = Project::new();
    project.write("suite.yaml", SUITE);
    project.write("r.jsonl", "{\"id\":1,\"output\":\"x\"}\n");
    let lint = |case: &str| {
        project.write("d.jsonl", format!("{case}\n"));
        project.karat(["lint", "suite.yaml"])
    };
    let wrong = r#"{"id":1,"input":[{"role":"user","content":"a","mood":"glad"}],"target":"x"}"#;
    let run = lint(wrong).code(2).complains(&["unknown key `mood`"]);
    run.complains(&["d.jsonl:1"]).complains(&["allow_unknown_keys: true"]);
    let twice = r#"{"id":1,"input":[{"role":"user","content":"a","content":"b"}],"target":"x"}"#;
    lint(twice).code(2).complains(&["key `content` is given twice"]).complains(&["d.jsonl:1:"]);
    lint(r#"{"id":1,"input":"a","target":"x","metadata":{"a":{"b":1,"b":2}}}"#)
        .code(2)
        .complains(&["`b` is given twice"]);
    project.write("suite.yaml", SUITE.replace("file: d.jsonl", "file: d.jsonl, allow_unknown_keys: true"));
    lint(wrong).code(0);
    lint(twice).code(2).complains(&["key `content` is given twice"]);
}

#[test]
fn a_key_stands_once_in_cells_and_flags_too() {
    let project = Project::new();
    project.write(
        "suite.yaml",
        SUITE.replace("d.jsonl", "d.csv").replace("file: d.csv", "file: d.csv, cells: {input: json}"),
    );
    for table in [
        "id,input,target,metadata\n1,a,x,\"{\"\"k\"\":1,\"\"k\"\":2}\"\n",
        "id,input,target,checks\n1,a,x,\"[{\"\"contains\"\":{\"\"k\"\":1,\"\"k\"\":2}}]\"\n",
        "id,input,target\n1,\"[{\"\"role\"\":\"\"user\"\",\"\"content\"\":\"\"a\"\",\"\"k\"\":1,\"\"k\"\":2}]\",x\n",
    ] {
        project.write("d.csv", table);
        let run = project.karat(["lint", "suite.yaml"]).code(2).complains(&["key `k` is given twice"]);
        run.complains(&["d.csv:2"]);
    }
    project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "a"})]);
    let kwargs = ["--chat-template-kwargs", r#"{"tools": [{"k": 1, "k": 2}]}"#];
    project.karat(engine_args("render", &random_tiny(), &kwargs)).code(2).complains(&["key `k` is given twice"]);
}
