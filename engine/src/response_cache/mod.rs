//! Answers that were computed before, by everything that decides them.
//!
//! The key is a hash over the bytes of the model's files that are computed with (those of its chat template aside, whose doing is seen in the prompt's
//! tokens), the numerics fingerprint, the prompt's token ids and every option that shapes an answer; sampled answers have
//! their stream of random numbers in it. A name is nowhere in it, so that no model can be given the answer of another.
//!
//! The answers of a model lie in append-only logs, its `segments`. An index of keys is in memory; answers stay in the files
//! and are read and verified when they are asked for. A killed process loses the answers of the last two seconds. An answer
//! whose record is damaged is computed again, and so is what followed it in its segment.
//!
//! An answer from here is the very answer that computing would give, so that a cache changes nothing but the time.

mod segments;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub use self::segments::{CacheFile, cache_files};
use self::segments::{Index, KEY, Place, Segments, short};
use crate::device;
use crate::error::{Error, Result};
use crate::hash::hex;
use crate::log::{Log, LogReader};
use crate::models::model_folder::ModelFolder;
use crate::options::EngineOptions;
use crate::private;
use crate::request::{Finish, GenerateOptions, Sampling};
use crate::sampling::processors::{ProcessorOptions, Processors};
use crate::scheduler::workload::Closed;

/// Raised when keys or answers change their form, or what tokenizers and stop strings make of the same folder and options. Answers
/// of format 2 may be another model's, too: its files were hashed before they were loaded, and could be replaced in between. Those of
/// format 3 lack markers of thoughts that are special tokens.
const FORMAT: u32 = 5;
/// Answers and time between two writes.
const WRITE: (usize, Duration) = (256, Duration::from_secs(2));
/// Files of a model that show in the prompt's tokens already.
const TEMPLATES: [&str; 3] = ["chat_template.jinja", "chat_template.json", "additional_chat_templates/tool_use.jinja"];

/// The answers of one model.
pub struct ResponseCache {
    /// Over model and numerics.
    base: [u8; 32],
    /// All segments, this process's own among them.
    readers: Vec<LogReader>,
    state: Mutex<State>,
}

/// What changes while answers come.
struct State {
    index: Index,
    /// The segment of this process, and its place among all.
    log: Log,
    own: u16,
    /// Answers that were appended and not written yet: they cannot be read.
    unwritten: Vec<(Key, Place)>,
    written: Instant,
    /// Why nothing is written any more.
    failure: Option<Error>,
}

/// What decides an answer, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key([u8; KEY]);

/// What decides an answer beside model and numerics.
#[derive(Serialize)]
struct Question<'a> {
    tokens: &'a [u32],
    max_new_tokens: usize,
    eos: &'a [u32],
    stop: &'a [String],
    /// What goes before a choice, the folder's own included; absent where nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    processors: Option<&'a ProcessorOptions>,
    /// Absent where the choice is greedy.
    sampling: Option<(Sampling, u64)>,
}

/// An answer as it is stored behind its key.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    text: std::borrow::Cow<'a, str>,
    ids: std::borrow::Cow<'a, [u32]>,
    finish: Finish,
}

/// What the header of a segment says.
#[derive(Serialize, Deserialize)]
struct About {
    format: u32,
    /// Where the model was when the segment was begun.
    model: String,
}

impl ResponseCache {
    /// The answers that a model computes with these options, in a folder of caches, which is made where it is missing.
    ///
    /// # Errors
    /// The folder cannot be read or written. The caller can do without a cache.
    pub fn open(folder: &Path, model: &ModelFolder, options: &EngineOptions) -> Result<Self> {
        let fingerprint = device::fingerprint(model, options)?;
        let mut files: BTreeMap<String, String> = model.hashes()?;
        files.retain(|name, _| !TEMPLATES.contains(&name.as_str()));
        let identity = blake3::hash(&json(&(FORMAT, &files))?);
        let base = blake3::hash(&json(&(identity.as_bytes(), fingerprint))?);
        private::create_folder(folder).map_err(|e| Error::io("make the response cache", folder, e))?;
        let place = model.path().canonicalize().unwrap_or_else(|_| model.path().into());
        let about = About { format: FORMAT, model: place.to_string_lossy().into_owned() };
        let name = hex(&identity.as_bytes()[..16]);
        let Segments { readers, index, log, own } = Segments::open(folder, &name, &json(&about)?)?;
        let state = State { index, log, own, unwritten: Vec::new(), written: Instant::now(), failure: None };
        Ok(Self { base: *base.as_bytes(), readers, state: Mutex::new(state) })
    }

    /// Whether it holds no answers at all.
    pub fn is_empty(&self) -> bool {
        self.state().index.is_empty()
    }

    /// The key of an answer. `eos` are the tokens that end it, beside the processors that decide over its tokens; `stream` is its
    /// stream of random numbers.
    ///
    /// # Errors
    /// Options that JSON cannot hold; there are none.
    pub(super) fn key(
        &self,
        tokens: &[u32],
        (eos, processors): (&[u32], Option<&Processors>),
        options: &GenerateOptions,
        stream: u64,
    ) -> Result<Key> {
        // Processors are those of the options over those of the folder.
        let GenerateOptions { max_new_tokens, sampling, stop, .. } = options;
        let processors = processors.map(Processors::options);
        let sampling = (sampling.temperature > 0.0).then_some((*sampling, stream));
        let question = Question { tokens, max_new_tokens: *max_new_tokens, eos, stop, processors, sampling };
        let mut hash = blake3::Hasher::new_keyed(&self.base);
        hash.update(&json(&question)?);
        Ok(Key(*hash.finalize().as_bytes()))
    }

    /// The answer, if it was computed before and is whole.
    pub(super) fn get(&self, key: &Key) -> Option<Closed> {
        let place = self.state().index.get(&short(&key.0)).copied()?;
        let answer = self.read(key, place);
        if answer.is_none() {
            // So that the answer is kept when it has been computed again.
            self.state().index.remove(&short(&key.0));
        }
        answer
    }

    fn read(&self, key: &Key, place: Place) -> Option<Closed> {
        let record = self.readers.get(place.segment())?.read(place.offset()).ok()?;
        let (whole, value) = record.split_at_checked(KEY)?;
        if *whole != key.0 {
            return None;
        }
        let Stored { text, ids, finish } = serde_json::from_slice(value).ok()?;
        Some(Closed { text: text.into_owned(), ids: ids.into_owned(), finish })
    }

    /// Keeps an answer, unless it is kept already.
    pub(super) fn put(&self, key: Key, answer: &Closed) {
        let stored =
            Stored { text: answer.text.as_str().into(), ids: answer.ids.as_slice().into(), finish: answer.finish };
        let Ok(value) = json(&stored) else { return };
        let mut state = self.state();
        let known = state.index.contains_key(&short(&key.0)) || state.unwritten.iter().any(|(other, _)| *other == key);
        if known || state.failure.is_some() {
            return;
        }
        match state.log.append(&[key.0.as_slice(), &value].concat()) {
            Ok(offset) => {
                let place = Place::new(state.own, offset);
                state.unwritten.push((key, place));
            }
            Err(error) => state.failure = Some(error),
        }
        if state.unwritten.len() >= WRITE.0 || state.written.elapsed() >= WRITE.1 {
            state.write();
        }
    }

    /// Writes down what is not written yet.
    ///
    /// # Errors
    /// Why answers could not be kept, now or before.
    pub(super) fn flush(&self) -> Result<()> {
        let mut state = self.state();
        state.write();
        state.failure.take().map_or(Ok(()), Err)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Writes what was appended; from here on it can be found.
    fn write(&mut self) {
        match self.log.flush() {
            Ok(()) => self.index.extend(self.unwritten.drain(..).map(|(key, place)| (short(&key.0), place))),
            Err(error) => self.failure = Some(error),
        }
        self.written = Instant::now();
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Error::internal("failed to write down what decides an answer").caused_by(e))
}
