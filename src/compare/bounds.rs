//! Bounds of one metric of scores: absolute, relative, significance, non-inferiority; paired or not.

use super::effect::Detectable;
use super::metric::{Change, PairedValue};
use super::results::{Ruled, TOLERANCE, Test, Tests, failed, open, outcome, skipped, turned};
use super::subject::Subject;
use super::tally::VALUES;
use super::view::{Errors, Said, said};
use crate::error::Result;
use crate::record::{Evidence, Outcome, RuleResult};
use crate::rule::{Gate, Metric, Statistic};
use crate::stats::format::{short, short_p, signed};
use crate::stats::{ALPHA, CONFIDENCE, Interval};

/// A gate on a metric, over a run.
pub(super) struct Asked<'a> {
    pub gate: &'a Gate,
    pub metric: &'a Metric,
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
        let (gate, metric) = (self.gate, self.metric);
        let mut rules: Vec<Ruled> = Vec::new();
        for (limit, below) in [(gate.min, false), (gate.max, true)] {
            rules.extend(limit.map(|limit| self.absolute(metric, below, limit).into()));
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
            rules.push(self.relative(metric, relative)?);
        }
        // A gate that asks nothing is a mistake, and a mistake must not pass.
        if rules.is_empty() {
            rules.push(failed(self.named(metric.to_string()), None, "it states no bound".into()).into());
        }
        Ok(rules)
    }

    /// A rule with the cases that it looks at.
    fn named(&self, rule: String) -> String {
        if self.gate.filter.is_empty() { rule } else { format!("{rule} where {}", self.gate.filter) }
    }

    fn absolute(&self, metric: &Metric, below: bool, limit: f64) -> RuleResult {
        let rule = self.named(format!("{} {} {limit}", metric, if below { "<=" } else { ">=" }));
        let Some(seen) = metric.observe(self.subject.summary) else {
            return open(rule, Some(limit), format!("no data; {}", metric.hint(self.subject.summary)));
        };
        // Written so that a limit that is not a number fails.
        let holds = |value: f64| if below { value <= limit + TOLERANCE } else { value >= limit - TOLERANCE };
        let outcome = outcome(holds(seen.lowest), holds(seen.highest));
        let paired = self.subject.comparison.and_then(|comparison| metric.paired(comparison));
        let interval = match seen.interval {
            Some(interval) => format!(", 95 % {} to {}", short(interval.low), short(interval.high)),
            None => String::new(),
        };
        // Failing cases explain a low rate or a high mean of a limit; a rate that is too high has no culprits.
        let high_rate = below && metric.statistic == Statistic::PassRate;
        let culprits = outcome != Outcome::Passed && !high_rate;
        let (cases, cases_total) = if culprits { (seen.failed, seen.failed_total) } else { (vec![], 0) };
        let mut reason = format!("{} over {}{interval}", short(seen.value), seen.told);
        if outcome == Outcome::Inconclusive {
            reason.push_str(&turned(metric, seen.errored));
        }
        RuleResult {
            outcome,
            observed: Some(seen.value),
            baseline: paired.as_ref().map(|paired| paired.seen.base),
            evidence: paired.map(|paired| paired.evidence),
            cases,
            cases_total,
            ..failed(rule, Some(limit), reason)
        }
    }

    fn relative(&self, metric: &Metric, relative: Relative) -> Result<Ruled> {
        let (rule, limit) = self.told(metric, relative);
        if self.subject.comparison.is_none() {
            return Ok(skipped(rule, limit, self.subject).into());
        }
        let (held, words) = if self.gate.unpaired {
            (self.unpaired(metric)?, "no data: one of the runs has no such scores")
        } else {
            (self.paired(metric), "no data: the runs share no such scores")
        };
        let Some(held) = held else {
            let hint = if self.gate.unpaired {
                metric.hint(self.subject.summary)
            } else {
                format!("{}, or say `unpaired: true` where their cases differ", metric.hint(self.subject.summary))
            };
            return Ok(open(rule, limit, format!("{words}; {hint}")).into());
        };
        let lower_is_better = self.gate.lower_is_better || metric.counts_failures();
        let holds = |change: &Change| holds(relative, change, lower_is_better);
        let (low, high) = (holds(&held.lowest), holds(&held.highest));
        let significance = matches!(relative, Relative::NoSignificantDrop | Relative::NoSignificantRise);
        let tests = if significance { held.tests(relative) } else { None };
        let outcome = match (low, high, significance) {
            // Decided when all tests of the verdict are known.
            (_, _, true) if tests.is_some() => Outcome::Failed,
            (Some(low), Some(high), false) => outcome(low, high),
            _ => Outcome::Inconclusive,
        };
        let downward = match relative {
            Relative::Drop(_) | Relative::DropShare(_) | Relative::NoSignificantDrop => true,
            Relative::Rise(_) | Relative::RiseShare(_) | Relative::NoSignificantRise => false,
            Relative::NonInferior(_) => !lower_is_better,
        };
        let culprits = outcome != Outcome::Passed && (downward || metric.statistic != Statistic::PassRate);
        let (cases, cases_total) = if culprits { (held.regressed, held.regressed_total) } else { (vec![], 0) };
        let mut reason = held.reason;
        if let (Relative::NonInferior(_), Some(Interval { low, high })) = (relative, held.seen.sample.covering) {
            reason.push_str(&format!("; judged by {} to {}", signed(low), signed(high)));
        }
        match (outcome, held.errored) {
            (Outcome::Inconclusive, 0) => reason.push_str("; too few pairs to say"),
            (Outcome::Inconclusive, errored) => reason.push_str(&turned(metric, errored)),
            _ => {}
        }
        let result = RuleResult {
            outcome,
            observed: Some(held.seen.candidate),
            baseline: Some(held.seen.base),
            evidence: Some(held.evidence),
            detectable: held.detectable.effect(),
            cases,
            cases_total,
            ..failed(rule, limit, reason)
        };
        let overlooked = held.seen.sample.design;
        Ok(Ruled { result, tests, overlooked })
    }

    fn told(&self, metric: &Metric, relative: Relative) -> (String, Option<f64>) {
        let (text, limit) = match relative {
            Relative::Drop(limit) => (format!("{metric} drops by at most {limit}"), Some(limit)),
            Relative::Rise(limit) => (format!("{metric} rises by at most {limit}"), Some(limit)),
            Relative::DropShare(share) => (format!("{metric} drops by at most {share} of the baseline"), Some(share)),
            Relative::RiseShare(share) => (format!("{metric} rises by at most {share} of the baseline"), Some(share)),
            Relative::NoSignificantDrop => (format!("{metric} does not drop significantly"), None),
            Relative::NoSignificantRise => (format!("{metric} does not rise significantly"), None),
            Relative::NonInferior(margin) => (format!("{metric} is not inferior by more than {margin}"), Some(margin)),
        };
        (self.named(text), limit)
    }

    /// The metric on the cases that both runs hold.
    fn paired(&self, metric: &Metric) -> Option<Held> {
        let PairedValue { seen, extremes, evidence, detectable, told, errored, regressed, regressed_total } =
            metric.paired(self.subject.comparison?)?;
        let mut reason = change_text(&seen);
        let Evidence { regressed: worse, improved, .. } = evidence;
        let (fell, rose) = seen.sample.moved;
        reason.push_str(&match metric.statistic {
            Statistic::PassRate => format!("; {worse} regressed, {improved} improved of {told}"),
            Statistic::OutcomeRate(_) => format!("; {worse} more, {improved} fewer of {told}"),
            Statistic::Mean => format!("; {fell} fell, {rose} rose of {told}"),
        });
        if let (Some(p_value), Some(test)) = (seen.p_value, seen.test) {
            reason.push_str(&format!(", {test} p = {}", short_p(p_value)));
        }
        let [lowest, highest] = extremes;
        Some(Held { seen, lowest, highest, evidence, detectable, errored, regressed, regressed_total, reason })
    }

    /// The metric over all cases of both runs, which share none: the N - 1 chi-squared test for rates and the interval
    /// that inverts it, Welch's test for means.
    fn unpaired(&self, metric: &Metric) -> Result<Option<Held>> {
        let (Some(base), subject) = (self.subject.base_cases, self.subject) else { return Ok(None) };
        // The baseline's own summary says which of its datasets the metric covers.
        let base_summary = crate::record::summarise(base.lines()?)?;
        let before = said(base, metric, &base_summary, &self.gate.filter)?;
        let after = said(subject.cases, metric, subject.summary, &self.gate.filter)?;
        let change = |one: Errors, two: Errors| two_samples(metric.statistic, (&before, one), (&after, two));
        let Some(seen) = change(Errors::AsSeen, Errors::AsSeen) else { return Ok(None) };
        let erred = |said: &[Said]| said.iter().filter(|case| case.erred).count() as u64;
        let errored = erred(&before) + erred(&after);
        // Danger cases that err fail.
        let danger = metric.is_danger(subject.summary);
        let one_way = |one, two| if errored == 0 || danger { Some(seen) } else { change(one, two) };
        let lowest = one_way(Errors::High, Errors::Low);
        let highest = one_way(Errors::Low, Errors::High);
        let (Some(lowest), Some(highest)) = (lowest, highest) else { return Ok(None) };
        let evidence = Evidence { pairs: 0, regressed: 0, improved: 0, p_value: seen.p_value, interval: seen.interval };
        let mut reason = change_text(&seen);
        let (n, m) = (before.len(), after.len());
        if let (Some(p_value), Some(test)) = (seen.p_value, seen.test) {
            reason.push_str(&format!("; {n} and {m} cases, unpaired, {test} p = {}", short_p(p_value)));
        }
        let detectable = seen.sample.design.detectable(ALPHA);
        let (regressed, regressed_total) = (Vec::new(), 0);
        Ok(Some(Held { seen, lowest, highest, evidence, detectable, errored, regressed, regressed_total, reason }))
    }
}

/// Whether a change is within the bound; none where the figures that it asks for are not there. A bound that is not a number
/// never holds.
fn holds(relative: Relative, change: &Change, lower_is_better: bool) -> Option<bool> {
    let moved = change.moved();
    Some(match relative {
        Relative::Drop(limit) => -moved <= limit + TOLERANCE,
        Relative::Rise(limit) => moved <= limit + TOLERANCE,
        Relative::DropShare(share) => -moved <= share * change.base.abs() + TOLERANCE,
        Relative::RiseShare(share) => moved <= share * change.base.abs() + TOLERANCE,
        Relative::NoSignificantDrop | Relative::NoSignificantRise => return None,
        Relative::NonInferior(margin) => {
            let interval = change.sample.covering?;
            let worst = if lower_is_better { -interval.high } else { interval.low };
            worst >= -margin - TOLERANCE
        }
    })
}

/// A metric in both runs, and what is said of its change.
struct Held {
    seen: Change,
    /// Had the errored cases come out for the lowest difference, and for the highest.
    lowest: Change,
    highest: Change,
    evidence: Evidence,
    detectable: Detectable,
    errored: u64,
    regressed: Vec<crate::record::CaseRef>,
    regressed_total: u64,
    reason: String,
}

impl Held {
    /// The tests that decide a rule on significance; none where there is no test.
    fn tests(&self, relative: Relative) -> Option<Tests> {
        let bad = |change: &Change| match relative {
            Relative::NoSignificantDrop => change.moved() < 0.0,
            _ => change.moved() > 0.0,
        };
        let test = |change: &Change| change.p_value.map(|p_value| Test { p_value, bad: bad(change) });
        Some(Tests { seen: test(&self.seen)?, lowest: test(&self.lowest)?, highest: test(&self.highest)? })
    }
}

/// The change of a metric over cases that need not be the same.
fn two_samples(
    statistic: Statistic,
    (before, one): (&[Said], Errors),
    (after, two): (&[Said], Errors),
) -> Option<Change> {
    let level = CONFIDENCE;
    match statistic {
        Statistic::PassRate | Statistic::OutcomeRate(_) => {
            let counts = |said: &[Said], errors: Errors| {
                (said.iter().filter(|case| case.passes(errors)).count() as u64, said.len() as u64)
            };
            let (one, two) = (counts(before, one), counts(after, two));
            let rate = |(passed, n): (u64, u64)| passed as f64 / n as f64;
            let found = crate::stats::two_rates(one, two, level)?;
            let change = Change::of_samples((rate(one), rate(two)), &found, 1.0);
            let turned = |change: Change| {
                Change { base: 1.0 - change.base, candidate: 1.0 - change.candidate, ..change }.turned()
            };
            Some(if matches!(statistic, Statistic::OutcomeRate(_)) { turned(change) } else { change })
        }
        Statistic::Mean => {
            let values = |said: &[Said], errors: Errors| {
                said.iter().filter_map(|case| case.value_of(errors)).collect::<Vec<f64>>()
            };
            let (one, two) = (values(before, one), values(after, two));
            // A cosine is at least -1, other values are at least 0.
            let least = one.iter().chain(&two).fold(0.0, |least: f64, value| least.min(*value));
            let most = if least < 0.0 { VALUES.1 - VALUES.0 } else { 1.0 };
            let mean = |values: &[f64]| crate::stats::mean(ndarray::aview1(values));
            let found = crate::stats::welch(ndarray::aview1(&one), ndarray::aview1(&two), level)?;
            Some(Change::of_samples((mean(&one)?, mean(&two)?), &found, most))
        }
    }
}

/// Both values and the difference with its interval: effect and interval are always shown.
fn change_text(change: &Change) -> String {
    let mut text = format!("{} to {}, {:+.4}", short(change.base), short(change.candidate), change.moved());
    if let Some(interval) = change.interval {
        text.push_str(&format!(" (95 % {} to {})", signed(interval.low), signed(interval.high)));
    }
    text
}
