//! What a dataset asks of the model: answers, choices, log-likelihoods, perplexities, each with its prompt and its options.

use serde_json::{Value, json};

use crate::project::{Project, fixture, random_tiny};

/// A suite of one dataset of each kind of request.
fn suite(model: &str) -> String {
    format!(
        r#"version: 1
name: kinds
models: {{generator: {{model: "{model}"}}}}
prompt: {{chat: false}}
generation: {{max_new_tokens: 4}}
datasets:
  - name: answers
    kind: golden
    file: answers.jsonl
    scorers: [contains]
  - name: short
    kind: golden
    file: answers.jsonl
    prompt: {{text: "{{{{ input }}}}!"}}
    generation: {{max_new_tokens: 2}}
    scorers: [contains]
  - name: choices
    kind: golden
    file: choices.jsonl
    request: choice
    prompt:
      text: "{{{{ q }}}}\nAnswer:"
      choices: "{{{{ options.text }}}}"
      target: "{{{{ options.label.index(key) }}}}"
      few_shot: {{file: shots.jsonl, count: 2, draw: random, seed: 7}}
    scorers: [acc, acc_norm, acc_bytes, acc_mutual_info, margin, probability, mass, brier_score, exact_match]
  - name: targets
    kind: golden
    file: answers.jsonl
    request: loglikelihood
    scorers: [greedy, logprob]
  - name: documents
    kind: golden
    file: documents.jsonl
    request: perplexity
    scorers: [bits_per_byte, byte_perplexity, word_perplexity, token_perplexity]
scorers:
  - contains: {{values: e}}
  - exact_match
  - choice
  - choice: {{metric: acc_norm}}
  - choice: {{metric: acc_bytes}}
  - choice: {{metric: acc_mutual_info}}
  - choice: {{metric: margin}}
  - choice: {{metric: probability, min: 0.3}}
  - choice: {{metric: mass}}
  - choice: {{metric: brier_score, max: 0.9}}
  - loglikelihood
  - loglikelihood: {{metric: logprob, min: -1000}}
  - perplexity
  - perplexity: {{metric: byte_perplexity, max: 1.0e+9}}
  - perplexity: {{metric: word_perplexity}}
  - perplexity: {{metric: token_perplexity}}
"#
    )
}

fn rows(count: usize, from: usize) -> Vec<Value> {
    let row = |n: usize| {
        let key = ["A", "B", "C"][n % 3];
        let text = [format!("the {n}th"), format!("of {n} options, a longer one"), "x".into()];
        json!({"q": format!("Question {n}, which has some words"), "options": {"text": text, "label": ["A", "B", "C"]}, "key": key})
    };
    (from..from + count).map(row).collect()
}

fn project() -> Project {
    let project = Project::new();
    project.write("suite.yaml", suite(&random_tiny().display().to_string()));
    let answer = |n: usize| json!({"id": n, "input": format!("Case {n} of"), "target": format!("word{n} and")});
    project.write_lines("answers.jsonl", &(0..6).map(answer).collect::<Vec<_>>());
    project.write_lines("choices.jsonl", &rows(9, 0));
    project.write_lines("shots.jsonl", &rows(12, 100));
    let text = "Words of a document, one behind the other. ".repeat(40);
    project.write_lines("documents.jsonl", &[json!({"input": text}), json!({"input": "Short."})]);
    project
}

fn results(project: &Project) -> Vec<String> {
    let run = project.runs("kinds").pop().expect("a run");
    std::fs::read_to_string(run.join("results.jsonl")).expect("results").lines().map(str::to_owned).collect()
}

fn run(project: &Project, flags: &[&str]) -> Vec<String> {
    let args = [&["run", "suite.yaml", "--quiet"], flags].concat();
    let ran = project.karat(args);
    assert!(matches!(ran.code, Some(0 | 1)), "{}", ran.stderr);
    results(project)
}

#[test]
fn every_kind_has_its_figures_whatever_the_batch() {
    let plain = run(&project(), &["--batch-tokens", "16", "--threads", "1", "--no-prefix-sharing"]);
    assert_eq!(plain.len(), 6 + 6 + 9 + 6 + 2);
    let lines: Vec<Value> = plain.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for line in &lines {
        assert_eq!(line["error"], Value::Null, "{line}");
        match line["dataset"].as_str().expect("a name") {
            "short" => assert!(line["output_ids"].as_array().expect("ids").len() <= 2),
            "answers" => assert!(line["likelihoods"].is_null() && !line["output"].is_null()),
            "choices" => {
                let choice = &line["likelihoods"]["choice"];
                assert_eq!(choice["logprobs"].as_array().expect("a list").len(), 3);
                assert_eq!(choice["unconditional"].as_array().expect("a list").len(), 3);
                let right = choice["gold"][0] == choice["picked"];
                assert_eq!(line["scores"]["acc"]["passed"], json!(right));
                assert_eq!(line["scores"]["exact_match"]["passed"], json!(right), "the choice is the answer");
                assert_eq!(line["scores"].as_object().expect("scores").len(), 9);
            }
            "targets" => assert!(line["likelihoods"]["continuation"]["logprob"].as_f64().expect("a number") < 0.0),
            "documents" => assert!(line["likelihoods"]["document"]["bytes"].as_u64().expect("a number") > 0),
            other => panic!("{other}"),
        }
    }
    for flags in [
        &["--batch-tokens", "1000", "--threads", "2"][..],
        &["--batch-tokens", "64", "--threads", "2", "--max-seqs", "3"],
        &["--batch-tokens", "64", "--threads", "1", "--no-prefix-sharing", "--prefill-chunk", "8"],
    ] {
        assert_eq!(run(&project(), flags), plain, "{flags:?}");
    }
}

/// Means of perplexities and margins are no shares: a bound above 1 can be missed.
#[test]
fn gates_on_perplexities_are_real_bounds() {
    let project = project();
    let suite = project.read("suite.yaml")
        + "gates:\n  - {metric: documents.bits_per_byte.mean, max: 2.5}\n\
                                             \x20 - {metric: choices.acc, max: 1}\n";
    project.write("suite.yaml", suite);
    let found = project.karat(["lint", "suite.yaml"]).stderr;
    assert!(!found.contains("`documents.bits_per_byte.mean` can never fail"), "{found}");
    assert!(found.contains("`choices.acc.pass_rate` can never fail"), "{found}");
}

#[test]
fn a_summary_has_perplexities_ties_and_calibration() {
    let project = project();
    run(&project, &[]);
    let folder = project.runs("kinds").pop().expect("a run");
    let summary: Value =
        serde_json::from_slice(&std::fs::read(folder.join("summary.json")).expect("a summary")).expect("JSON");
    let figures = |name: &str| {
        let datasets = summary["datasets"].as_array().expect("datasets");
        datasets.iter().find(|dataset| dataset["dataset"] == name).expect("a dataset")["likelihoods"].clone()
    };
    assert!(figures("documents")["bits_per_byte"].as_f64().expect("a number") > 0.0);
    assert!(figures("targets")["perplexity"].as_f64().expect("a number") > 1.0);
    assert!(figures("choices")["choice"]["calibration"]["error"].is_number());
    assert_eq!(figures("answers"), Value::Null);
    let manifest = std::fs::read_to_string(folder.join("manifest.json")).expect("a manifest");
    assert!(manifest.contains("karat-run/5"));
}

#[test]
fn what_a_case_asks_is_shown_before_anything_runs() {
    let project = project();
    let shown = project.karat(["render", "--suite", "suite.yaml"]).code(0);
    let lines: Vec<Value> = shown.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 29);
    let choice = lines.iter().find(|line| line["dataset"] == "choices").expect("a line");
    assert_eq!((choice["request"].as_str(), &choice["gold"]), (Some("choice"), &json!([0])));
    assert!(choice["text"].as_str().expect("a text").ends_with("\n\nQuestion 0, which has some words\nAnswer:"));
    assert_eq!(choice["continuations"][0]["text"], " the 0th");
    assert_eq!(choice["shots"].as_array().expect("a list").len(), 2);
    let short = lines.iter().find(|line| line["dataset"] == "short").expect("a line");
    assert_eq!((&short["text"], &short["options"]["max_new_tokens"]), (&json!("Case 0 of!"), &json!(2)));
    let one = project.karat(["render", "--suite", "suite.yaml", "--case", "targets/3"]).code(0).stdout;
    let one: Value = serde_json::from_str(one.trim()).expect("one line");
    assert_eq!((one["id"].as_str(), &one["continuations"][0]["text"]), (Some("3"), &json!(" word3 and")));
    project
        .karat(["render", "--suite", "suite.yaml", "--case", "targets/33"])
        .code(2)
        .complains(&["no case `targets/33`"]);
    let model = fixture("llama").display().to_string();
    project.karat(["render", &model, "--suite", "suite.yaml", "--case", "documents/nothing"]).code(2);
}

/// Each wrong input, and what is said of it.
#[test]
fn what_cannot_be_asked_is_said_with_its_place() {
    let row = rows(1, 0).pop().expect("a row");
    let with = |key: &str, value: Value| {
        let mut row = row.clone();
        row[key] = value;
        row
    };
    for (row, complaint) in [
        (with("options", json!({"text": ["one"], "label": ["A"]})), "one choice: there is nothing to choose"),
        (with("options", json!({"text": ["one", ""], "label": ["A", "B"]})), "choice 1 of the case is empty"),
        (with("options", json!({"text": ["one", "one"], "label": ["A", "B"]})), "all choices of the case are equal"),
        (with("options", json!({"text": "one", "label": ["A"]})), "`prompt.choices` of the case must be a list"),
        (with("options", json!({"label": ["A"]})), "nothing"),
        (with("key", json!("D")), "D is not in the list"),
    ] {
        let project = project();
        project.write_lines("choices.jsonl", std::slice::from_ref(&row));
        let run = project.karat(["run", "suite.yaml"]).code(2);
        assert!(run.stderr.contains(complaint) || complaint == "nothing", "{complaint}: {}", run.stderr);
        assert!(run.stderr.contains("choices.jsonl:1"), "{}", run.stderr);
    }
    for (from, to, complaint) in [
        (
            "count: 2, draw: random",
            "count: 13, draw: random",
            "the suite asks for 13 few-shot examples, the file has 12",
        ),
        ("options.label.index(key)", "7", "the target `7` is none of the 3 choices"),
        ("request: choice", "request: choices", "did you mean `choice`"),
        ("request: perplexity", "request: generate", "cannot look at a dataset with `request: generate`"),
        ("[greedy, logprob]", "[contains]", "cannot look at a dataset with `request: loglikelihood`"),
        ("generation: {max_new_tokens: 4}", "generation: {max_new_tokens: 4, repeat: 2}", "answer alike"),
        ("draw: random, seed: 7", "draw: first, seed: 7", "need no seed"),
        ("text: \"{{ q }}\\nAnswer:\"", "text: \"{{ q }\"", "prompt.text"),
    ] {
        let project = project();
        let suite = project.read("suite.yaml");
        assert!(suite.contains(from), "{from}");
        project.write("suite.yaml", suite.replace(from, to));
        project.karat(["run", "suite.yaml"]).code(2).complains(&[complaint]);
    }
}

/// A row that the question's template does not fit, and a context longer than the model reads, are errors of their case.
#[test]
fn what_one_case_lacks_is_its_own_error() {
    let project = project();
    let mut long = rows(1, 1).pop().expect("a row");
    long["q"] = json!("word ".repeat(3000));
    let mut lacking = rows(1, 2).pop().expect("a row");
    lacking.as_object_mut().expect("an object").remove("q");
    project.write_lines("choices.jsonl", &[rows(1, 0).remove(0), long, lacking]);
    let ran = project.karat(["run", "suite.yaml", "--quiet"]);
    assert!(matches!(ran.code, Some(1 | 3)), "{}", ran.stderr);
    let lines: Vec<Value> = results(&project).iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let errors = lines.iter().filter(|line| line["dataset"] == "choices").filter_map(|line| line["error"].as_str());
    let errors: Vec<&str> = errors.collect();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors.iter().any(|error| error.contains("exceeds the model's context")), "{errors:?}");
    assert!(errors.iter().any(|error| error.contains("undefined")), "{errors:?}");
}

/// A case is never among its own examples, where both are one file.
#[test]
fn a_case_is_no_example_of_itself() {
    for draw in ["random", "balanced", "first"] {
        let project = project();
        let seed = if draw == "first" { "" } else { ", seed: 7" };
        let suite = project.read("suite.yaml").replace(
            "{file: shots.jsonl, count: 2, draw: random, seed: 7}",
            &format!("{{file: choices.jsonl, count: 3, draw: {draw}{seed}}}"),
        );
        project.write("suite.yaml", suite);
        let shown = project.karat(["render", "--suite", "suite.yaml"]).code(0).stdout;
        let lines = shown.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        for (case, line) in lines.filter(|line| line["dataset"] == "choices").enumerate() {
            let shots = line["shots"].as_array().expect("a list");
            assert_eq!(shots.len(), 3);
            assert!(!shots.contains(&json!(case)), "{draw}: {line}");
        }
    }
}

/// Recorded answers say nothing to a choice, and an unfinished run of log-likelihoods goes on where it was.
#[test]
fn recorded_answers_are_refused() {
    let project = project();
    project.write_lines("answers.log.jsonl", &[json!({"dataset": "choices", "id": "0", "output": "x"})]);
    let args = ["score", "suite.yaml", "--responses", "answers.log.jsonl"];
    project.karat(args).code(2).complains(&["to which recorded answers say nothing"]);
}

/// A run for each model and each prompt, each with its label; one alone where it is named.
#[test]
fn several_models_and_prompts_are_a_run_each() {
    let project = Project::new();
    project.write_lines("a.jsonl", &[json!({"id": 1, "input": "Say it", "target": "it"})]);
    let suite = "version: 1\nname: kinds\nmodels: {generator: {model: none}}\nprompt: {chat: false}\n\
                 prompts:\n  - {name: bare}\n  - {name: polite, text: \"Please: {{ input }}\"}\n\
                 generation: {max_new_tokens: 2}\nscorers: [contains]\n\
                 datasets:\n  - {name: a, kind: golden, file: a.jsonl, scorers: [contains]}\n";
    project.write("suite.yaml", suite);
    let (one, other) = (random_tiny().display().to_string(), fixture("llama").display().to_string());
    let ran = project.karat(["run", "suite.yaml", "--model", &one, "--model", &other]);
    assert!(matches!(ran.code, Some(0 | 1)), "{}", ran.stderr);
    let manifest = |run: &std::path::PathBuf| -> Value {
        serde_json::from_slice(&std::fs::read(run.join("manifest.json")).expect("a manifest")).expect("JSON")
    };
    let mut seen: Vec<(String, String)> = project
        .runs("kinds")
        .iter()
        .map(manifest)
        .map(|manifest| {
            let text = |value: &Value| value.as_str().expect("text").to_owned();
            (text(&manifest["label"]), text(&manifest["plan"]["prompt"]["name"]))
        })
        .collect();
    seen.sort();
    let expected = [
        ("llama, bare", "bare"),
        ("llama, polite", "polite"),
        ("random-tiny, bare", "bare"),
        ("random-tiny, polite", "polite"),
    ];
    assert_eq!(seen, expected.map(|(label, name)| (label.to_owned(), name.to_owned())));
    assert!(ran.stderr.contains("run 4 of 4: llama, polite") && ran.stderr.contains("karat compare"), "{}", ran.stderr);
    project
        .karat(["run", "suite.yaml", "--model", &one, "--report", "r.html"])
        .code(2)
        .complains(&["a report is of one"]);
    assert!(!project.path("r.html").exists());
    let alone = project.karat(["run", "suite.yaml", "--model", &one, "--prompt", "polite", "--report", "r.md"]);
    assert!(matches!(alone.code, Some(0 | 1)), "{}", alone.stderr);
    assert_eq!(project.runs("kinds").len(), 5);
    project
        .karat(["run", "suite.yaml", "--model", &one, "--prompt", "polit"])
        .code(2)
        .complains(&["did you mean `polite`"]);
    let shown = project.karat(["render", &one, "--suite", "suite.yaml", "--prompt", "polite"]).code(0).stdout;
    assert!(shown.contains("Please: Say it"), "{shown}");
}

/// Log-likelihoods that were computed before an interruption are not computed again, and the record is that of a run that nobody
/// disturbed.
#[test]
fn an_interrupted_run_goes_on_to_the_same_bytes() {
    let long = || {
        let project = project();
        project.write_lines("choices.jsonl", &rows(1500, 0));
        project
    };
    let slow = ["--batch-tokens", "64", "--threads", "1", "--no-prefix-sharing"];
    let plain = run(&long(), &slow);
    let project = long();
    let mut interrupted = 0;
    loop {
        let resume: &[&str] = if interrupted == 0 { &[] } else { &["--resume"] };
        let args = [&["run", "suite.yaml", "--quiet", "--max-wall", "1s"], &slow[..], resume].concat();
        let ran = project.karat(args);
        match ran.code {
            Some(3) if interrupted < 100 => interrupted += 1,
            Some(0 | 1) => break,
            _ => panic!("{:?} {}", ran.code, ran.stderr),
        }
    }
    assert!(interrupted > 0, "it was never interrupted");
    assert_eq!(results(&project), plain);
    let run = project.runs("kinds").pop().expect("a run");
    let performance: Value =
        serde_json::from_slice(&std::fs::read(run.join("performance.json")).expect("performance")).expect("JSON");
    assert!(performance["counters"]["generator.resumed"].as_u64().expect("a number") > 0);
}
