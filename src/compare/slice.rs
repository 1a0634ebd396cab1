//! Slices: the same figures over the cases with one tag, or one value of metadata.
//!
//! Looking at many slices finds something by chance: p-values are corrected for all slices and metrics of a comparison
//! (Holm), and only the corrected one calls a slice significant.

use std::collections::BTreeMap;

use serde::Serialize;

use super::tally::{DatasetComparison, DatasetTally, MetricComparison};
use super::{Magnitude, Method, Pair, Significance};
use crate::stats::{ALPHA, holm};

/// Slices of one dataset that are followed; more are only counted.
const FOLLOWED: usize = 200;
/// Slices of fewer cases could show nothing even alone: five that all fail now have a p-value of 0.06. They are left out
/// whatever came out, so that others need not be corrected for them.
const SMALLEST: u64 = 6;

/// One metric over the cases of a slice that both runs hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SliceComparison {
    /// Dataset name.
    pub dataset: String,
    /// Which cases.
    pub slice: Slice,
    /// Scorer name; [`super::WHOLE`] for whole cases.
    pub metric: String,
    /// Cases that both runs answered and scored; groups, where the suite groups them.
    pub cases: u64,
    /// Pass rate of the base run over them.
    pub base_rate: Option<f64>,
    /// Pass rate of the candidate.
    pub candidate_rate: Option<f64>,
    /// Passed before, fail now.
    pub regressed: u64,
    /// Failed before, pass now.
    pub improved: u64,
    /// Difference of the pass rates.
    pub difference: Option<Magnitude>,
    /// Could it be chance? Its p-value is corrected for the number of slices and metrics.
    pub significance: Option<Significance>,
}

/// What the cases of a slice have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Slice {
    /// A tag.
    Tag(String),
    /// A value of metadata.
    Metadata {
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
}

impl std::fmt::Display for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, "{tag}"),
            Self::Metadata { key, value } => write!(f, "{key}={value}"),
        }
    }
}

/// The slices of one dataset.
#[derive(Debug, Default)]
pub(super) struct SliceTallies {
    slices: BTreeMap<Slice, DatasetTally>,
    /// Pairs of the dataset.
    pairs: u64,
    /// Cases that belong to slices that are not followed.
    left_out: bool,
}

impl SliceTallies {
    /// Looks at one pair of the dataset, of the case with this number.
    pub fn add(&mut self, pair: &Pair, case: u64) {
        self.pairs += 1;
        // As the candidate files it, where it is there.
        let (Pair::Both(_, line) | Pair::Added(line) | Pair::Removed(line)) = pair;
        let tags = line.tags.iter().map(|tag| Slice::Tag(tag.clone()));
        let metadata = line.metadata.iter();
        let metadata = metadata.map(|(key, value)| Slice::Metadata { key: key.clone(), value: value.clone() });
        for slice in tags.chain(metadata) {
            let room = self.slices.len() < FOLLOWED;
            match self.slices.get_mut(&slice) {
                Some(tally) => tally.add(pair, case),
                None if room => self.slices.entry(slice).or_insert_with(DatasetTally::new).add(pair, case),
                None => self.left_out = true,
            }
        }
    }

    /// The figures of all slices but those that hold all cases, not yet corrected, and whether some were left out.
    pub fn finish(self, dataset: &str, how: Method) -> (Vec<SliceComparison>, bool) {
        let Self { slices, pairs, left_out } = self;
        let partial = slices.into_iter().filter(|(_, tally)| tally.pairs() < pairs);
        let rows = partial.flat_map(|(slice, tally)| {
            let DatasetComparison { cases, scorers, .. } = tally.finish(dataset.to_owned(), how);
            // Whole cases and their only scorer are one thing.
            let whole = (scorers.len() != 1).then_some(cases);
            let row = move |metric: MetricComparison| row(dataset, slice.clone(), metric);
            scorers.into_iter().chain(whole).map(row)
        });
        (rows.filter(|row| row.cases >= SMALLEST).collect(), left_out)
    }
}

fn row(dataset: &str, slice: Slice, metric: MetricComparison) -> SliceComparison {
    SliceComparison {
        dataset: dataset.to_owned(),
        slice,
        cases: metric.units.units,
        base_rate: metric.paired_base.rate,
        candidate_rate: metric.paired_candidate.rate,
        regressed: metric.units.worse,
        improved: metric.units.better,
        difference: metric.rate_difference,
        significance: metric.significance,
        metric: metric.metric,
    }
}

/// Corrects all p-values for their number and sorts the slices: the least likely change first, then the largest.
pub(super) fn corrected(mut slices: Vec<SliceComparison>) -> Vec<SliceComparison> {
    slices.sort_by(|one, two| {
        let rank = |slice: &SliceComparison| {
            let change = slice.difference.map_or(0.0, |magnitude| magnitude.difference);
            (slice.significance.map_or(1.0, |significance| significance.p_value), -change.abs(), change)
        };
        let ((p, size, change), (other_p, other_size, other_change)) = (rank(one), rank(two));
        let order = p.total_cmp(&other_p).then(size.total_cmp(&other_size)).then(change.total_cmp(&other_change));
        let name = |slice: &SliceComparison| (slice.dataset.clone(), slice.slice.clone(), slice.metric.clone());
        order.then_with(|| name(one).cmp(&name(two)))
    });
    let p_values: Vec<f64> =
        slices.iter().filter_map(|slice| slice.significance).map(|significance| significance.p_value).collect();
    let tested = slices.iter_mut().filter_map(|slice| slice.significance.as_mut());
    for (significance, p_value) in tested.zip(holm(&p_values)) {
        *significance = Significance { p_value, significant: p_value < ALPHA, ..*significance };
    }
    slices
}

#[cfg(test)]
mod tests {
    use crate::compare::comparison::tests::{compared, line};
    use crate::record::ResultLine;

    fn run(outcome: impl Fn(usize) -> bool) -> Vec<ResultLine> {
        let case = |i: usize| {
            let mut line = line("golden", &format!("{i:03}"), outcome(i));
            line.tags = vec!["all".into(), if i.is_multiple_of(4) { "refund" } else { "order" }.into()];
            line.metadata.insert("lang".into(), ["de", "en"][i % 2].into());
            line
        };
        (0..120).map(case).collect()
    }

    #[test]
    fn a_change_in_one_slice_is_found_there() {
        // All refunds fail now, nothing else changed.
        let comparison = compared(run(|_| true), run(|i| i % 4 != 0));
        let rows: Vec<_> =
            comparison.slices.iter().map(|row| (row.slice.to_string(), row.regressed, row.cases)).collect();
        let expected = [("refund", 30, 30), ("lang=de", 30, 60), ("order", 0, 90), ("lang=en", 0, 60)];
        assert_eq!(rows, expected.map(|(slice, regressed, cases)| (slice.to_owned(), regressed, cases)));
        let refund = comparison.slices[0].significance.unwrap();
        assert!(refund.significant && refund.p_value > crate::stats::mcnemar_mid_p(30, 0), "corrected: {refund:?}");
        assert!(!comparison.slices[3].significance.unwrap().significant);
        assert!(!comparison.slices_left_out);
    }

    #[test]
    fn chance_in_many_slices_stays_chance() {
        let tagged = |changed: usize| {
            let lines = (0..2000).map(|i| {
                let mut line = line("golden", &format!("{i:04}"), !(i % 20 < 6 && i / 20 == changed));
                line.tags = vec![format!("t{}", i / 20)];
                line
            });
            lines.collect::<Vec<_>>()
        };
        // Six of twenty cases of one of a hundred slices: p = 0.03 alone, nothing among a hundred.
        let comparison = compared(tagged(1000), tagged(3));
        assert!(crate::stats::mcnemar_mid_p(6, 0) < 0.05);
        assert_eq!(comparison.slices[0].regressed, 6);
        assert!(comparison.slices.iter().all(|slice| !slice.significance.unwrap().significant));
    }

    #[test]
    fn too_many_slices_are_told() {
        let lines: Vec<_> = (0..1800)
            .map(|i| {
                let mut line = line("golden", &format!("{i:04}"), true);
                line.metadata.insert("k".into(), (i / 6).to_string());
                line
            })
            .collect();
        let comparison = compared(lines.clone(), lines);
        assert!(comparison.slices_left_out && comparison.slices.len() == 200);
    }
}
