//! A file whose bytes are hashed as they are read: what is computed with is what was hashed.
//!
//! It is opened once and read in segments, into memory that nobody else can write to. The first reading of a segment settles
//! its hash, every later one is held against it: bytes that were written to the file in between are an error, never used.
//! The segments are subtrees of BLAKE3 (`blake3::hazmat`), so that their hashes add up to the hash of the file, whoever read
//! them first and on how many threads. Time of change, size and inode are never asked: they prove nothing.
//!
//! Does not know what the bytes mean, and keeps none of them but those of the last few small reads.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::hash::hex;

/// Bytes of a segment: a power of two of BLAKE3's chunks, so that a whole one is a subtree wherever it stands.
const SEGMENT: u64 = 256 << 10;
/// Segments that are kept for the next small read: norms and biases lie side by side.
const RECENT: usize = 4;
/// Bytes that SHA-256 takes at a time, read and held against their hashes by all cores.
const BLOCK: usize = 16 * SEGMENT as usize;

/// What hashing cost, added up over all threads.
#[derive(Debug, Default)]
pub struct Cost {
    bytes: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Cost {
    /// Bytes that were hashed; those of a second reading count again.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Time that threads spent on it; a pass that only hashes counts with its reading.
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }

    fn count<T>(&self, bytes: usize, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = work();
        self.nanoseconds.fetch_add(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        result
    }
}

/// An open file.
pub struct HashedFile {
    path: PathBuf,
    file: File,
    /// Bytes when it was opened; what is appended later does not exist.
    len: u64,
    /// What every segment hashed to when it was read first; of a file of one segment, its hash.
    segments: Box<[OnceLock<ChainingValue>]>,
    recent: Mutex<VecDeque<(u64, Arc<[u8]>)>>,
    sha256: OnceLock<String>,
    cost: Arc<Cost>,
}

impl HashedFile {
    /// Opens a file; `None` where there is none of this name. `cost` is told what hashing costs.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path, cost: Arc<Cost>) -> Result<Option<Self>> {
        let failed = |error| Error::io("open", path, error);
        let absent = |error: &io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
        // Looked at first: to open a pipe is to wait for its other end.
        match std::fs::metadata(path) {
            Ok(found) if !found.is_file() => return Ok(None),
            Err(error) if absent(&error) => return Ok(None),
            Ok(_) | Err(_) => {}
        }
        let file = match File::open(path) {
            Err(error) if absent(&error) => return Ok(None),
            opened => opened.map_err(failed)?,
        };
        let len = file.metadata().map_err(failed)?.len();
        let segments = (0..len.div_ceil(SEGMENT).max(1)).map(|_| OnceLock::new()).collect();
        let (recent, sha256) = (Mutex::default(), OnceLock::new());
        Ok(Some(Self { path: path.into(), file, len, segments, recent, sha256, cost }))
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `into` with the bytes from `start` on.
    ///
    /// # Errors
    /// They are not those that were read before, end too early, or cannot be read.
    pub fn read(&self, start: u64, into: &mut [u8]) -> Result<()> {
        if start.checked_add(into.len() as u64).is_none_or(|end| end > self.len) {
            return Err(Error::input("failed to read a file beyond its end").at(&self.path));
        }
        let (mut pieces, mut at, mut rest) = (Vec::new(), start, into);
        while !rest.is_empty() {
            let left = (SEGMENT - at % SEGMENT).min(rest.len() as u64);
            let (piece, behind) = std::mem::take(&mut rest).split_at_mut(left as usize);
            pieces.push((at, piece));
            (at, rest) = (at + left, behind);
        }
        match pieces.len() {
            0 | 1 => pieces.into_iter().try_for_each(|(at, piece)| self.read_piece(at, piece)),
            _ => pieces.into_par_iter().try_for_each(|(at, piece)| self.read_piece(at, piece)),
        }
    }

    /// All bytes.
    ///
    /// # Errors
    /// As for [`HashedFile::read`].
    pub fn read_all(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.len).map_err(|_| self.too_large())?];
        self.read(0, &mut bytes)?;
        Ok(bytes)
    }

    /// Its bytes in order, for parsers that read from a stream.
    pub fn stream(&self) -> Stream<'_> {
        Stream { file: self, at: 0, held: None }
    }

    /// BLAKE3 of the file: of the bytes that were read so far, and of the others, which are read now, on all cores.
    ///
    /// # Errors
    /// As for [`HashedFile::read`].
    pub fn blake3(&self) -> Result<blake3::Hash> {
        let unread: Vec<u64> =
            (0..).zip(&self.segments).filter(|(_, seen)| seen.get().is_none()).map(|(n, _)| n).collect();
        unread.into_par_iter().try_for_each_init(Vec::new, |buffer, number| {
            let (start, len) = self.place(number);
            buffer.resize(len, 0);
            // Reading them is for the hash's sake alone here.
            self.cost.count(len, || {
                self.fill(start, buffer)?;
                self.hold(number, chaining_value(start, buffer, self.is_one()))
            })
        })?;
        let values: Option<Vec<ChainingValue>> = self.segments.iter().map(|seen| seen.get().copied()).collect();
        Ok(root(&values.ok_or_else(|| Error::internal("failed to hash a file"))?))
    }

    /// SHA-256 of the very bytes that BLAKE3 is of, in hex; computed once.
    ///
    /// # Errors
    /// As for [`HashedFile::read`].
    pub fn sha256(&self) -> Result<String> {
        if let Some(known) = self.sha256.get() {
            return Ok(known.clone());
        }
        let (mut hash, mut at, mut buffer) = (Sha256::new(), 0, Vec::new());
        while at < self.len {
            buffer.resize(BLOCK.min((self.len - at) as usize), 0);
            self.read(at, &mut buffer)?;
            self.cost.count(buffer.len(), || hash.update(&buffer));
            at += buffer.len() as u64;
        }
        Ok(self.sha256.get_or_init(|| hex(&hash.finalize())).clone())
    }

    /// Its SHA-256, where that is known.
    pub(crate) fn known_sha256(&self) -> Option<&str> {
        self.sha256.get().map(String::as_str)
    }

    /// Computes SHA-256 from all bytes, which the caller holds since [`HashedFile::read_all`].
    pub(crate) fn hash_held(&self, bytes: &[u8]) {
        self.sha256.get_or_init(|| self.cost.count(bytes.len(), || crate::hash::sha256(bytes)));
    }

    /// Takes over a SHA-256 that is tied to its BLAKE3.
    pub(crate) fn set_sha256(&self, sha256: String) {
        // Another thread's is the same.
        drop(self.sha256.set(sha256));
    }

    /// Gives the memory of small reads back, when there are none to come.
    pub fn forget(&self) {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn is_one(&self) -> bool {
        self.segments.len() == 1
    }

    /// Start and bytes of a segment.
    fn place(&self, number: u64) -> (u64, usize) {
        let start = number * SEGMENT;
        (start, SEGMENT.min(self.len - start) as usize)
    }

    /// Fills `piece`, which lies within a segment.
    fn read_piece(&self, at: u64, piece: &mut [u8]) -> Result<()> {
        let number = at / SEGMENT;
        let (start, len) = self.place(number);
        if piece.len() == len {
            self.fill(start, piece)?;
            return self.check(number, piece);
        }
        let from = (at - start) as usize;
        piece.copy_from_slice(&self.segment(number)?[from..from + piece.len()]);
        Ok(())
    }

    /// A segment of which only a part is wanted.
    fn segment(&self, number: u64) -> Result<Arc<[u8]>> {
        let recent = || self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = recent().iter().find(|(known, _)| *known == number) {
            return Ok(bytes.clone());
        }
        let (start, len) = self.place(number);
        let mut bytes = vec![0; len];
        self.fill(start, &mut bytes)?;
        self.check(number, &bytes)?;
        let bytes: Arc<[u8]> = bytes.into();
        let mut recent = recent();
        if recent.len() >= RECENT {
            recent.pop_front();
        }
        recent.push_back((number, bytes.clone()));
        Ok(bytes)
    }

    /// Holds the bytes of a segment against those that were read first.
    fn check(&self, number: u64, bytes: &[u8]) -> Result<()> {
        let start = number * SEGMENT;
        let value = self.cost.count(bytes.len(), || chaining_value(start, bytes, self.is_one()));
        self.hold(number, value)
    }

    fn hold(&self, number: u64, value: ChainingValue) -> Result<()> {
        match self.segments.get(number as usize).map(|seen| *seen.get_or_init(|| value) == value) {
            Some(true) => Ok(()),
            Some(false) => Err(self.changed()),
            None => Err(Error::internal("failed to find a segment of a file")),
        }
    }

    /// The bytes of the file, as they are now.
    fn fill(&self, start: u64, into: &mut [u8]) -> Result<()> {
        let mut filled = 0;
        while filled < into.len() {
            match read_some(&self.file, &mut into[filled..], start + filled as u64) {
                Ok(0) => return Err(self.changed()),
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", &self.path, error)),
            }
        }
        Ok(())
    }

    fn changed(&self) -> Error {
        let name = self.path.file_name().unwrap_or_default().display();
        Error::input(format!("`{name}` was changed while it was read")).at(&self.path).with_hint(
            "try again when nothing writes to the model folder; write a new checkpoint into a folder of its own",
        )
    }

    fn too_large(&self) -> Error {
        Error::input(format!("failed to read {} bytes into memory", self.len)).at(&self.path)
    }
}

/// The hash of a segment as a part of the tree, or of a file that is no more than it.
fn chaining_value(start: u64, bytes: &[u8], alone: bool) -> ChainingValue {
    if alone {
        *blake3::hash(bytes).as_bytes()
    } else {
        blake3::Hasher::new().set_input_offset(start).update(bytes).finalize_non_root()
    }
}

/// The hash of the whole from those of its segments.
fn root(values: &[ChainingValue]) -> blake3::Hash {
    match values {
        [alone] => blake3::Hash::from_bytes(*alone),
        _ => {
            let (left, right) = halves(values);
            merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash)
        }
    }
}

fn subtree(values: &[ChainingValue]) -> ChainingValue {
    match values {
        [alone] => *alone,
        _ => {
            let (left, right) = halves(values);
            merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
        }
    }
}

/// The left child has as many segments as a power of two can be and leave some (section 2.1 of the BLAKE3 paper).
fn halves(values: &[ChainingValue]) -> (&[ChainingValue], &[ChainingValue]) {
    values.split_at(values.len().next_power_of_two() / 2)
}

#[cfg(unix)]
fn read_some(file: &File, into: &mut [u8], start: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, start)
}

#[cfg(windows)]
fn read_some(file: &File, into: &mut [u8], start: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, start)
}

/// The bytes of a file in order.
pub struct Stream<'a> {
    file: &'a HashedFile,
    at: u64,
    held: Option<(u64, Arc<[u8]>)>,
}

impl Read for Stream<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.file.len || into.is_empty() {
            return Ok(0);
        }
        let number = self.at / SEGMENT;
        let bytes = match &self.held {
            Some((held, bytes)) if *held == number => bytes,
            _ => &self.held.insert((number, self.file.segment(number).map_err(io::Error::other)?)).1,
        };
        let rest = &bytes[(self.at % SEGMENT) as usize..];
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        self.at += len as u64;
        Ok(len)
    }
}

impl Seek for Stream<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.file.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Bytes that repeat nowhere.
    fn bytes(len: u64) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        blake3::Hasher::new().update(b"bytes").finalize_xof().fill(&mut bytes);
        bytes
    }

    fn open(path: &Path) -> HashedFile {
        HashedFile::open(path, Arc::default()).unwrap().unwrap()
    }

    /// A file of these bytes.
    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    /// Writes into the file, the same inode.
    fn overwrite(file: &tempfile::NamedTempFile, at: u64, bytes: &[u8]) {
        let mut file = std::fs::File::options().write(true).open(file.path()).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(bytes).unwrap();
    }

    #[test]
    fn segments_add_up_to_the_hashes_of_the_file() {
        let mut lengths = vec![0, 1, 1023, 1024, 1025];
        for segments in [1, 2, 3, 4, 5, 7, 8, 9] {
            let border = segments * SEGMENT;
            lengths.extend([border - 1025, border - 1, border, border + 1, border + 1024, border + 1025]);
        }
        for len in lengths {
            let bytes = bytes(len);
            let file = file(&bytes);
            let read = open(file.path());
            assert_eq!(read.blake3().unwrap(), blake3::hash(&bytes), "{len}");
            assert_eq!(read.sha256().unwrap(), crate::hash::sha256(&bytes), "{len}");
            // Whatever was read before, and in whatever order.
            let read = open(file.path());
            let mut part = vec![0; (len / 3) as usize];
            for start in [len - len / 3, len / 2, 0] {
                read.read(start, &mut part).unwrap();
                assert_eq!(part, bytes[start as usize..][..part.len()], "{len} {start}");
            }
            assert_eq!(read.blake3().unwrap(), blake3::hash(&bytes), "{len}");
            assert_eq!(read.read_all().unwrap(), bytes, "{len}");
        }
    }

    #[test]
    fn a_byte_that_changed_after_the_first_reading_is_found_wherever_it_is() {
        let len = 3 * SEGMENT + 700;
        let bytes = bytes(len);
        for at in [0, 1023, 1024, SEGMENT - 1, SEGMENT, 2 * SEGMENT + 5, 3 * SEGMENT, len - 1] {
            let file = file(&bytes);
            let read = open(file.path());
            read.blake3().unwrap();
            overwrite(&file, at, &[bytes[at as usize] ^ 1]);
            let error = read.read_all().unwrap_err();
            assert!(error.message().ends_with("was changed while it was read"), "{error}");
            assert_eq!(error.kind(), crate::error::Kind::Input);
            assert!(read.read(at, &mut [0]).is_err() && read.sha256().is_err(), "{at}");
            // What is back is what was hashed.
            overwrite(&file, at, &[bytes[at as usize]]);
            assert_eq!(read.read_all().unwrap(), bytes);
        }
    }

    #[test]
    fn what_was_read_first_is_what_the_hash_is_of() {
        let (old, new) = (bytes(2 * SEGMENT + 9), vec![7; 2 * SEGMENT as usize + 9]);
        let file = file(&old);
        let read = open(file.path());
        read.read(SEGMENT + 3, &mut [0; 8]).unwrap();
        overwrite(&file, 0, &new);
        // The second segment is held to be what it was, the others are what they are now: bytes that no file had at once.
        let mixed =
            [&new[..SEGMENT as usize], &old[SEGMENT as usize..2 * SEGMENT as usize], &new[2 * SEGMENT as usize..]];
        assert_eq!(read.blake3().unwrap(), blake3::hash(&mixed.concat()));
        assert!(read.sha256().is_err() && read.read_all().is_err());
    }

    #[test]
    fn another_file_of_the_name_is_not_seen_and_a_cut_one_is() {
        let bytes = bytes(SEGMENT + 9);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        std::fs::write(&path, &bytes).unwrap();
        let read = open(&path);
        std::fs::write(folder.path().join("other"), "another").unwrap();
        std::fs::rename(folder.path().join("other"), &path).unwrap();
        assert_eq!(read.read_all().unwrap(), bytes);
        let cut = file(&bytes);
        let read = open(cut.path());
        cut.as_file().set_len(SEGMENT).unwrap();
        assert!(read.blake3().unwrap_err().message().ends_with("changed while it was read"));
        assert!(read.read(SEGMENT, &mut [0; 10]).is_err(), "beyond the end");
        assert!(HashedFile::open(&folder.path().join("none"), Arc::default()).unwrap().is_none());
        assert!(HashedFile::open(folder.path(), Arc::default()).unwrap().is_none(), "a folder is no file");
    }

    #[test]
    fn a_stream_gives_the_same_bytes() {
        let bytes = bytes(2 * SEGMENT + 100);
        let file = file(&bytes);
        let read = open(file.path());
        let (mut stream, mut all) = (read.stream(), Vec::new());
        stream.read_to_end(&mut all).unwrap();
        assert_eq!(all, bytes);
        stream.seek(SeekFrom::End(-10)).unwrap();
        all.clear();
        stream.read_to_end(&mut all).unwrap();
        assert_eq!(all, bytes[bytes.len() - 10..]);
        assert!(read.cost.bytes() >= bytes.len() as u64);
    }
}
