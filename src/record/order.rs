//! In which order the runs of a suite were recorded: `.order` beside the run folders, a line for each run: its id, and the SHA-256 of
//! its manifest, which holds those of its other files. A run that was not judged yet is verified by it.
//!
//! Clocks go backwards and differ between machines that share a folder; `latest` must not. A run's id is appended before its
//! folder gets its final name: a crash between the two leaves an id with an unfinished folder, which readers pass over, and
//! never a folder that an older run hides. Where the last id has no folder at all, `latest` is an error.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::{RunId, sync_folder};
use crate::error::{Error, Result};
use crate::stand_in::check_file;

/// The file, below `runs/<suite>/`.
pub const ORDER: &str = ".order";
/// What stands before the id of a run that was taken back; no id begins so.
const WITHDRAWN: &str = "-";

/// Appends a run, durably and behind all others, also where several processes record at once.
pub(super) fn append(folder: &Path, run_id: &RunId, manifest_sha256: &str) -> Result<()> {
    append_line(&folder.join(ORDER), &format!("{run_id} {manifest_sha256}")).map(drop)
}

/// Takes a run back that came no further than its line: it is pruned, and no run is missing.
pub(super) fn withdraw(folder: &Path, run_id: &RunId) -> Result<()> {
    if recorded_order(folder)?.iter().any(|id| id == run_id.as_str()) {
        append_line(&folder.join(ORDER), &format!("{WITHDRAWN}{run_id}")).map(drop)
    } else {
        Ok(())
    }
}

/// Appends a line to a file that several processes may append to, durably; the lock is held until the returned file is dropped.
/// A line that a crash cut off stays a line of its own.
pub(crate) fn append_line(path: &Path, line: &str) -> Result<File> {
    let failed = |e| Error::io("write", path, e);
    let new = !path.exists();
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
    file.lock().map_err(failed)?;
    let whole = ends_whole(&mut file).map_err(failed)?;
    let text = format!("{}{line}\n", if whole { "" } else { "\n" });
    file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).map_err(failed)?;
    if let Some(folder) = path.parent().filter(|_| new) {
        sync_folder(folder)?;
    }
    Ok(file)
}

/// Whether a file is empty or ends with a line break.
fn ends_whole(file: &mut File) -> std::io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Ids of the runs of a suite's folder in the order in which they were recorded, the oldest first; none of runs that older
/// versions recorded, and none that were taken back. An id may stand there without its folder.
///
/// # Errors
/// A file that cannot be read.
pub fn recorded_order(folder: &Path) -> Result<Vec<String>> {
    Ok(recorded_lines(folder)?.into_iter().map(|(id, _)| id).collect())
}

/// SHA-256 (hex) of the manifest that a run was recorded with; none where it was recorded elsewhere, or by a version that did not
/// note it.
///
/// # Errors
/// A file that cannot be read.
pub fn recorded_manifest(folder: &Path, run_id: &str) -> Result<Option<String>> {
    // A run that was killed between its line and its folder was recorded again when it was resumed.
    Ok(recorded_lines(folder)?.into_iter().rev().find(|(id, _)| id == run_id).and_then(|(_, sha256)| sha256))
}

/// The lines: ids, and the SHA-256 of each manifest where the version that recorded it noted it.
///
/// # Errors
/// A file that cannot be read.
pub fn recorded_lines(folder: &Path) -> Result<Vec<(String, Option<String>)>> {
    let path = folder.join(ORDER);
    check_file(&path)?;
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("read", &path, e)),
    };
    let mut runs: Vec<(String, Option<String>)> = Vec::new();
    for line in String::from_utf8_lossy(&bytes).lines() {
        match (line.strip_prefix(WITHDRAWN), line.split_once(' ')) {
            (Some(withdrawn), _) => runs.retain(|(id, _)| id != withdrawn),
            (None, Some((id, sha256))) => runs.push((id.to_owned(), Some(sha256.to_owned()))),
            (None, None) => runs.push((line.to_owned(), None)),
        }
    }
    Ok(runs)
}

/// Whether a run folder stands where its run was recorded: among its suite's runs, and not as a copy, in baselines say.
///
/// # Errors
/// A folder or file that cannot be read.
pub fn is_recorded(run: &Path) -> Result<bool> {
    let path = fs::canonicalize(run).map_err(|e| Error::io("find", run, e))?;
    let (Some(folder), Some(id)) = (path.parent(), path.file_name()) else { return Ok(false) };
    Ok(recorded_order(folder)?.iter().any(|recorded| id == recorded.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RunId {
        RunId::parse(text).unwrap()
    }

    #[test]
    fn ids_stand_in_the_order_of_recording() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(recorded_order(folder.path()).unwrap(), Vec::<String>::new());
        append(folder.path(), &id("b"), "00").unwrap();
        append(folder.path(), &id("a"), "01").unwrap();
        assert_eq!(recorded_order(folder.path()).unwrap(), ["b", "a"]);
        for name in ["a", "copy"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            assert_eq!(is_recorded(&folder.path().join(name)).unwrap(), name == "a");
        }
        assert!(is_recorded(&folder.path().join("b")).is_err());
        assert_eq!(recorded_manifest(folder.path(), "a").unwrap().as_deref(), Some("01"));
        assert_eq!(recorded_manifest(folder.path(), "c").unwrap(), None);
        append(folder.path(), &id("a"), "03").unwrap();
        assert_eq!(recorded_manifest(folder.path(), "a").unwrap().as_deref(), Some("03"), "recorded again");
        // A line that was cut off hides no other.
        let path = folder.path().join(ORDER);
        fs::write(&path, "b\n2026").unwrap();
        append(folder.path(), &id("c"), "02").unwrap();
        assert_eq!(recorded_order(folder.path()).unwrap(), ["b", "2026", "c"]);
        withdraw(folder.path(), &id("c")).unwrap();
        withdraw(folder.path(), &id("none")).unwrap();
        assert_eq!(recorded_order(folder.path()).unwrap(), ["b", "2026"]);
        append(folder.path(), &id("c"), "02").unwrap();
        assert_eq!(recorded_order(folder.path()).unwrap(), ["b", "2026", "c"]);
    }

    #[test]
    fn many_at_once_lose_no_line() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let folder = folder.path();
                scope
                    .spawn(move || (0..25).for_each(|i| append(folder, &id(&format!("r{thread}-{i}")), "00").unwrap()));
            }
        });
        let mut ids = recorded_order(folder.path()).unwrap();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 200);
    }
}
