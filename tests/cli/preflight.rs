//! `karat lint` and `--dry-run`: whatever a run refuses before it loads a model, both refuse, and neither leaves anything behind.

use serde_json::{Value, json};

use crate::main_job::write_suite;
use crate::project::{Project, fixture, random_tiny};

fn suite() -> Project {
    let project = Project::new();
    write_suite(&project, 5);
    project
}

fn change(project: &Project, file: &str, from: &str, to: &str) {
    let text = project.read(file);
    assert!(text.contains(from), "{file} has no {from}");
    project.write(file, text.replace(from, to));
}

/// Lint and a dry run refuse the suite with this word, and leave nothing.
#[track_caller]
fn refused(project: &Project, told: &str) {
    let before = project.files();
    for command in [&["lint", "suite.yaml"][..], &["run", "suite.yaml", "--dry-run"]] {
        let run = project.karat(command).code(2).complains(&[told]);
        assert!(run.stdout.is_empty(), "{run}");
    }
    assert_eq!(project.files(), before, "something was left behind");
}

#[test]
fn what_a_run_refuses_before_it_loads_lint_and_a_dry_run_refuse() {
    let model = random_tiny().to_string_lossy().into_owned();
    type Broken<'a> = (&'a str, &'a dyn Fn(&Project), &'a str);
    let table: [Broken<'_>; 11] = [
        ("no folder", &|p| change(p, "suite.yaml", &model, "no/such/folder"), "no/such/folder"),
        ("no file", &|p| change(p, "suite.yaml", &model, "no/such.gguf"), "no/such.gguf"),
        ("no entry", &|p| change(p, "suite.yaml", &model, "tiny@1"), "tiny@1"),
        ("no generator's tokenizer", &|p| change(p, "suite.yaml", &model, "prompts"), "tokenizer"),
        ("no embedder", &|p| change(p, "suite.yaml", "bert-mean", "bert-none"), "bert-none"),
        ("no classifier", &|p| change(p, "suite.yaml", "bert-multilabel", "bert-none"), "bert-none"),
        ("no prompt", &|p| std::fs::remove_file(p.path("prompts/answer.md")).unwrap(), "prompts/answer.md"),
        ("a prompt's syntax", &|p| change(p, "prompts/answer.md", "}}", "}"), "answer.md:4"),
        ("a case", &|p| drop(p.write("danger.jsonl", "{\"id\":1}\n")), "danger.jsonl:1"),
        ("an id twice", &|p| change(p, "golden.jsonl", "g003", "g002"), "g002"),
        ("no dataset", &|p| std::fs::remove_file(p.path("golden.jsonl")).unwrap(), "golden.jsonl"),
    ];
    for (name, breaks, told) in table {
        let project = suite();
        breaks(&project);
        eprintln!("{name}");
        project.karat(["run", "suite.yaml"]).code(2).complains(&[told]);
        let project = suite();
        breaks(&project);
        refused(&project, told);
    }
    // What only the hub knows is said not to have been looked at; without the network a run cannot begin.
    let project = suite();
    change(&project, "suite.yaml", &model, "org/none@main");
    project.karat(["run", "suite.yaml"]).code(2).complains(&["org/none"]);
    project.karat(["lint", "suite.yaml"]).code(0).complains(&["`org/none@main` is not pulled yet"]);
}

#[test]
fn a_registry_entry_whose_files_are_not_there_is_refused() {
    let project = suite();
    let model = random_tiny().to_string_lossy().into_owned();
    let entry = std::fs::read_to_string(random_tiny().with_file_name("random-tiny@1.yaml")).expect("an entry");
    project.write("models/random-tiny@1.yaml", entry);
    change(&project, "suite.yaml", &model, "random-tiny@1");
    refused(&project, "random-tiny");
}

#[test]
fn a_template_that_fails_on_any_case_is_refused() {
    let project = suite();
    change(&project, "prompts/answer.md", "{{ input }}", "{{ context }} {{ input }}");
    refused(&project, "undefined value");
    let project = suite();
    change(&project, "prompts/answer.md", "{{ input }}", "{{ input[99999999999999999999] }}{{ input }}");
    let run = project.karat(["lint", "suite.yaml"]);
    assert_ne!(run.code, Some(101), "{run}");
}

#[test]
fn what_the_model_s_own_template_refuses_is_refused() {
    let project = suite();
    // This one takes user and assistant turns alone.
    let model = random_tiny().to_string_lossy().into_owned();
    change(&project, "suite.yaml", &model, &fixture("llama").to_string_lossy());
    project.karat(["lint", "suite.yaml"]).code(0);
    change(&project, "suite.yaml", "version: \"1\"}", "version: \"1\", system: system.md}");
    project.write("system.md", "Be brief.");
    refused(&project, "only user and assistant turns");
}

#[test]
fn a_suite_that_asks_for_a_chat_template_of_a_model_without_one_is_refused() {
    let project = suite();
    change(&project, "suite.yaml", "version: \"1\"}", "version: \"1\", chat: true}");
    let run = project.karat(["run", "suite.yaml"]);
    if run.code == Some(2) {
        run.complains(&["no chat template"]);
        refused(&project, "no chat template");
    } else {
        project.karat(["lint", "suite.yaml"]).code(0);
    }
}

#[test]
fn a_baseline_that_cannot_be_used_is_said() {
    let project = suite();
    project.karat(["lint", "suite.yaml"]).code(0);
    project.karat(["run", "suite.yaml", "-q"]).code(0);
    project.karat(["baseline", "accept", "latest", "-m", "test"]).code(0);
    let lint = project.karat(["lint", "suite.yaml"]).code(0);
    assert!(lint.stderr.contains("0 errors, 2 warnings") && !lint.stderr.contains("`main`"), "{lint}");
    let current = project.files().into_iter().find(|path| path.ends_with("main/current")).expect("a baseline");
    std::fs::write(current, "gone\n").expect("break the baseline");
    project.karat(["lint", "suite.yaml"]).code(0).complains(&["baseline `main` cannot be used"]);
    project.karat(["lint", "suite.yaml", "--baseline", "nightly"]).code(2).complains(&["nightly"]);
    project.karat(["lint", "suite.yaml", "--set", "baseline=nightly"]).code(2).complains(&["nightly"]);
}

#[test]
fn a_dry_run_tells_models_cases_and_first_prompts() {
    let project = suite();
    let shown = project.karat(["run", "suite.yaml", "--dry-run", "--limit", "2"]).code(0);
    let plan: Value = serde_json::from_str(&shown.stdout).expect("JSON");
    let cases: Vec<&Value> = plan["datasets"].as_array().expect("datasets").iter().map(|one| &one["cases"]).collect();
    assert_eq!(cases, [&json!(2), &json!(2)]);
    assert!(
        plan["datasets"][0]["first_prompt"].as_str().is_some_and(|text| text.contains("Q: Is 0 gold?\nA:")),
        "{plan}"
    );
    assert_eq!(plan["models"]["generator"], json!(random_tiny().to_string_lossy()));
    assert_eq!(plan["baseline"], Value::Null);
    assert!(!project.path("runs").exists());
    project.write("golden.jsonl", "\n");
    project.write("danger.jsonl", "\n");
    project.write("answers.jsonl", "{\"dataset\":\"golden\",\"id\":\"g000\",\"output\":\"gold\"}\n");
    // A dataset without cases is a mistake in the data, whoever meets it.
    for empty in ["\n", ""] {
        project.write("danger.jsonl", empty);
        for args in [
            &["lint", "suite.yaml"][..],
            &["run", "suite.yaml", "--dry-run"],
            &["run", "suite.yaml"],
            &["score", "suite.yaml", "--responses", "answers.jsonl"],
            &["score", "suite.yaml", "--responses", "answers.jsonl", "--dry-run"],
        ] {
            project.karat(args).code(2).complains(&["the dataset is empty"]).complains(&["golden.jsonl"]);
        }
    }
}

#[test]
fn models_that_scoring_does_not_need_need_not_be_there() {
    let project = suite();
    let model = random_tiny().to_string_lossy().into_owned();
    change(&project, "suite.yaml", &model, "no/such/folder");
    project.write("answers.jsonl", "{\"dataset\":\"golden\",\"id\":\"g000\",\"output\":\"gold\"}\n");
    project.karat(["score", "suite.yaml", "--responses", "answers.jsonl", "--dry-run"]).code(0);
    project.karat(["lint", "suite.yaml"]).code(2);
    change(&project, "suite.yaml", "  generator: {model: \"no/such/folder\"}\n", "");
    project.karat(["lint", "suite.yaml"]).code(0);
}
