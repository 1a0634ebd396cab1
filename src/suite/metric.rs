//! Gate metrics: `<dataset name or kind>.<scorer name>[.pass_rate|.mean]`.

use std::fmt;

use crate::dataset::Kind;
use crate::error::{Error, Result, nearest};

/// Which cases a metric is taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The cases of one dataset.
    Dataset(String),
    /// The cases of all datasets of a kind.
    Kind(Kind),
}

/// Which number is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// Share of cases that pass.
    PassRate,
    /// Mean of the scorer's values.
    Mean,
}

/// A metric of a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Which cases.
    pub scope: Scope,
    /// Which scorer.
    pub scorer: String,
    /// Which number.
    pub statistic: Statistic,
}

impl Metric {
    /// Reads a metric; a name of `datasets` comes before a kind of the same name.
    ///
    /// # Errors
    /// Text that is no metric, or names a dataset or statistic that does not exist. Scorers are not looked up.
    pub fn parse(text: &str, datasets: &[&str]) -> Result<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        let (scope, scorer, statistic) = match parts.as_slice() {
            [scope, scorer] => (*scope, *scorer, Statistic::PassRate),
            [scope, scorer, "pass_rate"] => (*scope, *scorer, Statistic::PassRate),
            [scope, scorer, "mean"] => (*scope, *scorer, Statistic::Mean),
            [_, _, statistic] => {
                let error = Error::input(format!("read the metric `{text}`: there is no statistic `{statistic}`"));
                return Err(error.with_hint(nearest(statistic, ["pass_rate", "mean"])));
            }
            _ => {
                let error = Error::input(format!("read the metric `{text}`"));
                return Err(error.with_hint("a metric is <dataset or kind>.<scorer>[.pass_rate|.mean]"));
            }
        };
        let scope = match scope {
            name if datasets.contains(&name) => Scope::Dataset(name.into()),
            "golden" => Scope::Kind(Kind::Golden),
            "danger" => Scope::Kind(Kind::Danger),
            name => {
                let error = Error::input(format!("read the metric `{text}`: there is no dataset or kind `{name}`"));
                let known = datasets.iter().copied().chain(["golden", "danger"]);
                return Err(error.with_hint(nearest(name, known)));
            }
        };
        Ok(Self { scope, scorer: scorer.into(), statistic })
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scope = match &self.scope {
            Scope::Dataset(name) => name.as_str(),
            Scope::Kind(Kind::Golden) => "golden",
            Scope::Kind(Kind::Danger) => "danger",
        };
        let statistic = match self.statistic {
            Statistic::PassRate => "pass_rate",
            Statistic::Mean => "mean",
        };
        write!(f, "{scope}.{}.{statistic}", self.scorer)
    }
}
