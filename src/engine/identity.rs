//! What a model is: the SHA-256 of every file that decides its answers.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::candle::weight_files;
use super::hash_memo::HashMemo;
use super::model_json::read_json;
use super::model_kind::{folder_of, tokenizer_folder};
use super::sentence;
use crate::error::{Error, Result};

/// Files besides the weights that decide what a model answers, where they exist.
const FILES: [&str; 10] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "modules.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
];

/// Those of them that make the tokenizer and the chat template.
const TOKENIZER_FILES: [&str; 5] =
    ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "chat_template.json"];

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = vec![0; 2 * bytes.len()];
    for (digits, byte) in text.as_chunks_mut().0.iter_mut().zip(bytes) {
        *digits = [byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]);
    }
    String::from_utf8(text).unwrap_or_default()
}

/// SHA-256 of a file in hex.
///
/// # Errors
/// It cannot be read.
pub fn hash_file(path: &Path) -> Result<String> {
    let mut file = std::fs::File::open(path).map_err(|e| Error::io("open", path, e))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(|e| Error::io("read", path, e))? {
            0 => return Ok(hex(&hash.finalize())),
            len => hash.update(&buffer[..len]),
        }
    }
}

/// A model folder, or a GGUF file named by its path, with what its files hash to where that is known already.
#[derive(Clone, Debug)]
pub struct ModelFolder {
    /// The folder or file.
    pub path: PathBuf,
    /// What [`hash_model`] would give.
    pub hashes: Option<BTreeMap<String, String>>,
    /// Where hashes are remembered.
    pub memo: Option<HashMemo>,
}

impl ModelFolder {
    /// Relative name and SHA-256 of every file that decides the model's answers. Nothing is hashed twice.
    ///
    /// # Errors
    /// Those of [`hash_model`].
    pub fn hashes(&self) -> Result<BTreeMap<String, String>> {
        match &self.hashes {
            Some(hashes) => Ok(hashes.clone()),
            None => hash_model(&self.path, self.memo.as_ref()),
        }
    }

    /// Hashes now what is not hashed yet.
    ///
    /// # Errors
    /// Those of [`hash_model`].
    pub fn hashed(self) -> Result<Self> {
        Ok(Self { hashes: Some(self.hashes()?), ..self })
    }
}

/// Relative name and SHA-256 of every file of a model that decides its answers, by name: of a folder, or of a GGUF file that is
/// named by its path.
///
/// # Errors
/// A file cannot be read, or there are no weights.
pub fn hash_model(folder: &Path, memo: Option<&HashMemo>) -> Result<BTreeMap<String, String>> {
    hash_files(folder_of(folder), &model_files(folder)?, memo)
}

/// Relative names of the files of a model that decide its answers: those that exist of all that may. Beside a GGUF file that is
/// named by its path, nothing has a say but a tokenizer that it lacks.
///
/// # Errors
/// There are no weights, or a file that names others is broken.
pub fn model_files(folder: &Path) -> Result<BTreeSet<String>> {
    let (root, beside) = (folder_of(folder), tokenizer_folder(folder)?);
    let names = if folder.is_file() { &TOKENIZER_FILES[..] } else { &FILES[..] };
    let fixed = names.iter().map(|name| (*name).to_owned());
    let mut files: BTreeSet<String> =
        fixed.chain(module_files(folder)?).filter(|name| beside.join(name).is_file()).collect();
    let relative = |path: &PathBuf| path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
    files.extend(weight_files(folder)?.iter().map(relative));
    Ok(files)
}

/// The files of the modules that a sentence-transformers folder names, and that of its prompts where one is always used.
fn module_files(folder: &Path) -> Result<Vec<String>> {
    let modules = read_json(&folder.join("modules.json"))?;
    let paths = modules.iter().filter_map(Value::as_array).flatten().filter_map(|module| module.get("path")?.as_str());
    let paths: Vec<&str> = paths.filter(|path| !path.is_empty()).collect();
    let of = |name: &'static str| paths.iter().map(move |path| format!("{path}/{name}"));
    let mut files: Vec<String> = of("config.json").chain(of("model.safetensors")).collect();
    if sentence::prompts_by_default(folder)? {
        files.push(sentence::PROMPTS.to_owned());
    }
    Ok(files)
}

/// SHA-256 of files by their names within a folder; what the memo knows is not read.
///
/// # Errors
/// A file cannot be read.
pub fn hash_files(
    folder: &Path,
    names: &BTreeSet<String>,
    memo: Option<&HashMemo>,
) -> Result<BTreeMap<String, String>> {
    let files: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
    let hashes = match memo {
        Some(memo) => memo.hashes(&files, hash_all)?,
        None => hash_all(&files)?,
    };
    Ok(names.iter().cloned().zip(hashes).collect())
}

/// Shards hash side by side; a single file is bound by one core.
fn hash_all(files: &[PathBuf]) -> Result<Vec<String>> {
    std::thread::scope(|scope| {
        let tasks: Vec<_> = files.iter().map(|file| scope.spawn(move || hash_file(file))).collect();
        tasks.into_iter().map(|task| task.join().map_err(|_| Error::internal("hash a file"))?).collect()
    })
}
