//! A temporary folder in which karat runs, and what came out of a run.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A reference checkpoint of the project's own.
pub fn fixture(name: &str) -> PathBuf {
    let path = repository("tests/fixtures/models").join(name);
    assert!(path.is_dir(), "no fixture `{name}`; scripts/make_fixtures.py makes them");
    path
}

/// The committed generator of random weights: a byte-level Llama whose answers are mostly printable.
pub fn random_tiny() -> PathBuf {
    repository("tests/fixtures/models/random-tiny")
}

/// A temporary folder in which karat runs.
pub struct Project {
    dir: TempDir,
    caching: bool,
}

impl Project {
    pub fn new() -> Self {
        Self { dir: TempDir::with_prefix("karat-").expect("make a temporary folder"), caching: false }
    }

    /// One whose commands keep answers, in `cache`.
    pub fn caching() -> Self {
        Self { caching: true, ..Self::new() }
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file and the folders above it.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("make a folder");
        std::fs::write(&path, contents).expect("write a file");
        path
    }

    /// Writes one JSON value a line.
    pub fn write_lines(&self, name: &str, lines: &[Value]) -> PathBuf {
        self.write(name, lines.iter().map(|line| format!("{line}\n")).collect::<String>())
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("read {name}: {error}"))
    }

    /// The run folders of a suite, by their ids; what is hidden beside them is none.
    pub fn runs(&self, suite: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path("runs").join(suite)).into_iter().flatten();
        let mut runs: Vec<PathBuf> = entries.map(|entry| entry.expect("read a folder entry").path()).collect();
        runs.retain(|path| path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.')));
        runs.sort();
        runs
    }

    /// Every file below the folder, sorted; what a failed command left behind shows here.
    pub fn files(&self) -> Vec<PathBuf> {
        let (mut files, mut folders) = (Vec::new(), vec![self.dir.path().to_path_buf()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("list a folder") {
                let path = entry.expect("read a folder entry").path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        files
    }

    /// The command, not started, with this folder as its working folder and nothing of the caller's karat settings.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_karat"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        command.env("HF_HUB_OFFLINE", "1").env("NO_COLOR", "1").env("RUST_BACKTRACE", "0");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("KARAT_")) {
            command.env_remove(name);
        }
        // What is compared must be computed.
        command.env("KARAT_CACHE", if self.caching { self.path("cache") } else { PathBuf::new() });
        command
    }

    /// Runs karat to its end.
    #[track_caller]
    pub fn karat<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Run {
        let mut command = self.command(args);
        let output = command.output().expect("start karat");
        Run::new(format!("{command:?}"), output)
    }

    /// Runs an engine command over `lines` and gives the output lines as written, after checking that all ids came
    /// back in order and that the command succeeded.
    #[track_caller]
    pub fn engine_raw(&self, command: &str, model: &Path, lines: &[Value], flags: &[&str]) -> Vec<String> {
        self.write_lines("in.jsonl", lines);
        self.karat(engine_args(command, model, flags)).code(0);
        let text = self.read("out.jsonl");
        assert!(text.is_empty() || text.ends_with('\n'), "the last output line is not ended");
        let written: Vec<String> = text.lines().map(str::to_owned).collect();
        let ids = |values: Vec<Value>| values.iter().map(|value| value["id"].clone()).collect::<Vec<_>>();
        assert_eq!(ids(parse(&written)), ids(lines.to_vec()), "ids or their order differ");
        written
    }

    /// [`Project::engine_raw`], parsed.
    #[track_caller]
    pub fn engine(&self, command: &str, model: &Path, lines: &[Value], flags: &[&str]) -> Vec<Value> {
        parse(&self.engine_raw(command, model, lines, flags))
    }
}

/// The arguments of an engine command between `in.jsonl` and `out.jsonl`.
pub fn engine_args(command: &str, model: &Path, flags: &[&str]) -> Vec<String> {
    let model = model.to_string_lossy();
    let fixed = [command, &model, "--in", "in.jsonl", "--out", "out.jsonl"];
    fixed.iter().chain(flags).map(|arg| (*arg).to_owned()).collect()
}

fn parse(lines: &[String]) -> Vec<Value> {
    lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in output line {line}")))
        .collect()
}

/// What came out of a karat process.
pub struct Run {
    command: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Whatever the outcome, karat must not have panicked.
    #[track_caller]
    pub fn new(command: String, output: std::process::Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        let run = Self { command, code: output.status.code(), stdout, stderr };
        assert!(!run.stderr.contains("panicked"), "a panic{run}");
        run
    }

    #[track_caller]
    pub fn code(self, expected: i32) -> Self {
        assert!(self.code == Some(expected), "exit code {:?} instead of {expected}{self}", self.code);
        self
    }

    /// The standard error holds one of `alternatives`, whatever the case of its letters.
    #[track_caller]
    pub fn complains(self, alternatives: &[&str]) -> Self {
        assert!(holds_one(&self.stderr, alternatives), "standard error holds none of {alternatives:?}{self}");
        self
    }
}

/// Whether `text` holds one of `alternatives`, whatever the case of its letters.
pub fn holds_one(text: &str, alternatives: &[&str]) -> bool {
    let text = text.to_lowercase();
    alternatives.iter().any(|message| text.contains(&message.to_lowercase()))
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\n{}\n--- stdout\n{}\n--- stderr\n{}", self.command, self.stdout, self.stderr)
    }
}

/// Notes a run's manifest as it is now where the order of runs holds its hash, as of a record that was made so.
pub fn note_manifest(run: &Path) {
    let manifest = std::fs::read(run.join("manifest.json")).expect("read the manifest");
    let sha256 = karat::engine::hash::sha256(&manifest);
    let id = run.file_name().and_then(|name| name.to_str()).expect("a run folder");
    let order = run.with_file_name(".order");
    let lines = std::fs::read_to_string(&order).expect("read the order");
    let noted =
        |line: &str| if line.starts_with(&format!("{id} ")) { format!("{id} {sha256}\n") } else { format!("{line}\n") };
    std::fs::write(order, lines.lines().map(noted).collect::<String>()).expect("write the order");
}
