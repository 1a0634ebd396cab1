//! Results that are written while cases still come.
//!
//! Datasets are often sorted by id, and then nothing needs to be sorted, spilled and read again: lines go straight to
//! `results.jsonl`, as long as each comes behind the one before. Where one does not, the file is taken back and its lines
//! are sorted with the others.

use std::fs::File;
use std::path::Path;

use super::FileEntry;
use super::files::HashedFile;
use super::sort::Buffer;
use crate::error::Result;

/// A result file that grows.
pub(super) struct EarlyResults {
    file: HashedFile,
    /// Dataset and id of the last line.
    last: Option<(Vec<u8>, Vec<u8>)>,
}

impl EarlyResults {
    /// Creates the file; it must not exist yet.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Self { file: HashedFile::create(path)?, last: None })
    }

    /// Whether these lines come one behind the other, behind all that are written.
    pub fn precedes(&self, lines: &Buffer) -> bool {
        let last = self.last.as_ref().map(|(dataset, id)| (dataset.as_slice(), id.as_slice()));
        last.into_iter().chain(lines.keys()).is_sorted_by(|one, two| one < two)
    }

    /// Appends lines that come behind all that are written.
    pub fn append(&mut self, lines: &Buffer) -> Result<()> {
        self.file.write(lines.lines())?;
        if let Some((dataset, id)) = lines.keys().next_back() {
            self.last = Some((dataset.to_owned(), id.to_owned()));
        }
        Ok(())
    }

    /// Everything is written.
    pub fn finish(self) -> Result<FileEntry> {
        self.file.finish()
    }

    /// Takes the file away, for its lines to be sorted with others.
    pub fn take_back(self) -> Result<File> {
        self.file.take_back()
    }
}
