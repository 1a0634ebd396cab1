//! Hashes of files that were read before: a model of many gigabytes is hashed once, not at every run.
//!
//! A remembered hash counts only while the file has the inode, the size and both times (content and inode change, to the
//! nanosecond) that it had when it was hashed. A file that changed within `SETTLED` before it was hashed is not remembered:
//! a second change could leave the same times, as git's index has it ("racy git").

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How long a file must have been left alone.
const SETTLED: Duration = Duration::from_secs(3);
/// Files that are remembered at most; beyond it all are forgotten, which costs one reading of each.
const MOST: usize = 10_000;

/// Where hashes are remembered: a small JSON file, replaced as a whole, so that processes may share it.
#[derive(Clone, Debug)]
pub struct HashMemo(PathBuf);

/// What tells that a file is the one that was hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    stamp: Stamp,
    sha256: String,
}

type Memory = BTreeMap<PathBuf, Known>;

impl HashMemo {
    /// The memo in this file, which need not exist yet. A broken one is an empty memory.
    pub fn new(file: PathBuf) -> Self {
        Self(file)
    }

    /// The hashes of files, in their order; `hash` is asked for those that are not known. A memory that cannot be written is
    /// none: the next run hashes again.
    ///
    /// # Errors
    /// Those of `hash`.
    pub fn hashes(
        &self,
        files: &[PathBuf],
        hash: impl FnOnce(&[PathBuf]) -> Result<Vec<String>>,
    ) -> Result<Vec<String>> {
        let mut memory: Memory = std::fs::read(&self.0).map(|text| parse(&text)).unwrap_or_default();
        let known: Vec<Option<String>> = files.iter().map(|file| recall(&memory, file)).collect();
        let unknown = files.iter().zip(&known).filter(|(_, known)| known.is_none());
        let unknown: Vec<PathBuf> = unknown.map(|(file, _)| file.clone()).collect();
        // Before they are read: what changes meanwhile must not be remembered.
        let stamps: Vec<Option<Stamp>> = unknown.iter().map(|file| Stamp::of(file)).collect();
        let fresh = hash(&unknown)?;
        let mut learned = false;
        for ((file, stamp), sha256) in unknown.iter().zip(stamps).zip(&fresh) {
            learned |= learn(&mut memory, file, stamp, sha256);
        }
        if learned {
            let _ = self.write(&memory);
        }
        let mut fresh = fresh.into_iter();
        let all = known.into_iter().map(|known| known.or_else(|| fresh.next()));
        all.collect::<Option<_>>().ok_or_else(|| Error::internal("hash every file"))
    }

    fn write(&self, memory: &Memory) -> std::io::Result<()> {
        let folder = self.0.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec(memory)?)?;
        file.persist(&self.0)?;
        Ok(())
    }
}

fn parse(text: &[u8]) -> Memory {
    serde_json::from_slice(text).unwrap_or_default()
}

/// The hash of a file, if it is the one that was hashed.
fn recall(memory: &Memory, file: &Path) -> Option<String> {
    let file = file.canonicalize().ok()?;
    let known = memory.get(&file)?;
    (Stamp::of(&file)? == known.stamp).then(|| known.sha256.clone())
}

/// Notes what a file hashed to, if it was left alone all the while; whether it did.
fn learn(memory: &mut Memory, file: &Path, before: Option<Stamp>, sha256: &str) -> bool {
    let (Some(before), Ok(file)) = (before, file.canonicalize()) else { return false };
    if Stamp::of(&file).as_ref() != Some(&before) || !before.is_settled() {
        return false;
    }
    if memory.len() >= MOST {
        memory.clear();
    }
    memory.insert(file, Known { stamp: before, sha256: sha256.into() });
    true
}

impl Stamp {
    /// Elsewhere than on Unix nothing tells a file's identity, and nothing is remembered.
    #[cfg(not(unix))]
    fn of(_file: &Path) -> Option<Self> {
        None
    }

    #[cfg(unix)]
    fn of(file: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt;
        let data = std::fs::metadata(file).ok()?;
        Some(Self {
            device: data.dev(),
            inode: data.ino(),
            size: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }

    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let latest = self.modified.0.max(self.changed.0).max(0) as u64;
        now.as_secs().saturating_sub(latest) >= SETTLED.as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_hashed_again_only_when_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        std::fs::write(&path, "one").unwrap();
        let memo = HashMemo::new(folder.path().join("sub/files.json"));
        let ask = |answer: &str| {
            let mut asked = false;
            let found = memo.hashes(std::slice::from_ref(&path), |files| {
                asked = !files.is_empty();
                Ok(files.iter().map(|_| answer.to_owned()).collect())
            });
            (found.unwrap().remove(0), asked)
        };
        // Changed just now: not remembered.
        assert_eq!(ask("a"), ("a".into(), true));
        assert_eq!(ask("b"), ("b".into(), true));
        std::thread::sleep(SETTLED + Duration::from_secs(1));
        assert_eq!(ask("c"), ("c".into(), true));
        assert_eq!(ask("d"), ("c".into(), false));
        // The same size, an older time set by hand: the inode's change tells.
        let time = std::fs::metadata(&path).unwrap().modified().unwrap();
        std::fs::write(&path, "two").unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        assert_eq!(ask("e"), ("e".into(), true));
        // Broken: an empty memory.
        std::fs::write(folder.path().join("sub/files.json"), "{").unwrap();
        assert_eq!(ask("f"), ("f".into(), true));
    }
}
