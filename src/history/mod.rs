//! Where runs and baselines live: `runs/<suite>/<run-id>/` and `baselines/<suite>/<name>/<run-id>/` with a file
//! `current` that names the accepted run.
//!
//! Finds (in folders and in git), lists, accepts. A baseline entry is a copy of a run and never changes; accepting another run adds an entry
//! and moves `current`. Reading and verifying a run is `record`'s.

mod accept;
mod git;
mod list;
mod log;
mod project;
mod resolve;
#[cfg(test)]
mod tests;

pub use accept::{Accept, Accepted, Obstacle, Review, obstacle};
pub use git::{Checkout, head, identity};
pub use list::{Baseline, Current, REPAIR, RunEntry};
pub use log::{ACCEPTED, Acceptance, open_verified};
pub use project::{project_of_folder, project_of_suite};
pub use resolve::{Found, Workspace};

use std::path::{Path, PathBuf};

/// The file that names the accepted run of a baseline.
pub const CURRENT: &str = "current";

/// The two folders of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    runs: PathBuf,
    baselines: PathBuf,
}

impl Store {
    /// `runs/` and `baselines/` of a project.
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

    /// The store that a run folder lies in, by the names of the folders above it: `runs/<suite>/<run-id>`, or
    /// `baselines/<suite>/<name>/<run-id>`; none where it lies elsewhere.
    pub fn owner(run: &Path) -> Option<Self> {
        let run = std::fs::canonicalize(run).ok()?;
        let named =
            |folder: Option<&Path>, name: &str| folder?.file_name()?.to_str().filter(|own| *own == name).map(drop);
        let above = |levels: usize| run.ancestors().nth(levels);
        let root = match (named(above(2), "runs"), named(above(3), "baselines")) {
            (Some(()), _) => above(3)?,
            (None, Some(())) => above(4)?,
            (None, None) => return None,
        };
        Some(Self::new(&project::shown(root)))
    }

    /// Where baselines are kept: one folder per suite and name below it.
    pub fn baselines(&self) -> &Path {
        &self.baselines
    }
}
