//! Opening a saved run and trusting it only after its hashes agree.

use std::any::Any;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::files::FileHasher;
use super::{
    Lines, MANIFEST, Manifest, PERFORMANCE, PROMPTS, Performance, Plain, Prompts, RESULTS, SUMMARY, Summary, VERDICT,
};
use crate::error::{Error, Result};
use crate::hash::sha256;
use crate::stand_in::check_file;

/// A saved run whose files are the ones its manifest names.
#[derive(Debug)]
pub struct RunReader {
    folder: PathBuf,
    manifest: Manifest,
    manifest_sha256: String,
    /// Something outside of the manifest holds its hash, and it is this one.
    vouched: bool,
    /// What lives as long as the run is read: a temporary folder that holds it.
    kept: Option<Box<dyn Any + Send + Sync>>,
}

impl RunReader {
    /// Opens a run folder: reads the manifest, refuses newer formats, and holds every file against its SHA-256: those of the
    /// record against the manifest, the manifest and the report against the verdict, the verdict against its own seal.
    ///
    /// # Errors
    /// A file that is not what its hash says, by name.
    pub fn open(folder: &Path) -> Result<Self> {
        let mut run = Self::unverified(folder)?;
        // First what vouches for the hashes below.
        run.vouched = run.is_vouched_by_verdict()?;
        for (name, entry) in &run.manifest.files {
            let path = folder.join(name);
            let found = FileHasher::of_file(&path).map_err(|e| e.with_hint("the run folder is incomplete"))?;
            if found.bytes < entry.bytes {
                let lengths = format!("it has {} bytes instead of {}", found.bytes, entry.bytes);
                return Err(Error::input(format!("`{name}` is cut off: {lengths}"))
                    .at(&path)
                    .with_hint("the file was cut off"));
            }
            if found != *entry {
                let hint =
                    "the file was changed after the run; for baselines in git, keep line ends as they are (`* -text`)";
                return Err(Error::input(format!("`{name}` was changed: its SHA-256 is not the one in the manifest"))
                    .at(&path)
                    .with_hint(hint));
            }
        }
        Ok(run)
    }

    /// Opens a run folder without looking at its files: for lists, and for what was hashed as it was written.
    ///
    /// # Errors
    /// Those of the manifest.
    pub fn unverified(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        check_file(&path)?;
        let bytes = fs::read(&path).map_err(|e| {
            Error::io("read", &path, e).with_hint("is this a run folder? it holds manifest.json and results.jsonl")
        })?;
        let manifest = Manifest::parse(&path, &bytes)?;
        // Lists and references know a run by its folder: files of another run in it would be judged under this one's name.
        let named = folder.file_name().map(|name| name.to_string_lossy().into_owned()).filter(|name| is_dated(name));
        if let Some(named) = named.filter(|named| *named != manifest.run_id.to_string()) {
            let error =
                Error::input(format!("the folder of run `{named}` holds the files of run `{}`", manifest.run_id));
            return Err(error
                .at(&path)
                .with_hint("give a copy a name that does not begin with a date, or the run's own"));
        }
        let manifest_sha256 = sha256(&bytes);
        Ok(Self { folder: folder.into(), manifest, manifest_sha256, vouched: false, kept: None })
    }

    /// Takes note that something outside of the folder holds the manifest's hash, too.
    #[must_use]
    pub fn vouched(self) -> Self {
        Self { vouched: true, ..self }
    }

    /// Whether anything vouches for the manifest: the verdict beside it, or who called [`RunReader::vouched`]. Nothing does for
    /// records of older versions, and for those that were never judged.
    pub fn is_vouched(&self) -> bool {
        self.vouched
    }

    /// Whether an edit of the manifest would go unseen although karat keeps its hash: it was copied away before it was judged, or
    /// verdict and log are gone. Records of older versions hold their verdict under the manifest's own hashes, and no other.
    ///
    /// # Errors
    /// A summary that cannot be read.
    pub fn is_unverified(&self) -> Result<bool> {
        Ok(!self.vouched && !self.manifest.files.contains_key(VERDICT) && self.summary()?.verdict.is_none())
    }

    /// Keeps a thing as long as the run is read.
    #[must_use]
    pub fn keeping(mut self, kept: impl Any + Send + Sync) -> Self {
        self.kept = Some(Box::new(kept));
        self
    }

    /// Reads the manifest alone, for lists: the files are not verified.
    pub fn read_manifest(folder: &Path) -> Result<Manifest> {
        Ok(Self::unverified(folder)?.manifest)
    }

    /// Where the run lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What ran.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 (hex) of the manifest's bytes.
    pub fn manifest_sha256(&self) -> &str {
        &self.manifest_sha256
    }

    /// The cases in order.
    pub fn lines(&self) -> Result<Lines> {
        Lines::open(&self.folder.join(RESULTS))
    }

    /// What was asked, where the run kept it.
    pub fn prompts(&self) -> Result<Option<Prompts>> {
        let kept = self.manifest.files.contains_key(PROMPTS);
        kept.then(|| Prompts::open(&self.folder.join(PROMPTS))).transpose()
    }

    /// A plain file of the run, to be read in any order.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn plain(&self, name: &str) -> Result<Plain> {
        Plain::of(&self.folder.join(name))
    }

    /// The figures.
    pub fn summary(&self) -> Result<Summary> {
        parse(&self.folder.join(SUMMARY))
    }

    /// How it went.
    pub fn performance(&self) -> Result<Performance> {
        parse(&self.folder.join(PERFORMANCE))
    }
}

fn parse<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
    serde_json::from_slice(&bytes).map_err(|e| {
        let (line, column) = ((e.line() as u64).max(1), (e.column() as u64).max(1));
        Error::input("failed to read the saved run").at_column(path, line, column).caused_by(e)
    })
}

/// Whether a name begins as those do that karat gives runs: `20261130T225925Z-8a0023`.
fn is_dated(name: &str) -> bool {
    let (date, rest) = name.split_at_checked(8).unwrap_or_default();
    date.bytes().all(|byte| byte.is_ascii_digit()) && rest.starts_with('T') && rest.contains("Z-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::line::tests::line;
    use crate::record::writer::tests::saved;

    #[test]
    fn changed_files_are_refused() {
        let runs = tempfile::tempdir().unwrap();
        let run = saved(runs.path(), 1, &[line("a", "1", true), line("a", "2", true)]);
        assert!(RunReader::open(&run).is_ok());
        let results = run.join(RESULTS);
        let text = fs::read_to_string(&results).unwrap();

        fs::write(&results, text.replace("out", "OUT")).unwrap();
        let error = RunReader::open(&run).unwrap_err();
        assert_eq!(error.message(), "`results.jsonl` was changed: its SHA-256 is not the one in the manifest");
        assert!(error.hint().unwrap().contains("changed"));

        fs::write(&results, &text[..text.len() - 5]).unwrap();
        let error = RunReader::open(&run).unwrap_err();
        assert!(error.message().starts_with("`results.jsonl` is cut off"), "{error}");

        fs::remove_file(&results).unwrap();
        assert_eq!(RunReader::open(&run).unwrap_err().hint(), Some("the run folder is incomplete"));

        let error = RunReader::open(runs.path()).unwrap_err();
        assert!(error.hint().unwrap().starts_with("is this a run folder?"));
    }

    #[test]
    fn a_folder_holds_the_run_that_it_is_named_after() {
        let folder = tempfile::tempdir().unwrap();
        let whole = saved(folder.path(), 2, &[line("a", "1", true)]);
        for (name, opens) in [("20261130T225925Z-8a0023", false), ("downloaded", true)] {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            for entry in fs::read_dir(&whole).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), path.join(entry.file_name())).unwrap();
            }
            let opened = RunReader::open(&path);
            assert_eq!(opened.is_ok(), opens, "{name}");
            assert!(opened.err().is_none_or(|error| error.message().contains("holds the files of run")));
        }
    }
}
