//! The files of a run folder: names, hashing while writing, and making writes durable.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::beside::{beside, settle};
use super::packed;
use crate::engine::log;
use crate::error::{Error, Result};
use crate::hash::hex;

/// What ran, and the SHA-256 of every file of the record.
pub const MANIFEST: &str = "manifest.json";
/// A line per case, sorted by dataset and id.
pub const RESULTS: &str = "results.jsonl";
/// What was asked; runs with a generator keep it beside their answers.
pub const PROMPTS: &str = "prompts.jsonl";
/// Counts and rates.
pub const SUMMARY: &str = "summary.json";
/// What the gates said; made from the record, and no part of it.
pub const VERDICT: &str = "verdict.json";
/// Everything that may differ between two equal runs.
pub const PERFORMANCE: &str = "performance.json";
/// The report for people, likewise.
pub const REPORT: &str = "report.md";

/// Hashes and counts the bytes that pass through.
#[derive(Default)]
pub(crate) struct FileHasher {
    sha256: Sha256,
    bytes: u64,
}

impl FileHasher {
    /// Takes in a piece.
    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.sha256.update(piece);
        self.bytes += piece.len() as u64;
    }

    /// The entry for the manifest.
    pub(crate) fn finish(self) -> FileEntry {
        FileEntry { sha256: hex(&self.sha256.finalize()), bytes: self.bytes }
    }

    /// The entry of a whole file on disk, or of what it was before it was compressed, read in pieces.
    pub(crate) fn of_file(path: &Path) -> Result<FileEntry> {
        let mut file = packed::open(path)?;
        let mut hasher = Self::default();
        let mut buffer = vec![0; 1 << 16];
        loop {
            let n = file.read(&mut buffer).map_err(|e| Error::io("read", path, e))?;
            if n == 0 {
                return Ok(hasher.finish());
            }
            hasher.update(&buffer[..n]);
        }
    }
}

/// Bytes after which a file goes to the disk, while more are written.
const FLUSHED: u64 = 32 << 20;

/// A new file that is hashed while it is written and durable once [`HashedFile::finish`] returns.
pub(crate) struct HashedFile {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: FileHasher,
    /// Who brings a large file to the disk meanwhile, and how much of it was written when last told.
    flusher: Option<(SyncSender<()>, JoinHandle<std::io::Result<()>>)>,
    flushed: u64,
}

impl HashedFile {
    /// Creates the file; it must not exist yet.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = File::create_new(path).map_err(|e| Error::io("create", path, e))?;
        let (file, hasher) = (BufWriter::with_capacity(1 << 15, file), FileHasher::default());
        Ok(Self { path: path.to_owned(), file, hasher, flusher: None, flushed: 0 })
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(|e| Error::io("write", &self.path, e))?;
        if self.hasher.bytes - self.flushed >= FLUSHED {
            self.flushed = self.hasher.bytes;
            self.flush_meanwhile();
        }
        Ok(())
    }

    /// So that at the end little is left to wait for. The system tells of a failure once: it is kept for the end.
    fn flush_meanwhile(&mut self) {
        if self.flusher.is_none()
            && let Ok(file) = self.file.get_ref().try_clone()
        {
            let (sender, receiver) = sync_channel(1);
            let flush = move || receiver.iter().try_for_each(|()| file.sync_data());
            self.flusher = Some((sender, std::thread::spawn(flush)));
        }
        if let Some((sender, _)) = &self.flusher {
            // One that is busy will be told again, one that failed has stopped.
            let _ = sender.try_send(());
        }
    }

    /// Waits for the flusher, and tells what failed there.
    fn join_flusher(&mut self) -> std::io::Result<()> {
        let Some((sender, flusher)) = self.flusher.take() else { return Ok(()) };
        drop(sender);
        flusher.join().unwrap_or_else(|_| Err(std::io::Error::other("the flushing thread panicked")))
    }

    /// Takes the file away: no name is left, what was written can be read.
    pub(crate) fn take_back(mut self) -> Result<File> {
        let flushed = self.join_flusher();
        let failed = |e| Error::io("read back", &self.path, e);
        flushed.map_err(failed)?;
        let file = File::open(&self.path).map_err(failed)?;
        self.file.into_inner().map_err(|e| failed(e.into_error()))?;
        std::fs::remove_file(&self.path).map_err(failed)?;
        Ok(file)
    }

    /// Flushes to the disk.
    pub(crate) fn finish(mut self) -> Result<FileEntry> {
        self.join_flusher().map_err(|e| Error::io("write", &self.path, e))?;
        let file = self.file.into_inner().map_err(|e| Error::io("write", &self.path, e.into_error()))?;
        file.sync_all().map_err(|e| Error::io("write", &self.path, e))?;
        Ok(self.hasher.finish())
    }
}

/// A file of the run folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// SHA-256 in hex.
    pub sha256: String,
    /// Length in bytes.
    pub bytes: u64,
}

/// Indented JSON with a line break at the end.
pub(crate) fn pretty(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes =
        serde_json::to_vec_pretty(value).map_err(|e| Error::internal("failed to write JSON").caused_by(e))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Makes the names inside a folder durable (renames, new files).
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    log::sync_folder(folder).map_err(|e| Error::io("sync", folder, e))
}

/// Replaces a small file in one step: readers see the old bytes or the new ones.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e| Error::io("write", path, e);
    let mut file = beside(path).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    settle(file, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashing_while_writing_equals_hashing_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut file = HashedFile::create(&path).unwrap();
        file.write(b"ab").unwrap();
        file.write(b"c").unwrap();
        let entry = file.finish().unwrap();
        assert_eq!(entry.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!((entry.bytes, &entry), (3, &FileHasher::of_file(&path).unwrap()));
        assert!(HashedFile::create(&path).is_err());
    }

    #[test]
    fn small_files_are_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("current");
        write_atomically(&path, b"one\n").unwrap();
        write_atomically(&path, b"two\n").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
