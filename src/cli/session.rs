//! What `generate`, `logprob`, `embed` and `classify` have in common: lines come in, the engine answers them, answers go out, with a
//! journal, progress, signals and an exit code.
//!
//! A command says what its lines are, which model it opens and what an answer looks like; the order of things stands here.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Exit;
use super::answers::{AnswerArgs, Answers, Asking, Opened};
use super::engine_args::{EngineArgs, LineArgs};
use super::lines::{Identified, Lines};
use super::progress::{Done, Progress};
use super::progress_args::Form;
use super::signals::{Signals, WallArgs};
use crate::engine::models::model_folder::ModelFolder;
use crate::engine::options::EngineOptions;
use crate::error::{Error, Kind, Result};

/// Flags that these commands share.
#[derive(Clone, Copy)]
pub struct Flags<'a> {
    /// Where lines come from and go to.
    pub lines: &'a LineArgs,
    /// Whether an unfinished call goes on.
    pub answers: &'a AnswerArgs,
    /// How long it may take.
    pub wall: &'a WallArgs,
    /// How it computes.
    pub engine: &'a EngineArgs,
    /// How progress is shown.
    pub form: Form,
}

/// What to do.
pub enum Start<T> {
    /// Answer what is not answered yet.
    Ready(Box<Ready<T>>),
    /// Nothing: there is nothing to resume.
    Not(Exit),
}

/// A command whose lines are open, and that has no model yet.
pub struct Ready<T> {
    /// How it computes.
    pub engine: EngineOptions,
    command: &'static str,
    form: Form,
    signals: Signals,
    input: Lines<T>,
    answers: Answers,
    loading: Instant,
}

/// Opens input and output of a command. `options` is what shapes an answer beside the model.
///
/// # Errors
/// Flags, input or output that cannot be used.
pub fn open<T>(command: &'static str, flags: Flags<'_>, options: Value) -> Result<Start<T>>
where
    T: DeserializeOwned + Identified,
{
    let Flags { lines, form, .. } = flags;
    let engine = flags.engine.apply()?;
    let signals = Signals::listen(flags.wall)?;
    let input = Lines::open(lines, &signals)?;
    let asking = Asking { args: flags.answers, quiet: form.is_quiet(), signals: &signals };
    let answers = match Answers::open::<T>(command, lines, asking, options)? {
        Opened::Ready(answers) => answers,
        Opened::Not(exit) => return Ok(Start::Not(exit)),
    };
    let loading = Instant::now();
    Ok(Start::Ready(Box::new(Ready { engine, command, form, signals, input, answers, loading })))
}

impl<T: DeserializeOwned + Identified> Ready<T> {
    /// Holds the model against that of the unfinished call, where there is one.
    ///
    /// # Errors
    /// It is not the same.
    pub fn settle(&self, model: &ModelFolder, fingerprint: &impl Serialize) -> Result<()> {
        self.answers.settle(model, fingerprint)
    }

    /// The model is loaded. The lines that are not answered yet, and what takes their answers.
    pub fn begin(self) -> (impl Iterator<Item = Result<T>> + Send + use<T>, Session) {
        let Self { command, form, signals, input, answers, loading, .. } = self;
        let (loaded, lines) = (loading.elapsed(), answers.unanswered(input));
        let bar = RefCell::new(Progress::start(command, form));
        let (answered, failed) = (Cell::new(0), Cell::new(0));
        (lines, Session { answers, signals, bar, answered, failed, loaded })
    }
}

/// Takes answers and shows progress. The engine calls both from one thread.
pub struct Session {
    answers: Answers,
    signals: Signals,
    bar: RefCell<Progress>,
    /// Lines answered by this call, and of these those that failed.
    answered: Cell<u64>,
    failed: Cell<u64>,
    loaded: Duration,
}

impl Session {
    /// Takes the answer to the line that the engine counts as `number`: `line` makes it of the line's id.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put<L: Serialize>(&self, number: u64, failed: bool, line: impl FnOnce(Value) -> L) -> Result<()> {
        self.answered.set(self.answered.get() + 1);
        self.failed.set(self.failed.get() + u64::from(failed));
        self.answers.put(number, failed, line).inspect_err(|_| self.signals.want_no_more())
    }

    /// Between two steps: what is answered is safe before the next one, and before anybody stops.
    ///
    /// # Errors
    /// Answers cannot be written; a signal came, or the time is over.
    pub fn step(&self, done: Done) -> Result<()> {
        self.answers.flush()?;
        self.signals.check()?;
        self.bar.borrow_mut().show(self.with_failed(done));
        Ok(())
    }

    /// Takes the progress away: what was done in all, or nothing where the work failed.
    pub fn end_progress(&self, done: Option<Done>) {
        self.bar.borrow_mut().end(done.map(|done| self.with_failed(done)));
    }

    fn with_failed(&self, done: Done) -> Done {
        Done { failed: self.failed.get(), ..done }
    }

    /// Ends the output: a file appears whole, or it is said what is kept of it.
    ///
    /// # Errors
    /// That of the work; the output cannot be written.
    pub fn close<T>(self, totals: Result<T>, done: impl FnOnce(&T) -> Done) -> Result<(T, Ended)> {
        self.end_progress(totals.as_ref().ok().map(done));
        let Self { answers, bar, answered, failed, loaded, .. } = self;
        let totals = totals.inspect_err(|error| answers.told(error))?;
        let resumed = answers.resumed();
        answers.close()?;
        let seconds = bar.into_inner().elapsed().as_secs_f64();
        let (answered, failed) = (answered.into_inner(), failed.into_inner());
        Ok((totals, Ended { answered, failed, resumed, seconds, loaded: loaded.as_secs_f64() }))
    }
}

/// What came of a command.
pub struct Ended {
    /// Lines that it answered.
    pub answered: u64,
    /// Of these, those that failed.
    failed: u64,
    /// Lines that the unfinished call had answered.
    resumed: u64,
    /// How long it answered, and how long its model loaded.
    pub seconds: f64,
    pub loaded: f64,
}

impl Ended {
    /// The exit code.
    ///
    /// # Errors
    /// There was no line.
    pub fn exit(&self) -> Result<Exit> {
        finish(self.resumed + self.answered, self.failed)
    }
}

/// The exit code of a command that answers lines.
///
/// # Errors
/// There was no line.
pub fn finish(answered: u64, failed: u64) -> Result<Exit> {
    if answered == 0 {
        return Err(Error::new(Kind::Empty, "the input has no lines"));
    }
    if failed > 0 {
        say!("{failed} of {answered} lines failed; see their `error`");
        return Ok(Exit::Inconclusive);
    }
    Ok(Exit::Passed)
}
