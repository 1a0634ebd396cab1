//! A file of lines that is read a second time, from any place: every page is held against the first reading.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::dataset::{BlockHasher, BlockHashes};
use crate::error::{Error, Result};

/// Bytes of a page. Small, so that lines in another order than they are asked for do not read much for nothing; its hash takes 32
/// bytes.
pub(super) const PAGE: usize = 1 << 13;
/// About as long as a line is.
const LINE: usize = 256;

/// The pages of a file.
pub(super) struct Pages {
    file: File,
    path: PathBuf,
    hashes: BlockHashes,
    /// The page that was read last, and which it is.
    page: Vec<u8>,
    index: Option<u64>,
}

impl Pages {
    /// Those of a file that is read for the first time; none can be had before [`Pages::hold_to`].
    pub fn new(file: File, path: &Path) -> Self {
        let hashes = BlockHasher::new(PAGE).finish();
        Self { file, path: path.to_owned(), hashes, page: Vec::new(), index: None }
    }

    /// The file, for the first reading.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// What the first reading has found.
    pub fn hold_to(&mut self, hashes: BlockHashes) {
        self.hashes = hashes;
    }

    /// The line that starts at an offset, with its line break.
    ///
    /// # Errors
    /// The file is not what it was.
    pub fn line(&mut self, mut offset: u64) -> Result<Vec<u8>> {
        let mut line = Vec::with_capacity(LINE);
        loop {
            let page = self.page(offset / PAGE as u64)?;
            let mut rest = page.get((offset % PAGE as u64) as usize..).unwrap_or_default();
            let ended = rest.is_empty();
            // Memory cannot fail to be read.
            let count = rest.read_until(b'\n', &mut line).unwrap_or_default();
            if ended || line.ends_with(b"\n") {
                return Ok(line);
            }
            offset += count as u64;
        }
    }

    /// How many line breaks stand before an offset, as the file is now.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn breaks_before(&mut self, offset: u64) -> Result<u64> {
        let failed = |e| Error::io("read", &self.path, e);
        (&self.file).seek(SeekFrom::Start(0)).map_err(failed)?;
        let (mut reader, mut breaks) = (BufReader::new((&self.file).take(offset)), 0);
        loop {
            let buffer = reader.fill_buf().map_err(failed)?;
            let count = buffer.len();
            if count == 0 {
                return Ok(breaks);
            }
            breaks += buffer.iter().filter(|byte| **byte == b'\n').count() as u64;
            reader.consume(count);
        }
    }

    fn page(&mut self, index: u64) -> Result<&[u8]> {
        if self.index != Some(index) {
            self.index = None;
            self.page.clear();
            let failed = |e| Error::io("read", &self.path, e);
            (&self.file).seek(SeekFrom::Start(index * PAGE as u64)).map_err(failed)?;
            (&self.file).take(PAGE as u64).read_to_end(&mut self.page).map_err(failed)?;
            if !usize::try_from(index).is_ok_and(|index| self.hashes.holds(index, &self.page)) {
                let error = Error::input("the file of answers was changed during the run").at(&self.path);
                return Err(error.with_hint("nothing was recorded; start again"));
            }
            self.index = Some(index);
        }
        Ok(&self.page)
    }
}
