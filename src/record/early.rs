//! Results that are written while cases still come.
//!
//! Datasets are often sorted by id, and then nothing needs to be sorted, spilled and read again: what fills the sort's
//! buffer goes straight to `results.jsonl`, as long as each buffer lies behind the one before. Where one does not, the
//! file is taken back and its lines are sorted with the others.

use std::fs::File;
use std::path::Path;

use super::files::HashedFile;
use super::sort::Sorted;
use super::{FileEntry, Summary, SummaryBuilder};
use crate::error::Result;

/// Bytes that are written and added up at a time.
const PIECE_BYTES: usize = 1 << 16;

/// A result file that grows, and its figures.
pub(super) struct EarlyResults {
    file: HashedFile,
    summary: SummaryBuilder,
    piece: Vec<u8>,
    /// Dataset and id of the last line.
    last: Option<(String, String)>,
}

impl EarlyResults {
    /// Creates the file; it must not exist yet.
    pub fn create(path: &Path) -> Result<Self> {
        let (file, summary) = (HashedFile::create(path)?, SummaryBuilder::default());
        Ok(Self { file, summary, piece: Vec::with_capacity(PIECE_BYTES), last: None })
    }

    /// Whether these lines, each once, come behind all that are written.
    pub fn precedes(&self, lines: Sorted<'_>) -> bool {
        let Some(first) = lines.clone().next() else { return true };
        let last = self.last.as_ref().map(|(dataset, id)| (dataset.as_str(), id.as_str()));
        last < Some(first.key()) && lines.is_sorted_by(|one, two| one.key() < two.key())
    }

    /// Appends lines that come behind all that are written.
    pub fn append(&mut self, lines: Sorted<'_>) -> Result<()> {
        let mut last = None;
        for line in lines {
            self.piece.extend_from_slice(line.json().as_bytes());
            self.piece.push(b'\n');
            if self.piece.len() >= PIECE_BYTES {
                self.write()?;
            }
            last = Some(line.key());
        }
        if let Some((dataset, id)) = last {
            self.last = Some((dataset.to_owned(), id.to_owned()));
        }
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        self.file.write(&self.piece)?;
        self.summary.add_lines(&self.piece)?;
        self.piece.clear();
        Ok(())
    }

    /// Everything is written.
    pub fn finish(self) -> Result<(Summary, FileEntry)> {
        Ok((self.summary.finish(), self.file.finish()?))
    }

    /// Takes the file away, for its lines to be sorted with others.
    pub fn take_back(self) -> Result<File> {
        self.file.take_back()
    }
}
