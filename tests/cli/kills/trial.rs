//! One trial: a command is cut off once or several times, each time resumed, and must end as one that nobody disturbed.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use karat::stats::CounterRng;

use super::disk::{Disk, limited};
use super::tally::Tally;
use super::work::{VERDICT, Whole, Work, counter, journals};
use crate::power::{Fails, Power, Report};
use crate::project::{Project, Run};

/// What cuts a command off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// SIGKILL at a random moment.
    Kill,
    /// SIGTERM at a random moment.
    Term,
    /// SIGINT at a random moment.
    Int,
    /// The power fails at a random call, and takes what was not synced.
    Power,
    /// The disk is full.
    Disk,
}

/// How one call of the command ended.
#[derive(Debug)]
enum End {
    /// With the exit code of one that was not disturbed.
    Finished,
    /// There was nothing to resume; where its code is not 4, because all was finished before.
    Nothing { finished: bool },
    /// Cut off.
    Cut,
}

/// A trial that is going on.
pub struct Trial {
    work: Work,
    cause: Cause,
    whole: &'static Whole,
    // Before the folder, which can't be removed while something is mounted there.
    disk: Option<Disk>,
    project: Project,
    random: CounterRng,
    tally: Tally,
    /// The command said that it was done, and lost its power then: its work must not be lost.
    acknowledged: bool,
}

impl Trial {
    /// Cuts the command off so many times, and compares what it leaves in the end.
    pub fn run(work: Work, cause: Cause, cuts: u64, seed: u64) -> Tally {
        let mut trial = Self::new(work, cause, seed);
        let mut resume = false;
        for _ in 0..cuts {
            resume = trial.cut_off(resume, None);
        }
        trial.finish(resume);
        trial.tally
    }

    /// Cuts the command off at that call, and compares what it leaves in the end.
    pub fn at_call(work: Work, fails: Fails, seed: u64) -> Tally {
        let cause = if matches!(fails, Fails::Kills(_)) { Cause::Kill } else { Cause::Power };
        let mut trial = Self::new(work, cause, seed);
        let resume = trial.cut_off(false, Some(fails));
        trial.finish(resume);
        trial.tally
    }

    fn new(work: Work, cause: Cause, seed: u64) -> Self {
        let (whole, project, mut random) = (work.whole(), Project::new(), CounterRng::new(seed, 0));
        let mounts = cause == Cause::Disk && Disk::possible() && random.below(3) > 0;
        let disk = mounts.then(|| Disk::mount(&project.path("")));
        work.write(&project);
        Self { work, cause, whole, disk, project, random, tally: Tally::default(), acknowledged: false }
    }

    /// One call that is cut off, there or anywhere, unless it ends before. Whether the next one resumes.
    fn cut_off(&mut self, resume: bool, fails: Option<Fails>) -> bool {
        self.tally.cuts += 1;
        let began = Instant::now();
        let mut command = self.work.command(&self.project, if resume { &["--resume"] } else { &[] });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut report = None;
        let output = match self.cause {
            Cause::Kill if fails.is_none() && self.random.below(3) > 0 => self.signalled(command, "KILL"),
            Cause::Kill => {
                // Between two steps of a commit, which hardly a moment hits.
                let fails = fails.unwrap_or_else(|| Fails::Kills(self.call()));
                self.under_shim(command, fails).0
            }
            Cause::Term => self.signalled(command, "TERM"),
            Cause::Int => self.signalled(command, "INT"),
            Cause::Disk => self.without_room(command),
            Cause::Power => {
                let fails = fails.unwrap_or_else(|| match self.call() {
                    call if call <= self.work.calls() => Fails::At(call),
                    _ => Fails::AtTheEnd,
                });
                let (output, told) = self.under_shim(command, fails);
                report = Some(told);
                output
            }
        };
        self.tally.time += began.elapsed();
        let end = self.end(&output, report, resume);
        match end {
            End::Finished => true,
            End::Nothing { finished } => finished,
            End::Cut => {
                self.tally.landed += 1;
                self.tally.working += u64::from(!journals(&self.project).is_empty());
                self.whole_or_nothing();
                true
            }
        }
    }

    fn signalled(&mut self, mut command: Command, signal: &str) -> Output {
        let moment = Duration::from_micros(self.random.below(self.whole.time.as_micros() as u64));
        let mut child = command.spawn().expect("start karat");
        let deadline = Instant::now() + moment;
        while Instant::now() < deadline && child.try_wait().expect("look at karat").is_none() {
            std::thread::sleep(Duration::from_millis(2).min(deadline - Instant::now()));
        }
        send(&mut child, signal);
        child.wait_with_output().expect("wait for karat")
    }

    fn without_room(&mut self, mut command: Command) -> Output {
        let sizes = || self.whole.found.files.values().map(|bytes| bytes.len() as u64);
        match &self.disk {
            Some(disk) => {
                disk.leave(self.random.below(5 * sizes().sum::<u64>() / 2));
                let output = command.output().expect("start karat");
                disk.widen();
                output
            }
            None => {
                let bytes = self.random.below(5 * sizes().max().unwrap_or(0) / 4);
                let mut command = limited(&command, bytes);
                command.output().expect("start karat under a limit")
            }
        }
    }

    /// A call that changes a file, two of three times one of the first or of the last ones; one more than there are is the end.
    fn call(&mut self) -> u64 {
        let calls = self.work.calls();
        match self.random.below(3) {
            0 => 1 + self.random.below(calls.min(20)),
            1 => calls + 1 - self.random.below(calls.min(40)),
            _ => 1 + self.random.below(calls + 1),
        }
    }

    fn under_shim(&mut self, mut command: Command, fails: Fails) -> (Output, Report) {
        let power = Power::arm(&mut command, &self.project.path(""), fails, self.random.below(1 << 40));
        let output = command.output().expect("start karat");
        (output, power.report())
    }

    /// What the end of a process means, with every exit code that is not allowed refused.
    fn end(&mut self, output: &Output, report: Option<Report>, resume: bool) -> End {
        let status = output.status;
        let run = Run::new(format!("{self}{}", if resume { ", resumed" } else { "" }), copy(output));
        if let Some(report) = report {
            self.tally.see(report);
            if report.crashed && status.signal() == Some(9) {
                self.acknowledged |= run.stdout.contains("run folder: ") || run.stderr.contains("loaded in ");
                return End::Cut;
            }
        }
        self.tally.torn += u64::from(run.stderr.contains("of the journal were torn"));
        let nothing = run.stderr.contains("nothing to resume");
        let finished = run.code == Some(self.whole.code);
        match run.code {
            Some(4) if resume && nothing => {
                assert!(
                    self.work.found(&self.project).is_none(),
                    "nothing to resume, exit code 4, and all is there{run}"
                );
                assert!(!self.acknowledged, "all was done when the power failed, and nothing is left{run}");
                self.tally.nothing += 1;
                End::Nothing { finished: false }
            }
            _ if finished && nothing => {
                assert!(
                    resume && self.work.found(&self.project).is_some(),
                    "nothing to resume, but nothing is there{run}"
                );
                End::Nothing { finished: true }
            }
            _ if finished => End::Finished,
            _ if self.may_end(status) => End::Cut,
            _ => panic!("an end that must not be: {status}{run}"),
        }
    }

    fn may_end(&self, status: ExitStatus) -> bool {
        // Before it listens for signals, a process dies of them; then nothing has begun.
        let early = |signal| status.signal() == Some(signal) && journals(&self.project).is_empty();
        match self.cause {
            Cause::Kill => status.signal() == Some(9),
            Cause::Term => status.code() == Some(3) || early(15),
            Cause::Int => status.code() == Some(130) || early(2),
            Cause::Disk => status.code() == Some(5),
            Cause::Power => false,
        }
    }

    /// Resumes to the end, and compares.
    fn finish(&mut self, mut resume: bool) {
        let mut resumed = Vec::new();
        let before = self.work.found(&self.project).is_some();
        let output = loop {
            let began = Instant::now();
            let known = journals(&self.project);
            let mut command = self.work.command(&self.project, if resume { &["--resume"] } else { &[] });
            let output = command.output().expect("start karat");
            self.tally.time += began.elapsed();
            match self.end(&output, None, resume) {
                End::Nothing { finished: true } => break output,
                End::Nothing { finished: false } => resume = false,
                End::Finished => {
                    if resume {
                        resumed = known;
                    }
                    break output;
                }
                End::Cut => panic!("{self}: cut off, and nobody did"),
            }
        };
        self.compare();
        self.tally.whole += self.whole.time;
        if before {
            return;
        }
        self.tally.cases += self.whole.lines();
        let run = self.project.runs("main-job").pop();
        if let Some(id) = run.as_ref().and_then(|run| run.file_name()) {
            let ours = format!(".{}.journal", id.to_string_lossy());
            let known = resumed.is_empty() || resumed.iter().any(|name| name.ends_with(&ours));
            assert!(known, "{self}: run {id:?} resumes none of {resumed:?}");
        }
        self.tally.resumed += match (run, self.work) {
            (Some(run), Work::Run) => counter(&run, "generator.resumed"),
            (Some(run), _) => counter(&run, "toxicity.resumed"),
            (None, _) => told(&String::from_utf8_lossy(&output.stderr)),
        };
    }

    /// After a cut an output is there as a whole, or not at all; a run may have been cut off before it was judged.
    fn whole_or_nothing(&self) {
        if let Some(found) = self.work.found(&self.project) {
            for (name, bytes) in &self.whole.found.files {
                if name == VERDICT && !found.files.contains_key(name) {
                    continue;
                }
                assert!(found.files.get(name) == Some(bytes), "{self}: {name} is there, but not as it should be");
            }
        }
    }

    fn compare(&self) {
        self.whole_or_nothing();
        let found = self.work.found(&self.project).unwrap_or_else(|| panic!("{self}: nothing is there in the end"));
        let more: Vec<_> = found.names.difference(&self.whole.found.names).collect();
        let less: Vec<_> = self.whole.found.names.difference(&found.names).collect();
        assert!(more.is_empty() && less.is_empty(), "{self}: {more:?} is left over, {less:?} is missing");
    }
}

impl std::fmt::Display for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} cut off by {:?} ({} times)", self.work.name(), self.cause, self.tally.cuts)
    }
}

/// How many lines a command says it takes from its journal.
fn told(stderr: &str) -> u64 {
    let line = stderr.lines().find(|line| line.starts_with("resume: ")).unwrap_or_default();
    let words: Vec<&str> = line.split(' ').collect();
    let number = words.iter().zip(words.iter().skip(1)).find(|(_, word)| **word == "lines");
    number.map_or(0, |(number, _)| number.parse().expect("a number of lines"))
}

/// Sends a signal to a process that may have ended.
pub fn send(child: &mut Child, signal: &str) {
    if child.try_wait().expect("look at karat").is_none() {
        let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(sent.expect("start kill").success(), "a process that was not waited for takes signals");
    }
}

fn copy(output: &Output) -> Output {
    Output { status: output.status, stdout: output.stdout.clone(), stderr: output.stderr.clone() }
}
