//! The files of the response cache: append-only logs, several for a model where several processes use it at once.
//!
//! A process appends to the first segment of the model that no other one owns, or begins another, and reads all of them when it
//! opens them: what others append meanwhile it does not see, later processes do. A segment whose header is damaged is
//! removed. Records are a key and an answer; this file knows the keys only.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{About, FORMAT};
use crate::error::{Error, Kind, Result};
use crate::log::{Log, LogReader};
use crate::private;

/// Bytes of a key, at the beginning of a record.
pub(super) const KEY: usize = 32;
/// Bytes of a key that the index holds; whoever reads the record compares the whole.
const SHORT: usize = 16;
/// The ending of a segment.
const SEGMENT: &str = "log";
/// The ending of the files of former versions, which only `karat cache` still looks at.
const FORMER: &str = "redb";
/// Bits of a place for the offset.
const OFFSET_BITS: u32 = 48;

/// Where answers are, by their keys: 24 bytes each, and at most 60 with what a growing table leaves free.
pub(super) type Index = HashMap<[u8; SHORT], Place>;

/// A segment, by its place among all, and the offset of a record in it.
#[derive(Clone, Copy)]
pub(super) struct Place(u64);

impl Place {
    pub(super) fn new(segment: u16, offset: u64) -> Self {
        Self(u64::from(segment) << OFFSET_BITS | offset)
    }

    pub(super) fn segment(self) -> usize {
        (self.0 >> OFFSET_BITS) as usize
    }

    pub(super) fn offset(self) -> u64 {
        self.0 & ((1 << OFFSET_BITS) - 1)
    }
}

/// The part of a key that the index holds.
pub(super) fn short(key: &[u8; KEY]) -> [u8; SHORT] {
    let mut short = [0; SHORT];
    short.copy_from_slice(&key[..SHORT]);
    short
}

/// The segments of a model, opened.
pub(super) struct Segments {
    /// All that could be read.
    pub(super) readers: Vec<LogReader>,
    /// What they hold.
    pub(super) index: Index,
    /// The one to append to, which is among the readers, too.
    pub(super) log: Log,
    /// Where it is among them.
    pub(super) own: u16,
}

impl Segments {
    /// Opens all segments of a name in a folder; begins one with a header about the model where others own all of them.
    ///
    /// # Errors
    /// The folder cannot be listed, or a segment cannot be begun. A segment that cannot be read is passed over.
    pub(super) fn open(folder: &Path, name: &str, about: &[u8]) -> Result<Self> {
        let (mut readers, mut index, mut owned) = (Vec::new(), Index::new(), None);
        for path in segments(folder, name)?.into_iter().take(usize::from(u16::MAX)) {
            let number = readers.len() as u16;
            if owned.is_none() {
                owned = own(&path, number, &mut index).map(|log| (log, number));
                if let Some((log, _)) = &owned {
                    readers.push(log.reader());
                    continue;
                }
            }
            readers.extend(read(&path, number, &mut index));
        }
        let (log, own) = match owned {
            Some(owned) => owned,
            None => {
                let log = begin(folder, name, about)?;
                readers.push(log.reader());
                (log, readers.len() as u16 - 1)
            }
        };
        Ok(Self { readers, index, log, own })
    }
}

/// The segment, if it is whole and free, its answers in the index.
fn own(path: &Path, number: u16, index: &mut Index) -> Option<Log> {
    let opened = Log::open_with(path, &mut |offset, record| enter(index, number, offset, record));
    // A former version left them to everybody.
    private::close_to_others(path);
    if opened.is_err() {
        // A read that failed half-way.
        index.retain(|_, place| place.segment() != usize::from(number));
    }
    opened.ok()?
}

/// A reader of the segment, if its header is whole, its answers in the index. One that is of no use to anybody is removed.
fn read(path: &Path, number: u16, index: &mut Index) -> Option<LogReader> {
    match LogReader::open(path) {
        Ok(reader) => {
            let mut records = reader.records().ok()?;
            while let Ok(Some((offset, record))) = records.next_record() {
                enter(index, number, offset, record);
            }
            Some(reader)
        }
        Err(error) => {
            if error.kind() == Kind::Input {
                // Nothing, where another process is beginning it or was faster to remove it.
                let _ = Log::remove(path);
            }
            None
        }
    }
}

fn enter(index: &mut Index, number: u16, offset: u64, record: &[u8]) {
    if let Some(key) = record.first_chunk() {
        index.insert(short(key), Place::new(number, offset));
    }
}

/// A new segment, under the first number that is free.
fn begin(folder: &Path, name: &str, about: &[u8]) -> Result<Log> {
    for number in 1..u16::MAX {
        let path = folder.join(format!("{name}-{number}.{SEGMENT}"));
        match Log::create_with(private::options(), &path, about) {
            Err(error) if is_taken(&error) => (),
            created => return created,
        }
    }
    Err(Error::environment("the response cache has too many segments").at(folder))
}

/// Whether a file could not be created because it exists.
fn is_taken(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == ErrorKind::AlreadyExists)
}

/// The segments of a name, the oldest first.
fn segments(folder: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let number = |path: &Path| -> Option<u16> {
        let stem = path.file_stem()?.to_str()?.strip_prefix(name)?;
        stem.strip_prefix('-')?.parse().ok()
    };
    let numbered = listed(folder, &[SEGMENT])?.into_iter().filter_map(|path| Some((number(&path)?, path)));
    let mut numbered: Vec<(u16, PathBuf)> = numbered.collect();
    numbered.sort();
    Ok(numbered.into_iter().map(|(_, path)| path).collect())
}

/// The files of a folder that have one of these endings; none where there is no folder.
fn listed(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let fail = |e| Error::io("list the response cache", folder, e);
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(fail(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(fail)?.path();
        if path.extension().is_some_and(|extension| endings.iter().any(|ending| extension == *ending)) {
            paths.push(path);
        }
    }
    Ok(paths)
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
    /// Number of answers and the folder that the model was in; absent where the file is damaged or of another version.
    pub content: Option<(u64, String)>,
}

impl CacheFile {
    /// Removes the file; false where another process owns it, which goes on with it.
    ///
    /// # Errors
    /// It cannot be opened or removed.
    pub fn remove(&self) -> Result<bool> {
        match Log::remove(&self.path) {
            Err(_) if !self.path.exists() => Ok(true),
            done => done,
        }
    }
}

/// The files of answers in a folder of caches, by path; those that other processes own, too.
///
/// # Errors
/// The folder cannot be listed.
pub fn cache_files(folder: &Path) -> Result<Vec<CacheFile>> {
    let mut files = Vec::new();
    for path in listed(folder, &[SEGMENT, FORMER])? {
        // Removed meanwhile.
        let Ok(data) = std::fs::metadata(&path) else { continue };
        let modified = data.modified().map_err(|e| Error::io("list the response cache", folder, e))?;
        files.push(CacheFile { content: content(&path), bytes: data.len(), modified, path });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn content(path: &Path) -> Option<(u64, String)> {
    let reader = LogReader::open(path).ok()?;
    let about: About = serde_json::from_slice(reader.about()).ok().filter(|about: &About| about.format == FORMAT)?;
    let mut records = reader.records().ok()?;
    let mut answers = 0;
    while records.next_record().ok()?.is_some() {
        answers += 1;
    }
    Some((answers, about.model))
}
