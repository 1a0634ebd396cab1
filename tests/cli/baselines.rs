//! Baselines: who accepted what and why, what is refused, what lies in git, regeneration; and the suite of `karat init`.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::project::{Project, fixture, random_tiny, repository};

/// Git in the project's folder, untouched by the settings of whoever runs the tests.
#[track_caller]
fn git(project: &Project, args: &[&str]) {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=Ann Example", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false"]);
    let output =
        git.args(args).current_dir(project.path("")).env("GIT_CONFIG_GLOBAL", "/dev/null").output().expect("start git");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn suite() -> Project {
    let project = Project::new();
    // The project is this folder, not the suite's.
    std::fs::create_dir(project.path("baselines")).expect("make a folder");
    let case = |i: usize| json!({"id": format!("g{i}"), "input": "x", "target": "yes"});
    project.write_lines("s/golden.jsonl", &(0..6).map(case).collect::<Vec<_>>());
    project.write(
        "s/suite.yaml",
        "version: 1\nname: small\ndatasets:\n  - {name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}\n\
         scorers: [exact_match]\ngates:\n  - {metric: golden.exact_match, max_drop: 0.2}\n",
    );
    answers(&project, 6);
    project
}

fn answers(project: &Project, right: usize) {
    let answer = |i: usize| json!({"id": format!("g{i}"), "output": if i < right { "yes" } else { "no" }});
    project.write_lines("answers.jsonl", &(0..6).map(answer).collect::<Vec<_>>());
}

const SCORE: [&str; 4] = ["score", "s", "--responses", "answers.jsonl"];

#[test]
fn accepting_says_who_when_and_why_and_refuses_what_nobody_can_repeat() {
    let project = suite();
    git(&project, &["init", "-q", "-b", "main"]);
    git(&project, &["config", "user.name", "Ann Example"]);
    git(&project, &["config", "user.email", "ann@example.org"]);
    git(&project, &["add", "s"]);
    git(&project, &["commit", "-q", "-m", "suite"]);
    project.write("s/notes.txt", "not committed");
    project.karat(SCORE).code(0);
    let refused = project.karat(["baseline", "accept", "latest", "-m", "test"]).code(2);
    assert!(refused.stderr.contains("were not committed when it ran"), "{refused}");
    assert!(refused.stderr.contains("--force"), "{refused}");
    std::fs::remove_file(project.path("s/notes.txt")).unwrap();
    project.karat(SCORE).code(0);
    project.karat(["baseline", "accept", "latest", "-m", "the first one"]).code(0);
    let log = project.read("baselines/small/main/accepted.jsonl");
    let line: Value = serde_json::from_str(log.trim_end()).unwrap();
    assert_eq!((&line["by"], &line["why"]), (&json!("Ann Example <ann@example.org>"), &json!("the first one")));
    assert_eq!((&line["forced"], line["git_commit"].as_str().map(str::len)), (&json!(false), Some(40)));
    let listed = project.karat(["baseline", "list"]).code(0);
    assert!(listed.stdout.contains("by Ann Example <ann@example.org>: the first one"), "{listed}");
    let shown = project.karat(["baseline", "show"]).code(0);
    assert!(shown.stderr.contains("the first one"), "{shown}");
}

#[test]
fn runs_that_lie_in_git_are_read_from_there() {
    let project = suite();
    git(&project, &["init", "-q", "-b", "main"]);
    project.karat(SCORE).code(0);
    // Git keeps nothing of the suite yet: that is nobody's unfinished work.
    project.karat(["baseline", "accept", "latest", "-m", "test"]).code(0);
    git(&project, &["add", "baselines", "s"]);
    git(&project, &["commit", "-q", "-m", "baseline"]);
    std::fs::remove_dir_all(project.path("baselines")).unwrap();
    answers(&project, 3);
    let reference = "git:main:baselines/small/main";
    let run = project.karat(SCORE.iter().copied().chain(["--baseline", reference])).code(1);
    assert!(run.stdout.contains("3 regressed"), "{run}");
    project.karat(["compare", reference, "latest"]).code(1);
    project.karat(["gate", "latest", "--baseline", reference]).code(1);
    // The entry itself, by commit.
    let entry = project.runs("small")[0].file_name().unwrap().to_string_lossy().into_owned();
    let entry = format!("git:HEAD:baselines/small/main/{entry}");
    project.karat(["compare", &entry, "latest"]).code(1);
    for (reference, told) in [
        ("git:mian:baselines/small/main", "did you mean `main`?"),
        ("git:main:baselines/large", "there is no folder `baselines/large` at `main`"),
        ("git:main:s", "there is no run in `s` at `main`"),
        ("git:main", "write git:REF:PATH"),
        ("git:--help:s", "git does not know `--help`"),
    ] {
        let wrong = project.karat(["compare", reference, "latest"]).code(2);
        assert!(wrong.stderr.contains(told), "{wrong}");
    }
    let outside = Project::new();
    let wrong = outside.karat(["compare", reference, "latest"]).code(2);
    assert!(wrong.stderr.contains("there is no git repository"), "{wrong}");
}

/// A suite with the random model, in `s`.
fn generated(project: &Project, tokens: usize) {
    std::fs::create_dir_all(project.path("baselines")).expect("make a folder");
    let model = Value::from(random_tiny().to_string_lossy());
    let case = |i: usize| json!({"id": format!("g{i}"), "input": format!("Question {i}"), "target": "x"});
    project.write_lines("s/golden.jsonl", &(0..4).map(case).collect::<Vec<_>>());
    project.write(
        "s/suite.yaml",
        format!(
            "version: 1\nname: words\nmodels: {{generator: {{model: {model}}}}}\ndatasets:\n\
             \x20 - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}}\n\
             generation: {{max_new_tokens: {tokens}}}\nscorers: [exact_match]\n"
        ),
    );
}

#[test]
fn regenerating_runs_the_accepted_plan_and_accepts_on_request() {
    let project = Project::new();
    generated(&project, 5);
    let nothing = project.karat(["baseline", "regenerate", "s"]).code(2);
    assert!(nothing.stderr.contains("no run was accepted yet"), "{nothing}");
    project.karat(["run", "s"]).code(0);
    project.karat(["baseline", "accept", "latest", "-m", "test"]).code(0);
    let current = project.read("baselines/words/main/current");
    // The suite has moved on; the accepted plan has not.
    generated(&project, 9);
    let again = project.karat(["baseline", "regenerate", "s"]).code(0);
    assert!(again.stdout.contains("4 unchanged") && !again.stdout.contains("not the same"), "{again}");
    assert!(again.stderr.contains("nothing was accepted"), "{again}");
    assert_eq!(project.read("baselines/words/main/current"), current);
    let case = |i: usize| json!({"id": format!("g{i}"), "input": format!("Another {i}"), "target": "x"});
    project.write_lines("s/golden.jsonl", &(0..4).map(case).collect::<Vec<_>>());
    let accepted = project.karat(["baseline", "regenerate", "s", "--accept", "-m", "new questions"]).code(0);
    assert!(accepted.stdout.contains("not the same data"), "{accepted}");
    assert_ne!(project.read("baselines/words/main/current"), current);
    assert!(project.read("baselines/words/main/accepted.jsonl").contains("new questions"));
    project.karat(["baseline", "regenerate", "s", "-m", "why"]).code(2);
}

#[test]
fn a_suite_to_begin_with() {
    let project = Project::new();
    let model = random_tiny();
    let args = ["init", "desk", "--model", model.to_str().unwrap()];
    let made = project.karat(args).code(0);
    assert!(made.stdout.contains("karat run desk"), "{made}");
    let lint = project.karat(["lint", "desk"]).code(0);
    assert!(format!("{}{}", lint.stdout, lint.stderr).contains("0 errors, 0 warnings"), "{lint}");
    // Random answers: golden cases fail the gate, and the record is whole.
    project.karat(["run", "desk"]).code(1);
    project.karat(["baseline", "accept", "latest", "-m", "first run"]).code(0);
    let text = project.read("desk/prompts/answer.md");
    project.write("desk/prompts/answer.md", text.replace("{{ input }}", "Question: {{ input }}"));
    let second = project.karat(["run", "desk"]).code(1);
    assert!(second.stdout.contains("not the same prompt"), "{second}");
    project.karat(["view", "--out", "page.html"]).code(0);
    assert!(project.read("page.html").contains("Question:"));
    // Within its folder it needs no name.
    let within = project.command(["lint"]).current_dir(project.path("desk")).output().unwrap();
    assert_eq!(within.status.code(), Some(0), "{within:?}");
    let twice = project.karat(args).code(2);
    assert!(
        twice.stderr.contains("desk/suite.yaml") && twice.stderr.contains("nothing is ever overwritten"),
        "{twice}"
    );
    // Elsewhere it takes the model of the repository that it was built in; an installed program has none beside it, and
    // nothing is left where no model is to be had.
    project.karat(["init", "here"]).code(0);
    let weights = std::fs::canonicalize(repository("models/karat-mini/2")).unwrap();
    assert!(project.read("here/suite.yaml").contains(&format!("{{model: {:?}}}", weights.to_str().unwrap())));
    std::fs::copy(env!("CARGO_BIN_EXE_karat"), project.path("installed")).unwrap();
    let start =
        || Command::new(project.path("installed")).args(["init", "other"]).current_dir(project.path("")).output();
    // Another test's child may hold the new file open for a moment, as it was forked while this one wrote it.
    let busy = |tried: &std::io::Result<_>| tried.as_ref().is_err_and(|e| e.kind() == ErrorKind::ExecutableFileBusy);
    let lost = std::iter::repeat_with(start).find(|tried| !busy(tried)).unwrap().unwrap();
    assert_eq!(lost.status.code(), Some(2));
    let told = String::from_utf8_lossy(&lost.stderr);
    for choice in ["--model FOLDER ", "--model FILE.gguf ", "there is none now", "Qwen/Qwen3-0.6B"] {
        assert!(told.contains(choice), "{choice}: {told}");
    }
    assert!(!project.path("other").exists());
    // With a registry above, the model of this repository is taken.
    let entry = repository("models/karat-mini@2.yaml");
    project.write("models/karat-mini@2.yaml", std::fs::read(entry).unwrap());
    project.karat(["init", "third"]).code(0);
    assert!(project.read("third/suite.yaml").contains("{model: karat-mini@2}"));
}

#[test]
fn a_suite_for_any_model() {
    let project = Project::new();
    let generator = |folder: &str| {
        let suite = project.read(&format!("{folder}/suite.yaml"));
        let line = suite.lines().find(|line| line.contains("generator:")).unwrap();
        line.split_once("{model: ").unwrap().1.split_once('}').unwrap().0.to_owned()
    };
    // Below the current folder a path stays relative, so that suite and model can move together.
    for file in ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"] {
        project.write(&format!("models/mine/{file}"), std::fs::read(random_tiny().join(file)).unwrap());
    }
    for (folder, path) in [("desk", "\"../models/mine\""), ("a/b", "\"../../models/mine\""), (".", "\"./models/mine\"")]
    {
        project.karat(["init", folder, "--model", "models/mine"]).code(0);
        assert_eq!(generator(folder), path);
        project.karat(["lint", folder]).code(0);
    }
    // The hub is not asked, and a name of the registry has to be one where the suite looks for it.
    project.karat(["init", "hub", "--model", "org/name@v1"]).code(0);
    assert_eq!(generator("hub"), "\"org/name@v1\"");
    project.karat(["init", "none", "--model", "none@1"]).code(2).complains(&["none@1", "model registry"]);
    // What generates nothing is no generator.
    let embedder = fixture("bert-mean");
    project.karat(["init", "none", "--model", embedder.to_str().unwrap()]).code(2).complains(&["bert", "karat embed"]);
    assert!(!project.path("none").exists());
}

#[test]
fn reports_in_every_format() {
    let project = suite();
    project.karat(SCORE).code(0);
    project.karat(["baseline", "accept", "latest", "-m", "test"]).code(0);
    answers(&project, 3);
    let files = ["r.html", "r.md", "r.json", "r.xml", "r.csv", "r.parquet", "r.txt"];
    let reports = files.iter().flat_map(|file| ["--report", file]);
    project.karat(SCORE.iter().copied().chain(reports)).code(1);
    let begins = [
        ("r.html", "<!doctype html>"),
        ("r.md", "## karat"),
        ("r.json", "{"),
        ("r.txt", "small  "),
        ("r.xml", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"),
        ("r.csv", "dataset,id,repeat,kind,tags,passed,"),
    ];
    for (file, begin) in begins {
        assert!(project.read(file).starts_with(begin), "{file}: {}", project.read(file));
    }
    assert!(std::fs::read(project.path("r.parquet")).unwrap().starts_with(b"PAR1"));
    assert!(project.read("r.xml").contains("failures=\"3\"") && project.read("r.csv").contains("regressed"));
    // Wrong endings are told before anything runs.
    let before = project.files().len();
    let wrong = project.karat(SCORE.iter().copied().chain(["--report", "r.pdf"])).code(2);
    assert!(wrong.stderr.contains("known are .txt, .md"), "{wrong}");
    assert_eq!(project.files().len(), before);
    for (format, begin) in [("junit", "<?xml"), ("csv", "dataset,"), ("html", "<!doctype")] {
        let shown = project.karat(["gate", "latest", "--format", format]).code(1);
        assert!(shown.stdout.starts_with(begin), "{shown}");
    }
    project.karat(["gate", "latest", "--format", "parquet"]).code(2);
    project.karat(["gate", "latest", "--format", "parquet", "--out", "cases.parquet"]).code(1);
    assert!(Path::new(&project.path("cases.parquet")).is_file());
}

/// What was accepted once is never a first run again, whatever is left of it.
#[test]
fn what_is_left_of_a_baseline_is_no_first_run() {
    use std::fs::{copy, create_dir, remove_dir_all, remove_file, rename};
    let project = suite();
    project.karat(SCORE).code(0);
    project.karat(["baseline", "accept", "latest", "-m", "test"]).code(0);
    let main = project.path("baselines/small/main");
    let (current, kept) = (main.join("current"), project.path("kept"));
    let entry = main.join(project.read("baselines/small/main/current").trim());
    let restore = || {
        if main.is_symlink() {
            remove_file(&main).unwrap();
        } else {
            remove_dir_all(&main).unwrap();
        }
        let status = Command::new("cp").arg("-a").arg(&kept).arg(&main).status().unwrap();
        assert!(status.success());
    };
    assert!(Command::new("cp").arg("-a").arg(&main).arg(&kept).status().unwrap().success());
    let broken = |what: &str| {
        let run = project.karat(SCORE).code(3);
        let words = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("restore it from version control, or accept a run anew"), "{what}{run}");
        project.karat(["gate"]).code(3);
        project.karat(["baseline", "list"]).code(0);
        restore();
        project.karat(SCORE).code(0);
    };
    remove_file(&current).unwrap();
    remove_file(entry.join("manifest.json")).unwrap();
    broken("current and a manifest are gone");
    remove_file(&current).unwrap();
    remove_dir_all(&entry).unwrap();
    broken("only the log is left");
    remove_file(&current).unwrap();
    rename(&entry, main.join(".old")).unwrap();
    broken("the entry is hidden");
    remove_file(&current).unwrap();
    create_dir(&current).unwrap();
    broken("current is a folder");
    remove_dir_all(&main).unwrap();
    create_dir(&main).unwrap();
    broken("an empty folder");
    #[cfg(unix)]
    {
        remove_dir_all(&entry).unwrap();
        std::os::unix::fs::symlink("/nonexistent", &entry).unwrap();
        broken("the entry is a link to nothing");
        remove_dir_all(&main).unwrap();
        std::os::unix::fs::symlink("/nonexistent", &main).unwrap();
        broken("the folder is a link to nothing");
    }
    // Hidden as a whole.
    rename(&main, main.with_file_name(".main.old")).unwrap();
    project.karat(SCORE).code(3);
    rename(main.with_file_name(".main.old"), &main).unwrap();
    copy(&current, project.path("current")).unwrap();
    project.karat(SCORE).code(0);
}

#[test]
fn a_suite_under_another_name_is_no_first_run() {
    let project = suite();
    project.karat(SCORE).code(0);
    project.karat(["baseline", "accept", "latest", "-m", "test"]).code(0);
    let yaml = project.read("s/suite.yaml");
    project.write("s/suite.yaml", yaml.replace("name: small", "name: renamed"));
    for more in [&[][..], &["--limit", "4"]] {
        let run = project.karat(SCORE.iter().copied().chain(more.iter().copied())).code(3);
        let words = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("holds this suite under another name: `small`"), "{run}");
    }
    project.karat(["gate", "renamed/latest", "--no-baseline"]).code(0);
    project.karat(["gate", "renamed/latest"]).code(3);
    // Another suite over the same data asks something else.
    project.write("s/suite.yaml", yaml.replace("name: small", "name: other").replace("max_drop: 0.2", "max_drop: 0.1"));
    project.karat(SCORE).code(0);
}

/// The suite with a rule of its own: half of the answers must be right.
fn strict() -> Project {
    let project = suite();
    let yaml = project.read("s/suite.yaml");
    project.write("s/suite.yaml", format!("{yaml}  - {{metric: golden.exact_match, min: 0.5}}\n"));
    project
}

#[test]
fn accepting_after_a_broken_baseline_is_no_first_run() {
    let project = strict();
    project.karat(SCORE).code(0);
    project.karat(["baseline", "accept", "latest", "-m", "test"]).code(0);
    let first = project.read("baselines/small/main/current");
    std::fs::remove_file(project.path("baselines/small/main/current")).unwrap();
    answers(&project, 2);
    project.karat(SCORE).code(1);
    let accept = ["baseline", "accept", "latest", "-m", "test"];
    project.karat(accept).code(2).complains(&["this is no first run"]);
    project.karat(accept.iter().chain(&["--force"])).code(0);
    let log = project.read("baselines/small/main/accepted.jsonl");
    let line: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(line["forced"], true);
    let worse = line["worse"].to_string();
    assert!(worse.contains(&format!("(than `{}`, the newest entry)", first.trim())), "{worse}");
    assert!(worse.contains("golden.exact_match 1.0000 to 0.3333 of 6 pairs"), "{worse}");
}

#[test]
fn a_first_run_that_fails_is_accepted_with_a_note() {
    let project = strict();
    answers(&project, 2);
    let run = project.karat(SCORE).code(1);
    assert!(run.stderr.contains("next: `karat baseline accept ") && run.stderr.contains("it fails 1 rule"), "{run}");
    let accepted = project.karat(["baseline", "accept", "latest", "-m", "test"]).code(0);
    assert!(accepted.stderr.contains("note: it fails 1 rule: golden.exact_match.pass_rate >= 0.5"), "{accepted}");
    // What would be refused is not proposed.
    for limit in [true, false] {
        let project = strict();
        if !limit {
            let answer = |i: usize| json!({"id": format!("g{i}"), "output": "yes"});
            project.write_lines("answers.jsonl", &(0..5).map(answer).collect::<Vec<_>>());
        }
        let more: &[&str] = if limit { &["--limit", "5"] } else { &[] };
        let run = project.karat(SCORE.iter().chain(more));
        let told = if limit { "it is partial" } else { "1 errored" };
        assert!(run.stderr.contains("next: this run is no baseline yet") && run.stderr.contains(told), "{run}");
        assert!(!run.stderr.contains("karat baseline accept "), "{run}");
        project.karat(["baseline", "accept", "latest", "-m", "test"]).code(2);
    }
}

#[test]
fn the_next_command_brings_the_run_to_where_it_is_looked_for() {
    let project = suite();
    std::fs::create_dir_all(project.path("b")).unwrap();
    for more in [&["--baselines-dir", "b"][..], &["--runs-dir", "other/place"]] {
        let call: Vec<&str> = SCORE.iter().chain(more).copied().collect();
        let run = project.karat(&call).code(0);
        let command = run.stderr.lines().find(|line| line.starts_with("next: ")).unwrap().split('`').nth(1).unwrap();
        let words = command.split(' ').skip(1).map(|word| if word == "WHY" { "test" } else { word });
        project.karat(words).code(0);
        let again = project.karat(call.iter().copied().chain(["--require-baseline"])).code(0);
        assert!(again.stdout.contains("compared with"), "{command}{again}");
        let _ = std::fs::remove_dir_all(project.path("baselines/small"));
    }
}

#[test]
fn what_got_worse_is_told_against_what_is_replaced() {
    let project = suite();
    for right in [6, 5, 4, 3] {
        answers(&project, right);
        project.karat(SCORE);
    }
    let runs = project.runs("small");
    let rate = |id: &Value| {
        let right = runs.iter().find(|run| run.ends_with(id.as_str().unwrap())).unwrap();
        let text = std::fs::read_to_string(right.join("results.jsonl")).unwrap();
        format!("{:.4}", text.lines().filter(|line| line.contains("\"output\":\"yes\"")).count() as f64 / 6.0)
    };
    for _ in 0..3 {
        let start = |run: &std::path::PathBuf| {
            project
                .command(["baseline", "accept", run.to_str().unwrap(), "-m", "at once"])
                .stdout(Stdio::null())
                .spawn()
                .expect("start karat")
        };
        for mut child in runs.iter().map(start).collect::<Vec<_>>() {
            assert!(child.wait().unwrap().success());
        }
    }
    let log = project.read("baselines/small/main/accepted.jsonl");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 12);
    for line in lines {
        let (own, worse) = (rate(&line["run_id"]), line["worse"].to_string());
        match &line["replaced"] {
            Value::Null => assert_eq!(worse, "null", "{line}"),
            before if rate(before) > own => {
                assert!(worse.contains(&format!("golden.exact_match {} to {own}", rate(before))), "{line}");
            }
            _ => assert_eq!(worse, "null", "{line}"),
        }
    }
}
