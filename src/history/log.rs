//! Who accepted what, when and why: `accepted.jsonl` of a baseline, a line for each time, each with the SHA-256 of itself.

use std::fs::{self, File};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::hash::sha256;
use crate::record::{MANIFEST, ORDER, RunReader, append_line, is_sealed, recorded_manifest};
use crate::stand_in::check_file;

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
    /// SHA-256 (hex) of the line with nothing between these quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<String>,
}

/// All acceptances of a baseline, the oldest first; none where there is no such file, as of baselines of older versions.
///
/// # Errors
/// A file that cannot be read, a line that is not as it was written.
pub fn read(folder: &Path) -> Result<Vec<Acceptance>> {
    let path = folder.join(ACCEPTED);
    let text = text(&path)?;
    let mut sealed = false;
    let parse = |(line, text): (u64, &str)| {
        let parsed = serde_json::from_str(text);
        let acceptance: Acceptance =
            parsed.map_err(|e| Error::input("read an acceptance").at_line(&path, line).caused_by(e))?;
        // Behind a line that is sealed none is of an older version.
        let whole = acceptance.is_whole(text) && (acceptance.seal.is_some() || !sealed);
        sealed |= acceptance.seal.is_some();
        if whole { Ok(acceptance) } else { Err(off().at_line(&path, line)) }
    };
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()).map(parse).collect()
}

/// The log's text; none where there is no such file.
fn text(path: &Path) -> Result<String> {
    check_file(path)?;
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(e) => Err(Error::io("read", path, e)),
    }
}

fn off() -> Error {
    Error::input(format!("verify `{ACCEPTED}`: the line is not as it was written"))
        .with_hint("restore it from version control")
}

/// Whether a baseline's log knows a run.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn knows(folder: &Path, run_id: &str) -> Result<bool> {
    let known = |line| serde_json::from_str::<Acceptance>(line).is_ok_and(|acceptance| acceptance.run_id == run_id);
    Ok(text(&folder.join(ACCEPTED))?.lines().any(known))
}

/// Opens a run whose files are what their hashes say ([`RunReader::open`]), and holds its manifest against what stands beside its
/// folder: the log of the baseline that it lies in, or the order in which runs were recorded.
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
    let Some((file, _)) = known.iter().find(|(_, sha256)| sha256 != run.manifest_sha256()) else {
        return RunReader::open(folder).map(RunReader::vouched);
    };
    let fragment = format!("verify `{MANIFEST}`: its SHA-256 is not the one that `{file}` holds");
    let hint = match *file {
        ACCEPTED => "the manifest or the log was changed after the run was accepted; restore them from version control",
        _ => "the manifest was changed after the run was recorded, or it is another run's; repeat the run",
    };
    Err(Error::input(fragment).at(folder.join(MANIFEST)).with_hint(hint))
}

/// Hashes of a run's manifest beside its folder, and the file that holds each.
fn hashes(folder: &Path) -> Result<Vec<(&'static str, String)>> {
    let Ok(place) = fs::canonicalize(folder) else { return Ok(Vec::new()) };
    let (Some(above), Some(id)) = (place.parent(), place.file_name().and_then(|name| name.to_str())) else {
        return Ok(Vec::new());
    };
    let recorded = recorded_manifest(above, id)?.map(|sha256| (ORDER, sha256));
    let mut hashes: Vec<_> = recorded.into_iter().collect();
    let path = above.join(ACCEPTED);
    let mut sealed = false;
    for (line, text) in (1..).zip(text(&path)?.lines()) {
        // A line that a crash cut off says nothing.
        let Ok(acceptance) = serde_json::from_str::<Acceptance>(text) else { continue };
        // Behind a line that is sealed none is of an older version.
        let whole = acceptance.is_whole(text) && (acceptance.seal.is_some() || !sealed);
        sealed |= acceptance.seal.is_some();
        if acceptance.run_id != id {
            continue;
        }
        if !whole {
            return Err(off().at_line(&path, line));
        }
        hashes.extend(acceptance.manifest_sha256.map(|sha256| (ACCEPTED, sha256)));
    }
    Ok(hashes)
}

impl Acceptance {
    /// Its line, sealed.
    fn to_line(&self) -> Result<String> {
        let written = |acceptance: &Self| {
            serde_json::to_string(acceptance).map_err(|e| Error::internal("write an acceptance").caused_by(e))
        };
        let open = Self { seal: Some(String::new()), ..self.clone() };
        let seal = Some(sha256(written(&open)?.as_bytes()));
        written(&Self { seal, ..open })
    }

    /// Whether its line is the one that was sealed. Those of older versions hold neither a seal nor a hash.
    fn is_whole(&self, line: &str) -> bool {
        match &self.seal {
            Some(seal) => is_sealed(seal, line.as_bytes()),
            None => self.manifest_sha256.is_none(),
        }
    }
}

/// Adds an acceptance behind the others, and holds the log until the returned file is dropped: what else belongs to the
/// acceptance is written meanwhile, so that two at once come one behind the other.
pub(super) fn append(folder: &Path, acceptance: &Acceptance) -> Result<File> {
    append_line(&folder.join(ACCEPTED), &acceptance.to_line()?)
}
