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

/// A suite `demo` in `d` with an accepted run, and a run behind it that fails against that one and passes by itself.
fn worse(project: &Project) -> String {
    suite(project, "d", "demo");
    score(project, "", "d", "answers.jsonl").code(0);
    project.karat(["baseline", "accept", "latest", "-m", "test"]).code(0);
    let answer = |i: usize| json!({"id": format!("g{i}"), "output": if i < 2 { "yes" } else { "no" }});
    project.write_lines("worse.jsonl", &(0..4).map(answer).collect::<Vec<_>>());
    score(project, "", "d", "worse.jsonl").code(1);
    fs::create_dir_all(project.path("elsewhere/runs")).expect("make a folder");
    project.read("d/baselines/demo/main/current").trim().to_owned()
}

/// Reasons wrap.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn one_folder_in_the_call_costs_the_other_nothing() {
    let project = Project::new();
    worse(&project);
    let runs = project.path("d/runs");
    let (runs, baselines) = (runs.to_str().unwrap(), project.path("d/baselines"));
    for folder in ["", "d", "elsewhere"] {
        let gate = karat(&project, folder, &["gate", "--runs-dir", runs]).code(1);
        assert!(gate.stdout.contains("compared with"), "{gate}");
        let output =
            project.command(["gate"]).env("KARAT_RUNS_DIR", runs).current_dir(project.path(folder)).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
    project.karat(["gate", "--runs-dir", "d/runs"]).code(1);
    project.karat(["gate", "--baselines-dir", baselines.to_str().unwrap()]).code(1);
    project.karat(["view", "--runs-dir", "d/runs", "--out", "page.html"]).code(0);
    // A folder of runs that belongs to nothing: the baselines are those of the suite below.
    score(&project, "", "d", "worse.jsonl");
    project.karat(["score", "d", "--responses", "worse.jsonl", "--runs-dir", "runs"]).code(1);
    project.karat(["gate", "--runs-dir", "runs"]).code(1);
    let run = project.runs("demo").pop().unwrap();
    project.karat(["gate", run.to_str().unwrap()]).code(1);
    karat(&project, "d", &["gate", run.to_str().unwrap()]).code(1);
}

#[test]
fn a_run_that_was_compared_is_not_judged_without_its_baseline() {
    let project = Project::new();
    let id = worse(&project);
    fs::rename(project.path("d/baselines"), project.path("away")).unwrap();
    let gate = project.karat(["gate"]).code(3);
    assert!(words(&gate.stdout).contains(&format!("compared with `{id}`")), "{gate}");
    assert!(gate.stdout.contains("--baselines-dir"), "{gate}");
    let run = fs::canonicalize(project.path("d/runs/demo")).unwrap();
    karat(&project, "elsewhere", &["gate", "--runs-dir", run.parent().unwrap().to_str().unwrap()]).code(3);
    project.karat(["view", "--out", "page.html"]).code(0);
    assert!(project.read("page.html").contains(&id));
    project.karat(["gate", "--no-baseline"]).code(0);
    project.karat(["gate", "--baselines-dir", "away"]).code(1);
}

#[test]
fn a_folder_of_baselines_that_is_not_there_is_a_mistake() {
    let project = Project::new();
    worse(&project);
    let call = ["score", "d", "--responses", "worse.jsonl", "--quiet"];
    let hint = "hint: correct --baselines-dir (KARAT_BASELINES_DIR)";
    project.karat(call.iter().chain(&["--baselines-dir", "none"])).code(2).complains(&[hint]);
    project.karat(["gate", "--baselines-dir", "none"]).code(2).complains(&[hint]);
    let output = project.command(call).env("KARAT_BASELINES_DIR", "none").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    project.karat(call.iter().chain(&["--baselines-dir", "none", "--no-baseline"])).code(0);
    project.karat(["baseline", "accept", "latest", "-m", "x", "--baselines-dir", "none"]).code(0);
    project.karat(call.iter().chain(&["--baselines-dir", "none"])).code(0);
}

#[test]
fn a_suite_without_a_baseline_for_the_device_says_so() {
    let project = Project::new();
    worse(&project);
    let yaml = project.read("d/suite.yaml");
    project.write("d/suite.yaml", format!("{yaml}baseline: {{cuda: main}}\n"));
    let run = score(&project, "", "d", "answers.jsonl").code(0);
    assert!(words(&run.stdout).contains("not judged: the suite names no baseline for cpu"), "{run}");
    assert!(!run.stdout.contains("no baseline yet"), "{run}");
}

#[test]
fn the_latest_run_is_never_silently_an_older_one() {
    let project = Project::new();
    suite(&project, ".", "demo");
    score(&project, "", ".", "answers.jsonl").code(0);
    score(&project, "", ".", "answers.jsonl").code(0);
    let order = project.read("runs/demo/.order");
    let last = order.lines().last().and_then(|line| line.split(' ').next()).unwrap();
    let manifest = project.path("runs/demo").join(last).join("manifest.json");
    let bytes = fs::read(&manifest).unwrap();
    fs::remove_file(&manifest).unwrap();
    for args in [&["gate"][..], &["gate", "demo/latest"], &["baseline", "accept", "latest", "-m", "x"]] {
        let lost = project.karat(args).code(2).complains(&["is not there any more"]);
        assert!(lost.stderr.contains(last) && lost.stderr.contains("`karat runs` lists them"), "{lost}");
    }
    project.karat(["gate", order.split(' ').next().unwrap()]).code(0);
    fs::write(&manifest, bytes).unwrap();
    project.karat(["gate"]).code(0);
}

#[test]
fn a_suite_is_named_by_its_file_too() {
    let project = Project::new();
    worse(&project);
    let path = project.path("d");
    let path = path.to_str().unwrap();
    let file = format!("{path}/suite.yaml");
    for suite in [path, &file] {
        karat(&project, "elsewhere", &["gate", "latest", "--suite", suite]).code(1);
        karat(&project, "elsewhere", &["compare", "main", "latest", "--suite", suite]).code(1);
        let listed = karat(&project, "elsewhere", &["runs", "--suite", suite]).code(0);
        assert_eq!(listed.stdout.matches("demo").count(), 2, "{listed}");
        karat(&project, "elsewhere", &["view", "--out", "page.html", "--suite", suite]).code(0);
        karat(&project, "elsewhere", &["baseline", "show", "--suite", suite]).code(0);
    }
    // A folder is one where no suite has its name.
    karat(&project, "", &["gate", "--suite", "d"]).code(1);
    karat(&project, "", &["gate", "--suite", "demo"]).code(1);
    karat(&project, "", &["gate", "--suite", "nowhere/suite.yaml"]).code(2).complains(&["nowhere/suite.yaml"]);
    let none = karat(&project, "", &["runs", "--suite", "dmeo"]).code(0);
    assert!(none.stderr.contains("no runs of suite `dmeo`") && none.stderr.contains("did you mean `demo`?"), "{none}");
    // Two folders hold a suite of the same name.
    suite(&project, "two", "demo");
    score(&project, "", "two", "answers.jsonl").code(0);
    let both = project.karat(["gate", "demo/latest"]).code(2).complains(&["--suite PATH"]);
    assert!(both.stderr.contains("`d/runs/demo` and `two/runs/demo`"), "{both}");
    project.karat(["gate", "--suite", "two"]).code(0);
    project.karat(["baseline", "accept", "latest", "-m", "x", "--suite", "two/suite.yaml"]).code(0);
    assert!(project.path("two/baselines/demo/main/current").exists());
    let both = project.karat(["baseline", "show"]).code(2).complains(&["--suite PATH"]);
    assert!(both.stderr.contains("`d/baselines/demo` and `two/baselines/demo`"), "{both}");
}

#[test]
fn what_the_environment_refuses_is_its_fault_in_every_command() {
    let project = Project::new();
    suite(&project, ".", "demo");
    project.write("runs", "no folder");
    score(&project, "", ".", "answers.jsonl").code(5).complains(&["--runs-dir"]);
    project.karat(["gate"]).code(5).complains(&["--runs-dir"]);
    project.karat(["runs"]).code(5).complains(&["--runs-dir"]);
    fs::remove_file(project.path("runs")).unwrap();
    // Root may write every file: a folder is in the way.
    fs::create_dir_all(project.path("runs/demo/.order")).unwrap();
    score(&project, "", ".", "answers.jsonl").code(5).complains(&["--runs-dir"]);
    assert_eq!(fs::read_dir(project.path("runs/demo")).unwrap().count(), 1, "nothing is left");
    fs::remove_dir(project.path("runs/demo/.order")).unwrap();
    score(&project, "", ".", "answers.jsonl").code(0);
    project.write("baselines", "no folder");
    project.karat(["baseline", "accept", "latest", "-m", "x"]).code(5).complains(&["--baselines-dir"]);
}

/// Linux only: elsewhere a current folder cannot be removed.
#[cfg(target_os = "linux")]
#[test]
fn a_current_folder_that_is_gone() {
    let project = Project::new();
    worse(&project);
    fs::create_dir(project.path("gone")).unwrap();
    let karat = |args: &str| {
        let script = format!(
            "cd gone && rmdir ../gone; {} {args}; code=$?; mkdir ../gone; exit $code",
            env!("CARGO_BIN_EXE_karat")
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script]).current_dir(project.path("")).env("KARAT_CACHE", "");
        let run = Run::new(format!("{command:?}"), command.output().unwrap());
        fs::create_dir_all(project.path("gone")).unwrap();
        run
    };
    let root = project.path("");
    let root = root.display();
    karat(&format!("score {root}d --responses {root}worse.jsonl --quiet")).code(1);
    karat(&format!("gate --suite {root}d")).code(1);
    karat("gate").code(5).complains(&["change to one that is there"]);
}

#[test]
fn the_root_as_current_folder_keeps_its_slash() {
    let project = Project::new();
    suite(&project, "d", "demo");
    let (suite, answers) = (project.path("d"), project.path("answers.jsonl"));
    let args = ["score", suite.to_str().unwrap(), "--responses", answers.to_str().unwrap(), "--quiet"];
    let output = project.command(args).current_dir("/").output().unwrap();
    let run = Run::new("score from /".into(), output).code(0);
    let folder = run.stdout.lines().find_map(|line| line.strip_prefix("run folder: ")).unwrap();
    assert!(Path::new(folder).is_absolute(), "{folder}");
}
