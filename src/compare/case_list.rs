//! Some cases by name.

use serde::Serialize;

use crate::record::CaseRef;

/// How many cases a rule lists; the total is always exact.
pub const LISTED_CASES: usize = 100;

/// Some cases by name: how many, and the first [`LISTED_CASES`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CaseList {
    /// How many there are.
    pub total: u64,
    /// The first of them.
    pub cases: Vec<CaseRef>,
}

impl CaseList {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Adds a case by dataset and id.
    pub(super) fn push(&mut self, (dataset, id): (&str, &str)) {
        self.total += 1;
        if self.cases.len() < LISTED_CASES {
            self.cases.push(CaseRef::new(dataset, id));
        }
    }
}
