//! Where the answers of an engine command go, and `--resume`: to standard output in the order of the input, or to a file that
//! appears whole or not at all.
//!
//! A file is made at the end, from a journal beside it (`.NAME.journal`): every finished line is written there before the next
//! step, in whatever order lines end, so that a call that was killed can be resumed. Nothing tells a finished file from that
//! of another call but its ids.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::engine_args::LineArgs;
use super::lines::{Identified, InOrder, Lines, Output};
use super::signals::Signals;
use super::{Exit, resume, terminal};
use crate::engine::log::{Log, LogReader};
use crate::engine::models::model_folder::ModelFolder;
use crate::error::{Error, Kind, Result};
use crate::record::{Journal, Key, Manifest, Models, Place, RunId, Work, difference, folder, resumable};

/// Flags of the commands that write answers.
#[derive(clap::Args, Clone, Default)]
pub struct AnswerArgs {
    /// Go on with the unfinished call that was to write the same file from the same lines; needs --out FILE. Starts nothing where
    /// there is none.
    #[arg(long)]
    resume: bool,
}

/// How answers are asked for.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    /// The flags.
    pub args: &'a AnswerArgs,
    /// Whether notes are left out.
    pub quiet: bool,
    /// Asked while the input is checked.
    pub signals: &'a Signals,
}

/// What a journal of answers is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Version of karat.
    karat: String,
    /// `generate`, `embed`, `classify` or `logprob`.
    command: String,
    /// What shapes an answer beside the model.
    options: Value,
    /// A hash of the input, where that is a file; lines are held against their answers one by one besides.
    input: Option<String>,
}

/// What to do.
pub enum Opened {
    /// Answer what is not answered yet.
    Ready(Answers),
    /// Nothing: there is nothing to resume.
    Not(Exit),
}

/// Takes answers as they end. Shared by the thread that reads lines and the one that writes answers.
pub struct Answers {
    to: To,
    asked: Arc<Mutex<Asked>>,
}

enum To {
    Stream(Mutex<(Output, InOrder)>),
    File(Box<Filed>),
}

/// A file to be.
struct Filed {
    journal: Arc<Journal<Call>>,
    path: PathBuf,
    /// Lines that were answered by this call, by their places.
    answered: Mutex<HashMap<u64, Place>>,
}

/// Lines on their way through the engine, by the numbers it counts them by.
#[derive(Default)]
struct Asked {
    next: u64,
    /// Lines read, those that were answered before among them.
    lines: u64,
    /// Of these, those that the journal of the unfinished call names, and those whose answers it has.
    met: u64,
    resumed: u64,
    open: HashMap<u64, Line>,
}

struct Line {
    place: u64,
    id: Value,
    hash: [u8; 16],
}

impl Answers {
    /// Opens the destination: a folder that cannot be written is known before anything is loaded.
    ///
    /// # Errors
    /// A destination that cannot be written; `--resume` where there is more than one unfinished call, or another one.
    pub fn open<T: DeserializeOwned + Identified>(
        command: &str,
        lines: &LineArgs,
        args: Asking<'_>,
        options: Value,
    ) -> Result<Opened> {
        let path = &followed(&lines.output);
        let is_stream = path.as_os_str() == "-" || fs::metadata(path).is_ok_and(|data| !data.is_file());
        if is_stream {
            let output = Output::open(path)?;
            if args.args.resume {
                let error = Error::input("output to a stream keeps no journal to resume from");
                return Err(error.with_hint("name a file: --out FILE"));
            }
            let to = To::Stream(Mutex::new((output, InOrder::default())));
            return Ok(Opened::Ready(Self { to, asked: Arc::default() }));
        }
        let input = fs::metadata(&lines.input).is_ok_and(|data| data.is_file());
        let input = input.then(|| checked::<T>(lines, args.signals)).transpose()?;
        let call = Call { karat: env!("CARGO_PKG_VERSION").into(), command: command.into(), options, input };
        let (left, owned) = journals(path)?;
        let journal = match (args.args.resume, left.is_empty()) {
            (true, false) => resumed(&call, &left)?,
            (true, true) if owned => return Err(busy()),
            (true, true) => return finished(command, path, &lines.input).map(Opened::Not),
            (false, _) => {
                left.iter().filter(|path| !args.quiet && LogReader::open(path).is_ok()).for_each(|journal| {
                    say!(
                        "note: `{}` holds what an unfinished call has answered; --resume goes on with it",
                        journal.display()
                    );
                });
                begun(path, &call)?
            }
        };
        let filed = Filed { journal: Arc::new(journal), path: path.clone(), answered: Mutex::default() };
        Ok(Opened::Ready(Self { to: To::File(Box::new(filed)), asked: Arc::default() }))
    }

    /// Holds the model against that of the unfinished call, where there is one.
    ///
    /// # Errors
    /// It is not the same.
    pub fn settle(&self, model: &ModelFolder, fingerprint: &impl Serialize) -> Result<()> {
        let To::File(filed) = &self.to else { return Ok(()) };
        let mut manifest = Manifest::new("", RunId::parse("call")?, Timestamp::UNIX_EPOCH, Value::Null);
        manifest.add_fingerprint("model", fingerprint)?;
        let hashes = [("model".to_owned(), model.hashes()?)].into();
        match filed.journal.settle_models(&Models { fingerprint: manifest.fingerprint, hashes })? {
            None => Ok(()),
            Some(what) => Err(refused(filed.journal.path(), &what)),
        }
    }

    /// Lines read so far whose answers the unfinished call had.
    pub fn resumed(&self) -> u64 {
        self.asked().map_or(0, |asked| asked.resumed)
    }

    /// The lines that are not answered yet.
    pub fn unanswered<T: DeserializeOwned + Identified>(
        &self,
        mut lines: Lines<T>,
    ) -> impl Iterator<Item = Result<T>> + Send + use<T> {
        let asked = self.asked.clone();
        let journal = match &self.to {
            To::File(filed) => Some(filed.journal.clone()),
            To::Stream(_) => None,
        };
        std::iter::from_fn(move || {
            loop {
                let line = match lines.next()? {
                    Ok(line) => line,
                    Err(error) => return Some(Err(error)),
                };
                let Ok(mut asked) = asked.lock() else { return Some(Err(Error::internal("failed to note a line"))) };
                let (place, hash) = (asked.lines, lines.hash());
                asked.lines += 1;
                asked.met += u64::from(journal.as_ref().is_some_and(|journal| journal.knows(&key(place))));
                match journal.as_deref().map_or(Ok(false), |journal| is_answered(journal, place, hash)) {
                    Ok(true) => {
                        asked.resumed += 1;
                        continue;
                    }
                    Ok(false) => {}
                    Err(error) => return Some(Err(lines.at(error))),
                }
                let number = asked.next;
                asked.next += 1;
                asked.open.insert(number, Line { place, id: line.id().clone(), hash });
                return Some(Ok(line));
            }
        })
    }

    /// Takes the answer to the line that the engine counts as `number`: `line` makes it of the line's id. What failed is answered
    /// again by whoever resumes.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put<L: Serialize>(&self, number: u64, failed: bool, line: impl FnOnce(Value) -> L) -> Result<()> {
        let open = self.asked()?.open.remove(&number);
        let Some(Line { place, id, hash }) = open else {
            return Err(Error::internal("failed to find the line of an answer"));
        };
        let line = line(id);
        match &self.to {
            To::Stream(stream) => {
                let mut stream = stream.lock().map_err(|_| Error::internal("failed to write an answer"))?;
                let (output, order) = &mut *stream;
                order.line(number, &line, output)
            }
            To::File(filed) => {
                let mut bytes = [&[u8::from(failed)], &hash[..]].concat();
                serde_json::to_writer(&mut bytes, &line)
                    .map_err(|e| Error::internal("failed to write an answer").caused_by(e))?;
                bytes.push(b'\n');
                let place_in = filed.journal.put(Work::Line, &key(place), &bytes)?;
                filed.answered.lock().map_err(|_| Error::internal("failed to note an answer"))?.insert(place, place_in);
                Ok(())
            }
        }
    }

    /// Writes down what was taken for a file: from here on it survives the process.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn flush(&self) -> Result<()> {
        match &self.to {
            To::Stream(_) => Ok(()),
            To::File(filed) => filed.journal.flush(),
        }
    }

    /// Ends the output: a file appears, whole and durable, and its journal goes.
    ///
    /// # Errors
    /// It cannot be written. The journal stays then.
    pub fn close(self) -> Result<()> {
        let Asked { lines, met, .. } = *self.asked()?;
        match self.to {
            To::Stream(stream) => {
                stream.into_inner().map_err(|_| Error::internal("failed to write an answer"))?.0.close()
            }
            To::File(filed) => filed.close(lines, met),
        }
    }

    /// Says what is kept of a call that failed, and how to go on with it: with a mistake in the call or its input nobody can.
    pub fn told(&self, error: &Error) {
        let To::File(filed) = &self.to else { return };
        if error.kind() == Kind::Input {
            return;
        }
        // What was not flushed yet.
        let _ = filed.journal.flush();
        if !filed.journal.is_empty() {
            let (lines, again) = (filed.journal.finished(), resume::call_again(None));
            say!(
                "unfinished: {lines} answered lines are kept in `{}`; `{again}` goes on with them",
                filed.journal.path().display()
            );
        }
    }

    fn asked(&self) -> Result<MutexGuard<'_, Asked>> {
        self.asked.lock().map_err(|_| Error::internal("failed to note a line"))
    }
}

impl Filed {
    fn close(self, lines: u64, met: u64) -> Result<()> {
        // What fails now costs the file, not the journal.
        self.written(lines, met).map_err(resumable)
    }

    fn written(self, lines: u64, met: u64) -> Result<()> {
        let Self { journal, path, answered } = self;
        journal.flush()?;
        if met < journal.known() {
            let what = format!("the input ends at line {lines}, before the lines that are answered");
            return Err(refused(journal.path(), &what));
        }
        if lines == 0 {
            // Nothing was selected: what is there stays.
            return Ok(());
        }
        let answered = answered.into_inner().map_err(|_| Error::internal("failed to note an answer"))?;
        // Only now: what was computed is safe, and a folder that cannot be written was seen when the journal was begun.
        let mut output = Output::open(&path)?;
        for place in 0..lines {
            let content = match answered.get(&place) {
                Some(answer) => journal.at(*answer)?,
                None => {
                    journal.find(&key(place))?.ok_or_else(|| Error::internal("failed to find the answer to a line"))?
                }
            };
            output.bytes(content.get(HEAD..).unwrap_or_default())?;
        }
        output.close()?;
        journal.remove()
    }
}

/// Bytes of an entry before the line: whether it failed, and the hash of the line that it answers.
const HEAD: usize = 1 + 16;

fn key(place: u64) -> Key {
    Key::of(Work::Line, &[&place.to_le_bytes()])
}

/// Whether the unfinished call has answered the line at this place, and this very line.
fn is_answered(journal: &Journal<Call>, place: u64, hash: [u8; 16]) -> Result<bool> {
    let Some(content) = journal.find(&key(place))? else { return Ok(false) };
    let Some((head, _)) = content.split_at_checked(HEAD) else { return Ok(false) };
    if head[1..] != hash {
        return Err(refused(journal.path(), &format!("line {} of the input changed", place + 1)));
    }
    Ok(head[0] == 0)
}

fn refused(journal: &Path, what: &str) -> Error {
    let error = Error::input(format!("cannot resume from `{}`: {what}", journal.display()));
    error.with_hint("start anew without --resume, and remove the journal if nobody needs it")
}

/// Reads an input file once, so that a line that is wrong is known before anything is computed; a hash over its lines.
fn checked<T: DeserializeOwned + Identified>(args: &LineArgs, signals: &Signals) -> Result<String> {
    let (mut lines, mut hash) = (Lines::<T>::open(args, signals)?, blake3::Hasher::new());
    for number in 1u64.. {
        let Some(line) = lines.next() else { break };
        line?;
        hash.update(&lines.hash());
        if number % 1024 == 0 {
            signals.check()?;
        }
    }
    Ok(hash.finalize().to_hex().to_string())
}

/// The only journal of the same call.
fn resumed(call: &Call, left: &[PathBuf]) -> Result<Journal<Call>> {
    let (mut same, mut other) = (Vec::new(), None);
    for path in left {
        let journal = match Journal::<Call>::resume(path) {
            Ok(Some(journal)) => journal,
            Ok(None) => continue,
            Err(error) => {
                other = Some(error);
                continue;
            }
        };
        match call.changed_since(journal.about()) {
            None => same.push(journal),
            Some(what) => other = Some(refused(path, &what)),
        }
    }
    match (same.pop(), same.is_empty(), other) {
        (Some(journal), true, _) => {
            if journal.cut() > 0 {
                say!("note: the last {} bytes of the journal are damaged; their work is done again", journal.cut());
            }
            say!("resume: {} lines are answered", journal.finished());
            Ok(journal)
        }
        (Some(last), false, _) => {
            let paths = same.iter().chain([&last]).map(|journal| format!("`{}`", journal.path().display()));
            let message = format!("which call to resume is not clear: {}", paths.collect::<Vec<_>>().join(", "));
            Err(Error::input(message).with_hint("remove those that nobody needs"))
        }
        (None, _, Some(other)) => Err(other),
        (None, _, None) => Err(busy()),
    }
}

impl Call {
    /// What is not as it was then, in words.
    fn changed_since(&self, then: &Self) -> Option<String> {
        if then.karat != self.karat {
            return Some(format!("karat {} is now {}", then.karat, self.karat));
        }
        if then.command != self.command {
            return Some(format!("it is of `karat {}`", then.command));
        }
        if let Some(what) = difference(&then.options, &self.options) {
            return Some(what);
        }
        // What came from a stream is held against its answers line by line.
        let files = then.input.as_ref().zip(self.input.as_ref());
        files.filter(|(then, now)| then != now).map(|_| "the input changed".into())
    }
}

/// What a link leads to: the link stays.
fn followed(path: &Path) -> PathBuf {
    match fs::read_link(path) {
        Ok(to) => fs::canonicalize(path).unwrap_or_else(|_| folder(path).join(to)),
        Err(_) => path.to_owned(),
    }
}

/// Journals of this output, the first name first: `.NAME.journal`, `.NAME.2.journal`, ….
fn journal_path(path: &Path, number: u32) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let number = if number > 1 { format!(".{number}") } else { String::new() };
    folder(path).join(format!(".{name}{number}.journal"))
}

/// Most journals of one output.
const MOST: u32 = 100;

/// Journals that nobody is at, and whether there are others.
fn journals(path: &Path) -> Result<(Vec<PathBuf>, bool)> {
    let there = (1..=MOST).map(|number| journal_path(path, number)).filter(|path| path.exists());
    let (mut left, mut owned) = (Vec::new(), false);
    for path in there {
        // Killed while it was created: nothing was computed.
        if Log::remove_incomplete(&path).unwrap_or(false) {
            continue;
        }
        if Log::is_owned(&path)? { owned = true } else { left.push(path) }
    }
    Ok((left, owned))
}

fn busy() -> Error {
    Error::new(Kind::Incomplete, "cannot resume: another karat process is at work on it")
        .with_hint("wait until it ends")
}

fn begun(path: &Path, call: &Call) -> Result<Journal<Call>> {
    for number in 1..=MOST {
        let place = journal_path(path, number);
        // Whoever looks for what a crash left may take a new file for that, once.
        let create = || Journal::create(&place, call.clone());
        match create().or_else(|error| if place.exists() { Err(error) } else { create() }) {
            Err(_) if place.exists() => {}
            begun => return begun,
        }
    }
    let error = Error::input(format!("`{}` has {MOST} journals already", path.display()));
    Err(error.with_hint("remove those that nobody needs"))
}

/// There is no unfinished call: what there is to say of the finished one. Its lines must be those of the input.
fn finished(command: &str, path: &Path, input: &Path) -> Result<Exit> {
    if !path.is_file() {
        say!("nothing to resume: no call that writes `{}` was begun; without --resume it is", path.display());
        return Ok(Exit::Nothing);
    }
    #[derive(Deserialize)]
    struct AnswerLine {
        #[serde(default)]
        id: Value,
        error: Option<String>,
        #[serde(flatten)]
        rest: serde_json::Map<String, Value>,
    }
    let wanted: &[&str] = match command {
        "generate" => &["text"],
        "embed" => &["embedding"],
        "classify" => &["scores"],
        _ => &["logprob", "continuations"],
    };
    let read = |path: &Path| -> Result<Vec<AnswerLine>> {
        let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        let lines = BufReader::new(file).lines().filter(|line| !line.as_ref().is_ok_and(|line| line.trim().is_empty()));
        let parse = |line: std::io::Result<String>| {
            let line = line.map_err(|e| Error::io("read", path, e))?;
            serde_json::from_str(line.trim_start_matches('\u{feff}'))
                .map_err(|e| Error::input("failed to read a line").at(path).caused_by(e))
        };
        lines.map(parse).collect()
    };
    let answers = read(path)?;
    if answers.iter().any(|line| !wanted.iter().any(|key| line.rest.contains_key(*key))) {
        let error = Error::input(format!("`{}` was not written by `karat {command}`", path.display()));
        return Err(error.with_hint("start anew without --resume"));
    }
    if input.is_file() && !read(input)?.iter().map(|line| &line.id).eq(answers.iter().map(|line| &line.id)) {
        let error = Error::input(format!("the lines of `{}` do not belong to this input", path.display()));
        return Err(error.with_hint("start anew without --resume"));
    }
    say!("nothing to resume: {} is finished", terminal::argument(path));
    let failed = answers.iter().any(|line| line.error.is_some());
    Ok(if failed { Exit::Inconclusive } else { Exit::Passed })
}
