//! Who accepted what, when and why: `accepted.jsonl` of a baseline, a line for each time.

use std::fs::{self, File};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::record::{MANIFEST, RunReader, append_line};

/// The file.
pub const ACCEPTED: &str = "accepted.jsonl";

/// One acceptance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acceptance {
    /// The run that is accepted from now on.
    pub run_id: String,
    /// The one that was accepted before.
    pub replaced: Option<String>,
    /// Who did it.
    pub by: Option<String>,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Why.
    pub why: Option<String>,
    /// SHA-256 (hex) of the run's manifest, which holds those of its other files. Acceptances of older versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_sha256: Option<String>,
    /// The commit that the repository of baselines was at.
    pub git_commit: Option<String>,
    /// It was accepted although it was incomplete, failed rules, or its files were not committed.
    pub forced: bool,
    /// What got worse against the one that was accepted before, and which absolute rules fail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worse: Vec<String>,
}

/// All acceptances of a baseline, the oldest first; none where there is no such file, as of baselines of older versions.
///
/// # Errors
/// A file that cannot be read.
pub fn read(folder: &Path) -> Result<Vec<Acceptance>> {
    let path = folder.join(ACCEPTED);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("read", &path, e)),
    };
    let parse = |(line, text): (u64, &str)| {
        serde_json::from_str(text).map_err(|e| Error::input("read an acceptance").at_line(&path, line).caused_by(e))
    };
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()).map(parse).collect()
}

/// Opens a run whose files are what their hashes say ([`RunReader::open`]), and holds its manifest against the log of the baseline
/// that it lies in, where it lies in one.
///
/// # Errors
/// A file that is not what its hash says, by name.
pub fn open_verified(folder: &Path) -> Result<RunReader> {
    let known = hashes(folder)?;
    // The manifest first: it says what the others must be.
    if known.is_empty() {
        return RunReader::open(folder);
    }
    let run = RunReader::unverified(folder)?;
    if known.iter().all(|sha256| sha256 == run.manifest_sha256()) {
        return RunReader::open(folder).map(RunReader::vouched);
    }
    let fragment = format!("verify `{MANIFEST}`: its SHA-256 is not the one that `{ACCEPTED}` holds");
    let hint = "the manifest or the log was changed after the run was accepted; restore them from version control";
    Err(Error::input(fragment).at(folder.join(MANIFEST)).with_hint(hint))
}

/// Hashes of a run's manifest in the log of the baseline that it lies in.
fn hashes(folder: &Path) -> Result<Vec<String>> {
    let Ok(place) = fs::canonicalize(folder) else { return Ok(Vec::new()) };
    let (Some(above), Some(id)) = (place.parent(), place.file_name()) else { return Ok(Vec::new()) };
    let path = above.join(ACCEPTED);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("read", &path, e)),
    };
    let text = String::from_utf8_lossy(&bytes);
    // A line that a crash cut off says nothing.
    let acceptances = text.lines().filter_map(|line| serde_json::from_str::<Acceptance>(line).ok());
    let own = acceptances.filter(|acceptance| id == acceptance.run_id.as_str());
    Ok(own.filter_map(|acceptance| acceptance.manifest_sha256).collect())
}

/// Adds an acceptance behind the others, and holds the log until the returned file is dropped: what else belongs to the
/// acceptance is written meanwhile, so that two at once come one behind the other.
pub(super) fn append(folder: &Path, acceptance: &Acceptance) -> Result<File> {
    let text = serde_json::to_string(acceptance).map_err(|e| Error::internal("write an acceptance").caused_by(e))?;
    append_line(&folder.join(ACCEPTED), &text)
}
