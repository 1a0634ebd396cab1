//! `--resume`: what it goes on with, what it refuses and by which name, and what it says where there is nothing; `runs prune`.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::main_job::write_suite;
use crate::project::{Project, Run, engine_args, fixture, random_tiny};

/// A suite whose run takes long enough to be interrupted.
fn suite() -> Project {
    let project = Project::new();
    write_suite(&project, 600);
    project
}

fn run_with(project: &Project, flags: &[&str]) -> Run {
    project.karat(["run", "suite.yaml"].iter().chain(flags))
}

fn hidden(project: &Project, folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(project.path(folder)).into_iter().flatten();
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

fn journals(project: &Project) -> Vec<PathBuf> {
    hidden(project, "runs/main-job", ".journal")
}

/// Starts a command and kills it once its journal, the only one that grows, holds finished work.
fn killed(project: &Project, args: &[&str], journal: impl Fn() -> Vec<PathBuf>) {
    let before = journal();
    let mut command = project.command(args);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start karat");
    let began = Instant::now();
    let size = |path: &PathBuf| std::fs::metadata(path).map_or(0, |data| data.len());
    while !journal().iter().any(|path| !before.contains(path) && size(path) > 20_000) {
        assert!(child.try_wait().expect("look at karat").is_none(), "it ended before it could be killed");
        assert!(began.elapsed() < Duration::from_secs(60), "no journal grows");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("kill karat");
    child.wait().expect("wait for karat");
}

fn kill_run(project: &Project, flags: &[&str]) {
    killed(project, &[&["run", "suite.yaml"], flags].concat(), || journals(project));
}

fn results(project: &Project) -> Vec<(String, Value)> {
    let of = |folder: &PathBuf| {
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("read a file of a run");
        (read("results.jsonl"), serde_json::from_str(&read("performance.json")).expect("JSON"))
    };
    project.runs("main-job").iter().map(of).collect()
}

#[test]
fn the_unfinished_run_of_the_plan_is_finished_under_its_id() {
    let project = suite();
    kill_run(&project, &["--label", "night"]);
    let [journal] = &journals(&project)[..] else { panic!("one journal") };
    let id = journal.file_name().expect("a name").to_string_lossy()[1..].replace(".journal", "");
    // Without the flag it is named, and another one begins.
    let other = run_with(&project, &["--limit", "5"]).code(0).complains(&["unfinished", &id]);
    assert!(other.stderr.contains("it is another plan's"), "{other}");
    let listed = project.karat(["runs"]).code(0).complains(&["unfinished"]);
    assert!(listed.stderr.contains(&id) && !listed.stdout.contains(&id), "{listed}");
    let resumed = run_with(&project, &["--resume"]).code(0).complains(&["resume: run"]);
    assert!(resumed.stdout.contains(&format!("runs/main-job/{id}\n")), "{resumed}");
    assert!(journals(&project).is_empty() && hidden(&project, "runs/main-job", ".partial").is_empty());
    let listed = project.karat(["runs"]).code(0).stdout;
    assert!(listed.contains("night"), "the label of the first call{listed}");
    let again = run_with(&project, &[]).code(0);
    drop(again);
    let results = results(&project);
    let resumed = |results: &Value| results["counters"]["generator.resumed"].as_u64().expect("a counter");
    let whole: Vec<&(String, Value)> = results.iter().filter(|(lines, _)| lines.lines().count() > 100).collect();
    assert_eq!(whole.len(), 2);
    assert!(whole[0].0 == whole[1].0, "results differ");
    assert!(whole.iter().any(|(_, performance)| resumed(performance) > 0));
}

#[test]
fn nothing_to_resume_ends_as_the_finished_run_did() {
    let project = suite();
    let nothing = |run: Run| assert!(run.stderr.contains("nothing to resume"), "{run}");
    nothing(run_with(&project, &["--resume"]).code(4));
    assert!(project.runs("main-job").is_empty());
    run_with(&project, &["--limit", "3"]).code(0);
    nothing(run_with(&project, &["--limit", "3", "--resume"]).code(0));
    // Another plan was never begun.
    nothing(run_with(&project, &["--limit", "4", "--resume"]).code(4));
    let failing = project.read("suite.yaml").replace("min: -1", "min: 2");
    project.write("failing/suite.yaml", failing.replace("name: main-job", "name: failing"));
    for name in ["golden.jsonl", "danger.jsonl", "prompts/answer.md"] {
        project.write(&format!("failing/{name}"), project.read(name));
    }
    project.karat(["run", "failing", "--limit", "3"]).code(1);
    nothing(project.karat(["run", "failing", "--limit", "3", "--resume"]).code(1));
    // One that could not be judged is judged now.
    let folder = std::fs::read_dir(project.path("failing/runs/failing")).expect("runs");
    let folder = folder.map(|entry| entry.expect("an entry").path()).find(|path| path.join("manifest.json").exists());
    let verdict = folder.expect("a run").join("verdict.json");
    std::fs::remove_file(&verdict).expect("remove the verdict");
    nothing(project.karat(["run", "failing", "--limit", "3", "--resume"]).code(1));
    assert!(verdict.exists());
    // The data are others: what finished says nothing of them.
    let golden = project.read("golden.jsonl").replace("Is 1 gold", "Is 1 copper");
    project.write("golden.jsonl", golden);
    nothing(run_with(&project, &["--limit", "3", "--resume"]).code(4));
    assert_eq!(project.runs("main-job").len(), 1);
}

#[test]
fn what_changed_is_refused_by_name() {
    let project = suite();
    kill_run(&project, &[]);
    let refused = |flags: &[&str], names: &str| {
        let run = run_with(&project, &[flags, &["--resume"]].concat()).code(2).complains(&[names]);
        assert!(run.stderr.contains("start anew without --resume"), "{run}");
        assert_eq!((journals(&project).len(), project.runs("main-job").len()), (1, 0), "{run}");
    };
    refused(&["--seed", "8"], "`generation.seed` was `7` and is `8`");
    refused(&["--set", "generation.min_new_tokens=3"], "`generation.min_new_tokens` was not set and is `3`");
    refused(&["--no-outputs"], "--no-outputs");
    refused(&["--dtype", "bf16"], "fingerprint");
    let kept = project.read("golden.jsonl");
    project.write("golden.jsonl", kept.replace("Is 500 gold", "Is 500 copper"));
    refused(&[], "dataset `golden` changed");
    project.write("golden.jsonl", kept);
    let kept = project.read("prompts/answer.md");
    project.write("prompts/answer.md", kept.replace("Q:", "Question:"));
    refused(&[], "prompt `prompts/answer.md` changed");
    project.write("prompts/answer.md", kept);
    run_with(&project, &["--resume"]).code(0);
}

#[test]
fn another_model_at_the_same_place_is_refused() {
    let project = suite();
    for file in std::fs::read_dir(random_tiny()).expect("list the model") {
        let file = file.expect("a file").path();
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        project.write(&format!("model/{name}"), std::fs::read(&file).expect("read a file"));
    }
    kill_run(&project, &["--model", "model"]);
    let weights = project.path("model/model.safetensors");
    let kept = std::fs::read(&weights).expect("read the weights");
    let mut other = kept.clone();
    *other.last_mut().expect("weights") ^= 1;
    std::fs::write(&weights, other).expect("write the weights");
    run_with(&project, &["--model", "model", "--resume"]).code(2).complains(&["model.safetensors"]);
    std::fs::write(&weights, kept).expect("write the weights");
    run_with(&project, &["--model", "model", "--resume"]).code(0);
}

#[test]
fn of_several_unfinished_runs_one_is_named_and_prune_removes_them() {
    let project = suite();
    kill_run(&project, &[]);
    // Ids name the second.
    std::thread::sleep(Duration::from_millis(1100));
    kill_run(&project, &[]);
    let several = run_with(&project, &["--resume"]).code(2).complains(&["2 runs of this plan are unfinished"]);
    let ids: Vec<String> = journals(&project)
        .iter()
        .map(|path| path.file_name().expect("a name").to_string_lossy()[1..].replace(".journal", ""))
        .collect();
    assert!(ids.iter().all(|id| several.stderr.contains(id)), "{several}");
    run_with(&project, &["--resume=nothing"]).code(2).complains(&["there is no unfinished run `nothing`"]);
    run_with(&project, &[&format!("--resume={}", ids[0])]).code(0);
    assert_eq!(journals(&project).len(), 1);
    project.karat(["runs", "prune", "--older-than", "1h"]).code(0);
    project.karat(["runs", "prune", "--dry-run"]).code(0);
    project.karat(["runs", "prune", "nothing"]).code(2);
    assert_eq!(journals(&project).len(), 1);
    let pruned = project.karat(["runs", "prune"]).code(0).stdout;
    assert!(pruned.contains(&ids[1]) && pruned.contains("removed"), "{pruned}");
    assert!(journals(&project).is_empty());
    assert_eq!(project.runs("main-job").len(), 1);
}

/// Answers of such runs stand nowhere, while they are unfinished too.
#[test]
fn a_run_without_outputs_journals_none() {
    let project = suite();
    kill_run(&project, &["--no-outputs"]);
    let journal = std::fs::read(&journals(&project)[0]).expect("read the journal");
    let text = String::from_utf8_lossy(&journal);
    assert!(text.contains(r#""output":null"#) && !text.contains(r#""text":"#) && !text.contains(r#""output":""#));
    run_with(&project, &["--no-outputs", "--resume"]).code(0);
    run_with(&project, &["--no-outputs"]).code(0);
    let results = results(&project);
    assert!(results[0].0 == results[1].0, "results differ");
    assert!(results.iter().any(|(_, p)| p["counters"]["generator.resumed"].as_u64() > Some(0)));
}

#[test]
fn engine_commands_refuse_what_changed_and_say_when_there_is_nothing() {
    let project = Project::new();
    let model = random_tiny();
    let lines: Vec<Value> =
        (0..400).map(|i| json!({"id": i, "prompt": format!("Line {i}"), "max_new_tokens": 200})).collect();
    project.write_lines("in.jsonl", &lines);
    let call = |flags: &[&str]| project.karat(engine_args("generate", &model, flags));
    call(&["--resume"]).code(4).complains(&["nothing to resume"]);
    let args = engine_args("generate", &model, &["--ignore-eos"]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    killed(&project, &args, || hidden(&project, "", ".journal"));
    assert!(!project.path("out.jsonl").exists());
    call(&["--resume"]).code(2).complains(&["`generation.ignore_eos` was `true` and is `false`"]);
    let penalty = ["--ignore-eos", "--repetition-penalty", "1.1", "--resume"];
    call(&penalty)
        .code(2)
        .complains(&["`generation.processors.repetition_penalty` was not set", "`generation.processors` was not set"]);
    call(&["--ignore-eos", "--dtype", "bf16", "--resume"]).code(2).complains(&["fingerprint"]);
    project.write_lines("in.jsonl", &lines[1..]);
    call(&["--ignore-eos", "--resume"]).code(2).complains(&["the input changed"]);
    project.write_lines("in.jsonl", &lines);
    call(&["--ignore-eos", "--resume"]).code(0).complains(&["resume:"]);
    assert_eq!(project.read("out.jsonl").lines().count(), 400);
    assert!(hidden(&project, "", ".journal").is_empty());
    call(&["--ignore-eos", "--resume"]).code(0).complains(&["nothing to resume"]);
    let whole = project.read("out.jsonl");
    call(&["--ignore-eos"]).code(0);
    assert!(project.read("out.jsonl") == whole, "answers differ");
    // A finished file of other lines says nothing.
    project.write_lines("in.jsonl", &lines[1..]);
    call(&["--ignore-eos", "--resume"]).code(2).complains(&["do not belong to this input"]);
    project.karat(["generate", &model.to_string_lossy(), "--in", "in.jsonl", "--resume"]).code(2).complains(&["--out"]);
}

/// A producer that dies must not pass for one that came to its end.
#[test]
fn an_input_that_ends_before_its_answers_is_refused() {
    let project = Project::new();
    let model = random_tiny();
    let lines: Vec<Value> =
        (0..400).map(|i| json!({"id": i, "prompt": format!("Line {i}"), "max_new_tokens": 200})).collect();
    project.write_lines("in.jsonl", &lines);
    project.write("out.jsonl", "what was there before\n");
    let flags = ["generate", &model.to_string_lossy(), "--out", "out.jsonl", "--ignore-eos"].map(str::to_owned);
    let args: Vec<&str> = flags.iter().map(String::as_str).collect();
    let from = |flags: &[&str], input: &str| {
        let mut command = project.command([&args, flags].concat());
        command.stdin(std::fs::File::open(project.path(input)).expect("open the input"));
        command
    };
    let mut command = from(&[], "in.jsonl");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start karat");
    let journal = project.path(".out.jsonl.journal");
    let began = Instant::now();
    while std::fs::metadata(&journal).map_or(0, |data| data.len()) < 20_000 {
        assert!(began.elapsed() < Duration::from_secs(60), "no journal grows");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().expect("kill karat");
    child.wait().expect("wait for karat");
    let resumed = |input: &str, code: i32| {
        let output = from(&["--resume"], input).output().expect("start karat");
        Run::new(input.to_owned(), output).code(code)
    };
    project.write("none.jsonl", "");
    resumed("none.jsonl", 2).complains(&["ends at line 0"]);
    assert!(journal.exists() && project.read("out.jsonl") == "what was there before\n");
    // The same lines as a file.
    let flags = [&args[..], &["--in", "in.jsonl", "--resume"]].concat();
    project.karat(flags).code(0);
    assert_eq!(project.read("out.jsonl").lines().count(), 400);
    assert!(!journal.exists());
    // Nothing at all replaces nothing.
    project.karat([&args[..], &["--in", "none.jsonl"]].concat()).code(4);
    assert_eq!(project.read("out.jsonl").lines().count(), 400);
    let other = fixture("bert-mean");
    let embed = ["embed", &other.to_string_lossy(), "--in", "in.jsonl", "--out", "out.jsonl", "--resume"];
    project.write_lines("in.jsonl", &(0..400).map(|i| json!({"id": i, "text": "x"})).collect::<Vec<_>>());
    project.karat(embed).code(2).complains(&["was not written by `karat embed`"]);
}

/// A folder that bears the run's id is no run, and costs no journal.
#[test]
fn what_stands_in_the_place_of_a_run_costs_no_journal() {
    let project = suite();
    kill_run(&project, &[]);
    let [journal] = &journals(&project)[..] else { panic!("one journal") };
    let id = journal.file_name().expect("a name").to_string_lossy()[1..].replace(".journal", "");
    project.write(&format!("runs/main-job/{id}/stray"), "");
    run_with(&project, &["--resume"]).code(2).complains(&["something is in its place"]);
    assert!(journal.exists());
    std::fs::remove_file(project.path(format!("runs/main-job/{id}/stray"))).expect("remove the file");
    run_with(&project, &["--resume"]).code(0);
    // Without answers it would be another run.
    run_with(&project, &["--limit", "3", "--no-outputs"]).code(0);
    run_with(&project, &["--limit", "3", "--resume"]).code(4);
    run_with(&project, &["--limit", "3", "--no-outputs", "--resume"]).code(0);
    // What was judged without a baseline is not enough for who requires one.
    run_with(&project, &["--limit", "3", "--no-outputs", "--resume", "--require-baseline"]).code(3);
}
