//! What log-likelihoods of a dataset come to: perplexities, ties, calibration, classification figures.
//!
//! Sums are of whole numbers, so that neither order nor parts count. Perplexities are those of lm-evaluation-harness 0.4
//! (`perplexity`, `weighted_perplexity`, `bits_per_byte`); `f1` and `mcc` those of scikit-learn, which it calls.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::round;
use super::sum::Sum;
use crate::score::{ChoiceLikelihoods, Likelihoods};

/// Figures over the cases of a dataset that did not err.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LikelihoodFigures {
    /// Of choices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<ChoiceFigures>,
    /// Of targets: the exponential of the mean log-likelihood of a case, its sign turned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perplexity: Option<f64>,
    /// Of documents: bits that a byte takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_per_byte: Option<f64>,
    /// Of documents: perplexity for each byte of all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte_perplexity: Option<f64>,
    /// Of documents: perplexity for each word of all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word_perplexity: Option<f64>,
}

/// Figures of choices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChoiceFigures {
    /// Cases in which another choice was as likely as the one that was picked.
    pub tied: u64,
    /// F1 of the second of two choices; none where there are more, or a case has several right ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub f1: Option<f64>,
    /// Matthews' correlation of right and picked choices; none where a case has several right ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcc: Option<f64>,
    /// How far probabilities of choices are from how often they are right.
    pub calibration: Calibration,
}

/// Expected calibration error with its bins (C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// The mean distance of confidence and accuracy, weighed by cases; 0 is best.
    pub error: Option<f64>,
    /// Bins of equal width that have cases.
    pub bins: Vec<Bin>,
}

/// Cases whose most likely choice has a probability within bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bin {
    /// The probability is above this …
    pub above: f64,
    /// … and at most this.
    pub to: f64,
    /// Cases.
    pub cases: u64,
    /// Those whose most likely choice is right.
    pub right: u64,
    /// The mean probability of the most likely choice.
    pub confidence: Option<f64>,
}

/// Bins of calibration.
const BINS: usize = 15;
/// Choices of a case up to which right and picked ones are counted against each other.
const CLASSES: usize = 64;

/// Adds log-likelihoods up.
#[derive(Debug, Default)]
pub(super) struct LikelihoodTally {
    choices: u64,
    tied: u64,
    bins: [BinTally; BINS],
    /// By the right and the picked choice; none once a case has several right ones, or too many.
    confusion: Option<BTreeMap<(usize, usize), u64>>,
    several: bool,
    /// Choices of the case that has most.
    most: usize,
    continuations: u64,
    continuation: Sum,
    documents: u64,
    document: Sum,
    words: u64,
    bytes: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct BinTally {
    cases: u64,
    right: u64,
    confidence: Sum,
}

impl LikelihoodTally {
    /// Adds a case that did not err.
    pub fn add(&mut self, likelihoods: &Likelihoods) {
        match likelihoods {
            Likelihoods::Choice(choice) => self.choice(choice),
            Likelihoods::Continuation(one) => {
                self.continuations += 1;
                self.continuation.add(one.logprob);
            }
            Likelihoods::Document(one) => {
                self.documents += 1;
                self.document.add(one.logprob);
                self.words += one.words as u64;
                self.bytes += one.bytes as u64;
            }
        }
    }

    fn choice(&mut self, choice: &ChoiceLikelihoods) {
        self.choices += 1;
        self.tied += u64::from(choice.tied);
        self.most = self.most.max(choice.logprobs.len());
        let confidence = choice.probabilities().get(choice.picked).copied().unwrap_or(0.0);
        let bin = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        let bin = &mut self.bins[bin];
        bin.cases += 1;
        bin.right += u64::from(choice.is_right());
        bin.confidence.add(confidence);
        match choice.gold[..] {
            [gold] if choice.logprobs.len() <= CLASSES => {
                *self.confusion.get_or_insert_default().entry((gold, choice.picked)).or_default() += 1;
            }
            _ => self.several = true,
        }
    }

    pub fn merge(&mut self, other: Self) {
        self.choices += other.choices;
        self.tied += other.tied;
        for (own, theirs) in self.bins.iter_mut().zip(other.bins) {
            own.cases += theirs.cases;
            own.right += theirs.right;
            own.confidence.merge(theirs.confidence);
        }
        for (pair, cases) in other.confusion.into_iter().flatten() {
            *self.confusion.get_or_insert_default().entry(pair).or_default() += cases;
        }
        self.several |= other.several;
        self.most = self.most.max(other.most);
        self.continuations += other.continuations;
        self.continuation.merge(other.continuation);
        self.documents += other.documents;
        self.document.merge(other.document);
        self.words += other.words;
        self.bytes += other.bytes;
    }

    /// The figures; none where there were no log-likelihoods.
    pub fn finish(self) -> Option<LikelihoodFigures> {
        if self.choices + self.continuations + self.documents == 0 {
            return None;
        }
        let each = |sum: Sum, parts: u64| sum.total().filter(|_| parts > 0).map(|sum| -sum / parts as f64);
        let power = |exponent: Option<f64>| exponent.map(f64::exp).and_then(round);
        let document = |parts: u64| each(self.document, parts).filter(|_| self.documents > 0);
        let bits = document(self.bytes).map(|nats| nats / std::f64::consts::LN_2);
        Some(LikelihoodFigures {
            perplexity: power(each(self.continuation, self.continuations)),
            bits_per_byte: bits.and_then(round),
            byte_perplexity: power(document(self.bytes)),
            word_perplexity: power(document(self.words)),
            choice: (self.choices > 0).then(|| self.choice_figures()),
        })
    }

    fn choice_figures(&self) -> ChoiceFigures {
        let table = self.confusion.as_ref().filter(|_| !self.several);
        ChoiceFigures {
            tied: self.tied,
            f1: table.filter(|_| self.most == 2).and_then(f1).and_then(round),
            mcc: table.map(mcc).and_then(round),
            calibration: self.calibration(),
        }
    }

    fn calibration(&self) -> Calibration {
        let used = || self.bins.iter().enumerate().filter(|(_, bin)| bin.cases > 0);
        let gap = |bin: &BinTally| Some((bin.confidence.total()? - bin.right as f64).abs());
        let gaps: Option<Vec<f64>> = used().map(|(_, bin)| gap(bin)).collect();
        let error = gaps.and_then(|gaps| round(gaps.iter().sum::<f64>() / self.choices as f64));
        let edge = |at: usize| round(at as f64 / BINS as f64).unwrap_or_default();
        let bins = used().map(|(at, bin)| Bin {
            above: edge(at),
            to: edge(at + 1),
            cases: bin.cases,
            right: bin.right,
            confidence: bin.confidence.mean(bin.cases),
        });
        Calibration { error, bins: bins.collect() }
    }
}

/// F1 of class 1, where there are two: `2·tp / (2·tp + fp + fn)`, 0 where that is nothing.
fn f1(table: &BTreeMap<(usize, usize), u64>) -> Option<f64> {
    if table.keys().any(|(gold, picked)| *gold > 1 || *picked > 1) {
        return None;
    }
    let count = |gold, picked| table.get(&(gold, picked)).copied().unwrap_or(0);
    let (right, wrong) = (count(1, 1), count(0, 1) + count(1, 0));
    let all = 2 * right + wrong;
    Some(if all == 0 { 0.0 } else { (2 * right) as f64 / all as f64 })
}

/// Matthews' correlation coefficient of several classes (J. Gorodkin, "Comparing two K-category assignments by a K-category
/// correlation coefficient", 2004); 0 where all cases are of one class.
fn mcc(table: &BTreeMap<(usize, usize), u64>) -> f64 {
    let (mut golds, mut picks): (BTreeMap<usize, i128>, BTreeMap<usize, i128>) = Default::default();
    let (mut cases, mut right) = (0i128, 0i128);
    for ((gold, picked), count) in table {
        let count = i128::from(*count);
        *golds.entry(*gold).or_default() += count;
        *picks.entry(*picked).or_default() += count;
        cases += count;
        right += if gold == picked { count } else { 0 };
    }
    let squares = |counts: &BTreeMap<usize, i128>| counts.values().map(|count| count * count).sum::<i128>();
    let shared: i128 = golds.iter().map(|(class, count)| count * picks.get(class).unwrap_or(&0)).sum();
    let (gold_spread, pick_spread) = (cases * cases - squares(&golds), cases * cases - squares(&picks));
    if gold_spread == 0 || pick_spread == 0 {
        return 0.0;
    }
    (right * cases - shared) as f64 / ((gold_spread as f64).sqrt() * (pick_spread as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{ContinuationLikelihood, DocumentLikelihood};

    fn choice(logprobs: &[f64], gold: usize) -> Likelihoods {
        let choice = ChoiceLikelihoods { logprobs: logprobs.into(), gold: vec![gold], ..Default::default() };
        Likelihoods::Choice(choice.picked())
    }

    fn figures(cases: &[Likelihoods]) -> LikelihoodFigures {
        let mut tally = LikelihoodTally::default();
        cases.iter().for_each(|case| tally.add(case));
        tally.finish().unwrap()
    }

    #[test]
    fn perplexities_are_weighed_by_length() {
        let one = |logprob| Likelihoods::Continuation(ContinuationLikelihood { logprob, tokens: 1, greedy: false });
        assert_eq!(figures(&[one(-1.0), one(-3.0)]).perplexity, round(2f64.exp()));
        let document = |logprob, text| Likelihoods::Document(DocumentLikelihood::new(logprob, 3, text));
        let figures = figures(&[document(-10.0, "a b"), document(-2.0, "a b c de")]);
        assert_eq!(figures.word_perplexity, round((12f64 / 6.0).exp()));
        assert_eq!(figures.byte_perplexity, round((12f64 / 11.0).exp()));
        assert_eq!(figures.bits_per_byte, round(12.0 / 11.0 / std::f64::consts::LN_2));
        assert_eq!((figures.choice, figures.perplexity), (None, None));
    }

    /// By scikit-learn 1.7: `f1_score([0,1,1,0,1],[0,1,0,1,1])`, `matthews_corrcoef` of the same, and of `[0,1,2,2],[0,2,2,1]`.
    #[test]
    fn classes_are_counted_as_scikit_learn_counts_them() {
        let pick = |gold: usize, picked: usize, classes: usize| {
            let logprobs: Vec<f64> = (0..classes).map(|at| if at == picked { -0.5 } else { -2.0 }).collect();
            choice(&logprobs, gold)
        };
        let two: Vec<_> = [(0, 0), (1, 1), (1, 0), (0, 1), (1, 1)].map(|(gold, picked)| pick(gold, picked, 2)).into();
        let found = figures(&two).choice.unwrap();
        assert_eq!((found.f1, found.mcc, found.tied), (Some(0.666667), Some(0.166667), 0));
        let three: Vec<_> = [(0, 0), (1, 2), (2, 2), (2, 1)].map(|(gold, picked)| pick(gold, picked, 3)).into();
        let found = figures(&three).choice.unwrap();
        assert_eq!((found.f1, found.mcc), (None, Some(0.2)));
        let rarely = figures(&[pick(1, 1, 3), pick(0, 1, 3)]).choice.unwrap();
        assert_eq!(rarely.f1, None, "there are three choices, though one was never picked");
        let same = figures(&[pick(1, 1, 2)]).choice.unwrap();
        assert_eq!((same.f1, same.mcc), (Some(1.0), Some(0.0)));
    }

    #[test]
    fn calibration_is_the_distance_of_confidence_and_accuracy() {
        let even = [choice(&[-1.0, -1.0], 0), choice(&[-1.0, -1.0], 1)];
        let found = figures(&even).choice.unwrap();
        assert_eq!((found.tied, found.calibration.error), (2, Some(0.0)));
        let bin = &found.calibration.bins[0];
        assert_eq!((bin.above, bin.to, bin.cases, bin.right, bin.confidence), (0.466667, 0.533333, 2, 1, Some(0.5)));
        let sure = [choice(&[0.0, -50.0], 1)];
        assert_eq!(figures(&sure).choice.unwrap().calibration.error, Some(1.0));
    }

    #[test]
    fn neither_order_nor_parts_count() {
        let cases: Vec<_> = (0..50).map(|at| choice(&[-(at as f64) / 7.0, -1.3, -2.9], at % 3)).collect();
        let (mut first, mut second) = (LikelihoodTally::default(), LikelihoodTally::default());
        cases[20..].iter().rev().for_each(|case| first.add(case));
        cases[..20].iter().for_each(|case| second.add(case));
        first.merge(second);
        assert_eq!(first.finish().unwrap(), figures(&cases));
    }
}
