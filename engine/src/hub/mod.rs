//! Models by name: a folder in the Hugging Face cache, filled from the hub where something is missing.
//!
//! This is the only network code of karat, and it runs only when a model is named as `org/name@revision`, on the command
//! line, in a suite or in a registry entry. What the cache already holds is taken as it is: a branch moves when its commit
//! is named or the cached copy is removed, never by itself. The cache is laid out as huggingface_hub does it
//! (`HF_HUB_CACHE`, else `HF_HOME/hub`), so both share their files. `HF_ENDPOINT`, `HF_TOKEN`, the token file and
//! `HF_HUB_OFFLINE` count as they do there; a token is sent, never shown.

pub mod model_ref;
pub mod registry;

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Files of a model that karat reads; `*` stands for anything but `/`.
pub const MODEL_FILES: &[&str] = &[
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/tool_use.jinja",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "*_Pooling/config.json",
    "*_Dense/config.json",
    "*_Dense/model.safetensors",
];

/// Files that a tokenizer and its chat template need.
pub const TOKENIZER_FILES: &[&str] = &[
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/tool_use.jinja",
];

/// The folder that holds a model of the hub at a revision (a branch, tag or commit).
///
/// `wanted` are patterns such as [`MODEL_FILES`]. A cached copy that is complete is used without asking the hub.
///
/// # Errors
/// A malformed name; a repository, revision or access that is missing; no network; a download that is not what the hub
/// announced. Without the cargo feature `hub`: everything that the cache does not hold.
pub fn pull(repo: &str, revision: &str, wanted: &[&str]) -> Result<PathBuf> {
    let (owner, name) = named(repo, revision)?;
    if let Some(snapshot) = cached(repo, revision, wanted) {
        return Ok(snapshot);
    }
    if is_offline() {
        let folder = repository(repo);
        return match partly(repo, revision) {
            // Not everything that could be there has to be: let the loader say what it misses.
            Some(snapshot) => Ok(snapshot),
            None => {
                Err(Error::input(format!("`{repo}` at `{revision}` is not in the cache, and HF_HUB_OFFLINE is set"))
                    .at(&folder)
                    .with_hint("unset HF_HUB_OFFLINE, or pass a model folder"))
            }
        };
    }
    download(owner, name, revision, wanted)
}

/// What the cache holds of a model as a run would use it: a complete copy; without the network also another. `None` where
/// the hub would be asked.
///
/// # Errors
/// A malformed name or revision.
pub fn held(repo: &str, revision: &str) -> Result<Option<PathBuf>> {
    named(repo, revision)?;
    Ok(cached(repo, revision, MODEL_FILES).or_else(|| partly(repo, revision).filter(|_| is_offline())))
}

/// A copy that need not be complete.
fn partly(repo: &str, revision: &str) -> Option<PathBuf> {
    snapshot_of(&repository(repo), revision).filter(|snapshot| snapshot.join("config.json").is_file())
}

/// The two halves of a name, where name and revision can be such.
fn named<'a>(repo: &'a str, revision: &str) -> Result<(&'a str, &'a str)> {
    let task = || format!("failed to pull `{repo}`");
    let name = repo.split_once('/').filter(|(owner, name)| is_name(owner) && is_name(name));
    let Some((owner, name)) = name else {
        return Err(Error::input(task()).with_hint("a model of the hub is named `org/name` or `org/name@revision`"));
    };
    if revision.is_empty() || revision.starts_with('/') || revision.split('/').any(|part| part == "..") {
        return Err(Error::input(format!("{}: `{revision}` is not a revision", task())));
    }
    Ok((owner, name))
}

/// The folder that the cache holds of a model at a revision, if it is complete; the hub is not asked.
pub fn cached(repo: &str, revision: &str, wanted: &[&str]) -> Option<PathBuf> {
    snapshot_of(&repository(repo), revision).filter(|snapshot| is_complete(snapshot, wanted))
}

/// Where the cache keeps a repository.
fn repository(repo: &str) -> PathBuf {
    cache_dir().join(format!("models--{}", repo.replace('/', "--")))
}

#[cfg(not(feature = "hub"))]
fn download(owner: &str, name: &str, _revision: &str, _wanted: &[&str]) -> Result<PathBuf> {
    Err(Error::input(format!("cannot pull `{owner}/{name}`: this karat was built without the feature `hub`"))
        .with_hint("rebuild with the cargo feature `hub`, or pass a model folder"))
}

#[cfg(feature = "hub")]
fn download(owner: &str, name: &str, revision: &str, wanted: &[&str]) -> Result<PathBuf> {
    online::download(owner, name, revision, wanted)
}

/// Where the cache is: `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME/hub`, `XDG_CACHE_HOME/huggingface/hub` or
/// `~/.cache/huggingface/hub`.
pub fn cache_dir() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(cache) = variable("HF_HUB_CACHE").or_else(|| variable("HUGGINGFACE_HUB_CACHE")) {
        return cache;
    }
    let home = variable("HF_HOME").or_else(|| Some(variable("XDG_CACHE_HOME")?.join("huggingface")));
    let home = home.unwrap_or_else(|| variable("HOME").unwrap_or_else(|| "/tmp".into()).join(".cache/huggingface"));
    home.join("hub")
}

/// Whether the hub is never asked (`HF_HUB_OFFLINE`).
pub fn is_offline() -> bool {
    let flag = std::env::var("HF_HUB_OFFLINE").unwrap_or_default().to_uppercase();
    matches!(flag.as_str(), "1" | "ON" | "YES" | "TRUE")
}

/// One half of `org/name`, as the hub allows it.
pub(crate) fn is_name(part: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !part.is_empty() && part.len() <= 96 && part.chars().all(allowed) && !part.starts_with(['.', '-'])
}

pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.chars().all(|c| c.is_ascii_hexdigit())
}

/// The snapshot that the cache has for a revision.
fn snapshot_of(folder: &Path, revision: &str) -> Option<PathBuf> {
    let commit = if is_commit(revision) {
        revision.to_owned()
    } else {
        std::fs::read_to_string(folder.join("refs").join(revision)).ok()?.trim().to_owned()
    };
    Some(folder.join("snapshots").join(commit)).filter(|snapshot| is_name_of_commit(snapshot) && snapshot.is_dir())
}

fn is_name_of_commit(snapshot: &Path) -> bool {
    snapshot.file_name().and_then(|name| name.to_str()).is_some_and(is_commit)
}

/// Whether a snapshot holds what no model can do without, as far as it is wanted; every shard of an index counts.
fn is_complete(snapshot: &Path, wanted: &[&str]) -> bool {
    let needs = |name: &str| wanted.iter().any(|pattern| matches(pattern, name));
    let has = |name: &str| snapshot.join(name).is_file();
    let shards = || -> Option<Vec<String>> {
        let index = std::fs::read_to_string(snapshot.join("model.safetensors.index.json")).ok()?;
        let index: serde_json::Value = serde_json::from_str(&index).ok()?;
        index.get("weight_map")?.as_object()?.values().map(|shard| shard.as_str().map(str::to_owned)).collect()
    };
    let weights = || has("model.safetensors") || shards().is_some_and(|shards| shards.iter().all(|shard| has(shard)));
    ["config.json", "tokenizer.json"].iter().all(|name| !needs(name) || has(name))
        && (!needs("model.safetensors") || weights())
}

/// Whether a path matches a pattern whose `*` stands for anything but `/`.
fn matches(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((start, rest)) => path.strip_prefix(start).is_some_and(|tail| {
            let reach = tail.find('/').unwrap_or(tail.len());
            (0..=reach).filter(|at| tail.is_char_boundary(*at)).any(|at| matches(rest, &tail[at..]))
        }),
    }
}

#[cfg(feature = "hub")]
mod online {
    //! The part that speaks to the hub, through hf-hub.

    use std::path::{Path, PathBuf};

    use hf_hub::repository::RepoTreeEntry;
    use hf_hub::{HFClient, HFError};

    use super::{cache_dir, is_commit, matches, repository};
    use crate::error::{Error, Kind, Result};

    pub(crate) fn download(owner: &str, name: &str, revision: &str, wanted: &[&str]) -> Result<PathBuf> {
        let fail = |error: HFError| explain(&format!("failed to pull `{owner}/{name}`"), revision, error);
        let cache = cache_dir();
        let client = HFClient::builder().cache_dir(&cache).build_sync().map_err(fail)?;
        let repo = client.model(owner, name);
        let info = repo.info().revision(revision).send().map_err(fail)?;
        let commit = info
            .sha
            .filter(|sha| is_commit(sha))
            .ok_or_else(|| Error::input(format!("the hub names no commit for `{revision}` of `{owner}/{name}`")))?;
        let mut files: Vec<(String, u64)> = Vec::new();
        for entry in repo.list_tree().revision(&commit).recursive(true).send().map_err(fail)? {
            if let RepoTreeEntry::File { path, size, .. } = entry
                && wanted.iter().any(|pattern| matches(pattern, &path))
            {
                files.push((path, size));
            }
        }
        // Small files first, so that a refusal comes before the weights; `config.json` last, because without it a cached
        // copy is not complete.
        files.sort_by_key(|(path, size)| (path == "config.json", *size, path.clone()));
        if !files.iter().any(|(path, _)| path == "config.json") {
            return Err(Error::input(format!("the repository `{owner}/{name}` has no `config.json`"))
                .with_hint("karat reads models in the format of transformers; GGUF-only repositories are not"));
        }
        let folder = repository(&format!("{owner}/{name}"));
        for (path, size) in &files {
            let file = repo.download_file().filename(path).revision(&commit).send().map_err(fail)?;
            check_size(&file, *size)?;
        }
        if !is_commit(revision) {
            note_revision(&folder, revision, &commit)?;
        }
        Ok(folder.join("snapshots").join(&commit))
    }

    /// hf-hub stores whatever body the hub answers with, error pages included: what is not as long as announced goes.
    fn check_size(file: &Path, expected: u64) -> Result<()> {
        let found = std::fs::metadata(file).map_err(|error| Error::io("read", file, error))?.len();
        if found == expected {
            return Ok(());
        }
        if let Ok(blob) = std::fs::canonicalize(file) {
            let _ = std::fs::remove_file(blob);
        }
        let _ = std::fs::remove_file(file);
        Err(Error::environment(format!("the download is incomplete: {found} of {expected} bytes"))
            .at(file)
            .with_hint("try again; nothing of this file was kept"))
    }

    /// Remembers the commit of a branch or tag, so that the next pull needs no network.
    fn note_revision(folder: &Path, revision: &str, commit: &str) -> Result<()> {
        let path = folder.join("refs").join(revision);
        let parent = path.parent().unwrap_or(folder);
        let write = || -> std::io::Result<()> {
            std::fs::create_dir_all(parent)?;
            let mut file = tempfile::NamedTempFile::new_in(parent)?;
            std::io::Write::write_all(&mut file, commit.as_bytes())?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(|error| Error::io("write", &path, error))
    }

    /// What went wrong, and what to do about it. hf-hub's messages carry addresses and the hub's answer, never the token.
    fn explain(task: &str, revision: &str, error: HFError) -> Error {
        let status = match &error {
            HFError::Http { context } => Some(context.status.as_u16()),
            _ => None,
        };
        let (what, hint) = match &error {
            HFError::AuthRequired { .. } => (
                "the hub wants a token or refuses the one given".to_owned(),
                "check the spelling (a missing repository looks the same), accept the model's terms on the hub, and set HF_TOKEN",
            ),
            HFError::Forbidden { .. } => (
                "your token may not read this repository".to_owned(),
                "accept the model's terms on the hub with the account of the token, or use a token with read access",
            ),
            // The hub answers a missing repository to one with a token, and a missing revision, alike.
            HFError::RevisionNotFound { context: Some(context), .. }
                if context.error_code.as_deref() == Some("RevisionNotFound") =>
            {
                (format!("there is no revision `{revision}`"), "name a branch, tag or commit that the hub shows")
            }
            HFError::RepoNotFound { .. } | HFError::RevisionNotFound { .. } => (
                format!("the hub has no such repository, or no revision `{revision}`"),
                "check the spelling of `org/name@revision`",
            ),
            HFError::EntryNotFound { path, .. } => (
                format!("the hub lists `{path}` but does not have it"),
                "try again; the repository may have changed meanwhile",
            ),
            HFError::RateLimited { .. } => {
                ("the hub wants a pause".to_owned(), "wait a while, or set HF_TOKEN for a higher limit")
            }
            HFError::Request { .. } => (
                "the hub cannot be reached, or broke off".to_owned(),
                "check the network, HF_ENDPOINT and the proxy settings, or pass a model folder",
            ),
            HFError::Io(_) | HFError::CacheLockTimeout { .. } => {
                ("the cache cannot be written".to_owned(), "check free space and rights under HF_HOME")
            }
            _ if status.is_some_and(|status| status >= 500) => ("the hub is in trouble".to_owned(), "try again later"),
            _ => ("the hub answered something unexpected".to_owned(), "check HF_ENDPOINT"),
        };
        // What another try may find otherwise is the network's; a wrong name or a missing right is the caller's.
        let kind = match &error {
            HFError::AuthRequired { .. }
            | HFError::Forbidden { .. }
            | HFError::RevisionNotFound { .. }
            | HFError::RepoNotFound { .. } => Kind::Input,
            _ => Kind::Environment,
        };
        Error::new(kind, format!("{task}: {what}")).with_hint(hint).caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stay_within_a_folder() {
        let wanted = |path: &str| MODEL_FILES.iter().any(|pattern| matches(pattern, path));
        for path in
            ["config.json", "model-00001-of-00002.safetensors", "1_Pooling/config.json", "2_Dense/model.safetensors"]
        {
            assert!(wanted(path), "{path}");
        }
        for path in
            ["onnx/config.json", "model.fp16.safetensors", "a/1_Pooling/config.json", "pytorch_model.bin", "README.md"]
        {
            assert!(!wanted(path), "{path}");
        }
    }

    #[test]
    fn names_and_revisions_are_checked_before_anything_is_touched() {
        for repo in ["model", "a/b/c", "/x", "a/", "../x/y", "a/..", "a b/c", "a/b@c"] {
            assert!(pull(repo, "main", MODEL_FILES).expect_err(repo).hint().is_some(), "{repo}");
        }
        for revision in ["", "/etc", "a/../../b"] {
            assert!(pull("a/b", revision, MODEL_FILES).is_err(), "{revision}");
        }
    }

    #[test]
    fn a_snapshot_is_complete_with_all_its_shards() {
        let dir = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("written");
        write("config.json", "{}");
        write("tokenizer.json", "{}");
        assert!(is_complete(dir.path(), TOKENIZER_FILES));
        assert!(!is_complete(dir.path(), MODEL_FILES));
        write(
            "model.safetensors.index.json",
            r#"{"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}"#,
        );
        write("model-1-of-2.safetensors", "");
        assert!(!is_complete(dir.path(), MODEL_FILES));
        write("model-2-of-2.safetensors", "");
        assert!(is_complete(dir.path(), MODEL_FILES));
    }
}
