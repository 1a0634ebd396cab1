//! Results of rules, as the rules make them.

use super::effect::Design;
use super::subject::{Subject, Without};
use crate::record::{Outcome, RuleResult};
use crate::rule::{Metric, Statistic};

/// Differences this small are rounding: 0.87 - 0.85 > 0.02 in binary.
pub(super) const TOLERANCE: f64 = 1e-9;

/// A rule's result, and the tests where significance decides it.
pub(super) struct Ruled {
    pub result: RuleResult,
    pub tests: Option<Tests>,
    /// What the sample could have shown follows from this, for a test that finds nothing.
    pub overlooked: Design,
}

/// A test that decides a rule once it is corrected.
#[derive(Clone, Copy)]
pub(super) struct Test {
    pub p_value: f64,
    /// The change goes in the direction that the rule forbids.
    pub bad: bool,
}

/// The test of the pairs as they are, and had the errored cases come out for the lowest and for the highest difference.
#[derive(Clone, Copy)]
pub(super) struct Tests {
    pub seen: Test,
    pub lowest: Test,
    pub highest: Test,
}

impl From<RuleResult> for Ruled {
    fn from(result: RuleResult) -> Self {
        Self { result, tests: None, overlooked: Design::Unknown }
    }
}

/// The outcome of a rule that holds, or not, for either way in which errored cases could have come out.
pub(super) fn outcome(low: bool, high: bool) -> Outcome {
    match (low, high) {
        (true, true) => Outcome::Passed,
        (false, false) => Outcome::Failed,
        _ => Outcome::Inconclusive,
    }
}

/// What errored cases leave open, for the reason of a rule on a metric. Those whose answer does not tell what the metric asks for
/// count as errored there, and have not erred.
pub(super) fn turned(metric: &Metric, errored: u64) -> String {
    let cases = match (missing_cause(metric), errored) {
        (None, 1) => "1 errored case".to_owned(),
        (None, _) => format!("{errored} errored cases"),
        (Some(what), 1) => format!("1 case that erred or does not tell {what}"),
        (Some(what), _) => format!("{errored} cases that erred or do not tell {what}"),
    };
    format!("; {cases} could turn it")
}

/// What a line may not tell of its answer, where a metric asks for it.
pub(super) fn missing_cause(metric: &Metric) -> Option<&'static str> {
    match metric.statistic {
        Statistic::OutcomeRate("finish_length_rate") => Some("how the answer ended"),
        Statistic::OutcomeRate("empty_rate") => Some("whether the answer was empty"),
        _ => None,
    }
}

/// A rule that failed.
pub(super) fn failed(rule: String, limit: Option<f64>, reason: String) -> RuleResult {
    RuleResult {
        rule,
        tier: None,
        outcome: Outcome::Failed,
        reason,
        observed: None,
        limit: limit.filter(|limit| limit.is_finite()),
        baseline: None,
        evidence: None,
        corrected_p_value: None,
        detectable: None,
        cases: Vec::new(),
        cases_total: 0,
    }
}

/// A rule without its evidence.
pub(super) fn open(rule: String, limit: Option<f64>, reason: String) -> RuleResult {
    RuleResult { outcome: Outcome::Inconclusive, ..failed(rule, limit, reason) }
}

/// A rule that needs a baseline, where there is none.
pub(super) fn skipped(rule: String, limit: Option<f64>, subject: &Subject<'_>) -> RuleResult {
    let skipped = |reason: &str| RuleResult { outcome: Outcome::Skipped, ..failed(rule.clone(), limit, reason.into()) };
    match subject.without {
        Without::NotYet => skipped("not judged: no baseline yet"),
        Without::NotAsked => skipped("not judged: --no-baseline"),
        Without::Itself => skipped("not judged: this run is the baseline"),
        Without::Unnamed(why) => skipped(&format!("not judged: {why}")),
        Without::Missing(_) => open(rule, limit, "not judged: the baseline cannot be used".into()),
    }
}
