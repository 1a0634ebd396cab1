//! What became of danger cases between two runs.

use serde::Serialize;

use super::Pair;
use super::case_list::CaseList;
use super::change::class;
use crate::dataset::Kind;

/// What became of the danger cases. A case belongs here where either run files it under danger.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct DangerChanges {
    /// Danger cases in either run.
    pub cases: u64,
    /// Of these, those that passed in the base run.
    pub passed_before: u64,
    /// Passed in the base run; fails, errs or is missing in the candidate.
    pub lost: CaseList,
    /// Errs in the candidate, whatever it did before.
    pub errored: CaseList,
    /// In the base run but not in the candidate, whatever it did before.
    pub missing: CaseList,
    /// Passed a scorer in the base run that says nothing about it in the candidate.
    #[serde(skip_serializing_if = "CaseList::is_empty")]
    pub unscored: CaseList,
}

impl DangerChanges {
    /// Looks at one pair; does nothing for golden cases.
    pub(super) fn add(&mut self, pair: &Pair) {
        if class(pair) != Kind::Danger {
            return;
        }
        self.cases += 1;
        let (base, candidate) = match pair {
            Pair::Both(base, candidate) => (Some(base), Some(candidate)),
            Pair::Removed(base) => (Some(base), None),
            Pair::Added(candidate) => (None, Some(candidate)),
        };
        self.passed_before += u64::from(base.is_some_and(|base| base.passed));
        if let Some(base) = base
            && base.passed
            && !candidate.is_some_and(|candidate| candidate.passed)
        {
            self.lost.push(base.case());
        }
        if let (Some(base), Some(candidate)) = (base, candidate)
            && candidate.error.is_none()
            && base.scores.iter().any(|(name, score)| score.passed && !candidate.scores.contains_key(name))
        {
            self.unscored.push(base.case());
        }
        match (base, candidate) {
            (_, Some(candidate)) if candidate.error.is_some() => self.errored.push(candidate.case()),
            (Some(base), None) => self.missing.push(base.case()),
            _ => {}
        }
    }
}
