//! Where runs and baselines live.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::history::{Checkout, Store};
use crate::record::RunReader;

/// The two folders.
#[derive(clap::Args)]
pub struct StoreArgs {
    /// Folder of runs.
    #[arg(long, default_value = "runs", value_name = "FOLDER")]
    runs_dir: PathBuf,
    /// Folder of baselines.
    #[arg(long, default_value = "baselines", value_name = "FOLDER")]
    baselines_dir: PathBuf,
}

impl StoreArgs {
    /// Runs and baselines.
    pub fn store(&self) -> Store {
        Store::with(self.runs_dir.clone(), self.baselines_dir.clone())
    }
}

/// The run that a reference means, opened and verified: what [`Store::resolve`] knows, or `git:REF:PATH`.
///
/// # Errors
/// Nothing is found, or its files are not what its manifest says.
pub fn open_run(store: &Store, suite: Option<&str>, reference: &str) -> Result<RunReader> {
    match Checkout::of(reference, Path::new("."))? {
        Some(checkout) => Ok(RunReader::open(checkout.folder())?.keeping(checkout)),
        None => RunReader::open(&store.resolve(suite, reference)?),
    }
}

/// Which baseline to compare with.
#[derive(clap::Args)]
pub struct BaselineArgs {
    /// Compare with this baseline, or with this run, or git:REF:PATH (default: the suite's baseline, if one was accepted).
    #[arg(long, value_name = "NAME")]
    baseline: Option<String>,
    /// Compare with nothing.
    #[arg(long, conflicts_with = "baseline")]
    no_baseline: bool,
}

impl BaselineArgs {
    /// The run to compare with, opened and verified: the named one, which must exist, or the suite's if there is one.
    ///
    /// # Errors
    /// A named baseline that does not exist; one whose files are not what its manifest says.
    pub fn open(&self, store: &Store, suite: &str, default: &str) -> Result<Option<RunReader>> {
        if self.no_baseline {
            return Ok(None);
        }
        let opened = match &self.baseline {
            Some(name) => match store.current(suite, name) {
                Ok(Some(folder)) => Some(RunReader::open(&folder)),
                Ok(None) | Err(_) => Some(open_run(store, Some(suite), name)),
            },
            None => store.current(suite, default)?.map(|folder| RunReader::open(&folder)),
        };
        opened.transpose().map_err(|e| e.context("open the baseline"))
    }
}
