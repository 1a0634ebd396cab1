//! Every kind of gate: where it passes, where it fails, where data are missing.

use super::comparison::tests::{broken, compared, line, manifest};
use super::*;
use crate::dataset::Kind;
use crate::record::{Manifest, ResultLine, Selected, Summary, SummaryBuilder};
use crate::rule::{Filter, Gate};

fn gate(metric: &str) -> Gate {
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
fn cases(dataset: &str, passed: usize, n: usize) -> Vec<ResultLine> {
    (0..n).map(|i| line(dataset, &format!("{i:03}"), i < passed)).collect()
}

fn one(rule: Gate, base: Option<Vec<ResultLine>>, candidate: Vec<ResultLine>) -> RuleResult {
    let policy = GatePolicy { gates: vec![rule], ..GatePolicy::default() };
    let verdict = judged(&policy, &manifest(1), base, candidate);
    // Errored golden cases have a rule of their own, in front.
    assert!(verdict.rules.len() == 1 || verdict.rules[0].rule.starts_with("golden: "), "{:?}", verdict.rules);
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
    assert_eq!(one(rule.clone(), None, lines).outcome, Outcome::Failed);
    let missing = one(Gate { metric: "golden.mach".into(), ..rule }, None, cases("golden", 8, 10));
    assert_eq!(missing.outcome, Outcome::Failed);
    assert_eq!(missing.reason, "no data; did you mean `golden.match`?");

    let rule = Gate { max: Some(0.5), ..gate("golden.match.mean") };
    assert_eq!(one(rule.clone(), None, cases("golden", 5, 10)).outcome, Outcome::Passed);
    assert_eq!(one(rule.clone(), None, cases("golden", 6, 10)).outcome, Outcome::Failed);
    assert_eq!(one(rule, None, vec![broken("golden", "1")]).outcome, Outcome::Failed, "no mean of errors");
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
    assert!(result.reason.ends_with("; 3 regressed, 0 improved of 100 pairs, McNemar p = 0.25"), "{}", result.reason);
    // Cases of one run alone do not count: here only cases that pass in both are shared.
    assert_eq!(one(rule.clone(), base(), cases("golden", 50, 50)).outcome, Outcome::Passed);
    assert_eq!(one(rule.clone(), base(), cases("other", 50, 50)).outcome, Outcome::Failed, "no data");
    let skipped = one(rule, None, cases("golden", 1, 10));
    assert_eq!((skipped.outcome, skipped.reason.as_str()), (Outcome::Skipped, "no baseline to compare with"));

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
    selected.selected.insert("danger".into(), Selected { kind: Kind::Danger, cases: 5, partial: false });
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
    assert_eq!(one(rule, Some(cases("other", 1, 1)), cases("golden", 50, 100)).outcome, Outcome::Failed);
    let rule = Gate { max_rise_share: Some(0.1), ..gate("golden.match.mean") };
    let run = |passed| one(rule.clone(), Some(cases("golden", 50, 100)), cases("golden", passed, 100)).outcome;
    assert_eq!((run(55), run(56)), (Outcome::Passed, Outcome::Failed));
}

#[test]
fn significance_is_corrected_for_all_rules_of_a_verdict() {
    let rule = || Gate { no_significant_drop: true, ..gate("golden.match") };
    let run = |rule: Gate, (base, candidate)| one(rule, base, candidate);
    // 8 lost, 1 won: p = 0.039.
    let lost = run(rule(), changed(200, 8, 1));
    assert_eq!((lost.outcome, lost.cases_total), (Outcome::Failed, 8));
    assert_eq!(lost.rule, "golden.match.pass_rate does not drop significantly");
    assert!(lost.reason.ends_with("McNemar p = 0.0391; corrected for 1 rule: p = 0.0391"), "{}", lost.reason);
    // The same change is nothing certain among two questions.
    let policy = GatePolicy {
        gates: vec![rule(), Gate { no_significant_rise: true, ..gate("golden.match.mean") }],
        ..GatePolicy::default()
    };
    let (base, candidate) = changed(200, 8, 1);
    let verdict = judged(&policy, &manifest(1), base, candidate);
    assert!(verdict.passed);
    assert!((verdict.rules[0].corrected_p_value.unwrap() - 2.0 * 0.0390625).abs() < 1e-12);
    assert!(verdict.rules[0].reason.contains("would have been found with 80 %"), "{}", verdict.rules[0].reason);
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
    assert_eq!(run(rule(), (Some(cases("other", 1, 1)), cases("golden", 1, 1))).outcome, Outcome::Failed);
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
    assert_eq!(run(rule(&[("tag", "none")])).outcome, Outcome::Failed, "no data");
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
    assert_eq!(paired.outcome, Outcome::Failed);
    assert!(paired.reason.contains("`unpaired: true`"), "{}", paired.reason);
    let unpaired = Gate { unpaired: true, ..rule };
    let failed = one(unpaired.clone(), Some(arm("a", 180)), arm("b", 150));
    assert!(failed.reason.starts_with("0.9 to 0.75, -0.1500 (95 % -0.22"), "{}", failed.reason);
    assert!(failed.reason.contains("200 and 200 cases, unpaired, Fisher p = "), "{}", failed.reason);
    assert_eq!(failed.outcome, Outcome::Failed);
    assert_eq!(one(unpaired.clone(), Some(arm("a", 180)), arm("b", 178)).outcome, Outcome::Passed);
    assert_eq!(one(unpaired, Some(cases("other", 1, 1)), arm("b", 178)).outcome, Outcome::Failed, "no data");
    let mean = Gate { no_significant_drop: true, unpaired: true, ..gate("golden.match.mean") };
    let result = one(mean.clone(), Some(arm("a", 180)), arm("b", 150));
    assert!(result.outcome == Outcome::Failed && result.reason.contains("Welch p = "), "{}", result.reason);
    assert_eq!(one(mean, Some(arm("a", 180)), arm("b", 176)).outcome, Outcome::Passed);
}

#[test]
fn expressions() {
    use Outcome::{Failed, Passed, Skipped};
    let rule = |text: &str| Gate { fail_if: Some(text.into()), ..Gate::default() };
    let run = |text: &str, base: Option<Vec<ResultLine>>| one(rule(text), base, cases("golden", 90, 100));
    let holds = run("golden.match.fail_rate >= 10%", None);
    assert_eq!((holds.outcome, holds.observed), (Failed, Some(0.09999999999999998)));
    assert_eq!(holds.rule, "not (golden.match.fail_rate >= 0.1)");
    assert_eq!(run("golden.match.rate > 0.2", None).outcome, Passed);
    let both = run("golden.match.mean < 0.5 or golden.match.pass_rate drop > 0.05", Some(cases("golden", 99, 100)));
    assert_eq!(both.outcome, Failed);
    assert_eq!(
        both.reason,
        "golden.match.mean is 0.9 over 100 cases: false; golden.match.pass_rate drop is 0.09: true"
    );
    // Missing data decide nothing in favour of the candidate; a missing baseline only skips.
    assert_eq!(run("golden.mach.mean > 2", None).outcome, Failed);
    assert_eq!(run("golden.match.mean drop > 0.1", None).outcome, Skipped);
    assert_eq!(
        run("golden.match.mean drop > 0.1 or golden.match.mean < 0.95", None).outcome,
        Failed,
        "one part decides"
    );
    assert_eq!(
        run("golden.match.mean drop > 0.1 and golden.match.mean < 0.5", None).outcome,
        Passed,
        "one part decides"
    );
    assert_eq!(run("not golden.match.mean > 0.5", None).outcome, Passed);
    assert_eq!(run("golden.match.mean >", None).outcome, Failed);
    let unstamped = run("golden.match.fail_rate > 5% over 10m", None);
    assert_eq!(unstamped.outcome, Failed);
    assert!(unstamped.reason.ends_with("no data (100 of 100 cases have no timestamp)"), "{}", unstamped.reason);
}

#[test]
fn windows_over_recorded_traffic() {
    let stamped = |burst: bool| {
        let mut lines = cases("danger", 0, 0);
        for minute in 0..60 {
            let mut line = line("danger", &format!("{minute:02}"), !(burst && (30..33).contains(&minute)));
            line.timestamp = Some(format!("2026-11-20T10:{minute:02}:00Z"));
            lines.push(line);
        }
        lines
    };
    let rule = |text: &str| Gate { fail_if: Some(text.into()), ..Gate::default() };
    let run = |text: &str, burst| {
        let policy = GatePolicy { gates: vec![rule(text)], ..GatePolicy::default() };
        judged(&policy, &manifest(1), None, stamped(burst)).rules.pop().unwrap()
    };
    let text = "danger.match.fail_rate > 25% over 10m at least 5 cases";
    let found = run(text, true);
    assert_eq!((found.outcome, found.observed), (Outcome::Failed, Some(0.3)));
    assert!(found.reason.contains("over 10 cases in the window from 2026-11-20T10:23:00Z"), "{}", found.reason);
    assert_eq!(run(text, false).outcome, Outcome::Passed);
    assert_eq!(run("danger.match.fail_rate > 25% over 2h", true).outcome, Outcome::Passed, "5 % over the hour");
    assert_eq!(run("danger.match.fail_rate > 25% over 1m at least 5 cases", true).outcome, Outcome::Failed, "no data");
}

#[test]
fn operational_figures() {
    use crate::record::{Performance, Probe, ProbedCase};
    use crate::rule::Prices;
    let performance = |seconds: f64| Performance {
        wall_seconds: seconds,
        tokens_per_second: Some(100.0 / seconds),
        peak_memory_bytes: Some(1_000_000),
        probe: Some(Probe {
            cases: (1..=100)
                .map(|n| ProbedCase { total_seconds: f64::from(n) * seconds, ..ProbedCase::default() })
                .collect(),
        }),
        ..Performance::default()
    };
    let mut candidate = cases("golden", 10, 10);
    candidate.iter_mut().for_each(|line| line.output_ids = Some(vec![1; 7]));
    let (summary, base) = (summary(&candidate), candidate.clone());
    let comparison = compared(base.clone(), candidate.clone());
    let prices = Prices { per_1k_generated_tokens: 10.0, per_hour: 3600.0, ..Prices::default() };
    let (fast, slow) = (performance(1.0), performance(2.0));
    let ask = |rule: Gate, performance: Option<&Performance>, compared: bool, prices: Option<&Prices>| {
        let subject = Subject {
            manifest: &manifest(1),
            summary: &summary,
            comparison: Some(&comparison).filter(|_| compared),
            without: &Without::NotYet,
            performance,
            base_manifest: None,
            base_performance: Some(&fast).filter(|_| compared),
            cases: &candidate,
            base_cases: Some(&base as &dyn Cases).filter(|_| compared),
        };
        let policy = GatePolicy { gates: vec![rule], prices: prices.cloned(), ..GatePolicy::default() };
        let rule = judge(&policy, &subject).unwrap().rules.pop().unwrap();
        (rule.outcome, rule.observed, rule.reason)
    };
    let max = |metric: &str, max| Gate { max: Some(max), ..gate(metric) };
    let value = |metric: &str| ask(max(metric, 1e12), Some(&slow), true, Some(&prices)).1;
    assert_eq!(value("performance.tokens_per_case"), Some(10.0));
    assert_eq!(value("performance.tokens_per_second"), Some(50.0));
    assert_eq!(value("performance.peak_memory_bytes"), Some(1e6));
    assert_eq!(value("performance.cost"), Some(2.7), "70 tokens and two seconds");
    assert_eq!(value("performance.total.p50"), Some(101.0));
    let rise = Gate { max_rise_share: Some(0.5), ..gate("performance.total.p95") };
    let (outcome, _, reason) = ask(rise.clone(), Some(&slow), true, None);
    assert_eq!((outcome, reason.as_str()), (Outcome::Failed, "95.05 to 190.1, +100.0 %"));
    assert_eq!(ask(rise.clone(), Some(&fast), true, None).0, Outcome::Passed);
    assert_eq!(ask(rise.clone(), Some(&fast), false, None).0, Outcome::Skipped);
    assert_eq!(ask(rise, None, true, None).0, Outcome::Failed, "no data");
    assert_eq!(ask(max("performance.total.p99", 100.0), Some(&fast), false, None).0, Outcome::Passed);
    assert_eq!(ask(max("performance.total.p99", 90.0), Some(&fast), false, None).0, Outcome::Failed);
    let (outcome, _, reason) = ask(max("performance.cost", 1.0), Some(&fast), false, None);
    assert_eq!(outcome, Outcome::Failed);
    assert!(reason.contains("has no prices"), "{reason}");
    let unprobed = Performance::default();
    assert!(ask(max("performance.first_token.p50", 1.0), Some(&unprobed), false, None).2.contains("was not probed"));
    let text = "performance.cost > 2 and performance.tokens_per_case rise > 1";
    let rule = Gate { fail_if: Some(text.into()), ..Gate::default() };
    assert_eq!(ask(rule.clone(), Some(&slow), true, Some(&prices)).0, Outcome::Passed);
    assert_eq!(ask(rule, Some(&slow), false, Some(&prices)).0, Outcome::Skipped);
}
