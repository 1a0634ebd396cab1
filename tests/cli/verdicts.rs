//! No verdict without evidence: three outcomes in every report and as exit code, baselines that are missing, broken or named
//! otherwise, partial runs, labels, and what `baseline accept` refuses.

mod baselines;

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::project::{Project, Run, note_manifest, random_tiny};

/// Eight golden and four danger cases, scored by their answers; the gates are absolute and relative.
const GATES: &str =
    "gates:\n  - {metric: golden.exact_match, min: 0.5, max_drop: 0.2}\n  - {metric: danger.exact_match, min: 0.5}\n";

fn suite(gates: &str) -> Project {
    let project = Project::new();
    let cases = |name: &str, n: usize| {
        (0..n).map(|i| json!({"id": format!("{name}{i}"), "input": "x", "target": "yes"})).collect::<Vec<_>>()
    };
    project.write_lines("golden.jsonl", &cases("g", 8));
    project.write_lines("danger.jsonl", &cases("d", 4));
    let yaml = format!(
        "version: 1\nname: small\ndatasets:\n  - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}}\n\
         \x20 - {{name: danger, kind: danger, file: danger.jsonl, scorers: [exact_match]}}\nscorers: [exact_match]\n{gates}"
    );
    project.write("suite.yaml", yaml);
    project
}

/// Answers: `y` right, `n` wrong, `e` errored, `-` none; golden cases first, danger cases behind a space.
#[track_caller]
fn score(project: &Project, answers: &str, args: &[&str]) -> Run {
    let (golden, danger) = answers.split_once(' ').unwrap_or((answers, "yyyy"));
    let lines = |name: &'static str, answers: &str| {
        let line = move |(i, answer): (usize, char)| {
            let id = format!("{name}{i}");
            match answer {
                'y' => Some(json!({"id": id, "output": "yes"})),
                'n' => Some(json!({"id": id, "output": "no"})),
                'e' => Some(json!({"id": id, "error": "the server gave up"})),
                _ => None,
            }
        };
        answers.chars().enumerate().filter_map(line).collect::<Vec<_>>()
    };
    project.write_lines("answers.jsonl", &[lines("g", golden), lines("d", danger)].concat());
    let fixed = ["score", "suite.yaml", "--responses", "answers.jsonl", "--quiet"];
    project.karat(fixed.iter().chain(args))
}

/// The verdict of the run that was recorded last.
#[track_caller]
fn verdict(project: &Project) -> Value {
    let order = project.read("runs/small/.order");
    let last = order.lines().last().and_then(|line| line.split(' ').next()).expect("a run");
    serde_json::from_str(&project.read(&format!("runs/small/{last}/verdict.json"))).expect("a verdict")
}

#[track_caller]
fn accept(project: &Project) {
    project.karat(["baseline", "accept", "latest", "-m", "test"]).code(0);
}

#[test]
fn three_outcomes_everywhere() {
    let project = suite(GATES);
    let reports = ["r.md", "r.json", "r.xml", "r.html", "r.txt"];
    let flags: Vec<&str> = reports.iter().flat_map(|file| ["--report", file]).collect();
    for (answers, code, word) in [("yyyyyyyy", 0, "passed"), ("nnnnnyyy", 1, "failed"), ("yyyyyyye", 3, "inconclusive")]
    {
        let run = score(&project, answers, &flags).code(code);
        assert_eq!(verdict(&project)["outcome"], word);
        assert_eq!(verdict(&project)["passed"], word == "passed");
        assert_eq!(serde_json::from_str::<Value>(&project.read("r.json")).unwrap()["outcome"], word);
        assert!(
            project.read("r.md").starts_with(&format!("## karat <code>small</code>: {word}")),
            "{}",
            project.read("r.md")
        );
        assert!(project.read("r.html").contains(&format!("\"outcome\":\"{word}\"")));
        let (failures, errors) =
            (project.read("r.xml").matches("<failure").count(), project.read("r.xml").matches("<error").count());
        assert_eq!((failures > 0, errors > 0), (word == "failed", word == "inconclusive"), "{}", project.read("r.xml"));
        assert!(!run.stdout.contains("gates passed"), "the relative rules were not judged: {run}");
        let listed = project.karat(["runs"]).code(0);
        assert!(listed.stdout.contains(word), "{listed}");
        project.karat(["gate"]).code(code);
    }
}

#[test]
fn errored_cases_are_named_with_their_reasons() {
    let project = suite(GATES);
    let run = score(&project, "yyyyyyee", &["--report", "r.md"]).code(3);
    assert!(run.stdout.contains("errored cases (2 of 2)") && run.stdout.contains("golden/g6"), "{run}");
    assert!(run.stdout.contains("the server gave up"), "{run}");
    assert!(run.stdout.contains("of 8 golden cases 2 errored, 0 are missing"), "{run}");
    let markdown = project.read("r.md");
    assert!(markdown.contains("**2 cases errored**") && markdown.contains("the server gave up"), "{markdown}");
    // An errored or missing danger case fails.
    score(&project, "yyyyyyyy yyye", &[]).code(1);
    score(&project, "yyyyyyyy yyy-", &[]).code(1);
}

#[test]
fn a_suite_says_how_many_cases_may_err() {
    let project = suite(&format!("{GATES}errors: {{max: 2}}\n"));
    score(&project, "yyyyyyee", &[]).code(0);
    score(&project, "yyyyyeee", &[]).code(3);
    // Which way they came out would decide: half must pass.
    score(&project, "nnnnyyee", &[]).code(3);
    score(&project, "nnnnnyee", &[]).code(1);
    score(&project, "yyyyyyyy yyye", &[]).code(1);
    let share = suite(&format!("{GATES}errors: {{max: 0.25}}\n"));
    score(&share, "yyyyyyee", &[]).code(0);
    score(&share, "yyyyyeee", &[]).code(3);
    let wrong = suite(&format!("{GATES}errors: {{max: many}}\n"));
    score(&wrong, "yyyyyyyy", &[]).code(2).complains(&["a number of cases, or a share"]).complains(&["suite.yaml:10"]);
}

#[test]
fn advisory_rules_never_change_the_exit_code() {
    let gate = |more: &str| {
        format!(
            "gates:\n  - {{metric: golden.exact_match, {more}, tier: advisory}}\n  - {{metric: danger.exact_match, min: 0.5}}\n"
        )
    };
    let project = suite(&gate("min: 1.0"));
    let run = score(&project, "yyyynnnn", &[]).code(0);
    assert!(run.stdout.contains("warn  golden.exact_match.pass_rate >= 1 (advisory)"), "{run}");
    let rules = verdict(&project);
    let rule = rules["rules"].as_array().unwrap().iter().find(|rule| rule["tier"] == "advisory").unwrap();
    assert_eq!(rule["outcome"], "failed");
    // One without evidence, too.
    let project = suite(
        "gates:\n  - {metric: performance.tokens_per_second, min: 1, tier: advisory}\n  - {metric: danger.exact_match, min: 0.5}\n",
    );
    let run = score(&project, "yyyyyyyy", &[]).code(0);
    assert!(run.stdout.contains("inconclusive  performance.tokens_per_second >= 1 (advisory)"), "{run}");
    let required = suite(
        "gates:\n  - {metric: performance.tokens_per_second, min: 1}\n  - {metric: danger.exact_match, min: 0.5}\n",
    );
    let run = score(&required, "yyyyyyyy", &[]).code(3);
    assert!(run.stdout.contains("its answers were recorded") && !run.stdout.contains("generated nothing;"), "{run}");
}

#[test]
fn a_first_run_is_judged_by_absolute_rules_and_says_what_to_do_next() {
    let project = suite(GATES);
    let first = score(&project, "yyyyyyyy", &[]).code(0);
    assert!(first.stdout.contains("not judged: no baseline yet") && !first.stdout.contains("gates passed"), "{first}");
    let next = first.stderr.lines().find(|line| line.starts_with("next: ")).unwrap_or_else(|| panic!("no next{first}"));
    let command = next.split('`').nth(1).unwrap();
    let words: Vec<&str> = command.split(' ').skip(1).map(|word| if word == "WHY" { "test" } else { word }).collect();
    // Where the verdict must rest on a baseline, there has to be one.
    score(&project, "yyyyyyyy", &["--require-baseline"]).code(3);
    score(&project, "nnnnnnnn", &["--require-baseline"]).code(1);
    let alone = score(&project, "yyyyyyyy", &["--no-baseline"]).code(0);
    assert!(alone.stdout.contains("not judged: --no-baseline"), "{alone}");
    score(&project, "yyyyyyyy", &["--no-baseline", "--require-baseline"]).code(2);
    project.karat(words).code(0);
    let second = score(&project, "yyyyyyyy", &["--require-baseline"]).code(0);
    assert!(second.stdout.contains("gates passed against"), "{second}");
    assert!(!second.stderr.contains("next:"), "{second}");
}

#[test]
fn a_newer_record_is_refused_with_both_versions() {
    let project = suite(GATES);
    score(&project, "yyyyyyyy", &[]).code(0);
    accept(&project);
    let id = project.read("baselines/small/main/current");
    let manifest = format!("baselines/small/main/{}/manifest.json", id.trim());
    let text = project
        .read(&manifest)
        .replace("\"karat-run/1\"", "\"karat-run/7\"")
        .replace("\"karat\": \"", "\"karat\": \"7.");
    project.write(&manifest, text);
    let version = env!("CARGO_PKG_VERSION");
    let both = format!("format 7, written by karat 7.{version}; this is karat {version}");
    score(&project, "yyyyyyyy", &[]).code(2).complains(&[&both]);
    project.karat(["gate"]).code(2).complains(&[&both]);
}

#[test]
fn a_partial_run_compares_what_was_selected_and_is_not_accepted() {
    let project = suite(GATES);
    score(&project, "yyyyyyyy", &[]).code(0);
    accept(&project);
    // Danger cases that were not selected are not missing.
    let run = score(&project, "yyyyyyyy", &["--limit", "2"]).code(0);
    assert!(run.stdout.contains("partial: the call selected 2 cases of danger, 2 cases of golden"), "{run}");
    assert!(run.stdout.contains("8 not selected") && !run.stdout.contains("removed"), "{run}");
    let manifest = project
        .runs("small")
        .into_iter()
        .filter(|run| fs::read_to_string(run.join("manifest.json")).unwrap().contains("\"partial\": true"));
    assert_eq!(manifest.count(), 1);
    project.karat(["baseline", "accept", "latest", "-m", "x"]).code(2).complains(&["it is partial"]);
    let listed = project.karat(["runs"]).code(0);
    assert!(listed.stdout.contains("passed (partial)"), "{listed}");
    // A limit that leaves nothing out selects all.
    let whole = score(&project, "yyyyyyyy", &["--limit", "8"]).code(0);
    assert!(!whole.stdout.contains("partial"), "{whole}");
    accept(&project);
    let partial =
        |run: &std::path::PathBuf| fs::read_to_string(run.join("manifest.json")).unwrap().contains("\"partial\": true");
    let run = project.runs("small").into_iter().find(partial).unwrap();
    project.karat(["baseline", "accept", "--force", "-m", "x", run.to_str().unwrap()]).code(0);
    // The other way round, a whole run against a partial baseline: six golden cases have nothing to be held against.
    let run = score(&project, "yynnnnyy", &[]).code(3);
    assert!(run.stdout.contains("8 not selected") && run.stdout.contains("the baseline is partial"), "{run}");
    score(&project, "yyyyyyyy yyye", &[]).code(1);
}

#[test]
fn records_of_unchanged_suites_keep_their_format() {
    let project = suite(GATES);
    score(&project, "yyyyyyyy", &[]).code(0);
    let run = project.runs("small").remove(0);
    let manifest: Value = serde_json::from_slice(&fs::read(run.join("manifest.json")).unwrap()).unwrap();
    let keys: Vec<&String> = manifest.as_object().unwrap().keys().collect();
    let expected = [
        "format",
        "karat",
        "suite",
        "run_id",
        "created_at",
        "git_commit",
        "fingerprint",
        "hashes",
        "selected",
        "plan",
        "files",
    ];
    assert_eq!((keys, &manifest["format"]), (expected.map(str::to_owned).iter().collect(), &json!("karat-run/1")));
    assert_eq!(manifest["selected"]["golden"], json!({"kind": "golden", "cases": 8}));
    let plan: Vec<&String> = manifest["plan"].as_object().unwrap().keys().collect();
    let expected = [
        "version",
        "name",
        "models",
        "prompt",
        "datasets",
        "generation",
        "scorers",
        "gates",
        "danger",
        "clock",
        "baseline",
    ];
    assert_eq!(plan, expected.map(str::to_owned).iter().collect::<Vec<_>>());
    let summary: Value = serde_json::from_slice(&fs::read(run.join("summary.json")).unwrap()).unwrap();
    let summary: Vec<&String> = summary.as_object().unwrap().keys().collect();
    assert_eq!(summary, ["totals", "datasets"].map(str::to_owned).iter().collect::<Vec<_>>());
}

#[test]
fn an_unknown_field_of_an_old_plan_costs_no_comparison() {
    let project = suite(GATES);
    score(&project, "yyyyyyyy", &[]).code(0);
    score(&project, "yyyyyyyn", &[]).code(0);
    let runs = project.runs("small");
    let edit = |run: &std::path::PathBuf, from: &str, to: &str| {
        let path = run.join("manifest.json");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
        note_manifest(run);
        // It would say that the manifest is not its own.
        let _ = fs::remove_file(run.join("verdict.json"));
    };
    for run in &runs {
        edit(run, "\"clock\":", "\"moon\": {\"phase\": 3},\n    \"clock\":");
    }
    let [one, two] = [&runs[0], &runs[1]].map(|run| run.to_str().unwrap());
    let compared = project.karat(["compare", one, two]).code(0);
    assert!(compared.stdout.contains("1 regressed"), "{compared}");
    project.karat(["gate", two]).code(0);
    // A gate that is not understood is not passed.
    edit(&runs[1], "\"max_drop\": 0.2", "\"max_droop\": 0.2");
    let gated = project.karat(["gate", two]).code(3);
    assert!(gated.stdout.contains("this version of karat does not understand it"), "{gated}");
    // Nor is a baseline that is not understood taken for `main`.
    edit(&runs[0], "\"baseline\": \"main\"", "\"baseline\": {\"tpu\": \"main-tpu\"}");
    let gated = project.karat(["gate", runs[0].to_str().unwrap()]).code(3);
    assert!(gated.stdout.contains("baseline {\"tpu\":\"main-tpu\"}"), "{gated}");
}

#[test]
fn changes_of_the_gates_are_told_first() {
    let project = suite(GATES);
    score(&project, "yyyyyyyy", &[]).code(0);
    accept(&project);
    let yaml = project.read("suite.yaml");
    project.write(
        "suite.yaml",
        yaml.replace("min: 0.5, max_drop: 0.2", "min: 0.0")
            .replace("scorers: [exact_match]\ngates", "scorers:\n  - exact_match: {ignore_case: true}\ngates"),
    );
    let run = score(&project, "yyyynnnn", &[]).code(0);
    let causes: Vec<&str> = run
        .stdout
        .lines()
        .filter(|line| line.starts_with("gates loosened") || line.starts_with("not the same"))
        .collect();
    assert!(causes[0].starts_with("gates loosened: golden.exact_match max_drop: 0.2 -> none"), "{causes:?}{run}");
    assert!(causes[1].starts_with("gates loosened: golden.exact_match min: 0.5 -> 0"), "{causes:?}");
    assert!(causes[2].starts_with("not the same data") || causes[2].starts_with("not the same scorers"), "{causes:?}");
}

#[test]
fn danger_without_a_rule_that_could_fail_is_warned_about() {
    let project = suite("gates:\n  - {metric: golden.exact_match, min: 0.5}\n");
    let lint = project.karat(["lint", "suite.yaml"]).code(0);
    assert!(lint.stderr.contains("no rule on danger cases could fail"), "{lint}");
    let run = score(&project, "yyyyyyyy nnnn", &["--report", "r.md"]).code(0);
    assert!(run.stdout.contains("warning: no rule could have failed"), "{run}");
    assert!(project.read("r.md").contains("**Warning**"));
    assert!(verdict(&project)["warnings"][0].is_string());
    let guarded = suite(GATES);
    let run = score(&guarded, "yyyyyyyy", &[]).code(0);
    assert!(!run.stdout.contains("warning"), "{run}");
}

#[test]
fn the_exact_test_can_be_chosen() {
    let gates = |more: &str| {
        format!(
            "gates:\n  - {{metric: golden.exact_match, no_significant_drop: true{more}}}\n  - {{metric: danger.exact_match, min: 0.5}}\n"
        )
    };
    let project = suite(&gates(", where: {tag: x}").replace("gates:", "statistics: {mcnemar: exact}\ngates:"));
    let tagged = project.read("golden.jsonl").replace("\"input\"", "\"tags\":[\"x\"],\"input\"");
    project.write("golden.jsonl", tagged);
    score(&project, "yyyyyyyy", &[]).code(0);
    accept(&project);
    let filtered = score(&project, "nnnnnyyy", &[]).code(0);
    let words = |run: &Run| run.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(&filtered).contains("pairs, exact McNemar p = 0.0625"), "{filtered}");
    let gates = |more: &str| format!("{}{more}", gates(""));
    for (more, code, test) in
        [("", 1, "mid-p McNemar p = 0.0312"), ("statistics: {mcnemar: exact}\n", 0, "exact McNemar p = 0.0625")]
    {
        let project = suite(&gates(more));
        score(&project, "yyyyyyyy", &[]).code(0);
        accept(&project);
        // Five in one direction: mid-p 0.03125, exact 0.0625.
        let run = score(&project, "nnnnnyyy", &[]).code(code);
        assert!(words(&run).contains(test), "{test}{run}");
    }
    let project = suite(&gates("statistics: {mcnemar: midp}\n"));
    score(&project, "yyyyyyyy", &[]).code(2).complains(&["mid_p"]);
}

#[test]
fn across_numerics_golden_rules_judge_and_danger_transitions_are_marked() {
    let project = suite(GATES);
    score(&project, "yyyyyyyy", &[]).code(0);
    score(&project, "yyyyyyyn nyyy", &[]).code(0);
    let runs = project.runs("small");
    let path = runs[0].join("manifest.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"fingerprint\": {}", "\"fingerprint\": {\"generator.device\": \"cuda 9.0\"}", 1))
        .unwrap();
    note_manifest(&runs[0]);
    fs::remove_file(runs[0].join("verdict.json")).unwrap();
    let [one, two] = [&runs[0], &runs[1]].map(|run| run.to_str().unwrap());
    let run = project.karat(["compare", one, two, "--report", "r.md"]).code(1);
    assert!(run.stdout.contains("danger/d0  regressed  exact_match  numerics may differ"), "{run}");
    assert!(run.stdout.contains("numerics may differ: the runs have"), "{run}");
    assert!(run.stdout.contains("ok    golden.exact_match.pass_rate drops by at most 0.2"), "{run}");
    assert!(project.read("r.md").contains("(numerics may differ)"));
}

#[test]
fn answers_from_the_cache_are_never_cheap() {
    let project = Project::caching();
    let model = Value::from(random_tiny().to_string_lossy());
    project.write_lines("golden.jsonl", &[json!({"id": "1", "input": "Hello?", "target": "x"})]);
    let suite = |more: &str| {
        project.write(
            "suite.yaml",
            format!(
                "version: 1\nname: fast\nmodels: {{generator: {{model: {model}}}}}\ndatasets:\n\
                 \x20 - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}}\n\
                 generation: {{max_new_tokens: 4}}\nscorers: [exact_match]\n\
                 gates:\n  - {{metric: performance.tokens_per_second, min: 0.001}}\n{more}"
            ),
        )
    };
    suite("");
    project.karat(["run", "suite.yaml"]).code(0);
    let cached = project.karat(["run", "suite.yaml"]).code(3);
    assert!(
        cached.stdout.contains("took 1 answers from the cache") && !cached.stdout.contains("generated nothing"),
        "{cached}"
    );
    project.karat(["run", "suite.yaml", "--no-cache"]).code(0);
    suite("probe: {cases: 1}\n");
    let probed = project.karat(["run", "suite.yaml"]).code(0);
    assert!(probed.stdout.contains("by the probe, one case at a time"), "{probed}");
}

#[test]
fn answers_that_the_baseline_gave_are_no_drafts_where_speed_is_asked_for() {
    let project = Project::new();
    let model = Value::from(random_tiny().to_string_lossy());
    project.write_lines("golden.jsonl", &[json!({"id": "1", "input": "Hello?", "target": "x"})]);
    let suite = |gate: &str| {
        project.write(
            "suite.yaml",
            format!(
                "version: 1\nname: fast\nmodels: {{generator: {{model: {model}}}}}\ndatasets:\n\
                 \x20 - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}}\n\
                 generation: {{max_new_tokens: 8}}\nscorers: [exact_match]\nbaseline: main\ngates:\n  - {{{gate}}}\n"
            ),
        )
    };
    let drafts = || {
        let id = project.karat(["runs"]).code(0).stdout;
        let last = id.lines().last().and_then(|line| line.split_whitespace().nth(1)).unwrap().to_owned();
        let performance = project.read(&format!("runs/fast/{last}/performance.json"));
        let performance: Value = serde_json::from_str(&performance).unwrap();
        performance["counters"]["generator.baseline_drafts"].as_u64().unwrap()
    };
    suite("metric: golden.exact_match, min: 0");
    project.karat(["run"]).code(0);
    project.karat(["baseline", "accept", "latest", "-m", "test"]).code(0);
    project.karat(["run"]).code(0);
    assert_eq!(drafts(), 1);
    suite("metric: performance.tokens_per_second, min: 0.001");
    project.karat(["run"]).code(0);
    assert_eq!(drafts(), 0);
}

#[test]
fn more_answers_than_the_baseline_has_pass_nothing() {
    let project = suite(&format!("{GATES}generation: {{repeat: 3}}\n"));
    let score = |repeats: u32, right: u32| {
        let ids = (0..8).map(|i| format!("g{i}")).chain((0..4).map(|i| format!("d{i}")));
        let lines = ids.flat_map(|id| {
            let answer = move |n: u32| json!({"id": id, "repeat": n, "output": if n < right { "yes" } else { "no" }});
            (0..repeats).map(answer)
        });
        project.write_lines("answers.jsonl", &lines.collect::<Vec<_>>());
        let repeat = format!("generation.repeat={repeats}");
        project.karat(["score", "suite.yaml", "--responses", "answers.jsonl", "--set", &repeat])
    };
    score(3, 3).code(0);
    accept(&project);
    score(3, 3).code(0);
    let more = score(10, 5).code(3);
    assert!(more.stdout.contains("3 answers a case in the baseline, 10 in this run"), "{more}");
    assert!(!more.stdout.contains("gates passed"), "{more}");
    let fewer = score(1, 1).code(3);
    assert!(fewer.stdout.contains("all danger cases were answered and scored"), "{fewer}");
}

#[test]
fn cases_under_other_names_pass_nothing() {
    let project = suite(GATES);
    score(&project, "yyyyyyyy", &[]).code(0);
    accept(&project);
    let renamed = project.read("golden.jsonl").replace("\"g", "\"h").replacen("\"h0", "\"g0", 1);
    project.write("golden.jsonl", renamed);
    let answers =
        (0..8).map(|i| json!({"id": if i == 0 { "g0".to_owned() } else { format!("h{i}") }, "output": "yes"}));
    let danger = (0..4).map(|i| json!({"id": format!("d{i}"), "output": "yes"}));
    project.write_lines("answers.jsonl", &answers.chain(danger).collect::<Vec<_>>());
    let run = project.karat(["score", "suite.yaml", "--responses", "answers.jsonl"]).code(3);
    assert!(run.stdout.contains("the runs share 1 cases of `golden`, of 8 in the baseline and 8 in this run"), "{run}");
}
