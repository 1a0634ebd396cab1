//! Exit codes: one table for the code, `--help` and the README.

use crate::error::{Error, Kind};

/// How karat ends. Where several hold: 2, 130, 5, 1, 3, 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything passed.
    Passed,
    /// A rule failed.
    RuleFailed,
    /// A mistake in call, suite, data or weights.
    BadInput,
    /// Incomplete or inconclusive: cases errored, evidence is missing, or the run stopped.
    Inconclusive,
    /// Nothing was selected.
    Nothing,
    /// Disk, permission, device or network failed.
    Environment,
    /// Interrupted by the user.
    Interrupted,
}

/// The table under `--help`.
pub const TABLE: &str = "\
Exit codes:
  0    passed
  1    a rule failed (an errored or missing danger case fails too)
  2    a mistake in call, suite, data or weights
  3    incomplete or inconclusive: cases errored, evidence is missing, the run stopped (SIGTERM, --max-wall)
  4    nothing selected, or nothing begun that --resume could go on with
  5    the environment failed: disk, permission, device, network; worth a retry
  130  interrupted
Where several hold, the first of 2, 130, 5, 1, 3, 4 counts.";

impl Exit {
    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::RuleFailed => 1,
            Self::BadInput => 2,
            Self::Inconclusive => 3,
            Self::Nothing => 4,
            Self::Environment => 5,
            Self::Interrupted => 130,
        }
    }

    /// Where several hold, the one of the greatest weight counts.
    pub fn weight(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Nothing => 1,
            Self::Inconclusive => 2,
            Self::RuleFailed => 3,
            Self::Environment => 4,
            Self::Interrupted => 5,
            Self::BadInput => 6,
        }
    }

    /// The one of the two that counts.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        if other.weight() > self.weight() { other } else { self }
    }

    /// What an error ends with.
    pub fn of(error: &Error) -> Self {
        match error.kind() {
            Kind::Input | Kind::Newer | Kind::Internal => Self::BadInput,
            Kind::Environment => Self::Environment,
            Kind::Incomplete => Self::Inconclusive,
            Kind::Empty => Self::Nothing,
            Kind::Interrupted => Self::Interrupted,
        }
    }
}
