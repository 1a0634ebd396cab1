//! What a model is: the SHA-256 of every file that decides its answers, and the bytes that those hashes are of.
//!
//! A [`ModelFolder`] opens every file once. Parsers and weights get their bytes from it and from nowhere else, so that what a
//! record or a cache names is what was computed with, whatever happens to the folder meanwhile: a file that is renamed over
//! another is not seen, one that is written into is an error ([`HashedFile`]).

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rayon::prelude::*;
use serde_json::Value;

use super::hash_memo::HashMemo;
use super::hashed_file::{Cost, HashedFile};
use super::model_json::read_json;
use super::{has_tokenizer, weight_files};
use crate::error::{Error, Result};
use crate::sentence;

/// Files besides the weights that decide what a model answers, where they exist.
const FILES: [&str; 12] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/tool_use.jinja",
    "modules.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
];

/// Those of them that make the tokenizer and the chat template.
const TOKENIZER_FILES: [&str; 7] = [
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
                let lacks = !has_tokenizer(self)? && beside.has("tokenizer.json")?;
                *self.0.lacks_tokenizer.get_or_init(|| lacks)
            }
        };
        Ok(if lacks { beside } else { self.clone() })
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

    /// Relative name and SHA-256 of every file that decides the model's answers. Nothing is hashed twice.
    ///
    /// # Errors
    /// A file cannot be read or was changed since it was first read, or there are no weights.
    pub fn hashes(&self) -> Result<BTreeMap<String, String>> {
        if let Some(known) = self.0.hashes.get() {
            return Ok(known.clone());
        }
        let hashes = self.tokenizer()?.hash(&model_files(self)?)?;
        Ok(self.0.hashes.get_or_init(|| hashes).clone())
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

/// Relative names of the files of a model that decide its answers: those that exist of all that may. Beside a GGUF file that is
/// named by its path, nothing has a say but a tokenizer that it lacks.
///
/// # Errors
/// There are no weights, or a file that names others is broken.
pub fn model_files(folder: &ModelFolder) -> Result<BTreeSet<String>> {
    let (folder, mut files) = (&folder.tokenizer()?, BTreeSet::new());
    for name in FILES.iter().map(|name| (*name).to_owned()).chain(module_files(folder)?) {
        if folder.has(&name)? {
            files.insert(name);
        }
    }
    files.extend(weight_files(folder)?);
    Ok(files)
}

/// The files of the modules that a sentence-transformers folder names, and that of its prompts where one is always used.
fn module_files(folder: &ModelFolder) -> Result<Vec<String>> {
    let modules = read_json(folder, "modules.json")?;
    let paths = modules.iter().filter_map(Value::as_array).flatten().filter_map(sentence::module_path);
    let mut files: Vec<String> =
        paths.flat_map(|path| ["config.json", "model.safetensors"].map(|name| sentence::within(path, name))).collect();
    if sentence::prompts_by_default(folder)? {
        files.push(sentence::PROMPTS.to_owned());
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of a GGUF file without tensors, with or without a tokenizer.
    fn gguf(tokenizer: bool) -> Vec<u8> {
        let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
        let head = [&b"GGUF"[..], &3u32.to_le_bytes(), &0u64.to_le_bytes(), &u64::from(tokenizer).to_le_bytes()];
        let list = [&9u32.to_le_bytes()[..], &8u32.to_le_bytes(), &1u64.to_le_bytes()];
        let tokens = [text("tokenizer.ggml.tokens"), list.concat(), text("a")];
        if tokenizer { [head.concat(), tokens.concat()].concat() } else { head.concat() }
    }

    #[test]
    fn what_decides_is_hashed_and_beside_a_named_file_only_a_tokenizer_that_it_lacks() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        let others = ["config.json", "generation_config.json", "model.safetensors"];
        others.iter().chain(&TOKENIZER_FILES).for_each(|name| write(name, b"{}"));
        ["README.md", "tokenizer.model"].iter().for_each(|name| write(name, b""));
        write("whole.gguf", &gguf(true));
        write("bare.gguf", &gguf(false));
        let files = |folder: &ModelFolder| {
            let names = model_files(folder).unwrap();
            assert_eq!(folder.hashes().unwrap().into_keys().collect::<BTreeSet<_>>(), names);
            names
        };
        let expected = |names: &[&str]| names.iter().chain(&TOKENIZER_FILES).map(|name| (*name).to_owned()).collect();
        assert_eq!(files(&ModelFolder::at(dir.path())), expected(&others));
        let whole = ModelFolder::at(&dir.path().join("whole.gguf"));
        assert_eq!(files(&whole), BTreeSet::from(["whole.gguf".to_owned()]));
        assert_eq!(whole.tokenizer().unwrap().path(), whole.path());
        let bare = ModelFolder::at(&dir.path().join("bare.gguf"));
        assert_eq!(files(&bare), expected(&["bare.gguf"]));
        let tokenizer = bare.tokenizer().unwrap();
        assert_eq!(tokenizer.path(), dir.path());
        // What the tokenizer has read, nobody else sees.
        assert!(tokenizer.read("tokenizer.json").unwrap().is_some() && bare.read("tokenizer.json").unwrap().is_none());
        for name in others {
            assert!(!whole.has(name).unwrap() && !bare.has(name).unwrap() && !tokenizer.has(name).unwrap(), "{name}");
        }
    }
}
