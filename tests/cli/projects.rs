//! Where runs and baselines live: the suite's project, from wherever karat is called; and what the environment can refuse.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::project::{Project, Run, repository};

/// A suite in a folder of the project, and its right answers.
fn suite(project: &Project, folder: &str, name: &str) {
    let case = |i: usize| json!({"id": format!("g{i}"), "input": "x", "target": "yes"});
    project.write_lines(&format!("{folder}/golden.jsonl"), &(0..4).map(case).collect::<Vec<_>>());
    project.write(
        &format!("{folder}/suite.yaml"),
        format!(
            "version: 1\nname: {name}\ndatasets:\n  - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}}\n\
             scorers: [exact_match]\ngates:\n  - {{metric: golden.exact_match, max_drop: 0.2}}\n"
        ),
    );
    let answer = |i: usize| json!({"id": format!("g{i}"), "output": "yes"});
    project.write_lines("answers.jsonl", &(0..4).map(answer).collect::<Vec<_>>());
}

/// Karat in a folder of the project.
#[track_caller]
fn karat(project: &Project, folder: &str, args: &[&str]) -> Run {
    let mut command = project.command(args);
    fs::create_dir_all(project.path(folder)).expect("make a folder");
    command.current_dir(project.path(folder));
    let output = command.output().expect("start karat");
    Run::new(format!("{command:?}"), output)
}

#[track_caller]
fn score(project: &Project, folder: &str, suite: &str, answers: &str) -> Run {
    karat(project, folder, &["score", suite, "--responses", answers, "--quiet"])
}

fn is_empty(folder: &Path) -> bool {
    !folder.exists()
}

#[test]
fn a_suite_has_one_history_from_wherever_it_is_run() {
    let project = Project::new();
    suite(&project, "repo/sets/desk", "desk");
    fs::create_dir_all(project.path("repo/.git")).unwrap();
    for (folder, path, answers) in [
        ("repo", "sets/desk", "../answers.jsonl"),
        ("repo/sets/desk", "suite.yaml", "../../../answers.jsonl"),
        ("elsewhere", "../repo/sets/desk", "../answers.jsonl"),
        ("", "repo/sets/desk/suite.yaml", "answers.jsonl"),
    ] {
        score(&project, folder, path, answers).code(0);
    }
    let runs = fs::read_dir(project.path("repo/runs/desk"))
        .unwrap()
        .filter(|entry| !entry.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert_eq!(runs.count(), 4);
    assert!(["runs", "elsewhere/runs", "repo/sets/desk/runs"].iter().all(|folder| is_empty(&project.path(folder))));
    // A baseline is found from elsewhere, too.
    karat(&project, "repo/sets", &["baseline", "accept", "latest", "-m", "test"]).code(0);
    assert!(project.path("repo/baselines/desk/main/current").exists());
    let run = score(&project, "elsewhere", "../repo/sets/desk", "../answers.jsonl").code(0);
    assert!(run.stdout.contains("compared with") && run.stdout.contains("gates passed against"), "{run}");
    let folder = run.stdout.lines().find_map(|line| line.strip_prefix("run folder: ")).expect("the folder is named");
    assert!(Path::new(folder).is_absolute() && Path::new(folder).is_dir(), "{folder}");
}

#[test]
fn a_folder_of_baselines_marks_a_project_before_git_does() {
    let project = Project::new();
    suite(&project, "a/b/desk", "desk");
    fs::create_dir_all(project.path("a/b/.git")).unwrap();
    fs::create_dir_all(project.path("a/baselines")).unwrap();
    fs::create_dir_all(project.path("a/b/desk/runs")).unwrap();
    score(&project, "", "a/b/desk", "answers.jsonl").code(0);
    assert!(project.path("a/runs/desk").is_dir() && is_empty(&project.path("a/b/runs")));
}

#[test]
fn suites_directly_below_are_found_where_the_folder_has_no_project() {
    let project = Project::new();
    suite(&project, "one", "one");
    suite(&project, "two", "two");
    score(&project, "", "one", "answers.jsonl").code(0);
    assert!(project.path("one/runs/one").is_dir());
    for args in [&["gate"][..], &["runs"], &["gate", "one/latest"], &["baseline", "accept", "latest", "-m", "x"]] {
        karat(&project, "", args).code(0);
    }
    assert!(project.path("one/baselines/one/main/current").exists());
    score(&project, "", "two", "answers.jsonl").code(0);
    karat(&project, "", &["gate"]).code(2).complains(&["`one/latest`, `two/latest`"]);
    karat(&project, "", &["gate", "two/latest"]).code(0);
    karat(&project, "", &["gate", "latest", "--suite", "one"]).code(0);
    let listed = karat(&project, "", &["runs"]).code(0);
    assert!(listed.stdout.contains("one") && listed.stdout.contains("two"), "{listed}");
    let listed = karat(&project, "", &["baseline", "list"]).code(0);
    assert!(listed.stdout.starts_with("one  main  "), "{listed}");
    karat(&project, "two", &["gate"]).code(0);
}

#[test]
fn flags_and_environment_say_otherwise() {
    let project = Project::new();
    suite(&project, "desk", "desk");
    let args = ["score", "desk", "--responses", "answers.jsonl"];
    project.karat(args.iter().chain(&["--runs-dir", "other"])).code(0);
    assert!(project.path("other/desk").is_dir() && is_empty(&project.path("desk/runs")));
    let output = project.command(args).env("KARAT_RUNS_DIR", "third").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(project.path("third/desk").is_dir());
    project.karat(["baseline", "accept", "latest", "-m", "x", "--runs-dir", "third", "--baselines-dir", "b"]).code(0);
    assert!(project.path("b/desk/main/current").exists());
    let run = project.karat(args.iter().chain(&["--baselines-dir", "b", "--require-baseline"])).code(0);
    assert!(run.stdout.contains("compared with"), "{run}");
}

#[test]
fn a_project_that_cannot_be_written_is_the_environments_fault() {
    let project = Project::new();
    suite(&project, "desk", "desk");
    // Root may write into every folder: a file is in the way.
    project.write("desk/runs", "no folder");
    let run = score(&project, "", "desk", "answers.jsonl").code(5);
    run.complains(&["hint: name a folder that can be written: --runs-dir FOLDER"]).complains(&["desk/runs"]);
    project.karat(["score", "desk", "--responses", "answers.jsonl", "--runs-dir", "ok"]).code(0);
    // A wrong path in the call is the caller's.
    project.karat(["score", "desk", "--responses", "none.jsonl"]).code(2);
}

/// Another user than root meets a folder that is closed.
#[cfg(unix)]
#[test]
fn a_closed_folder_is_the_environments_fault() {
    use std::os::unix::fs::PermissionsExt;
    let project = Project::new();
    suite(&project, "desk", "desk");
    let folder = project.path("desk");
    let set = |mode| fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
    set(0o555);
    let closed = fs::File::create(folder.join("probe")).is_err();
    let run = score(&project, "", "desk", "answers.jsonl");
    set(0o755);
    // Root passes every door: the row is held by the test above then.
    run.code(if closed { 5 } else { 0 });
}

/// The repository's own suite from another folder, in the environment of cron: as in the repository itself.
#[test]
fn the_default_suite_from_elsewhere_and_from_cron() {
    let project = Project::new();
    let suite = repository("datasets/support-desk");
    let run = |environment: &dyn Fn(&mut Command), folder: &Path| {
        let mut command = project.command(["run", suite.to_str().unwrap(), "--quiet", "--runs-dir"]);
        command.arg(project.path("runs")).current_dir(folder);
        environment(&mut command);
        let output = command.output().expect("start karat");
        Run::new(format!("{command:?}"), output)
    };
    let cron = |command: &mut Command| {
        command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", "/nonexistent").env("SHELL", "/bin/sh");
    };
    for (environment, folder) in [
        (&(|_: &mut Command| ()) as &dyn Fn(&mut Command), project.path("")),
        (&cron, PathBuf::from("/")),
        (&cron, repository("src")),
    ] {
        let run = run(environment, &folder).code(1);
        assert!(run.stdout.contains("compared with") && run.stdout.contains("FAIL  danger: every case"), "{run}");
    }
    // A name of the registry on the command line, from a folder without one.
    let mut command =
        project.command(["run", suite.to_str().unwrap(), "--quiet", "--model", "karat-mini@1", "--runs-dir", "runs"]);
    let output = command.output().unwrap();
    let run = Run::new(format!("{command:?}"), output).code(0);
    assert!(run.stdout.contains("gates passed against"), "{run}");
}
