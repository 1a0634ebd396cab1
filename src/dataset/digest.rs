//! The bytes that are hashed are the bytes that are used: a file is hashed by the reader that parses it, and whoever reads
//! it again gets every block held against that first reading before any of it is handed out.
//!
//! SHA-256 over the whole file is what a manifest records. BLAKE3 of every block (32 bytes a block) is what later readings are
//! held against: a file that was changed is refused at its first other block, before a case of it is asked. Date and length of
//! a file prove nothing and are not looked at.

use std::io::{Error as IoError, Read, Result as IoResult};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::hash::hex;

/// Bytes of a block of a dataset.
const BLOCK: usize = 1 << 18;
/// Pieces that wait to be hashed.
const AHEAD: usize = 4;

/// What a file held when it was read first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileDigest {
    sha256: String,
    blocks: BlockHashes,
}

impl FileDigest {
    /// SHA-256 of the whole file, in hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

/// BLAKE3 of every block of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockHashes {
    size: usize,
    hashes: Arc<[[u8; 32]]>,
}

impl BlockHashes {
    /// Whether `block`, all bytes that a file has now from `index` blocks after its start on, at most a block of them, is what
    /// was there before: none at the end of the file.
    pub fn holds(&self, index: usize, block: &[u8]) -> bool {
        match self.hashes.get(index) {
            Some(hash) => blake3::hash(block) == *hash,
            None => block.is_empty(),
        }
    }
}

/// Hashes blocks of bytes that come in pieces of any length.
pub struct BlockHasher {
    size: usize,
    filled: usize,
    hasher: blake3::Hasher,
    hashes: Vec<[u8; 32]>,
}

impl BlockHasher {
    /// For blocks of `size` bytes.
    pub fn new(size: usize) -> Self {
        Self { size, filled: 0, hasher: blake3::Hasher::new(), hashes: Vec::new() }
    }

    /// The next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.size - self.filled));
            self.hasher.update(now);
            self.filled += now.len();
            if self.filled == self.size {
                self.close();
            }
            bytes = later;
        }
    }

    fn close(&mut self) {
        self.hashes.push(*self.hasher.finalize().as_bytes());
        self.hasher.reset();
        self.filled = 0;
    }

    /// There are no more.
    pub fn finish(mut self) -> BlockHashes {
        if self.filled > 0 {
            self.close();
        }
        BlockHashes { size: self.size, hashes: self.hashes.into() }
    }
}

/// Hands out what `reader` gives, and a copy of it to a thread that hashes. Once the reader was read to its end and dropped,
/// the thread ends with the digest.
pub(super) fn hashing<R: Read>(reader: R) -> (Hashing<R>, JoinHandle<FileDigest>) {
    let (to, pieces) = sync_channel::<Vec<u8>>(AHEAD);
    let hash = move || {
        let (mut whole, mut blocks) = (Sha256::new(), BlockHasher::new(BLOCK));
        for piece in pieces {
            whole.update(&piece);
            blocks.update(&piece);
        }
        FileDigest { sha256: hex(&whole.finalize()), blocks: blocks.finish() }
    };
    (Hashing { reader, to }, std::thread::spawn(hash))
}

/// A reader whose bytes are hashed.
pub(super) struct Hashing<R> {
    reader: R,
    to: SyncSender<Vec<u8>>,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        let count = self.reader.read(buffer)?;
        let lost = |_| IoError::other(Error::internal("failed to hash a dataset: the thread has stopped"));
        self.to.send(buffer[..count].to_vec()).map_err(lost)?;
        Ok(count)
    }
}

/// A reader of a file that was read before: what is not as it was then is an error.
pub(super) struct Verified<R, E> {
    reader: R,
    blocks: BlockHashes,
    /// Makes the error of a file that was changed.
    changed: E,
    /// The next block.
    index: usize,
    block: Vec<u8>,
    /// How much of the block is handed out.
    taken: usize,
}

impl<R: Read, E: Fn() -> Error> Verified<R, E> {
    pub fn new(reader: R, digest: &FileDigest, changed: E) -> Self {
        Self { reader, blocks: digest.blocks.clone(), changed, index: 0, block: Vec::new(), taken: 0 }
    }
}

impl<R: Read, E: Fn() -> Error> Read for Verified<R, E> {
    fn read(&mut self, buffer: &mut [u8]) -> IoResult<usize> {
        if self.taken == self.block.len() {
            self.taken = 0;
            self.block.clear();
            let read = self.reader.by_ref().take(self.blocks.size as u64).read_to_end(&mut self.block);
            if read.is_err() || !self.blocks.holds(self.index, &self.block) {
                // Nothing of it may be handed out later either.
                self.block.clear();
                read?;
                return Err(IoError::other((self.changed)()));
            }
            self.index += 1;
        }
        let count = buffer.len().min(self.block.len() - self.taken);
        buffer[..count].copy_from_slice(&self.block[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}

/// What the thread of [`hashing`] found.
pub(super) fn joined(thread: JoinHandle<FileDigest>) -> Result<FileDigest> {
    thread.join().map_err(|_| Error::internal("failed to hash a dataset: the thread panicked"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;

    fn digest(bytes: &[u8]) -> FileDigest {
        let (mut reader, thread) = hashing(bytes);
        std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
        drop(reader);
        joined(thread).unwrap()
    }

    fn again(bytes: &[u8], digest: &FileDigest) -> (Vec<u8>, Option<String>) {
        let mut read = Vec::new();
        let mut reader = Verified::new(bytes, digest, || Error::input("changed"));
        let error = reader.read_to_end(&mut read).err().map(|error| Error::io("read", "x", error).chain());
        (read, error)
    }

    #[test]
    fn the_hash_is_that_of_the_whole_file_however_it_is_cut() {
        assert_eq!(digest(b"abc").sha256(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digest(b"").sha256(), sha256(b""));
        let bytes: Vec<u8> = (0..1000_u32).map(|n| (n % 251) as u8).collect();
        let cut = |piece: usize| {
            let mut hasher = BlockHasher::new(64);
            bytes.chunks(piece).for_each(|piece| hasher.update(piece));
            hasher.finish()
        };
        assert_eq!(cut(7), cut(1000));
        assert_eq!(cut(64).hashes.len(), 16);
        assert!(cut(3).holds(15, &bytes[960..]) && !cut(3).holds(15, &bytes[960..999]) && cut(3).holds(16, b""));
    }

    #[test]
    fn nothing_of_a_changed_block_is_handed_out() {
        let bytes: Vec<u8> = (0..3 * BLOCK as u32 + 5).map(|n| (n % 251) as u8).collect();
        let first = digest(&bytes);
        assert_eq!(again(&bytes, &first), (bytes.clone(), None));
        for at in [0, BLOCK, 3 * BLOCK - 1, 3 * BLOCK + 4] {
            let mut other = bytes.clone();
            other[at] ^= 1;
            let (read, error) = again(&other, &first);
            assert_eq!((read.len(), error.as_deref()), (at / BLOCK * BLOCK, Some("changed")), "{at}");
        }
        for (other, whole) in [(&bytes[..3 * BLOCK], 3), (&bytes[..3 * BLOCK + 4], 3), (&bytes[..BLOCK], 1), (&[], 0)] {
            let (read, error) = again(other, &first);
            assert_eq!((read.len(), error.as_deref()), (whole * BLOCK, Some("changed")));
        }
        let longer = [&bytes[..], b"x"].concat();
        assert!(again(&longer, &first).1.is_some());
        // A file that ends with a block, and has one more byte now.
        let (read, error) = again(&bytes[..2 * BLOCK + 1], &digest(&bytes[..2 * BLOCK]));
        assert_eq!((read.len(), error.as_deref()), (2 * BLOCK, Some("changed")));
    }
}
