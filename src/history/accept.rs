//! Making a run the baseline: a copy that is verified, durable and never changed.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Acceptance, CURRENT, Store, head, identity, log};
use crate::error::{Error, Result};
use crate::record::{
    FileHasher, MANIFEST, PROMPTS, RESULTS, RunReader, check_name, compress, packed, sync_folder, write_atomically,
};

/// What to accept, and how strictly.
#[derive(Clone, Copy, Debug)]
pub struct Accept<'a> {
    /// The run folder.
    pub run: &'a Path,
    /// The baseline's name.
    pub name: &'a str,
    /// Accept a run with errored or missing cases, a partial one, or one of files that are not committed.
    pub force: bool,
    /// It is refused for other reasons too, and accepted by force.
    pub forced: bool,
    /// Keep results and prompts compressed, for large sets.
    pub compress: bool,
    /// Why, in the words of whoever accepts.
    pub why: &'a str,
    /// What got worse, for the log.
    pub worse: &'a [String],
}

/// What accepting did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The entry's folder.
    pub folder: PathBuf,
    /// The run that `current` named before, where it was another one.
    pub replaced: Option<String>,
    /// The same run was there already; only `current` may have moved.
    pub known: bool,
}

impl Store {
    /// Copies a run under a baseline's name and points `current` at it.
    ///
    /// Refused: a run whose files are not its manifest's; one with errored or missing cases, a partial one, or one of a suite
    /// whose files differed from their commit, unless forced; an id that is there with other content. Every step is atomic: a crash leaves the old
    /// baseline in force. Who accepted, when, why and at which commit goes to [`super::ACCEPTED`].
    pub fn accept(&self, accept: Accept<'_>) -> Result<Accepted> {
        check_name("baseline name", accept.name)?;
        let run = RunReader::open(accept.run)?;
        let refused = refuse_incomplete(&run).and_then(|()| refuse_partial(&run)).and_then(|()| refuse_dirty(&run));
        let forced = refused.is_err() || accept.forced;
        if !accept.force {
            refused?;
        }
        let manifest = run.manifest();
        let folder = self.baselines.join(&manifest.suite).join(accept.name);
        let target = folder.join(manifest.run_id.as_str());
        let mut known = target.exists();
        if known {
            refuse_other_content(&run, &target)?;
        } else {
            fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, e))?;
            keep_line_ends(&self.baselines)?;
            match copy(&run, &folder, &target, accept.compress) {
                // Another call accepted the same run meanwhile.
                Err(_) if target.exists() => {
                    refuse_other_content(&run, &target)?;
                    known = true;
                }
                copied => copied?,
            }
        }
        // One at a time from here: the line names what `current` named before it.
        let _turn = turn(&folder)?;
        let before = fs::read_to_string(folder.join(CURRENT)).ok().map(|text| text.trim().to_owned());
        let replaced = before.filter(|id| id != manifest.run_id.as_str());
        let acceptance = Acceptance {
            run_id: manifest.run_id.to_string(),
            replaced: replaced.clone(),
            by: identity(&folder),
            at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            why: Some(accept.why.to_owned()),
            git_commit: head(&folder),
            forced,
            worse: accept.worse.to_vec(),
        };
        let _log = log::append(&folder, &acceptance)?;
        write_atomically(&folder.join(CURRENT), format!("{}\n", manifest.run_id).as_bytes())?;
        Ok(Accepted { folder: target, replaced, known })
    }
}

fn refuse_incomplete(run: &RunReader) -> Result<()> {
    let summary = run.summary()?;
    let missing: u64 = run.manifest().missing(&summary).values().sum();
    let errored = summary.totals.errored;
    if errored == 0 && missing == 0 && summary.totals.cases > 0 {
        return Ok(());
    }
    let cases = summary.totals.cases + missing;
    let fragment =
        format!("accept run `{}`: of {cases} cases {errored} errored and {missing} are missing", run.manifest().run_id);
    Err(Error::input(fragment).at(run.folder()).with_hint("repeat the run, or accept it as it is with `--force`"))
}

/// The right to change what is accepted, held until the file is dropped. The folder itself is locked: a file for it would be one
/// more to commit.
fn turn(folder: &Path) -> Result<fs::File> {
    let file = fs::File::open(folder).map_err(|e| Error::io("open", folder, e))?;
    match file.lock() {
        // A file system without locks for folders: the log's own lock still keeps every line.
        Err(e) if e.kind() != std::io::ErrorKind::Unsupported => Err(Error::io("lock", folder, e)),
        _ => Ok(file),
    }
}

fn refuse_partial(run: &RunReader) -> Result<()> {
    if !run.manifest().is_partial() {
        return Ok(());
    }
    let fragment = format!("accept run `{}`: it is partial, its call selected only some cases", run.manifest().run_id);
    let hint = "repeat the run without --limit, or accept it as it is with `--force`";
    Err(Error::input(fragment).at(run.folder()).with_hint(hint))
}

fn refuse_dirty(run: &RunReader) -> Result<()> {
    if run.manifest().git_dirty != Some(true) {
        return Ok(());
    }
    let fragment = format!("accept run `{}`: files of its suite were not committed when it ran", run.manifest().run_id);
    let hint = "commit them and repeat the run, so that others can make it again, or accept it as it is with `--force`";
    Err(Error::input(fragment).at(run.folder()).with_hint(hint))
}

/// Equal manifests name equal hashes, and opening the entry verifies those.
fn refuse_other_content(run: &RunReader, target: &Path) -> Result<()> {
    let there = RunReader::open(target).map_err(|e| e.context("verify the baseline entry that is there"))?;
    if there.manifest() == run.manifest() {
        return Ok(());
    }
    let fragment = format!("accept run `{}`: the baseline holds another run of that id", run.manifest().run_id);
    Err(Error::input(fragment).at(target).with_hint("baseline entries never change; repeat the run to get a new id"))
}

fn copy(run: &RunReader, folder: &Path, target: &Path, compressed: bool) -> Result<()> {
    let hidden = tempfile::Builder::new().prefix(".").suffix(".partial").tempdir_in(folder);
    let hidden = hidden.map_err(|e| Error::io("create a folder in", folder, e))?;
    // Not into the hidden folder itself: that one is readable by its owner alone.
    let partial = hidden.path().join("run");
    fs::create_dir(&partial).map_err(|e| Error::io("create", &partial, e))?;
    let manifest = run.manifest();
    for name in manifest.files.keys().map(String::as_str).chain([MANIFEST]) {
        let (from, to) = (run.folder().join(name), partial.join(name));
        // What was compressed stays so.
        if !from.exists() || (compressed && [RESULTS, PROMPTS].contains(&name)) {
            compress(&from, &packed(&to))?;
        } else {
            fs::copy(&from, &to).map_err(|e| Error::io("copy", &from, e))?;
            let file = fs::File::open(&to).map_err(|e| Error::io("open", &to, e))?;
            file.sync_all().map_err(|e| Error::io("write", &to, e))?;
        }
        // The source was verified before; what counts is what arrived.
        if let Some(entry) = manifest.files.get(name)
            && FileHasher::of_file(&to)? != *entry
        {
            let fragment = format!("copy `{name}`: it changed meanwhile");
            return Err(Error::input(fragment).at(&from).with_hint("is the run still being written to?"));
        }
    }
    if RunReader::read_manifest(&partial)? != *manifest {
        return Err(Error::input(format!("copy `{MANIFEST}`: it changed meanwhile")).at(run.folder()));
    }
    sync_folder(&partial)?;
    fs::rename(&partial, target).map_err(|e| Error::io("create", target, e))?;
    sync_folder(folder)
}

/// Baselines are made for git, and git must not change their line ends: the hashes would no longer agree.
fn keep_line_ends(baselines: &Path) -> Result<()> {
    let path = baselines.join(".gitattributes");
    if path.exists() {
        return Ok(());
    }
    write_atomically(&path, b"# Hashes in the manifests hold only while git leaves line ends alone.\n* -text\n")
}
