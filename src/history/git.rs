//! Runs that lie in git: `git:REF:PATH` names a run folder, or a baseline's, as it was committed.
//!
//! Nothing is checked out: the files are read from the repository into a temporary folder, which lives as long as whoever
//! asked for it. Git itself is called, so that every kind of reference means what it means there.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;

use super::{ACCEPTED, CURRENT};
use crate::error::{Error, Result, nearest};
use crate::git::Git;
use crate::record::{MANIFEST, RunId, check_name};

/// What references into git begin with.
const PREFIX: &str = "git:";
/// What stands in git in place of a file that large-file storage keeps.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// A folder of files that were read from git.
pub struct Checkout {
    folder: TempDir,
    /// The run's own within it; the log of its baseline lies beside.
    name: String,
}

impl Checkout {
    /// Where the files are.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    /// The run that `git:REF:PATH` names, as seen from a folder; none where the text is no such reference.
    ///
    /// # Errors
    /// Git or the repository is missing, there is no such reference or path, or what is there is no run.
    pub fn of(reference: &str, from: &Path) -> Result<Option<Self>> {
        let Some(rest) = reference.strip_prefix(PREFIX) else { return Ok(None) };
        let Some((name, path)) = rest.split_once(':').filter(|(name, path)| !name.is_empty() && !path.is_empty())
        else {
            let error = Error::input(format!("`{reference}` is not a reference"));
            return Err(error.with_hint("write git:REF:PATH, as in git:main:baselines/support-desk/main"));
        };
        let git = Repository(Git::at(from));
        let commit = git.commit(name, from)?;
        let path = path.trim_matches('/');
        let names = git.list(&commit, path, name)?;
        let has = |wanted: &str| names.iter().any(|(file, _)| file == wanted);
        let (files, above, run) = match (has(MANIFEST), has(CURRENT)) {
            (true, _) => {
                let (above, run) = path.rsplit_once('/').unwrap_or(("", path));
                let run = if check_name("run id", run).is_ok() { run } else { "run" };
                (names, git.list(&commit, above, name)?, run.to_owned())
            }
            (false, true) => {
                let id = String::from_utf8_lossy(&git.show(&format!("{commit}:{path}/{CURRENT}"))?).trim().to_owned();
                let id = RunId::parse(&id).map_err(|e| e.at(format!("{name}:{path}/{CURRENT}")))?;
                (git.list(&commit, &format!("{path}/{id}"), name)?, names, id.to_string())
            }
            (false, false) => {
                let error = Error::input(format!("there is no run in `{path}` at `{name}`"));
                return Err(error.with_hint(format!(
                    "name a run folder (it holds `{MANIFEST}`) or a baseline's (it holds `{CURRENT}`)"
                )));
            }
        };
        let folder = tempfile::Builder::new().prefix("karat-git-").tempdir();
        let folder = folder.map_err(|e| Error::io("create", std::env::temp_dir(), e))?;
        let checkout = Self { folder, name: run };
        std::fs::create_dir(checkout.folder()).map_err(|e| Error::io("create", checkout.folder(), e))?;
        for (file, blob) in files {
            check_name("file name", &file)?;
            git.write(&blob, &checkout.folder().join(&file))
                .map_err(|e| e.context(format!("failed to read `{path}/{file}` at `{name}`")))?;
        }
        if let Some((file, blob)) = above.iter().find(|(file, _)| file == ACCEPTED) {
            git.write(blob, &checkout.folder.path().join(file))?;
        }
        Ok(Some(checkout))
    }
}

/// Who works here, as git knows them, or else the system.
pub fn identity(folder: &Path) -> Option<String> {
    let git = Git::at(folder);
    let config = |key: &str| git.text(&["config", "--get", key]).ok().filter(|text| !text.is_empty());
    match (config("user.name"), config("user.email")) {
        (Some(name), Some(email)) => Some(format!("{name} <{email}>")),
        (Some(one), None) | (None, Some(one)) => Some(one),
        (None, None) => std::env::var("USER").ok().filter(|name| !name.is_empty()),
    }
}

/// The commit that a folder's working tree is at, if it lies in one.
pub fn head(folder: &Path) -> Option<String> {
    Git::at(folder).head()
}

/// Reads files as they lie in a repository.
struct Repository(Git);

impl Repository {
    fn commit(&self, name: &str, from: &Path) -> Result<String> {
        if self.0.text(&["rev-parse", "--git-dir"]).is_err() {
            self.0.output(&["--version"])?;
            let error = Error::input("there is no git repository").at(from);
            return Err(error.with_hint("run karat inside the repository that the reference is of"));
        }
        // What begins with a dash would be an option of git's.
        let wanted = format!("{name}^{{commit}}");
        let found = self.0.text(&["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted]);
        found.map_err(|_| {
            let known = self.0.text(&["for-each-ref", "--format=%(refname:short)"]).unwrap_or_default();
            Error::input(format!("git does not know `{name}`")).with_hint(nearest(name, known.lines()))
        })
    }

    /// Names and ids of the files in a folder of a commit.
    fn list(&self, commit: &str, path: &str, name: &str) -> Result<Vec<(String, String)>> {
        let place = format!("{commit}:{path}");
        let output = self.0.output(&["ls-tree", "-z", &place])?;
        if !output.status.success() {
            let error = Error::input(format!("there is no folder `{path}` at `{name}`"));
            return Err(error.with_hint("the path starts from the repository's root"));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let entry = |line: &str| {
            let (about, file) = line.split_once('\t')?;
            let mut about = about.split(' ').skip(1);
            (about.next() == Some("blob")).then(|| Some((file.to_owned(), about.next()?.to_owned())))?
        };
        Ok(text.split('\0').filter_map(entry).collect())
    }

    fn show(&self, object: &str) -> Result<Vec<u8>> {
        let output = self.0.output(&["cat-file", "blob", object])?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(Error::input(format!("failed to read `{object}` from git")))
        }
    }

    /// Writes a file as it lies in git.
    fn write(&self, blob: &str, path: &Path) -> Result<()> {
        let file = File::create_new(path).map_err(|e| Error::io("create", path, e))?;
        let status = self.0.command(&["cat-file", "blob", blob]).stdout(file).stderr(Stdio::null()).status();
        let status = status.map_err(|e| Error::input("failed to call git").caused_by(e))?;
        if !status.success() {
            return Err(Error::input(format!("failed to read `{blob}` from git")));
        }
        let mut start = [0; POINTER.len()];
        let read = File::open(path).and_then(|mut file| std::io::Read::read(&mut file, &mut start));
        if read.is_ok_and(|n| n == POINTER.len()) && start == *POINTER {
            let error = Error::input("git holds only a Git LFS pointer to the file");
            return Err(error.with_hint(
                "it is kept in large-file storage; check the reference out with `git lfs pull` and name the folder",
            ));
        }
        Ok(())
    }
}
