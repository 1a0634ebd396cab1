//! Outcomes of pairs, counted.

use serde::Serialize;

/// Paired outcomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PairedCounts {
    /// Passed before and now.
    pub both_passed: u64,
    /// Passed before, fails now.
    pub regressed: u64,
    /// Failed before, passes now.
    pub improved: u64,
    /// Failed before and now.
    pub both_failed: u64,
}

impl PairedCounts {
    /// Number of pairs.
    pub fn pairs(&self) -> u64 {
        self.both_passed + self.regressed + self.improved + self.both_failed
    }

    /// Both added up.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            both_passed: self.both_passed + other.both_passed,
            regressed: self.regressed + other.regressed,
            improved: self.improved + other.improved,
            both_failed: self.both_failed + other.both_failed,
        }
    }

    pub(super) fn add(&mut self, before: bool, after: bool) {
        let count = match (before, after) {
            (true, true) => &mut self.both_passed,
            (true, false) => &mut self.regressed,
            (false, true) => &mut self.improved,
            (false, false) => &mut self.both_failed,
        };
        *count += 1;
    }
}
