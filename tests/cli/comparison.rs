//! Comparisons and what is made of them: repeats, slices, rankings, gates over traffic, pages for browsers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::project::{Project, Run, random_tiny};

/// Twelve golden cases in two languages, and gates as given.
fn recorded(more: &str) -> Project {
    let project = Project::new();
    let case = |i: usize| {
        let (tag, lang) = (if i.is_multiple_of(2) { "even" } else { "odd" }, if i < 6 { "de" } else { "en" });
        json!({"id": format!("g{i:02}"), "input": format!("Is {i} even?"), "target": "yes", "tags": [tag],
               "metadata": {"lang": lang}})
    };
    project.write_lines("golden.jsonl", &(0..12).map(case).collect::<Vec<_>>());
    let yaml = format!(
        "version: 1\nname: even\ndatasets:\n  - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match], \
         slices: [lang]}}\nscorers:\n  - exact_match: {{}}\n{more}"
    );
    project.write("suite.yaml", yaml);
    project
}

/// Scores answers of which the first `right` are right; `more` goes into every answer.
#[track_caller]
fn score(project: &Project, right: usize, more: impl Fn(usize) -> Value) -> Run {
    let answer = |i: usize| {
        let mut answer = json!({"id": format!("g{i:02}"), "output": if i < right { "yes" } else { "no <b>" }});
        let extra = more(i);
        answer.as_object_mut().expect("an object").extend(extra.as_object().cloned().unwrap_or_default());
        answer
    };
    project.write_lines("answers.jsonl", &(0..12).map(answer).collect::<Vec<_>>());
    project.karat(["score", "suite.yaml", "--responses", "answers.jsonl"])
}

fn plain(_: usize) -> Value {
    json!({})
}

#[test]
fn slices_and_metadata_are_recorded_where_the_suite_asks() {
    let project = recorded("");
    score(&project, 12, plain).code(0);
    project.karat(["baseline", "accept", "latest", "-m", "test"]).code(0);
    score(&project, 6, plain).code(0);
    let report = project.karat(["compare", "main", "latest", "--format", "json"]).code(0);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    let slice = &report["comparison"]["slices"][0];
    assert_eq!(slice["slice"], json!({"metadata": {"key": "lang", "value": "en"}}));
    assert_eq!((&slice["regressed"], &slice["cases"]), (&json!(6), &json!(6)));
    // Four slices: mid-p of 6 in one direction, 0.015625, times four.
    let significance = &slice["significance"];
    assert!((significance["p_value"].as_f64().unwrap() - 0.0625).abs() < 1e-12, "{significance}");
    assert_eq!(significance["significant"], json!(false));
    let markdown = project.karat(["compare", "main", "latest", "--format", "markdown"]).code(0).stdout;
    assert!(markdown.contains("<del>yes</del><ins>no &#60;b&#62;</ins>"), "{markdown}");
}

#[test]
fn repeats_count_cases() {
    let project = recorded(
        "generation: {repeat: 3}\ngates:\n  - {metric: golden.exact_match, max_drop: 0.1, no_significant_drop: true}\n",
    );
    let answer = |i: usize, repeat: usize, right: bool| json!({"id": format!("g{i:02}"), "repeat": repeat, "output": if right { "yes" } else { "no" }});
    let write = |right: &dyn Fn(usize, usize) -> bool| {
        let lines: Vec<_> =
            (0..12).flat_map(|i| (0..3).map(move |r| (i, r))).map(|(i, r)| answer(i, r, right(i, r))).collect();
        project.write_lines("answers.jsonl", &lines);
        project.karat(["score", "suite.yaml", "--responses", "answers.jsonl"])
    };
    let first = write(&|_, r| r > 0).code(0);
    let told = "3 answers to each of 12 cases: pass@1 0.6667, pass@2 1.0000, pass@3 1.0000; pass^1 0.6667";
    assert!(first.stdout.contains(told), "{first}");
    let folder = project.runs("even").remove(0);
    let summary: Value = serde_json::from_slice(&std::fs::read(folder.join("summary.json")).unwrap()).unwrap();
    let repeats = &summary["datasets"][0]["repeats"];
    assert_eq!((&repeats["cases"], &repeats["answers"], &repeats["unstable"]), (&json!(12), &json!(3), &json!(12)));
    assert_eq!(repeats["pass_at"], json!({"1": 0.666667, "2": 1.0, "3": 1.0}));
    assert_eq!(repeats["pass_all"], json!({"1": 0.666667, "2": 0.333333, "3": 0.0}));
    let results = std::fs::read_to_string(folder.join("results.jsonl")).unwrap();
    assert_eq!(results.lines().count(), 36);
    assert!(results.lines().nth(1).unwrap().starts_with(r#"{"dataset":"golden","id":"g00","repeat":1,"#));
    // A saved run's own results are answers again.
    let again = project.karat(["score", "suite.yaml", "--responses", folder.join("results.jsonl").to_str().unwrap()]);
    again.code(0);
    project.karat(["baseline", "accept", "latest", "-m", "test"]).code(0);
    // One case lost all its answers, which is one case: nothing certain.
    let lost = write(&|i, r| r > 0 && i > 0).code(0);
    let words = lost.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("1 regressed, 0 improved of 12 cases (36 answers), clustered sign-flip p = 0.5"), "{lost}");
    // Answers beyond the repeats, and too few of them.
    project.write_lines("answers.jsonl", &[answer(0, 3, true)]);
    let beyond = project.karat(["score", "suite.yaml", "--responses", "answers.jsonl"]).code(2);
    assert!(beyond.stderr.contains("has the `repeat` 3"), "{beyond}");
    project.write_lines("answers.jsonl", &[answer(0, 0, true)]);
    project.karat(["score", "suite.yaml", "--responses", "answers.jsonl", "--no-baseline"]).code(3);
}

#[test]
fn sampled_answers_repeat_and_keep_their_bytes() {
    let project = Project::new();
    let model = Value::from(random_tiny().to_string_lossy());
    let case = |i: usize| json!({"id": format!("c{i}"), "input": format!("Question {i}"), "target": "x"});
    project.write_lines("golden.jsonl", &(0..5).map(case).collect::<Vec<_>>());
    project.write(
        "suite.yaml",
        format!(
            "version: 1\nname: dice\nmodels: {{generator: {{model: {model}}}}}\ndatasets:\n\
             \x20 - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}}\n\
             generation: {{max_new_tokens: 8, temperature: 1.0}}\nscorers: [exact_match]\n"
        ),
    );
    let read = |project: &Project, name: &str| {
        let runs = project.runs("dice");
        std::fs::read_to_string(runs.last().unwrap().join(name)).unwrap()
    };
    project.karat(["run", "suite.yaml", "--repeat", "3"]).code(0);
    let first = read(&project, "results.jsonl");
    let outputs: std::collections::BTreeSet<String> =
        first.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["output"].to_string()).collect();
    assert!(first.lines().count() == 15 && outputs.len() > 5, "answers of one case differ: {outputs:?}");
    let prompts = read(&project, "prompts.jsonl");
    assert_eq!(prompts.lines().count(), 5, "one prompt a case: {prompts}");
    std::fs::remove_dir_all(project.path("runs")).unwrap();
    // Other batches and a probe: the same bytes; what was first among three is the one of a single answer.
    let args =
        ["run", "suite.yaml", "--repeat", "3", "--max-seqs", "2", "--batch-tokens", "5", "--set", "probe.cases=2"];
    project.karat(args).code(0);
    assert_eq!((read(&project, "results.jsonl"), read(&project, "prompts.jsonl")), (first.clone(), prompts));
    let performance: Value = serde_json::from_str(&read(&project, "performance.json")).unwrap();
    let probed = performance["probe"]["cases"].as_array().unwrap();
    assert_eq!(probed.len(), 2);
    for case in probed {
        let (one, all) = (case["first_token_seconds"].as_f64().unwrap(), case["total_seconds"].as_f64().unwrap());
        assert!(0.0 < one && one <= all && case["tokens"].as_u64() > Some(0), "{case}");
    }
    std::fs::remove_dir_all(project.path("runs")).unwrap();
    project.karat(["run", "suite.yaml"]).code(0);
    let single = read(&project, "results.jsonl");
    let firsts: Vec<&str> = first.lines().filter(|line| !line.contains("\"repeat\":")).collect();
    assert_eq!(single.lines().collect::<Vec<_>>(), firsts);
    project.karat(["run", "suite.yaml", "--repeat", "0"]).code(2);
}

#[test]
fn a_prompts_own_diff_comes_first() {
    let project = Project::new();
    let model = Value::from(random_tiny().to_string_lossy());
    project.write_lines("golden.jsonl", &[json!({"id": "1", "input": "Hello?", "target": "x"})]);
    project.write(
        "suite.yaml",
        format!(
            "version: 1\nname: words\nmodels: {{generator: {{model: {model}}}}}\nprompt: {{file: prompt.md}}\ndatasets:\n\
             \x20 - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}}\n\
             generation: {{max_new_tokens: 16, temperature: 1.0}}\nscorers: [exact_match]\n"
        ),
    );
    project.write("prompt.md", "Answer kindly: {{ input }}");
    project.karat(["run", "suite.yaml"]).code(0);
    project.karat(["baseline", "accept", "latest", "-m", "test"]).code(0);
    project.write("prompt.md", "Answer briefly: {{ input }}");
    project.karat(["run", "suite.yaml"]).code(0);
    let report: Value =
        serde_json::from_str(&project.karat(["compare", "main", "latest", "--format", "json"]).code(0).stdout).unwrap();
    let case = &report["comparison"]["changes"][0];
    assert_eq!(
        (&case["prompt_changed"], &case["base"]["prompt"]),
        (&json!(true), &json!("[user]\nAnswer kindly: Hello?"))
    );
    assert_eq!(case["candidate"]["prompt"], "[user]\nAnswer briefly: Hello?");
    let markdown = project.karat(["compare", "main", "latest", "--format", "markdown"]).code(0).stdout;
    assert!(markdown.contains("Answer <del>kindly:</del><ins>briefly:</ins> Hello?"), "{markdown}");
}

#[test]
fn several_candidates_are_ranked() {
    let project = recorded("gates:\n  - {metric: golden.exact_match, max_drop: 0.3}\n");
    for right in [6, 9, 1] {
        score(&project, right, plain);
    }
    let name = |path: std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let runs: Vec<String> = project.runs("even").into_iter().map(name).collect();
    let args = |more: &[&str]| {
        let runs = runs.iter().map(String::as_str);
        ["compare"].into_iter().chain(runs).chain(more.iter().copied()).map(str::to_owned).collect::<Vec<_>>()
    };
    // The last one drops by 5 of 12 against the first.
    let ranked: Value = serde_json::from_str(&project.karat(args(&["--format", "json"])).code(1).stdout).unwrap();
    let rates: Vec<_> =
        ranked["ranking"]["runs"].as_array().unwrap().iter().map(|run| run["quality"].clone()).collect();
    assert_eq!(rates, [json!(0.75), json!(0.5), json!(1.0 / 12.0)]);
    let table = project.karat(args(&["--by", "exact_match"])).code(1);
    assert!(table.stdout.starts_with("ranked by golden.exact_match"), "{table}");
    assert!(table.stdout.contains("(first)"), "{table}");
    let wrong = project.karat(args(&["--by", "exact"])).code(2);
    assert!(wrong.stderr.contains("known are `exact_match`"), "{wrong}");
    project.karat(args(&["--format", "html"])).code(2);
    // Files are written, and those that cannot be are refused before anything is.
    project.karat(args(&["--report", "r.md", "--report", "r.json", "--report", "r.txt"])).code(1);
    assert!(project.read("r.md").starts_with("## karat: ranked by") && project.read("r.txt").starts_with("ranked by"));
    assert_eq!(serde_json::from_str::<Value>(&project.read("r.json")).unwrap(), ranked);
    let refused = project.karat(args(&["--report", "other.md", "--report", "r.xml"])).code(2);
    assert!(refused.stderr.contains("rankings are text (.txt), Markdown (.md) or JSON"), "{refused}");
    assert!(!project.path("other.md").exists());
}

#[test]
fn windows_of_traffic_decide_and_the_verdict_says_why() {
    let gates = "gates:\n  - {fail_if: \"golden.exact_match.fail_rate > 50% over 10m at least 3 cases\"}\n";
    let stamped = |minutes: usize| move |i: usize| json!({"timestamp": format!("2026-11-20T{:02}:{:02}:00+01:00", 10 + i * minutes / 60, i * minutes % 60)});
    let project = recorded(gates);
    // The last four fail: within ten minutes where a case comes every minute, not where one comes every ten.
    score(&project, 8, stamped(10)).code(3);
    let verdicts = |project: &Project| {
        let runs = project.runs("even");
        let text = std::fs::read_to_string(runs.last().unwrap().join("verdict.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let sparse = verdicts(&project);
    assert!(sparse["rules"][0]["reason"].as_str().unwrap().contains("no window has 3 cases"), "{sparse}");
    score(&project, 8, stamped(1)).code(1);
    let burst = verdicts(&project);
    assert_eq!((&burst["format"], &burst["passed"]), (&json!("karat-verdict/4"), &json!(false)));
    assert_eq!((&sparse["outcome"], &burst["outcome"]), (&json!("inconclusive"), &json!("failed")));
    let reason = burst["rules"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("is 1 over 4 cases in the window from 2026-11-20T09:08:00Z"), "{reason}");
    score(&project, 12, stamped(1)).code(0);
    // Without times nothing is known, and what is not known does not pass.
    let unknown = score(&project, 12, plain).code(3);
    assert!(unknown.stdout.contains("12 of 12 cases have no timestamp"), "{unknown}");
    let wrong = score(&project, 12, |_| json!({"timestamp": "yesterday"})).code(2);
    assert!(wrong.stderr.contains("answers.jsonl:1") && wrong.stderr.contains("yesterday"), "{wrong}");
}

#[test]
fn wrong_gates_are_told_before_anything_runs() {
    for (gate, told) in [
        ("{fail_if: \"golden.exact_match.mean >\"}", "the end at column 26 where a number was expected"),
        ("{fail_if: \"golden.exact.mean > 1\"}", "names a scorer that does not look at these cases"),
        ("{metric: golden.exact_match, fail_if: \"golden.exact_match.mean > 1\"}", "both a `metric` and `fail_if`"),
        ("{min: 0.5}", "neither a `metric` nor `fail_if`"),
        ("{metric: performance.total.p95, max: 1}", "needs `probe` in the suite"),
        ("{metric: performance.costs, max: 1}", "there is no such figure"),
        ("{metric: performance.cost, max: 1}", "needs `prices` in the suite"),
        ("{metric: golden.exact_match, min: 0.5, where: {product: x}}", "by which no dataset is sliced"),
        ("{metric: golden.exact_match, lower_is_better: true, min: 0.5}", "needs `non_inferior`"),
        ("{metric: golden.exact_match}", "has no bound"),
    ] {
        let project = recorded(&format!("gates:\n  - {gate}\n"));
        let lint = project.karat(["lint", "suite.yaml"]).code(2);
        let shown = format!("{}{}", lint.stdout, lint.stderr);
        assert!(shown.contains(told) && shown.contains("suite.yaml:8"), "{gate}: {shown}");
    }
}

#[test]
fn a_page_in_a_file_and_on_this_machine_alone() {
    let project = recorded("");
    score(&project, 12, plain).code(0);
    project.karat(["baseline", "accept", "latest", "-m", "test"]).code(0);
    score(&project, 6, plain).code(0);
    project.karat(["view", "latest", "--out", "page.html"]).code(0);
    let page = project.read("page.html");
    assert!(page.starts_with("<!doctype html>") && page.contains("no \\u003cb\\u003e") && !page.contains("no <b>"));
    let compared = project.karat(["compare", "main", "latest", "--format", "html"]).code(0);
    assert!(compared.stdout.starts_with("<!doctype html>"), "{compared}");
    project.karat(["view", "nothing"]).code(2);

    let mut command = project.command(["view", "latest", "--no-open"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut address = Vec::new();
    let mut byte = [0];
    let mut stdout = child.stdout.take().unwrap();
    while stdout.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
        address.push(byte[0]);
    }
    let address = String::from_utf8(address).unwrap();
    let (host, path) = address.strip_prefix("http://").unwrap().split_once('/').unwrap();
    assert!(host.starts_with("127.0.0.1:") && path.len() == 32, "{address}");
    let get = |path: &str, name: &str| {
        let mut stream = TcpStream::connect(host).unwrap();
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: {name}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = get(path, host);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(&page), "{}", &answer[..400]);
    assert!(answer.contains("Content-Security-Policy: default-src 'none'") && answer.contains("no-store"));
    assert!(get(path, "evil.example").starts_with("HTTP/1.1 421"));
    assert!(get("", host).starts_with("HTTP/1.1 404"));
    let interrupt = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
