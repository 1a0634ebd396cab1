//! What a model is: the SHA-256 of every file that decides its answers.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::candle::weight_files;
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

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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

/// Relative name and SHA-256 of every file of a model folder that decides its answers, by name.
///
/// # Errors
/// A file cannot be read, or there are no weights.
pub fn hash_model(folder: &Path) -> Result<BTreeMap<String, String>> {
    let small = FILES.iter().map(|name| folder.join(name)).filter(|path| path.is_file());
    let files: Vec<PathBuf> = small.chain(weight_files(folder)?).collect();
    let name = |path: &Path| path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned();
    std::thread::scope(|scope| {
        // Shards hash side by side; a single file is bound by one core.
        let tasks: Vec<_> = files.iter().map(|path| (path, scope.spawn(move || hash_file(path)))).collect();
        let joined = tasks.into_iter().map(|(path, task)| {
            let hash = task.join().map_err(|_| Error::internal("hash a file"))??;
            Ok((name(path), hash))
        });
        joined.collect()
    })
}
