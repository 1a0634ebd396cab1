//! Gates that are expressions, and windows of time.

use super::*;

#[test]
fn expressions() {
    use Outcome::{Failed, Inconclusive, Passed, Skipped};
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
    assert_eq!(run("golden.mach.mean > 2", None).outcome, Inconclusive);
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
    assert_eq!(unstamped.outcome, Inconclusive);
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
    assert_eq!(
        run("danger.match.fail_rate > 25% over 1m at least 5 cases", true).outcome,
        Outcome::Inconclusive,
        "no data"
    );
}
