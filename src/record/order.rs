//! In which order the runs of a suite were recorded: `.order` beside the run folders, a line for each run id.
//!
//! Clocks go backwards and differ between machines that share a folder; `latest` must not. A run's id is appended before its
//! folder gets its final name: a crash between the two leaves an id with an unfinished folder, which readers pass over, and
//! never a folder that an older run hides. Where the last id has no folder at all, `latest` is an error.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::RunId;
use crate::error::{Error, Result};

/// The file, below `runs/<suite>/`.
pub const ORDER: &str = ".order";

/// Appends a run, durably and behind all others, also where several processes record at once.
pub(super) fn append(folder: &Path, run_id: &RunId) -> Result<()> {
    append_line(&folder.join(ORDER), run_id.as_str()).map(drop)
}

/// Appends a line to a file that several processes may append to, durably; the lock is held until the returned file is dropped.
/// A line that a crash cut off stays a line of its own.
pub(crate) fn append_line(path: &Path, line: &str) -> Result<File> {
    let failed = |e| Error::io("write", path, e);
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
    file.lock().map_err(failed)?;
    let whole = ends_whole(&mut file).map_err(failed)?;
    let text = format!("{}{line}\n", if whole { "" } else { "\n" });
    file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).map_err(failed)?;
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
/// versions recorded. An id may stand there without its folder.
///
/// # Errors
/// A file that cannot be read.
pub fn recorded_order(folder: &Path) -> Result<Vec<String>> {
    let path = folder.join(ORDER);
    match fs::read(&path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(Error::io("read", &path, e)),
    }
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
        append(folder.path(), &id("b")).unwrap();
        append(folder.path(), &id("a")).unwrap();
        assert_eq!(recorded_order(folder.path()).unwrap(), ["b", "a"]);
        // A line that was cut off hides no other.
        let path = folder.path().join(ORDER);
        fs::write(&path, "b\n2026").unwrap();
        append(folder.path(), &id("c")).unwrap();
        assert_eq!(recorded_order(folder.path()).unwrap(), ["b", "2026", "c"]);
    }

    #[test]
    fn many_at_once_lose_no_line() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let folder = folder.path();
                scope.spawn(move || (0..25).for_each(|i| append(folder, &id(&format!("r{thread}-{i}"))).unwrap()));
            }
        });
        let mut ids = recorded_order(folder.path()).unwrap();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 200);
    }
}
