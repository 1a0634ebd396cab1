//! The table that every format shows: a row per dataset and scorer, from a summary, a comparison or both.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::compare::{
    DatasetComparison, Detectable, Magnitude, MetricComparison, MetricSide, Significance, UnitKind, WHOLE,
};
use crate::dataset::Kind;
use crate::record::{AnswerOutcome, DatasetSummary, Repeats};
use crate::stats::Interval;
use crate::stats::format::{figure, fixed, percent};

use super::{Report, likelihood_lines};

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) dataset: String,
    pub(super) kind: Kind,
    pub(super) scorer: String,
    pub(super) figures: Figures,
    /// Pass rate of the base run over the same cases.
    pub(super) base_rate: Option<f64>,
    pub(super) base_interval: Option<Interval>,
    /// Difference of the pass rates over the pairs.
    pub(super) difference: Option<Magnitude>,
    pub(super) significance: Option<Significance>,
}

impl Row {
    /// What the sample could have shown, where nothing was found.
    pub(super) fn detectable(&self) -> Detectable {
        let found = self.significance.is_some_and(|significance| significance.significant);
        self.difference.filter(|_| !found).map_or(Detectable::Unknown, |difference| difference.detectable)
    }
}

/// The candidate's side of a row: over the cases that both runs answered and scored, where they are compared and share any, else
/// over all its own; all zero where only the base run has it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Figures {
    /// What was drawn: cases, though each has several answers.
    pub(super) cases: u64,
    /// Answers that passed, and all answers: as many as cases, but where each has several.
    pub(super) passed: u64,
    pub(super) answers: u64,
    pub(super) errored: u64,
    pub(super) rate: Option<f64>,
    pub(super) interval: Option<Interval>,
    pub(super) mean: Option<f64>,
}

/// How the row over all scorers of a dataset is called.
pub(super) const ALL_SCORERS: &str = "(all scorers)";

/// A metric of a slice as tables call it.
pub(super) fn scorer_name(metric: &str) -> &str {
    if metric == WHOLE { ALL_SCORERS } else { metric }
}

/// The rows in order of dataset and scorer. A dataset with one scorer needs no row over all.
pub(super) fn rows(report: &Report<'_>) -> Vec<Row> {
    let summaries = report.summary.map_or(&[][..], |summary| &summary.datasets[..]);
    let comparisons = report.comparison.map_or(&[][..], |comparison| &comparison.datasets[..]);
    let mut names: Vec<&str> = summaries.iter().map(|dataset| dataset.dataset.as_str()).collect();
    names.extend(comparisons.iter().map(|dataset| dataset.dataset.as_str()));
    names.sort_unstable();
    names.dedup();
    let summaries = by_name(summaries, |dataset| &dataset.dataset);
    let comparisons = by_name(comparisons, |dataset| &dataset.dataset);
    let pick = |name: &str| dataset_rows(name, summaries.get(name).copied(), comparisons.get(name).copied());
    names.into_iter().flat_map(pick).collect()
}

/// What a list has, by the names in it.
fn by_name<'a, T>(list: &'a [T], name: impl Fn(&'a T) -> &'a str) -> HashMap<&'a str, &'a T> {
    list.iter().map(|one| (name(one), one)).collect()
}

/// What the figures of single scorers do not say, in lines for each dataset: several answers to each case, log-likelihoods.
pub(super) fn remarks(report: &Report<'_>) -> Vec<(String, String)> {
    let datasets = report.summary.map_or(&[][..], |summary| &summary.datasets[..]);
    let line = |dataset: &DatasetSummary| {
        let Repeats { cases, answers, pass_at, pass_all, within_case_variance, unstable } = dataset.repeats.as_ref()?;
        let estimates = |name: &str, by_k: &BTreeMap<u64, f64>| {
            let shown: Vec<String> = by_k.iter().map(|(k, value)| format!("{name}{k} {}", fixed(*value))).collect();
            shown.join(", ")
        };
        let variance = figure(*within_case_variance);
        let (any, all) = (estimates("pass@", pass_at), estimates("pass^", pass_all));
        let text = format!(
            "{answers} answers to each of {cases} cases: {any}; {all}; {unstable} cases pass sometimes, variance within a case {variance}"
        );
        Some(text)
    };
    let mut remarks = Vec::new();
    for dataset in datasets {
        let scored = dataset.likelihoods.iter().flat_map(likelihood_lines::lines);
        remarks.extend(line(dataset).into_iter().chain(scored).map(|text| (dataset.dataset.clone(), text)));
    }
    remarks
}

/// What became of the answers of a dataset that are no plain ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct OutcomeRow {
    pub(super) dataset: String,
    /// Such as `12 cut off at max_new_tokens (6.0 %)`, with those of the base run behind it.
    pub(super) text: String,
    /// So many that a reader must not overlook it.
    pub(super) notable: bool,
}

/// The share of a dataset's answers above which an outcome is warned about.
const NOTABLE: f64 = 0.01;

/// What became of answers, by dataset and outcome.
pub(super) fn outcomes(report: &Report<'_>) -> Vec<OutcomeRow> {
    let summaries = report.summary.map_or(&[][..], |summary| &summary.datasets[..]);
    let compared = report.comparison.map_or(&[][..], |comparison| &comparison.datasets[..]);
    let mut rows = Vec::new();
    let mut names: Vec<&str> = summaries.iter().map(|dataset| dataset.dataset.as_str()).collect();
    names.extend(compared.iter().map(|dataset| dataset.dataset.as_str()));
    names.sort_unstable();
    names.dedup();
    let (summaries, compared) =
        (by_name(summaries, |dataset| &dataset.dataset), by_name(compared, |dataset| &dataset.dataset));
    for name in names {
        let (summary, pairs) = (summaries.get(name).copied(), compared.get(name).copied());
        let own = summary.map(|dataset| (dataset.outcomes.unwrap_or_default(), dataset.cases));
        let Some((found, cases)) = own.or(pairs.map(|pairs| (pairs.outcomes[1], pairs.cases.candidate.cases))) else {
            continue;
        };
        let base = pairs.map(|pairs| (pairs.outcomes[0], pairs.cases.base.cases)).unwrap_or_default();
        let share = |n: u64, of: u64| n as f64 / of.max(1) as f64;
        for outcome in AnswerOutcome::ALL {
            let (now, before) = (found.count(outcome), base.0.count(outcome));
            if now == 0 && before == 0 {
                continue;
            }
            let mut text = format!("{now} {} ({}", outcome.words(), percent(100.0 * share(now, cases)));
            let by_scorer = summary.filter(|_| outcome == AnswerOutcome::NotExtracted).into_iter();
            let by_scorer = by_scorer.flat_map(|dataset| &dataset.scorers).filter(|scorer| scorer.not_extracted > 0);
            let by_scorer: Vec<String> =
                by_scorer.map(|scorer| format!("{} {}", scorer.scorer, scorer.not_extracted)).collect();
            if !by_scorer.is_empty() {
                text.push_str(&format!(": {}", by_scorer.join(", ")));
            }
            if pairs.is_some() {
                text.push_str(&format!("; baseline {before}, {}", percent(100.0 * share(before, base.1))));
            }
            text.push(')');
            rows.push(OutcomeRow { dataset: name.to_owned(), text, notable: share(now, cases) > NOTABLE });
        }
        if found.thoughts > 0 {
            let text = format!(
                "{} with thoughts that ended ({})",
                found.thoughts,
                percent(100.0 * share(found.thoughts, cases))
            );
            rows.push(OutcomeRow { dataset: name.to_owned(), text, notable: false });
        }
    }
    rows
}

fn dataset_rows(name: &str, summary: Option<&DatasetSummary>, comparison: Option<&DatasetComparison>) -> Vec<Row> {
    let kind = summary.map(|dataset| dataset.kind).max(comparison.map(|dataset| dataset.kind)).unwrap_or(Kind::Golden);
    let row = |scorer: &str, figures: Figures, compared: Option<&MetricComparison>| Row {
        dataset: name.to_owned(),
        kind,
        scorer: scorer.to_owned(),
        figures,
        base_rate: compared.and_then(|metric| metric.paired_base.rate),
        base_interval: compared
            .filter(|metric| metric.units.kind == UnitKind::Case)
            .and_then(|m| m.paired_base.interval),
        difference: compared.and_then(|metric| metric.rate_difference),
        significance: compared.and_then(|metric| metric.significance),
    };
    let mut scorers: Vec<&str> = Vec::new();
    scorers.extend(summary.iter().flat_map(|dataset| dataset.scorers.iter().map(|s| s.scorer.as_str())));
    scorers.extend(comparison.iter().flat_map(|dataset| dataset.scorers.iter().map(|s| s.metric.as_str())));
    scorers.sort_unstable();
    scorers.dedup();
    let mut rows = Vec::new();
    let metrics = by_name(comparison.map_or(&[][..], |dataset| &dataset.scorers), |metric| &metric.metric);
    for scorer in &scorers {
        let compared = metrics.get(scorer).copied();
        let repeats = summary.and_then(|dataset| dataset.repeats.as_ref());
        let own = summary.and_then(|dataset| dataset.scorer(scorer)).map(|s| Figures {
            cases: repeats.map_or(s.cases, |repeats| repeats.cases.min(s.cases)),
            answers: s.cases,
            passed: s.passed,
            errored: s.errored,
            rate: s.rate,
            interval: s.interval,
            mean: s.mean,
        });
        rows.push(row(scorer, figures(own, compared), compared));
    }
    if scorers.len() != 1 {
        let compared = comparison.map(|dataset| &dataset.cases);
        let own = summary.map(|dataset| Figures {
            cases: dataset.repeats.as_ref().map_or(dataset.cases, |repeats| repeats.cases),
            answers: dataset.cases,
            passed: dataset.passed,
            errored: dataset.errored,
            rate: dataset.rate,
            interval: dataset.interval,
            mean: None,
        });
        rows.push(row(ALL_SCORERS, figures(own, compared), compared));
    }
    rows
}

/// The candidate's figures over the cases of the row's comparison, or over its own where nothing is compared.
fn figures(own: Option<Figures>, compared: Option<&MetricComparison>) -> Figures {
    let errored = own.map_or(0, |own| own.errored);
    match compared {
        Some(metric) if metric.pairs.pairs() > 0 => {
            let MetricSide { passed, rate, interval, mean, .. } = metric.paired_candidate;
            let answers = metric.pairs.pairs();
            // Of units the interval is the run's own, where it is over the same answers.
            let interval = match metric.units.kind {
                UnitKind::Case => interval,
                _ => own.filter(|own| own.passed == passed && own.answers == answers).and_then(|own| own.interval),
            };
            // Groups are counted where their test is told; a row counts cases.
            let cases = if metric.units.kind == UnitKind::Group { answers } else { metric.units.units };
            Figures { cases, answers, passed, errored, rate, interval, mean }
        }
        Some(metric) => own.unwrap_or_else(|| {
            let MetricSide { cases, passed, errored, rate, interval, mean } = metric.candidate;
            Figures { cases, answers: cases, passed, errored, rate, interval, mean }
        }),
        None => own.unwrap_or_default(),
    }
}
