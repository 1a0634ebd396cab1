//! A file that waits for its content under a hidden name beside its own.
//!
//! The hidden name follows from the file's own, so that what a killed call left behind is taken up by the next one and does not
//! pile up. Of two calls at once, the second takes a random name.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

use crate::engine::log::sync_folder;

/// What hidden names begin with; git's view of a suite passes over them, too (`run::manifest`).
const PREFIX: &str = ".karat-";

/// Opens the file that becomes `path`; dropped before, it leaves nothing behind.
///
/// # Errors
/// The folder does not exist or cannot be written.
pub fn beside(path: &Path) -> Result<NamedTempFile> {
    let folder = folder(path);
    if let Some(name) = path.file_name() {
        let mut hidden = OsString::from(PREFIX);
        hidden.push(name);
        if let Ok(file) = Builder::new().prefix(&hidden).rand_bytes(0).make_in(folder, take) {
            return Ok(file);
        }
    }
    // Another call has it, or the name is too long. What is wrong with the folder is told here.
    Builder::new().prefix(PREFIX).make_in(folder, |path| File::create_new(path))
}

/// Gives the file its name, durably: whoever looks sees the old bytes or the new ones, also after a crash.
///
/// # Errors
/// It cannot be written or renamed.
pub fn settle(file: NamedTempFile, path: &Path) -> Result<()> {
    file.as_file().sync_all()?;
    file.persist(path).map_err(|e| e.error)?;
    sync_folder(folder(path))
}

/// The folder that a file lies in.
pub fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A new file, or one that nobody writes any more. Who writes holds its lock.
fn take(path: &Path) -> Result<File> {
    match File::create_new(path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => take_up(path),
        Err(e) => Err(e),
        Ok(file) => match file.try_lock() {
            // Without locks nobody takes up anything.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(file),
            // Another call was faster.
            Err(TryLockError::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
        },
    }
}

#[cfg(unix)]
fn take_up(path: &Path) -> Result<File> {
    use std::os::unix::fs::MetadataExt;
    let taken = || Error::from(ErrorKind::AlreadyExists);
    let there = || std::fs::symlink_metadata(path).ok().filter(|there| there.is_file());
    there().ok_or_else(taken)?;
    let file = File::options().write(true).open(path)?;
    file.try_lock()?;
    // Since it was opened, its writer may have given it its own name, or removed it.
    let (ours, there) = (file.metadata()?, there().ok_or_else(taken)?);
    if (ours.dev(), ours.ino(), ours.nlink()) != (there.dev(), there.ino(), 1) {
        return Err(taken());
    }
    file.set_len(0)?;
    Ok(file)
}

#[cfg(not(unix))]
fn take_up(_path: &Path) -> Result<File> {
    Err(Error::from(ErrorKind::AlreadyExists))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    #[test]
    fn what_was_left_behind_is_taken_up_and_what_is_written_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.html");
        let names = || {
            let entries = fs::read_dir(folder.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        fs::write(folder.path().join(".karat-r.html"), "left behind by a call that was killed").unwrap();
        let mut one = beside(&path).unwrap();
        assert_eq!(names(), [".karat-r.html"]);
        let mut two = beside(&path).unwrap();
        assert_eq!(names().len(), 2);
        one.write_all(b"one").unwrap();
        two.write_all(b"two").unwrap();
        one.persist(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one");
        let three = beside(&path).unwrap();
        two.persist(&path).unwrap();
        drop(three);
        assert_eq!((names(), fs::read(&path).unwrap()), (vec!["r.html".to_owned()], b"two".to_vec()));
        // A name that is too long for the hidden one, and a folder that is not there.
        let long = folder.path().join("r".repeat(252));
        beside(&long).unwrap().persist(&long).unwrap();
        assert!(beside(&folder.path().join("none/r.html")).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn what_somebody_put_there_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("r.html"), folder.path().join("victim"));
        let hidden = folder.path().join(".karat-r.html");
        fs::write(&victim, "mine").unwrap();
        for link in [std::os::unix::fs::symlink::<&Path, &Path>, fs::hard_link::<&Path, &Path>] {
            link(&victim, &hidden).unwrap();
            beside(&path).unwrap().write_all(b"report").unwrap();
            assert_eq!(fs::read(&victim).unwrap(), b"mine");
            fs::remove_file(&hidden).unwrap();
        }
    }
}
