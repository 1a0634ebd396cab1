//! Where runs and baselines live: `runs/<suite>/<run-id>/` and `baselines/<suite>/<name>/<run-id>/` with a file
//! `current` that names the accepted run.
//!
//! Finds (in folders and in git), lists, accepts. A baseline entry is a copy of a run and never changes; accepting another run adds an entry
//! and moves `current`. Reading and verifying a run is `record`'s.

mod accept;
mod git;
mod list;
mod log;
mod resolve;
#[cfg(test)]
mod tests;

pub use accept::{Accept, Accepted};
pub use git::{Checkout, head, identity};
pub use list::{Baseline, RunEntry};
pub use log::{ACCEPTED, Acceptance};

use std::path::{Path, PathBuf};

/// The file that names the accepted run of a baseline.
pub const CURRENT: &str = "current";

/// The two folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    runs: PathBuf,
    baselines: PathBuf,
}

impl Store {
    /// `runs/` and `baselines/` below a folder, usually the one of the suite file or the working directory.
    pub fn new(root: &Path) -> Self {
        Self { runs: root.join("runs"), baselines: root.join("baselines") }
    }

    /// The two folders by themselves.
    pub fn with(runs: PathBuf, baselines: PathBuf) -> Self {
        Self { runs, baselines }
    }

    /// Where runs are written: one folder per suite below it.
    pub fn runs(&self) -> &Path {
        &self.runs
    }

    /// Where baselines are kept: one folder per suite and name below it.
    pub fn baselines(&self) -> &Path {
        &self.baselines
    }
}
