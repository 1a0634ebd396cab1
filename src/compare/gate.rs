//! Policy over a run and its comparison: the gate verdict.
//!
//! Absolute rules look at the candidate alone; relative rules at the cases that both runs share, where an errored case
//! does not pass. No data fail a rule. A relative rule without a baseline is skipped and says so. A bound that is not a
//! number fails. The danger rules are always on.

use super::metric::PairedValue;
use super::{Comparison, Metric, Statistic, danger};
use crate::record::{CaseRef, Evidence, Manifest, Outcome, RuleResult, Summary, Verdict};

/// How many cases a rule lists; the total is always exact.
pub const LISTED_CASES: usize = 100;

/// Differences this small are rounding: 0.87 - 0.85 > 0.02 in binary.
const TOLERANCE: f64 = 1e-9;

/// What a suite asks of a candidate, beside the danger rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GatePolicy {
    /// In the order of the suite.
    pub gates: Vec<GateRule>,
}

/// Bounds of one metric; each bound that is set is a rule of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GateRule {
    /// `<dataset or kind>.<scorer>[.pass_rate|.mean]`.
    pub metric: String,
    /// The candidate's value must be at least this.
    pub min: Option<f64>,
    /// The candidate's value must be at most this.
    pub max: Option<f64>,
    /// The value may fall at most this far below the baseline's.
    pub max_drop: Option<f64>,
    /// The value may rise at most this far above the baseline's.
    pub max_rise: Option<f64>,
}

/// May the candidate pass? `comparison` is the one with the baseline, where there is a baseline.
pub fn judge(policy: &GatePolicy, manifest: &Manifest, summary: &Summary, comparison: Option<&Comparison>) -> Verdict {
    let mut rules = danger::rules(manifest, summary, comparison);
    for gate in &policy.gates {
        let asked = Asked { gate, summary, comparison };
        rules.extend(asked.rules());
    }
    Verdict::of(comparison.map(|comparison| comparison.base.run_id.clone()), rules)
}

/// The four bounds.
#[derive(Clone, Copy)]
enum Bound {
    Min,
    Max,
    Drop,
    Rise,
}

struct Asked<'a> {
    gate: &'a GateRule,
    summary: &'a Summary,
    comparison: Option<&'a Comparison>,
}

impl Asked<'_> {
    fn rules(&self) -> Vec<RuleResult> {
        let gate = self.gate;
        let metric = match Metric::parse(&gate.metric) {
            Ok(metric) => metric,
            Err(e) => return vec![failed(gate.metric.clone(), None, e.chain())],
        };
        let bounds = [
            (Bound::Min, gate.min),
            (Bound::Max, gate.max),
            (Bound::Drop, gate.max_drop),
            (Bound::Rise, gate.max_rise),
        ];
        let rules: Vec<_> = bounds
            .into_iter()
            .filter_map(|(bound, limit)| {
                Some(match bound {
                    Bound::Min | Bound::Max => self.absolute(&metric, bound, limit?),
                    Bound::Drop | Bound::Rise => self.relative(&metric, bound, limit?),
                })
            })
            .collect();
        // A gate that asks nothing is a mistake, and a mistake must not pass.
        if rules.is_empty() { vec![failed(metric.name(), None, "it states no bound".into())] } else { rules }
    }

    fn absolute(&self, metric: &Metric, bound: Bound, limit: f64) -> RuleResult {
        let sign = if matches!(bound, Bound::Min) { ">=" } else { "<=" };
        let rule = format!("{} {sign} {limit}", metric.name());
        let Some(seen) = metric.observe(self.summary) else {
            return failed(rule, Some(limit), format!("no data; {}", metric.hint(self.summary)));
        };
        // Written so that a limit that is not a number fails.
        let holds = match bound {
            Bound::Min => seen.value >= limit - TOLERANCE,
            _ => seen.value <= limit + TOLERANCE,
        };
        let paired = self.comparison.and_then(|comparison| metric.paired(comparison));
        let interval = match seen.interval {
            Some(interval) => format!(", 95 % {} to {}", number(interval.low), number(interval.high)),
            None => String::new(),
        };
        let reason = format!("{} over {} cases{interval}", number(seen.value), seen.cases);
        // Failing cases explain a low rate or a high mean of a limit; a rate that is too high has no culprits.
        let culprits = !holds && !matches!((bound, metric.statistic), (Bound::Max, Statistic::PassRate));
        let (cases, total) = if culprits { (seen.failed, seen.failed_total) } else { (vec![], 0) };
        RuleResult {
            rule,
            outcome: outcome(holds),
            reason,
            observed: Some(seen.value),
            limit: Some(limit).filter(|limit| limit.is_finite()),
            baseline: paired.as_ref().map(|paired| paired.base),
            evidence: paired.map(|paired| paired.evidence),
            cases,
            cases_total: total,
        }
    }

    fn relative(&self, metric: &Metric, bound: Bound, limit: f64) -> RuleResult {
        let verb = if matches!(bound, Bound::Drop) { "drops" } else { "rises" };
        let rule = format!("{} {verb} by at most {limit}", metric.name());
        let Some(comparison) = self.comparison else {
            let mut result = failed(rule, Some(limit), "no baseline to compare with".into());
            result.outcome = Outcome::Skipped;
            return result;
        };
        let Some(paired) = metric.paired(comparison) else {
            let hint = metric.hint(self.summary);
            return failed(rule, Some(limit), format!("no data: the runs share no such scores; {hint}"));
        };
        let moved = match bound {
            Bound::Drop => paired.base - paired.candidate,
            _ => paired.candidate - paired.base,
        };
        let holds = moved <= limit + TOLERANCE;
        let reason = relative_reason(&paired);
        let culprits = !holds && (matches!(bound, Bound::Drop) || matches!(metric.statistic, Statistic::Mean));
        let (cases, total) = if culprits { (paired.regressed, paired.evidence.regressed) } else { (vec![], 0) };
        RuleResult {
            rule,
            outcome: outcome(holds),
            reason,
            observed: Some(paired.candidate),
            limit: Some(limit).filter(|limit| limit.is_finite()),
            baseline: Some(paired.base),
            evidence: Some(paired.evidence),
            cases,
            cases_total: total,
        }
    }
}

/// Both values, the difference with its interval, and the test: effect and interval are always shown.
fn relative_reason(paired: &PairedValue) -> String {
    let Evidence { pairs, regressed, improved, p_value, interval } = paired.evidence;
    let difference = paired.candidate - paired.base;
    let mut text = format!("{} to {}, {:+.4}", number(paired.base), number(paired.candidate), difference);
    if let Some(interval) = interval {
        text.push_str(&format!(" (95 % {:+.4} to {:+.4})", interval.low, interval.high));
    }
    text.push_str(&format!("; {regressed} regressed, {improved} improved of {pairs} pairs"));
    if let Some(p_value) = p_value {
        text.push_str(&format!(", McNemar p = {}", p_text(p_value)));
    }
    text
}

fn outcome(holds: bool) -> Outcome {
    if holds { Outcome::Passed } else { Outcome::Failed }
}

fn failed(rule: String, limit: Option<f64>, reason: String) -> RuleResult {
    let cases: Vec<CaseRef> = Vec::new();
    let limit = limit.filter(|limit| limit.is_finite());
    let (outcome, cases_total) = (Outcome::Failed, 0);
    RuleResult { rule, outcome, reason, observed: None, limit, baseline: None, evidence: None, cases, cases_total }
}

/// A figure with at most four decimals.
fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".into() } else { short.into() }
}

/// A p-value: four decimals, or its order of magnitude.
fn p_text(p: f64) -> String {
    if p >= 1e-4 || p == 0.0 { number(p) } else { format!("{p:.1e}") }
}
