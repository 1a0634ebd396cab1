//! The whole comparison of two runs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::change::{CaseChange, ChangeKind, change, class, severity};
use super::danger_changes::DangerChanges;
use super::effect::Method;
use super::kept::Kept;
use super::slice::{self, SliceComparison, SliceTallies};
use super::tally::{DatasetComparison, DatasetTally};
use super::{Cause, CauseKind, Pair, causes, pairs};
use crate::dataset::Kind;
use crate::error::Result;
use crate::record::{Manifest, PromptCursor, Prompts, ResultLine};

/// How to compare.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CompareOptions {
    /// How many changed cases to keep whole for each kind of change and each class (golden, danger). Counts are exact
    /// beyond it; the first by dataset and id are kept.
    pub cap: usize,
    /// Which methods decide.
    pub method: Method,
}

impl Default for CompareOptions {
    fn default() -> Self {
        Self { cap: 5_000, method: Method::default() }
    }
}

/// One run as a comparison sees it: its manifest and its sorted cases.
pub struct Side<'a, L> {
    /// What ran.
    pub manifest: &'a Manifest,
    /// The cases in order ([`crate::record::Lines`]).
    pub lines: L,
    /// What was asked, where the run kept it.
    pub prompts: Option<Prompts>,
}

/// What changed between two runs, whether it is real, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The run compared against.
    pub base: RunRef,
    /// The run in question.
    pub candidate: RunRef,
    /// What was not the same before the first token, the numerics fingerprint first.
    pub causes: Vec<Cause>,
    /// By dataset, sorted by name.
    pub datasets: Vec<DatasetComparison>,
    /// By class, all its datasets together: `golden` and `danger`, as far as there are cases.
    pub classes: Vec<DatasetComparison>,
    /// The same by tag and metadata, corrected for the number of slices, the least likely change first.
    pub slices: Vec<SliceComparison>,
    /// There are more slices than are followed.
    pub slices_left_out: bool,
    /// Tokens of both sides.
    pub tokens: Tokens,
    /// Number of cases by kind of change; kinds without cases are absent.
    pub counts: BTreeMap<ChangeKind, u64>,
    /// Cases in which nothing differs that both runs kept.
    pub unchanged: u64,
    /// Cases that one run lacks because its call did not select them: neither compared nor missing.
    #[serde(skip_serializing_if = "is_zero")]
    pub unselected: u64,
    /// Some cases have several answers: the counts of changes are of answers.
    #[serde(skip_serializing_if = "is_false")]
    pub repeated: bool,
    /// What became of the danger cases.
    pub danger: DangerChanges,
    /// Changed cases by severity, dataset and id, at most `cap` for each kind of change and class, and of a bounded number of
    /// bytes: long texts are cut where they say so.
    pub changes: Vec<CaseChange>,
    /// The cap.
    pub cap: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// A run by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RunRef {
    /// Suite name.
    pub suite: String,
    /// Run id.
    pub run_id: String,
}

/// Tokens of two runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Of the base run.
    pub base: TokenSums,
    /// Of the candidate.
    pub candidate: TokenSums,
}

/// Tokens of the cases whose record knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TokenSums {
    /// Cases with known tokens.
    pub cases: u64,
    /// Their prompts' tokens.
    pub prompt: u64,
    /// Their answers' tokens.
    pub generated: u64,
}

impl TokenSums {
    pub(super) fn add(&mut self, line: &ResultLine) {
        if let (Some(prompt), Some(ids)) = (line.prompt_tokens, &line.output_ids) {
            self.cases += 1;
            self.prompt += prompt;
            self.generated += ids.len() as u64;
        }
    }

    /// Tokens of prompt and answer per case; none where no case knows them.
    pub fn per_case(&self) -> Option<f64> {
        (self.cases > 0).then(|| (self.prompt + self.generated) as f64 / self.cases as f64)
    }
}

impl Tokens {
    fn add(&mut self, pair: &Pair) {
        match pair {
            Pair::Both(base, candidate) => {
                self.base.add(base);
                self.candidate.add(candidate);
            }
            Pair::Removed(base) => self.base.add(base),
            Pair::Added(candidate) => self.candidate.add(candidate),
        }
    }
}

impl Comparison {
    /// Number of cases with this change.
    pub fn count(&self, kind: ChangeKind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// All datasets of a class, where they have cases.
    pub fn class(&self, name: &str) -> Option<&DatasetComparison> {
        self.classes.iter().find(|class| class.dataset == name)
    }

    /// Number of changed cases of all kinds.
    pub fn changed(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Changed cases in which this scorer went from pass to fail, as far as they are listed.
    pub(super) fn regressed<'a>(&'a self, dataset: &'a str, scorer: &'a str) -> impl Iterator<Item = &'a CaseChange> {
        self.changes.iter().filter(move |case| case.dataset == dataset && case.regressed(Some(scorer)))
    }

    /// The runs were computed by different numerics: bits may differ without any other cause.
    pub fn numerics_differ(&self) -> bool {
        self.causes.iter().any(|cause| cause.kind == CauseKind::Fingerprint)
    }

    /// Something changed and nothing that the manifests hold explains it: the promise of equal bytes is broken, or a
    /// file was exchanged behind karat's back.
    pub fn unexplained(&self) -> bool {
        let explained = self.causes.iter().any(|cause| cause.kind.explains_results());
        !explained && self.counts.iter().any(|(kind, n)| *n > 0 && *kind != ChangeKind::Errored)
    }
}

/// Compares two runs in one pass over both.
pub fn compare<B, C>(base: Side<'_, B>, candidate: Side<'_, C>, options: CompareOptions) -> Result<Comparison>
where
    B: Iterator<Item = Result<ResultLine>>,
    C: Iterator<Item = Result<ResultLine>>,
{
    let manifests = (base.manifest, candidate.manifest);
    let prompts = (base.prompts, candidate.prompts);
    compare_pairs(manifests, prompts, pairs(base.lines, candidate.lines), options)
}

/// Compares two runs by some of their pairs, which come in order.
pub(super) fn compare_pairs(
    (base, candidate): (&Manifest, &Manifest),
    prompts: (Option<Prompts>, Option<Prompts>),
    pairs: impl Iterator<Item = Result<Pair>>,
    options: CompareOptions,
) -> Result<Comparison> {
    let mut datasets: BTreeMap<String, (DatasetTally, SliceTallies)> = BTreeMap::new();
    let mut classes: BTreeMap<Kind, DatasetTally> = BTreeMap::new();
    let mut tokens = Tokens::default();
    let (mut case, mut last) = (0, (String::new(), String::new()));
    let mut counts = BTreeMap::new();
    let mut danger = DangerChanges::default();
    let mut kept = Kept::new(options.cap);
    let (mut unchanged, mut unselected, mut repeated) = (0, 0, false);
    let (mut before, mut after) = (PromptCursor::new(prompts.0), PromptCursor::new(prompts.1));
    for pair in pairs {
        let pair = pair?;
        let (Pair::Both(line, _) | Pair::Removed(line) | Pair::Added(line)) = &pair;
        let name = &line.dataset;
        repeated |= line.repeat > 0;
        if pair.unasked(base, candidate) {
            unselected += 1;
            if matches!(pair, Pair::Added(_)) {
                // Nothing to compare with; a danger case that errs fails all the same.
                danger.add(&pair);
            }
            continue;
        }
        let (tally, slices) = match datasets.get_mut(name) {
            Some(tallies) => tallies,
            None => datasets.entry(name.clone()).or_insert_with(|| (DatasetTally::new(), SliceTallies::default())),
        };
        // Several answers to one case come one behind the other.
        let (dataset, id) = pair.case();
        if last.0 != dataset || last.1 != id {
            case += 1;
            dataset.clone_into(&mut last.0);
            id.clone_into(&mut last.1);
        }
        tally.add(&pair, case);
        slices.add(&pair, case);
        tokens.add(&pair);
        classes.entry(class(&pair)).or_insert_with(DatasetTally::new).add(&pair, case);
        danger.add(&pair);
        let Some(kind) = change(&pair) else {
            unchanged += 1;
            continue;
        };
        *counts.entry(kind).or_insert(0) += 1;
        let place = severity(kind, class(&pair));
        if kept.has_room(place) {
            let mut case = CaseChange::new(kind, pair);
            if case.prompt_changed == Some(true) {
                let name = (case.dataset.as_str(), case.id.as_str());
                let (before, after) = (before.find(name)?, after.find(name)?);
                case = case.with_prompts(before, after);
            }
            kept.push(place, case);
        }
    }
    let name = |manifest: &Manifest| RunRef { suite: manifest.suite.clone(), run_id: manifest.run_id.to_string() };
    let (mut compared, mut slices, mut slices_left_out) = (Vec::new(), Vec::new(), false);
    let mut sizes = Vec::new();
    for (name, (tally, tallies)) in datasets {
        sizes.push(tally.pairs());
        let (found, left_out) = tallies.finish(&name, options.method);
        slices.extend(found);
        slices_left_out |= left_out;
        compared.push(tally.finish(name, options.method));
    }
    let classes = classes.into_iter().map(|(kind, tally)| {
        // Drawing signs is most of the work: a class of one dataset has its figures.
        let whole =
            compared.iter().zip(&sizes).find(|(dataset, pairs)| dataset.kind == kind && **pairs == tally.pairs());
        match whole {
            Some((dataset, _)) => DatasetComparison { dataset: kind.name().into(), ..dataset.clone() },
            None => tally.finish(kind.name().into(), options.method),
        }
    });
    let classes = classes.collect();
    Ok(Comparison {
        base: name(base),
        candidate: name(candidate),
        causes: causes(base, candidate),
        datasets: compared,
        classes,
        slices: slice::corrected(slices),
        slices_left_out,
        tokens,
        counts,
        unchanged,
        unselected,
        repeated,
        danger,
        // Those of a place are in order of dataset and id already, because the pairs came so.
        changes: kept.finish(),
        cap: options.cap,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::compare::TestKind;
    use crate::engine::Finish;
    use crate::record::{CaseRef, RunId, SummaryBuilder};
    use crate::score::Score;
    use proptest::prelude::*;
    use serde_json::json;

    /// A case with one scorer `match`; its dataset is a danger dataset where its name says so.
    pub(crate) fn line(dataset: &str, id: &str, passed: bool) -> ResultLine {
        let score = Score { passed, value: f64::from(u8::from(passed)), explanation: "because".into(), outcome: None };
        ResultLine {
            dataset: dataset.into(),
            id: id.into(),
            kind: if dataset.starts_with("danger") { Kind::Danger } else { Kind::Golden },
            repeat: 0,
            tags: vec![],
            metadata: BTreeMap::new(),
            group: None,
            timestamp: None,
            prompt_hash: Some("ab".into()),
            output: Some(format!("answer {passed}")),
            output_ids: None,
            finish: Some(Finish::Eos),
            prompt_tokens: Some(3),
            thought_opened: false,
            thought: None,
            empty: None,
            scores: BTreeMap::from([("match".to_owned(), score)]),
            passed,
            error: None,
        }
    }

    pub(crate) fn broken(dataset: &str, id: &str) -> ResultLine {
        let mut line = line(dataset, id, false);
        line.scores.clear();
        (line.error, line.output) = (Some("no answer".into()), None);
        line
    }

    pub(crate) fn manifest(seed: u64) -> Manifest {
        let time = "2026-11-20T11:00:00Z".parse().unwrap();
        let plan = json!({"generation": {"seed": seed}});
        Manifest::new("desk", RunId::new(time, &plan), time, plan)
    }

    pub(crate) fn compared(mut base: Vec<ResultLine>, mut candidate: Vec<ResultLine>) -> Comparison {
        let (one, two) = (manifest(0), manifest(1));
        for lines in [&mut base, &mut candidate] {
            lines.sort_by(|a, b| a.key().cmp(&b.key()));
        }
        let side =
            |manifest, lines: Vec<ResultLine>| Side { manifest, lines: lines.into_iter().map(Ok), prompts: None };
        compare(side(&one, base), side(&two, candidate), CompareOptions::default()).unwrap()
    }

    /// An answer that erred in both runs stays with its case, and with its group.
    #[test]
    fn errors_of_both_runs_keep_their_units() {
        for group in [None, Some("g".to_owned())] {
            let answer = |i: u32, repeat: u32, passed: bool| {
                let group = group.as_ref().map(|group| format!("{group}{}", i / 2));
                ResultLine { repeat, group, ..line("golden", &i.to_string(), passed) }
            };
            let run = |right: bool, lost: Option<bool>| {
                let answers = (0..12).flat_map(|i| (0..3).map(move |repeat| (i, repeat)));
                let each = answers.map(|(i, repeat)| match (repeat == 1 && i % 3 == 0, lost) {
                    (true, None) => {
                        ResultLine { repeat, group: answer(i, 0, true).group, ..broken("golden", &i.to_string()) }
                    }
                    (true, Some(passed)) => answer(i, repeat, passed),
                    (false, _) => answer(i, repeat, right || i > 7),
                });
                each.collect::<Vec<_>>()
            };
            let seen = compared(run(true, None), run(false, None));
            let settled = compared(run(true, Some(true)), run(false, Some(false)));
            let scorer = |comparison: &Comparison| comparison.datasets[0].scorers[0].clone();
            let lowest = scorer(&seen).extremes.unwrap()[0].clone();
            assert_eq!(lowest.pairs, scorer(&settled).pairs);
            assert_eq!(lowest.significance, scorer(&settled).significance, "{group:?}");
        }
    }

    #[test]
    fn counts_lists_and_rates() {
        let base = vec![
            line("danger", "1", true),
            line("danger", "2", false),
            line("golden", "1", true),
            line("golden", "2", true),
            line("golden", "3", false),
            line("golden", "4", true),
            line("golden", "5", true),
            broken("golden", "6"),
        ];
        let mut quiet = line("golden", "2", true);
        quiet.output = Some("other words".into());
        let candidate = vec![
            line("danger", "1", false),
            line("golden", "1", false),
            quiet,
            line("golden", "3", true),
            broken("golden", "4"),
            line("golden", "5", true),
            line("golden", "6", false),
            line("golden", "7", true),
        ];
        let comparison = compared(base, candidate);
        let listed: Vec<_> =
            comparison.changes.iter().map(|c| format!("{} {} {}", c.change.label(), c.dataset, c.id)).collect();
        let expected = [
            "regressed danger 1",
            "removed danger 2",
            "regressed golden 1",
            "errored golden 4",
            "output changed only golden 2",
            "improved golden 3",
            "recovered from an error golden 6",
            "added golden 7",
        ];
        assert_eq!(listed, expected);
        assert_eq!((comparison.changed(), comparison.unchanged), (8, 1));
        assert_eq!(comparison.danger.lost.cases, [CaseRef::new("danger", "1")]);
        assert_eq!(comparison.danger.missing.cases, [CaseRef::new("danger", "2")]);
        let golden = &comparison.datasets[1].scorers[0];
        let of = |side: &super::super::MetricSide| (side.cases, side.passed, side.errored);
        assert_eq!((of(&golden.base), of(&golden.candidate)), ((6, 4, 1), (7, 4, 1)));
        // Pairs: 1 regressed, 2 and 5 both, 3 improved; 4 and 6 erred on one side.
        assert_eq!(
            (golden.pairs.both_passed, golden.pairs.regressed, golden.pairs.improved, golden.pairs.pairs()),
            (2, 1, 1, 4)
        );
        assert_eq!((of(&golden.common_base), of(&golden.common_candidate)), ((6, 4, 1), (6, 3, 1)));
        assert_eq!(golden.significance.map(|s| s.p_value), Some(1.0));
        assert_eq!(comparison.causes.len(), 1);
        assert!(!comparison.unexplained());
    }

    #[test]
    fn a_class_is_all_its_datasets() {
        let base = vec![line("a", "1", true), line("a", "2", true), line("b", "2", true), line("danger", "1", true)];
        let candidate =
            vec![line("a", "1", true), line("a", "2", false), line("b", "2", false), line("danger", "1", true)];
        let comparison = compared(base, candidate);
        let golden = comparison.class("golden").unwrap();
        assert_eq!((golden.cases.pairs.regressed, golden.cases.pairs.pairs(), golden.scorers.len()), (2, 3, 1));
        // The last case of one dataset and the first of the next have one id and are two cases.
        assert_eq!(golden.scorers[0].significance.map(|s| (s.p_value, s.test)), Some((0.25, TestKind::McNemar)));
        let danger = comparison.class("danger").unwrap();
        assert_eq!(danger, &DatasetComparison { dataset: "danger".into(), ..comparison.datasets[2].clone() });
    }

    #[test]
    fn equal_runs_are_equal_and_an_unexplained_change_is_told() {
        let lines = vec![line("a", "1", true), line("a", "2", false)];
        let comparison = compared(lines.clone(), lines.clone());
        assert_eq!((comparison.changed(), comparison.unchanged), (0, 2));
        let one = manifest(0);
        let other = vec![lines[0].clone(), line("a", "2", true)];
        let side = |lines: Vec<ResultLine>| Side { manifest: &one, lines: lines.into_iter().map(Ok), prompts: None };
        assert!(compare(side(lines), side(other), CompareOptions::default()).unwrap().unexplained());
    }

    #[test]
    fn the_cap_limits_lists_and_never_counts() {
        let run = |passed| (0..20).map(move |i| Ok(line("a", &format!("{i:02}"), passed)));
        let (one, two) = (manifest(0), manifest(1));
        let side = |manifest, passed| Side { manifest, lines: run(passed), prompts: None };
        let options = CompareOptions { cap: 3, ..CompareOptions::default() };
        let sides = (side(&one, true), side(&two, false));
        let comparison = compare(sides.0, sides.1, options).unwrap();
        assert_eq!(comparison.count(ChangeKind::Regressed), 20);
        assert_eq!(comparison.changes.iter().map(|c| c.id.as_str()).collect::<Vec<_>>(), ["00", "01", "02"]);
    }

    #[derive(Clone, Copy, Debug)]
    enum State {
        Absent,
        Broken,
        Half,
        Scored(bool),
    }

    fn state() -> impl Strategy<Value = State> {
        prop_oneof![Just(State::Absent), Just(State::Broken), Just(State::Half), any::<bool>().prop_map(State::Scored)]
    }

    fn run(states: &[State]) -> Vec<ResultLine> {
        let cases = states.iter().enumerate().filter_map(|(i, state)| {
            let id = format!("{i:03}");
            match state {
                State::Absent => None,
                State::Broken => Some(broken("a", &id)),
                State::Half => {
                    let mut line = line("a", &id, true);
                    (line.passed, line.error) = (false, Some("half".into()));
                    Some(line)
                }
                State::Scored(passed) => Some(line("a", &id, *passed)),
            }
        });
        cases.collect()
    }

    proptest! {
        /// Each side's figures equal the summary's of that run alone, and pairs equal a naive count.
        #[test]
        fn figures_equal_naive_counts(states in proptest::collection::vec((state(), state()), 1..60)) {
            let (base, candidate): (Vec<_>, Vec<_>) = states.iter().copied().unzip();
            let comparison = compared(run(&base), run(&candidate));
            let Some(metric) = comparison.datasets.first().and_then(|d| d.scorers.first()) else { return Ok(()) };
            for (side, states) in [(&metric.base, &base), (&metric.candidate, &candidate)] {
                let mut builder = SummaryBuilder::default();
                run(states).iter().for_each(|line| builder.add(line));
                let summary = builder.finish();
                let dataset = summary.dataset("a");
                let passed = dataset.map_or(0, |d| d.passed);
                let (cases, errored) = dataset.map_or((0, 0), |d| (d.cases, d.errored));
                prop_assert_eq!((side.cases, side.passed, side.errored), (cases, passed, errored));
            }
            let there = |state: &State| !matches!(state, State::Absent);
            let both = states.iter().filter(|(b, c)| there(b) && there(c)).count();
            prop_assert_eq!((metric.common_base.cases, metric.common_candidate.cases), (both as u64, both as u64));
            let lost = states.iter().filter(|s| matches!(s, (State::Scored(true), State::Scored(false)))).count();
            let won = states.iter().filter(|s| matches!(s, (State::Scored(false), State::Scored(true)))).count();
            let scored = states.iter().filter(|s| matches!(s, (State::Scored(_), State::Scored(_)))).count();
            prop_assert_eq!((metric.pairs.regressed, metric.pairs.improved), (lost as u64, won as u64));
            prop_assert_eq!(metric.pairs.pairs(), scored as u64);
            let whole = &comparison.datasets[0].cases;
            prop_assert_eq!((whole.base, whole.pairs), (MetricSideOf(whole.base, metric.base).same(), metric.pairs));
        }
    }

    /// Whole cases and their only scorer agree in everything but the mean.
    struct MetricSideOf(super::super::MetricSide, super::super::MetricSide);

    impl MetricSideOf {
        fn same(self) -> super::super::MetricSide {
            super::super::MetricSide { mean: self.0.mean, ..self.1 }
        }
    }
}
