//! Gates over cases that err.

use super::*;

/// Golden cases, the last `errors` of `n` errored, the first `passed` passed.
fn erring(passed: usize, n: usize, errors: usize) -> Vec<ResultLine> {
    let case = |i: usize| {
        if i < n - errors {
            line("golden", &format!("{i:03}"), i < passed)
        } else {
            broken("golden", &format!("{i:03}"))
        }
    };
    (0..n).map(case).collect()
}

#[test]
fn errored_golden_cases_leave_a_rule_open_only_where_they_could_turn_it() {
    use Outcome::{Failed, Inconclusive, Passed};
    let min = |limit| Gate { min: Some(limit), ..gate("golden.match") };
    let max = |limit| Gate { max: Some(limit), ..gate("golden.match") };
    // 80 of 100 passed, 5 erred: between 80 and 85 %.
    let run = |rule: Gate| one(rule, None, erring(80, 100, 5)).outcome;
    assert_eq!([0.8, 0.81, 0.85, 0.86].map(|limit| run(min(limit))), [Passed, Inconclusive, Inconclusive, Failed]);
    assert_eq!([0.79, 0.8, 0.84, 0.85].map(|limit| run(max(limit))), [Failed, Inconclusive, Inconclusive, Passed]);
    // The mean of 95 is 80/95 = 0.842; five values between -1 and 1 move it to 0.75 and 0.85.
    let mean = |limit| Gate { min: Some(limit), ..gate("golden.match.mean") };
    assert_eq!([0.74, 0.8, 0.86].map(|limit| run(mean(limit))), [Passed, Inconclusive, Failed]);
    // Against a baseline: 90 of 100 passed, of the five that err now all had failed.
    let base = || Some(cases("golden", 90, 100));
    let drop =
        |limit, candidate| one(Gate { max_drop: Some(limit), ..gate("golden.match") }, base(), candidate).outcome;
    assert_eq!(drop(0.1, erring(80, 100, 5)), Passed);
    assert_eq!(drop(0.07, erring(80, 100, 5)), Inconclusive);
    assert_eq!(drop(0.04, erring(80, 100, 5)), Failed);
    // Those that erred in the baseline count as well.
    let result =
        one(Gate { max_drop: Some(0.02), ..gate("golden.match") }, Some(erring(80, 100, 5)), cases("golden", 80, 100));
    assert_eq!(result.outcome, Inconclusive, "{}", result.reason);
    let both = one(Gate { max_drop: Some(0.02), ..gate("golden.match") }, Some(erring(80, 100, 5)), erring(80, 100, 5));
    assert_eq!(both.outcome, Inconclusive, "{}", both.reason);
    // Expressions, windows and unpaired rules likewise.
    let fail_if = |text: &str| Gate { fail_if: Some(text.into()), ..Gate::default() };
    assert_eq!(run(fail_if("golden.match.fail_rate > 21%")), Passed);
    assert_eq!(run(fail_if("golden.match.fail_rate > 17%")), Inconclusive);
    assert_eq!(run(fail_if("golden.match.fail_rate > 14%")), Failed);
    assert_eq!(
        run(fail_if("golden.match.fail_rate > 17% or golden.match.pass_rate > 0.5")),
        Failed,
        "one part decides"
    );
    let stamped = |mut lines: Vec<ResultLine>| {
        lines.iter_mut().for_each(|line| line.timestamp = Some("2026-11-20T10:00:00Z".into()));
        lines
    };
    let window = |limit: &str| {
        one(fail_if(&format!("golden.match.fail_rate > {limit} over 10m")), None, stamped(erring(80, 100, 5))).outcome
    };
    assert_eq!([window("21%"), window("17%"), window("14%")], [Passed, Inconclusive, Failed]);
    let unpaired = |limit| Gate { max_drop: Some(limit), unpaired: true, ..gate("golden.match") };
    let arms = |limit| one(unpaired(limit), base(), erring(80, 100, 5)).outcome;
    assert_eq!([arms(0.1), arms(0.07), arms(0.04)], [Passed, Inconclusive, Failed]);
}

#[test]
fn errored_pairs_could_turn_a_test() {
    let rule = || Gate { no_significant_drop: true, ..gate("golden.match") };
    let run = |lost: usize, errors: usize| {
        let base = cases("golden", 200, 200);
        let candidate = (0..200).map(|i| match i {
            i if i < lost => line("golden", &format!("{i:03}"), false),
            i if i < lost + errors => broken("golden", &format!("{i:03}")),
            i => line("golden", &format!("{i:03}"), true),
        });
        one(rule(), Some(base), candidate.collect()).outcome
    };
    // Mid-p finds five in one direction.
    assert_eq!([run(4, 0), run(5, 0)], [Outcome::Passed, Outcome::Failed]);
    assert_eq!([run(3, 1), run(3, 2), run(5, 2)], [Outcome::Passed, Outcome::Inconclusive, Outcome::Failed]);
    let inferior = |errors: usize| {
        let candidate = (0..200).map(|i| {
            if i < errors { broken("golden", &format!("{i:03}")) } else { line("golden", &format!("{i:03}"), true) }
        });
        let rule = Gate { non_inferior: Some(0.05), ..gate("golden.match") };
        one(rule, Some(cases("golden", 200, 200)), candidate.collect()).outcome
    };
    assert_eq!([inferior(0), inferior(1), inferior(20)], [Outcome::Passed, Outcome::Passed, Outcome::Inconclusive]);
}

#[test]
fn how_many_may_err_decides_whether_a_run_is_complete() {
    use crate::rule::{Allowance, ErrorPolicy};
    let outcome = |errors: Option<Allowance>, erred: usize| {
        let policy = GatePolicy {
            gates: vec![Gate { min: Some(0.1), ..gate("golden.match") }],
            errors: errors.map(|max| ErrorPolicy { max }),
            ..GatePolicy::default()
        };
        let verdict = judged(&policy, &manifest(1), None, erring(50, 100, erred));
        (verdict.outcome, verdict.rules.len())
    };
    assert_eq!(outcome(None, 0), (Decision::Passed, 1));
    assert_eq!(outcome(None, 1), (Decision::Inconclusive, 2));
    assert_eq!(outcome(Some(Allowance::Count(2)), 2), (Decision::Passed, 2));
    assert_eq!(outcome(Some(Allowance::Count(2)), 3), (Decision::Inconclusive, 2));
    assert_eq!(outcome(Some(Allowance::Share(0.05)), 5), (Decision::Passed, 2));
    assert_eq!(outcome(Some(Allowance::Share(0.05)), 6), (Decision::Inconclusive, 2));
    // Missing ones are never allowed.
    let mut selected = manifest(1);
    selected.selected.insert("golden".into(), Selected { kind: Kind::Golden, cases: 5, partial: false });
    let policy = GatePolicy { errors: Some(ErrorPolicy { max: Allowance::Share(1.0) }), ..GatePolicy::default() };
    assert_eq!(judged(&policy, &selected, None, cases("golden", 3, 3)).outcome, Decision::Inconclusive);
    // A failed rule comes first.
    let policy = GatePolicy { gates: vec![Gate { min: Some(0.9), ..gate("golden.match") }], ..GatePolicy::default() };
    assert_eq!(judged(&policy, &manifest(1), None, erring(50, 100, 1)).outcome, Decision::Failed);
}
