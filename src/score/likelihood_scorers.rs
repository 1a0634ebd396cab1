//! Scorers of log-likelihoods: `choice`, `loglikelihood`, `perplexity`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::likelihood::{ChoiceLikelihoods, ContinuationLikelihood, DocumentLikelihood, Likelihoods, argmax};
use super::types::Score;
use crate::dataset::Sample;
use crate::error::{Error, Result};

/// Options of `choice`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChoiceOptions {
    /// Name in reports and gates; the metric's where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is looked at.
    pub metric: ChoiceMetric,
    /// A case passes from this value on: 0.5 for `probability`, 0 for `margin` and `mass`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// A case passes up to this value of `brier_score`: 0.5 where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// What `choice` looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceMetric {
    /// Whether the most likely choice is right.
    #[default]
    Acc,
    /// The same for log-likelihoods divided by characters.
    AccNorm,
    /// The same for log-likelihoods divided by bytes.
    AccBytes,
    /// The same for log-likelihoods less those without the prompt.
    AccMutualInfo,
    /// How far the most likely choice is ahead of the next, in log-likelihood; passes where the most likely one is right, too.
    Margin,
    /// The probability of the right choices among all.
    Probability,
    /// What part of all probability the choices have: the sum of their probabilities behind the prompt.
    Mass,
    /// Brier score: the sum of squared differences between the probabilities of the choices and the right answer, 0 to 2.
    BrierScore,
}

/// Options of `loglikelihood`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LoglikelihoodOptions {
    /// Name in reports and gates; the metric's where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is looked at.
    pub metric: LoglikelihoodMetric,
    /// A case passes from this value of `logprob` or `logprob_per_token` on; every case where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
}

/// What `loglikelihood` looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoglikelihoodMetric {
    /// Whether the model would answer the target by itself: every token is the greedy one.
    #[default]
    Greedy,
    /// The log-likelihood of the target.
    Logprob,
    /// The same for each of its tokens, on average.
    LogprobPerToken,
}

/// Options of `perplexity`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PerplexityOptions {
    /// Name in reports and gates; the metric's where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What is looked at.
    pub metric: PerplexityMetric,
    /// A document passes up to this value; every one where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// What `perplexity` looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PerplexityMetric {
    /// Bits that a byte of the document takes.
    #[default]
    BitsPerByte,
    /// Perplexity for each byte.
    BytePerplexity,
    /// Perplexity for each word.
    WordPerplexity,
    /// Perplexity for each token: of one tokenizer alone.
    TokenPerplexity,
}

impl ChoiceMetric {
    /// As suites spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Acc => "acc",
            Self::AccNorm => "acc_norm",
            Self::AccBytes => "acc_bytes",
            Self::AccMutualInfo => "acc_mutual_info",
            Self::Margin => "margin",
            Self::Probability => "probability",
            Self::Mass => "mass",
            Self::BrierScore => "brier_score",
        }
    }
}

impl LoglikelihoodMetric {
    /// As suites spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Greedy => "greedy",
            Self::Logprob => "logprob",
            Self::LogprobPerToken => "logprob_per_token",
        }
    }
}

impl PerplexityMetric {
    /// As suites spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::BitsPerByte => "bits_per_byte",
            Self::BytePerplexity => "byte_perplexity",
            Self::WordPerplexity => "word_perplexity",
            Self::TokenPerplexity => "token_perplexity",
        }
    }
}

fn finite(bound: Option<f64>, kind: &str, name: &str) -> Result<()> {
    match bound {
        Some(bound) if !bound.is_finite() => {
            Err(Error::input(format!("failed to read {kind}: `{name}` is {bound}, which is no bound")))
        }
        _ => Ok(()),
    }
}

impl ChoiceOptions {
    /// Whether the options hang together.
    ///
    /// # Errors
    /// A bound that the metric does not have.
    pub fn check(&self) -> Result<()> {
        use ChoiceMetric::{BrierScore, Margin, Mass, Probability};
        finite(self.min, "choice", "min")?;
        finite(self.max, "choice", "max")?;
        if self.min.is_some() && !matches!(self.metric, Margin | Probability | Mass) {
            let message = format!("failed to read choice: `{}` has no `min`", self.metric.name());
            return Err(Error::input(message).with_hint("`min` is of `margin`, `probability` and `mass`"));
        }
        if self.max.is_some() && self.metric != BrierScore {
            let message = format!("failed to read choice: `{}` has no `max`", self.metric.name());
            return Err(Error::input(message).with_hint("`max` is of `brier_score`"));
        }
        Ok(())
    }

    /// The score of a case.
    ///
    /// # Errors
    /// The case was not asked for a choice.
    pub fn score(&self, sample: &Sample, likelihoods: &Likelihoods) -> Result<Score> {
        let Likelihoods::Choice(choice) = likelihoods else { return Err(other_request("choice")) };
        let bound = |usual| self.min.unwrap_or(usual);
        Ok(match self.metric {
            ChoiceMetric::Acc => picked(choice, sample, &choice.logprobs),
            ChoiceMetric::AccNorm => picked(choice, sample, &divided(choice, sample, |text| text.chars().count())),
            ChoiceMetric::AccBytes => picked(choice, sample, &divided(choice, sample, str::len)),
            ChoiceMetric::AccMutualInfo => {
                if choice.unconditional.len() != choice.logprobs.len() {
                    return Err(Error::internal("failed to find the log-likelihoods of choices without their prompt"));
                }
                let both = choice.logprobs.iter().zip(&choice.unconditional);
                picked(choice, sample, &both.map(|(with, without)| with - without).collect::<Vec<_>>())
            }
            ChoiceMetric::Margin => {
                let margin = margin(&choice.logprobs);
                let passed = choice.is_right() && margin >= bound(0.0);
                plain(passed, margin, format!("{} is ahead by {margin:.4}", named(sample, choice.picked)))
            }
            ChoiceMetric::Probability => {
                let probabilities = choice.probabilities();
                let value: f64 = choice.gold.iter().map(|at| probabilities[*at]).sum();
                plain(value >= bound(0.5), value, format!("{} has {value:.4}", rights(sample, choice)))
            }
            ChoiceMetric::Mass => {
                let value = choice.logprobs.iter().map(|logprob| logprob.exp()).sum::<f64>();
                plain(value >= bound(0.0), value, format!("the choices have {value:.4} of all probability"))
            }
            ChoiceMetric::BrierScore => {
                let right = |at: usize| f64::from(u8::from(choice.gold.contains(&at)));
                let probabilities = choice.probabilities().into_iter().enumerate();
                let value: f64 = probabilities.map(|(at, p)| (p - right(at)).powi(2)).sum();
                plain(value <= self.max.unwrap_or(0.5), value, format!("{} is right", rights(sample, choice)))
            }
        })
    }
}

impl LoglikelihoodOptions {
    /// Whether the options hang together.
    ///
    /// # Errors
    /// A bound that the metric does not have.
    pub fn check(&self) -> Result<()> {
        finite(self.min, "loglikelihood", "min")?;
        if self.min.is_some() && self.metric == LoglikelihoodMetric::Greedy {
            return Err(Error::input("failed to read loglikelihood: `greedy` has no `min`"));
        }
        Ok(())
    }

    /// The score of a case.
    ///
    /// # Errors
    /// The case was not asked for the log-likelihood of its target.
    pub fn score(&self, likelihoods: &Likelihoods) -> Result<Score> {
        let Likelihoods::Continuation(ContinuationLikelihood { logprob, tokens, greedy }) = *likelihoods else {
            return Err(other_request("loglikelihood"));
        };
        let explanation = format!("log-likelihood {logprob:.4} of {tokens} tokens");
        let passes = |value: f64| self.min.is_none_or(|min| value >= min);
        Ok(match self.metric {
            LoglikelihoodMetric::Greedy => plain(greedy, f64::from(u8::from(greedy)), explanation),
            LoglikelihoodMetric::Logprob => plain(passes(logprob), logprob, explanation),
            LoglikelihoodMetric::LogprobPerToken => {
                let value = logprob / tokens.max(1) as f64;
                plain(passes(value), value, explanation)
            }
        })
    }
}

impl PerplexityOptions {
    /// Whether the options hang together.
    ///
    /// # Errors
    /// A bound that is none.
    pub fn check(&self) -> Result<()> {
        finite(self.max, "perplexity", "max")
    }

    /// The score of a document.
    ///
    /// # Errors
    /// The case was not asked for its perplexity.
    pub fn score(&self, likelihoods: &Likelihoods) -> Result<Score> {
        let Likelihoods::Document(document) = likelihoods else { return Err(other_request("perplexity")) };
        let DocumentLikelihood { logprob, tokens, words, bytes } = *document;
        // A text without white space is one word, whose perplexity no number may hold.
        let each = |parts: usize| (-logprob / parts.max(1) as f64).exp().min(LARGEST);
        let value = match self.metric {
            PerplexityMetric::BitsPerByte => -logprob / bytes.max(1) as f64 / std::f64::consts::LN_2,
            PerplexityMetric::BytePerplexity => each(bytes),
            PerplexityMetric::WordPerplexity => each(words),
            PerplexityMetric::TokenPerplexity => each(tokens),
        };
        let explanation = format!("log-likelihood {logprob:.4} of {tokens} tokens, {words} words, {bytes} bytes");
        Ok(plain(self.max.is_none_or(|max| value <= max), value, explanation))
    }
}

fn plain(passed: bool, value: f64, explanation: String) -> Score {
    Score { passed, value, explanation, outcome: None }
}

fn other_request(kind: &str) -> Error {
    Error::input(format!("{kind}: the case was asked for something else"))
        .with_hint(format!("datasets with `request: {kind}` have such scorers"))
}

/// Whether the largest of these values is that of a right choice.
fn picked(choice: &ChoiceLikelihoods, sample: &Sample, values: &[f64]) -> Score {
    let (at, tied) = argmax(values);
    let passed = choice.gold.contains(&at);
    let first = if tied { ", the first of equals" } else { "" };
    let explanation = if passed {
        format!("picked {}{first}, ahead by {:.4}", named(sample, at), margin(values))
    } else {
        format!("picked {}{first}; right: {}", named(sample, at), rights(sample, choice))
    };
    plain(passed, f64::from(u8::from(passed)), explanation)
}

fn divided(choice: &ChoiceLikelihoods, sample: &Sample, length: impl Fn(&str) -> usize) -> Vec<f64> {
    let texts = sample.choices.iter().map(|text| length(text).max(1) as f64);
    choice.logprobs.iter().zip(texts).map(|(logprob, length)| logprob / length).collect()
}

/// How far the largest value is above the next.
fn margin(values: &[f64]) -> f64 {
    let (best, _) = argmax(values);
    let others = values.iter().enumerate().filter(|(at, _)| *at != best).map(|(_, value)| *value);
    let next = others.fold(f64::NEG_INFINITY, f64::max);
    values[best] - next
}

/// The largest perplexity that is recorded; what is larger is recorded as this.
const LARGEST: f64 = 1e300;
/// Characters of a choice that an explanation shows.
const SHOWN: usize = 60;

fn named(sample: &Sample, at: usize) -> String {
    let text = sample.choices.get(at).map(String::as_str).unwrap_or_default();
    let shown: String = text.chars().take(SHOWN).collect();
    let cut = if shown.len() < text.len() { "…" } else { "" };
    format!("{at} `{}{cut}`", shown.escape_debug())
}

fn rights(sample: &Sample, choice: &ChoiceLikelihoods) -> String {
    choice.gold.iter().map(|at| named(sample, *at)).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::testing::sample;

    fn case(logprobs: &[f64], unconditional: &[f64], gold: &[usize], choices: &[&str]) -> (Sample, Likelihoods) {
        let mut sample = sample(&[]);
        sample.choices = choices.iter().map(|text| (*text).to_owned()).collect();
        let choice = ChoiceLikelihoods {
            logprobs: logprobs.into(),
            tokens: vec![1; logprobs.len()],
            greedy: vec![false; logprobs.len()],
            unconditional: unconditional.into(),
            gold: gold.into(),
            ..Default::default()
        };
        (sample, Likelihoods::Choice(choice.picked()))
    }

    /// Case `karat_own_mc__fs3` 0 of lm-evaluation-harness's oracle and what it says of it.
    #[test]
    fn figures_are_those_of_lm_eval() {
        let (sample, likelihoods) = case(
            &[-4.524, -6.038, -6.114, -5.985],
            &[-4.43, -4.331, -6.13, -6.161],
            &[2],
            &["the Baltic Sea", "the Arctic Ocean", "the Indian Ocean — ja", "the Atlantic Ocean"],
        );
        for (metric, passed, value) in [
            (ChoiceMetric::Acc, false, 0.0),
            (ChoiceMetric::AccNorm, true, 1.0),
            (ChoiceMetric::AccBytes, true, 1.0),
            (ChoiceMetric::AccMutualInfo, false, 0.0),
            (ChoiceMetric::Margin, false, 1.461),
            (ChoiceMetric::Probability, false, 0.123_146_62),
        ] {
            let score = ChoiceOptions { metric, ..Default::default() }.score(&sample, &likelihoods).unwrap();
            assert_eq!(score.passed, passed, "{metric:?}");
            assert!((score.value - value).abs() < 1e-6, "{metric:?} {}", score.value);
        }
        let brier = ChoiceOptions { metric: ChoiceMetric::BrierScore, ..Default::default() };
        let p = [0.6038801f64, 0.13287059, 0.12314662, 0.14010269];
        let expected = p[0].powi(2) + p[1].powi(2) + (p[2] - 1.0).powi(2) + p[3].powi(2);
        assert!((brier.score(&sample, &likelihoods).unwrap().value - expected).abs() < 1e-6);
    }

    #[test]
    fn ties_go_to_the_first_and_are_said() {
        let (sample, likelihoods) = case(&[-1.0, -1.0], &[], &[1], &["a", "b"]);
        let score = ChoiceOptions::default().score(&sample, &likelihoods).unwrap();
        assert_eq!(
            (score.passed, score.explanation.as_str()),
            (false, "picked 0 `a`, the first of equals; right: 1 `b`")
        );
    }

    #[test]
    fn another_request_and_wrong_bounds_are_errors() {
        let document = Likelihoods::Document(DocumentLikelihood::new(-10.0, 5, "a b"));
        let (sample, choice) = case(&[-1.0, -2.0], &[], &[0], &["a", "b"]);
        assert!(ChoiceOptions::default().score(&sample, &document).is_err());
        assert!(LoglikelihoodOptions::default().score(&choice).is_err());
        assert!(PerplexityOptions::default().score(&choice).is_err());
        assert!(ChoiceOptions { min: Some(0.1), ..Default::default() }.check().is_err());
        assert!(ChoiceOptions { max: Some(0.1), ..Default::default() }.check().is_err());
        assert!(LoglikelihoodOptions { min: Some(0.1), ..Default::default() }.check().is_err());
        assert!(PerplexityOptions { max: Some(f64::NAN), ..Default::default() }.check().is_err());
        let mutual = ChoiceOptions { metric: ChoiceMetric::AccMutualInfo, ..Default::default() };
        assert!(mutual.score(&sample, &choice).is_err());
    }

    #[test]
    fn perplexities_of_a_document() {
        let document = Likelihoods::Document(DocumentLikelihood::new(-175.211, 40, &"x".repeat(138)));
        let value = |metric| PerplexityOptions { metric, ..Default::default() }.score(&document).unwrap().value;
        assert!((value(PerplexityMetric::BitsPerByte) - 175.211 / 138.0 / std::f64::consts::LN_2).abs() < 1e-12);
        assert!((value(PerplexityMetric::BytePerplexity) - (175.211f64 / 138.0).exp()).abs() < 1e-12);
        assert!((value(PerplexityMetric::WordPerplexity) - 175.211f64.exp()).abs() / 175.211f64.exp() < 1e-12);
    }
}
