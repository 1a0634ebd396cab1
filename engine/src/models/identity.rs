//! What a model is: the names and the SHA-256 of every file that decides its answers.
//!
//! The hashes are of the bytes that a [`ModelFolder`] gives to parsers and weights.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::model_folder::ModelFolder;
use super::model_json::read_json;
use super::weight_files;
use crate::error::Result;
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

impl ModelFolder {
    /// Relative name and SHA-256 of every file that decides the model's answers. Nothing is hashed twice.
    ///
    /// # Errors
    /// A file cannot be read or was changed since it was first read, or there are no weights.
    pub fn hashes(&self) -> Result<BTreeMap<String, String>> {
        self.hashes_once(|| self.tokenizer()?.hash(&model_files(self)?)).cloned()
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
    use super::super::model_folder::TOKENIZER_FILES;
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
