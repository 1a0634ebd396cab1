//! Records that were changed after they were made: every file of a run folder is held against a hash that another one keeps, by
//! all that judges or accepts.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::project::{Project, Run, random_tiny, repository};

/// A run with a generator that was accepted, and another one that was held against it.
fn project() -> (Project, PathBuf, PathBuf) {
    let project = Project::new();
    let model = Value::from(random_tiny().to_string_lossy());
    let cases: Vec<Value> = (0..4).map(|at| json!({"id": at.to_string(), "input": "Hello?", "target": "x"})).collect();
    project.write_lines("golden.jsonl", &cases);
    project.write_lines("danger.jsonl", &cases);
    project.write(
        "suite.yaml",
        format!(
            "version: 1\nname: s\nmodels: {{generator: {{model: {model}}}}}\ndatasets:\n\
             \x20 - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}}\n\
             \x20 - {{name: danger, kind: danger, file: danger.jsonl, scorers: [exact_match]}}\n\
             generation: {{max_new_tokens: 4}}\nscorers: [exact_match]\n\
             gates: [{{metric: golden.exact_match, max: 0.9, max_drop: 0.5}}]\n"
        ),
    );
    project.karat(["run", "suite.yaml", "--label", "first"]).code(0);
    project.karat(["baseline", "accept", "latest", "-m", "test"]).code(0);
    project.karat(["run", "suite.yaml", "--label", "second"]).code(0);
    let entry = project.path("baselines/s/main").join(project.read("baselines/s/main/current").trim());
    let mut runs = project.runs("s");
    runs.retain(|run| run.file_name() != entry.file_name());
    let run = runs.pop().expect("a second run");
    (project, entry, run)
}

/// An edit of a file: its name, what it is, and its bytes afterwards.
struct Edit {
    file: String,
    what: String,
    bytes: Vec<u8>,
}

/// Edits of every file of a folder, and of every key of its manifest.
fn edits(folder: &Path) -> Vec<Edit> {
    let mut edits = Vec::new();
    for entry in fs::read_dir(folder).expect("list a run") {
        let path = entry.expect("an entry").path();
        let file = path.file_name().expect("a name").to_string_lossy().into_owned();
        let bytes = fs::read(&path).expect("read a file");
        let mut digit = bytes.clone();
        let at = digit.iter().rposition(u8::is_ascii_digit).expect("a digit");
        digit[at] = if digit[at] == b'0' { b'1' } else { b'0' };
        for (what, bytes) in
            [("a digit", digit), ("a blank more", [bytes.as_slice(), b" "].concat()), ("nothing left", Vec::new())]
        {
            edits.push(Edit { file: file.clone(), what: what.into(), bytes });
        }
    }
    let manifest = fs::read_to_string(folder.join("manifest.json")).expect("read the manifest");
    let manifest: Value = serde_json::from_str(&manifest).expect("a manifest");
    for key in manifest.as_object().expect("an object").keys() {
        let mut changed = manifest.clone();
        changed[key] = match &manifest[key] {
            Value::String(text) => format!("{text}1").into(),
            Value::Object(map) => {
                let mut map = map.clone();
                map.remove(&map.keys().next().expect("a key").clone());
                map.into()
            }
            Value::Null => "x".into(),
            other => panic!("{key}: {other}"),
        };
        let bytes = serde_json::to_vec_pretty(&changed).expect("JSON");
        edits.push(Edit { file: "manifest.json".into(), what: format!("another {key}"), bytes });
        let mut without = manifest.clone();
        without.as_object_mut().expect("an object").remove(key);
        let bytes = serde_json::to_vec_pretty(&without).expect("JSON");
        edits.push(Edit { file: "manifest.json".into(), what: format!("without {key}"), bytes });
    }
    edits
}

/// Makes an edit, does something, and takes the edit back.
fn with(folder: &Path, edit: &Edit, check: impl Fn(&str)) {
    let path = folder.join(&edit.file);
    let before = fs::read(&path).expect("read a file");
    assert_ne!(before, edit.bytes, "{}: {}", edit.file, edit.what);
    fs::write(&path, &edit.bytes).expect("write a file");
    check(&format!("{} with {}", edit.file, edit.what));
    fs::write(&path, before).expect("write a file");
}

#[track_caller]
fn names(run: &Run, file: &str, what: &str) {
    let told = format!("{}{}", run.stdout, run.stderr);
    // Lines wrap.
    let told: String = told.split_whitespace().collect();
    assert!(told.contains(file), "{what}: `{file}` is not named{run}");
    assert!(!run.stdout.contains("gates passed"), "{what}{run}");
}

#[test]
fn every_edit_of_a_run_is_seen_by_all_that_judge_or_accept_it() {
    let (project, entry, run) = project();
    let (base, candidate) = (entry.to_string_lossy().into_owned(), run.to_string_lossy().into_owned());
    let all = edits(&run);
    let files: std::collections::BTreeSet<&str> = all.iter().map(|edit| edit.file.as_str()).collect();
    let expected = [
        "manifest.json",
        "performance.json",
        "prompts.jsonl",
        "report.md",
        "results.jsonl",
        "summary.json",
        "verdict.json",
    ];
    assert_eq!(files.into_iter().collect::<Vec<_>>(), expected);
    for edit in &all {
        with(&run, edit, |what| {
            for args in [
                vec!["gate", &candidate],
                vec!["compare", &base, &candidate],
                vec!["baseline", "accept", &candidate, "-m", "x", "--force"],
            ] {
                names(&project.karat(args).code(2), &edit.file, what);
            }
        });
    }
    project.karat(["gate", &candidate]).code(0);
    assert_eq!(project.read("baselines/s/main/accepted.jsonl").lines().count(), 1, "nothing was accepted");
}

#[test]
fn every_edit_of_a_baseline_is_seen() {
    let (project, entry, run) = project();
    let candidate = run.to_string_lossy().into_owned();
    for edit in &edits(&entry) {
        with(&entry, edit, |what| {
            // The run may not pass on its own where its baseline is off.
            let gated = project.karat(["gate", &candidate]);
            assert!([Some(2), Some(3)].contains(&gated.code), "{what}{gated}");
            names(&gated, &edit.file, what);
            names(&project.karat(["compare", "baseline:main", &candidate]).code(2), &edit.file, what);
        });
    }
    project.karat(["gate", &candidate]).code(0);
    // Verdict and manifest together: the log still knows.
    fs::remove_file(entry.join("verdict.json")).expect("remove the verdict");
    project.karat(["gate", &candidate]).code(0);
    for edit in edits(&entry).iter().filter(|edit| edit.file == "manifest.json") {
        with(&entry, edit, |what| {
            names(&project.karat(["compare", "baseline:main", &candidate]).code(2), "manifest.json", what);
        });
    }
}

/// The log is held against its own seals, and `current` against the log.
#[test]
fn every_edit_of_the_log_of_a_baseline_is_seen() {
    const LOG: &str = "baselines/s/main/accepted.jsonl";
    let (project, _, run) = project();
    let candidate = run.to_string_lossy().into_owned();
    let log = project.read(LOG);
    let line: Value = serde_json::from_str(&log).expect("an acceptance");
    let without = |key: &str| {
        let mut line = line.clone();
        line.as_object_mut().expect("an object").remove(key);
        format!("{line}\n")
    };
    let edited = [
        log.replace("\"manifest_sha256\":\"", "\"manifest_sha256\":\"0"),
        log.replace("\"why\":\"test\"", "\"why\":\"checked\""),
        log.replace("\"forced\":false", "\"forced\":true"),
        without("seal"),
        without("manifest_sha256"),
        String::new(),
        format!("{{{log}"),
    ];
    for text in edited {
        assert_ne!(text, log);
        project.write(LOG, &text);
        let gated = project.karat(["gate", &candidate]);
        assert!([Some(2), Some(3)].contains(&gated.code), "{text}{gated}");
        names(&gated, "accepted.jsonl", &text);
        names(&project.karat(["compare", "baseline:main", &candidate]).code(2), "accepted.jsonl", &text);
    }
    project.write(LOG, &log);
    project.karat(["gate", &candidate]).code(0);
}

/// A record of which an edit would not be seen passes nothing and becomes no baseline.
#[test]
fn a_record_that_nothing_vouches_for_is_no_evidence() {
    let (project, entry, run) = project();
    // Among the runs of its suite it was noted with its hash when it was recorded.
    fs::remove_file(run.join("verdict.json")).expect("remove the verdict");
    let manifest = run.join("manifest.json");
    let text = fs::read_to_string(&manifest).expect("read the manifest");
    fs::write(&manifest, text.replace("\"max\": 0.9", "\"max\": 1.9")).expect("write the manifest");
    let candidate = run.to_string_lossy().into_owned();
    for args in [vec!["gate", &candidate], vec!["baseline", "accept", &candidate, "-m", "x", "--force"]] {
        let refused = project.karat(args).code(2);
        names(&refused, "manifest.json", "an edit");
        assert!(refused.stderr.contains("not the one in `.order`"), "{refused}");
    }
    // Elsewhere nothing knows.
    let copy = project.path("downloaded");
    fs::create_dir(&copy).expect("make a folder");
    for file in fs::read_dir(&run).expect("list a run") {
        let file = file.expect("an entry");
        fs::copy(file.path(), copy.join(file.file_name())).expect("copy a file");
    }
    let copy = copy.to_string_lossy().into_owned();
    let gated = project.karat(["gate", &copy]).code(3);
    assert!(gated.stdout.contains("nothing holds the SHA-256 of its manifest.json"), "{gated}");
    assert!(!project.path("downloaded/verdict.json").exists(), "a verdict would vouch for it");
    let refused = project.karat(["baseline", "accept", &copy, "-m", "x"]).code(2);
    assert!(refused.stderr.contains("an edit would not be seen"), "{refused}");
    // Nor is it what others are held against.
    fs::write(&manifest, text).expect("write the manifest");
    fs::remove_file(entry.join("verdict.json")).expect("remove the verdict");
    let log = entry.with_file_name("accepted.jsonl");
    let mut line: Value = serde_json::from_slice(&fs::read(&log).expect("read the log")).expect("an acceptance");
    for key in ["manifest_sha256", "seal"] {
        line.as_object_mut().expect("an object").remove(key);
    }
    // As a version wrote it that kept no hashes.
    fs::write(&log, format!("{line}\n")).expect("write the log");
    let gated = project.karat(["gate", &candidate]).code(3);
    assert!(gated.stdout.contains("nothing holds the SHA-256 of its manifest.json"), "{gated}");
    // Without a log nobody knows who accepted it.
    fs::remove_file(&log).expect("remove the log");
    let gated = project.karat(["gate", &candidate]).code(3);
    assert!(gated.stdout.contains("accepted.jsonl"), "{gated}");
}

/// What has the name of a run's file is not written over it.
#[test]
fn no_output_is_written_over_a_record() {
    let (project, entry, run) = project();
    let candidate = run.to_string_lossy().into_owned();
    let log = entry.with_file_name("accepted.jsonl");
    for (file, flag) in
        [(run.join("manifest.json"), "--report"), (entry.join("results.jsonl"), "--out"), (log, "--out")]
    {
        let before = fs::read(&file).expect("read a file");
        let args = ["gate", &candidate, flag, file.to_str().expect("a path")];
        let args = if flag == "--out" { [&args[..], &["--format", "json"]].concat() } else { args.to_vec() };
        project.karat(args).code(2).complains(&["belongs to a record"]);
        assert_eq!(fs::read(&file).expect("read a file"), before);
    }
    project.karat(["gate", &candidate]).code(0);
}

/// A run that is gone is not another one whose id begins alike.
#[test]
fn a_run_that_is_gone_is_no_other() {
    let (project, _, run) = project();
    let first = run.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    // As if it had been recorded second in its second, and the first were gone.
    fs::rename(&run, run.with_file_name(format!("{first}-2"))).expect("rename a run");
    for args in
        [vec!["gate", &first], vec!["view", &first, "--out", "v.html"], vec!["baseline", "accept", &first, "-m", "x"]]
    {
        let gone = project.karat(args).code(2);
        assert!(gone.stderr.contains(&format!("`{first}`")), "{gone}");
    }
}

/// The fault that began it: one digit turned a verdict.
#[test]
fn a_gate_that_is_loosened_in_the_record_passes_nothing() {
    let (project, _, run) = project();
    let path = run.join("manifest.json");
    let text = fs::read_to_string(&path).expect("read the manifest");
    assert!(text.contains("\"max\": 0.9"), "{text}");
    fs::write(&path, text.replace("\"max\": 0.9", "\"max\": 1.9")).expect("write the manifest");
    let gated = project.karat(["gate", run.to_str().expect("a path")]).code(2);
    assert!(gated.stderr.contains("`manifest.json` was changed: its SHA-256 is not the one in `.order`"), "{gated}");
    fs::remove_file(run.with_file_name(".order")).expect("remove the order");
    let gated = project.karat(["gate", run.to_str().expect("a path")]).code(2);
    assert!(
        gated.stderr.contains("`manifest.json` was changed: its SHA-256 is not the one in `verdict.json`"),
        "{gated}"
    );
    let listed = project.karat(["runs"]).code(0);
    assert!(listed.stdout.contains("`manifest.json` was changed"), "{listed}");
}

/// What nothing vouches for is said: runs that were never judged, records of older versions, each once.
#[test]
fn what_nothing_vouches_for_is_said() {
    const NOTE: &str = "is not verified";
    let (project, _, run) = project();
    let candidate = run.to_str().expect("a path");
    assert!(!project.karat(["gate", candidate]).code(0).stderr.contains(NOTE));
    fs::remove_file(run.join("verdict.json")).expect("remove the verdict");
    assert!(!project.karat(["gate", candidate]).code(0).stderr.contains(NOTE), "it was noted as it was recorded");
    fs::remove_file(run.join("verdict.json")).expect("remove the verdict");
    fs::remove_file(run.with_file_name(".order")).expect("remove the order");
    let gated = project.karat(["gate", candidate, "--no-baseline"]).code(3);
    assert_eq!(gated.stderr.matches(NOTE).count(), 1, "{gated}");

    let records = repository("tests/fixtures/records");
    for format in 1..=karat::record::FORMAT {
        let baselines = records.join(format!("format-{format}"));
        let baselines = baselines.to_str().expect("a path");
        let gated = project.karat(["gate", "baseline:scored", "--suite", "desk", "--baselines-dir", baselines]);
        assert!(gated.code.is_some_and(|code| code != 2), "format {format}{gated}");
        // Verdicts hold the hash since their version 3.
        assert_eq!(gated.stderr.matches(NOTE).count(), usize::from(format < 3), "format {format}{gated}");
    }
}

/// What lies in git is held against the log that lies beside it there.
#[test]
fn a_baseline_in_git_is_held_against_its_log() {
    let (project, entry, run) = project();
    let git = |args: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.args(["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]).args(args);
        let output =
            git.current_dir(project.path("")).env("GIT_CONFIG_GLOBAL", "/dev/null").output().expect("call git");
        assert!(output.status.success(), "{output:?}");
    };
    fs::remove_file(entry.join("verdict.json")).expect("remove the verdict");
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "baselines"]);
    git(&["commit", "-q", "-m", "baseline"]);
    let candidate = run.to_str().expect("a path");
    let id = entry.file_name().and_then(|name| name.to_str()).expect("a name");
    let references = ["git:HEAD:baselines/s/main".to_owned(), format!("git:HEAD:baselines/s/main/{id}")];
    for reference in &references {
        let compared = project.karat(["compare", reference, candidate]).code(0);
        assert!(!compared.stderr.contains("is not verified"), "{compared}");
    }
    let path = entry.join("manifest.json");
    let text = fs::read_to_string(&path).expect("read the manifest");
    fs::write(&path, text.replace("\"max\": 0.9", "\"max\": 1.9")).expect("write the manifest");
    git(&["commit", "-q", "-a", "-m", "looser"]);
    for reference in &references {
        let refused = project.karat(["compare", reference, candidate]).code(2);
        names(&refused, "accepted.jsonl", reference);
    }
}
