//! Gates on how a run went.

use super::*;

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
    assert_eq!(ask(rise, None, true, None).0, Outcome::Inconclusive, "no data");
    assert_eq!(ask(max("performance.total.p99", 100.0), Some(&fast), false, None).0, Outcome::Passed);
    assert_eq!(ask(max("performance.total.p99", 90.0), Some(&fast), false, None).0, Outcome::Failed);
    let (outcome, _, reason) = ask(max("performance.cost", 1.0), Some(&fast), false, None);
    assert_eq!(outcome, Outcome::Inconclusive);
    assert!(reason.contains("has no prices"), "{reason}");
    let unprobed = Performance::default();
    assert!(ask(max("performance.first_token.p50", 1.0), Some(&unprobed), false, None).2.contains("was not probed"));
    let text = "performance.cost > 2 and performance.tokens_per_case rise > 1";
    let rule = Gate { fail_if: Some(text.into()), ..Gate::default() };
    assert_eq!(ask(rule.clone(), Some(&slow), true, Some(&prices)).0, Outcome::Passed);
    assert_eq!(ask(rule, Some(&slow), false, Some(&prices)).0, Outcome::Skipped);
}

#[test]
fn answers_from_the_cache_measure_nothing() {
    use crate::record::{Performance, Probe, ProbedCase};
    use crate::rule::Prices;
    let run = |cached: u64, probed: bool| Performance {
        wall_seconds: 2.0,
        tokens_per_second: Some(50.0).filter(|_| cached == 0),
        peak_memory_bytes: Some(1_000),
        counters: [("generator.cached".to_owned(), cached)].into(),
        probe: probed
            .then(|| Probe { cases: vec![ProbedCase { tokens: 30, total_seconds: 3.0, ..ProbedCase::default() }] }),
        ..Performance::default()
    };
    let mut candidate = cases("golden", 10, 10);
    candidate.iter_mut().for_each(|line| line.output_ids = Some(vec![1; 7]));
    let summary = summary(&candidate);
    let comparison = compared(candidate.clone(), candidate.clone());
    let ask = |rule: Gate, now: &Performance, before: &Performance, per_hour: f64| {
        let subject = Subject {
            manifest: &manifest(1),
            summary: &summary,
            comparison: Some(&comparison),
            without: &Without::NotYet,
            performance: Some(now),
            base_manifest: None,
            base_performance: Some(before),
            cases: &candidate,
            base_cases: Some(&candidate as &dyn Cases),
        };
        let prices = Some(Prices { per_1k_generated_tokens: 1.0, per_hour, ..Prices::default() });
        let rule = judge(&GatePolicy { gates: vec![rule], prices, ..GatePolicy::default() }, &subject).unwrap();
        let rule = rule.rules.into_iter().next_back().unwrap();
        assert!(!rule.reason.contains("generated nothing"), "{}", rule.reason);
        (rule.outcome, rule.reason)
    };
    let (fresh, cached, probed) = (run(0, false), run(3, false), run(3, true));
    let min = |metric: &str| Gate { min: Some(1.0), ..gate(metric) };
    let rise = |metric: &str| Gate { max_rise: Some(1e6), ..gate(metric) };
    for metric in ["tokens_per_second", "peak_memory_bytes", "wall_seconds"] {
        let metric = format!("performance.{metric}");
        assert_eq!(ask(min(&metric), &fresh, &fresh, 0.0).0, Outcome::Passed, "{metric}");
        let (outcome, reason) = ask(min(&metric), &cached, &fresh, 0.0);
        assert_eq!(outcome, Outcome::Inconclusive, "{metric}");
        assert!(reason.contains("took 3 answers from the cache"), "{reason}");
        assert_eq!(ask(rise(&metric), &fresh, &cached, 0.0).0, Outcome::Inconclusive, "{metric} of the baseline");
    }
    let (outcome, reason) = ask(min("performance.tokens_per_second"), &probed, &fresh, 0.0);
    assert!(outcome == Outcome::Passed && reason.starts_with("10 (by the probe"), "{reason}");
    let (outcome, reason) = ask(rise("performance.tokens_per_second"), &probed, &fresh, 0.0);
    assert!(outcome == Outcome::Inconclusive && reason.contains("not measured alike"), "{reason}");
    assert_eq!(ask(rise("performance.tokens_per_second"), &probed, &probed, 0.0).0, Outcome::Passed);
    let max = |limit| Gate { max: Some(limit), ..gate("performance.cost") };
    assert_eq!(ask(max(1.0), &cached, &fresh, 0.0).0, Outcome::Passed, "tokens cost what they cost");
    assert_eq!(ask(max(1.0), &cached, &fresh, 2.0).0, Outcome::Inconclusive, "hours that were not needed");
}
