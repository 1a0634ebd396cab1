//! Two processes of one suite at once: equal bytes, and nobody touches the other's journal.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use karat::stats::CounterRng;

use super::trial::send;
use super::work::{VERDICT, Work, cases, counter, journals};
use crate::project::{Project, Run};

/// What a call says that would resume the work of a process that goes on.
const BUSY: &str = "another karat process is at work on it";

/// Starts a run of the suite under a label.
fn start(project: &Project, label: &str, more: &[&str]) -> Child {
    let mut command = Work::Run.command(project, &[&["--label", label][..], more].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start karat")
}

#[track_caller]
fn end(child: Child) -> Run {
    let id = child.id();
    Run::new(format!("process {id}"), child.wait_with_output().expect("wait for karat"))
}

/// As many runs as given, each with the bytes of one that nobody disturbed; no journal, nothing unfinished.
#[track_caller]
fn equal(project: &Project, count: usize) -> Vec<PathBuf> {
    let runs = project.runs("main-job");
    assert_eq!(runs.len(), count, "{:?}", project.files());
    for run in &runs {
        let files = Work::Run.whole().found.files.iter().filter(|(name, _)| *name != VERDICT);
        for (name, bytes) in files {
            assert!(std::fs::read(run.join(name)).ok().as_ref() == Some(bytes), "{name} of {}", run.display());
        }
    }
    let hidden = std::fs::read_dir(project.path("runs/main-job")).expect("list runs");
    let hidden = hidden.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let left: Vec<_> = hidden.filter(|name| name.starts_with('.') && name != ".order").collect();
    assert!(left.is_empty(), "left over: {left:?}");
    runs
}

/// Waits until there is a journal, or the process has ended.
fn journalled(project: &Project, child: &mut Child) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while journals(project).is_empty() && child.try_wait().expect("look at karat").is_none() {
        assert!(Instant::now() < deadline, "no journal after a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// One cache for both: afterwards it holds every answer.
pub fn with_one_cache() {
    let project = Project::caching();
    Work::Run.write(&project);
    let both = ["a", "b"].map(|label| start(&project, label, &[]));
    for child in both {
        end(child).code(Work::Run.whole().code);
    }
    equal(&project, 2);
    end(start(&project, "c", &[])).code(Work::Run.whole().code);
    let runs = equal(&project, 3);
    let cached: Vec<u64> = runs.iter().map(|run| counter(run, "generator.cached")).collect();
    assert!(
        cached.contains(&(cases() as u64)),
        "a third run finds all {} answers in the cache, not {cached:?}",
        cases()
    );
}

/// One of two is killed, and resumed while the other goes on.
pub fn one_is_killed(random: &mut CounterRng) {
    let project = Project::new();
    Work::Run.write(&project);
    let code = Work::Run.whole().code;
    let mut first = start(&project, "first", &[]);
    let other = start(&project, "other", &[]);
    journalled(&project, &mut first);
    std::thread::sleep(Duration::from_micros(random.below(Work::Run.whole().time.as_micros() as u64)));
    send(&mut first, "KILL");
    let killed = end(first).code.is_none();
    let resumed = end(start(&project, "first", &["--resume"]));
    let (nothing, other_is_at_it) = (resumed.stderr.contains("nothing to resume"), resumed.stderr.contains(BUSY));
    // It had not begun, and the other one goes on, or has ended meanwhile.
    let allowed = match (other_is_at_it, nothing) {
        (true, _) => vec![3],
        (_, true) => vec![4, code],
        _ => vec![code],
    };
    assert!(resumed.code.is_some_and(|code| allowed.contains(&code)), "{:?}{resumed}", resumed.code);
    end(other).code(code);
    if killed && (nothing || other_is_at_it) && project.runs("main-job").len() < 2 {
        // It had not begun.
        end(start(&project, "first", &[])).code(code);
    }
    equal(&project, 2);
}

/// A run that goes on is none to resume.
pub fn an_owned_journal_is_not_touched() {
    let project = Project::new();
    Work::Run.write(&project);
    let mut owner = start(&project, "owner", &[]);
    journalled(&project, &mut owner);
    let other = end(start(&project, "other", &["--resume"]));
    let finished = owner.try_wait().expect("look at karat").is_some();
    let busy = other.code == Some(3) && other.stderr.contains(BUSY);
    assert!(busy || (finished && other.stderr.contains("nothing to resume")), "{:?}{other}", other.code);
    end(owner).code(Work::Run.whole().code);
    equal(&project, 1);
}
