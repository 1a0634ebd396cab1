//! The head of a log: magic, version, a random nonce, what the log is about, and a checksum over all of it.
//!
//! ```text
//! magic 8 | version u32 | nonce 16 | length of about u32 | about | checksum 8        integers are little-endian
//! ```
//!
//! The key of all checksums of the file is derived from everything before the checksum. The nonce makes it the file's own:
//! no record of another log, not even of an earlier one at the same place on the disk, passes for one of this.

use std::path::Path;

use super::disk::Disk;
use crate::error::{Error, Kind, Result};

/// The longest record, in bytes.
pub const LONGEST: u32 = 1 << 30;

const MAGIC: &[u8; 8] = b"karatlog";
/// Raised when the form of the file changes.
const VERSION: u32 = 1;
const NONCE: usize = 16;
/// Bytes before `about`.
const FIXED: usize = MAGIC.len() + 4 + NONCE + 4;
/// Bytes of a checksum.
pub(super) const CHECKSUM: usize = 8;

/// A header that was written or read whole.
pub(super) struct Header {
    key: [u8; 32],
    pub(super) about: Vec<u8>,
    /// Where the first record is.
    pub(super) end: u64,
}

impl Header {
    /// A new header, with its bytes.
    pub(super) fn new(about: &[u8]) -> Result<(Self, Vec<u8>)> {
        let length = u32::try_from(about.len()).ok().filter(|length| *length <= LONGEST);
        let length = length.ok_or_else(|| Error::input("the header of a log is larger than 1 GiB"))?;
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|e| Error::environment("failed to get random bytes").caused_by(e))?;
        let mut bytes = [MAGIC.as_slice(), &VERSION.to_le_bytes(), &nonce, &length.to_le_bytes(), about].concat();
        let key = key(&bytes);
        let sum = checksum(&key, 0, &bytes);
        bytes.extend(sum);
        Ok((Self { key, about: about.into(), end: bytes.len() as u64 }, bytes))
    }

    /// The header of a file.
    pub(super) fn read(disk: &Disk, path: &Path) -> Result<Self> {
        let failed = |e| Error::io("read", path, e);
        let mut fixed = [0; FIXED];
        let read = disk.read_at(&mut fixed, 0).map_err(failed)?;
        let magic = &fixed[..read.min(MAGIC.len())];
        if !MAGIC.starts_with(magic) {
            return Err(Error::input("the file is not a log of karat").at(path));
        }
        let torn = || Error::input("the header of the log is torn or damaged").at(path);
        let (version, length) = (number(&fixed[8..12]), number(&fixed[FIXED - 4..]));
        if read < FIXED {
            return Err(torn());
        }
        if version > VERSION {
            let problem = format!("the log has version {version}; this karat knows {VERSION}");
            return Err(Error::new(Kind::Newer, problem).at(path));
        }
        let end = FIXED as u64 + u64::from(length) + CHECKSUM as u64;
        if length > LONGEST || end > disk.length().map_err(failed)? {
            return Err(torn());
        }
        let mut bytes = vec![0; end as usize];
        if disk.read_at(&mut bytes, 0).map_err(failed)? < bytes.len() {
            return Err(torn());
        }
        let sum = bytes.split_off(bytes.len() - CHECKSUM);
        let key = key(&bytes);
        if sum != checksum(&key, 0, &bytes) {
            return Err(torn());
        }
        Ok(Self { key, about: bytes.split_off(FIXED), end })
    }

    /// The checksum of a record at an offset.
    pub(super) fn checksum(&self, offset: u64, payload: &[u8]) -> [u8; CHECKSUM] {
        checksum(&self.key, offset, payload)
    }
}

/// Whether a file may be a log that was just begun: it starts as logs do, or with nothing yet.
pub(super) fn may_be_begun(disk: &Disk, path: &Path) -> Result<bool> {
    let mut start = [0; MAGIC.len()];
    let read = disk.read_at(&mut start, 0).map_err(|e| Error::io("read", path, e))?;
    let start = &start[..read];
    Ok(MAGIC.starts_with(start) || start.iter().all(|byte| *byte == 0))
}

fn key(header: &[u8]) -> [u8; 32] {
    blake3::derive_key("karat append-only log, checksums of version 1", header)
}

fn checksum(key: &[u8; 32], offset: u64, payload: &[u8]) -> [u8; CHECKSUM] {
    let mut hash = blake3::Hasher::new_keyed(key);
    hash.update(&offset.to_le_bytes()).update(payload);
    let mut sum = [0; CHECKSUM];
    sum.copy_from_slice(&hash.finalize().as_bytes()[..CHECKSUM]);
    sum
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}
