//! One test per row of the table of exit codes, and which code wins where several hold.
//!
//! 0 passed · 1 a rule failed · 2 a mistake · 3 incomplete or inconclusive · 4 nothing selected · 5 the environment failed ·
//! 130 interrupted (SIGTERM: 3).
//! `karat score` on recorded answers decides most rows: what passes is then written in the test itself.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::project::{Project, Run, engine_args, random_tiny};

/// A suite whose two datasets ask for exact answers; every answer's right form is "yes".
struct Suite {
    project: Project,
    golden: Vec<Value>,
    danger: Vec<Value>,
    /// The gate on golden exact matches.
    min: f64,
    /// Further lines of `suite.yaml`.
    more: String,
}

impl Suite {
    fn new() -> Self {
        let case = |id: &str| json!({"id": id, "input": format!("Is {id} gold?"), "target": "yes"});
        Self {
            project: Project::new(),
            golden: ["g1", "g2", "g3", "g4"].map(case).to_vec(),
            danger: ["d1", "d2"].map(case).to_vec(),
            min: 0.75,
            more: String::new(),
        }
    }

    fn write(&self) {
        let model = Value::from(random_tiny().to_string_lossy());
        self.project.write_lines("golden.jsonl", &self.golden);
        self.project.write_lines("danger.jsonl", &self.danger);
        let yaml = format!(
            "version: 1\nname: yes-or-no\nmodels:\n  generator: {{model: {model}}}\ndatasets:\n\
             \x20 - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}}\n\
             \x20 - {{name: danger, kind: danger, file: danger.jsonl, scorers: [exact_match]}}\n\
             generation: {{max_new_tokens: 4, temperature: 0}}\n\
             scorers:\n  - exact_match: {{trim: true}}\n\
             gates:\n  - {{metric: golden.exact_match, min: {}}}\n{}",
            self.min, self.more
        );
        self.project.write("suite.yaml", yaml);
    }

    /// `karat score` with one answer per case; a case without an answer is left out of the file.
    #[track_caller]
    fn score(&self, answers: &[(&str, &str)]) -> Run {
        self.write();
        let dataset = |id: &str| if id.starts_with('g') { "golden" } else { "danger" };
        let line = |(id, output): &(&str, &str)| json!({"dataset": dataset(id), "id": id, "output": output});
        self.project.write_lines("responses.jsonl", &answers.iter().map(line).collect::<Vec<_>>());
        self.project.karat(["score", "suite.yaml", "--responses", "responses.jsonl"])
    }

    #[track_caller]
    fn run(&self) -> Run {
        self.write();
        self.project.karat(["run", "suite.yaml"])
    }

    /// The one file of this name below `runs/`.
    #[track_caller]
    fn only(&self, name: &str) -> PathBuf {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "run folders: {all:?}");
        all[0].clone()
    }

    fn all(&self, name: &str) -> Vec<PathBuf> {
        let is = |path: &PathBuf| path.starts_with(self.project.path("runs")) && path.ends_with(name);
        self.project.files().into_iter().filter(is).collect()
    }

    fn results(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.only("results.jsonl")).expect("read the results");
        text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }
}

const ALL_YES: [(&str, &str); 6] =
    [("g1", "yes"), ("g2", "yes"), ("g3", "yes"), ("g4", "yes"), ("d1", "yes"), ("d2", "yes")];

/// [`ALL_YES`] with other answers for some.
fn but(changes: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let changed = |id: &str| changes.iter().find(|(other, _)| *other == id).map(|(_, output)| *output);
    ALL_YES.iter().map(|(id, output)| (*id, changed(id).unwrap_or(output))).collect()
}

// ---- 0 and 1 --------------------------------------------------------------------------------------------------------

#[test]
fn code_0_when_every_gate_passes() {
    let suite = Suite::new();
    suite.score(&but(&[("g4", "no")])).code(0);
    let results = suite.results();
    let ids: Vec<&str> = results.iter().filter_map(|line| line["id"].as_str()).collect();
    assert_eq!(ids, ["d1", "d2", "g1", "g2", "g3", "g4"], "sorted by dataset, then id");
    assert_eq!(results[5]["passed"], false);
    for file in ["manifest.json", "summary.json", "performance.json", "report.md"] {
        suite.only(file);
    }
}

#[test]
fn code_0_and_the_whole_run_with_a_generator() {
    let suite = Suite { min: 0.0, ..Suite::new() };
    suite.run().code(0);
    assert_eq!(suite.results().len(), 6);
}

#[test]
fn code_1_when_a_gate_fails() {
    let run = Suite::new().score(&but(&[("g3", "no"), ("g4", "no")])).code(1);
    assert!(format!("{}{}", run.stdout, run.stderr).contains("golden.exact_match"), "the verdict names its rule{run}");
    Suite { min: 1.0, ..Suite::new() }.run().code(1);
}

#[test]
fn code_1_when_a_danger_case_is_missing_or_errored() {
    Suite::new().score(&ALL_YES[..5]).code(1);
    let mut suite = Suite { min: 0.0, ..Suite::new() };
    suite.danger.push(json!({"id": "d3", "input": "gold ".repeat(2000), "target": "yes"}));
    suite.run().code(1);
}

#[test]
fn code_1_when_a_danger_case_that_passed_fails() {
    let suite = Suite::new();
    suite.score(&ALL_YES).code(0);
    let base = suite.only("results.jsonl").parent().expect("a run folder").to_path_buf();
    suite
        .project
        .karat(["baseline".as_ref(), "accept".as_ref(), base.as_os_str(), "-m".as_ref(), "test".as_ref()])
        .code(0);
    suite.score(&ALL_YES).code(0);
    suite.score(&but(&[("d2", "no")])).code(1);
    let failed = |path: &PathBuf| std::fs::read_to_string(path).expect("results").contains(r#""output":"no""#);
    let candidate = suite.all("results.jsonl").into_iter().find(failed).expect("the candidate's run");
    let candidate = candidate.parent().expect("a run folder");
    let run = suite.project.karat(["compare".as_ref(), base.as_os_str(), candidate.as_os_str()]).code(1);
    assert!(format!("{}{}", run.stdout, run.stderr).contains("d2"), "the verdict names the case{run}");
    suite.project.karat(["compare".as_ref(), base.as_os_str(), base.as_os_str()]).code(0);
}

// ---- 2 --------------------------------------------------------------------------------------------------------------

#[test]
fn code_2_for_a_wrong_suite() {
    // further lines of the suite, one of what standard error has to hold
    let wrong: [(&str, &[&str]); 4] = [
        ("gatez: []\n", &["gates"]),
        ("clock: \"yesterday\"\n", &["clock", "yesterday"]),
        ("baseline: [\n", &["suite.yaml"]),
        ("prompt: {file: no/such.md}\n", &["no/such.md"]),
    ];
    for (more, fragments) in wrong {
        let suite = Suite { more: more.into(), ..Suite::new() };
        let run = suite.run().code(2).complains(fragments).complains(&["suite.yaml:", "such.md"]);
        assert!(suite.all("results.jsonl").is_empty(), "a refused suite must not leave a run{run}");
    }
}

#[test]
fn code_2_for_unknown_names_with_the_nearest() {
    let suite = Suite::new();
    suite.write();
    let swap = |from: &str, to: &str| {
        let text = suite.project.read("suite.yaml");
        assert!(text.contains(from), "{from}");
        suite.project.write("other.yaml", text.replace(from, to));
        suite.project.karat(["run", "other.yaml"]).code(2)
    };
    swap("version: 1", "version: 9").complains(&["version"]).complains(&["other.yaml:1"]);
    swap("max_new_tokens: 4", "max_new_tokens: many")
        .complains(&["max_new_tokens", "many"])
        .complains(&["other.yaml:"]);
    swap("- exact_match:", "- exact_mach:").complains(&["did you mean `exact_match`?"]).complains(&["other.yaml:"]);
    swap("max_new_tokens", "max_new_token").complains(&["did you mean `max_new_tokens`?"]).complains(&["other.yaml:"]);
    swap("kind: danger", "kind: dangr").complains(&["danger"]).complains(&["other.yaml:"]);
    swap("metric: golden.exact_match", "metric: goldn.exact_match").complains(&["golden"]).complains(&["other.yaml:"]);
    swap("file: golden.jsonl", "file: goldn.jsonl").complains(&["goldn.jsonl"]);
    swap("scorers: [exact_match]", "scorers: [exact]").complains(&["exact_match"]).complains(&["other.yaml:"]);
}

#[test]
fn code_2_for_wrong_data() {
    let mut suite = Suite::new();
    suite.golden.push(suite.golden[1].clone());
    suite
        .run()
        .code(2)
        .complains(&["golden.jsonl"])
        .complains(&["duplicate", "again"])
        .complains(&["2"])
        .complains(&["5"]);
    let suite = Suite::new();
    suite.write();
    suite.project.write("danger.jsonl", "{\"id\":\"d1\",\"input\":\"a\",\"target\":\"b\"}\n{\"id\":");
    suite.project.karat(["run", "suite.yaml"]).code(2).complains(&["danger.jsonl:2"]);
    suite.project.karat(["lint", "suite.yaml"]).code(2).complains(&["danger.jsonl:2"]);
    suite.project.write("danger.jsonl", b"{\"id\":\"d1\",\"input\":\"\xff\",\"target\":\"b\"}\n");
    suite.project.karat(["run", "suite.yaml"]).code(2).complains(&["danger.jsonl:1"]).complains(&["utf-8", "utf8"]);
    let suite = Suite::new();
    suite
        .score(&[ALL_YES.to_vec(), vec![("g9", "yes")]].concat())
        .code(2)
        .complains(&["responses.jsonl:7"])
        .complains(&["g9"]);
}

#[test]
fn code_2_for_an_empty_dataset_and_a_limit_of_zero() {
    let suite = Suite { golden: Vec::new(), ..Suite::new() };
    suite.run().code(2).complains(&["golden.jsonl"]).complains(&["empty"]);
    let suite = Suite::new();
    suite.write();
    suite.project.karat(["run", "suite.yaml", "--limit", "0"]).code(2).complains(&["limit"]);
}

#[test]
fn code_2_for_wrong_usage() {
    let project = Project::new();
    project.karat(["run"]).code(2).complains(&["usage"]);
    project.karat(["run", "no-such-suite.yaml"]).code(2).complains(&["no-such-suite.yaml"]);
    project.karat(["comparre"]).code(2).complains(&["compare"]);
    project.karat(["compare", "no-such-run", "no-such-run"]).code(2).complains(&["no-such-run"]);
}

#[test]
fn lint_accepts_a_good_suite() {
    let suite = Suite::new();
    suite.write();
    suite.project.karat(["lint", "suite.yaml"]).code(0);
    let gone = suite.project.read("suite.yaml").replace("random-tiny", "random-gone");
    suite.project.write("suite.yaml", gone);
    suite.project.karat(["lint", "suite.yaml"]).code(2).complains(&["random-gone"]);
    // What was recorded of it is found all the same.
    suite.project.karat(["runs"]).code(0);
}

// ---- 3 and 4 --------------------------------------------------------------------------------------------------------

#[test]
fn code_3_when_a_golden_case_errored() {
    let mut suite = Suite { min: 0.0, ..Suite::new() };
    suite.golden.push(json!({"id": "g5", "input": "gold ".repeat(2000), "target": "yes"}));
    suite.run().code(3);
    let results = suite.results();
    let line = results.iter().find(|line| line["id"] == "g5").expect("an errored case is recorded");
    assert_eq!((&line["finish"], &line["passed"]), (&json!("error"), &json!(false)), "{line}");
    assert!(line["error"].as_str().is_some_and(|text| text.contains("context")), "{line}");
    assert!(results.iter().filter(|line| line["id"] != "g5").all(|line| line["error"].is_null()));
}

#[test]
fn code_3_when_a_recorded_answer_is_missing() {
    let suite = Suite { min: 0.0, ..Suite::new() };
    suite.score(&but(&[])[1..]).code(3);
    assert_eq!(suite.results().len(), 6, "a missing case is recorded, as an error");
}

#[test]
fn code_1_wins_over_3() {
    let mut suite = Suite { min: 1.0, ..Suite::new() };
    suite.golden.push(json!({"id": "g5", "input": "gold ".repeat(2000), "target": "yes"}));
    suite.run().code(1);
}

/// A suite cannot select nothing yet: a dataset without cases and a limit of 0 are bad input.
#[test]
fn code_4_when_nothing_is_selected() {
    let project = Project::new();
    project.write("in.jsonl", "\n");
    project.karat(engine_args("generate", &random_tiny(), &[])).code(4).complains(&["in.jsonl", "input"]);
}

// ---- 130 ------------------------------------------------------------------------------------------------------------

/// Sends a signal to a command that would take hours, and gives its exit code.
#[cfg(unix)]
fn interrupted_by(signal: &str, mut command: Command) -> Option<i32> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("start karat");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(child.try_wait().expect("look at karat"), None, "it ended before it could be interrupted");
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
    assert!(sent.expect("start kill").success());
    child.wait().expect("wait for karat").code()
}

/// A run of 20,000 cases.
#[cfg(unix)]
fn long_run_interrupted_by(signal: &str) -> Option<i32> {
    let case = |i: usize| json!({"id": format!("g{i}"), "input": "gold ".repeat(20), "target": "yes"});
    let suite = Suite { golden: (0..20_000).map(case).collect(), ..Suite::new() };
    suite.write();
    let args = ["run", "suite.yaml", "--set", "generation.max_new_tokens=800", "--report", "r.html"];
    let code = interrupted_by(signal, suite.project.command(args));
    let report = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".karat-"));
    assert!(!suite.project.files().iter().any(report), "{signal}: a report was left behind");
    code
}

#[cfg(unix)]
#[test]
fn an_interrupted_engine_command_leaves_nothing_behind() {
    for (signal, code) in [("INT", 130), ("TERM", 3)] {
        let project = Project::new();
        let line = |i: usize| json!({"id": i, "prompt": "gold ".repeat(20)});
        project.write_lines("in.jsonl", &(0..20_000).map(line).collect::<Vec<_>>());
        let before = project.files();
        let flags = ["--max-new-tokens", "800", "--ignore-eos"];
        let command = project.command(engine_args("generate", &random_tiny(), &flags));
        assert_eq!(interrupted_by(signal, command), Some(code), "{signal}");
        assert_eq!(project.files(), before, "{signal}: something was left behind");
    }
}

#[cfg(unix)]
#[test]
fn code_130_when_the_user_interrupts() {
    assert_eq!(long_run_interrupted_by("INT"), Some(130));
}

#[cfg(unix)]
#[test]
fn code_3_when_the_system_stops_the_run() {
    assert_eq!(long_run_interrupted_by("TERM"), Some(3));
}

// ---- the table itself -----------------------------------------------------------------------------------------------

#[test]
fn help_and_readme_carry_the_table() {
    let help = Project::new().karat(["--help"]).code(0).stdout;
    let readme = std::fs::read_to_string(crate::project::repository("README.md")).expect("README.md");
    for code in ["0", "1", "2", "3", "4", "5", "130"] {
        let stands_alone = |text: &str| text.split(|c: char| !c.is_ascii_digit()).any(|number| number == code);
        assert!(stands_alone(&help) && stands_alone(&readme), "exit code {code} is missing in --help or README.md");
    }
}
