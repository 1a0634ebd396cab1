//! Gate metrics: `<dataset name or kind>.<scorer name>[.pass_rate|.mean]`.

use std::fmt;

use crate::dataset::Kind;
use crate::error::{Error, Result, nearest};
use crate::rule::{OUTCOME_RATES, SCORER_RATES};

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
    /// Share of answers that became something, of this name.
    OutcomeRate(&'static str),
}

/// A metric of a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Which cases.
    pub scope: Scope,
    /// Which scorer; none for what became of answers, whatever the scorers.
    pub scorer: Option<String>,
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
            [scope, rate] if OUTCOME_RATES.contains(rate) => (*scope, None, named(rate)),
            [scope, scorer] => (*scope, Some(*scorer), Statistic::PassRate),
            [scope, scorer, "pass_rate"] => (*scope, Some(*scorer), Statistic::PassRate),
            [scope, scorer, "mean"] => (*scope, Some(*scorer), Statistic::Mean),
            [scope, scorer, rate] if SCORER_RATES.contains(rate) => (*scope, Some(*scorer), named(rate)),
            [scope, _, rate] if OUTCOME_RATES.contains(rate) => {
                let error = Error::input(format!("read the metric `{text}`: `{rate}` is not one of a scorer"));
                return Err(error.with_hint(format!("write `{scope}.{rate}`")));
            }
            [_, _, statistic] => {
                let error = Error::input(format!("read the metric `{text}`: there is no statistic `{statistic}`"));
                let known = ["pass_rate", "mean"].into_iter().chain(SCORER_RATES);
                return Err(error.with_hint(nearest(statistic, known)));
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
        Ok(Self { scope, scorer: scorer.map(str::to_owned), statistic })
    }
}

fn named(rate: &str) -> Statistic {
    Statistic::OutcomeRate(OUTCOME_RATES.into_iter().find(|known| *known == rate).unwrap_or("empty_rate"))
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
            Statistic::OutcomeRate(rate) => rate,
        };
        match &self.scorer {
            Some(scorer) => write!(f, "{scope}.{scorer}.{statistic}"),
            None => write!(f, "{scope}.{statistic}"),
        }
    }
}
