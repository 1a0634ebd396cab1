//! `token_f1`: how many words the answer and a target have in common; the best target counts.
//!
//! The F1 of SQuAD (Rajpurkar et al. 2016): harmonic mean of precision and recall over the multisets of words, after case,
//! punctuation and articles are removed (`normalize` says where karat deviates: an article at the end stays). Two empty texts are
//! equal, as in SQuAD 2.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::explain::{PAIR, quote};
use super::normalize::{Normalizer, Unicode};
use super::reasoning::On;
use super::types::Score;
use crate::dataset::Sample;
use crate::error::{Error, Result};

/// Options of `token_f1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TokenF1Options {
    /// Name in reports and gates; the kind when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What counts of what the model wrote.
    #[serde(skip_serializing_if = "On::is_answer")]
    #[schemars(!skip_serializing_if)]
    pub on: On,
    /// Smallest F1 that passes.
    pub min: f64,
    /// Upper and lower case are equal.
    pub ignore_case: bool,
    /// Punctuation does not count, except inside numbers.
    pub ignore_punctuation: bool,
    /// The English articles a, an and the do not count.
    pub ignore_articles: bool,
    /// Unicode normalisation of both sides.
    pub unicode: Unicode,
}

impl Default for TokenF1Options {
    fn default() -> Self {
        let unicode = Unicode::None;
        Self {
            name: None,
            on: On::Answer,
            min: 0.5,
            ignore_case: true,
            ignore_punctuation: true,
            ignore_articles: true,
            unicode,
        }
    }
}

/// A compiled `token_f1`.
#[derive(Clone, Debug)]
pub struct TokenF1 {
    min: f64,
    /// The same in words.
    bound: String,
    normalizer: Normalizer,
}

impl TokenF1Options {
    /// Checks and compiles the options.
    ///
    /// # Errors
    /// A `min` that no F1 could be.
    pub fn compile(&self) -> Result<TokenF1> {
        if !(0.0..=1.0).contains(&self.min) {
            return Err(Error::input(format!("token_f1: `min` is {}", self.min)).with_hint("an F1, 0 to 1"));
        }
        let normalizer = Normalizer {
            unicode: self.unicode,
            ignore_case: self.ignore_case,
            ignore_articles: self.ignore_articles,
            collapse_whitespace: true,
            trim: true,
            punctuation: self.ignore_punctuation.then(Normalizer::punctuation_pattern).transpose()?,
        };
        Ok(TokenF1 { min: self.min, bound: self.min.to_string(), normalizer })
    }
}

impl TokenF1 {
    /// The value is the largest F1, of the first target in case of a tie.
    ///
    /// # Errors
    /// A case without a target.
    pub fn score(&self, sample: &Sample, output: &str) -> Result<Score> {
        let answer = self.normalizer.apply(output);
        let mut best: Option<(f64, &str)> = None;
        for target in &sample.target {
            let value = f1(&answer, &self.normalizer.apply(target));
            if best.is_none_or(|(largest, _)| value > largest) {
                best = Some((value, target));
            }
        }
        let (value, text) = best.ok_or_else(|| Error::internal("token_f1: the case has no target"))?;
        let (passed, text) = (value >= self.min, quote(text, PAIR));
        let relation = if passed { ", at least " } else { ", below " };
        let explanation = ["F1 ", &four_decimals(value), " with ", &text, relation, &self.bound].concat();
        Ok(Score { passed, value, explanation, outcome: None })
    }
}

/// As `{:.4}` writes a number from 0 to 1, which takes several times as long.
fn four_decimals(value: f64) -> String {
    let parts = value * 1e4;
    // Multiplying rounds by less than this: only of ties it could change the side.
    if (parts.fract() - 0.5).abs() > 1e-6 {
        let parts = parts.round() as u32;
        format!("{}.{:04}", parts / 10_000, parts % 10_000)
    } else {
        format!("{value:.4}")
    }
}

/// 2·common / (words of one + words of the other), which is the harmonic mean of precision and recall.
fn f1(left: &str, right: &str) -> f64 {
    let (left, right) = (sorted_words(left), sorted_words(right));
    let (total, mut common, mut others) = (left.len() + right.len(), 0, right.as_slice());
    for word in left {
        let smaller = others.iter().take_while(|other| order(other) < order(&word)).count();
        others = &others[smaller..];
        if others.first() == Some(&word) {
            others = &others[1..];
            common += 1;
        }
    }
    if total == 0 { 1.0 } else { (2 * common) as f64 / total as f64 }
}

/// Any order will do: this one looks at bytes only where lengths are equal.
fn order<'a>(word: &&'a [u8]) -> (usize, &'a [u8]) {
    (word.len(), word)
}

fn sorted_words(text: &str) -> Vec<&[u8]> {
    let mut words = Vec::with_capacity(text.len() / 4);
    words.extend(text.as_bytes().split(|byte| *byte == b' ').filter(|word| !word.is_empty()));
    words.sort_unstable_by(|one, two| order(one).cmp(&order(two)));
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::testing::sample;
    use proptest::prelude::*;

    fn score(json: &str, targets: &[&str], output: &str) -> Score {
        let options: TokenF1Options = serde_json::from_str(json).unwrap();
        options.compile().unwrap().score(&sample(targets), output).unwrap()
    }

    /// Values of SQuAD's own evaluate-v2.0.py (`compute_f1`).
    #[test]
    fn agrees_with_squad() {
        for (target, output, right) in [
            ("the cat sat", "The cat sat.", 1.0),
            ("Denver Broncos", "the Denver Broncos team", 0.8),
            ("a bee", "a a bee bee", 2.0 * 1.0 / 3.0),
            // Letters alone are no articles: SQuAD's 2/3 counts the b alone.
            ("a b a", "a a b b", 2.0 * 3.0 / 7.0),
            ("x y", "z", 0.0),
            // SQuAD makes nothing of both and calls them equal: `A` would be `The`.
            ("the", "a", 0.0),
            ("the", "cat", 0.0),
            ("in 1986, in Kyiv", "Kyiv in in in 1986", 2.0 * 4.0 / 9.0),
        ] {
            assert_eq!(score("{}", &[target], output).value, right, "{target} / {output}");
        }
        assert_eq!(score("{\"ignore_articles\":false}", &["the cat"], "cat").value, 2.0 / 3.0);
    }

    #[test]
    fn the_best_target_counts() {
        let best = score("{\"min\":0.9}", &["no", "yes sir", "yes"], "Yes!");
        assert_eq!((best.passed, best.explanation.as_str()), (true, "F1 1.0000 with \"yes\", at least 0.9"));
        assert!(!score("{}", &["one two three four"], "one").passed);
        assert!(serde_json::from_str::<TokenF1Options>("{\"min\":1.5}").unwrap().compile().is_err());
    }

    proptest! {
        #[test]
        fn four_decimals_are_those_of_the_language(value in 0.0..=1.0f64, ties in 0u32..=20_000, common in 0u32..40, all in 1u32..40) {
            for value in [value, f64::from(ties) / 2e4, f64::from(common.min(all)) / f64::from(all)] {
                prop_assert_eq!(four_decimals(value), format!("{value:.4}"));
            }
        }

        #[test]
        fn is_symmetric_and_bounded(one in any::<String>(), two in any::<String>()) {
            let value = score("{}", &[&one], &two).value;
            prop_assert!((0.0..=1.0).contains(&value));
            prop_assert_eq!(value, score("{}", &[&two], &one).value);
            prop_assert_eq!(score("{}", &[&one], &one).value, 1.0);
        }
    }
}
