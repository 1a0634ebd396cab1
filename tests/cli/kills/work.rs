//! The commands that are killed: what they read, how they are called, what they leave, and how one ends that nobody disturbs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::main_job::write_suite;
use crate::power::{Fails, Power};
use crate::project::{Project, fixture, random_tiny};

/// So many lines that one call computes for 1.5 s on an ordinary core, twice that in a sweep, a twentieth where every step is cut
/// off.
fn lines(few: usize) -> usize {
    match super::setting("KARAT_KILLS") {
        None => few,
        Some(_) if super::count("every") > 0 => few / 20,
        Some(_) => 2 * few,
    }
}

/// Cases of the suite that is run.
pub fn cases() -> usize {
    lines(600)
}

/// Danger cases among them.
const DANGER: usize = 20;
/// What must be equal to the byte, but for the run's id and the hash of its manifest.
const COMPARED: [&str; 5] = ["results.jsonl", "prompts.jsonl", "summary.json", VERDICT, "out.jsonl"];
/// What is made of a run once it is committed.
pub const VERDICT: &str = "verdict.json";

/// One of the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// `karat run` with a generator, an embedder and a toxicity classifier.
    Run,
    /// `karat score` of recorded answers, with both encoders.
    Score,
    /// `karat generate`.
    Generate,
    /// `karat embed`.
    Embed,
    /// `karat classify`.
    Classify,
    /// `karat logprob`.
    Logprob,
}

/// What a command has left.
#[derive(Debug, PartialEq)]
pub struct Found {
    /// The compared files by name.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Every file of the folder; a run's id reads `RUN`.
    pub names: BTreeSet<String>,
}

/// A command that nobody disturbed.
pub struct Whole {
    /// What it left.
    pub found: Found,
    /// What it ended with.
    pub code: i32,
    /// How long it took.
    pub time: Duration,
}

impl Whole {
    /// Lines of its output.
    pub fn lines(&self) -> u64 {
        let outputs = ["results.jsonl", "out.jsonl"].iter().filter_map(|name| self.found.files.get(*name));
        outputs.flatten().filter(|byte| **byte == b'\n').count() as u64
    }
}

impl Work {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Run, Self::Score, Self::Generate, Self::Embed, Self::Classify, Self::Logprob];

    /// The subcommand.
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Score => "score",
            Self::Generate => "generate",
            Self::Embed => "embed",
            Self::Classify => "classify",
            Self::Logprob => "logprob",
        }
    }

    /// Whether it leaves a run folder, not a file.
    pub fn keeps_runs(self) -> bool {
        matches!(self, Self::Run | Self::Score)
    }

    /// Writes what the command reads.
    pub fn write(self, project: &Project) {
        let text = |i: usize| {
            let words = (0..12).map(|k| ["gold", "coin", "karat", "measure", "touchstone"][(i * 7 + k * i + k) % 5]);
            format!("{i} {}", words.collect::<Vec<_>>().join(" "))
        };
        let line = |i: usize| match self {
            Self::Generate => json!({"id": i, "prompt": text(i), "max_new_tokens": 150 + i * 37 % 600}),
            Self::Logprob => json!({"id": i, "context": text(i), "continuation": text(i + 1)}),
            _ => json!({"id": i, "text": text(i)}),
        };
        let write = |few: usize| drop(project.write_lines("in.jsonl", &(0..lines(few)).map(line).collect::<Vec<_>>()));
        match self {
            Self::Run => write_suite(project, cases() - DANGER),
            Self::Score => {
                let golden = lines(7000);
                write_suite(project, golden);
                let golden = (0..golden).map(|i| json!({"id": format!("g{i:03}"), "output": text(i)}));
                let danger = (0..DANGER).map(|i| json!({"id": format!("d{i:03}"), "output": text(i)}));
                project.write_lines("responses.jsonl", &golden.chain(danger).collect::<Vec<_>>());
            }
            Self::Generate => write(240),
            Self::Embed | Self::Classify => write(13_000),
            Self::Logprob => write(1700),
        }
    }

    /// The command, not started.
    pub fn command(self, project: &Project, more: &[&str]) -> Command {
        let suite = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
        let engine = |model: &Path, flags: &[&str]| crate::project::engine_args(self.name(), model, flags);
        let mut args = match self {
            // Answers end one behind the other, not all together.
            Self::Run => suite(&["run", "suite.yaml", "--set", "generation.max_new_tokens=300", "--max-seqs", "8"]),
            Self::Score => suite(&["score", "suite.yaml", "--responses", "responses.jsonl"]),
            Self::Generate => engine(&random_tiny(), &["--temperature", "1", "--max-seqs", "8"]),
            Self::Embed => engine(&fixture("bert-mean"), &["--batch-tokens", "64"]),
            Self::Classify => engine(&fixture("bert-multilabel"), &["--batch-tokens", "64"]),
            Self::Logprob => engine(&random_tiny(), &["--batch-tokens", "64"]),
        };
        args.extend(["--threads", "1"].iter().chain(more).map(|arg| (*arg).to_owned()));
        project.command(args)
    }

    /// What the folder holds in the end: the output, or the one run; nothing where there is none yet.
    pub fn found(self, project: &Project) -> Option<Found> {
        let runs = project.runs("main-job");
        assert!(runs.len() <= 1, "one run was started and there are {runs:?}");
        let (folder, id) = match (self.keeps_runs(), runs.first()) {
            (true, Some(run)) => (run.clone(), run.file_name().map(|name| name.to_string_lossy().into_owned())),
            (true, None) => return None,
            (false, _) => (project.path(""), None),
        };
        let read = |name: &str| Some((name.to_owned(), hide(std::fs::read(folder.join(name)).ok()?, id.as_deref())));
        let files: BTreeMap<_, _> = COMPARED.iter().filter_map(|name| read(name)).collect();
        (!files.is_empty()).then(|| Found { files, names: names(project, id.as_deref()) })
    }

    /// How the command ends that nobody disturbs, measured once.
    pub fn whole(self) -> &'static Whole {
        static WHOLE: [OnceLock<Whole>; 6] = [const { OnceLock::new() }; 6];
        WHOLE[self as usize].get_or_init(|| self.measure())
    }

    fn measure(self) -> Whole {
        let project = Project::new();
        self.write(&project);
        let began = Instant::now();
        let output = self.command(&project, &[]).output().expect("start karat");
        let time = began.elapsed();
        let found = self.found(&project);
        let found = found.unwrap_or_else(|| panic!("{self:?}: {}", String::from_utf8_lossy(&output.stderr)));
        println!("{}: {:.2} s", self.name(), time.as_secs_f64());
        Whole { found, code: output.status.code().expect("an exit code"), time }
    }

    /// How many of its calls change a file, see [`Power`]; counted once.
    pub fn calls(self) -> u64 {
        static CALLS: [OnceLock<u64>; 6] = [const { OnceLock::new() }; 6];
        *CALLS[self as usize].get_or_init(|| {
            let project = Project::new();
            self.write(&project);
            let mut command = self.command(&project, &[]);
            let power = Power::arm(&mut command, &project.path(""), Fails::Never, 0);
            let output = command.output().expect("start karat");
            let (whole, found) = (self.whole(), self.found(&project));
            let same = output.status.code() == Some(whole.code) && found.as_ref() == Some(&whole.found);
            assert!(same, "{self:?}: another end under the shim, {}", output.status);
            println!("{}: {} calls change a file", self.name(), power.report().calls);
            power.report().calls
        })
    }
}

/// A text without a run's id and the hashes of what holds times: manifest and report, and of itself.
fn hide(bytes: Vec<u8>, run: Option<&str>) -> Vec<u8> {
    let (Some(run), Ok(text)) = (run, std::str::from_utf8(&bytes)) else { return bytes };
    let timed = |line: &&str| {
        ["manifest_sha256", "report_sha256", "seal"].iter().any(|key| line.starts_with(&format!("  \"{key}\": ")))
    };
    let lines = text.split_inclusive('\n').filter(|line| !timed(line));
    lines.collect::<String>().replace(run, "RUN").into_bytes()
}

/// Every file below the folder, by its path there.
fn names(project: &Project, run: Option<&str>) -> BTreeSet<String> {
    let root = project.path("");
    let name = |path: &Path| path.strip_prefix(&root).expect("a file of the folder").to_string_lossy().into_owned();
    let hide = |name: String| run.map_or(name.clone(), |run| name.replace(run, "RUN"));
    project.files().iter().map(|path| hide(name(path))).collect()
}

/// Journals that are there now, by their names.
pub fn journals(project: &Project) -> Vec<String> {
    names(project, None).into_iter().filter(|name| name.ends_with(".journal")).collect()
}

/// What the run counted: `performance.json`.
pub fn counter(run: &Path, name: &str) -> u64 {
    let bytes = std::fs::read(run.join("performance.json")).expect("read performance.json");
    let performance: Value = serde_json::from_slice(&bytes).expect("JSON");
    performance["counters"][name].as_u64().unwrap_or(0)
}
