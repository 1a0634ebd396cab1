//! What ends work before its end: signals and `--max-wall`, also while input is waited for.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::project::{Project, engine_args, fixture, random_tiny};

/// How long a test waits for what comes at once: no measure, only an end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that does not outlive its test.
struct Started(Child);

impl Started {
    fn new(mut command: Command) -> Self {
        Self(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("start karat"))
    }

    /// Waits until it has handlers of its own for SIGINT and SIGTERM.
    #[track_caller]
    fn listening(&mut self) {
        const BOTH: u64 = (1 << (2 - 1)) | (1 << (15 - 1));
        let began = Instant::now();
        loop {
            let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("look at karat");
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("caught signals");
            if u64::from_str_radix(caught.trim(), 16).is_ok_and(|caught| caught & BOTH == BOTH) {
                return;
            }
            assert_eq!(self.0.try_wait().expect("look at karat"), None, "it ended before it listened");
            assert!(began.elapsed() < PATIENCE, "it never listens");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status();
        assert!(sent.expect("start kill").success());
    }

    /// Its end, and what it told.
    #[track_caller]
    fn end(mut self) -> (ExitStatus, String) {
        let mut told = self.0.stderr.take().expect("standard error");
        let reader = std::thread::spawn(move || std::io::read_to_string(&mut told).expect("read standard error"));
        let began = Instant::now();
        let status = loop {
            match self.0.try_wait().expect("look at karat") {
                Some(status) => break status,
                None => std::thread::sleep(Duration::from_millis(10)),
            }
            assert!(began.elapsed() < PATIENCE, "it does not end");
        };
        (status, reader.join().expect("the reader"))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A project with a suite and lines; the suite's run takes hours.
fn project() -> Project {
    let project = Project::new();
    let case = |i: usize| json!({"id": format!("g{i}"), "input": "gold ".repeat(20), "target": "yes"});
    project.write_lines("golden.jsonl", &(0..20_000).map(case).collect::<Vec<_>>());
    let model = Value::from(random_tiny().to_string_lossy());
    project.write(
        "suite.yaml",
        format!(
            "version: 1\nname: long\nmodels:\n  generator: {{model: {model}}}\ndatasets:\n\
             \x20 - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}}\n\
             generation: {{max_new_tokens: 800, temperature: 1.0}}\nscorers:\n  - exact_match: {{trim: true}}\n"
        ),
    );
    project
}

/// Commands that read standard input, and one of its lines.
fn readers() -> Vec<(Vec<String>, Value)> {
    let command = |name: &str, model: std::path::PathBuf| {
        [name, &*model.to_string_lossy(), "--out", "out.jsonl"].map(str::to_owned).to_vec()
    };
    vec![
        (command("generate", random_tiny()), json!({"id": 1, "prompt": "gold", "max_new_tokens": 2})),
        (command("logprob", random_tiny()), json!({"id": 1, "ids": [1, 2, 3]})),
        (command("embed", fixture("bert-mean")), json!({"id": 1, "text": "gold"})),
        (command("classify", fixture("bert-multilabel")), json!({"id": 1, "text": "gold"})),
        (command("render", random_tiny()), json!({"id": 1, "prompt": "gold"})),
        (["score", "suite.yaml", "--responses", "-"].map(str::to_owned).to_vec(), json!({"id": "g1", "output": "yes"})),
    ]
}

#[test]
fn the_first_signal_ends_a_wait_for_standard_input() {
    let project = project();
    let before = project.files();
    for (args, line) in readers() {
        for (signal, code) in [("INT", 130), ("TERM", 3)] {
            for lines in [0, 1] {
                let mut command = project.command(&args);
                command.stdin(Stdio::piped());
                let mut started = Started::new(command);
                let mut input = started.0.stdin.take().expect("standard input");
                (0..lines).for_each(|_| writeln!(input, "{line}").expect("write a line"));
                started.listening();
                std::thread::sleep(Duration::from_millis(200));
                started.signal(signal);
                let (status, told) = started.end();
                assert_eq!(status.code(), Some(code), "{args:?} after {lines} lines: {told}");
                assert!(told.contains(if code == 130 { "interrupted" } else { "terminated" }), "{told}");
                drop(input);
                // What was answered is kept for --resume.
                let journal = project.path(".out.jsonl.journal");
                let left: Vec<_> = project.files().into_iter().filter(|path| lines == 0 || *path != journal).collect();
                assert_eq!(left, before, "{args:?} after {lines} lines: something was left behind");
                let _ = std::fs::remove_file(journal);
            }
        }
    }
}

#[test]
fn the_first_signal_ends_a_wait_for_a_pipe() {
    let project = project();
    let made = Command::new("mkfifo").arg(project.path("pipe")).status().expect("start mkfifo");
    assert!(made.success());
    // One that nobody has opened for writing, and one whose writer says nothing.
    for silent in [false, true] {
        let open = || File::options().read(true).write(true).open(project.path("pipe")).expect("open the pipe");
        let writer = silent.then(open);
        let commands = [
            engine_args("generate", &random_tiny(), &[]).iter().map(|arg| arg.replace("in.jsonl", "pipe")).collect(),
            ["score", "suite.yaml", "--responses", "pipe"].map(str::to_owned).to_vec(),
        ];
        for args in commands {
            let mut started = Started::new(project.command(&args));
            started.listening();
            std::thread::sleep(Duration::from_millis(200));
            started.signal("INT");
            let (status, told) = started.end();
            assert_eq!(status.code(), Some(130), "{args:?}, silent {silent}: {told}");
        }
        drop(writer);
    }
}

#[test]
fn a_pipe_that_nobody_reads_is_an_error() {
    let project = project();
    assert!(Command::new("mkfifo").arg(project.path("pipe.html")).status().expect("start mkfifo").success());
    project.karat(["run", "suite.yaml", "--limit", "1"]).code(0);
    project.write_lines("in.jsonl", &[json!({"id": 1, "prompt": "gold"})]);
    let model = random_tiny().to_string_lossy().into_owned();
    let commands = [
        vec!["generate", &model, "--in", "in.jsonl", "--out", "pipe.html"],
        vec!["gate", "latest", "--report", "pipe.html"],
        vec!["view", "latest", "--out", "pipe.html"],
    ];
    // Each waits for a while.
    let started = commands.map(|args| Started::new(project.command(args)));
    for started in started {
        let (status, told) = started.end();
        assert_eq!(status.code(), Some(5), "{told}");
        assert!(told.contains("nobody reads the pipe"), "{told}");
    }
    // With a reader it is written.
    let mut reader =
        Command::new("cat").arg(project.path("pipe.html")).stdout(Stdio::piped()).spawn().expect("start cat");
    project.karat(["view", "latest", "--out", "pipe.html"]).code(0);
    let page = std::io::read_to_string(reader.stdout.take().expect("its output")).expect("read the page");
    assert!(page.starts_with("<!doctype html>") || page.starts_with("<!DOCTYPE html>"), "{page}");
    assert!(reader.wait().expect("wait for cat").success());
}

#[test]
fn a_device_that_never_ends_is_no_input() {
    let project = project();
    let model = random_tiny().to_string_lossy().into_owned();
    for args in [
        vec!["score", "suite.yaml", "--responses", "/dev/zero"],
        vec!["generate", &model, "--in", "/dev/zero", "--out", "out.jsonl"],
    ] {
        project.karat(args).code(2).complains(&["is a device"]);
    }
    project.karat(["generate", &model, "--in", "/dev/null", "--out", "out.jsonl"]).code(4);
}

#[test]
fn lines_of_a_pipe_are_answered() {
    let project = project();
    assert!(Command::new("mkfifo").arg(project.path("pipe")).status().expect("start mkfifo").success());
    let args = ["generate", &*random_tiny().to_string_lossy(), "--in", "pipe", "--out", "out.jsonl"].map(str::to_owned);
    let started = Started::new(project.command(args));
    let mut pipe = File::options().write(true).open(project.path("pipe")).expect("open the pipe");
    for id in 0..3000 {
        writeln!(pipe, "{}", json!({"id": id, "prompt": "gold", "max_new_tokens": 1})).expect("write a line");
    }
    drop(pipe);
    let (status, told) = started.end();
    assert_eq!(status.code(), Some(0), "{told}");
    assert_eq!(project.read("out.jsonl").lines().count(), 3000);
    // Recorded answers, which are read twice.
    let started = Started::new(project.command(["score", "suite.yaml", "--responses", "pipe", "--limit", "1"]));
    let mut pipe = File::options().write(true).open(project.path("pipe")).expect("open the pipe");
    writeln!(pipe, "{}", json!({"id": "g0", "output": "yes"})).expect("write a line");
    drop(pipe);
    let (status, told) = started.end();
    assert_eq!(status.code(), Some(0), "{told}");
}

#[test]
fn output_that_cannot_be_written_ends_a_wait_for_input() {
    let project = project();
    let model = random_tiny();
    let args = ["generate", &*model.to_string_lossy(), "--max-new-tokens", "64", "--ignore-eos"];
    let mut command = project.command(args);
    let full = File::options().write(true).open("/dev/full").expect("open /dev/full");
    let mut child = command.stdin(Stdio::piped()).stdout(full).stderr(Stdio::piped()).spawn().expect("start karat");
    let mut input = child.stdin.take().expect("standard input");
    for id in 0..500 {
        // The command may end before it has read them all.
        if writeln!(input, "{}", json!({"id": id, "prompt": "gold"})).is_err() {
            break;
        }
    }
    let (status, told) = Started(child).end();
    assert_eq!(status.code(), Some(5), "{told}");
    drop(input);
}

#[test]
fn a_signal_ends_a_run_and_says_how_far_it_came() {
    for (signal, code) in [("INT", 130), ("TERM", 3)] {
        let project = project();
        let mut started = Started::new(project.command(["run", "suite.yaml", "--progress", "json"]));
        // Once something is answered.
        let mut told = BufReader::new(started.0.stderr.take().expect("standard error"));
        let mut line = String::new();
        loop {
            line.clear();
            assert!(told.read_line(&mut line).expect("read standard error") > 0, "it ended too early");
            let event: Value = serde_json::from_str(&line).expect("JSON");
            if event["event"] == "progress" && event["done"].as_u64() > Some(0) {
                break;
            }
        }
        started.signal(signal);
        let rest = std::io::read_to_string(&mut told).expect("read standard error");
        let status = started.0.wait().expect("wait for karat");
        assert_eq!(status.code(), Some(code), "{rest}");
        let events: Vec<Value> = rest.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let ended = events.iter().find(|event| event["event"] == "ended").expect("the end of the phase");
        assert_eq!((&ended["phase"], &ended["complete"]), (&json!("answer"), &json!(false)), "{rest}");
        assert!(events.iter().any(|event| event["event"] == "error"), "{rest}");
        assert!(!rest.contains("answered 20000"), "{rest}");
        assert!(rest.contains("of 20000 cases"), "{rest}");
    }
}

#[test]
fn the_time_is_over() {
    let project = project();
    let over = "error: stopped: `--max-wall 1s` is over";
    let run = project.karat(["run", "suite.yaml", "--max-wall", "1s"]).code(3).complains(&[over]);
    assert!(!run.stderr.contains("answered 20000 cases"), "{run}");
    for (args, _) in readers().into_iter().filter(|(args, _)| args[0] != "render") {
        let mut command = project.command(&args);
        command.args(["--max-wall", "1s"]).stdin(Stdio::piped());
        let mut started = Started::new(command);
        let input = started.0.stdin.take();
        let (status, told) = started.end();
        assert_eq!(status.code(), Some(3), "{args:?}: {told}");
        assert!(told.contains(over), "{args:?}: {told}");
        drop(input);
    }
}

#[test]
fn a_wrong_time_is_wrong_usage() {
    let project = project();
    for wrong in ["0s", "soon", "-5m", "30", ""] {
        let flag = format!("--max-wall={wrong}");
        project.karat(["run", "suite.yaml", &flag]).code(2).complains(&["--max-wall"]);
    }
    project.karat(["run", "suite.yaml", "--dry-run", "--max-wall", "1h 30m"]).code(0);
}
