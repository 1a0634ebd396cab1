//! Limits of the system: each is a sentence with a way out, not a signal; what was finished is kept.
#![cfg(unix)]

use std::process::Command;

use serde_json::{Value, json};

use crate::project::{Project, Run, engine_args, random_tiny};

fn lines() -> Vec<Value> {
    (0..100).map(|i| json!({"id": i, "prompt": format!("Question {i}: why?")})).collect()
}

fn flags(more: &[&'static str]) -> Vec<&'static str> {
    [&["--max-new-tokens", "12", "--threads", "1"], more].concat()
}

/// `karat generate` below a limit that the shell sets.
#[track_caller]
fn limited(project: &Project, limit: &str, more: &[&'static str]) -> Run {
    below(limit, &project.command(engine_args("generate", &random_tiny(), &flags(more))))
}

/// A command below a limit that the shell sets.
#[track_caller]
fn below(limit: &str, karat: &Command) -> Run {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\"")])
        .arg(karat.get_program())
        .args(karat.get_args());
    command.current_dir(karat.get_current_dir().expect("a folder"));
    for (name, value) in karat.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.output().expect("start sh");
    Run::new(format!("{command:?}"), output)
}

#[test]
fn a_limit_on_file_sizes_loses_nothing() {
    let project = Project::new();
    project.write_lines("in.jsonl", &lines());
    // In blocks of 512 or 1024 bytes, as the shell has it.
    let run = limited(&project, "-f 8", &[]).code(5).complains(&["ulimit -f"]);
    assert!(run.stderr.contains("--resume"), "{run}");
    assert!(!project.path("out.jsonl").exists());
    limited(&project, "-f unlimited", &["--resume"]).code(0);
    let resumed = project.read("out.jsonl");
    project.karat(engine_args("generate", &random_tiny(), &flags(&[]))).code(0);
    assert_eq!(resumed, project.read("out.jsonl"));
}

#[test]
fn a_suite_that_cannot_be_written_leaves_nothing_behind() {
    let project = Project::new();
    let model = random_tiny();
    let init = project.command(["init", "made/suite", "--model", model.to_str().expect("a path")]);
    below("-f 0", &init).code(5).complains(&["ulimit -f"]);
    assert!(!project.path("made/suite").exists());
    below("-f unlimited", &init).code(0);
}

// Elsewhere the system does not hold processes to it.
#[cfg(target_os = "linux")]
#[test]
fn a_limit_on_memory_is_told() {
    let project = Project::new();
    project.write_lines("in.jsonl", &lines());
    for progress in ["auto", "json"] {
        let run = limited(&project, "-v 300000", &["--progress", progress]).code(5).complains(&["bytes of memory"]);
        assert!(run.stderr.contains("ulimit -v"), "{run}");
        assert!(!project.path("out.jsonl").exists());
        if progress == "json" {
            let told = run.stderr.lines().filter(|line| !line.is_empty());
            assert!(told.map(serde_json::from_str::<Value>).all(|line| line.is_ok()), "{run}");
        }
    }
}
