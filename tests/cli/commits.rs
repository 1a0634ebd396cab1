//! Commit before judging: a finished run stands before anything is compared, rendered or exported, and what fails then costs
//! itself alone. Reports are opened before anything runs.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::project::{Project, Run, random_tiny};

const SCORE: [&str; 5] = ["score", "suite.yaml", "--responses", "answers.jsonl", "--quiet"];

/// Six golden cases, all answered right, and these gates besides one that holds.
fn suite(gates: &str) -> Project {
    let project = Project::new();
    let case = |i: usize| json!({"id": format!("g{i}"), "input": "x", "target": "yes"});
    project.write_lines("golden.jsonl", &(0..6).map(case).collect::<Vec<_>>());
    project.write_lines("answers.jsonl", &answers());
    let model = Value::from(random_tiny().to_string_lossy());
    let yaml = format!(
        "version: 1\nname: small\nmodels: {{generator: {{model: {model}}}}}\ndatasets:\n\
         \x20 - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}}\n\
         scorers: [exact_match]\ngates:\n  - {{metric: golden.exact_match, max_drop: 0.2}}\n{gates}"
    );
    project.write("suite.yaml", yaml);
    project
}

fn answers() -> Vec<Value> {
    (0..6).map(|i| json!({"id": format!("g{i}"), "output": "yes"})).collect()
}

#[track_caller]
fn accept(project: &Project, name: &str) {
    project.karat(["baseline", "accept", "latest", "-m", "test", "--name", name]).code(0);
}

/// The folder of the run that was recorded last.
#[track_caller]
fn last(project: &Project) -> PathBuf {
    let order = project.read("runs/small/.order");
    project.path("runs/small").join(order.lines().last().and_then(|line| line.split(' ').next()).expect("a run"))
}

/// What `karat runs` says of the run that was recorded last.
#[track_caller]
fn listed(project: &Project, word: &str) {
    let runs = project.karat(["runs"]).code(0);
    assert!(runs.stdout.lines().last().is_some_and(|line| line.contains(word)), "{word}{runs}");
}

/// The arguments of the call that an error proposes.
#[track_caller]
fn proposed(run: &Run) -> Vec<String> {
    let hint = run.stderr.lines().find(|line| line.starts_with("hint: ") && line.contains("the run is recorded in"));
    let hint = hint.unwrap_or_else(|| panic!("no hint{run}"));
    let call = hint.split('`').find(|part| part.starts_with("karat gate ")).unwrap_or_else(|| panic!("no call{run}"));
    call.split(' ').skip(1).map(str::to_owned).collect()
}

/// What was left behind under the names of unfinished files.
fn leftovers(project: &Project) -> Vec<PathBuf> {
    let hidden = |path: &PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy();
        name.starts_with(".karat-") || name.starts_with(".tmp") || name.ends_with(".partial")
    };
    project.files().into_iter().filter(hidden).collect()
}

/// Makes the last line of a baseline's results no JSON, under a manifest that names the hash of it, of which nothing else knows.
fn corrupt(entry: &Path) {
    let results = entry.join("results.jsonl");
    let text = fs::read_to_string(&results).expect("a file system and a process that work");
    let changed = format!("{}]\n", &text[..text.len() - 2]);
    fs::write(&results, &changed).expect("a file system and a process that work");
    let sha256 =
        |text: &str| Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let manifest = entry.join("manifest.json");
    let old = fs::read_to_string(&manifest).expect("a file system and a process that work");
    assert!(old.contains(&sha256(&text)));
    fs::write(&manifest, old.replace(&sha256(&text), &sha256(&changed)))
        .expect("a file system and a process that work");
    fs::remove_file(entry.join("verdict.json")).expect("a file system and a process that work");
    // As a version wrote it that kept no hashes.
    let id = entry.file_name().and_then(|name| name.to_str()).expect("a name");
    let log = json!({"run_id": id, "replaced": null, "by": null, "at": "2026-11-24T14:11:44Z", "why": null, "git_commit": null, "forced": false});
    fs::write(entry.with_file_name("accepted.jsonl"), format!("{log}\n"))
        .expect("a file system and a process that work");
}

#[test]
fn a_corrupt_baseline_costs_the_verdict_and_not_the_run() {
    let project = suite("");
    project.karat(SCORE).code(0);
    accept(&project, "main");
    let entry = project.path("baselines/small/main").join(project.read("baselines/small/main/current").trim());
    let kept = ["results.jsonl", "manifest.json", "verdict.json", "../accepted.jsonl"]
        .map(|name| (entry.join(name), fs::read(entry.join(name)).expect("a file system and a process that work")));
    corrupt(&entry);
    let run = project.karat(SCORE.iter().chain(&["--report", "r.md"])).code(2);
    assert!(run.stderr.contains("error: failed to judge the run") && run.stderr.contains("results.jsonl"), "{run}");
    let folder = last(&project);
    assert_eq!(project.runs("small").len(), 2);
    for name in ["results.jsonl", "summary.json", "performance.json", "manifest.json"] {
        assert!(folder.join(name).is_file(), "{name}");
    }
    assert!(!folder.join("verdict.json").exists() && !folder.join("report.md").exists());
    assert!(!project.path("r.md").exists());
    assert_eq!(leftovers(&project), Vec::<PathBuf>::new());
    listed(&project, "not judged");
    // Another call judges it in another way, and is no verdict of the run's own.
    project.karat(["gate", "latest", "--no-baseline"]).code(0);
    listed(&project, "not judged");
    project.karat(proposed(&run)).code(2);
    for (path, bytes) in kept {
        fs::write(path, bytes).expect("a file system and a process that work");
    }
    let gated = project.karat(proposed(&run)).code(0);
    assert!(gated.stdout.contains("6 unchanged"), "{gated}");
    assert_eq!(
        project.read("r.md"),
        fs::read_to_string(folder.join("report.md")).expect("a file system and a process that work")
    );
    assert!(folder.join("verdict.json").is_file());
    listed(&project, "passed");
}

#[test]
fn a_report_that_cannot_be_written_is_told_before_anything_runs() {
    let project = suite("");
    let run = project.karat(["run", "suite.yaml", "--report", "r.txt", "--report", "nowhere/r.html"]).code(2);
    assert!(run.stderr.starts_with("error: failed to write `nowhere/r.html`"), "{run}");
    project.karat(SCORE.iter().chain(&["--report", "nowhere/r.html"])).code(2);
    assert!(!project.path("runs").exists() && !project.path("r.txt").exists());
    project.karat(SCORE).code(0);
    let before = project.files();
    for command in ["gate", "view"] {
        project.karat([command, "latest", "--out", "nowhere/r.html"]).code(2).complains(&["nowhere/r.html"]);
    }
    project.karat(["gate", "latest", "--report", "nowhere/r.html"]).code(2);
    project.karat(["compare", "latest", "latest", "--out", "nowhere/r.html"]).code(2);
    project.karat(["baseline", "regenerate", "suite.yaml", "--report", "nowhere/r.html"]).code(2);
    assert_eq!(project.files(), before);
}

/// A call that waits for its answers; its reports are open once `count` files stand in `folder`.
#[cfg(unix)]
fn waiting(project: &Project, reports: &[&str], (folder, count): (&str, usize)) -> Child {
    let mut command = project.command(["score", "suite.yaml", "--responses", "-"].iter().chain(reports));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("start karat");
    let began = Instant::now();
    while fs::read_dir(project.path(folder)).expect("a file system and a process that work").count() != count {
        assert!(began.elapsed() < Duration::from_secs(60), "the report was not opened");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

#[cfg(unix)]
#[track_caller]
fn answered(mut child: Child) -> Run {
    let lines: String = answers().iter().map(|line| format!("{line}\n")).collect();
    child
        .stdin
        .take()
        .expect("a file system and a process that work")
        .write_all(lines.as_bytes())
        .expect("a file system and a process that work");
    Run::new("karat score".into(), child.wait_with_output().expect("a file system and a process that work"))
}

#[cfg(unix)]
#[test]
fn what_a_killed_call_left_of_a_report_is_taken_up() {
    let project = suite("");
    fs::create_dir(project.path("out")).unwrap();
    let report = ["--report", "out/r.txt"];
    for _ in 0..2 {
        let mut child = waiting(&project, &report, ("out", 1));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(leftovers(&project), [project.path("out/.karat-r.txt")]);
    // Two at once.
    let one = waiting(&project, &report, ("out", 1));
    let two = waiting(&project, &report, ("out", 2));
    let [one, two] = [one, two].map(|child| answered(child).code(0));
    assert!(one.stdout.contains("run folder: ") && two.stdout.contains("run folder: "));
    assert!(project.read("out/r.txt").starts_with("small"));
    assert_eq!(leftovers(&project), Vec::<PathBuf>::new());
}

/// Answers come from standard input, and do so only after the reports' folder has gone.
#[cfg(unix)]
#[test]
fn a_report_that_fails_costs_itself() {
    let project = suite("");
    fs::create_dir(project.path("gone")).unwrap();
    let reports = ["--report", "r.json", "--report", "gone/r.html", "--report", "r.txt"];
    let child = waiting(&project, &reports, ("gone", 1));
    fs::remove_dir_all(project.path("gone")).unwrap();
    let run = answered(child).code(5);
    assert!(run.stderr.contains("failed to write `gone/r.html`") && run.stdout.contains("run folder: "), "{run}");
    assert!(project.read("r.json").starts_with('{') && project.read("r.txt").starts_with("small"));
    listed(&project, "passed");
    assert_eq!(leftovers(&project), Vec::<PathBuf>::new());
    let call = proposed(&run);
    assert!(call.ends_with(&["--report".into(), "gone/r.html".into()]), "{call:?}");
    fs::create_dir(project.path("gone")).unwrap();
    project.karat(call).code(0);
    assert!(project.read("gone/r.html").starts_with("<!doctype html>"));
}

/// A disk that is full for everything larger than this many blocks of 512 bytes.
#[cfg(unix)]
fn on_a_small_disk(project: &Project, blocks: u64, args: &[&str]) -> Run {
    let karat = project.command(args);
    let mut shell = std::process::Command::new("sh");
    shell.arg("-c").arg("trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"").arg("sh").arg(blocks.to_string());
    shell.arg(karat.get_program()).args(karat.get_args()).current_dir(project.path(""));
    for (name, value) in karat.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    Run::new("karat on a small disk".into(), shell.output().expect("start sh"))
}

#[cfg(unix)]
#[test]
fn a_full_disk_at_the_report_costs_the_report() {
    let project = suite("");
    let args = SCORE.iter().chain(&["--report", "r.html", "--report", "r.txt"]).copied().collect::<Vec<_>>();
    let run = on_a_small_disk(&project, 16, &args).code(5);
    assert!(run.stderr.contains("failed to write `r.html`"), "{run}");
    assert!(!project.path("r.html").exists() && project.read("r.txt").starts_with("small"));
    listed(&project, "passed");
    assert_eq!(leftovers(&project), Vec::<PathBuf>::new());
    project.karat(proposed(&run)).code(0);
    assert!(project.path("r.html").is_file());
}

#[cfg(unix)]
#[test]
fn a_full_disk_at_the_verdict_costs_the_verdict() {
    // Each rule takes more room in the verdict than in the plan.
    let gates: String =
        (0..40).map(|i| format!("  - {{metric: golden.exact_match, min: 0.{:02}}}\n", i + 10)).collect();
    let project = suite(&gates);
    let run = on_a_small_disk(&project, 20, &SCORE).code(5);
    assert!(run.stderr.contains("verdict.json") && run.stdout.contains("run folder: "), "{run}");
    assert!(!last(&project).join("verdict.json").exists());
    listed(&project, "not judged");
    assert_eq!(leftovers(&project), Vec::<PathBuf>::new());
    // Judging needs no room.
    let gated = on_a_small_disk(&project, 20, &["gate"]).code(0);
    assert!(gated.stderr.contains("note: the verdict is shown, and not kept"), "{gated}");
    project.karat(proposed(&run)).code(0);
    listed(&project, "passed");
}

#[test]
fn a_verdict_is_made_again_for_the_run_that_it_is_about() {
    let project = suite("");
    project.karat(SCORE).code(0);
    let folder = last(&project);
    let (verdict, report) = (folder.join("verdict.json"), folder.join("report.md"));
    let first = fs::read_to_string(&verdict).unwrap();
    let value: Value = serde_json::from_str(&first).unwrap();
    let manifest = fs::read(folder.join("manifest.json")).unwrap();
    let sha256: String = Sha256::digest(&manifest).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((&value["format"], &value["manifest_sha256"]), (&json!("karat-verdict/4"), &json!(sha256)));
    let listed_files: Value = serde_json::from_slice(&manifest).unwrap();
    let files: Vec<&String> = listed_files["files"].as_object().unwrap().keys().collect();
    assert_eq!(files, ["performance.json", "results.jsonl", "summary.json"]);
    let summary: Value = serde_json::from_slice(&fs::read(folder.join("summary.json")).unwrap()).unwrap();
    assert_eq!(summary.get("verdict"), None);

    // Lost.
    let told = fs::read(&report).unwrap();
    fs::remove_file(&verdict).unwrap();
    fs::remove_file(&report).unwrap();
    listed(&project, "not judged");
    project.karat(["gate"]).code(0);
    assert_eq!((fs::read_to_string(&verdict).unwrap(), fs::read(&report).unwrap()), (first.clone(), told.clone()));
    fs::remove_file(&report).unwrap();
    project.karat(["gate"]).code(0);
    assert_eq!(fs::read(&report).unwrap(), told);
    // Damaged, or written by hand: that is said, and it is made again once it is gone.
    let by_hand = first.replace("no baseline yet", "by hand");
    for damaged in [first.replace(&sha256, &"0".repeat(64)), first[..first.len() / 2].to_owned(), by_hand] {
        fs::write(&verdict, damaged).unwrap();
        listed(&project, "`verdict.json` was changed");
        let refused = project.karat(["gate"]).code(2);
        assert!(refused.stderr.contains("remove it, and `karat gate` makes it from the record"), "{refused}");
        fs::remove_file(&verdict).unwrap();
        project.karat(["gate"]).code(0);
        assert_eq!(fs::read_to_string(&verdict).unwrap(), first);
    }
    // What a newer version wrote is not touched.
    let newer = first.replace("karat-verdict/4", "karat-verdict/9");
    fs::write(&verdict, &newer).unwrap();
    project.karat(["gate"]).code(0);
    assert_eq!(fs::read_to_string(&verdict).unwrap(), newer);
    listed(&project, "the verdict has format 9");
    fs::write(&verdict, &first).unwrap();

    // The entry of a baseline never changes, nor does a copy elsewhere.
    accept(&project, "main");
    let entry = project.path("baselines/small/main").join(folder.file_name().unwrap());
    assert_eq!(fs::read_to_string(entry.join("verdict.json")).unwrap(), first);
    assert_eq!(fs::read(entry.join("report.md")).unwrap(), told);
    let shown = project.karat(["baseline", "show"]).code(0);
    assert!(shown.stdout.contains("nothing judged: 1 rule without a baseline"), "{shown}");
    fs::remove_file(entry.join("verdict.json")).unwrap();
    project.karat(["gate", "baseline:main"]).code(0);
    assert!(!entry.join("verdict.json").exists());
}

#[test]
fn a_verdict_is_kept_against_the_baseline_that_the_run_names() {
    let project = suite("");
    project.karat(SCORE).code(0);
    accept(&project, "main");
    let first = project.read("baselines/small/main/current");
    project.karat(SCORE).code(0);
    let folder = last(&project);
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    assert_eq!((&manifest["baseline"], &manifest["format"]), (&json!(first.trim()), &json!("karat-run/3")));
    // Its verdict is lost, and another run was accepted meanwhile.
    fs::remove_file(folder.join("verdict.json")).unwrap();
    project.karat(SCORE).code(0);
    accept(&project, "main");
    let run = folder.to_str().unwrap();
    project.karat(["gate", run]).code(0);
    assert!(!folder.join("verdict.json").exists());
    project.karat(["gate", run, "--baseline", first.trim()]).code(0);
    let verdict: Value = serde_json::from_slice(&fs::read(folder.join("verdict.json")).unwrap()).unwrap();
    assert_eq!(verdict["baseline"], first.trim());
}

#[test]
fn a_lost_verdict_makes_no_first_run() {
    let project = suite("");
    project.karat(SCORE).code(0);
    accept(&project, "main");
    project.karat(SCORE).code(0);
    let folder = last(&project);
    fs::remove_file(folder.join("verdict.json")).unwrap();
    fs::remove_dir_all(project.path("baselines")).unwrap();
    let gated = project.karat(["gate"]).code(3);
    let words = gated.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("when it was recorded, and nothing was accepted in"), "{gated}");
    assert!(!folder.join("verdict.json").exists());
}

/// What waits to be written does not make the suite's folder another than git has.
#[cfg(unix)]
#[test]
fn reports_beside_the_suite_leave_it_clean() {
    let project = suite("");
    let git = |args: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.args(["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]).args(args);
        let output = git.current_dir(project.path("")).env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
        assert!(output.status.success(), "{output:?}");
    };
    project.write(".gitignore", "/r.html\n");
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "suite"]);
    project.karat(SCORE.iter().chain(&["--report", "r.html"])).code(0);
    accept(&project, "main");
}
