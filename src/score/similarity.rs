//! `similarity`: cosine between the embedding of the answer and those of the targets; the best target counts.
//!
//! It computes no embedding: `needs` names the texts, the driver has them embedded in batches. An empty answer needs
//! nothing and has similarity 0, because a model's vector of the empty text is that of its special tokens alone.

use serde::{Deserialize, Serialize};

use super::explain::{PAIR, quote};
use super::reasoning::On;
use super::types::{Answer, Need, Score};
use crate::dataset::Sample;
use crate::error::{Error, Result};

/// Options of `similarity`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimilarityOptions {
    /// Name in reports and gates; the kind when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What counts: the `answer` (default), the `thought` before it, or `all`.
    #[serde(skip_serializing_if = "On::is_answer")]
    pub on: On,
    /// Smallest cosine that passes (default 0.8).
    pub min: f64,
}

impl Default for SimilarityOptions {
    fn default() -> Self {
        Self { name: None, on: On::Answer, min: 0.8 }
    }
}

/// A compiled `similarity`.
#[derive(Clone, Debug)]
pub struct Similarity {
    min: f64,
}

impl SimilarityOptions {
    /// Checks and compiles the options.
    ///
    /// # Errors
    /// A `min` that is no cosine.
    pub fn compile(&self) -> Result<Similarity> {
        if !(-1.0..=1.0).contains(&self.min) {
            return Err(Error::input(format!("read similarity: `min` is {}", self.min)).with_hint("a cosine, -1 to 1"));
        }
        Ok(Similarity { min: self.min })
    }
}

impl Similarity {
    /// The answer first, then the targets in order; nothing for an empty answer.
    pub fn needs(&self, sample: &Sample, output: &str) -> Vec<Need> {
        if output.trim().is_empty() {
            return Vec::new();
        }
        std::iter::once(output).chain(sample.target.iter().map(String::as_str)).map(|t| Need::Embed(t.into())).collect()
    }

    /// The value is the largest cosine, of the first target in case of a tie.
    ///
    /// # Errors
    /// A text that could not be embedded, vectors of different lengths, a vector that is zero or not finite.
    pub fn score(&self, sample: &Sample, output: &str, answers: &[Answer]) -> Result<Score> {
        if output.trim().is_empty() {
            return Ok(Score {
                passed: false,
                value: 0.0,
                explanation: "the answer is empty".to_owned(),
                outcome: None,
            });
        }
        let [answer, targets @ ..] = answers else {
            return Err(Error::internal("score with similarity: no embedding of the answer"));
        };
        if targets.len() != sample.target.len() {
            return Err(Error::internal("score with similarity: embeddings and targets differ in number"));
        }
        let answer = embedding(answer)?;
        let mut best: Option<(f64, &str)> = None;
        for (target, text) in targets.iter().zip(&sample.target) {
            let value = cosine(answer, embedding(target)?)?;
            if best.is_none_or(|(largest, _)| value > largest) {
                best = Some((value, text));
            }
        }
        let (value, text) = best.ok_or_else(|| Error::internal("score with similarity: no target"))?;
        let (passed, text) = (value >= self.min, quote(text, PAIR));
        let relation = if passed { "at least" } else { "below" };
        let explanation = format!("cosine {value:.4} with {text}, {relation} {}", self.min);
        Ok(Score { passed, value, explanation, outcome: None })
    }
}

fn embedding(answer: &Answer) -> Result<&[f32]> {
    match answer {
        Answer::Embedding(vector) => Ok(vector),
        Answer::Failed(reason) => Err(Error::input(format!("score with similarity: {reason}"))),
        Answer::Labels(_) => Err(Error::internal("score with similarity: labels in place of an embedding")),
    }
}

/// Cosine of two vectors, summed in index order in f64 and clamped to [-1, 1].
fn cosine(left: &[f32], right: &[f32]) -> Result<f64> {
    if left.len() != right.len() {
        let lengths = format!("{} and {}", left.len(), right.len());
        return Err(Error::input(format!("score with similarity: the embeddings have {lengths} values")));
    }
    let (mut dot, mut left_square, mut right_square) = (0.0, 0.0, 0.0);
    for (l, r) in left.iter().zip(right) {
        let (l, r) = (f64::from(*l), f64::from(*r));
        dot += l * r;
        left_square += l * l;
        right_square += r * r;
    }
    let norm = left_square.sqrt() * right_square.sqrt();
    if !(norm.is_finite() && norm > 0.0 && dot.is_finite()) {
        return Err(Error::input("score with similarity: an embedding is zero or not finite"));
    }
    Ok((dot / norm).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::testing::sample;
    use proptest::prelude::*;

    fn vector(values: &[f32]) -> Answer {
        Answer::Embedding(values.into())
    }

    #[test]
    fn best_target_counts() {
        let scorer = SimilarityOptions::default().compile().unwrap();
        let sample = sample(&["far", "near"]);
        assert_eq!(scorer.needs(&sample, "out").len(), 3);
        assert_eq!(scorer.needs(&sample, "out")[1], Need::Embed("far".into()));
        let answers = [vector(&[2.0, 0.0]), vector(&[0.0, 1.0]), vector(&[3.0, 0.0])];
        let score = scorer.score(&sample, "out", &answers).unwrap();
        assert_eq!((score.passed, score.value), (true, 1.0));
        assert_eq!(score.explanation, "cosine 1.0000 with \"near\", at least 0.8");
    }

    #[test]
    fn empty_and_broken() {
        let scorer = SimilarityOptions::default().compile().unwrap();
        let sample = sample(&["a"]);
        assert!(scorer.needs(&sample, " \n").is_empty());
        assert!(!scorer.score(&sample, "", &[]).unwrap().passed);
        for answers in [
            vec![],
            vec![vector(&[1.0])],
            vec![vector(&[1.0]), vector(&[1.0, 2.0])],
            vec![vector(&[0.0]), vector(&[1.0])],
            vec![vector(&[f32::NAN]), vector(&[1.0])],
            vec![vector(&[1.0]), Answer::Failed("too long".into())],
            vec![vector(&[1.0]), Answer::Labels([].into())],
        ] {
            assert!(scorer.score(&sample, "x", &answers).is_err());
        }
        assert!(SimilarityOptions { name: None, on: On::Answer, min: 1.5 }.compile().is_err());
        assert!(SimilarityOptions { name: None, on: On::Answer, min: f64::NAN }.compile().is_err());
    }

    proptest! {
        #[test]
        fn cosine_is_symmetric_and_bounded(pairs in prop::collection::vec((-1e3f32..1e3, -1e3f32..1e3), 1..64)) {
            let (left, right): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            if let Ok(value) = cosine(&left, &right) {
                prop_assert!((-1.0..=1.0).contains(&value));
                prop_assert_eq!(cosine(&right, &left).unwrap(), value);
                prop_assert!((cosine(&left, &left).unwrap() - 1.0).abs() < 1e-12);
            }
        }
    }
}
