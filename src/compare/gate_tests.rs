//! Every kind of gate: where it passes, where it fails, where data are missing.

mod errored;
mod expressions;
mod operational;

use super::comparison::tests::{broken, compared, line, manifest};
use super::*;
use crate::dataset::Kind;
use crate::record::{Manifest, ResultLine, Selected, Summary, SummaryBuilder};
use crate::rule::{Filter, Gate};

pub(super) fn gate(metric: &str) -> Gate {
    Gate { metric: metric.into(), ..Gate::default() }
}

/// The verdict of a policy over a run, and a baseline's.
fn judged(
    policy: &GatePolicy,
    manifest: &Manifest,
    base: Option<Vec<ResultLine>>,
    candidate: Vec<ResultLine>,
) -> Verdict {
    let summary = summary(&candidate);
    let comparison = base.clone().map(|base| compared(base, candidate.clone()));
    let subject = Subject {
        manifest,
        summary: &summary,
        comparison: comparison.as_ref(),
        without: &Without::NotYet,
        performance: None,
        base_manifest: None,
        base_performance: None,
        cases: &candidate,
        base_cases: base.as_ref().map(|base| base as &dyn Cases),
    };
    judge(policy, &subject).unwrap()
}

fn summary(lines: &[ResultLine]) -> Summary {
    let mut builder = SummaryBuilder::default();
    lines.iter().for_each(|line| builder.add(line));
    builder.finish()
}

/// `passed` of `n` cases of a dataset pass.
pub(super) fn cases(dataset: &str, passed: usize, n: usize) -> Vec<ResultLine> {
    (0..n).map(|i| line(dataset, &format!("{i:03}"), i < passed)).collect()
}

pub(super) fn one(rule: Gate, base: Option<Vec<ResultLine>>, candidate: Vec<ResultLine>) -> RuleResult {
    let policy = GatePolicy { gates: vec![rule], ..GatePolicy::default() };
    let verdict = judged(&policy, &manifest(1), base, candidate);
    // Errored cases, danger cases and a baseline that shares no case have rules of their own, in front.
    let own = |rule: &RuleResult| ["golden: ", "danger: ", "baseline: "].iter().any(|of| rule.rule.starts_with(of));
    assert!(verdict.rules.iter().rev().skip(1).all(own), "{:?}", verdict.rules);
    assert_eq!(verdict.passed, verdict.outcome == Decision::Passed);
    verdict.rules.into_iter().next_back().unwrap()
}

fn danger(manifest: &Manifest, base: Option<Vec<ResultLine>>, candidate: Vec<ResultLine>) -> Vec<(Outcome, u64)> {
    let verdict = judged(&GatePolicy::default(), manifest, base, candidate);
    verdict.rules.iter().map(|rule| (rule.outcome, rule.cases_total)).collect()
}

#[test]
fn min_and_max() {
    let rule = Gate { min: Some(0.8), ..gate("golden.match") };
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
    let open = one(rule.clone(), None, lines);
    assert_eq!(open.outcome, Outcome::Inconclusive, "8 of 11, or 10 of 11");
    assert!(open.reason.ends_with("; 2 errored cases could turn it"), "{}", open.reason);
    let missing = one(Gate { metric: "golden.mach".into(), ..rule }, None, cases("golden", 8, 10));
    assert_eq!(missing.outcome, Outcome::Inconclusive);
    assert_eq!(missing.reason, "no data; did you mean `golden.match`?");

    let rule = Gate { max: Some(0.5), ..gate("golden.match.mean") };
    assert_eq!(one(rule.clone(), None, cases("golden", 5, 10)).outcome, Outcome::Passed);
    assert_eq!(one(rule.clone(), None, cases("golden", 6, 10)).outcome, Outcome::Failed);
    assert_eq!(one(rule, None, vec![broken("golden", "1")]).outcome, Outcome::Inconclusive, "no mean of errors");
}

#[test]
fn drops_and_rises() {
    let rule = Gate { max_drop: Some(0.02), ..gate("golden.match") };
    let base = || Some(cases("golden", 87, 100));
    let result = one(rule.clone(), base(), cases("golden", 85, 100));
    assert_eq!(result.outcome, Outcome::Passed, "0.87 - 0.85 is 0.02");
    assert_eq!((result.observed, result.baseline), (Some(0.85), Some(0.87)));
    let result = one(rule.clone(), base(), cases("golden", 84, 100));
    assert_eq!((result.outcome, result.cases_total), (Outcome::Failed, 3));
    assert_eq!(result.cases[0], CaseRef::new("golden", "084"));
    assert!(result.reason.starts_with("0.87 to 0.84, -0.0300 (95 % -0.0"), "{}", result.reason);
    assert!(
        result.reason.ends_with("; 3 regressed, 0 improved of 100 pairs, mid-p McNemar p = 0.125"),
        "{}",
        result.reason
    );
    // Cases of one run alone do not count: here only cases that pass in both are shared.
    assert_eq!(one(rule.clone(), base(), cases("golden", 50, 50)).outcome, Outcome::Passed);
    assert_eq!(one(rule.clone(), base(), cases("other", 50, 50)).outcome, Outcome::Inconclusive, "no data");
    let skipped = one(rule, None, cases("golden", 1, 10));
    assert_eq!((skipped.outcome, skipped.reason.as_str()), (Outcome::Skipped, "not judged: no baseline yet"));

    let rule = Gate { max_rise: Some(0.1), ..gate("golden.match.mean") };
    assert_eq!(one(rule.clone(), base(), cases("golden", 97, 100)).outcome, Outcome::Passed);
    assert_eq!(one(rule.clone(), base(), cases("golden", 98, 100)).outcome, Outcome::Failed);
    assert_eq!(one(rule, None, cases("golden", 98, 100)).outcome, Outcome::Skipped);
}

#[test]
fn nonsense_fails() {
    let run = || cases("golden", 10, 10);
    assert_eq!(one(gate("golden.match"), None, run()).outcome, Outcome::Failed);
    assert_eq!(one(Gate { min: Some(0.0), ..gate("golden") }, None, run()).outcome, Outcome::Failed);
    for rule in [
        Gate { min: Some(f64::NAN), ..gate("golden.match") },
        Gate { max: Some(f64::NAN), ..gate("golden.match") },
        Gate { max_drop: Some(f64::NAN), ..gate("golden.match") },
        Gate { max_rise: Some(f64::NAN), ..gate("golden.match") },
    ] {
        assert_eq!(one(rule, Some(run()), run()).outcome, Outcome::Failed);
    }
}

#[test]
fn danger_tolerates_nothing() {
    use Outcome::{Failed, Inconclusive, Passed, Skipped};
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
    selected.selected.insert("danger".into(), Selected { kind: Kind::Danger, cases: 5, partial: false });
    assert_eq!(danger(&selected, None, cases("danger", 3, 3)), [(Skipped, 0), (Failed, 2)]);
    assert_eq!(danger(&selected, None, vec![]), [(Skipped, 0), (Failed, 5)]);
    // Filing a case under golden does not make it harmless.
    let mut harmless = cases("danger", 1, 3);
    harmless.iter_mut().for_each(|line| line.kind = Kind::Golden);
    assert_eq!(danger(&plain, base(), harmless), [(Failed, 1), (Passed, 0)]);
    // Golden runs are not asked; a danger dataset that is gone is.
    assert_eq!(danger(&plain, Some(cases("golden", 3, 3)), cases("golden", 0, 3)), []);
    assert_eq!(danger(&plain, base(), cases("golden", 3, 3)), [(Inconclusive, 0), (Failed, 2), (Failed, 3)]);
}

/// `lost` of `n` cases that passed fail now, `won` that failed pass.
fn changed(n: usize, lost: usize, won: usize) -> (Option<Vec<ResultLine>>, Vec<ResultLine>) {
    let base = (0..n).map(|i| line("golden", &format!("{i:03}"), i >= won)).collect();
    let candidate = (0..n).map(|i| line("golden", &format!("{i:03}"), i < n - lost)).collect();
    (Some(base), candidate)
}

#[test]
fn shares_of_the_baseline() {
    let rule = Gate { max_drop_share: Some(0.1), ..gate("golden.match") };
    let run = |passed| one(rule.clone(), Some(cases("golden", 50, 100)), cases("golden", passed, 100));
    assert_eq!((run(45).outcome, run(44).outcome), (Outcome::Passed, Outcome::Failed));
    assert_eq!(run(45).rule, "golden.match.pass_rate drops by at most 0.1 of the baseline");
    assert_eq!(one(rule.clone(), None, cases("golden", 50, 100)).outcome, Outcome::Skipped);
    assert_eq!(one(rule, Some(cases("other", 1, 1)), cases("golden", 50, 100)).outcome, Outcome::Inconclusive);
    let rule = Gate { max_rise_share: Some(0.1), ..gate("golden.match.mean") };
    let run = |passed| one(rule.clone(), Some(cases("golden", 50, 100)), cases("golden", passed, 100)).outcome;
    assert_eq!((run(55), run(56)), (Outcome::Passed, Outcome::Failed));
}

#[test]
fn significance_is_corrected_for_all_rules_of_a_verdict() {
    let rule = || Gate { no_significant_drop: true, ..gate("golden.match") };
    let run = |rule: Gate, (base, candidate)| one(rule, base, candidate);
    // 8 lost, 1 won: p = 0.0215.
    let lost = run(rule(), changed(200, 8, 1));
    assert_eq!((lost.outcome, lost.cases_total), (Outcome::Failed, 8));
    assert_eq!(lost.rule, "golden.match.pass_rate does not drop significantly");
    assert!(lost.reason.ends_with("mid-p McNemar p = 0.0215; corrected for 1 rule: p = 0.0215"), "{}", lost.reason);
    // The same change is nothing certain among two questions.
    let policy = GatePolicy {
        gates: vec![rule(), Gate { no_significant_rise: true, ..gate("golden.match.mean") }],
        ..GatePolicy::default()
    };
    let (base, candidate) = changed(200, 8, 2);
    let verdict = judged(&policy, &manifest(1), base, candidate);
    assert!(verdict.passed);
    let alone = crate::stats::mcnemar_mid_p(8, 2);
    assert!((verdict.rules[0].corrected_p_value.unwrap() - 2.0 * alone).abs() < 1e-12);
    assert!(verdict.rules[0].reason.contains("found with 80 %"), "{}", verdict.rules[0].reason);
    assert_eq!(verdict.rules[0].cases, []);
    // A rise is no drop; chance is neither; equal runs are not different.
    assert_eq!(run(rule(), changed(200, 1, 8)).outcome, Outcome::Passed);
    assert_eq!(
        run(Gate { no_significant_rise: true, ..gate("golden.match") }, changed(200, 1, 8)).outcome,
        Outcome::Failed
    );
    assert_eq!(run(rule(), changed(200, 3, 1)).outcome, Outcome::Passed);
    assert_eq!(run(rule(), changed(20, 0, 0)).outcome, Outcome::Passed);
    assert_eq!(run(rule(), (None, cases("golden", 1, 1))).outcome, Outcome::Skipped);
    assert_eq!(run(rule(), (Some(cases("other", 1, 1)), cases("golden", 1, 1))).outcome, Outcome::Inconclusive);
}

#[test]
fn non_inferiority_needs_the_whole_interval() {
    let rule = |margin| Gate { non_inferior: Some(margin), ..gate("golden.match") };
    let run = |rule: Gate, (base, candidate)| one(rule, base, candidate);
    // -0.01, 95 % about -0.04 to +0.01: not worse by 0.05 for sure, by 0.02 perhaps.
    assert_eq!(run(rule(0.05), changed(300, 6, 3)).outcome, Outcome::Passed);
    let unsure = run(rule(0.02), changed(300, 6, 3));
    assert_eq!(unsure.outcome, Outcome::Failed);
    assert_eq!(unsure.rule, "golden.match.pass_rate is not inferior by more than 0.02");
    let lower = |margin| Gate { lower_is_better: true, ..rule(margin) };
    assert_eq!(run(lower(0.02), changed(300, 6, 3)).outcome, Outcome::Passed, "a fall is welcome");
    assert_eq!(run(lower(0.02), changed(300, 3, 6)).outcome, Outcome::Failed);
    assert_eq!(run(rule(0.5), changed(1, 0, 0)).outcome, Outcome::Failed, "no interval of one pair");
    assert_eq!(run(rule(0.5), (None, cases("golden", 1, 1))).outcome, Outcome::Skipped);
    assert_eq!(run(rule(f64::NAN), changed(300, 0, 0)).outcome, Outcome::Failed);
}

/// Five cases that stayed as they were, and one of 50 that fell, are no evidence for small margins.
#[test]
fn little_evidence_is_not_non_inferior() {
    for metric in ["golden.match", "golden.match.mean"] {
        let rule = |margin| Gate { non_inferior: Some(margin), ..gate(metric) };
        let run = |rule: Gate, (base, candidate)| one(rule, base, candidate);
        let five = run(rule(0.001), changed(5, 0, 0));
        assert_eq!(five.outcome, Outcome::Failed);
        assert!(five.reason.contains("; judged by -0.5218 to +0.5218"), "{}", five.reason);
        assert!(!five.reason.contains("(95 %") && five.evidence.unwrap().interval.is_none(), "{}", five.reason);
        assert_eq!(run(rule(0.05), changed(50, 1, 0)).outcome, Outcome::Failed);
        assert_eq!(run(rule(0.05), changed(80, 0, 0)).outcome, Outcome::Passed);
    }
}

#[test]
fn rules_over_means_count_values() {
    let base = cases("golden", 5, 5);
    let mut candidate = base.clone();
    candidate.iter_mut().for_each(|line| line.scores.values_mut().for_each(|score| score.value = 0.75));
    let rule = Gate { no_significant_drop: true, ..gate("golden.match.mean") };
    let result = one(rule, Some(base), candidate);
    assert!(result.reason.contains("; 5 fell, 0 rose of 5 pairs, sign-flip p = 0.0312"), "{}", result.reason);
    assert!(result.outcome == Outcome::Failed && !result.evidence.unwrap().interval.unwrap().contains(0.0));
}

/// With ten rules a change has to be below a tenth of 5 %.
#[test]
fn what_could_have_been_found_is_at_the_level_that_decides() {
    let rules = |count: usize, (base, candidate)| {
        let rule = Gate { no_significant_drop: true, ..gate("golden.match") };
        let policy = GatePolicy { gates: vec![rule; count], ..GatePolicy::default() };
        judged(&policy, &manifest(1), base, candidate).rules.swap_remove(0)
    };
    let (alone, tenth) = (rules(1, changed(100, 8, 4)), rules(10, changed(100, 8, 4)));
    assert!(alone.detectable.unwrap() < tenth.detectable.unwrap_or(1.0), "{alone:?} {tenth:?}");
    let five = rules(10, changed(25, 5, 0));
    assert!(five.reason.contains("no change could be significant") && five.detectable.is_none(), "{}", five.reason);
}

#[test]
fn filters_look_at_some_cases() {
    let tagged = |passed: [bool; 4]| {
        let mut lines: Vec<_> =
            passed.iter().enumerate().map(|(i, passed)| line("golden", &i.to_string(), *passed)).collect();
        for (i, line) in lines.iter_mut().enumerate() {
            line.tags = vec![if i < 2 { "refund" } else { "order" }.into()];
            line.metadata.insert("lang".into(), if i % 2 == 0 { "de" } else { "en" }.into());
        }
        lines
    };
    let only = |pairs: &[(&str, &str)]| Filter(pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect());
    let rule = |pairs: &[(&str, &str)]| Gate { min: Some(0.9), filter: only(pairs), ..gate("golden.match") };
    let run = |rule: Gate| one(rule, None, tagged([true, true, false, true]));
    let refund = run(rule(&[("tag", "refund")]));
    assert_eq!((refund.outcome, refund.observed), (Outcome::Passed, Some(1.0)));
    assert_eq!(refund.rule, "golden.match.pass_rate >= 0.9 where tag=refund");
    let german = run(rule(&[("lang", "de")]));
    assert_eq!((german.outcome, german.cases.clone()), (Outcome::Failed, vec![CaseRef::new("golden", "2")]));
    assert_eq!(run(rule(&[("lang", "de"), ("tag", "refund")])).outcome, Outcome::Passed);
    assert_eq!(run(rule(&[("tag", "none")])).outcome, Outcome::Inconclusive, "no data");
    let drop = Gate { max_drop: Some(0.1), filter: only(&[("tag", "order")]), ..gate("golden.match") };
    let result = one(drop.clone(), Some(tagged([true; 4])), tagged([true, true, false, true]));
    assert_eq!((result.outcome, result.baseline, result.observed), (Outcome::Failed, Some(1.0), Some(0.5)));
    assert_eq!(one(drop.clone(), Some(tagged([true; 4])), tagged([false, false, true, true])).outcome, Outcome::Passed);
    // How the baseline filed a case does not matter.
    let mut untagged = tagged([true; 4]);
    untagged.iter_mut().for_each(|line| line.tags.clear());
    let result = one(drop, Some(untagged), tagged([true, true, false, true]));
    assert_eq!((result.outcome, result.baseline, result.observed), (Outcome::Failed, Some(1.0), Some(0.5)));
}

#[test]
fn arms_that_share_no_case() {
    let arm = |name: &str, passed: usize| {
        (0..200).map(|i| line("golden", &format!("{name}{i:03}"), i < passed)).collect::<Vec<_>>()
    };
    let rule = Gate { max_drop: Some(0.05), ..gate("golden.match") };
    let paired = one(rule.clone(), Some(arm("a", 180)), arm("b", 150));
    assert_eq!(paired.outcome, Outcome::Inconclusive);
    assert!(paired.reason.contains("`unpaired: true`"), "{}", paired.reason);
    let unpaired = Gate { unpaired: true, ..rule };
    let failed = one(unpaired.clone(), Some(arm("a", 180)), arm("b", 150));
    assert!(failed.reason.starts_with("0.9 to 0.75, -0.1500 (95 % -0.22"), "{}", failed.reason);
    assert!(failed.reason.contains("200 and 200 cases, unpaired, N-1 chi-squared p = "), "{}", failed.reason);
    assert_eq!(failed.outcome, Outcome::Failed);
    assert_eq!(one(unpaired.clone(), Some(arm("a", 180)), arm("b", 178)).outcome, Outcome::Passed);
    assert_eq!(one(unpaired, Some(cases("danger", 1, 1)), arm("b", 178)).outcome, Outcome::Inconclusive, "no data");
    let mean = Gate { no_significant_drop: true, unpaired: true, ..gate("golden.match.mean") };
    let result = one(mean.clone(), Some(arm("a", 180)), arm("b", 150));
    assert!(result.outcome == Outcome::Failed && result.reason.contains("Welch p = "), "{}", result.reason);
    assert_eq!(one(mean, Some(arm("a", 180)), arm("b", 176)).outcome, Outcome::Passed);
}

#[test]
fn tiers_and_gates_that_cannot_be_read() {
    let policy = |tier| GatePolicy {
        gates: vec![Gate { min: Some(0.9), tier, ..gate("golden.match") }],
        ..GatePolicy::default()
    };
    let judged = |policy: &GatePolicy| judged(policy, &manifest(1), None, cases("golden", 5, 10));
    assert_eq!(judged(&policy(None)).outcome, Decision::Failed);
    let advisory = judged(&policy(Some(Tier::Advisory)));
    assert_eq!((advisory.outcome, advisory.rules[0].outcome), (Decision::Passed, Outcome::Failed));
    let no_data = GatePolicy {
        gates: vec![Gate { min: Some(0.9), tier: Some(Tier::Advisory), ..gate("golden.other") }],
        ..GatePolicy::default()
    };
    assert_eq!(judged(&no_data).outcome, Decision::Passed, "an advisory rule without evidence changes nothing");
    let unreadable = Unreadable { gate: "gate {\"new\":1}".into(), reason: "unknown".into() };
    let open = judged(&GatePolicy { unreadable: vec![unreadable], ..GatePolicy::default() });
    assert_eq!((open.outcome, open.rules[0].outcome), (Decision::Inconclusive, Outcome::Inconclusive));
}

#[test]
fn what_stands_in_for_a_baseline() {
    let run = |without: Without, passed: usize| {
        let candidate = cases("golden", passed, 10);
        let summary = summary(&candidate);
        let subject = Subject {
            manifest: &manifest(1),
            summary: &summary,
            comparison: None,
            without: &without,
            performance: None,
            base_manifest: None,
            base_performance: None,
            cases: &candidate,
            base_cases: None,
        };
        let gates = vec![Gate { min: Some(0.5), max_drop: Some(0.1), ..gate("golden.match") }];
        let verdict = judge(&GatePolicy { gates, ..GatePolicy::default() }, &subject).unwrap();
        let reason = verdict.rules.last().unwrap().reason.clone();
        (verdict.outcome, verdict.headline(), reason)
    };
    let (outcome, headline, reason) = run(Without::NotYet, 9);
    assert_eq!((outcome, reason.as_str()), (Decision::Passed, "not judged: no baseline yet"));
    assert!(!headline.contains("gates passed"), "{headline}");
    assert_eq!(run(Without::NotYet, 4).0, Decision::Failed);
    assert_eq!(run(Without::NotAsked, 9).2, "not judged: --no-baseline");
    let missing = || Without::Missing("`current` is gone".into());
    let (outcome, headline, reason) = run(missing(), 9);
    assert_eq!((outcome, reason.as_str()), (Decision::Inconclusive, "not judged: the baseline cannot be used"));
    assert!(headline.contains("inconclusive"), "{headline}");
    assert_eq!(run(missing(), 4).0, Decision::Failed, "an absolute rule that fails comes first");
    // Without a relative rule, too.
    let candidate = cases("golden", 9, 10);
    let summary = summary(&candidate);
    let subject = Subject {
        manifest: &manifest(1),
        summary: &summary,
        comparison: None,
        without: &missing(),
        performance: None,
        base_manifest: None,
        base_performance: None,
        cases: &candidate,
        base_cases: None,
    };
    let verdict = judge(&GatePolicy::default(), &subject).unwrap();
    assert_eq!((verdict.outcome, verdict.rules[0].reason.as_str()), (Decision::Inconclusive, "`current` is gone"));
}

#[test]
fn danger_that_no_rule_could_fail_is_warned_about() {
    let mut danger = manifest(1);
    danger.selected.insert("danger".into(), Selected { kind: Kind::Danger, cases: 3, partial: false });
    let warnings = |gates: Vec<Gate>, base: Option<Vec<ResultLine>>, passed: usize| {
        let policy = GatePolicy { gates, ..GatePolicy::default() };
        judged(&policy, &danger, base, cases("danger", passed, 3)).warnings.len()
    };
    let guard = Gate { min: Some(0.9), ..gate("danger.match") };
    assert_eq!(warnings(vec![], None, 0), 1, "all of them may fail");
    assert_eq!(warnings(vec![guard], None, 0), 0);
    assert_eq!(warnings(vec![Gate { min: Some(0.0), ..gate("danger.match") }], None, 0), 1);
    assert_eq!(warnings(vec![], Some(cases("danger", 3, 3)), 3), 0, "each could have been lost");
    assert_eq!(warnings(vec![], Some(cases("danger", 1, 3)), 1), 1, "two could not");
    assert_eq!(warnings(vec![], Some(cases("danger", 0, 3)), 0), 1, "none could");
}

#[test]
fn what_was_not_selected_is_not_missing() {
    let partial = |datasets: &[(&str, Kind)]| {
        let mut manifest = manifest(1);
        for (name, kind) in datasets {
            manifest.selected.insert((*name).into(), Selected { kind: *kind, cases: 2, partial: true });
        }
        manifest
    };
    let both = partial(&[("danger", Kind::Danger), ("golden", Kind::Golden)]);
    let base: Vec<ResultLine> = [cases("danger", 3, 4), cases("golden", 4, 4)].concat();
    let candidate: Vec<ResultLine> = [cases("danger", 2, 2), cases("golden", 2, 2)].concat();
    let full = manifest(0);
    let side = |manifest, lines: &Vec<ResultLine>| {
        let lines: Vec<_> = lines.iter().cloned().map(Ok).collect();
        Side { manifest, lines: lines.into_iter(), prompts: None }
    };
    let comparison = compare(side(&full, &base), side(&both, &candidate), CompareOptions::default()).unwrap();
    assert_eq!((comparison.unselected, comparison.changed(), comparison.unchanged), (4, 0, 4));
    assert_eq!((comparison.danger.missing.total, comparison.danger.lost.total), (0, 0));
    // The other way round: what the baseline did not select is not new, and a danger case that errs fails all the same.
    let mut candidate = base.clone();
    candidate[3] = broken("danger", "003");
    let short: Vec<ResultLine> = [cases("danger", 2, 2), cases("golden", 2, 2)].concat();
    let comparison = compare(side(&both, &short), side(&full, &candidate), CompareOptions::default()).unwrap();
    assert_eq!((comparison.unselected, comparison.changed()), (4, 0));
    assert_eq!(comparison.danger.errored.cases, [CaseRef::new("danger", "003")]);
}

#[test]
fn repeated_answers_count_as_cases_everywhere() {
    let run = |right: &dyn Fn(usize, u32) -> bool| {
        let lines = (0..12).flat_map(|i| (0..5).map(move |repeat| (i, repeat)));
        let lines =
            lines.map(|(i, repeat)| ResultLine { repeat, ..line("golden", &format!("{i:02}"), right(i, repeat)) });
        lines.collect::<Vec<_>>()
    };
    let judged = |lost: usize| {
        let base = run(&|_, _| true);
        let candidate = run(&|i, _| i >= lost);
        let summary = crate::record::summarise(candidate.iter().cloned().map(Ok)).unwrap();
        let comparison = compared(base.clone(), candidate.clone());
        let subject = Subject {
            manifest: &manifest(1),
            summary: &summary,
            comparison: Some(&comparison),
            without: &Without::NotYet,
            performance: None,
            base_manifest: None,
            base_performance: None,
            cases: &candidate,
            base_cases: Some(&base as &dyn Cases),
        };
        let gates = vec![Gate { min: Some(0.5), no_significant_drop: true, ..gate("golden.match") }];
        let verdict = judge(&GatePolicy { gates, ..GatePolicy::default() }, &subject).unwrap();
        (verdict.rules, comparison)
    };
    let (rules, comparison) = judged(1);
    assert!(rules[0].reason.starts_with("0.9167 over 12 cases (60 answers), 95 % "), "{}", rules[0].reason);
    assert!(
        rules[1].reason.contains("; 1 regressed, 0 improved of 12 cases (60 answers), clustered sign-flip p = "),
        "{}",
        rules[1].reason
    );
    let evidence = rules[1].evidence.unwrap();
    assert_eq!((evidence.pairs, evidence.regressed, evidence.improved), (12, 1, 0));
    assert!(comparison.repeated);
    // More cases lost never make it less certain, and the interval leaves 0 out where the test finds something.
    let mut last = 1.0;
    for lost in 0..=12 {
        let (rules, comparison) = judged(lost);
        let evidence = rules[1].evidence.unwrap();
        let p_value = evidence.p_value.unwrap();
        assert!(p_value <= last, "{lost}: {p_value} {last}");
        assert_eq!(p_value < 0.05, evidence.interval.is_some_and(|own| !own.contains(0.0)), "{lost}: {evidence:?}");
        assert_eq!(comparison.datasets[0].scorers[0].units.worse, lost as u64);
        last = p_value;
    }
}
