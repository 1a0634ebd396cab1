//! Metrics of gates: `<dataset or kind>.<scorer>[.pass_rate|.mean]`, `<dataset or kind>[.<scorer>].<outcome rate>`, and what else a
//! gate may ask for by name.
//!
//! Only the grammar: whether there is such a dataset or scorer knows `suite`, and what the value is `compare`.

use std::fmt;

use super::{OUTCOME_RATES, Operational, SCORER_RATES};
use crate::error::{Error, Result, nearest};

/// Which number is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// Share of cases that pass, errored ones as not passing.
    PassRate,
    /// Mean value of the cases that did not err.
    Mean,
    /// Share of answers that became something, of this name.
    OutcomeRate(&'static str),
}

/// A metric of scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// A dataset, or else all datasets of a kind: a dataset of that name comes first.
    pub scope: String,
    /// Which scorer; none for what became of answers, whatever the scorers.
    pub scorer: Option<String>,
    /// Which number.
    pub statistic: Statistic,
}

impl Metric {
    /// Reads a metric; `.pass_rate` is the default. Datasets and scorers, whose names have no dots, are not looked up.
    ///
    /// # Errors
    /// Text that is no metric, or names a statistic that does not exist.
    pub fn parse(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        let (scope, scorer, statistic) = match parts.as_slice() {
            ["", ..] | [_, "", ..] => return Err(malformed(text)),
            [scope, last] => match outcome_rate(last, &OUTCOME_RATES) {
                Some(rate) => (*scope, None, rate),
                None => (*scope, Some(*last), Statistic::PassRate),
            },
            [scope, scorer, "pass_rate"] => (*scope, Some(*scorer), Statistic::PassRate),
            [scope, scorer, "mean"] => (*scope, Some(*scorer), Statistic::Mean),
            [scope, scorer, last] => match outcome_rate(last, &SCORER_RATES) {
                Some(rate) => (*scope, Some(*scorer), rate),
                None => return Err(no_statistic(text, scope, last)),
            },
            _ => return Err(malformed(text)),
        };
        Ok(Self { scope: scope.to_owned(), scorer: scorer.map(str::to_owned), statistic })
    }
}

fn outcome_rate(name: &str, known: &[&'static str]) -> Option<Statistic> {
    known.iter().find(|rate| **rate == name).map(|rate| Statistic::OutcomeRate(rate))
}

fn malformed(text: &str) -> Error {
    let error = Error::input(format!("`{text}` is not a metric"));
    error.with_hint("a metric is <dataset or kind>.<scorer>[.pass_rate|.mean]")
}

fn no_statistic(text: &str, scope: &str, last: &str) -> Error {
    if OUTCOME_RATES.contains(&last) {
        let error = Error::input(format!("`{text}` is not a metric: `{last}` is not a rate of a scorer"));
        return error.with_hint(format!("write `{scope}.{last}`"));
    }
    let error = Error::input(format!("`{text}` is not a metric: there is no statistic `{last}`"));
    error.with_hint(nearest(last, ["pass_rate", "mean"].into_iter().chain(SCORER_RATES)))
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", self.scope)?;
        if let Some(scorer) = &self.scorer {
            write!(f, "{scorer}.")?;
        }
        f.write_str(match self.statistic {
            Statistic::PassRate => "pass_rate",
            Statistic::Mean => "mean",
            Statistic::OutcomeRate(rate) => rate,
        })
    }
}

/// What a gate asks for by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Figure {
    /// How the run went: `performance.<figure>`.
    Operational(Operational),
    /// A metric of its scores.
    Scores(Metric),
}

impl Figure {
    /// Reads the name of either.
    ///
    /// # Errors
    /// `performance.` and a figure that does not exist, or as [`Metric::parse`].
    pub fn parse(text: &str) -> Result<Self> {
        match Operational::parse(text)? {
            Some(figure) => Ok(Self::Operational(figure)),
            None => Metric::parse(text).map(Self::Scores),
        }
    }

    /// The metric, where it is one of scores.
    pub fn metric(&self) -> Option<&Metric> {
        match self {
            Self::Operational(_) => None,
            Self::Scores(metric) => Some(metric),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operational(figure) => figure.fmt(f),
            Self::Scores(metric) => metric.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse() {
        let parsed = |text| Metric::parse(text).map(|metric| metric.to_string()).map_err(|e| e.to_string());
        assert_eq!(parsed("golden.close").unwrap(), "golden.close.pass_rate");
        assert_eq!(parsed("golden.close.mean").unwrap(), "golden.close.mean");
        assert_eq!(parsed("golden.mean").unwrap(), "golden.mean.pass_rate", "a scorer may be called mean");
        assert_eq!(parsed("golden.empty_rate").unwrap(), "golden.empty_rate");
        assert_eq!(parsed("golden.close.no_answer_rate").unwrap(), "golden.close.no_answer_rate");
        assert_eq!(parsed("golden").unwrap_err(), "`golden` is not a metric");
        assert_eq!(parsed("v1.2.close.mean").unwrap_err(), "`v1.2.close.mean` is not a metric");
        assert!(parsed(".x").is_err() && parsed("x.").is_err() && parsed("x..mean").is_err() && parsed("").is_err());
        let error = Metric::parse("golden.close.maen").unwrap_err();
        assert_eq!(error.message(), "`golden.close.maen` is not a metric: there is no statistic `maen`");
        assert_eq!(error.hint(), Some("did you mean `mean`?"));
        let error = Metric::parse("golden.close.empty_rate").unwrap_err();
        assert_eq!(error.hint(), Some("write `golden.empty_rate`"));
    }

    #[test]
    fn operational_figures_come_first() {
        let figure = Figure::parse("performance.total.p95").unwrap();
        assert_eq!((figure.to_string().as_str(), figure.metric()), ("performance.total.p95", None));
        assert_eq!(Figure::parse("golden.close").unwrap().to_string(), "golden.close.pass_rate");
        assert!(Figure::parse("performance.close").is_err());
    }
}
