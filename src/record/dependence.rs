//! Answers that hang together: repeats of a case, cases of a group.
//!
//! Ten answers to one case are not ten cases. Where lines say that they belong together, rates get intervals that count
//! what was drawn (cases, or groups) instead of answers, and repeats say what sampling alone changes. This needs the lines in
//! order, so it is a pass of its own over the sorted results; runs without repeats and groups do without it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ResultLine, Summary, SummaryBuilder, round};
use crate::error::Result;
use crate::stats::{CONFIDENCE, ClusterCounts, Interval, pass_at_k, pass_hat_k, wilson_clustered};

/// What several answers to each case say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeats {
    /// Cases.
    pub cases: u64,
    /// Answers to each case; the fewest, where an error left some out.
    pub answers: u64,
    /// By k, the chance that at least one of k answers passes (pass@k), averaged over cases.
    pub pass_at: BTreeMap<u64, f64>,
    /// By k, the chance that all of k answers pass (pass^k).
    pub pass_all: BTreeMap<u64, f64>,
    /// Mean variance of the outcome within a case: the noise floor of sampled decoding. None below two answers.
    pub within_case_variance: Option<f64>,
    /// Cases of which some answers pass and some do not.
    pub unstable: u64,
}

/// A run in figures, from its lines in order.
///
/// # Errors
/// Those of the lines.
pub fn summarise(lines: impl Iterator<Item = Result<ResultLine>>) -> Result<Summary> {
    let (mut builder, mut dependence) = (SummaryBuilder::default(), Dependence::default());
    for line in lines {
        let line = line?;
        builder.add(&line);
        dependence.add(&line);
    }
    let dependent = builder.is_dependent();
    let mut summary = builder.finish();
    if dependent {
        dependence.apply(&mut summary);
    }
    Ok(summary)
}

/// Sums over the lines of a run, which come in order.
#[derive(Debug, Default)]
pub(super) struct Dependence {
    datasets: BTreeMap<String, DatasetDependence>,
}

#[derive(Debug, Default)]
struct DatasetDependence {
    /// The case whose answers come.
    case: Option<OpenCase>,
    groups: BTreeMap<String, Cluster>,
    sums: Sums,
    /// By answers and right ones, how many cases: few pairs, however many cases there are.
    outcomes: BTreeMap<(u64, u64), u64>,
}

#[derive(Debug)]
struct OpenCase {
    id: String,
    /// Of a group, which is the cluster then.
    grouped: bool,
    cluster: Cluster,
}

/// Counts over what hangs together.
#[derive(Debug, Default)]
struct Cluster {
    answers: u64,
    passed: u64,
    errored: u64,
    /// By scorer: answers without error, and those that passed.
    scorers: BTreeMap<String, (u64, u64)>,
}

#[derive(Debug, Default)]
struct Sums {
    whole: ClusterCounts,
    /// What errors alone add to a scorer that said nothing in a cluster.
    errors: ClusterCounts,
    /// By scorer, what it said, and what errors alone would have added to the same clusters.
    scorers: BTreeMap<String, (ClusterCounts, ClusterCounts)>,
}

impl Dependence {
    /// Takes in the next line.
    pub fn add(&mut self, line: &ResultLine) {
        let dataset = match self.datasets.get_mut(&line.dataset) {
            Some(dataset) => dataset,
            None => self.datasets.entry(line.dataset.clone()).or_default(),
        };
        dataset.add(line);
    }

    /// Puts what was found in place of what counted answers.
    pub fn apply(self, summary: &mut Summary) {
        for (name, mut found) in self.datasets {
            found.close_case();
            let DatasetDependence { groups, mut sums, outcomes, .. } = found;
            groups.into_values().for_each(|group| sums.add(group));
            let Some(dataset) = summary.datasets.iter_mut().find(|dataset| dataset.dataset == name) else { continue };
            dataset.interval = interval(&sums.whole);
            for scorer in &mut dataset.scorers {
                scorer.interval = interval(&sums.scorer(&scorer.scorer));
            }
            dataset.repeats = repeats(&outcomes);
        }
    }
}

impl DatasetDependence {
    fn add(&mut self, line: &ResultLine) {
        if self.case.as_ref().is_none_or(|case| case.id != line.id) {
            self.close_case();
        }
        let new = || OpenCase { id: line.id.clone(), grouped: line.group.is_some(), cluster: Cluster::default() };
        self.case.get_or_insert_with(new).cluster.add(line);
        if let Some(group) = &line.group {
            self.groups.entry(group.clone()).or_default().add(line);
        }
    }

    fn close_case(&mut self) {
        let Some(OpenCase { grouped, cluster, .. }) = self.case.take() else { return };
        *self.outcomes.entry((cluster.answers, cluster.passed)).or_default() += 1;
        if !grouped {
            self.sums.add(cluster);
        }
    }
}

impl Cluster {
    fn add(&mut self, line: &ResultLine) {
        self.answers += 1;
        self.passed += u64::from(line.passed);
        self.errored += u64::from(line.error.is_some());
        if line.error.is_none() {
            for (name, score) in &line.scores {
                let (answers, passed) = match self.scorers.get_mut(name) {
                    Some(counts) => counts,
                    None => self.scorers.entry(name.clone()).or_default(),
                };
                *answers += 1;
                *passed += u64::from(score.passed);
            }
        }
    }
}

impl Sums {
    fn add(&mut self, cluster: Cluster) {
        let Cluster { answers, passed, errored, scorers } = cluster;
        self.whole.push(passed, answers);
        self.errors.push(0, errored);
        for (name, (answers, passed)) in scorers {
            let (said, errors) = self.scorers.entry(name).or_default();
            said.push(passed, answers + errored);
            errors.push(0, errored);
        }
    }

    /// What a scorer said, and the errors where it said nothing.
    fn scorer(&self, name: &str) -> ClusterCounts {
        match self.scorers.get(name) {
            Some((said, errors)) => said.plus(&self.errors.minus(errors)),
            None => self.errors,
        }
    }
}

fn interval(counts: &ClusterCounts) -> Option<Interval> {
    let Interval { low, high } = wilson_clustered(counts, CONFIDENCE)?;
    Some(Interval { low: round(low)?, high: round(high)? })
}

/// None where every case has one answer.
fn repeats(outcomes: &BTreeMap<(u64, u64), u64>) -> Option<Repeats> {
    let answers = outcomes.keys().map(|(answers, _)| *answers).min()?;
    let most = outcomes.keys().map(|(answers, _)| *answers).max()?;
    if most < 2 {
        return None;
    }
    let cases: u64 = outcomes.values().sum();
    let mean = |value: &dyn Fn(u64, u64) -> Option<f64>| {
        let mut sum = 0.0;
        for ((answers, passed), count) in outcomes {
            sum += value(*answers, *passed)? * *count as f64;
        }
        round(sum / cases as f64)
    };
    let sizes = || (0..).map(|power| 1 << power).take_while(|k| *k < answers).chain([answers]);
    let by_k = |estimate: fn(u64, u64, u64) -> Option<f64>| {
        sizes().filter_map(|k| Some((k, mean(&|answers, passed| estimate(answers, passed, k))?))).collect()
    };
    let each = outcomes.iter().flat_map(|(counts, cases)| std::iter::repeat_n(*counts, *cases as usize));
    let within_case_variance = crate::stats::within_case_variance(each).and_then(round);
    let unstable = outcomes.iter().filter(|((n, right), _)| *right > 0 && right < n).map(|(_, cases)| cases).sum();
    let (pass_at, pass_all) = (by_k(pass_at_k), by_k(pass_hat_k));
    Some(Repeats { cases, answers, pass_at, pass_all, within_case_variance, unstable })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::line::tests::line;

    fn summary(lines: &[ResultLine]) -> Summary {
        summarise(lines.iter().cloned().map(Ok)).unwrap()
    }

    fn repeated(id: &str, outcomes: &[bool]) -> Vec<ResultLine> {
        let one = |(repeat, passed): (usize, &bool)| ResultLine { repeat: repeat as u32, ..line("a", id, *passed) };
        outcomes.iter().enumerate().map(one).collect()
    }

    #[test]
    fn repeats_say_what_sampling_changes() {
        let lines = [
            repeated("1", &[true, true, true, true]),
            repeated("2", &[true, false, true, false]),
            repeated("3", &[false; 4]),
        ];
        let summary = summary(&lines.concat());
        let dataset = &summary.datasets[0];
        let repeats = dataset.repeats.as_ref().unwrap();
        assert_eq!((repeats.cases, repeats.answers, repeats.unstable), (3, 4, 1));
        // By hand: 2 of 4 right gives pass@2 = 1 - 1/6 and pass^2 = 1/6.
        assert_eq!(repeats.pass_at, BTreeMap::from([(1, 0.5), (2, 0.611111), (4, 0.666667)]));
        assert_eq!(repeats.pass_all, BTreeMap::from([(1, 0.5), (2, 0.388889), (4, 0.333333)]));
        assert_eq!(repeats.within_case_variance, Some(0.111111));
        // Three cases, not twelve answers.
        let plain = crate::stats::wilson(6, 12, CONFIDENCE).unwrap();
        let honest = dataset.interval.unwrap();
        assert!(honest.low < plain.low && honest.high > plain.high, "{honest:?} {plain:?}");
        assert_eq!(dataset.scorers[0].interval, dataset.interval);
    }

    #[test]
    fn groups_count_once() {
        let group = |id: &str, group: &str, passed| ResultLine { group: Some(group.into()), ..line("a", id, passed) };
        let lines: Vec<_> = (0..12).map(|i| group(&format!("{i:02}"), ["x", "y", "z"][i % 3], i % 3 == 0)).collect();
        let found = summary(&lines);
        let honest = found.datasets[0].interval.unwrap();
        // Groups are of one mind: three outcomes.
        let three = crate::stats::wilson(1, 3, CONFIDENCE).unwrap();
        assert!(
            (honest.low - three.low).abs() < 0.06 && (honest.high - three.high).abs() < 0.06,
            "{honest:?} {three:?}"
        );
        assert_eq!(found.datasets[0].repeats, None);
        // Without groups, the interval is Wilson's.
        let free: Vec<_> = lines.iter().map(|line| ResultLine { group: None, ..line.clone() }).collect();
        let plain = crate::stats::wilson(4, 12, CONFIDENCE).unwrap();
        let got = summary(&free).datasets[0].interval.unwrap();
        assert_eq!((got.low, got.high), (round(plain.low).unwrap(), round(plain.high).unwrap()));
    }

    #[test]
    fn errors_count_for_every_scorer() {
        let mut lines = repeated("1", &[true, true]);
        let mut broken = repeated("2", &[false, false]);
        broken.iter_mut().for_each(|line| {
            line.scores.clear();
            line.error = Some("x".into());
        });
        lines.append(&mut broken);
        let summary = summary(&lines);
        let dataset = &summary.datasets[0];
        assert_eq!((dataset.scorers[0].cases, dataset.scorers[0].passed), (4, 2));
        assert_eq!(dataset.scorers[0].interval, dataset.interval);
    }
}
