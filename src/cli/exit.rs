//! Exit codes: one table for the code, `--help` and the README.

use crate::error::{Error, Kind};

/// How karat ends. Where several hold: 2, 130, 1, 3, 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything passed.
    Passed,
    /// A gate failed.
    GateFailed,
    /// Usage, suite, data or weights are wrong.
    BadInput,
    /// Some cases errored or the run stopped.
    Incomplete,
    /// Nothing was selected.
    Nothing,
    /// Interrupted by the user.
    Interrupted,
}

/// The table under `--help`.
pub const TABLE: &str = "\
Exit codes:
  0    passed
  1    a gate failed (an errored or missing danger case fails it too)
  2    bad input: usage, suite, data, weights
  3    incomplete: some cases errored or the run stopped (SIGTERM too)
  4    nothing selected
  130  interrupted
Where several hold, the first of 2, 130, 1, 3, 4 counts.";

impl Exit {
    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::GateFailed => 1,
            Self::BadInput => 2,
            Self::Incomplete => 3,
            Self::Nothing => 4,
            Self::Interrupted => 130,
        }
    }

    /// Where several hold, the one of the greatest weight counts.
    pub fn weight(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Nothing => 1,
            Self::Incomplete => 2,
            Self::GateFailed => 3,
            Self::Interrupted => 4,
            Self::BadInput => 5,
        }
    }

    /// What an error ends with.
    pub fn of(error: &Error) -> Self {
        match error.kind() {
            Kind::Input | Kind::Io | Kind::Internal => Self::BadInput,
            Kind::Incomplete => Self::Incomplete,
            Kind::Empty => Self::Nothing,
            Kind::Interrupted => Self::Interrupted,
        }
    }
}
