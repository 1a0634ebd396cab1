//! Bounds of one metric of scores: absolute, relative, significance, non-inferiority; paired or not.

use super::effect::TestKind;
use super::gate::{Ruled, Subject, Test, failed, number, outcome, p_text, skipped};
use super::metric::{PairedValue, Statistic};
use super::view::said;
use super::{Metric, effect};
use crate::error::Result;
use crate::record::{Evidence, RuleResult};
use crate::rule::Gate;
use crate::stats::CONFIDENCE;

/// Differences this small are rounding: 0.87 - 0.85 > 0.02 in binary.
pub(super) const TOLERANCE: f64 = 1e-9;

/// A gate over a run.
pub(super) struct Asked<'a> {
    pub gate: &'a Gate,
    pub subject: &'a Subject<'a>,
}

/// What a rule asks of the baseline's value and the candidate's.
#[derive(Clone, Copy)]
enum Relative {
    Drop(f64),
    Rise(f64),
    DropShare(f64),
    RiseShare(f64),
    NoSignificantDrop,
    NoSignificantRise,
    NonInferior(f64),
}

impl Asked<'_> {
    /// A rule for each bound.
    pub fn rules(&self) -> Result<Vec<Ruled>> {
        let gate = self.gate;
        let metric = match Metric::parse(&gate.metric) {
            Ok(metric) => metric,
            Err(e) => return Ok(vec![failed(gate.metric.clone(), None, e.chain()).into()]),
        };
        let mut rules: Vec<Ruled> = Vec::new();
        for (limit, below) in [(gate.min, false), (gate.max, true)] {
            rules.extend(limit.map(|limit| self.absolute(&metric, below, limit).into()));
        }
        let relatives = [
            gate.max_drop.map(Relative::Drop),
            gate.max_rise.map(Relative::Rise),
            gate.max_drop_share.map(Relative::DropShare),
            gate.max_rise_share.map(Relative::RiseShare),
            gate.no_significant_drop.then_some(Relative::NoSignificantDrop),
            gate.no_significant_rise.then_some(Relative::NoSignificantRise),
            gate.non_inferior.map(Relative::NonInferior),
        ];
        for relative in relatives.into_iter().flatten() {
            rules.push(self.relative(&metric, relative)?);
        }
        // A gate that asks nothing is a mistake, and a mistake must not pass.
        if rules.is_empty() {
            rules.push(failed(self.named(metric.name()), None, "it states no bound".into()).into());
        }
        Ok(rules)
    }

    /// A rule with the cases that it looks at.
    fn named(&self, rule: String) -> String {
        if self.gate.filter.is_empty() { rule } else { format!("{rule} where {}", self.gate.filter) }
    }

    fn absolute(&self, metric: &Metric, below: bool, limit: f64) -> RuleResult {
        let rule = self.named(format!("{} {} {limit}", metric.name(), if below { "<=" } else { ">=" }));
        let Some(seen) = metric.observe(self.subject.summary) else {
            return failed(rule, Some(limit), format!("no data; {}", metric.hint(self.subject.summary)));
        };
        // Written so that a limit that is not a number fails.
        let holds = if below { seen.value <= limit + TOLERANCE } else { seen.value >= limit - TOLERANCE };
        let paired = self.subject.comparison.and_then(|comparison| metric.paired(comparison));
        let interval = match seen.interval {
            Some(interval) => format!(", 95 % {} to {}", number(interval.low), number(interval.high)),
            None => String::new(),
        };
        // Failing cases explain a low rate or a high mean of a limit; a rate that is too high has no culprits.
        let high_rate = below && metric.statistic == Statistic::PassRate;
        let culprits = !(holds || high_rate);
        let (cases, cases_total) = if culprits { (seen.failed, seen.failed_total) } else { (vec![], 0) };
        RuleResult {
            outcome: outcome(holds),
            observed: Some(seen.value),
            baseline: paired.as_ref().map(|paired| paired.base),
            evidence: paired.map(|paired| paired.evidence),
            cases,
            cases_total,
            ..failed(rule, Some(limit), format!("{} over {} cases{interval}", number(seen.value), seen.cases))
        }
    }

    fn relative(&self, metric: &Metric, relative: Relative) -> Result<Ruled> {
        let (rule, limit) = self.told(metric, relative);
        if self.subject.comparison.is_none() {
            return Ok(skipped(rule, limit).into());
        }
        let (paired, words) = match self.gate.unpaired {
            true => (self.unpaired(metric)?, "no data: one of the runs has no such scores"),
            false => (self.paired(metric), "no data: the runs share no such scores"),
        };
        let Some(paired) = paired else {
            let hint = match self.gate.unpaired {
                true => metric.hint(self.subject.summary),
                false => {
                    format!("{}, or say `unpaired: true` where their cases differ", metric.hint(self.subject.summary))
                }
            };
            return Ok(failed(rule, limit, format!("{words}; {hint}")).into());
        };
        let moved = paired.candidate - paired.base;
        let (p_value, interval) = (paired.evidence.p_value, paired.evidence.interval);
        let significance = |bad: bool| p_value.map(|p_value| Test { p_value, bad });
        // Written so that a limit that is not a number fails.
        let (holds, test) = match relative {
            Relative::Drop(limit) => (-moved <= limit + TOLERANCE, None),
            Relative::Rise(limit) => (moved <= limit + TOLERANCE, None),
            Relative::DropShare(share) => (-moved <= share * paired.base.abs() + TOLERANCE, None),
            Relative::RiseShare(share) => (moved <= share * paired.base.abs() + TOLERANCE, None),
            // Decided when all tests of the verdict are known; without a p-value it stays failed.
            Relative::NoSignificantDrop => (false, significance(moved < 0.0)),
            Relative::NoSignificantRise => (false, significance(moved > 0.0)),
            Relative::NonInferior(margin) => {
                let lower = self.gate.lower_is_better;
                let worst = interval.map(|interval| if lower { -interval.high } else { interval.low });
                (worst.is_some_and(|worst| worst >= -margin - TOLERANCE), None)
            }
        };
        let downward = match relative {
            Relative::Drop(_) | Relative::DropShare(_) | Relative::NoSignificantDrop => true,
            Relative::Rise(_) | Relative::RiseShare(_) | Relative::NoSignificantRise => false,
            Relative::NonInferior(_) => !self.gate.lower_is_better,
        };
        let culprits = !holds && (downward || metric.statistic == Statistic::Mean);
        let (cases, cases_total) = if culprits { (paired.regressed, paired.evidence.regressed) } else { (vec![], 0) };
        let result = RuleResult {
            outcome: outcome(holds),
            observed: Some(paired.candidate),
            baseline: Some(paired.base),
            evidence: Some(paired.evidence),
            detectable: paired.detectable,
            cases,
            cases_total,
            ..failed(rule, limit, paired.reason)
        };
        Ok(Ruled { result, test })
    }

    fn told(&self, metric: &Metric, relative: Relative) -> (String, Option<f64>) {
        let name = metric.name();
        let (text, limit) = match relative {
            Relative::Drop(limit) => (format!("{name} drops by at most {limit}"), Some(limit)),
            Relative::Rise(limit) => (format!("{name} rises by at most {limit}"), Some(limit)),
            Relative::DropShare(share) => (format!("{name} drops by at most {share} of the baseline"), Some(share)),
            Relative::RiseShare(share) => (format!("{name} rises by at most {share} of the baseline"), Some(share)),
            Relative::NoSignificantDrop => (format!("{name} does not drop significantly"), None),
            Relative::NoSignificantRise => (format!("{name} does not rise significantly"), None),
            Relative::NonInferior(margin) => (format!("{name} is not inferior by more than {margin}"), Some(margin)),
        };
        (self.named(text), limit)
    }

    /// The metric on the cases that both runs hold.
    fn paired(&self, metric: &Metric) -> Option<Held> {
        let PairedValue { base, candidate, evidence, detectable, test, regressed } =
            metric.paired(self.subject.comparison?)?;
        let mut reason = change_text(base, candidate, &evidence);
        let Evidence { pairs, regressed: worse, improved, p_value, .. } = evidence;
        reason.push_str(&format!("; {worse} regressed, {improved} improved of {pairs} pairs"));
        if let Some(p_value) = p_value {
            let test = match test {
                TestKind::McNemar => "McNemar",
                TestKind::Permutation => "permutation",
            };
            reason.push_str(&format!(", {test} p = {}", p_text(p_value)));
        }
        Some(Held { base, candidate, evidence, detectable, regressed, reason })
    }

    /// The metric over all cases of both runs, which share none: Fisher's exact test and Newcombe's interval for rates,
    /// Welch's test for means.
    fn unpaired(&self, metric: &Metric) -> Result<Option<Held>> {
        let (Some(base), subject) = (self.subject.base_cases, self.subject) else { return Ok(None) };
        // The baseline's own summary says which of its datasets the metric covers.
        let base_summary = crate::record::summarise(base.lines()?)?;
        let before = said(base, metric, &base_summary, &self.gate.filter)?;
        let after = said(subject.cases, metric, subject.summary, &self.gate.filter)?;
        let (two, values, test) = match metric.statistic {
            Statistic::PassRate => {
                let counts = |said: &[_]| {
                    (said.iter().filter(|s: &&super::view::Said| s.passed).count() as u64, said.len() as u64)
                };
                let (one, two) = (counts(&before), counts(&after));
                let rate = |(passed, n): (u64, u64)| passed as f64 / n as f64;
                (crate::stats::two_rates(one, two, CONFIDENCE), (rate(one), rate(two)), "Fisher")
            }
            Statistic::Mean => {
                let values = |said: &[super::view::Said]| said.iter().filter_map(|s| s.value).collect::<Vec<f64>>();
                let (one, two) = (values(&before), values(&after));
                let mean = |values: &[f64]| crate::stats::mean(ndarray::aview1(values)).unwrap_or(f64::NAN);
                let found = crate::stats::welch(ndarray::aview1(&one), ndarray::aview1(&two), CONFIDENCE);
                (found, (mean(&one), mean(&two)), "Welch")
            }
        };
        let (Some(two), (one, other)) = (two, values) else { return Ok(None) };
        let evidence =
            Evidence { pairs: 0, regressed: 0, improved: 0, p_value: Some(two.p_value), interval: Some(two.interval) };
        let mut reason = change_text(one, other, &evidence);
        let (n, m) = (before.len(), after.len());
        reason.push_str(&format!("; {n} and {m} cases, unpaired, {test} p = {}", p_text(two.p_value)));
        let (detectable, regressed) = (effect::detectable_unpaired(&two.interval), Vec::new());
        Ok(Some(Held { base: one, candidate: other, evidence, detectable, regressed, reason }))
    }
}

/// A metric in both runs, and what is said of its change.
struct Held {
    base: f64,
    candidate: f64,
    evidence: Evidence,
    detectable: Option<f64>,
    regressed: Vec<crate::record::CaseRef>,
    reason: String,
}

/// Both values and the difference with its interval: effect and interval are always shown.
fn change_text(base: f64, candidate: f64, evidence: &Evidence) -> String {
    let mut text = format!("{} to {}, {:+.4}", number(base), number(candidate), candidate - base);
    if let Some(interval) = evidence.interval {
        text.push_str(&format!(" (95 % {:+.4} to {:+.4})", interval.low, interval.high));
    }
    text
}
