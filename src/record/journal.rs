//! The journal of a run: what models have computed for it, while the run is not recorded yet.
//!
//! `runs/<suite>/.<run-id>.journal` is an append-only log ([`crate::engine::log`]). It opens with the run's manifest as far as it
//! is known at the start; then come the hashes of the models and their fingerprint, and an entry for every finished piece of
//! work, found by a key that is a hash of what was asked. Entries are written before the next step is computed, in
//! whatever order work ends. Once the run has its final place the journal is removed; until then the run can be resumed, and
//! ends with the bytes it would have had: whatever is not here is computed again.
//!
//! A journal holds no results that were derived from others: prompts, scores and figures are made again from the same inputs.
//! The exception are runs that record no answers ([`About::keep_outputs`]): their entries are scored lines.
//!
//! The engine commands keep journals of the same form beside their output files; [`Journal`] knows the two apart by what it
//! is of.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::sort::extend_id;
use super::{Manifest, RunId};
use crate::engine::log::{Log, LogReader};
use crate::error::{Error, Kind, Result};

/// The form of [`About`] and of the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    #[serde(rename = "karat-journal/1")]
    One,
}

/// What the name of a journal ends in.
pub(super) const SUFFIX: &str = ".journal";
/// Bytes of an entry before its content: its kind and its key.
const HEAD: usize = 1 + size_of::<Key>();

/// What a journal is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// `karat-journal/1`.
    format: Format,
    /// What runs, without what only loaded models tell.
    pub manifest: Manifest,
    /// Whether answers are recorded.
    pub keep_outputs: bool,
}

/// What decides an answer beside what [`About`] says, known once the models are loaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Models {
    /// As in [`Manifest::fingerprint`].
    pub fingerprint: BTreeMap<String, String>,
    /// As in [`super::Hashes::models`].
    pub hashes: BTreeMap<String, BTreeMap<String, String>>,
}

impl About {
    /// Of a run that is about to begin.
    pub fn new(manifest: Manifest, keep_outputs: bool) -> Self {
        Self { format: Format::One, manifest, keep_outputs }
    }

    /// What is not as it was, in words: whoever goes on must compute what would have been computed then. Nothing where all is.
    pub fn changed(&self, now: &Self) -> Option<String> {
        let (then, now_) = (&self.manifest, &now.manifest);
        if then.karat != now_.karat {
            return Some(format!("karat {} is now {}", then.karat, now_.karat));
        }
        if then.suite != now_.suite {
            return Some(format!("it is of suite `{}`", then.suite));
        }
        if let Some(what) = difference(&then.plan, &now_.plan) {
            return Some(format!("the plan's {what}"));
        }
        let files = |what: &str, then: &BTreeMap<String, String>, now: &BTreeMap<String, String>| {
            other(then, now).map(|name| format!("the {what} `{name}` changed"))
        };
        files("dataset", &then.hashes.datasets, &now_.hashes.datasets)
            .or_else(|| files("header of dataset", &then.hashes.headers, &now_.hashes.headers))
            .or_else(|| files("prompt", &then.hashes.prompts, &now_.hashes.prompts))
            .or_else(|| (then.selected != now_.selected).then(|| "other cases are selected".into()))
            .or_else(|| (self.keep_outputs != now.keep_outputs).then(|| "--no-outputs is not as it was".into()))
    }
}

/// What a journal is of, as it stands at its beginning.
pub(super) fn parse<A: DeserializeOwned>(bytes: &[u8], path: &Path) -> Result<A> {
    serde_json::from_slice(bytes).map_err(|e| {
        let error = Error::new(Kind::Newer, "failed to read what the journal is of").at(path).caused_by(e);
        error.with_hint("another version of karat wrote it: resume with that one, or start anew")
    })
}

impl Models {
    /// What is not as it was, in words.
    pub fn changed(&self, now: &Self) -> Option<String> {
        let roles = self.hashes.keys().chain(now.hashes.keys());
        let none = BTreeMap::new();
        for role in roles {
            let of = |models: &Self| models.hashes.get(role).unwrap_or(&none).clone();
            if let Some(name) = other(&of(self), &of(now)) {
                return Some(format!("`{name}` of the {role} changed"));
            }
        }
        let part = other(&self.fingerprint, &now.fingerprint)?;
        let value = |models: &Self| models.fingerprint.get(&part).map_or("none".into(), |value| format!("`{value}`"));
        Some(format!("the fingerprint's `{part}` was {} and is {}", value(self), value(now)))
    }
}

/// The first name whose value is not the same.
fn other(then: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Option<String> {
    then.keys().chain(now.keys()).find(|name| then.get(*name) != now.get(*name)).cloned()
}

/// The first place where two values differ, in words: "`a.b` was `1` and is not set".
pub fn difference(then: &Value, now: &Value) -> Option<String> {
    let (key, old, new) = differing(then, now, "")?;
    Some(format!("`{key}` was {} and is {}", short(&old), short(&new)))
}

fn differing(then: &Value, now: &Value, key: &str) -> Option<(String, Value, Value)> {
    if then == now {
        return None;
    }
    let below = |part: String, then: &Value, now: &Value| {
        differing(then, now, &if key.is_empty() { part } else { format!("{key}.{part}") })
    };
    match (then, now) {
        (Value::Object(old), Value::Object(new)) => {
            let get = |map: &serde_json::Map<String, Value>, part: &str| map.get(part).cloned().unwrap_or_default();
            old.keys().chain(new.keys()).find_map(|part| below(part.clone(), &get(old, part), &get(new, part)))
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            old.iter().zip(new).enumerate().find_map(|(at, (old, new))| below(at.to_string(), old, new))
        }
        _ => Some((key.to_owned(), then.clone(), now.clone())),
    }
}

/// A value for a message.
fn short(value: &Value) -> String {
    let text = if value.is_null() { "not set".into() } else { format!("`{value}`") };
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…`", &text[..end]),
        None => text,
    }
}

/// What kind of work an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The models: [`Models`].
    Models,
    /// A generator's response to a case.
    Answer,
    /// What an encoder made of a text.
    Encoded,
    /// A scored line, of runs that record no answers, or an output line of an engine command.
    Line,
}

impl Work {
    fn byte(self) -> u8 {
        match self {
            Self::Models => b'M',
            Self::Answer => b'A',
            Self::Encoded => b'E',
            Self::Line => b'L',
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Models, Self::Answer, Self::Encoded, Self::Line].into_iter().find(|work| work.byte() == byte)
    }

    /// Whether a case is finished with it, as far as models are concerned.
    fn finishes(self) -> bool {
        matches!(self, Self::Answer | Self::Line)
    }

    /// Whether it was computed, so that it is lost with its journal.
    fn is_computed(self) -> bool {
        self != Self::Models
    }
}

/// What was asked, hashed: the names of a case, or a model's role and a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key([u8; 16]);

impl Key {
    /// The key of these parts.
    pub fn of(work: Work, parts: &[&[u8]]) -> Self {
        let mut hash = blake3::Hasher::new();
        hash.update(&[work.byte()]);
        for part in parts {
            hash.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
        let mut key = [0; 16];
        key.copy_from_slice(&hash.finalize().as_bytes()[..16]);
        Self(key)
    }

    /// The key of a case's answer.
    pub fn of_case(work: Work, (dataset, id, repeat): (&str, &str, u32)) -> Self {
        let mut name = Vec::with_capacity(id.len() + 5);
        extend_id(&mut name, id, repeat);
        Self::of(work, &[dataset.as_bytes(), &name])
    }
}

/// A journal that this process owns. Dropping it leaves it for whoever resumes the run, unless nothing was computed yet.
pub struct Journal<A = About> {
    path: PathBuf,
    about: A,
    log: Mutex<Log>,
    reader: LogReader,
    /// Entries that were there when it was opened, by their keys.
    known: HashMap<Key, u64>,
    models: Option<Models>,
    /// Offsets of scored lines.
    lines: Vec<u64>,
    /// What is written.
    written: Counts,
    /// What waits for the next flush.
    waiting: Counts,
    removed: AtomicBool,
}

/// How much a journal holds.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Finished cases.
    pub(super) finished: AtomicU64,
    /// Whatever was computed.
    pub(super) computed: AtomicU64,
}

impl Counts {
    fn add(&self, work: Work) {
        self.finished.fetch_add(u64::from(work.finishes()), Relaxed);
        self.computed.fetch_add(u64::from(work.is_computed()), Relaxed);
    }

    /// Takes over what another counted.
    fn take(&self, other: &Self) {
        self.finished.fetch_add(other.finished.swap(0, Relaxed), Relaxed);
        self.computed.fetch_add(other.computed.swap(0, Relaxed), Relaxed);
    }
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug)]
pub struct Place(u64);

/// Where a run's journal is, within the folder of its suite's runs.
pub fn journal_path(folder: &Path, run_id: &RunId) -> PathBuf {
    folder.join(format!(".{run_id}{SUFFIX}"))
}

impl Journal {
    /// Why the run cannot be resumed.
    pub fn refused(&self, what: &str) -> Error {
        refused(&self.about.manifest.run_id, what)
    }
}

impl<A: Serialize + DeserializeOwned> Journal<A> {
    /// Begins a journal.
    ///
    /// # Errors
    /// There is one of this name, or it cannot be written.
    pub fn create(path: &Path, about: A) -> Result<Self> {
        let bytes =
            serde_json::to_vec(&about).map_err(|e| Error::internal("failed to write the journal").caused_by(e))?;
        Ok(Self::new(Log::create(path, &bytes)?, about, Entries::default()))
    }

    /// Opens the journal of unfinished work to go on with it; nothing where another process is at it. A torn last entry is cut:
    /// its work is done again.
    ///
    /// # Errors
    /// There is none, it cannot be read, or another version wrote it.
    pub fn resume(path: &Path) -> Result<Option<Self>> {
        let mut entries = Entries::default();
        // Whoever lists unfinished work looks at its lock, for a moment.
        for _ in 0..5 {
            if let Some(log) = Log::open_with(path, &mut |offset, payload| entries.add(offset, payload))? {
                let about = parse(log.about(), path)?;
                return Ok(Some(Self::new(log, about, entries)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(None)
    }
}

impl<A> Journal<A> {
    fn new(log: Log, about: A, entries: Entries) -> Self {
        let Entries { known, models, lines, counts } = entries;
        let (path, reader) = (log.path().to_owned(), log.reader());
        let (log, waiting, removed) = (Mutex::new(log), Counts::default(), AtomicBool::new(false));
        Self { path, about, log, reader, known, models, lines, written: counts, waiting, removed }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is of.
    pub fn about(&self) -> &A {
        &self.about
    }

    /// Finished cases that are written.
    pub fn finished(&self) -> u64 {
        self.written.finished.load(Relaxed)
    }

    /// Whether nothing that was computed is written: there is nothing to go on with.
    pub fn is_empty(&self) -> bool {
        self.written.computed.load(Relaxed) == 0
    }

    /// Bytes of a torn last entry that were cut when it was opened.
    pub fn cut(&self) -> u64 {
        self.log.lock().map_or(0, |log| log.cut())
    }

    /// Entries that were there when it was opened, but for the models.
    pub fn known(&self) -> u64 {
        self.known.len() as u64 - u64::from(self.models.is_some())
    }

    /// Whether there was such an entry when the journal was opened.
    pub fn knows(&self, key: &Key) -> bool {
        self.known.contains_key(key)
    }

    /// The content of the entry with this key that was there when the journal was opened.
    ///
    /// # Errors
    /// It cannot be read any more.
    pub fn find(&self, key: &Key) -> Result<Option<Vec<u8>>> {
        self.known.get(key).map(|offset| self.content(*offset)).transpose()
    }

    /// The scored lines that were there when the journal was opened.
    pub fn lines(&self) -> impl Iterator<Item = Result<Vec<u8>>> + '_ {
        self.lines.iter().map(|offset| self.content(*offset))
    }

    fn content(&self, offset: u64) -> Result<Vec<u8>> {
        let mut bytes = self.reader.read(offset)?;
        bytes.drain(..HEAD.min(bytes.len()));
        Ok(bytes)
    }

    /// Adds an entry; it is written with the next [`Journal::flush`].
    ///
    /// # Errors
    /// An entry of more than 1 GiB; the disk failed before.
    pub fn put(&self, work: Work, key: &Key, content: &[u8]) -> Result<Place> {
        let entry = [&[work.byte()], &key.0[..], content].concat();
        let mut log = self.log()?;
        let offset = log.append(&entry).map_err(resumable)?;
        self.waiting.add(work);
        Ok(Place(offset))
    }

    /// The content of an entry that was put and flushed.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn at(&self, place: Place) -> Result<Vec<u8>> {
        self.content(place.0)
    }

    /// Writes what was added: it survives the end of this process from here on, and power loss a second later.
    ///
    /// # Errors
    /// It cannot be written: a full disk, say.
    pub fn flush(&self) -> Result<()> {
        let mut log = self.log()?;
        log.flush().map_err(resumable)?;
        self.written.take(&self.waiting);
        Ok(())
    }

    /// Holds the models that compute against those that computed what is here, and writes them down where there were none yet; what
    /// is not the same, in words.
    ///
    /// # Errors
    /// As for [`Journal::put`].
    pub fn settle_models(&self, models: &Models) -> Result<Option<String>> {
        match &self.models {
            Some(then) => Ok(then.changed(models)),
            None => self.put_models(models).map(|()| None),
        }
    }

    /// Writes down which models compute.
    ///
    /// # Errors
    /// As for [`Journal::put`].
    fn put_models(&self, models: &Models) -> Result<()> {
        let bytes =
            serde_json::to_vec(models).map_err(|e| Error::internal("failed to write the journal").caused_by(e))?;
        self.put(Work::Models, &Key::of(Work::Models, &[]), &bytes)?;
        self.flush()
    }

    /// Whether it was removed.
    pub(super) fn is_gone(&self) -> bool {
        self.removed.load(Relaxed)
    }

    /// Removes it: the run has its place.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self) -> Result<()> {
        self.removed.store(true, Relaxed);
        fs::remove_file(&self.path).map_err(|e| Error::io("remove", &self.path, e))
    }

    fn log(&self) -> Result<MutexGuard<'_, Log>> {
        self.log.lock().map_err(|_| Error::internal("failed to write the journal"))
    }
}

impl<A> Drop for Journal<A> {
    fn drop(&mut self) {
        if !self.removed.load(Relaxed) && self.flush().is_ok() && self.is_empty() {
            // Nothing is lost with it.
            let _ = self.remove();
        }
    }
}

/// Why an unfinished run cannot be resumed.
pub fn refused(run_id: &RunId, what: &str) -> Error {
    let error = Error::input(format!("cannot resume run `{run_id}`: {what}"));
    error.with_hint("start anew without --resume; `karat runs prune` removes unfinished runs")
}

/// Where the environment fails, what a journal has is kept.
pub fn resumable(error: Error) -> Error {
    if error.kind() != Kind::Environment {
        return error;
    }
    let hint = error.hint().unwrap_or("mend what failed").to_owned();
    error.with_hint(format!("{hint}, and go on with --resume"))
}

/// What a journal holds, found out when it is opened.
#[derive(Default)]
pub(super) struct Entries {
    known: HashMap<Key, u64>,
    models: Option<Models>,
    lines: Vec<u64>,
    pub(super) counts: Counts,
}

impl Entries {
    pub(super) fn add(&mut self, offset: u64, payload: &[u8]) {
        let Some((head, content)) = payload.split_at_checked(HEAD) else { return };
        let (Some(work), Ok(key)) = (Work::of(head[0]), head[1..].try_into()) else { return };
        match work {
            Work::Models => self.models = serde_json::from_slice(content).ok(),
            Work::Line => self.lines.push(offset),
            Work::Answer | Work::Encoded => {}
        }
        // What was computed twice, by a run that was resumed from a torn journal, is the same.
        if self.known.insert(Key(key), offset).is_none() {
            self.counts.add(work);
        }
    }
}

#[cfg(test)]
mod tests;
