//! Runs that were begun and are not recorded: listing them, and removing them where they are not wanted any more.

use std::fs;
use std::path::{Path, PathBuf};

use super::journal::{About, Counts, Entries, SUFFIX, journal_path, parse};
use super::{RunId, RunReader, order};
use crate::engine::log::{Log, LogReader};
use crate::error::{Error, Result};

/// A run that was begun and is not recorded.
#[derive(Debug)]
pub struct Unfinished {
    /// Its id.
    pub run_id: RunId,
    /// Its journal.
    pub path: PathBuf,
    /// Whether a process is at it.
    pub running: bool,
    /// What it is of, or why that cannot be read.
    pub about: Result<About>,
    /// Finished cases.
    pub finished: u64,
    /// Answers, and what encoders made of texts.
    pub computed: u64,
    /// When it was last written.
    pub modified: std::time::SystemTime,
}

/// The unfinished runs in the folder of a suite's runs, the oldest first. What a crash left of a run that has its place is
/// cleared away.
///
/// # Errors
/// The folder cannot be read.
pub fn unfinished(folder: &Path) -> Result<Vec<Unfinished>> {
    let failed = |e| Error::io("read", folder, e);
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(failed(e)),
    };
    let mut found = Vec::new();
    for entry in listing {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let id = name.strip_prefix('.').and_then(|name| name.strip_suffix(SUFFIX));
        let Some(run_id) = id.and_then(|id| RunId::parse(id).ok()) else { continue };
        let path = entry.path();
        if is_whole(&folder.join(run_id.as_str())) {
            // Its owner may be about to remove it.
            let _ = Log::remove(&path);
            continue;
        }
        // Removed since the folder was listed: it is finished.
        let Ok(metadata) = entry.metadata() else { continue };
        if !metadata.is_file() {
            continue;
        }
        // Killed while it was created: nothing was computed.
        if Log::remove_incomplete(&path).unwrap_or(false) {
            continue;
        }
        let modified = metadata.modified().map_err(failed)?;
        let (mut entries, running) = (Entries::default(), Log::is_owned(&path).unwrap_or(false));
        let about = LogReader::open(&path).and_then(|reader| {
            let mut records = reader.records()?;
            while let Some((offset, payload)) = records.next_record()? {
                entries.add(offset, payload);
            }
            let about: About = parse(reader.about(), &path)?;
            if about.manifest.run_id == run_id {
                Ok(about)
            } else {
                Err(Error::input(format!("the journal of run `{}` has the name of another", about.manifest.run_id)))
            }
        });
        let Counts { finished, computed } = entries.counts;
        let (finished, computed) = (finished.into_inner(), computed.into_inner());
        found.push(Unfinished { run_id, path, running, about, finished, computed, modified });
    }
    found.sort_by(|a, b| a.run_id.cmp(&b.run_id));
    Ok(found)
}

/// Whether a folder holds a whole run: every file that its manifest lists, of its length.
fn is_whole(folder: &Path) -> bool {
    let length = |name: &str| fs::metadata(folder.join(name)).map(|data| data.len()).ok();
    RunReader::unverified(folder)
        .is_ok_and(|run| run.manifest().files.iter().all(|(name, file)| length(name) == Some(file.bytes)))
}

/// What crashes left of runs without a journal in the folder of a suite's runs: nothing that could be resumed.
///
/// # Errors
/// The folder cannot be read.
pub fn leftovers(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e| Error::io("read", folder, e);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(id) = name.strip_prefix('.').and_then(|name| name.strip_suffix(".partial")) else { continue };
        let Ok(run_id) = RunId::parse(id) else { continue };
        // Who works there holds it locked; a lock that cannot be had is no leave to remove anything.
        let is_free = || fs::File::open(&path).is_ok_and(|folder| folder.try_lock().is_ok());
        if path.is_dir() && !journal_path(folder, &run_id).exists() && is_free() {
            found.push(path);
        }
    }
    Ok(found)
}

/// Removes an unfinished run; false where a process is at it.
///
/// # Errors
/// It cannot be removed.
pub fn prune(folder: &Path, run: &Unfinished) -> Result<bool> {
    let removed = Log::remove(&run.path)?;
    if removed {
        let partial = folder.join(format!(".{}.partial", run.run_id));
        match fs::remove_dir_all(&partial) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("remove", &partial, e)),
            _ => order::withdraw(folder, &run.run_id)?,
        }
    }
    Ok(removed)
}
