//! The model registry as a user meets it: names in suites and on the command line, files that are not as listed, and
//! `karat models`.

use std::path::Path;

use karat::engine::models::count_weights;
use karat::engine::models::model_folder::ModelFolder;
use serde_json::{Value, json};

use crate::project::{Project, engine_args, fixture, random_tiny, repository};

/// A project with the entry `tiny@1`, a copy of the random generator.
fn project() -> Project {
    let project = Project::new();
    register(&project, &random_tiny(), ("tiny", "1", "generator"));
    project
}

/// Copies a model folder into the project's registry and writes its entry.
fn register(project: &Project, from: &Path, (name, version, kind): (&str, &str, &str)) {
    let model = ModelFolder::new(from);
    let hashes = model.hashes().expect("hash a model");
    for file in hashes.keys() {
        let bytes = std::fs::read(from.join(file)).expect("read a model file");
        project.write(&format!("models/{name}/{version}/{file}"), bytes);
    }
    let files: String = hashes.iter().map(|(file, hash)| format!("  {file}: \"{hash}\"\n")).collect();
    let (dtype, parameters) = count_weights(&model).expect("count weights").pop_first().expect("a type");
    let entry = format!(
        "name: {name}\nversion: \"{version}\"\nkind: {kind}\ndescription: a copy of {}\n\
         source: {{folder: {name}/{version}}}\nfiles:\n{files}tokenizer: \"{}\"\ndtype: {dtype}\nparameters: {parameters}\n\
         licence: MIT OR Apache-2.0\nevaluation: {{golden.accuracy: 0.5, answers: 12}}\n",
        from.file_name().expect("a name").display(),
        hashes["tokenizer.json"],
    );
    project.write(&format!("models/{name}@{version}.yaml"), entry);
}

fn suite(project: &Project, model: &str) {
    let case = json!({"id": "g1", "input": "Is it gold?", "target": "yes"});
    project.write_lines("datasets/desk/golden.jsonl", &[case]);
    let yaml = format!(
        "version: 1\nname: desk\nmodels:\n  generator: {{model: {model}}}\n\
         datasets:\n  - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}}\n\
         generation: {{max_new_tokens: 4}}\nscorers: [exact_match]\n"
    );
    project.write("datasets/desk/suite.yaml", yaml);
}

/// The only file of this name below `runs/`.
fn recorded(project: &Project, name: &str) -> String {
    let runs = project.path("datasets/desk/runs");
    let is = |path: &std::path::PathBuf| path.starts_with(&runs) && path.ends_with(name);
    let paths: Vec<_> = project.files().into_iter().filter(is).collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
    std::fs::read_to_string(&paths[0]).expect("read a record")
}

#[test]
fn a_suite_in_a_subfolder_finds_the_entry_and_the_record_names_it() {
    let project = project();
    suite(&project, "tiny@1");
    project.karat(["run", "datasets/desk/suite.yaml"]).code(0);
    let manifest: Value = serde_json::from_str(&recorded(&project, "manifest.json")).expect("a manifest");
    assert_eq!(manifest["plan"]["models"]["generator"]["model"], "tiny@1");
    let hashes = serde_json::to_value(ModelFolder::new(random_tiny()).hashes().expect("hash a model")).expect("JSON");
    assert_eq!(manifest["hashes"]["models"]["generator"], hashes, "as for the folder itself");
    let by_name = recorded(&project, "results.jsonl");
    std::fs::remove_dir_all(project.path("datasets/desk/runs")).expect("remove the runs");
    suite(&project, "../../models/tiny/1");
    project.karat(["run", "datasets/desk/suite.yaml"]).code(0);
    assert_eq!(recorded(&project, "results.jsonl"), by_name);
    // `--model` starts from the working folder, not from the suite's.
    std::fs::remove_dir_all(project.path("datasets/desk/runs")).expect("remove the runs");
    project.karat(["run", "datasets/desk/suite.yaml", "--model", "tiny@1"]).code(0);
    assert_eq!(recorded(&project, "results.jsonl"), by_name);
}

#[test]
fn the_engine_commands_take_an_entry() {
    let project = project();
    let lines = [json!({"id": 1, "prompt": "gold"})];
    let by_name = project.engine_raw("generate", Path::new("tiny@1"), &lines, &["--max-new-tokens", "4"]);
    let by_path = project.engine_raw("generate", &random_tiny(), &lines, &["--max-new-tokens", "4"]);
    assert_eq!(by_name, by_path);
    project.engine_raw("render", Path::new("tiny@1"), &lines, &[]);
    register(&project, &fixture("bert-mean"), ("small", "2.1", "embedder"));
    project.engine_raw("embed", Path::new("small@2.1"), &[json!({"id": 1, "text": "gold"})], &[]);
    // From a folder below.
    project.write("deep/er/in.jsonl", "{\"id\":1,\"prompt\":\"gold\"}\n");
    let mut command = project.command(engine_args("generate", Path::new("tiny@1"), &["--max-new-tokens", "4"]));
    assert!(command.current_dir(project.path("deep/er")).status().expect("start karat").success());
    assert_eq!(project.read("deep/er/out.jsonl").trim_end(), by_path[0]);
}

#[test]
fn a_name_that_is_not_there_is_refused_with_the_nearest() {
    let project = project();
    suite(&project, "tiny@2");
    let run = project.karat(["run", "datasets/desk/suite.yaml"]).code(2);
    run.complains(&["there is no model `tiny@2`"])
        .complains(&["suite.yaml:4:22"])
        .complains(&["did you mean `tiny@1`?"]);
    project.karat(["lint", "datasets/desk/suite.yaml"]).code(2).complains(&["did you mean `tiny@1`?"]);
    project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "gold"})]);
    project.karat(engine_args("generate", Path::new("tine@1"), &[])).code(2).complains(&["did you mean `tiny@1`?"]);
    let empty = Project::new();
    empty.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "gold"})]);
    let run = empty.karat(engine_args("generate", Path::new("tiny@1"), &[])).code(2);
    run.complains(&["models/tiny@1.yaml"]);
}

/// What is wrong, how it came to be, and what standard error says.
type Damage = (&'static str, fn(&Project), &'static [&'static str]);

#[test]
fn files_that_are_not_as_listed_stop_a_run_before_the_model_loads() {
    let damages: [Damage; 5] = [
        ("another hash", |p| drop(p.write("models/tiny/1/tokenizer_config.json", "{}")), &["SHA-256", "git checkout"]),
        (
            "a missing file",
            |p| std::fs::remove_file(p.path("models/tiny/1/model.safetensors")).expect("removed"),
            &["there is no file `model.safetensors`"],
        ),
        (
            "an unlisted file",
            |p| drop(p.write("models/tiny/1/chat_template.jinja", "x")),
            &["has the file `chat_template.jinja`, which its entry does not list"],
        ),
        (
            "a pointer",
            |p| {
                drop(p.write(
                    "models/tiny/1/model.safetensors",
                    "version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
                ))
            },
            &["Git LFS pointer", "git lfs pull"],
        ),
        (
            "a broken entry",
            |p| drop(p.write("models/tiny@1.yaml", "name: tiny\nverzion: 1\n")),
            &["did you mean `version`?", "tiny@1.yaml:2:1"],
        ),
    ];
    for (what, damage, said) in damages {
        let project = project();
        suite(&project, "tiny@1");
        damage(&project);
        let run = project.karat(["run", "datasets/desk/suite.yaml"]).code(2);
        let run = said.iter().fold(run, |run, message| run.complains(&[message]));
        assert!(!project.path("runs/desk").exists(), "{what}{run}");
        project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "gold"})]);
        let run = project.karat(engine_args("generate", Path::new("tiny@1"), &[])).code(2);
        said.iter().fold(run, |run, message| run.complains(&[message]));
        let run = project.karat(["models", "verify"]).code(2);
        assert!(run.stdout.starts_with("FAIL  tiny@1  ") && run.stdout.contains(said[0]), "{what}{run}");
        project.karat(["models", "verify", "tiny@1"]).code(2);
    }
}

#[test]
fn models_lists_shows_and_verifies() {
    let project = project();
    register(&project, &fixture("bert-mean"), ("small", "2.1", "embedder"));
    let list = project.karat(["models", "list"]).code(0).stdout;
    let expected = "small@2.1  embedder    29,920 parameters  134.04 kB  MIT OR Apache-2.0  a copy of bert-mean\n\
                    tiny@1     generator  119,488 parameters  246.42 kB  MIT OR Apache-2.0  a copy of random-tiny\n";
    assert_eq!(list, expected);
    let show = project.karat(["models", "show", "tiny@1"]).code(0).stdout;
    for line in [
        "tiny@1\n",
        "  source       models/tiny/1\n",
        "  parameters   119,488 in f16\n",
        "    golden.accuracy  0.5\n",
        "    answers          12\n",
        "    model.safetensors      835c8598",
    ] {
        assert!(show.contains(line), "{line:?} is missing in\n{show}");
    }
    let verify = project.karat(["models", "verify"]).code(0);
    assert_eq!(verify.stdout, "ok    small@2.1\nok    tiny@1\n");
    let verify = project.karat(["models", "verify", "tiny@1", "tiny@3"]).code(2);
    assert_eq!(verify.stdout.lines().next(), Some("ok    tiny@1"));
    assert!(verify.stdout.contains("did you mean `tiny@1`?"), "{verify}");
    project.karat(["models", "show", "tiny"]).code(2).complains(&["name@version"]);
    project.karat(["models", "pull", "tiny@1"]).code(0);
    // What an entry says beside its hashes is held against the weights.
    let text = project.read("models/tiny@1.yaml").replace("parameters: 119488", "parameters: 7");
    project.write("models/tiny@1.yaml", text);
    let verify = project.karat(["models", "verify", "tiny@1"]).code(2);
    assert!(verify.stdout.contains("it has 119488 parameters, its entry says 7"), "{verify}");
}

#[test]
fn models_of_the_hub_are_not_asked_for_unless_pulled() {
    let project = project();
    let text = project.read("models/tiny@1.yaml").replace("name: tiny", "name: far");
    let hub = "{hub: org/far, revision: 0123456789abcdef0123456789abcdef01234567}";
    project.write("models/far@1.yaml", text.replace("{folder: tiny/1}", hub));
    let karat = |args: &[&str]| {
        let mut command = project.command(args);
        let output = command.env("HF_HOME", project.path("cache")).output().expect("start karat");
        crate::project::Run::new(format!("{command:?}"), output)
    };
    assert_eq!(karat(&["models", "verify"]).code(0).stdout, "-     far@1  not pulled\nok    tiny@1\n");
    karat(&["models", "verify", "far@1"]).code(2);
    karat(&["models", "pull", "far@1"]).code(2).complains(&["HF_HUB_OFFLINE"]);
    assert!(karat(&["models", "list"]).code(0).stdout.starts_with("far@1"));
}

#[test]
fn the_fixtures_have_an_entry() {
    let project = Project::new();
    let mut command = project.command(["models", "verify", "random-tiny@1"]);
    let output = command.current_dir(repository("tests/fixtures")).output().expect("start karat");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "ok    random-tiny@1\n");
}
