//! Where karat keeps what it need not compute again.

use std::path::{Path, PathBuf};

use crate::engine::models::hash_memo::HashMemo;

/// Whether to use the cache.
#[derive(clap::Args)]
pub struct CacheArgs {
    /// Compute every answer, and keep none in the cache (see `karat cache`).
    #[arg(long)]
    no_cache: bool,
}

/// The folder of the cache.
pub struct CacheFolder(PathBuf);

impl CacheArgs {
    /// The cache, unless it is not wanted or there is no place for it.
    pub fn folder(&self) -> Option<CacheFolder> {
        CacheFolder::find().filter(|_| !self.no_cache)
    }
}

impl CacheFolder {
    /// `KARAT_CACHE`, which turns the cache off where it is set and empty; else `karat` in `XDG_CACHE_HOME` or `~/.cache`.
    pub fn find() -> Option<Self> {
        let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let named = |name: &str| variable(name).filter(|path| !path.as_os_str().is_empty());
        let usual = || named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")));
        let folder = variable("KARAT_CACHE").or_else(|| Some(usual()?.join("karat")))?;
        Some(folder).filter(|path| !path.as_os_str().is_empty()).map(Self)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Answers, one or more files per model.
    pub fn responses(&self) -> PathBuf {
        self.0.join("responses")
    }

    /// The file of remembered hashes: SHA-256 by BLAKE3.
    pub fn hashes(&self) -> PathBuf {
        self.0.join("hashes.json")
    }

    /// SHA-256 of contents that were hashed before.
    pub fn memo(&self) -> HashMemo {
        HashMemo::new(self.hashes())
    }
}
