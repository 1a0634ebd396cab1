//! Expressions as rollback rules use them:
//!
//! ```text
//! danger.toxicity.fail_rate > 0.5% over 10m at least 50 cases or golden.similarity.mean drop > 0.10
//! ```
//!
//! A term compares a metric, or its drop or rise against the baseline, with a number; `over` asks for it in every window of
//! that length over the times of recorded traffic. `not` binds closest, then `and`, then `or`; parentheses group.

use std::fmt;

use super::metric::{Figure, Metric, Statistic};
use super::parse;
use crate::error::Result;

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Expression {
    /// Any of these holds; two at least.
    Or(Vec<Self>),
    /// All of these hold; two at least.
    And(Vec<Self>),
    /// This does not hold.
    Not(Box<Self>),
    /// A comparison.
    Term(Term),
}

/// A comparison of a metric with a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// What is compared.
    pub figure: Figure,
    /// One minus it: the share of cases that fail (`fail_rate`, or `rate` for short).
    pub failing: bool,
    /// Its change against the baseline instead of itself.
    pub change: Option<Change>,
    /// How they compare.
    pub sign: Sign,
    /// The number.
    pub limit: f64,
    /// In a window of time instead of all cases.
    pub window: Option<Window>,
}

/// In which direction a change counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Baseline minus candidate.
    Drop,
    /// Candidate minus baseline.
    Rise,
}

/// How a value compares with the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
}

impl Sign {
    /// Whether a value stands so to a limit; values this near to it are equal to it but for rounding.
    pub fn holds(self, value: f64, limit: f64) -> bool {
        const ROUNDING: f64 = 1e-9;
        match self {
            Self::Above => value > limit + ROUNDING,
            Self::AtLeast => value >= limit - ROUNDING,
            Self::Below => value < limit - ROUNDING,
            Self::AtMost => value <= limit + ROUNDING,
        }
    }

    /// Larger values are likelier to hold.
    pub fn is_upward(self) -> bool {
        matches!(self, Self::Above | Self::AtLeast)
    }
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its length.
    pub seconds: u64,
    /// Windows with fewer cases say nothing.
    pub at_least: u64,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// The first thing that is not understood, with its column.
    pub fn parse(text: &str) -> Result<Self> {
        parse::expression(text)
    }

    /// All its terms, from left to right.
    pub fn terms(&self) -> Vec<&Term> {
        match self {
            Self::Or(parts) | Self::And(parts) => parts.iter().flat_map(Self::terms).collect(),
            Self::Not(part) => part.terms(),
            Self::Term(term) => vec![term],
        }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, parts: &[Self], word: &str| {
            for (at, part) in parts.iter().enumerate() {
                let word = if at == 0 { "" } else { word };
                match part {
                    Self::Or(_) | Self::And(_) => write!(f, "{word}({part})")?,
                    _ => write!(f, "{word}{part}")?,
                }
            }
            Ok(())
        };
        match self {
            Self::Or(parts) => list(f, parts, " or "),
            Self::And(parts) => list(f, parts, " and "),
            Self::Not(part) => match **part {
                Self::Term(_) | Self::Not(_) => write!(f, "not {part}"),
                _ => write!(f, "not ({part})"),
            },
            Self::Term(term) => write!(f, "{term}"),
        }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())?;
        match self.change {
            None => {}
            Some(Change::Drop) => write!(f, " drop")?,
            Some(Change::Rise) => write!(f, " rise")?,
        }
        let sign = match self.sign {
            Sign::Above => ">",
            Sign::AtLeast => ">=",
            Sign::Below => "<",
            Sign::AtMost => "<=",
        };
        write!(f, " {sign} {}", self.limit)?;
        if let Some(Window { seconds, at_least }) = self.window {
            let (n, unit) = match seconds {
                s if s % 86_400 == 0 => (s / 86_400, "d"),
                s if s % 3_600 == 0 => (s / 3_600, "h"),
                s if s % 60 == 0 => (s / 60, "m"),
                s => (s, "s"),
            };
            write!(f, " over {n}{unit}")?;
            if at_least > 1 {
                write!(f, " at least {at_least} cases")?;
            }
        }
        Ok(())
    }
}

impl Term {
    /// The figure as expressions spell it.
    pub fn name(&self) -> String {
        match &self.figure {
            Figure::Scores(Metric { scope, scorer: Some(scorer), statistic: Statistic::PassRate }) if self.failing => {
                format!("{scope}.{scorer}.fail_rate")
            }
            figure => figure.to_string(),
        }
    }
}
