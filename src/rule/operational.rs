//! Operational figures by name, and what tokens and hours cost.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, nearest};

/// A figure of how a run went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operational {
    /// Tokens of prompt and answer per case.
    TokensPerCase,
    /// Generated tokens per second while answering.
    TokensPerSecond,
    /// Most memory held, in bytes.
    PeakMemoryBytes,
    /// Seconds from start to the last result.
    WallSeconds,
    /// What the run cost, by the suite's prices.
    Cost,
    /// Seconds to the first token of a case asked alone.
    FirstToken(Percentile),
    /// Seconds to the last token of a case asked alone.
    Total(Percentile),
}

/// Which of the sorted values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Percentile {
    /// The median.
    P50,
    /// 95 %.
    P95,
    /// 99 %.
    P99,
}

impl Percentile {
    /// As a share.
    pub fn share(self) -> f64 {
        match self {
            Self::P50 => 0.5,
            Self::P95 => 0.95,
            Self::P99 => 0.99,
        }
    }
}

impl Operational {
    /// Whether known answers, from a cache or as drafts, would make it look better than the model is.
    pub fn is_speed(self) -> bool {
        matches!(self, Self::TokensPerSecond | Self::WallSeconds | Self::Cost)
    }
}

/// What names of operational figures begin with.
const PREFIX: &str = "performance.";

impl Operational {
    const ALL: [(Self, &'static str); 11] = [
        (Self::TokensPerCase, "tokens_per_case"),
        (Self::TokensPerSecond, "tokens_per_second"),
        (Self::PeakMemoryBytes, "peak_memory_bytes"),
        (Self::WallSeconds, "wall_seconds"),
        (Self::Cost, "cost"),
        (Self::FirstToken(Percentile::P50), "first_token.p50"),
        (Self::FirstToken(Percentile::P95), "first_token.p95"),
        (Self::FirstToken(Percentile::P99), "first_token.p99"),
        (Self::Total(Percentile::P50), "total.p50"),
        (Self::Total(Percentile::P95), "total.p95"),
        (Self::Total(Percentile::P99), "total.p99"),
    ];

    /// Reads `performance.<figure>`; none where the text is the name of no operational figure but of something else.
    ///
    /// # Errors
    /// `performance.` and a figure that does not exist.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let Some(name) = text.strip_prefix(PREFIX) else { return Ok(None) };
        match Self::ALL.iter().find(|(_, known)| *known == name) {
            Some((figure, _)) => Ok(Some(*figure)),
            None => Err(Error::input(format!("`{text}` is not a metric: there is no such figure"))
                .with_hint(nearest(name, Self::ALL.iter().map(|(_, known)| *known)))),
        }
    }

    /// Whether it needs the latency probe.
    pub fn needs_probe(self) -> bool {
        matches!(self, Self::FirstToken(_) | Self::Total(_))
    }
}

impl fmt::Display for Operational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(figure, _)| figure == self).map_or("", |(_, name)| name);
        write!(f, "{PREFIX}{name}")
    }
}

/// The suite's price table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Prices {
    /// For a thousand tokens of prompts.
    pub per_1k_prompt_tokens: f64,
    /// For a thousand generated tokens.
    pub per_1k_generated_tokens: f64,
    /// For an hour of the machine, a GPU's say.
    pub per_hour: f64,
    /// In which currency; only shown.
    pub currency: Option<String>,
}

impl Prices {
    /// What so many tokens and seconds cost.
    pub fn cost(&self, prompt_tokens: u64, generated_tokens: u64, seconds: f64) -> f64 {
        self.per_1k_prompt_tokens * prompt_tokens as f64 / 1e3
            + self.per_1k_generated_tokens * generated_tokens as f64 / 1e3
            + self.per_hour * seconds / 3600.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        for (figure, _) in Operational::ALL {
            assert_eq!(Operational::parse(&figure.to_string()).unwrap(), Some(figure));
        }
        assert_eq!(Operational::parse("golden.correct").unwrap(), None);
        let error = Operational::parse("performance.first_token.p90").unwrap_err();
        assert!(error.hint().unwrap().starts_with("did you mean `first_token.p"), "{error:?}");
    }

    #[test]
    fn tokens_and_hours_add_up() {
        let prices = Prices { per_1k_prompt_tokens: 0.5, per_1k_generated_tokens: 2.0, per_hour: 3.6, currency: None };
        assert!((prices.cost(2_000, 500, 1_000.0) - 3.0).abs() < 1e-12);
    }
}
