//! Records of a log: their form, reading them all in order, and reading one by its offset.
//!
//! ```text
//! length u32 | checksum 8 | payload        the checksum is over the record's offset and its payload
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Disk;
use super::header::{CHECKSUM, Header, LONGEST};
use crate::error::{Error, Result};
use crate::stand_in::open_file;

const LENGTH: usize = 4;
/// Bytes before a payload.
pub(super) const PREFIX: usize = LENGTH + CHECKSUM;
/// Bytes that are read at once, at least.
const PIECE: u64 = 1 << 20;

/// A log that others may be appending to: it sees what was flushed when it is asked. Its clones read the same file.
#[derive(Clone)]
pub struct LogReader {
    path: PathBuf,
    header: Arc<Header>,
    disk: Arc<Disk>,
}

impl LogReader {
    /// Opens a log for reading, whoever owns it.
    ///
    /// # Errors
    /// The file is not a log or its header is damaged: kind `Input`. A newer karat wrote it: kind `Newer`. It cannot be opened or
    /// read.
    pub fn open(path: &Path) -> Result<Self> {
        let disk = Disk::new(open_file(path)?);
        let header = Header::read(&disk, path)?;
        Ok(Self::new(path, Arc::new(header), Arc::new(disk)))
    }

    pub(super) fn new(path: &Path, header: Arc<Header>, disk: Arc<Disk>) -> Self {
        Self { path: path.into(), header, disk }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the log was created with.
    pub fn about(&self) -> &[u8] {
        &self.header.about
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    pub(super) fn disk(&self) -> &Arc<Disk> {
        &self.disk
    }

    /// All good records that the file holds now, in order. The first bad one ends them.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn records(&self) -> Result<Records> {
        let length = self.disk.length().map_err(|e| Error::io("read", &self.path, e))?;
        let offset = self.header.end;
        Ok(Records { reader: self.clone(), length, offset, piece: Vec::new(), used: 0, ended: false })
    }

    /// The payload of the record at an offset.
    ///
    /// # Errors
    /// There is no whole record at this offset: kind `Input`. The file cannot be read.
    pub fn read(&self, offset: u64) -> Result<Vec<u8>> {
        let failed = |e| Error::io("read", &self.path, e);
        let bad = || Error::input(format!("the record at byte {offset} is not whole")).at(&self.path);
        let mut head = [0; PREFIX];
        if self.disk.read_at(&mut head, offset).map_err(failed)? < PREFIX {
            return Err(bad());
        }
        let (length, sum) = parse(&head);
        // The file bounds what a damaged length can make us allocate.
        let start = offset + PREFIX as u64;
        let left = self.disk.length().map_err(failed)?.saturating_sub(start);
        if length > LONGEST || u64::from(length) > left {
            return Err(bad());
        }
        let mut payload = vec![0; length as usize];
        if self.disk.read_at(&mut payload, start).map_err(failed)? < payload.len() {
            return Err(bad());
        }
        if self.header.checksum(offset, &payload) == sum { Ok(payload) } else { Err(bad()) }
    }
}

/// The records of a log with their offsets, in order; at most one piece of the file, or one record, is in memory.
pub struct Records {
    reader: LogReader,
    /// Bytes of the file when the reading began.
    length: u64,
    /// Behind the last record that was read.
    offset: u64,
    /// A piece of the file; what lies behind `used` begins at `offset`.
    piece: Vec<u8>,
    used: usize,
    ended: bool,
}

impl Records {
    /// The next record: its offset and its payload. Nothing at the end, or before the first bad record.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next_record(&mut self) -> Result<Option<(u64, &[u8])>> {
        if self.ended || !self.fill(PREFIX as u64)? {
            self.ended = true;
            return Ok(None);
        }
        let (length, sum) = parse(&self.piece[self.used..]);
        let whole = PREFIX as u64 + u64::from(length);
        if length > LONGEST || !self.fill(whole)? {
            self.ended = true;
            return Ok(None);
        }
        let start = self.used + PREFIX;
        let payload = start..start + length as usize;
        let offset = self.offset;
        if self.reader.header.checksum(offset, &self.piece[payload.clone()]) != sum {
            self.ended = true;
            return Ok(None);
        }
        self.used = payload.end;
        self.offset += whole;
        Ok(Some((offset, &self.piece[payload])))
    }

    /// Behind the last record that was read: once all were, the good end of the log.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the next `wanted` bytes are there.
    fn fill(&mut self, wanted: u64) -> Result<bool> {
        let held = (self.piece.len() - self.used) as u64;
        if wanted <= held {
            return Ok(true);
        }
        let left = self.length.saturating_sub(self.offset);
        if wanted > left {
            return Ok(false);
        }
        self.piece.drain(..self.used);
        self.used = 0;
        self.piece.resize(wanted.max(PIECE).min(left) as usize, 0);
        let held = held as usize;
        let read = self.reader.disk.read_at(&mut self.piece[held..], self.offset + held as u64);
        let read = read.map_err(|e| Error::io("read", &self.reader.path, e))?;
        // Shorter than it was: its owner cut it meanwhile.
        self.piece.truncate(held + read);
        Ok(wanted <= self.piece.len() as u64)
    }
}

impl Iterator for Records {
    type Item = Result<(u64, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_record().map(|record| record.map(|(offset, payload)| (offset, payload.to_vec())));
        self.ended |= next.is_err();
        next.transpose()
    }
}

/// What stands before a payload.
pub(super) fn prefix(header: &Header, offset: u64, length: u32, payload: &[u8]) -> [u8; PREFIX] {
    let mut bytes = [0; PREFIX];
    bytes[..LENGTH].copy_from_slice(&length.to_le_bytes());
    bytes[LENGTH..].copy_from_slice(&header.checksum(offset, payload));
    bytes
}

/// Length and checksum at the beginning of some bytes, which hold a prefix at least.
fn parse(bytes: &[u8]) -> (u32, [u8; CHECKSUM]) {
    let (mut length, mut sum) = ([0; LENGTH], [0; CHECKSUM]);
    length.copy_from_slice(&bytes[..LENGTH]);
    sum.copy_from_slice(&bytes[LENGTH..PREFIX]);
    (u32::from_le_bytes(length), sum)
}
