//! Verdicts and baselines: what is accepted, and what a baseline that is broken, of another device or another suite says.

use super::*;

#[test]
fn a_baseline_that_is_broken_or_named_otherwise_is_inconclusive() {
    let project = suite(GATES);
    score(&project, "yyyyyyyy", &[]).code(0);
    accept(&project);
    let current = project.path("baselines/small/main/current");
    let id = fs::read_to_string(&current).unwrap();
    let broken = |told: &str| {
        let run = score(&project, "yyyyyyyy", &[]).code(3);
        // Reasons wrap.
        let words = run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(told) && !words.contains("gates passed"), "{told}{run}");
        assert_eq!(verdict(&project)["outcome"], "inconclusive");
        score(&project, "nnnnnnnn", &[]).code(1);
        project.karat(["gate"]).code(1);
        score(&project, "yyyyyyyy", &["--no-baseline"]).code(0);
        project.karat(["gate"]).code(3);
        project.karat(["baseline", "list"]).code(0);
    };
    fs::remove_file(&current).unwrap();
    broken("is missing, and 1 entry is");
    fs::write(&current, "nonsense/../..\n").unwrap();
    broken("names no run");
    fs::write(&current, "20200101T000000Z-000000\n").unwrap();
    broken("which is not there");
    fs::write(&current, &id).unwrap();
    let results = project.path("baselines/small/main").join(id.trim()).join("results.jsonl");
    let text = fs::read_to_string(&results).unwrap();
    fs::write(&results, text.replace("yes", "yea")).unwrap();
    broken("its SHA-256 is not the one in the manifest");
    fs::write(&results, &text).unwrap();
    score(&project, "yyyyyyyy", &[]).code(0);
    // The suite's name is another one than that of what was accepted.
    let yaml = project.read("suite.yaml");
    project.write("suite.yaml", format!("{yaml}baseline: mian\n"));
    let run = score(&project, "yyyyyyyy", &[]).code(3);
    assert!(run.stdout.contains("holds `main` of this") || run.stdout.contains("`main`"), "{run}");
    // One that is named in the call must exist.
    score(&project, "yyyyyyyy", &["--baseline", "mein"]).code(2).complains(&["did you mean `main`?"]);
    project.write("suite.yaml", yaml);
    score(&project, "yyyyyyyy", &["--set", "baseline=mein"]).code(2).complains(&["did you mean `main`?"]);
    score(&project, "yyyyyyyy", &["--set", "baseline=main"]).code(0);
}

#[test]
fn accepting_needs_a_reason_and_refuses_what_fails_on_its_own() {
    let project = suite(GATES);
    score(&project, "nnnnnyyy", &[]).code(1);
    project.karat(["baseline", "accept", "latest"]).code(2).complains(&["--message"]);
    project.karat(["baseline", "accept", "latest", "-m", " "]).code(2).complains(&["a reason is missing"]);
    // A first run may fail its rules; the log says so.
    accept(&project);
    let log = |project: &Project| {
        let text = project.read("baselines/small/main/accepted.jsonl");
        serde_json::from_str::<Value>(text.lines().last().unwrap()).unwrap()
    };
    assert!(
        log(&project)["worse"][0].as_str().unwrap().starts_with("golden.exact_match.pass_rate >= 0.5"),
        "{}",
        log(&project)
    );
    score(&project, "yyyyyyyy", &[]).code(0);
    accept(&project);
    assert_eq!(log(&project)["worse"], Value::Null);
    // Worse than the one that it replaces, and good enough on its own.
    score(&project, "nnnnyyyy nyyy", &[]).code(1);
    accept(&project);
    let worse = log(&project)["worse"].to_string();
    assert!(worse.contains("drops by at most 0.2") && worse.contains("danger: every case that passed"), "{worse}");
    assert!(worse.contains("golden.exact_match 1.0000 to 0.5000 of 8 pairs"), "{worse}");
    // Not good enough on its own.
    score(&project, "nnnnnnnn", &[]).code(1);
    let refused = project.karat(["baseline", "accept", "latest", "-m", "x"]).code(2);
    assert!(
        refused.stderr.contains("it fails golden.exact_match.pass_rate >= 0.5") && refused.stderr.contains("--force"),
        "{refused}"
    );
    score(&project, "yyyyyyye", &[]).code(3);
    project.karat(["baseline", "accept", "latest", "-m", "x"]).code(2).complains(&["1 errored"]);
    project.karat(["baseline", "accept", "latest", "-m", "x", "--force"]).code(0);
    assert_eq!(log(&project)["forced"], true);
}

#[test]
fn accepts_at_once_keep_all_their_lines() {
    let project = suite(GATES);
    for _ in 0..3 {
        score(&project, "yyyyyyyy", &[]).code(0);
    }
    let runs = project.runs("small");
    let start = |run: &std::path::PathBuf| {
        let args = ["baseline".as_ref(), "accept".as_ref(), run.as_os_str(), "-m".as_ref(), "at once".as_ref()];
        project.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start karat")
    };
    for _ in 0..4 {
        let children: Vec<_> = runs.iter().chain(&runs).map(start).collect();
        for mut child in children {
            assert_eq!(child.wait().unwrap().code(), Some(0));
        }
    }
    let log = project.read("baselines/small/main/accepted.jsonl");
    assert_eq!(log.lines().count(), 24);
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{log}");
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(project.read("baselines/small/main/current").trim(), last["run_id"]);
}

#[test]
fn runs_have_labels_and_are_listed() {
    let project = suite(GATES);
    let none = project.karat(["runs"]).code(0);
    assert!(none.stdout.is_empty() && none.stderr.contains("no runs in runs"), "{none}");
    score(&project, "yyyyyyyy", &["--label", "night 1"]).code(0);
    score(&project, "nnnnnnnn", &["--label", "night 2"]).code(1);
    let listed = project.karat(["runs"]).code(0);
    assert!(listed.stdout.lines().nth(1).unwrap().contains("night 1  passed"), "{listed}");
    assert!(listed.stdout.lines().nth(2).unwrap().contains("night 2  failed"), "{listed}");
    project.karat(["compare", "night 1", "night 2"]).code(1);
    project.karat(["compare", "nihgt 1", "latest"]).code(2).complains(&["did you mean `night 1`?"]);
    project.karat(["gate", "small/latest"]).code(1);
    project.karat(["gate", "smal/latest"]).code(2).complains(&["did you mean `small`?"]);
    score(&project, "yyyyyyyy", &["--label", "night 1"]).code(0);
    project.karat(["gate", "night 1"]).code(2).complains(&["have the label `night 1`"]);
    score(&project, "yyyyyyyy", &["--label", "two\nlines"]).code(2).complains(&["on one line"]);
    // Labels change no result, and stand in no comparison.
    let manifest = fs::read_to_string(project.runs("small")[0].join("manifest.json")).unwrap();
    assert!(manifest.contains("\"label\": \"night 1\"") && manifest.contains("\"karat-run/2\""), "{manifest}");
}

#[test]
fn each_class_of_devices_has_its_baseline() {
    let project = suite(&format!("{GATES}baseline: {{cpu: main-cpu, cuda: main-gpu}}\n"));
    let first = score(&project, "yyyyyyyy", &[]).code(0);
    assert!(first.stderr.contains("--name main-cpu"), "{first}");
    accept(&project);
    assert!(project.path("baselines/small/main-cpu/current").exists());
    let second = score(&project, "yyyyyyyy", &["--require-baseline"]).code(0);
    assert!(second.stdout.contains("gates passed against"), "{second}");
    let only = suite(&format!("{GATES}baseline: {{cuda: main-gpu}}\n"));
    score(&only, "yyyyyyyy", &["--require-baseline"]).code(3);
    let wrong = suite(&format!("{GATES}baseline: {{gpu: main-gpu}}\n"));
    score(&wrong, "yyyyyyyy", &[]).code(2).complains(&["did you mean `cpu`?", "known are", "`cuda`"]);
}

#[test]
fn every_baseline_of_a_suite_is_regenerated() {
    let project = Project::new();
    let model = Value::from(random_tiny().to_string_lossy());
    project.write_lines("golden.jsonl", &[json!({"id": "1", "input": "Hello?", "target": "x"})]);
    project.write(
        "suite.yaml",
        format!(
            "version: 1\nname: words\nmodels: {{generator: {{model: {model}}}}}\ndatasets:\n\
             \x20 - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}}\n\
             generation: {{max_new_tokens: 4}}\nscorers: [exact_match]\n"
        ),
    );
    project.karat(["baseline", "regenerate", "suite.yaml", "--all"]).code(2).complains(&["has no accepted baseline"]);
    project.karat(["run", "suite.yaml"]).code(0);
    for name in ["main", "other"] {
        project.karat(["baseline", "accept", "latest", "-m", "test", "--name", name]).code(0);
    }
    let all = project.karat(["baseline", "regenerate", "suite.yaml", "--all", "--accept", "-m", "again"]).code(0);
    assert!(all.stderr.contains("baseline `main`") && all.stderr.contains("baseline `other`"), "{all}");
    assert_eq!(all.stdout.matches("\naccepted ").count(), 2, "{all}");
    assert_eq!(project.read("baselines/words/other/accepted.jsonl").lines().count(), 2);
}
