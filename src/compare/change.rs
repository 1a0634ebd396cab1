//! Change and direction: what differs in one case, and for better or worse. Two questions, two functions.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Pair;
use crate::dataset::Kind;
use crate::record::ResultLine;
use crate::score::Score;

/// For better or worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Passed before, does not now.
    Worse,
    /// The verdict is the same.
    Same,
    /// Did not pass before, does now.
    Better,
}

/// What became of a case; in order of severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The case, or one of its scorers, passed before and fails now.
    Regressed,
    /// The candidate could not answer or score it.
    Errored,
    /// The candidate lacks it.
    Removed,
    /// The verdict is the same, the output is not.
    OutputChanged,
    /// Verdict and output are the same, a score's value is not, or a scorer came or went.
    ScoreChanged,
    /// The case, or one of its scorers, failed before and passes now; nothing regressed.
    Improved,
    /// The base run could not answer or score it, the candidate could and it fails.
    Recovered,
    /// The base run lacks it.
    Added,
}

impl ChangeKind {
    /// All kinds in order of severity.
    pub const ALL: [Self; 8] = [
        Self::Regressed,
        Self::Errored,
        Self::Removed,
        Self::OutputChanged,
        Self::ScoreChanged,
        Self::Improved,
        Self::Recovered,
        Self::Added,
    ];

    /// The kind in words, for tables.
    pub fn label(self) -> &'static str {
        match self {
            Self::Regressed => "regressed",
            Self::Errored => "errored",
            Self::Removed => "removed",
            Self::OutputChanged => "output changed only",
            Self::ScoreChanged => "score changed only",
            Self::Improved => "improved",
            Self::Recovered => "recovered from an error",
            Self::Added => "added",
        }
    }
}

/// A changed case with both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaseChange {
    /// Dataset name.
    pub dataset: String,
    /// Case id.
    pub id: String,
    /// Which of the case's answers, from 0.
    pub repeat: u32,
    /// What the dataset is for; danger where either run says so.
    pub class: Kind,
    /// What became of it.
    pub change: ChangeKind,
    /// Whether the model saw another prompt; none where a run does not know.
    pub prompt_changed: Option<bool>,
    /// The scorers whose verdict or value differ.
    pub scorers: Vec<ScorerChange>,
    /// The base side; none for added cases.
    pub base: Option<CaseView>,
    /// The candidate side; none for removed cases.
    pub candidate: Option<CaseView>,
}

/// One side of a changed case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CaseView {
    /// Whether it passed.
    pub passed: bool,
    /// What was asked, where it was kept and is not the same on both sides.
    pub prompt: Option<String>,
    /// The answer, where it was kept.
    pub output: Option<String>,
    /// Why it could not be answered or scored.
    pub error: Option<String>,
}

/// A scorer that says something else about a case.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScorerChange {
    /// Scorer name.
    pub scorer: String,
    /// For better or worse; same where only the value differs or one side was not scored.
    pub direction: Direction,
    /// The base side's score.
    pub base: Option<Score>,
    /// The candidate's score.
    pub candidate: Option<Score>,
}

/// For better or worse, from two verdicts.
pub fn direction(before: bool, after: bool) -> Direction {
    match (before, after) {
        (true, false) => Direction::Worse,
        (false, true) => Direction::Better,
        (true, true) | (false, false) => Direction::Same,
    }
}

/// What became of a case; `None` where nothing that a run promises to repeat differs.
pub fn change(pair: &Pair) -> Option<ChangeKind> {
    let (base, candidate) = match pair {
        Pair::Removed(_) => return Some(ChangeKind::Removed),
        // An added case that errs is first of all an error.
        Pair::Added(line) if line.error.is_some() => return Some(ChangeKind::Errored),
        Pair::Added(_) => return Some(ChangeKind::Added),
        Pair::Both(base, candidate) => (base, candidate),
    };
    if candidate.error.is_some() {
        return Some(ChangeKind::Errored);
    }
    let scorers = scorer_changes(base, candidate);
    let any =
        |wanted| direction(base.passed, candidate.passed) == wanted || scorers.iter().any(|s| s.direction == wanted);
    if any(Direction::Worse) {
        return Some(ChangeKind::Regressed);
    }
    if any(Direction::Better) {
        return Some(ChangeKind::Improved);
    }
    if base.error.is_some() {
        return Some(ChangeKind::Recovered);
    }
    let ids = differ(&base.output_ids, &candidate.output_ids) || differ(&base.finish, &candidate.finish);
    if ids || differ(&base.output, &candidate.output) {
        return Some(ChangeKind::OutputChanged);
    }
    (!scorers.is_empty()).then_some(ChangeKind::ScoreChanged)
}

/// Whether two values are known to differ: what a run did not keep or never knew is no change.
fn differ<T: PartialEq>(base: &Option<T>, candidate: &Option<T>) -> bool {
    matches!((base, candidate), (Some(base), Some(candidate)) if base != candidate)
}

impl CaseChange {
    /// The case of a pair, by name and with both sides.
    pub(crate) fn new(change: ChangeKind, pair: Pair) -> Self {
        let class = class(&pair);
        let (base, candidate) = match pair {
            Pair::Both(base, candidate) => (Some(base), Some(candidate)),
            Pair::Removed(base) => (Some(base), None),
            Pair::Added(candidate) => (None, Some(candidate)),
        };
        let (scorers, prompt_changed) = match (&base, &candidate) {
            (Some(base), Some(candidate)) => {
                let hashes = base.prompt_hash.as_ref().zip(candidate.prompt_hash.as_ref());
                (scorer_changes(base, candidate), hashes.map(|(before, after)| before != after))
            }
            _ => (Vec::new(), None),
        };
        let (dataset, id, repeat) = base.as_ref().or(candidate.as_ref()).map(ResultLine::key).unwrap_or_default();
        let (dataset, id) = (dataset.to_owned(), id.to_owned());
        let view =
            |line: ResultLine| CaseView { passed: line.passed, prompt: None, output: line.output, error: line.error };
        let (base, candidate) = (base.map(view), candidate.map(view));
        Self { dataset, id, repeat, class, change, prompt_changed, scorers, base, candidate }
    }

    /// Adds what was asked on either side.
    pub(crate) fn with_prompts(mut self, base: Option<String>, candidate: Option<String>) -> Self {
        for (view, prompt) in [(&mut self.base, base), (&mut self.candidate, candidate)] {
            if let Some(view) = view {
                view.prompt = prompt;
            }
        }
        self
    }

    /// The place that a pair with this change would have in lists.
    pub fn place(change: ChangeKind, pair: &Pair) -> u8 {
        severity(change, class(pair))
    }

    /// Place in lists: bad news of danger cases, bad news of golden cases, then the rest.
    pub fn severity(&self) -> u8 {
        severity(self.change, self.class)
    }

    /// Whether this scorer went from pass to fail, or the case as a whole where no scorer is named.
    pub fn regressed(&self, scorer: Option<&str>) -> bool {
        match scorer {
            Some(name) => self.scorers.iter().any(|s| s.scorer == name && s.direction == Direction::Worse),
            None => {
                let passed = |view: &Option<CaseView>| view.as_ref().is_some_and(|view| view.passed);
                passed(&self.base) && !passed(&self.candidate)
            }
        }
    }
}

/// Danger where either run says so: a case does not become harmless by being filed elsewhere.
pub(crate) fn class(pair: &Pair) -> Kind {
    match pair {
        Pair::Both(base, candidate) => base.kind.max(candidate.kind),
        Pair::Removed(line) | Pair::Added(line) => line.kind,
    }
}

/// Place in lists, from 0.
pub(crate) fn severity(change: ChangeKind, class: Kind) -> u8 {
    let bad = change <= ChangeKind::Removed;
    let offset = match (class, bad) {
        (Kind::Danger, true) => 0,
        (Kind::Golden, true) => 3,
        // Danger before golden again: 6, 8, … and 7, 9, ….
        (Kind::Danger, false) => change as u8,
        (Kind::Golden, false) => 1 + change as u8,
    };
    offset + change as u8
}

/// Scorers whose verdict or value differ. On an errored side no score can be trusted to have passed.
fn scorer_changes(base: &ResultLine, candidate: &ResultLine) -> Vec<ScorerChange> {
    let trusted = base.error.is_none() && candidate.error.is_none();
    let names: BTreeSet<&String> = base.scores.keys().chain(candidate.scores.keys()).collect();
    let get = |scores: &BTreeMap<String, Score>, name: &str| scores.get(name).cloned();
    let changes = names.into_iter().filter_map(|name| {
        let (before, after) = (get(&base.scores, name), get(&candidate.scores, name));
        let direction = match (&before, &after) {
            (Some(before), Some(after)) if trusted => direction(before.passed, after.passed),
            _ => Direction::Same,
        };
        let value = |score: &Option<Score>| score.as_ref().map(|score| (score.passed, score.value.to_bits()));
        (value(&before) != value(&after)).then(|| ScorerChange {
            scorer: name.clone(),
            direction,
            base: before,
            candidate: after,
        })
    });
    changes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::comparison::tests::line;

    fn both(edit: impl Fn(&mut ResultLine, &mut ResultLine)) -> Option<ChangeKind> {
        let (mut base, mut candidate) = (line("a", "1", true), line("a", "1", true));
        edit(&mut base, &mut candidate);
        for line in [&mut base, &mut candidate] {
            line.settle().unwrap();
        }
        change(&Pair::Both(base, candidate))
    }

    fn set(line: &mut ResultLine, scorer: &str, passed: bool) {
        let value = f64::from(u8::from(passed));
        line.scores.insert(scorer.into(), Score { passed, value, explanation: String::new(), outcome: None });
    }

    #[test]
    fn every_kind_of_change() {
        use ChangeKind::{Errored, Improved, OutputChanged, Recovered, Regressed, ScoreChanged};
        let fail = |line: &mut ResultLine| line.error = Some("x".into());
        assert_eq!(both(|_, _| {}), None);
        assert_eq!(both(|_, c| c.prompt_hash = None), None);
        assert_eq!(both(|_, c| set(c, "match", false)), Some(Regressed));
        assert_eq!(both(|b, _| set(b, "match", false)), Some(Improved));
        assert_eq!(both(|_, c| c.output = Some("other".into())), Some(OutputChanged));
        assert_eq!(both(|_, c| (c.output, c.output_ids, c.finish) = (None, None, None)), None, "not kept is no change");
        assert_eq!(both(|_, c| c.scores.get_mut("match").unwrap().value = 0.9), Some(ScoreChanged));
        assert_eq!(both(|_, c| set(c, "new", true)), Some(ScoreChanged));
        assert_eq!(both(|_, c| set(c, "new", false)), Some(Regressed), "the case passed and does not now");
        assert_eq!(both(|_, c| fail(c)), Some(Errored));
        assert_eq!(both(|b, c| (fail(b), fail(c)).1), Some(Errored));
        assert_eq!(both(|b, _| fail(b)), Some(Improved));
        assert_eq!(both(|b, c| (fail(b), set(c, "match", false)).1), Some(Recovered));
        // Failing before and after, but one scorer was lost on the way.
        let swap = |b: &mut ResultLine, c: &mut ResultLine| {
            set(b, "other", false);
            set(c, "match", false);
            set(c, "other", true);
        };
        assert_eq!(both(swap), Some(Regressed));
        assert_eq!(change(&Pair::Removed(line("a", "1", false))), Some(ChangeKind::Removed));
        assert_eq!(change(&Pair::Added(line("a", "1", true))), Some(ChangeKind::Added));
    }

    #[test]
    fn severity_is_an_order_without_ties() {
        let mut all: Vec<_> = ChangeKind::ALL
            .into_iter()
            .flat_map(|change| [Kind::Danger, Kind::Golden].map(|class| (severity(change, class), change, class)))
            .collect();
        all.sort_unstable_by_key(|(severity, ..)| *severity);
        let places: Vec<u8> = all.iter().map(|(severity, ..)| *severity).collect();
        assert_eq!(places, (0..16).collect::<Vec<u8>>());
        assert_eq!(all[2].1, ChangeKind::Removed);
        assert_eq!(all[3], (3, ChangeKind::Regressed, Kind::Golden));
    }
}
