//! Who accepted what, when and why: `accepted.jsonl` of a baseline, a line for each time.

use std::fs::{self, File};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::record::append_line;

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

/// Adds an acceptance behind the others, and holds the log until the returned file is dropped: what else belongs to the
/// acceptance is written meanwhile, so that two at once come one behind the other.
pub(super) fn append(folder: &Path, acceptance: &Acceptance) -> Result<File> {
    let text = serde_json::to_string(acceptance).map_err(|e| Error::internal("write an acceptance").caused_by(e))?;
    append_line(&folder.join(ACCEPTED), &text)
}
