//! Passes over cases, for rules that figures of whole datasets do not answer: filters, windows of time, unpaired means.

use std::collections::BTreeSet;

use super::cases::{CaseLines, Cases};
use super::comparison::compare_pairs;
use super::subject::Subject;
use super::tally::VALUES;
use super::{CompareOptions, Comparison, Method, Metric, Pair, pairs};
use crate::error::Result;
use crate::record::{ResultLine, Summary, summarise};
use crate::rule::Filter;

/// A run and its comparison as if they held only some cases.
pub(super) struct View {
    pub summary: Summary,
    pub comparison: Option<Comparison>,
}

impl View {
    /// Through this filter. A case is looked at where the candidate files it so, however the baseline filed it; one that the
    /// candidate lacks goes by the baseline's tags.
    pub fn new(subject: &Subject<'_>, filter: &Filter, method: Method) -> Result<Self> {
        let summary = summarise(some(subject.cases.lines()?, filter))?;
        let comparison = match subject.base_cases {
            None => None,
            Some(base) => {
                let looked_at = |pair: &Result<Pair>| match pair {
                    Ok(Pair::Both(_, line) | Pair::Added(line) | Pair::Removed(line)) => {
                        filter.holds(&line.tags, &line.metadata)
                    }
                    Err(_) => true,
                };
                let some = pairs(base.lines()?, subject.cases.lines()?).filter(looked_at);
                // What the runs are is said by the comparison of the whole.
                let manifests = (subject.base_manifest.unwrap_or(subject.manifest), subject.manifest);
                let options = CompareOptions { method, ..CompareOptions::default() };
                let mut comparison = compare_pairs(manifests, (None, None), some, options)?;
                if let Some(whole) = subject.comparison {
                    comparison.base = whole.base.clone();
                }
                Some(comparison)
            }
        };
        Ok(Self { summary, comparison })
    }
}

fn some<'a>(lines: CaseLines<'a>, filter: &'a Filter) -> CaseLines<'a> {
    let looked_at = |line: &Result<ResultLine>| match line {
        Ok(line) => filter.holds(&line.tags, &line.metadata),
        Err(_) => true,
    };
    Box::new(lines.filter(looked_at))
}

/// What a metric's scorer says about one case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Said {
    /// Seconds since 1970, where the case has a time.
    pub at: Option<i64>,
    /// It erred: then it did not pass, and has no value.
    pub erred: bool,
    /// It passed, and did not err.
    pub passed: bool,
    /// Its value; none where it erred.
    pub value: Option<f64>,
}

/// How cases that erred are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errors {
    /// As not passing, and without a value.
    AsSeen,
    /// As failed, with the lowest value.
    Low,
    /// As passed, with the highest value.
    High,
}

impl Said {
    /// Whether it passes.
    pub fn passes(&self, errors: Errors) -> bool {
        if self.erred { errors == Errors::High } else { self.passed }
    }

    /// Its value, where it counts.
    pub fn value_of(&self, errors: Errors) -> Option<f64> {
        match (self.erred, errors) {
            (false, _) => self.value,
            (true, Errors::AsSeen) => None,
            (true, Errors::Low) => Some(VALUES.0),
            (true, Errors::High) => Some(VALUES.1),
        }
    }
}

/// What a metric's scorer says, case by case, as far as `filter` looks. `summary` tells which datasets it covers.
pub(super) fn said(cases: &dyn Cases, metric: &Metric, summary: &Summary, filter: &Filter) -> Result<Vec<Said>> {
    let covered = metric.covers(summary);
    let scorers: BTreeSet<(&str, &str)> = covered.iter().map(|(dataset, scorer)| (&**dataset, &**scorer)).collect();
    let mut found = Vec::new();
    for line in some(cases.lines()?, filter) {
        let line = line?;
        for (_, scorer) in scorers.iter().filter(|(dataset, _)| *dataset == line.dataset) {
            let score = line.scores.get(*scorer);
            let erred = line.error.is_some();
            if score.is_none() && !erred {
                continue;
            }
            let at = line.timestamp.as_ref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
            found.push(Said {
                at: at.map(jiff::Timestamp::as_second),
                erred,
                passed: !erred && score.is_some_and(|score| score.passed),
                value: score.filter(|_| !erred).map(|score| score.value),
            });
        }
    }
    Ok(found)
}
