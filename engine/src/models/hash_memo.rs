//! SHA-256 by BLAKE3 of the same bytes: the registry and records speak of the former, which takes one core seconds a
//! gigabyte; the latter all cores take at every run.
//!
//! Nothing else about a file is believed: not its name, size, inode or times. The memo itself is held against a checksum, and
//! one that is damaged, foreign or of a former version is an empty memory.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::hash::hex;
use crate::private;
use crate::stand_in::read_file;

/// Raised when the file changes its form.
const FORMAT: u32 = 2;
/// Contents that are remembered at most; beyond it all are forgotten, which costs one SHA-256 of each.
const MOST: usize = 10_000;
/// Bytes of the file that are read: more than [`MOST`] entries take.
const LARGEST: u64 = 16 << 20;
/// What the checksum is keyed with.
const PURPOSE: &str = "karat 2026-11-30 memo of SHA-256 by BLAKE3";

/// Where hashes are remembered: a small JSON file, replaced as a whole, so that processes may share it.
#[derive(Clone, Debug)]
pub struct HashMemo(PathBuf);

/// SHA-256 by BLAKE3, both in hex.
type Known = BTreeMap<String, String>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    format: u32,
    sha256: Known,
    /// Over `sha256`.
    check: String,
}

impl HashMemo {
    /// The memo in this file, which need not exist yet. A broken one is an empty memory.
    pub fn new(file: PathBuf) -> Self {
        Self(file)
    }

    /// SHA-256 of the contents with these hashes, where it is known.
    pub fn recall(&self, hashes: &[blake3::Hash]) -> Vec<Option<String>> {
        let known = self.read();
        hashes.iter().map(|hash| known.get(hash.to_hex().as_str()).cloned()).collect()
    }

    /// Remembers SHA-256 of contents. A memory that cannot be written is none: the next run hashes again.
    pub fn learn(&self, learned: impl IntoIterator<Item = (blake3::Hash, String)>) {
        let mut known = self.read();
        let before = known.len();
        known.extend(learned.into_iter().map(|(hash, sha256)| (hash.to_hex().to_string(), sha256)));
        if known.len() > MOST {
            known.clear();
        }
        if known.len() != before {
            drop(self.write(known));
        }
    }

    fn read(&self) -> Known {
        read_file(&self.0, LARGEST).ok().and_then(|text| parse(&text)).unwrap_or_default()
    }

    fn write(&self, known: Known) -> std::io::Result<()> {
        let folder = self.0.parent().unwrap_or(Path::new("."));
        private::create_folder(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        let check = checksum(&known);
        file.write_all(&serde_json::to_vec(&Memory { format: FORMAT, sha256: known, check })?)?;
        file.persist(&self.0)?;
        Ok(())
    }
}

/// What a file says, if it is whole and of this version.
fn parse(text: &[u8]) -> Option<Known> {
    let Memory { format, sha256, check } = serde_json::from_slice(text).ok()?;
    (format == FORMAT && check == checksum(&sha256)).then_some(sha256)
}

fn checksum(known: &Known) -> String {
    let mut hash = blake3::Hasher::new_derive_key(PURPOSE);
    for text in known.iter().flat_map(|(blake3, sha256)| [blake3, sha256]) {
        hash.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }
    hex(hash.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_known_by_their_hash_alone() {
        let folder = tempfile::tempdir().unwrap();
        let memo = HashMemo::new(folder.path().join("sub/hashes.json"));
        let (one, two) = (blake3::hash(b"one"), blake3::hash(b"two"));
        assert_eq!(memo.recall(&[one]), [None]);
        memo.learn([(one, "a1".to_owned())]);
        memo.learn([(two, "b2".to_owned())]);
        assert_eq!(memo.recall(&[two, blake3::hash(b"three"), one]), [Some("b2".into()), None, Some("a1".into())]);
    }

    #[test]
    fn a_memo_that_was_tampered_with_is_no_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hashes.json");
        let (memo, hash) = (HashMemo::new(path.clone()), blake3::hash(b"one"));
        memo.learn([(hash, "a1".repeat(32))]);
        let whole = std::fs::read_to_string(&path).unwrap();
        assert!(memo.recall(&[hash])[0].is_some());
        let swapped = whole.replacen("a1", "a2", 1);
        let other = whole.replacen(hash.to_hex().as_str(), blake3::hash(b"two").to_hex().as_str(), 1);
        // What versions wrote that believed inode, size and times.
        let former = r#"{"/m/model.safetensors": {"stamp": {"device": 1, "inode": 2, "size": 3, "modified": [1, 2], "changed": [1, 2]}, "sha256": "00"}}"#;
        for damaged in [&swapped, &other, former, &whole[..whole.len() - 1], "{", ""] {
            std::fs::write(&path, damaged).unwrap();
            let asked = [hash, blake3::hash(b"two")];
            assert_eq!(memo.recall(&asked), [None, None], "{damaged}");
        }
        memo.learn([(hash, "a1".repeat(32))]);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), whole, "begun anew");
    }
}
