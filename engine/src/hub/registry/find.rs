//! Where entries are: in `models/` of a folder or of one above it, the nearest first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::entry::{Entry, Source, file_name};
use crate::error::{Error, Result, nearest};
use crate::hub;
use crate::stand_in::read_file;

/// Bytes of an entry.
const ENTRY_BYTES: u64 = 16 << 20;

/// The folder of entries.
const FOLDER: &str = "models";

/// An entry and the file it was read from.
#[derive(Clone, Debug)]
pub struct Found {
    /// What it says.
    pub entry: Entry,
    /// Its file.
    pub path: PathBuf,
}

/// Looks for the entry `name@version` from `base` upwards.
///
/// # Errors
/// There is none, or it is broken.
pub fn find(base: &Path, name: &str, version: &str) -> Result<Found> {
    let base = whole(base)?;
    let file = file_name(name, version);
    if let Some(path) = base.ancestors().map(|above| above.join(FOLDER).join(&file)).find(|path| path.is_file()) {
        return Found::read(&short(path));
    }
    let known: Vec<String> = visible(&base)?.into_keys().collect();
    let hint = if known.is_empty() {
        format!("there is no `{FOLDER}/{file}` in `{}` or a folder above it", base.display())
    } else {
        nearest(&format!("{name}@{version}"), known.iter().map(String::as_str))
    };
    Err(Error::input(format!("there is no model `{name}@{version}` in the registry")).with_hint(hint))
}

/// The files of all entries that [`find`] would find from `base`, by `name@version`.
///
/// # Errors
/// The folder does not exist.
pub fn visible(base: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut entries = BTreeMap::new();
    for above in whole(base)?.ancestors() {
        // What cannot be listed above has no entries for this user.
        for file in std::fs::read_dir(above.join(FOLDER)).into_iter().flatten().flatten() {
            let name = file.file_name();
            let reference = name.to_str().and_then(|name| name.strip_suffix(".yaml"));
            if let Some(reference) = reference.filter(|reference| reference.contains('@')) {
                entries.entry(reference.to_owned()).or_insert_with(|| short(file.path()));
            }
        }
    }
    Ok(entries)
}

/// The folder without `..` and links, so that it has a way up.
fn whole(base: &Path) -> Result<PathBuf> {
    let base = if base.as_os_str().is_empty() { Path::new(".") } else { base };
    std::fs::canonicalize(base).map_err(|e| Error::io("look for the model registry from", base, e))
}

/// The path from the working folder, where it is below it.
fn short(path: PathBuf) -> PathBuf {
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf));
    below.unwrap_or(path)
}

impl Found {
    /// Reads the entry in a file.
    ///
    /// # Errors
    /// It cannot be read or is broken.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = read_file(path, ENTRY_BYTES)?;
        let text = String::from_utf8(bytes)
            .map_err(|e| Error::input("the registry entry is not valid UTF-8").at(path).caused_by(e))?;
        Ok(Self { entry: Entry::parse(&text, path)?, path: path.into() })
    }

    /// A path of the entry, from the working folder.
    pub fn beside(&self, path: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    /// The model folder, unchecked; pulled from the hub where the entry says so and the cache has it not.
    ///
    /// # Errors
    /// The folder does not exist, or those of [`hub::pull`].
    pub fn folder(&self) -> Result<PathBuf> {
        match (&self.entry.source, self.local()) {
            (_, Some(folder)) => Ok(folder),
            (Source::Folder(_), None) => Err(self.lost()),
            (Source::Hub { repo, revision }, None) => hub::pull(repo, revision.as_str(), hub::MODEL_FILES),
        }
    }

    /// The model folder, where it can be had without the network.
    pub fn local(&self) -> Option<PathBuf> {
        match &self.entry.source {
            Source::Folder(path) => Some(self.beside(path.as_str())).filter(|folder| folder.is_dir()),
            Source::Hub { repo, revision } => hub::cached(repo, revision.as_str(), hub::MODEL_FILES),
        }
    }

    /// Whether the folder would have to come from the hub.
    pub fn is_unpulled(&self) -> bool {
        matches!(self.entry.source, Source::Hub { .. }) && self.local().is_none()
    }

    /// That there is no model folder.
    pub fn lost(&self) -> Error {
        let (place, hint) = match &self.entry.source {
            Source::Folder(path) => (
                self.beside(path.as_str()).display().to_string(),
                "the entry's `source` starts from the entry's folder",
            ),
            Source::Hub { repo, revision } => {
                (format!("{repo}@{revision}"), "`karat models pull` fetches it from the hub")
            }
        };
        Error::input(format!("there is no `{place}` of `{}`", self.entry.reference())).at(&self.path).with_hint(hint)
    }
}
