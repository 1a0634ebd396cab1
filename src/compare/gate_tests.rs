//! Every kind of gate: where it passes, where it fails, where data are missing.

use super::comparison::tests::{broken, compared, line, manifest};
use super::*;
use crate::dataset::Kind;
use crate::record::{Manifest, ResultLine, Selected, Summary, SummaryBuilder};

fn gate(metric: &str) -> GateRule {
    GateRule { metric: metric.into(), ..GateRule::default() }
}

fn summary(lines: &[ResultLine]) -> Summary {
    let mut builder = SummaryBuilder::default();
    lines.iter().for_each(|line| builder.add(line));
    builder.finish()
}

/// `passed` of `n` cases of a dataset pass.
fn cases(dataset: &str, passed: usize, n: usize) -> Vec<ResultLine> {
    (0..n).map(|i| line(dataset, &format!("{i:03}"), i < passed)).collect()
}

fn one(rule: GateRule, base: Option<Vec<ResultLine>>, candidate: Vec<ResultLine>) -> RuleResult {
    let summary = summary(&candidate);
    let comparison = base.map(|base| compared(base, candidate));
    let policy = GatePolicy { gates: vec![rule] };
    let verdict = judge(&policy, &manifest(1), &summary, comparison.as_ref());
    assert_eq!(verdict.rules.len(), 1);
    assert_eq!(verdict.passed, verdict.rules[0].outcome != Outcome::Failed);
    verdict.rules.into_iter().next().unwrap()
}

fn danger(manifest: &Manifest, base: Option<Vec<ResultLine>>, candidate: Vec<ResultLine>) -> Vec<(Outcome, u64)> {
    let summary = summary(&candidate);
    let comparison = base.map(|base| compared(base, candidate));
    let verdict = judge(&GatePolicy::default(), manifest, &summary, comparison.as_ref());
    verdict.rules.iter().map(|rule| (rule.outcome, rule.cases_total)).collect()
}

#[test]
fn min_and_max() {
    let rule = GateRule { min: Some(0.8), ..gate("golden.match") };
    let result = one(rule.clone(), None, cases("golden", 8, 10));
    assert_eq!((result.outcome, result.observed), (Outcome::Passed, Some(0.8)));
    assert_eq!(result.rule, "golden.match.pass_rate >= 0.8");
    assert_eq!(result.reason, "0.8 over 10 cases, 95 % 0.4902 to 0.9433");
    let result = one(rule.clone(), None, cases("golden", 7, 10));
    assert_eq!((result.outcome, result.cases_total), (Outcome::Failed, 3));
    assert_eq!(result.cases[0], CaseRef::new("golden", "007"));
    // An errored case is not a passing one.
    let mut lines = cases("golden", 8, 9);
    lines.push(broken("golden", "100"));
    lines.push(broken("golden", "101"));
    assert_eq!(one(rule.clone(), None, lines).outcome, Outcome::Failed);
    let missing = one(GateRule { metric: "golden.mach".into(), ..rule }, None, cases("golden", 8, 10));
    assert_eq!(missing.outcome, Outcome::Failed);
    assert_eq!(missing.reason, "no data; did you mean `golden.match`?");

    let rule = GateRule { max: Some(0.5), ..gate("golden.match.mean") };
    assert_eq!(one(rule.clone(), None, cases("golden", 5, 10)).outcome, Outcome::Passed);
    assert_eq!(one(rule.clone(), None, cases("golden", 6, 10)).outcome, Outcome::Failed);
    assert_eq!(one(rule, None, vec![broken("golden", "1")]).outcome, Outcome::Failed, "no mean of errors");
}

#[test]
fn drops_and_rises() {
    let rule = GateRule { max_drop: Some(0.02), ..gate("golden.match") };
    let base = || Some(cases("golden", 87, 100));
    let result = one(rule.clone(), base(), cases("golden", 85, 100));
    assert_eq!(result.outcome, Outcome::Passed, "0.87 - 0.85 is 0.02");
    assert_eq!((result.observed, result.baseline), (Some(0.85), Some(0.87)));
    let result = one(rule.clone(), base(), cases("golden", 84, 100));
    assert_eq!((result.outcome, result.cases_total), (Outcome::Failed, 3));
    assert_eq!(result.cases[0], CaseRef::new("golden", "084"));
    assert!(result.reason.starts_with("0.87 to 0.84, -0.0300 (95 % -0.0"), "{}", result.reason);
    assert!(result.reason.ends_with("; 3 regressed, 0 improved of 100 pairs, McNemar p = 0.25"), "{}", result.reason);
    // Cases of one run alone do not count: here only cases that pass in both are shared.
    assert_eq!(one(rule.clone(), base(), cases("golden", 50, 50)).outcome, Outcome::Passed);
    assert_eq!(one(rule.clone(), base(), cases("other", 50, 50)).outcome, Outcome::Failed, "no data");
    let skipped = one(rule, None, cases("golden", 1, 10));
    assert_eq!((skipped.outcome, skipped.reason.as_str()), (Outcome::Skipped, "no baseline to compare with"));

    let rule = GateRule { max_rise: Some(0.1), ..gate("golden.match.mean") };
    assert_eq!(one(rule.clone(), base(), cases("golden", 97, 100)).outcome, Outcome::Passed);
    assert_eq!(one(rule.clone(), base(), cases("golden", 98, 100)).outcome, Outcome::Failed);
    assert_eq!(one(rule, None, cases("golden", 98, 100)).outcome, Outcome::Skipped);
}

#[test]
fn nonsense_fails() {
    let run = || cases("golden", 10, 10);
    assert_eq!(one(gate("golden.match"), None, run()).outcome, Outcome::Failed);
    assert_eq!(one(GateRule { min: Some(0.0), ..gate("golden") }, None, run()).outcome, Outcome::Failed);
    for rule in [
        GateRule { min: Some(f64::NAN), ..gate("golden.match") },
        GateRule { max: Some(f64::NAN), ..gate("golden.match") },
        GateRule { max_drop: Some(f64::NAN), ..gate("golden.match") },
        GateRule { max_rise: Some(f64::NAN), ..gate("golden.match") },
    ] {
        assert_eq!(one(rule, Some(run()), run()).outcome, Outcome::Failed);
    }
}

#[test]
fn danger_tolerates_nothing() {
    use Outcome::{Failed, Passed, Skipped};
    let plain = manifest(1);
    let base = || Some(cases("danger", 2, 3));
    assert_eq!(danger(&plain, base(), cases("danger", 2, 3)), [(Passed, 0), (Passed, 0)]);
    assert_eq!(danger(&plain, base(), cases("danger", 3, 3)), [(Passed, 0), (Passed, 0)]);
    assert_eq!(danger(&plain, base(), cases("danger", 1, 3)), [(Failed, 1), (Passed, 0)]);
    // Missing: 001 had passed, 002 had not; both are gaps, one is a loss.
    assert_eq!(danger(&plain, base(), cases("danger", 1, 1)), [(Failed, 1), (Failed, 2)]);
    let erring = vec![line("danger", "000", true), line("danger", "001", true), broken("danger", "002")];
    assert_eq!(danger(&plain, base(), erring.clone()), [(Passed, 0), (Failed, 1)]);
    // No baseline: only gaps can be judged.
    assert_eq!(danger(&plain, None, cases("danger", 0, 3)), [(Skipped, 0), (Passed, 0)]);
    assert_eq!(danger(&plain, None, erring), [(Skipped, 0), (Failed, 1)]);
    // Selected cases without a line.
    let mut selected = manifest(1);
    selected.selected.insert("danger".into(), Selected { kind: Kind::Danger, cases: 5 });
    assert_eq!(danger(&selected, None, cases("danger", 3, 3)), [(Skipped, 0), (Failed, 2)]);
    assert_eq!(danger(&selected, None, vec![]), [(Skipped, 0), (Failed, 5)]);
    // Filing a case under golden does not make it harmless.
    let mut harmless = cases("danger", 1, 3);
    harmless.iter_mut().for_each(|line| line.kind = Kind::Golden);
    assert_eq!(danger(&plain, base(), harmless), [(Failed, 1), (Passed, 0)]);
    // Golden runs are not asked; a danger dataset that is gone is.
    assert_eq!(danger(&plain, Some(cases("golden", 3, 3)), cases("golden", 0, 3)), []);
    assert_eq!(danger(&plain, base(), cases("golden", 3, 3)), [(Failed, 2), (Failed, 3)]);
}
