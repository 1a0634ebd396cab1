//! Making a run the baseline: a copy that is verified, durable and never changed.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Acceptance, CURRENT, Current, RunEntry, Store, head, identity, log, open_verified};
use crate::error::{Error, Result};
use crate::record::{
    FileHasher, MANIFEST, Manifest, PROMPTS, REPORT, RESULTS, RunId, RunReader, Summary, VERDICT, check_name, compress,
    packed, sync_folder, write_atomically,
};
use crate::stand_in::check_file;

/// What to do where nothing can be written.
const ELSEWHERE: &str = "name a folder that can be written: --baselines-dir FOLDER, or KARAT_BASELINES_DIR";

/// What to accept, and how strictly.
#[derive(Clone, Copy, Debug)]
pub struct Accept<'a> {
    /// The run folder.
    pub run: &'a Path,
    /// The baseline's name.
    pub name: &'a str,
    /// Accept a run with errored or missing cases, a partial one, or one of files that are not committed.
    pub force: bool,
    /// Keep results and prompts compressed, for large sets.
    pub compress: bool,
    /// Why, in the words of whoever accepts.
    pub why: &'a str,
}

/// What a run comes to beside what is accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Review {
    /// It is refused for other reasons than its files', and accepted by force.
    pub forced: bool,
    /// What got worse, for the log.
    pub worse: Vec<String>,
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
    /// whose files differed from their commit, unless forced; an id that is there with other content; what `review` refuses. That
    /// is asked with what is accepted so far and all entries, while no other call can change them. Every step is atomic: a crash
    /// leaves the old baseline in force. Who accepted, when, why and at which commit goes to [`super::ACCEPTED`].
    ///
    /// # Errors
    /// The refusals; a folder that cannot be written (environment). A first run that was not accepted leaves no folder.
    pub fn accept(
        &self,
        accept: Accept<'_>,
        review: impl FnOnce(&Current, &[RunEntry]) -> Result<Review>,
    ) -> Result<Accepted> {
        check_name("baseline name", accept.name)?;
        let run = open_verified(accept.run)?;
        let unverified = run.is_unverified()?.then(unverified);
        let obstacle = obstacle(run.manifest(), &run.summary()?).or(unverified);
        if let Some(obstacle) = obstacle.as_ref().filter(|_| !accept.force) {
            let message = format!("cannot accept run `{}`: {}", run.manifest().run_id, obstacle.what);
            return Err(Error::input(message).at(run.folder()).with_hint(obstacle.hint));
        }
        let folder = self.baselines.join(&run.manifest().suite).join(accept.name);
        let made = make(&folder)?;
        let accepted = turn(&folder).and_then(|_turn| {
            self.accept_in_turn(&run, (accept, obstacle.is_some()), (&folder, !made.is_empty()), review)
        });
        if accepted.is_err() {
            // Only what is empty goes: an empty folder would be a broken baseline.
            made.iter().rev().take_while(|folder| fs::remove_dir(folder).is_ok()).for_each(drop);
        }
        accepted
    }

    /// `first`: the baseline's folder was made for this.
    fn accept_in_turn(
        &self,
        run: &RunReader,
        (accept, forced): (Accept<'_>, bool),
        (folder, first): (&Path, bool),
        review: impl FnOnce(&Current, &[RunEntry]) -> Result<Review>,
    ) -> Result<Accepted> {
        let manifest = run.manifest();
        let (current, entries) = match self.state(&manifest.suite, accept.name)? {
            (Current::Broken(_), entries) if first && entries.is_empty() => (Current::None, entries),
            state => state,
        };
        let reviewed = review(&current, &entries)?;
        let target = folder.join(manifest.run_id.as_str());
        let mut known = target.exists();
        if known {
            refuse_other_content(run, &target)?;
        } else {
            match copy(run, folder, &target, accept.compress) {
                // Another call accepted the same run meanwhile.
                Err(_) if target.exists() => {
                    refuse_other_content(run, &target)?;
                    known = true;
                }
                copied => copied?,
            }
        }
        keep_line_ends(&self.baselines)?;
        let path = folder.join(CURRENT);
        if path.is_dir() {
            fs::remove_dir(&path).map_err(|e| Error::io("remove", &path, e))?;
        }
        check_file(&path)?;
        let before = fs::read_to_string(&path).ok().and_then(|text| RunId::parse(text.trim()).ok());
        let replaced = before.filter(|id| *id != manifest.run_id).map(|id| id.to_string());
        let acceptance = Acceptance {
            run_id: manifest.run_id.to_string(),
            replaced: replaced.clone(),
            by: identity(folder),
            at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            why: Some(accept.why.to_owned()),
            manifest_sha256: Some(run.manifest_sha256().to_owned()),
            git_commit: head(folder),
            forced: forced || reviewed.forced,
            worse: reviewed.worse,
            seal: None,
        };
        let _log = log::append(folder, &acceptance)?;
        write_atomically(&path, format!("{}\n", manifest.run_id).as_bytes())?;
        Ok(Accepted { folder: target, replaced, known })
    }
}

/// Why a run is not accepted but by force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// What is wrong with it, "it is partial, …".
    pub what: String,
    /// What to do about it.
    pub hint: &'static str,
}

/// What stands in the way of accepting a run, whatever is accepted so far: cases that erred or are missing, a selection, files
/// that were not committed.
pub fn obstacle(manifest: &Manifest, summary: &Summary) -> Option<Obstacle> {
    let missing: u64 = manifest.missing(summary).values().sum();
    let (cases, errored) = (summary.totals.cases + missing, summary.totals.errored);
    if errored > 0 || missing > 0 || cases == 0 {
        let what = format!("of {cases} cases {errored} errored and {missing} are missing");
        return Some(Obstacle { what, hint: "repeat the run, or accept it as it is with `--force`" });
    }
    if manifest.is_partial() {
        let what = "it is partial, its call selected only some cases".into();
        return Some(Obstacle { what, hint: "repeat the run without --limit, or accept it as it is with `--force`" });
    }
    (manifest.git_dirty == Some(true)).then(|| Obstacle {
        what: "files of its suite were not committed when it ran".into(),
        hint: "commit them and repeat the run, so that others can make it again, or accept it as it is with `--force`",
    })
}

/// What stands in the way of a run of whose manifest an edit would be accepted unseen.
fn unverified() -> Obstacle {
    Obstacle {
        what: format!("nothing holds the SHA-256 of its {MANIFEST}: an edit would not be seen"),
        hint: "repeat the run, or accept it as it is with `--force`",
    }
}

/// Makes a folder and those above it; the ones that were not there, the outermost first.
fn make(folder: &Path) -> Result<Vec<&Path>> {
    let mut made: Vec<&Path> = folder.ancestors().take(3).filter(|folder| !folder.exists()).collect();
    made.reverse();
    fs::create_dir_all(folder).map_err(|e| {
        let links = folder.ancestors().take(3).find(|above| above.is_symlink() && !above.exists());
        let hint = match links {
            Some(link) => {
                format!("`{}` is a link that leads nowhere: restore what it leads to, or remove it", link.display())
            }
            None => ELSEWHERE.into(),
        };
        Error::environment(format!("failed to create `{}`", folder.display())).caused_by(e).with_hint(hint)
    })?;
    Ok(made)
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

/// Equal manifests name equal hashes, and opening the entry verifies those, and the manifest itself.
fn refuse_other_content(run: &RunReader, target: &Path) -> Result<()> {
    let there = open_verified(target).map_err(|e| e.context("the existing baseline entry does not verify"))?;
    if there.manifest() == run.manifest() {
        return Ok(());
    }
    let message = format!("cannot accept run `{}`: the baseline holds another run of that id", run.manifest().run_id);
    Err(Error::input(message).at(target).with_hint("baseline entries never change; repeat the run to get a new id"))
}

fn copy(run: &RunReader, folder: &Path, target: &Path, compressed: bool) -> Result<()> {
    let hidden = tempfile::Builder::new().prefix(".").suffix(".partial").tempdir_in(folder);
    let hidden = hidden.map_err(|e| Error::io("create a folder in", folder, e).with_hint(ELSEWHERE))?;
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
            copy_file(&from, &to)?;
        }
        // The source was verified before; what counts is what arrived.
        if let Some(entry) = manifest.files.get(name)
            && FileHasher::of_file(&to)? != *entry
        {
            let message = format!("`{name}` changed while it was copied");
            return Err(Error::input(message).at(&from).with_hint("is the run still being written to?"));
        }
    }
    // What was made from the record goes along, where it is about this one.
    if run.verdict().is_ok_and(|verdict| verdict.is_some()) {
        for name in [VERDICT, REPORT].into_iter().filter(|name| !manifest.files.contains_key(*name)) {
            let from = run.folder().join(name);
            if from.is_file() {
                copy_file(&from, &partial.join(name))?;
            }
        }
    }
    if RunReader::unverified(&partial)?.manifest_sha256() != run.manifest_sha256() {
        return Err(Error::input(format!("`{MANIFEST}` changed while it was copied")).at(run.folder()));
    }
    sync_folder(&partial)?;
    fs::rename(&partial, target).map_err(|e| Error::io("create", target, e))?;
    sync_folder(folder)
}

/// Copies a file, durably.
fn copy_file(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map_err(|e| Error::io("copy", from, e))?;
    let file = fs::File::open(to).map_err(|e| Error::io("open", to, e))?;
    file.sync_all().map_err(|e| Error::io("write", to, e))
}

/// Baselines are made for git, and git must not change their line ends: the hashes would no longer agree.
fn keep_line_ends(baselines: &Path) -> Result<()> {
    let path = baselines.join(".gitattributes");
    if path.exists() {
        return Ok(());
    }
    write_atomically(&path, b"# Hashes in the manifests hold only while git leaves line ends alone.\n* -text\n")
}
