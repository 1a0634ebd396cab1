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

/// A line of the log.
struct Line {
    number: u64,
    /// What it says; a crash may have cut it off.
    parsed: serde_json::Result<Acceptance>,
    /// It is as it was written, so far as a hash holds it.
    whole: bool,
}

/// The lines of a log, the oldest first; none where there is no such file.
fn lines(path: &Path) -> Result<Vec<Line>> {
    check_file(path)?;
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("read", path, e)),
    };
    let (text, mut sealed) = (String::from_utf8_lossy(&bytes), false);
    let line = |(number, text): (u64, &str)| {
        let parsed = serde_json::from_str::<Acceptance>(text);
        let is_sealed = parsed.as_ref().is_ok_and(|acceptance| acceptance.seal.is_some());
        // Behind a line that is sealed none is of an older version.
        let whole = parsed.as_ref().is_ok_and(|acceptance| acceptance.is_whole(text)) && (is_sealed || !sealed);
        sealed |= is_sealed;
        Line { number, parsed, whole }
    };
    Ok((1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()).map(line).collect())
}

fn off(path: &Path, line: u64) -> Error {
    Error::input(format!("`{ACCEPTED}` was changed: the line is not as it was written"))
        .at_line(path, line)
        .with_hint("restore it from version control")
}

/// All acceptances of a baseline, the oldest first.
///
/// # Errors
/// A file that cannot be read, a line that is not as it was written.
pub fn read(folder: &Path) -> Result<Vec<Acceptance>> {
    let path = folder.join(ACCEPTED);
    let acceptance = |Line { number, parsed, whole }| match parsed {
        Ok(acceptance) if whole => Ok(acceptance),
        Ok(_) => Err(off(&path, number)),
        Err(e) => Err(Error::input("failed to read an acceptance").at_line(&path, number).caused_by(e)),
    };
    lines(&path)?.into_iter().map(acceptance).collect()
}

/// Whether a baseline's log knows a run.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn knows(folder: &Path, run_id: &str) -> Result<bool> {
    let known = |line: &Line| line.parsed.as_ref().is_ok_and(|acceptance| acceptance.run_id == run_id);
    Ok(lines(&folder.join(ACCEPTED))?.iter().any(known))
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
    let message = format!("`{MANIFEST}` was changed: its SHA-256 is not the one in `{file}`");
    let hint = match *file {
        ACCEPTED => "the manifest or the log was changed after the run was accepted; restore them from version control",
        _ => "the manifest was changed after the run was recorded, or it is another run's; repeat the run",
    };
    Err(Error::input(message).at(folder.join(MANIFEST)).with_hint(hint))
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
    for Line { number, parsed, whole } in lines(&path)? {
        // A line that a crash cut off says nothing.
        let Some(own) = parsed.ok().filter(|acceptance| acceptance.run_id == id) else { continue };
        if !whole {
            return Err(off(&path, number));
        }
        hashes.extend(own.manifest_sha256.map(|sha256| (ACCEPTED, sha256)));
    }
    Ok(hashes)
}

impl Acceptance {
    /// Its line, sealed.
    fn to_line(&self) -> Result<String> {
        let written = |acceptance: &Self| {
            serde_json::to_string(acceptance).map_err(|e| Error::internal("failed to write an acceptance").caused_by(e))
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
