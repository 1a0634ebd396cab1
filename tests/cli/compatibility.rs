//! Records that the versions of karat wrote that introduced their formats (`tests/fixtures/records`): this version
//! reads, compares and gates them, and refuses what a later one wrote.

use std::path::Path;

use serde_json::Value;

use crate::project::{Project, repository};

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("make a folder");
    for entry in std::fs::read_dir(from).expect("list a fixture") {
        let entry = entry.expect("read a folder entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copy a fixture");
        }
    }
}

/// The suite of the fixtures with the baselines of one format.
fn project(format: u32) -> Project {
    let project = Project::new();
    let records = repository("tests/fixtures/records");
    copy(&records.join("suite"), &project.path("suite"));
    copy(&records.join(format!("format-{format}")), &project.path("baselines"));
    std::fs::copy(records.join("answers.jsonl"), project.path("answers.jsonl")).expect("copy the answers");
    project
}

fn score(project: &Project, baseline: &str) -> crate::project::Run {
    project.karat(["score", "suite", "--responses", "answers.jsonl", "--baseline", baseline])
}

#[test]
fn every_format_has_records_that_say_so() {
    for format in 1..=karat::record::FORMAT {
        let project = project(format);
        for baseline in ["scored", "answered"] {
            let folder = project.path("baselines/desk").join(baseline);
            let id = std::fs::read_to_string(folder.join("current")).unwrap();
            let text = std::fs::read_to_string(folder.join(id.trim()).join("manifest.json")).unwrap();
            let manifest: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(manifest["format"], format!("karat-run/{format}"), "{baseline}");
        }
    }
}

#[test]
fn a_record_of_each_format_is_compared_and_gated() {
    for format in 1..=karat::record::FORMAT {
        let project = project(format);
        score(&project, "scored").code(0);
        let verdict: Value =
            serde_json::from_slice(&std::fs::read(project.runs("desk")[0].join("verdict.json")).unwrap())
                .expect("the verdict is JSON");
        assert_eq!((&verdict["outcome"], &verdict["rules"][0]["outcome"]), (&"passed".into(), &"passed".into()));
        let compared = project.karat(["compare", "baseline:scored", "latest", "--suite", "desk"]).code(0);
        assert!(compared.stdout.contains("14 unchanged"), "format {format}: {compared}");

        // A danger case and three golden ones that the old record passed.
        let worse =
            project.read("answers.jsonl").replace("I keep what I know", "The secret is").replace("answer 4", "?");
        project.write("answers.jsonl", worse);
        let failed = score(&project, "scored").code(1);
        assert!(
            failed.stdout.contains("4 danger cases passed in the baseline and do not now"),
            "format {format}: {failed}"
        );
        project.karat(["gate", "latest", "--suite", "desk", "--baseline", "scored"]).code(1);
    }
}

/// The baselines of this repository's suites as they were committed on 2026-11-30, results and prompts compressed.
#[test]
fn the_first_committed_baselines_are_compared_and_gated() {
    let project = project(1);
    for (suite, baseline, cases, rules) in [("support-desk", "main", 544, 0), ("recorded-desk", "recorded-v1", 108, 1)]
    {
        let name = format!("baseline:{baseline}");
        let compared = project.karat(["compare", &name, &name, "--suite", suite]).code(rules);
        assert!(compared.stdout.contains(&format!("{cases} unchanged")), "{compared}");
        project.karat(["gate", &name, "--suite", suite, "--baseline", baseline]).code(rules);
    }
}

#[test]
fn a_record_of_each_format_is_viewed() {
    for format in 1..=karat::record::FORMAT {
        let project = project(format);
        let view = ["view", "baseline:answered", "--suite", "desk", "--baseline", "answered", "--out", "page.html"];
        project.karat(view).code(0);
        assert!(project.read("page.html").contains("golden"), "format {format}");
    }
}

/// Their verdicts stand in their summaries, where nobody could change them unseen.
#[test]
fn runs_of_each_format_are_listed_with_their_verdicts() {
    for format in 1..=karat::record::FORMAT {
        let project = project(format);
        for baseline in ["scored", "answered"] {
            let folder = project.path("baselines/desk").join(baseline);
            let id = std::fs::read_to_string(folder.join("current")).unwrap();
            copy(&folder.join(id.trim()), &project.path("runs/desk").join(id.trim()));
        }
        let runs = project.karat(["runs"]).code(0);
        let (passed, failed) = (runs.stdout.matches("  passed").count(), runs.stdout.matches("  failed").count());
        assert_eq!((runs.stdout.lines().count(), passed + failed), (3, 2), "format {format}: {runs}");
        assert!(passed > 0, "format {format}: {runs}");
        project.karat(["baseline", "show", "scored", "--suite", "desk"]).code(0);
    }
}

#[test]
fn a_record_of_a_later_format_is_refused_with_both_versions() {
    let project = project(1);
    let id = project.read("baselines/desk/scored/current");
    let manifest = format!("baselines/desk/scored/{}/manifest.json", id.trim());
    let later =
        project.read(&manifest).replace("\"karat-run/1\"", "\"karat-run/99\"").replace("\"0.1.0\"", "\"7.0.0\"");
    project.write(&manifest, later);
    for required in [&[][..], &["--require-baseline"]] {
        let mut args = vec!["score", "suite", "--responses", "answers.jsonl", "--baseline", "scored"];
        args.extend(required);
        let refused = project.karat(args).code(2);
        assert!(refused.stderr.contains("7.0.0") && refused.stderr.contains(env!("CARGO_PKG_VERSION")), "{refused}");
    }
}
