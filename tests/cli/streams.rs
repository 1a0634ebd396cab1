//! Standard output and standard error that cannot be written: a full disk, a reader that has gone away, nothing at all. The
//! work is done all the same, and nothing panics.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::process::{Command, ExitStatus, Stdio};

use serde_json::{Value, json};

use crate::project::{Project, fixture, random_tiny};

/// Why a stream cannot be written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Broken {
    /// `/dev/full`: every write fails for want of space.
    Full,
    /// A pipe that nobody reads.
    Gone,
}

impl Broken {
    fn stream(self) -> Stdio {
        match self {
            Self::Full => File::options().write(true).open("/dev/full").expect("open /dev/full").into(),
            Self::Gone => {
                let (reader, writer) = std::io::pipe().expect("make a pipe");
                drop(reader);
                writer.into()
            }
        }
    }
}

/// A suite of two datasets, answers to it, and lines for the engine commands.
fn project() -> Project {
    let project = Project::new();
    let case = |id: &str| json!({"id": id, "input": format!("Is {id} gold?"), "target": "yes"});
    project.write_lines("golden.jsonl", &["g1", "g2", "g3"].map(case));
    project.write_lines("danger.jsonl", &["d1"].map(case));
    let answer = |id: &str| json!({"id": id, "output": "yes"});
    project.write_lines("answers.jsonl", &["g1", "g2", "g3", "d1"].map(answer));
    project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "gold"}), json!({"id": 2, "prompt": "silver"})]);
    project.write_lines("texts.jsonl", &[json!({"id": 1, "text": "gold"})]);
    project.write_lines("ids.jsonl", &[json!({"id": 1, "ids": [1, 2, 3]})]);
    let model = Value::from(random_tiny().to_string_lossy());
    project.write(
        "suite.yaml",
        format!(
            "version: 1\nname: streams\nmodels:\n  generator: {{model: {model}}}\ndatasets:\n\
             \x20 - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}}\n\
             \x20 - {{name: danger, kind: danger, file: danger.jsonl, scorers: [exact_match]}}\n\
             generation: {{max_new_tokens: 4, temperature: 0}}\nscorers:\n  - exact_match: {{trim: true}}\n\
             gates:\n  - {{metric: golden.exact_match, min: 0}}\n"
        ),
    );
    project
}

fn commands() -> Vec<Vec<String>> {
    let [model, embedder, classifier] = [random_tiny(), fixture("bert-mean"), fixture("bert-multilabel")]
        .map(|path| path.to_string_lossy().into_owned());
    let commands: [&[&str]; 19] = [
        &["run", "suite.yaml"],
        &["run", "suite.yaml", "--progress", "json", "--report", "report.md"],
        &["score", "suite.yaml", "--responses", "answers.jsonl"],
        &["generate", &model, "--in", "in.jsonl", "--max-new-tokens", "4"],
        &["embed", &embedder, "--in", "texts.jsonl"],
        &["classify", &classifier, "--in", "texts.jsonl"],
        &["logprob", &model, "--in", "ids.jsonl"],
        &["render", &model, "--in", "in.jsonl"],
        &["compare", "latest", "latest"],
        &["gate", "latest"],
        &["runs"],
        &["lint", "suite.yaml"],
        &["models", "list"],
        &["cache", "stats"],
        &["completions", "bash"],
        &["schema", "suite"],
        &["--help"],
        &["--version"],
        &["run", "--no-such-flag"],
    ];
    commands.iter().map(|args| args.iter().map(|arg| (*arg).to_owned()).collect()).collect()
}

#[track_caller]
fn ended(status: ExitStatus, what: &str) -> i32 {
    let code = status.code().unwrap_or_else(|| panic!("{what}: ended by a signal: {status}"));
    assert_ne!(code, 101, "{what}: a panic");
    code
}

#[test]
fn streams_that_cannot_be_written_make_no_command_panic() {
    let project = project();
    for args in commands() {
        let usual = project.karat(&args);
        let code = ended_normally(&usual.code, &args);
        let with = |out: Option<Broken>, err: Option<Broken>| {
            let stream = |broken: Option<Broken>| broken.map_or_else(Stdio::null, Broken::stream);
            let status = project.command(&args).stdout(stream(out)).stderr(stream(err)).status().expect("start karat");
            ended(status, &format!("{args:?} with {out:?} and {err:?}"))
        };
        // Whoever cannot be told what happened changes nothing.
        for broken in [Broken::Full, Broken::Gone] {
            assert_eq!(with(None, Some(broken)), code, "{args:?} with standard error {broken:?}");
        }
        // A result that cannot be written is an error of the environment; a reader that has enough is none.
        let lost = if usual.stdout.is_empty() { code } else { 5 };
        assert_eq!(with(Some(Broken::Full), None), lost, "{args:?} with a full standard output");
        assert_eq!(with(Some(Broken::Full), Some(Broken::Full)), lost, "{args:?} with nothing but full streams");
        let gone = with(Some(Broken::Gone), Some(Broken::Gone));
        assert!([code, lost].contains(&gone), "{args:?} without any reader: {gone}");
    }
}

#[track_caller]
fn ended_normally(code: &Option<i32>, args: &[String]) -> i32 {
    code.unwrap_or_else(|| panic!("{args:?} was ended by a signal"))
}

#[test]
fn a_run_that_cannot_be_shown_is_kept_with_its_reports() {
    let project = project();
    for (index, broken) in [Broken::Full, Broken::Gone].into_iter().enumerate() {
        let report = format!("report-{index}.md");
        let mut command = project.command(["run", "suite.yaml", "--report", &report]);
        let status = command.stdout(broken.stream()).stderr(broken.stream()).status().expect("start karat");
        ended(status, "karat run");
        assert_eq!(project.runs("streams").len(), index + 1, "{broken:?}");
        assert!(project.path(&report).is_file(), "{broken:?}");
    }
    let run = project.command(["run", "suite.yaml"]).stdout(Broken::Full.stream()).output().expect("start karat");
    assert_eq!(run.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&run.stderr).contains("error: failed to write `<stdout>`"));
}

#[test]
fn closed_streams_are_as_good_as_none() {
    let project = project();
    for closed in ["2>&-", ">&-", ">&- 2>&- <&-"] {
        for args in [&["run", "suite.yaml"][..], &["runs"], &["--version"], &["no-such-command"]] {
            let code = project.karat(args).code;
            let karat = project.command(args);
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("exec \"$0\" \"$@\" {closed}")]).arg(karat.get_program()).args(karat.get_args());
            shell.envs(karat.get_envs().filter_map(|(name, value)| Some((name, value?))));
            shell.stdout(Stdio::null()).stderr(Stdio::null());
            let status = shell.current_dir(project.path("")).status().expect("start sh");
            assert_eq!(Some(ended(status, closed)), code, "{args:?} {closed}");
        }
    }
}
