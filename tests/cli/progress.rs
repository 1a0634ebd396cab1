//! Progress on standard error in its forms; standard error is no terminal here.

use serde_json::{Value, json};

use crate::project::{Project, Run, engine_args, fixture, random_tiny};

fn project() -> Project {
    let project = Project::new();
    let case = |i: usize| json!({"id": format!("g{i}"), "input": format!("Is {i} gold?"), "target": "yes"});
    project.write_lines("golden.jsonl", &(0..30).map(case).collect::<Vec<_>>());
    let answer = |i: usize| json!({"id": format!("g{i}"), "output": "yes"});
    project.write_lines("answers.jsonl", &(0..30).map(answer).collect::<Vec<_>>());
    let model = Value::from(random_tiny().to_string_lossy());
    project.write(
        "suite.yaml",
        format!(
            "version: 1\nname: shown\nmodels:\n  generator: {{model: {model}}}\ndatasets:\n\
             \x20 - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}}\n\
             generation: {{max_new_tokens: 8, temperature: 0}}\nscorers:\n  - exact_match: {{trim: true}}\n"
        ),
    );
    project
}

/// Every line of standard error as JSON.
#[track_caller]
fn events(run: &Run) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}{run}"));
    let events: Vec<Value> = run.stderr.lines().map(parse).collect();
    assert!(events.iter().all(|event| event["event"].is_string()), "{run}");
    events
}

/// The phases of events of one kind, in order.
fn phases(events: &[Value], kind: &str) -> Vec<String> {
    let of_kind = events.iter().filter(|event| event["event"] == kind);
    of_kind.map(|event| event["phase"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_run_tells_json_and_nothing_else() {
    let project = project();
    let run = project.karat(["run", "suite.yaml", "--progress", "json"]).code(0);
    let told = events(&run);
    assert_eq!(phases(&told, "began"), ["check", "load", "answer", "sort"], "{run}");
    assert_eq!(phases(&told, "ended"), ["check", "load", "answer", "sort"], "{run}");
    let ended = told.iter().filter(|event| event["event"] == "ended");
    ended.for_each(|event| assert!(event["complete"] == true && event["seconds"].is_f64(), "{event}"));
    assert!(told.contains(&json!({"event": "began", "phase": "answer", "cases": 30})), "{run}");
    let last = told.iter().rev().find(|event| event["phase"] == "answer" && event["event"] == "progress");
    let last = last.unwrap_or_else(|| panic!("no progress{run}"));
    assert_eq!((&last["done"], &last["total"], &last["errored"]), (&json!(30), &json!(30), &json!(0)), "{last}");
    assert!(last["generated_tokens"].as_u64() > Some(0) && last["prompt_tokens"].as_u64() > Some(0), "{last}");
    for key in ["cached", "scored", "tokens_per_second", "eta_seconds", "elapsed_seconds"] {
        assert!(last.get(key).is_some(), "{key}: {last}");
    }
    let notes: Vec<&str> = told.iter().filter_map(|event| event["text"].as_str()).collect();
    assert!(notes.iter().any(|text| text.starts_with("answered 30 cases in ")), "{run}");
    assert!(notes.iter().any(|text| text.starts_with("next: ")), "{run}");
    let score = ["score", "suite.yaml", "--responses", "answers.jsonl", "--progress", "json"];
    assert!(!events(&project.karat(score).code(0)).is_empty());
}

#[test]
fn engine_commands_tell_json_and_nothing_else() {
    let project = project();
    let (texts, ids) = (json!({"id": 1, "text": "gold"}), json!({"id": 1, "ids": [1, 2, 3]}));
    for (command, model, line) in [
        ("generate", random_tiny(), json!({"id": 1, "prompt": "gold", "max_new_tokens": 4})),
        ("logprob", random_tiny(), ids),
        ("embed", fixture("bert-mean"), texts.clone()),
        ("classify", fixture("bert-multilabel"), texts),
    ] {
        project.write_lines("in.jsonl", &[line]);
        let run = project.karat(engine_args(command, &model, &["--progress", "json"])).code(0);
        let told = events(&run);
        assert_eq!((phases(&told, "began"), phases(&told, "ended")), (vec![command.into()], vec![command.into()]));
        let last = told.iter().rev().find(|event| event["event"] == "progress").expect("progress");
        assert_eq!((&last["done"], &last["total"]), (&json!(1), &Value::Null), "{last}");
    }
}

#[test]
fn errors_are_json_too() {
    let project = project();
    let run = project.karat(["run", "suite.yaml", "--progress", "json", "--model", "no/such/folder"]).code(2);
    let told = events(&run);
    let error = told.iter().find(|event| event["event"] == "error").unwrap_or_else(|| panic!("no error{run}"));
    assert!(error["text"].as_str().is_some_and(|text| text.contains("no/such/folder")), "{error}");
    project.write("in.jsonl", "{\"id\": 1, \"prompt\": ");
    let run = project.karat(engine_args("generate", &random_tiny(), &["--progress", "json"])).code(2);
    let told = events(&run);
    assert_eq!(told.last().map(|event| &event["event"]), Some(&json!("error")), "{run}");
    // A file is looked through before anything begins, a stream is not.
    assert!(told.iter().all(|event| event["event"] != "began"), "{run}");
    let mut command = project.command(["generate", &random_tiny().to_string_lossy(), "--progress", "json"]);
    command.stdin(std::fs::File::open(project.path("in.jsonl")).expect("open the input"));
    let run = Run::new("generate".into(), command.output().expect("start karat")).code(2);
    let told = events(&run);
    let ended = told.iter().find(|event| event["event"] == "ended").unwrap_or_else(|| panic!("no end{run}"));
    assert_eq!(ended["complete"], false);
}

#[test]
fn lines_notes_and_silence() {
    let project = project();
    let stderr = |flags: &[&str]| project.karat([&["run", "suite.yaml"][..], flags].concat()).code(0).stderr;
    for flags in [&[][..], &["--progress", "auto"], &["--progress", "bar"], &["--progress", "lines"]] {
        let told = stderr(flags);
        assert!(told.contains("load: generator\n") && told.contains("answered 30 cases in "), "{flags:?}: {told}");
        assert!(!told.contains('\u{1b}') && !told.contains('\r'), "{flags:?}: {told}");
    }
    let none = stderr(&["--progress", "none"]);
    assert!(!none.contains("load:") && none.contains("answered 30 cases in "), "{none}");
    for flag in ["--quiet", "-q"] {
        let quiet = stderr(&[flag]);
        assert!(!quiet.contains("answered") && !quiet.contains("load:"), "{quiet}");
    }
    project.karat(["run", "suite.yaml", "-q", "--progress", "json"]).code(2).complains(&["--quiet", "--progress"]);
    project.karat(["run", "suite.yaml", "--progress", "loud"]).code(2).complains(&["possible values"]);
}
