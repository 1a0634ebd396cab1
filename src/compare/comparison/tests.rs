//! Comparisons of small runs, and lines that other tests make runs of.

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
        likelihoods: None,
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
    let side = |manifest, lines: Vec<ResultLine>| Side { manifest, lines: lines.into_iter().map(Ok), prompts: None };
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
    let candidate = vec![line("a", "1", true), line("a", "2", false), line("b", "2", false), line("danger", "1", true)];
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
