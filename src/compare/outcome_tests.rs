//! Gates on what became of answers.

use super::comparison::tests::broken;
use super::gate_tests::{cases, gate, one};
use crate::record::{Outcome, ResultLine};
use crate::rule::Gate;

#[test]
fn rates_of_outcomes_are_gated() {
    let cut = |cut: usize, n: usize| -> Vec<ResultLine> {
        let mut lines = cases("golden", n, n);
        lines[..cut].iter_mut().for_each(|line| line.finish = Some(crate::engine::Finish::Length));
        lines
    };
    let rate = || gate("golden.finish_length_rate");
    let absolute = one(Gate { max: Some(0.1), ..rate() }, None, cut(3, 20));
    assert_eq!((absolute.outcome, absolute.observed, absolute.cases_total), (Outcome::Failed, Some(0.15), 3));
    assert_eq!(absolute.rule, "golden.finish_length_rate <= 0.1");
    assert_eq!(absolute.cases[0].id, "000");
    assert_eq!(one(Gate { max: Some(0.15), ..rate() }, None, cut(3, 20)).outcome, Outcome::Passed);
    // Against the baseline: more is worse.
    let relative = |gate: Gate| one(gate, Some(cut(1, 60)), cut(21, 60));
    let risen = relative(Gate { max_rise: Some(0.2), ..rate() });
    assert_eq!((risen.outcome, risen.baseline.map(|base| (base * 60.0).round())), (Outcome::Failed, Some(1.0)));
    assert!(risen.reason.contains("20 more, 0 fewer of 60 pairs"), "{}", risen.reason);
    let interval = risen.evidence.unwrap().interval.unwrap();
    assert!(interval.low > 0.2 && interval.high < 0.5, "{interval:?}");
    assert_eq!(relative(Gate { max_rise: Some(0.4), ..rate() }).outcome, Outcome::Passed);
    assert_eq!(relative(Gate { no_significant_rise: true, ..rate() }).outcome, Outcome::Failed);
    assert_eq!(relative(Gate { no_significant_drop: true, ..rate() }).outcome, Outcome::Passed);
    assert_eq!(relative(Gate { non_inferior: Some(0.05), ..rate() }).outcome, Outcome::Failed);
    let unpaired = relative(Gate { no_significant_rise: true, unpaired: true, ..rate() });
    assert_eq!(unpaired.outcome, Outcome::Failed, "{}", unpaired.reason);
    let text = "golden.finish_length_rate > 10% and golden.match.mean >= 1";
    assert_eq!(one(Gate { fail_if: Some(text.into()), ..Gate::default() }, None, cut(3, 20)).outcome, Outcome::Failed);
    // What the lines do not tell is no evidence.
    let mut unknown = cases("golden", 20, 20);
    unknown.iter_mut().for_each(|line| line.finish = None);
    assert_eq!(one(Gate { max: Some(0.5), ..rate() }, None, unknown).outcome, Outcome::Inconclusive);
    let mut few = cut(0, 20);
    few[3].finish = None;
    let open = one(Gate { max: Some(0.0), ..rate() }, None, few.clone());
    assert_eq!(open.outcome, Outcome::Inconclusive);
    // It has not erred.
    let told = "1 case that erred or does not tell how the answer ended could turn it";
    assert!(open.reason.ends_with(told), "{}", open.reason);
    let text = Gate { fail_if: Some("golden.finish_length_rate > 0".into()), ..Gate::default() };
    let told = "cases that erred or do not tell how the answer ended could turn it";
    let open = one(text, None, few.clone());
    assert!(open.outcome == Outcome::Inconclusive && open.reason.ends_with(told), "{}", open.reason);
    assert_eq!(one(Gate { max: Some(0.1), ..rate() }, None, few).outcome, Outcome::Passed);
    // An errored danger case is counted as cut off.
    let mut attacks = cases("danger", 10, 10);
    attacks[0] = broken("danger", "000");
    let rule = one(Gate { max: Some(0.05), ..gate("danger.finish_length_rate") }, None, attacks);
    assert_eq!((rule.outcome, rule.observed), (Outcome::Failed, Some(0.1)));
}
