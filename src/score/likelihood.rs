//! What was scored in place of an answer: log-likelihoods of choices, of a continuation, of a document.
//!
//! The figures are those of lm-evaluation-harness 0.4 (`ConfigurableTask.process_results`): the choice with the highest
//! log-likelihood is picked, the first of several that are equal.

use serde::{Deserialize, Serialize};

use crate::engine::render::is_python_space;

/// The log-likelihoods of a case, natural logarithms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Likelihoods {
    /// Of each choice.
    Choice(ChoiceLikelihoods),
    /// Of the target.
    Continuation(ContinuationLikelihood),
    /// Of a whole text.
    Document(DocumentLikelihood),
}

/// Of the choices of a case, in their order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChoiceLikelihoods {
    /// Sums over the tokens of each choice.
    pub logprobs: Vec<f64>,
    /// Tokens of each choice.
    pub tokens: Vec<usize>,
    /// Whether every token of a choice is the model's greedy one.
    pub greedy: Vec<bool>,
    /// The same sums without the prompt; empty where no scorer asked for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unconditional: Vec<f64>,
    /// The right ones, by index.
    pub gold: Vec<usize>,
    /// The most likely one.
    pub picked: usize,
    /// Whether another choice is as likely as the one that was picked, which stands first.
    #[serde(default, skip_serializing_if = "is_false")]
    pub tied: bool,
}

/// Of a continuation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContinuationLikelihood {
    /// Sum over its tokens.
    pub logprob: f64,
    /// Its tokens.
    pub tokens: usize,
    /// Whether every one is the model's greedy one.
    pub greedy: bool,
}

/// Of a document.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentLikelihood {
    /// Sum over its tokens.
    pub logprob: f64,
    /// Its tokens.
    pub tokens: usize,
    /// Its words: what white space separates.
    pub words: usize,
    /// Its bytes in UTF-8.
    pub bytes: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Likelihoods {
    /// Whether all of them are numbers.
    pub fn are_finite(&self) -> bool {
        match self {
            Self::Choice(choice) => choice.logprobs.iter().chain(&choice.unconditional).all(|one| one.is_finite()),
            Self::Continuation(one) => one.logprob.is_finite(),
            Self::Document(one) => one.logprob.is_finite(),
        }
    }

    /// All log-probabilities, to be rounded as records are.
    pub fn logprobs_mut(&mut self) -> Vec<&mut f64> {
        match self {
            Self::Choice(choice) => choice.logprobs.iter_mut().chain(&mut choice.unconditional).collect(),
            Self::Continuation(one) => vec![&mut one.logprob],
            Self::Document(one) => vec![&mut one.logprob],
        }
    }
}

impl ChoiceLikelihoods {
    /// Finds the choice that was picked.
    #[must_use]
    pub fn picked(mut self) -> Self {
        let (picked, tied) = argmax(&self.logprobs);
        (self.picked, self.tied) = (picked, tied);
        self
    }

    /// Whether the one that was picked is right.
    pub fn is_right(&self) -> bool {
        self.gold.contains(&self.picked)
    }

    /// The probabilities of the choices among each other.
    pub fn probabilities(&self) -> Vec<f64> {
        softmax(&self.logprobs)
    }
}

impl DocumentLikelihood {
    /// Of this text.
    pub fn new(logprob: f64, tokens: usize, text: &str) -> Self {
        Self { logprob, tokens, words: words(text), bytes: text.len() }
    }
}

/// Words as lm-evaluation-harness counts them (`re.split(r"\s+", text)`): white space at an end leaves an empty one.
fn words(text: &str) -> usize {
    let (mut words, mut in_space) = (1, false);
    for c in text.chars() {
        let space = is_python_space(c);
        words += usize::from(space && !in_space);
        in_space = space;
    }
    words
}

/// The place of the largest value, the first of several, and whether there are several.
pub(super) fn argmax(values: &[f64]) -> (usize, bool) {
    let mut best = 0;
    for (at, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = at;
        }
    }
    let equal = values.iter().filter(|value| values.get(best) == Some(value)).count();
    (best, equal > 1)
}

/// Shares of the exponentials.
fn softmax(values: &[f64]) -> Vec<f64> {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = values.iter().map(|value| (value - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_pythons_split() {
        for (text, count) in [("", 1), ("a", 1), ("a b", 2), (" a", 2), ("a \n", 2), ("a\u{a0}\tb c", 3), ("\n", 2)] {
            assert_eq!(words(text), count, "{text:?}");
        }
    }

    #[test]
    fn the_first_of_equals_is_picked() {
        assert_eq!(argmax(&[-2.0, -1.0, -1.0]), (1, true));
        assert_eq!(argmax(&[-1.0, -2.0]), (0, false));
        let choice = ChoiceLikelihoods { logprobs: vec![-3.0, -1.0], gold: vec![1], ..Default::default() }.picked();
        assert!(choice.is_right() && !choice.tied);
        assert!((choice.probabilities().iter().sum::<f64>() - 1.0).abs() < 1e-12);
    }
}
