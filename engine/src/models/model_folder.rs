//! The files of a model: opened once, read once, hashed once.
//!
//! Parsers and weights get their bytes from it and from nowhere else, so that what a
//! record or a cache names is what was computed with, whatever happens to the folder meanwhile: a file that is renamed over
//! another is not seen, one that is written into is an error ([`HashedFile`]).

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::gguf;
use super::hash_memo::HashMemo;
use super::hashed_file::{Cost, HashedFile};
use super::kind::is_gguf;
use crate::error::{Error, Result};
use rayon::prelude::*;

/// Files that make the tokenizer and the chat template.
pub(super) const TOKENIZER_FILES: [&str; 7] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/tool_use.jinja",
];

/// A model as it was when its files were first asked for: a folder, or a GGUF file that is named by its path, beside which
/// nothing has a say but a tokenizer that it lacks. Cheap to clone; all clones share what was read.
#[derive(Clone)]
pub struct ModelFolder(Arc<Inner>, View);

/// Which files of the folder belong to the model.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    /// All.
    Folder,
    /// The named GGUF file.
    Gguf,
    /// That, and the tokenizer beside it.
    Tokenizer,
}

struct Inner {
    /// The folder or the GGUF file.
    path: PathBuf,
    /// The folder that names start from.
    root: PathBuf,
    /// The name of the GGUF file that was named.
    gguf: Option<String>,
    /// Whether that holds no tokenizer, and one lies beside it.
    lacks_tokenizer: OnceLock<bool>,
    memo: Option<HashMemo>,
    /// Files by name; `None` where there was none.
    files: Mutex<BTreeMap<String, Option<Arc<HashedFile>>>>,
    /// What parsers read.
    texts: Mutex<BTreeMap<String, Arc<[u8]>>>,
    listing: OnceLock<Vec<String>>,
    hashes: OnceLock<BTreeMap<String, String>>,
    cost: Arc<Cost>,
}

impl std::fmt::Debug for ModelFolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ModelFolder").field(&self.0.path).finish()
    }
}

impl Inner {
    fn new((path, root): (PathBuf, PathBuf), gguf: Option<String>, memo: Option<HashMemo>) -> Self {
        let listing = gguf.iter().map(|name| OnceLock::from(vec![name.clone()])).next().unwrap_or_default();
        Self {
            path,
            root,
            gguf,
            lacks_tokenizer: OnceLock::new(),
            memo,
            files: Mutex::default(),
            texts: Mutex::default(),
            listing,
            hashes: OnceLock::new(),
            cost: Arc::default(),
        }
    }
}

impl ModelFolder {
    /// The model in this folder. Nothing is read yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::remembering(path, None)
    }

    /// The model in this folder, whose hashes are remembered in a memo.
    pub fn remembering(path: impl Into<PathBuf>, memo: Option<HashMemo>) -> Self {
        let path = path.into();
        Self(Arc::new(Inner::new((path.clone(), path), None, memo)), View::Folder)
    }

    /// The GGUF file at this path, whose hashes are remembered in a memo.
    pub fn gguf(path: impl Into<PathBuf>, memo: Option<HashMemo>) -> Self {
        let path = path.into();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let root = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let root = root.to_path_buf();
        Self(Arc::new(Inner::new((path, root), Some(name), memo)), View::Gguf)
    }

    /// What lies at this path: a folder, or else a GGUF file.
    pub fn at(path: &Path) -> Self {
        if path.is_dir() { Self::new(path) } else { Self::gguf(path, None) }
    }

    /// Where it is: what messages show, and what names of its files are put behind.
    pub fn path(&self) -> &Path {
        match self.1 {
            View::Folder | View::Gguf => &self.0.path,
            View::Tokenizer => &self.0.root,
        }
    }

    /// The model with the files that its tokenizer and chat template are read from. A GGUF file that is named says all itself,
    /// whatever lies beside it; only where it holds no tokenizer, the one beside it belongs to the model.
    ///
    /// # Errors
    /// A file cannot be opened, or the header of the GGUF file is broken.
    pub fn tokenizer(&self) -> Result<Self> {
        if self.1 != View::Gguf {
            return Ok(self.clone());
        }
        let beside = Self(self.0.clone(), View::Tokenizer);
        let lacks = match self.0.lacks_tokenizer.get() {
            Some(known) => *known,
            None => {
                let lacks = !self.gguf_has_tokenizer()? && beside.has("tokenizer.json")?;
                *self.0.lacks_tokenizer.get_or_init(|| lacks)
            }
        };
        Ok(if lacks { beside } else { self.clone() })
    }

    /// Whether the GGUF file that was named holds a tokenizer.
    fn gguf_has_tokenizer(&self) -> Result<bool> {
        let named = self.0.gguf.as_deref().filter(|name| is_gguf(Path::new(name)));
        let named = named.map(|name| self.file(name)).transpose()?.flatten();
        named.map_or(Ok(false), |file| gguf::has_tokenizer(&file))
    }

    /// Whether a file of this name belongs to the model, if it is there.
    fn sees(&self, name: &str) -> bool {
        let named = || self.0.gguf.as_deref() == Some(name);
        match self.1 {
            View::Folder => true,
            View::Gguf => named(),
            View::Tokenizer => named() || TOKENIZER_FILES.contains(&name),
        }
    }

    /// A file by its name within the folder, opened when it is first asked for; `None` where there was none then.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn file(&self, name: &str) -> Result<Option<Arc<HashedFile>>> {
        if !self.sees(name) {
            return Ok(None);
        }
        let mut files = self.0.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = files.get(name) {
            return Ok(known.clone());
        }
        let opened = HashedFile::open(&self.0.root.join(name), self.0.cost.clone())?.map(Arc::new);
        files.insert(name.to_owned(), opened.clone());
        Ok(opened)
    }

    /// Whether there is a file of this name.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn has(&self, name: &str) -> Result<bool> {
        Ok(self.file(name)?.is_some())
    }

    /// The bytes of a small file, read once; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&self, name: &str) -> Result<Option<Arc<[u8]>>> {
        if !self.sees(name) {
            return Ok(None);
        }
        let texts = || self.0.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = texts().get(name) {
            return Ok(Some(known.clone()));
        }
        let Some(file) = self.file(name)? else { return Ok(None) };
        // Not under the lock: a thread that waits for the reading of others may be asked for another file meanwhile.
        let bytes: Arc<[u8]> = file.read_all()?.into();
        Ok(Some(texts().entry(name.to_owned()).or_insert(bytes).clone()))
    }

    /// Names of what lies directly in the folder, in order, none where there is no folder; of a GGUF file its own. Listed once.
    ///
    /// # Errors
    /// It cannot be listed.
    pub fn names(&self) -> Result<&[String]> {
        if let Some(known) = self.0.listing.get() {
            return Ok(known);
        }
        let mut names: Vec<String> = match std::fs::read_dir(&self.0.root) {
            Ok(entries) => entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect(),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(Error::io("read the model folder", &self.0.root, error)),
        };
        names.sort();
        Ok(self.0.listing.get_or_init(|| names))
    }

    /// What `hash` gives, computed once: the hashes of all files that decide the model's answers.
    pub(super) fn hashes_once(
        &self,
        hash: impl FnOnce() -> Result<BTreeMap<String, String>>,
    ) -> Result<&BTreeMap<String, String>> {
        match self.0.hashes.get() {
            Some(known) => Ok(known),
            None => hash().map(|hashes| self.0.hashes.get_or_init(|| hashes)),
        }
    }

    /// SHA-256 of files by their names within the folder.
    ///
    /// # Errors
    /// A file cannot be read or was changed since it was first read.
    pub fn hash(&self, names: &BTreeSet<String>) -> Result<BTreeMap<String, String>> {
        let opened = names.iter().map(|name| self.file(name)?.ok_or_else(|| self.lost(name)));
        let files: Vec<Arc<HashedFile>> = opened.collect::<Result<_>>()?;
        for (name, file) in names.iter().zip(&files) {
            // What parsers got, whatever became of the file.
            let text = self.0.texts.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
            if let Some(bytes) = text {
                file.hash_held(&bytes);
            }
        }
        let unknown: Vec<&HashedFile> =
            files.iter().map(|file| &**file).filter(|file| file.known_sha256().is_none()).collect();
        if let Some(memo) = &self.0.memo {
            let roots: Vec<blake3::Hash> = unknown.iter().map(|file| file.blake3()).collect::<Result<_>>()?;
            let recalled = memo.recall(&roots);
            let (mut new, mut hashes) = (Vec::new(), Vec::new());
            for ((file, root), recalled) in unknown.iter().zip(roots).zip(recalled) {
                match recalled {
                    Some(sha256) => file.set_sha256(sha256),
                    None => {
                        new.push(*file);
                        hashes.push(root);
                    }
                }
            }
            let computed: Vec<String> = new.par_iter().map(|file| file.sha256()).collect::<Result<_>>()?;
            memo.learn(hashes.into_iter().zip(computed));
        }
        let hashes = files.par_iter().map(|file| file.sha256()).collect::<Result<Vec<_>>>()?;
        Ok(names.iter().cloned().zip(hashes).collect())
    }

    /// What hashing has cost so far.
    pub fn cost(&self) -> &Cost {
        &self.0.cost
    }

    fn lost(&self, name: &str) -> Error {
        Error::input(format!("there is no `{name}`")).at(&self.0.path)
    }
}
