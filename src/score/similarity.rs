//! `similarity`: cosine between the embedding of the answer and those of the targets; the best target counts.
//!
//! It computes no embedding: `needs` names the texts, the driver has them embedded in batches. An empty answer needs
//! nothing and has similarity 0, because a model's vector of the empty text is that of its special tokens alone.
//!
//! A text that is longer than the model reads has one vector for each of its windows. Two such texts are as similar as the window
//! that has the worst counterpart: every window, of the answer and of the target, is held against its best match on the other
//! side, and the smallest of these cosines counts (a symmetric Hausdorff similarity). So nothing in either text goes
//! unseen, wherever it stands: a mean would drown one window that says the opposite among many that agree. Where both texts
//! have one vector this is their cosine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::explain::{PAIR, quote_between};
use super::reasoning::On;
use super::types::{Answer, Lacking, Need, Score};
use crate::dataset::Sample;
use crate::engine::{Length, Long, Reading, Span};
use crate::error::{Error, Result};

/// Options of `similarity`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SimilarityOptions {
    /// Name in reports and gates; the kind when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What counts of what the model wrote.
    #[serde(skip_serializing_if = "On::is_answer")]
    #[schemars(!skip_serializing_if)]
    pub on: On,
    /// Smallest cosine that passes.
    pub min: f64,
    /// What becomes of a text that is longer than the model reads.
    #[serde(skip_serializing_if = "Long::is_windows")]
    #[schemars(!skip_serializing_if, schema_with = "super::types::long_schema")]
    pub long: Long,
}

impl Default for SimilarityOptions {
    fn default() -> Self {
        Self { name: None, on: On::Answer, min: 0.8, long: Long::Windows }
    }
}

/// A compiled `similarity`.
#[derive(Clone, Debug)]
pub struct Similarity {
    min: f64,
    long: Long,
}

/// Vectors of a text, one for each of its windows.
type Vectors = Reading<Vec<f32>>;

/// How much two texts are alike.
struct Likeness<'a> {
    value: f64,
    /// The window that has the worst counterpart, where one of the texts has several.
    least: Option<Least<'a>>,
}

enum Least<'a> {
    OfAnswer(&'a Span),
    OfTarget(&'a Span),
    /// The answer or target that the model reads at once.
    Whole,
}

impl SimilarityOptions {
    /// Checks and compiles the options.
    ///
    /// # Errors
    /// A `min` that is no cosine.
    pub fn compile(&self) -> Result<Similarity> {
        if !(-1.0..=1.0).contains(&self.min) {
            return Err(Error::input(format!("similarity: `min` is {}", self.min)).with_hint("a cosine, -1 to 1"));
        }
        Ok(Similarity { min: self.min, long: self.long })
    }
}

impl Similarity {
    /// The answer first, then the targets in order; nothing for an empty answer.
    pub fn needs(&self, sample: &Sample, output: &str) -> Vec<Need> {
        if output.trim().is_empty() {
            return Vec::new();
        }
        let texts = std::iter::once(output).chain(sample.target.iter().map(String::as_str));
        texts.map(|text| Need::Embed(text.into(), self.long)).collect()
    }

    /// The value is that of the target that is most alike, of the first in case of a tie.
    ///
    /// # Errors
    /// A text that could not be embedded or is too long, vectors of different lengths, a vector that is zero or not finite.
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
            return Err(Error::internal("failed to score with similarity: no embedding of the answer"));
        };
        if targets.len() != sample.target.len() {
            return Err(Error::internal("failed to score with similarity: embeddings and targets differ in number"));
        }
        let answer = vectors(answer, "the answer")?;
        let (mut best, mut cut): (Option<Best<'_>>, Vec<Length>) = (None, answer.cut().into_iter().collect());
        for (target, text) in targets.iter().zip(&sample.target) {
            let target = vectors(target, "a target")?;
            cut.extend(target.cut());
            let likeness = likeness(answer, target)?;
            if best.as_ref().is_none_or(|best| likeness.value > best.likeness.value) {
                best = Some(Best { likeness, target, text });
            }
        }
        let best = best.ok_or_else(|| Error::internal("similarity: the case has no target"))?;
        let (value, passed) = (best.likeness.value, best.likeness.value >= self.min);
        let limit = format!(", {} {}", if passed { "at least" } else { "below" }, self.min);
        let explanation = best.explanation(answer, &(limit + &not_read(&cut)));
        Ok(Score { passed, value, explanation, outcome: (!cut.is_empty()).then_some(Lacking::Truncated) })
    }
}

/// The target that is most alike.
struct Best<'a> {
    likeness: Likeness<'a>,
    target: &'a Vectors,
    text: &'a str,
}

impl Best<'_> {
    fn explanation(&self, answer: &Vectors, end: &str) -> String {
        let (value, (ours, theirs)) = (self.likeness.value, (answer.values().count(), self.target.values().count()));
        let windows = match (ours, theirs) {
            (1, more) | (more, 1) => format!(", the least of {more} windows"),
            (ours, theirs) => format!(", the least of {ours} and {theirs} windows"),
        };
        // Texts that differ do not get the cosine of equal ones by rounding.
        let shown = if value < 1.0 - 1e-9 { value.min(0.9999) } else { value };
        let tokens = |reading: &Vectors| match reading {
            Reading::Windows(windows) => windows.tokens,
            Reading::Whole(_) | Reading::Cut(..) => 0,
        };
        let (before, after) = match self.likeness.least {
            None => (format!("cosine {value:.4} with "), String::new()),
            Some(Least::Whole) => (format!("cosine {shown:.4} with "), windows),
            Some(Least::OfAnswer(span)) => {
                (format!("cosine {shown:.4} of {span} of {} with ", tokens(answer)), windows)
            }
            Some(Least::OfTarget(span)) => {
                (format!("cosine {shown:.4} with {span} of {} of ", tokens(self.target)), windows)
            }
        };
        quote_between(&before, self.text, PAIR, &(after + end))
    }
}

/// What of the texts was cut off, in words.
fn not_read(cut: &[Length]) -> String {
    match cut {
        [] => String::new(),
        [one] => format!("; {} of {} tokens were not read", one.cut(), one.tokens),
        several => {
            let tokens: usize = several.iter().map(|length| length.cut()).sum();
            format!("; {tokens} tokens of {} texts were not read", several.len())
        }
    }
}

fn vectors<'a>(answer: &'a Answer, which: &str) -> Result<&'a Vectors> {
    match answer {
        Answer::Embedding(vectors) => Ok(vectors),
        Answer::TooLong(length) => Err(Error::input(format!("similarity: {which} {length}"))),
        Answer::Failed(reason) => Err(Error::input(format!("similarity: {reason}"))),
        Answer::Labels(_) => Err(Error::internal("failed to score with similarity: labels in place of an embedding")),
    }
}

/// The smallest of the cosines that windows have with their best match in the other text, of the first window in case of a tie.
fn likeness<'a>(answer: &'a Vectors, target: &'a Vectors) -> Result<Likeness<'a>> {
    let (mut of_answer, mut of_target) = (Vec::new(), vec![f64::NEG_INFINITY; target.values().count()]);
    for (_, left) in answer.values() {
        let mut best = f64::NEG_INFINITY;
        for ((_, right), of_target) in target.values().zip(&mut of_target) {
            let value = cosine(left, right)?;
            best = best.max(value);
            *of_target = of_target.max(value);
        }
        of_answer.push(best);
    }
    if let ([only], [_]) = (&of_answer[..], &of_target[..]) {
        return Ok(Likeness { value: *only, least: None });
    }
    let ours = answer.values().map(|(span, _)| span.map_or(Least::Whole, Least::OfAnswer)).zip(of_answer);
    let theirs = target.values().map(|(span, _)| span.map_or(Least::Whole, Least::OfTarget)).zip(of_target);
    let mut least: Option<Likeness<'a>> = None;
    for (window, value) in ours.chain(theirs) {
        if least.as_ref().is_none_or(|least| value < least.value) {
            least = Some(Likeness { value, least: Some(window) });
        }
    }
    least.ok_or_else(|| Error::internal("failed to score with similarity: no vector"))
}

/// Cosine of two vectors, summed in index order in f64 and clamped to [-1, 1].
fn cosine(left: &[f32], right: &[f32]) -> Result<f64> {
    if left.len() != right.len() {
        let lengths = format!("{} and {}", left.len(), right.len());
        return Err(Error::input(format!("similarity: the embeddings have {lengths} values")));
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
        return Err(Error::input("similarity: an embedding is zero or not finite"));
    }
    Ok((dot / norm).clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Part, Windows};
    use crate::score::testing::sample;
    use proptest::prelude::*;

    fn vector(values: &[f32]) -> Answer {
        Answer::Embedding(Reading::Whole(values.to_vec()).into())
    }

    /// A text of ten tokens a window, each of which begins in the middle of the one before.
    fn windows(vectors: &[[f32; 2]]) -> Answer {
        let span = |at: usize| Span { tokens: 5 * at..5 * at + 10, characters: at..at + 1 };
        let windows: Vec<_> = vectors.iter().enumerate().map(|(at, vector)| (span(at), vector.to_vec())).collect();
        Answer::Embedding(Reading::Windows(Windows { tokens: 5 * vectors.len() + 5, part: Part::Text, windows }).into())
    }

    #[test]
    fn best_target_counts() {
        let scorer = SimilarityOptions::default().compile().unwrap();
        let sample = sample(&["far", "near"]);
        assert_eq!(scorer.needs(&sample, "out").len(), 3);
        assert_eq!(scorer.needs(&sample, "out")[1], Need::Embed("far".into(), Long::Windows));
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
            vec![vector(&[1.0]), Answer::Labels(Reading::Whole(vec![]).into())],
        ] {
            assert!(scorer.score(&sample, "x", &answers).is_err());
        }
        assert!(SimilarityOptions { min: 1.5, ..SimilarityOptions::default() }.compile().is_err());
        assert!(SimilarityOptions { min: f64::NAN, ..SimilarityOptions::default() }.compile().is_err());
    }

    #[test]
    fn the_window_with_the_worst_counterpart_counts() {
        let scorer = SimilarityOptions::default().compile().unwrap();
        let sample = sample(&["target"]);
        let (x, y) = ([1.0, 0.0], [0.0, 1.0]);
        let score =
            |answer: &Answer, target: &Answer| scorer.score(&sample, "out", &[answer.clone(), target.clone()]).unwrap();
        let same = score(&windows(&[x, y]), &windows(&[x, y]));
        assert_eq!((same.passed, same.value, same.outcome), (true, 1.0, None));
        assert!(same.explanation.ends_with(", the least of 2 and 2 windows, at least 0.8"), "{}", same.explanation);
        // Windows may stand elsewhere in the other text, but each must stand somewhere.
        assert_eq!(score(&windows(&[y, x, x]), &windows(&[x, y])).value, 1.0);
        let end = score(&windows(&[x, x, x, y]), &windows(&[x, x, x, x]));
        assert_eq!((end.passed, end.value), (false, 0.0));
        let said = "cosine 0.0000 of tokens 16 to 25 of 25 with \"target\", the least of 4 and 4 windows, below 0.8";
        assert_eq!(end.explanation, said);
        let said = "cosine 0.0000 with tokens 16 to 25 of 25 of \"target\", the least of 4 windows, below 0.8";
        assert_eq!(score(&vector(&x), &windows(&[x, x, x, y])).explanation, said, "one long and one short");
        assert_eq!(score(&windows(&[x, y]), &vector(&x)).value, 0.0);
        let near = score(&windows(&[x, x]), &windows(&[x, [1.0, 0.001]]));
        assert!(near.explanation.starts_with("cosine 0.9999 "), "{}", near.explanation);
    }

    #[test]
    fn what_was_cut_is_said_and_what_is_too_long_is_an_error() {
        let scorer = SimilarityOptions { long: Long::Cut, ..SimilarityOptions::default() }.compile().unwrap();
        let sample = sample(&["target"]);
        assert_eq!(scorer.needs(&sample, "x")[1], Need::Embed("target".into(), Long::Cut));
        let length = Length { tokens: 702, read: 256 };
        let cut = Answer::Embedding(Reading::Cut(vec![1.0], length).into());
        let score = scorer.score(&sample, "x", &[cut.clone(), vector(&[1.0])]).unwrap();
        assert_eq!((score.passed, score.outcome), (true, Some(Lacking::Truncated)));
        let said = "cosine 1.0000 with \"target\", at least 0.8; 446 of 702 tokens were not read";
        assert_eq!(score.explanation, said);
        let score = scorer.score(&sample, "x", &[cut.clone(), cut]).unwrap();
        assert!(score.explanation.ends_with("; 892 tokens of 2 texts were not read"), "{}", score.explanation);
        let too_long = |answers: [Answer; 2]| scorer.score(&sample, "x", &answers).unwrap_err().message().to_owned();
        let (long, short) = (Answer::TooLong(length), vector(&[1.0]));
        let what = "has 702 tokens, the model reads 256";
        assert_eq!(too_long([long.clone(), short.clone()]), format!("similarity: the answer {what}"));
        assert_eq!(too_long([short, long]), format!("similarity: a target {what}"));
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
