//! Where runs and baselines live.

use std::path::PathBuf;

use crate::error::Result;
use crate::history::Store;
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

/// Which baseline to compare with.
#[derive(clap::Args)]
pub struct BaselineArgs {
    /// Compare with this baseline, or with this run (default: the suite's baseline, if one was accepted).
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
        let folder = match &self.baseline {
            Some(name) => match store.current(suite, name) {
                Ok(Some(folder)) => Some(folder),
                Ok(None) | Err(_) => Some(store.resolve(Some(suite), name)?),
            },
            None => store.current(suite, default)?,
        };
        folder.map(|folder| RunReader::open(&folder).map_err(|e| e.context("open the baseline"))).transpose()
    }
}
