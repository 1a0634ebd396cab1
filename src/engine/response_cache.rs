//! Answers that were computed before, by everything that decides them.
//!
//! The key is a hash over the model's files (those of its chat template aside, whose doing is seen in the prompt's
//! tokens), the numerics fingerprint, the prompt's token ids and every option that shapes an answer; sampled answers have
//! their stream of random numbers in it. A name is nowhere in it, so that no model can be given the answer of another. One
//! file per model, an embedded key-value store with transactions: what was committed survives a killed process, what was
//! not is computed again. Each entry carries a checksum over its key and value; an entry that does not hold it is computed
//! again, and a file that cannot be read is begun anew.
//!
//! An answer from here is the very answer that computing would give, so that a cache changes nothing but the time.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTableMetadata, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::answer::Closed;
use super::candle;
use super::guard::guarded;
use super::identity::{ModelFolder, hex};
use super::options::EngineOptions;
use super::request::{Finish, GenerateOptions, Sampling};
use crate::error::{Error, Result};

/// Raised when keys or values change their form.
const FORMAT: u32 = 1;
const ANSWERS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("answers");
const ABOUT: TableDefinition<&str, &str> = TableDefinition::new("about");
/// The entry of [`ABOUT`] that tells where the model was when the file was begun.
const MODEL: &str = "model";
/// Pages of the store that are kept in memory.
const STORE_MEMORY: usize = 16 << 20;
/// Answers and time between two commits.
const COMMIT: (usize, Duration) = (256, Duration::from_secs(2));
/// Files of a model that show in the prompt's tokens already.
const TEMPLATES: [&str; 2] = ["chat_template.jinja", "chat_template.json"];
/// Bytes of a checksum.
const CHECKSUM: usize = 16;

/// The answers of one model.
pub struct ResponseCache {
    path: PathBuf,
    store: Store,
    /// Over model and numerics.
    base: [u8; 32],
    new: Mutex<New>,
}

/// The key-value store. It trusts its file: on a damaged one it may panic anywhere, when it is closed too.
struct Store(Option<Database>);

/// Answers that are not committed yet.
struct New {
    entries: Vec<(Key, Vec<u8>)>,
    committed: Instant,
    /// Why nothing is written any more.
    failure: Option<Error>,
}

/// What decides an answer, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key([u8; 32]);

/// What decides an answer beside model and numerics.
#[derive(Serialize)]
struct Question<'a> {
    tokens: &'a [u32],
    max_new_tokens: usize,
    eos: &'a [u32],
    stop: &'a [String],
    /// Absent where the choice is greedy.
    sampling: Option<(Sampling, u64)>,
}

/// An answer as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    text: std::borrow::Cow<'a, str>,
    ids: std::borrow::Cow<'a, [u32]>,
    finish: Finish,
}

/// A file of answers, as `karat cache stats` shows it.
#[derive(Debug)]
pub struct CacheFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last written.
    pub modified: SystemTime,
    /// Number of answers and the folder that the model was in; absent where another process has it open or it is broken.
    pub content: Option<(u64, String)>,
}

impl ResponseCache {
    /// The answers that a model computes with these options, in a folder of caches, which is made where it is missing.
    ///
    /// # Errors
    /// Another process uses the file, or it cannot be read or made. The caller can do without a cache.
    pub fn open(folder: &Path, model: &ModelFolder, options: &EngineOptions) -> Result<Self> {
        let fingerprint = candle::fingerprint(&model.path, options)?;
        let mut files: BTreeMap<String, String> = model.hashes()?;
        files.retain(|name, _| !TEMPLATES.contains(&name.as_str()));
        let identity = blake3::hash(&json(&(FORMAT, &files))?);
        let base = blake3::hash(&json(&(identity.as_bytes(), fingerprint))?);
        std::fs::create_dir_all(folder).map_err(|e| Error::io("make the response cache", folder, e))?;
        let path = folder.join(format!("{}.redb", hex(&identity.as_bytes()[..16])));
        let store = match Store::open(&path, &model.path) {
            Ok(store) => store,
            Err(Failure { broken: false, error }) => return Err(error.at(&path)),
            Err(Failure { broken: true, .. }) => {
                begin_anew(&path)?;
                Store::open(&path, &model.path).map_err(|failure| failure.error.at(&path))?
            }
        };
        let new = New { entries: Vec::new(), committed: Instant::now(), failure: None };
        Ok(Self { path, store, base: *base.as_bytes(), new: Mutex::new(new) })
    }

    /// Whether it holds no answers at all.
    pub fn is_empty(&self) -> bool {
        self.store.count().is_none_or(|answers| answers == 0)
    }

    /// The key of an answer. `eos` are the tokens that end it, `stream` is its stream of random numbers.
    ///
    /// # Errors
    /// Options that JSON cannot hold; there are none.
    pub(super) fn key(&self, tokens: &[u32], eos: &[u32], options: &GenerateOptions, stream: u64) -> Result<Key> {
        let GenerateOptions { max_new_tokens, ignore_eos: _, sampling, seed: _, stop } = options;
        let sampling = (sampling.temperature > 0.0).then_some((*sampling, stream));
        let question = Question { tokens, max_new_tokens: *max_new_tokens, eos, stop, sampling };
        let mut hash = blake3::Hasher::new_keyed(&self.base);
        hash.update(&json(&question)?);
        Ok(Key(*hash.finalize().as_bytes()))
    }

    /// The answer, if it was computed before and is whole.
    pub(super) fn get(&self, key: &Key) -> Option<Closed> {
        let bytes = self.store.read(|transaction| {
            let table = transaction.open_table(ANSWERS).ok()?;
            Some(table.get(key.0.as_slice()).ok()??.value().to_vec())
        })?;
        let (sum, value) = bytes.split_at_checked(CHECKSUM)?;
        if *sum != checksum(key, value) {
            return None;
        }
        let Stored { text, ids, finish } = serde_json::from_slice(value).ok()?;
        Some(Closed { text: text.into_owned(), ids: ids.into_owned(), finish })
    }

    /// Keeps an answer.
    pub(super) fn put(&self, key: Key, answer: &Closed) {
        let stored =
            Stored { text: answer.text.as_str().into(), ids: answer.ids.as_slice().into(), finish: answer.finish };
        let (Ok(value), Ok(mut new)) = (json(&stored), self.new.lock()) else { return };
        if new.failure.is_some() {
            return;
        }
        new.entries.push((key, [checksum(&key, &value).as_slice(), &value].concat()));
        if new.entries.len() >= COMMIT.0 || new.committed.elapsed() >= COMMIT.1 {
            self.commit(&mut new);
        }
    }

    /// Writes down what is not written yet.
    ///
    /// # Errors
    /// Why answers could not be kept, now or before.
    pub(super) fn flush(&self) -> Result<()> {
        let mut new = self.new.lock().map_err(|_| Error::internal("write the response cache"))?;
        self.commit(&mut new);
        new.failure.take().map_or(Ok(()), Err)
    }

    fn commit(&self, new: &mut New) {
        let entries = std::mem::take(&mut new.entries);
        if entries.is_empty() {
            return;
        }
        let written = self.store.write(|transaction| {
            let mut table = transaction.open_table(ANSWERS)?;
            for (key, value) in &entries {
                table.insert(key.0.as_slice(), value.as_slice())?;
            }
            Ok(())
        });
        new.failure = written.err().map(|failure| match failure.broken.then(|| begin_anew(&self.path)) {
            Some(Err(error)) => error,
            Some(Ok(())) | None => failure.error,
        });
        new.committed = Instant::now();
    }
}

/// Answers can be computed again, a broken file cannot be mended: it goes, and the next run begins another.
fn begin_anew(path: &Path) -> Result<()> {
    std::fs::remove_file(path).map_err(|e| Error::io("remove the broken response cache", path, e))
}

/// Why the store did not do what it was asked for.
struct Failure {
    error: Error,
    /// Whether the file itself is to blame.
    broken: bool,
}

impl Failure {
    /// What `foreign` gives, its panics and errors told apart by what is to blame.
    fn of<T, E: Into<redb::Error>>(
        task: &'static str,
        foreign: impl FnOnce() -> std::result::Result<T, E>,
    ) -> std::result::Result<T, Self> {
        let done = guarded(task, foreign).map_err(|error| Self { error, broken: true })?;
        done.map_err(|error| {
            let error = error.into();
            let broken = match &error {
                redb::Error::Io(io) => matches!(io.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof),
                redb::Error::DatabaseAlreadyOpen => false,
                _ => true,
            };
            let error = match error {
                redb::Error::DatabaseAlreadyOpen => Error::input(format!("{task}: another karat is using it")),
                error => Error::input(task).caused_by(error),
            };
            Self { error, broken }
        })
    }
}

impl Store {
    /// Opens the file, or begins it for the model in a folder.
    fn open(path: &Path, model: &Path) -> std::result::Result<Self, Failure> {
        let create = || Database::builder().set_cache_size(STORE_MEMORY).create(path);
        let store = Self(Some(Failure::of("open the response cache", create)?));
        if store.count().is_some() {
            return Ok(store);
        }
        store.write(|transaction| {
            transaction.open_table(ANSWERS)?;
            let place = model.canonicalize().unwrap_or_else(|_| model.into());
            transaction.open_table(ABOUT)?.insert(MODEL, place.to_string_lossy().as_ref())?;
            Ok(())
        })?;
        Ok(store)
    }

    /// What `look` finds, unless the store is broken.
    fn read<T>(&self, look: impl FnOnce(&ReadTransaction) -> Option<T>) -> Option<T> {
        let read = || look(&self.0.as_ref()?.begin_read().ok()?);
        guarded("read the response cache", read).ok()?
    }

    /// All that `change` does, or nothing.
    fn write(
        &self,
        change: impl FnOnce(&WriteTransaction) -> std::result::Result<(), redb::Error>,
    ) -> std::result::Result<(), Failure> {
        Failure::of("write the response cache", || -> std::result::Result<(), redb::Error> {
            let Some(database) = &self.0 else { return Ok(()) };
            let transaction = database.begin_write()?;
            change(&transaction)?;
            Ok(transaction.commit()?)
        })
    }

    /// Number of answers; absent in a store that was not begun or is broken.
    fn count(&self) -> Option<u64> {
        self.read(|transaction| transaction.open_table(ANSWERS).ok()?.len().ok())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let database = self.0.take();
        // What cannot be closed is begun anew by the next run.
        let _ = guarded("close the response cache", || drop(database));
    }
}

/// The files of answers in a folder of caches, by path.
///
/// # Errors
/// The folder cannot be listed.
pub fn cache_files(folder: &Path) -> Result<Vec<CacheFile>> {
    let fail = |e| Error::io("list the response cache", folder, e);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(fail)?.path();
        if path.extension().is_some_and(|extension| extension == "redb") {
            let data = std::fs::metadata(&path).map_err(fail)?;
            let modified = data.modified().map_err(fail)?;
            files.push(CacheFile { content: content(&path), bytes: data.len(), modified, path });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn content(path: &Path) -> Option<(u64, String)> {
    let opened = guarded("open the response cache", || Database::builder().set_cache_size(STORE_MEMORY).open(path));
    let store = Store(Some(opened.ok()?.ok()?));
    let model = store.read(|transaction| {
        let about = transaction.open_table(ABOUT).ok()?;
        Some(about.get(MODEL).ok()??.value().to_owned())
    });
    Some((store.count()?, model?))
}

fn checksum(key: &Key, value: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&blake3::Hasher::new_keyed(&key.0).update(value).finalize().as_bytes()[..CHECKSUM]);
    sum
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Error::internal("write down what decides an answer").caused_by(e))
}
