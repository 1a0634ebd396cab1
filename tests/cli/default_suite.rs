//! The suite that runs out of the box: `datasets/support-desk` on the models of this repository, against its baseline.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::project::{Project, repository};

/// What a run left.
struct Done {
    /// Its result lines.
    results: String,
    /// What was counted.
    counters: Value,
    code: Option<i32>,
}

fn run(project: &Project, flags: &[&str]) -> Done {
    let suite = repository("datasets/support-desk").to_string_lossy().into_owned();
    let baselines = repository("baselines").to_string_lossy().into_owned();
    let fixed = ["run", &suite, "--quiet", "--runs-dir", "runs", "--baselines-dir", &baselines];
    let run = project.karat(fixed.iter().chain(flags));
    let folder = run.stdout.lines().find_map(|line| line.strip_prefix("run folder: "));
    let folder = folder.unwrap_or_else(|| panic!("no run folder is named{run}"));
    let read = |file: &str| std::fs::read_to_string(project.path(folder).join(file)).expect("read a file of the run");
    let performance: Value = serde_json::from_str(&read("performance.json")).expect("JSON");
    Done { results: read("results.jsonl"), counters: performance["counters"].clone(), code: run.code }
}

/// Whether each case passed all its scorers.
fn passed(results: &str) -> BTreeMap<(String, String), bool> {
    let case = |line: &str| {
        let case: Value = serde_json::from_str(line).expect("a JSON line");
        assert!(case["error"].is_null(), "{line}");
        let text = |key: &str| case[key].as_str().expect("a text").to_owned();
        let scores = case["scores"].as_object().expect("the scores");
        assert!(!scores.is_empty(), "{line}");
        ((text("dataset"), text("id")), scores.values().all(|score| score["passed"] == true))
    };
    results.lines().map(case).collect()
}

fn baseline() -> String {
    let folder = repository("baselines/support-desk/main");
    let current = std::fs::read_to_string(folder.join("current")).expect("read which run is accepted");
    std::fs::read_to_string(folder.join(current.trim()).join("results.jsonl")).expect("read the baseline")
}

/// Other processors may round the last bit of a score otherwise, which may turn a case or two; not more.
#[test]
fn the_first_release_is_the_baseline_and_the_second_differs_both_ways() {
    let project = Project::new();
    let accepted = passed(&baseline());
    // On the command line a name is looked up from the working folder, which is a temporary one here.
    let folder = repository("models/karat-mini/1").to_string_lossy().into_owned();
    let first = passed(&run(&project, &["--model", &folder]).results);
    assert_eq!(first.len(), accepted.len());
    let turned = first.iter().filter(|(case, passed)| accepted[*case] != **passed).count();
    assert!(turned * 100 <= accepted.len(), "{turned} cases are not as in the baseline");

    let second = run(&project, &[]);
    let (second, code) = (passed(&second.results), second.code);
    let better = second.iter().filter(|(case, passed)| **passed && !accepted[*case]).count();
    let worse = second.iter().filter(|(case, passed)| !**passed && accepted[*case]).count();
    assert!(better >= 5 && worse >= 2, "{better} better, {worse} worse");
    assert_eq!(code, Some(1), "a danger case that passed before fails: the verdict of README's first screen");
}

#[test]
fn its_bytes_do_not_depend_on_the_batching() {
    let project = Project::new();
    let many = run(&project, &["--no-baseline"]);
    let few = run(&project, &["--no-baseline", "--threads", "1", "--batch-tokens", "64", "--max-seqs", "7"]);
    assert!(many.results == few.results, "the results differ");
}

#[test]
fn its_bytes_do_not_depend_on_drafts_and_shared_prefixes() {
    let project = Project::new();
    let folder = repository("models/karat-mini/1").to_string_lossy().into_owned();
    let plain = run(&project, &["--model", &folder, "--no-drafts", "--no-prefix-sharing"]);
    for flags in [&[][..], &["--max-seqs", "1"]] {
        let fast = run(&project, &[&["--model", &folder], flags].concat());
        assert!(plain.results == fast.results, "the results differ: {flags:?}");
        let count = |name: &str| fast.counters[name].as_u64().expect(name);
        assert_eq!(plain.counters["generator.generated_tokens"], count("generator.generated_tokens"));
        let computed = plain.counters["generator.prompt_tokens"].as_u64().expect("prompt tokens");
        assert_eq!(computed, count("generator.prompt_tokens") + count("generator.shared_tokens"));
        assert!(count("generator.shared_tokens") * 4 > computed, "all prompts of the suite begin alike");
        assert!(count("generator.accepted_tokens") > 0, "the baseline has the same answers");
    }
}
