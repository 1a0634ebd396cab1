//! The files of a prompt, each read once: what is hashed is what is used.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::spec::portable_path;
use crate::dataset::whole_text;
use crate::error::Result;
use crate::hash::sha256;
use crate::stand_in::read_file;

/// Bytes of a template, or of the file of its examples.
const FILE_BYTES: u64 = 1 << 30;

/// Reads files below a folder and keeps their hashes.
pub(super) struct Files<'a> {
    root: &'a Path,
    read: BTreeMap<PathBuf, Vec<u8>>,
}

impl<'a> Files<'a> {
    /// Files named from the folder `root`.
    pub fn new(root: &'a Path) -> Self {
        Self { root, read: BTreeMap::new() }
    }

    /// A file from the working folder.
    pub fn path(&self, file: &Path) -> PathBuf {
        self.root.join(file)
    }

    /// The bytes of a file. One that is named twice is read once.
    pub fn bytes(&mut self, file: &Path) -> Result<&[u8]> {
        if !self.read.contains_key(file) {
            let path = self.path(file);
            let bytes = read_file(&path, FILE_BYTES).map_err(|error| error.at(&path))?;
            self.read.insert(file.to_owned(), bytes);
        }
        Ok(self.read.get(file).map_or(&[], Vec::as_slice))
    }

    /// The text of a file, without byte-order mark, its lines ended by line feeds: a prompt does not depend on the editor or on the
    /// settings of git under which it was saved.
    pub fn text(&mut self, file: &Path) -> Result<String> {
        let path = self.path(file);
        whole_text(self.bytes(file)?, &path)
    }

    /// SHA-256 (hex) of every file that was read, by the name that records give it.
    pub fn hashes(&self) -> BTreeMap<String, String> {
        self.read.iter().map(|(file, bytes)| (portable_path(file), sha256(bytes))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_once_and_hashed_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.md");
        std::fs::write(&path, "\u{feff}a\r\nb\rc\n").unwrap();
        let mut files = Files::new(folder.path());
        assert_eq!(files.text(Path::new("p.md")).unwrap(), "a\nb\nc\n");
        std::fs::write(&path, "other").unwrap();
        assert_eq!(files.text(Path::new("p.md")).unwrap(), "a\nb\nc\n");
        let expected = sha256("\u{feff}a\r\nb\rc\n".as_bytes());
        assert_eq!(files.hashes(), BTreeMap::from([("p.md".to_owned(), expected)]));
    }

    #[test]
    fn other_encodings_are_named() {
        let told = |bytes: &[u8]| whole_text(bytes, Path::new("p")).unwrap_err().to_string();
        assert!(told(b"\xff\xfea\0").contains("UTF-16"));
        assert_eq!(told(b"a\n\xff"), "the text is not valid UTF-8 (p:2)");
    }
}
