//! What the fuzz targets share: a folder in memory to put hostile files into, and fixtures of the repository.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use tempfile::TempDir;

/// A fixture checkpoint of the repository.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/models").join(name)
}

/// The one folder of this process; in memory where the system has such a place.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { TempDir::with_prefix_in("karat-fuzz-", memory) } else { TempDir::new() };
    folder.expect("a temporary folder")
});

/// Writes a file into the process's folder; gives the folder and the file.
pub fn file(name: &str, contents: impl AsRef<[u8]>) -> (&'static Path, PathBuf) {
    let path = FOLDER.path().join(name);
    std::fs::write(&path, contents).expect("write a file");
    (FOLDER.path(), path)
}

/// Splits the input at its first NUL, as a target of two texts wants it.
pub fn two(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[]),
    }
}

/// Every error can be shown, and its message is one line that says something.
pub fn shown(error: &karat::error::Error) {
    assert!(!error.message().is_empty());
    assert!(!error.chain().is_empty());
}
