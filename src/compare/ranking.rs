//! Several candidates against one run: who is best, by how much, and what it costs.
//!
//! Every candidate is compared with the first run, case by case; p-values are corrected for the number of candidates (Holm).
//! A run is on the frontier of quality against a cost where no other run is at least as good for at most that cost, and
//! better in one of the two.

use serde::Serialize;

use super::{Comparison, Magnitude, MetricComparison, RunRef, Significance};
use crate::error::{Error, Result, nearest};
use crate::record::{BASELINE_DRAFTS, CACHED, Decision, Performance, Verdict};
use crate::stats::{ALPHA, Interval, holm};

/// A candidate with what is known of it.
pub struct Candidate<'a> {
    /// Its comparison with the first run.
    pub comparison: &'a Comparison,
    /// How its run went.
    pub performance: &'a Performance,
    /// What its gates say against the first run.
    pub verdict: &'a Verdict,
    /// Its generator, as the suite names it.
    pub model: Option<String>,
}

/// The run that all are compared with.
pub struct First<'a> {
    /// How its run went.
    pub performance: &'a Performance,
    /// Its generator, as the suite names it.
    pub model: Option<String>,
}

/// Runs from best to worst.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranking {
    /// What they are ranked by: a class of datasets and a scorer, or all scorers.
    pub by: String,
    /// The runs; equally good ones in the order in which they were named.
    pub runs: Vec<RankedRun>,
}

/// One run of a ranking.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RankedRun {
    /// The run.
    pub run: RunRef,
    /// Its generator.
    pub model: Option<String>,
    /// All others are compared with this one.
    pub first: bool,
    /// Cases behind the rate: of the first run all of its own, of another those that it shares with the first.
    pub cases: u64,
    /// Cases of these datasets that erred; they are no part of the rate and count as failed in the order of the runs.
    pub errored: u64,
    /// Share of these cases that pass.
    pub quality: Option<f64>,
    /// The same with errored cases as failed, over all cases that the run shares with the first: what runs are ordered by.
    #[serde(skip)]
    pub order: Option<f64>,
    /// Its interval at 95 %.
    pub interval: Option<Interval>,
    /// Share of the same cases that pass in the first run; none for the first itself.
    pub first_quality: Option<f64>,
    /// Difference from the first run over these cases; none for the first itself.
    pub difference: Option<Magnitude>,
    /// Could the difference be chance? Corrected for the number of candidates.
    pub significance: Option<Significance>,
    /// Share of danger cases that pass.
    pub danger: Option<f64>,
    /// Danger cases that passed in the first run and do not here; none for the first itself.
    pub danger_lost: Option<u64>,
    /// What its gates come to against the first run; none for the first itself.
    pub outcome: Option<Decision>,
    /// What it costs, by [`Cost`].
    pub costs: Costs,
    /// For which costs it is on the frontier.
    pub frontier: Vec<Cost>,
}

/// What quality is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cost {
    /// Tokens per case, of prompts and answers.
    Tokens,
    /// Seconds from start to the last result.
    Seconds,
    /// Peak memory.
    Memory,
}

impl Cost {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tokens, Self::Seconds, Self::Memory];

    /// The cost in a word.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Seconds => "seconds",
            Self::Memory => "memory",
        }
    }
}

/// What a run costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Costs {
    /// Tokens per case, of prompts and answers; none where the record does not know them.
    pub tokens_per_case: Option<f64>,
    /// Seconds from start to the last result; answers from the cache make them few.
    pub seconds: Option<f64>,
    /// Cases whose answers came from the cache.
    pub cached: u64,
    /// Answers for which the baseline's was the draft.
    pub drafted: u64,
    /// Peak resident memory in bytes.
    pub memory_bytes: Option<u64>,
}

impl Costs {
    fn new(tokens_per_case: Option<f64>, performance: &Performance) -> Self {
        let counter = |name: &str| performance.counters.get(name).copied().unwrap_or(0);
        Self {
            tokens_per_case,
            seconds: Some(performance.wall_seconds).filter(|seconds| *seconds > 0.0),
            cached: counter(CACHED) + performance.resumed(),
            drafted: counter(BASELINE_DRAFTS),
            memory_bytes: performance.peak_memory_bytes,
        }
    }

    fn of(&self, cost: Cost) -> Option<f64> {
        match cost {
            Cost::Tokens => self.tokens_per_case,
            // What was known before says nothing about what it costs.
            Cost::Seconds => self.seconds.filter(|_| self.cached + self.drafted == 0),
            Cost::Memory => self.memory_bytes.filter(|_| self.cached == 0).map(|bytes| bytes as f64),
        }
    }
}

/// Ranks runs by the share of golden cases that pass (danger cases, where there are no others), or that pass `scorer`.
///
/// # Errors
/// No such scorer looks at these cases; no candidates.
pub fn rank(first: &First<'_>, candidates: &[Candidate<'_>], scorer: Option<&str>) -> Result<Ranking> {
    let Some(some) = candidates.first() else { return Err(Error::internal("there are no candidates to rank")) };
    let class = if some.comparison.class("golden").is_some() { "golden" } else { "danger" };
    let metrics = candidates.iter().map(|candidate| metric(candidate.comparison, class, scorer));
    let metrics = metrics.collect::<Result<Vec<_>>>()?;
    let p_values: Vec<f64> = metrics.iter().map(|m| m.significance.map_or(f64::NAN, |s| s.p_value)).collect();
    let danger =
        |comparison: &Comparison| comparison.class("danger").map(|class| (class.cases.base, class.cases.candidate));
    let mut runs = vec![RankedRun {
        run: some.comparison.base.clone(),
        model: first.model.clone(),
        first: true,
        cases: metrics[0].base.cases,
        errored: metrics[0].base.errored,
        quality: metrics[0].base.rate,
        order: metrics[0].base.rate,
        interval: metrics[0].base.interval,
        first_quality: None,
        difference: None,
        significance: None,
        danger: danger(some.comparison).and_then(|(base, _)| base.rate),
        danger_lost: None,
        outcome: None,
        costs: Costs::new(some.comparison.tokens.base.per_case(), first.performance),
        frontier: Vec::new(),
    }];
    for ((candidate, metric), p_value) in candidates.iter().zip(&metrics).zip(holm(&p_values)) {
        let comparison = candidate.comparison;
        runs.push(RankedRun {
            run: comparison.candidate.clone(),
            model: candidate.model.clone(),
            first: false,
            cases: metric.units.units,
            errored: metric.candidate.errored,
            quality: metric.paired_candidate.rate,
            order: metric.common_candidate.rate,
            interval: metric.paired_candidate.interval,
            first_quality: metric.paired_base.rate,
            difference: metric.rate_difference,
            significance: metric.significance.map(|raw| Significance { p_value, significant: p_value < ALPHA, ..raw }),
            danger: danger(comparison).and_then(|(_, candidate)| candidate.rate),
            danger_lost: danger(comparison).map(|_| comparison.danger.lost.total),
            outcome: Some(candidate.verdict.outcome),
            costs: Costs::new(comparison.tokens.candidate.per_case(), candidate.performance),
            frontier: Vec::new(),
        });
    }
    let frontiers: Vec<_> = (0..runs.len()).map(|at| frontier(&runs, at)).collect();
    runs.iter_mut().zip(frontiers).for_each(|(run, frontier)| run.frontier = frontier);
    // Unknown quality last; the sort is stable.
    runs.sort_by(|one, two| {
        let quality = |run: &RankedRun| run.order.unwrap_or(f64::NEG_INFINITY);
        quality(two).total_cmp(&quality(one))
    });
    Ok(Ranking { by: format!("{class}.{}", scorer.unwrap_or("(all scorers)")), runs })
}

fn metric<'a>(comparison: &'a Comparison, class: &str, scorer: Option<&str>) -> Result<&'a MetricComparison> {
    let found = comparison.class(class);
    let scorers = found.map_or(&[][..], |class| &class.scorers[..]);
    let metric = match scorer {
        None => found.map(|class| &class.cases),
        Some(name) => scorers.iter().find(|metric| metric.metric == name),
    };
    metric.ok_or_else(|| match scorer {
        Some(name) => Error::input(format!("cannot rank by `{name}`: no such scorer looks at {class} cases"))
            .with_hint(nearest(name, scorers.iter().map(|metric| metric.metric.as_str()))),
        None => Error::input(format!("run `{}` has no cases to rank", comparison.candidate.run_id)),
    })
}

fn frontier(runs: &[RankedRun], at: usize) -> Vec<Cost> {
    let beaten = |cost: Cost| {
        let (Some(quality), Some(own)) = (runs[at].order, runs[at].costs.of(cost)) else { return true };
        runs.iter().any(|other| match (other.order, other.costs.of(cost)) {
            (Some(theirs), Some(price)) => theirs >= quality && price <= own && (theirs > quality || price < own),
            _ => false,
        })
    };
    Cost::ALL.into_iter().filter(|cost| !beaten(*cost)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::comparison::tests::{compared, line};
    use crate::record::ResultLine;

    fn run(passed: usize, tokens: usize) -> Vec<ResultLine> {
        let case = |i: usize| ResultLine {
            prompt_tokens: Some(10),
            output_ids: Some(vec![1; tokens]),
            ..line("golden", &format!("{i:03}"), i < passed)
        };
        let danger = (0..4).map(|i| line("danger", &i.to_string(), i < passed / 10));
        (0..100).map(case).chain(danger).collect()
    }

    fn performance(seconds: f64) -> Performance {
        Performance { wall_seconds: seconds, peak_memory_bytes: Some(1 << 20), ..Performance::default() }
    }

    #[test]
    fn best_first_with_what_it_costs() {
        let (base, fast) = (performance(9.0), performance(1.0));
        let (better, worse) = (compared(run(40, 5), run(60, 9)), compared(run(40, 5), run(20, 5)));
        let verdict = Verdict::of(None, vec![]);
        let candidate =
            |comparison, performance| Candidate { comparison, performance, verdict: &verdict, model: Some("m".into()) };
        let candidates = [candidate(&worse, &fast), candidate(&better, &base)];
        let ranking = rank(&First { performance: &base, model: None }, &candidates, Some("match")).unwrap();
        assert_eq!(ranking.by, "golden.match");
        let told: Vec<_> = ranking.runs.iter().map(|run| (run.quality.unwrap(), run.first, run.danger_lost)).collect();
        assert_eq!(told, [(0.6, false, Some(0)), (0.4, true, None), (0.2, false, Some(2))]);
        assert_eq!(ranking.runs[0].difference.unwrap().difference, 0.2);
        let corrected = ranking.runs[0].significance.unwrap().p_value;
        assert!((corrected - 2.0 * crate::stats::mcnemar_mid_p(0, 20)).abs() < 1e-15, "{corrected}");
        let frontier = |at: usize| ranking.runs[at].frontier.clone();
        // The best one is on every frontier; the first is as good for fewer tokens; the last is the fastest.
        assert_eq!(frontier(0), [Cost::Tokens, Cost::Seconds, Cost::Memory]);
        assert_eq!(frontier(1), [Cost::Tokens]);
        assert_eq!(frontier(2), [Cost::Seconds]);
        assert_eq!(ranking.runs[1].costs.tokens_per_case, Some(15.0));
        // Half of the cases erred: all that were answered are right, and the run is no better for it.
        let halved = |i: usize| crate::compare::comparison::tests::broken("golden", &format!("{i:03}"));
        let broken: Vec<_> = (0..50).map(halved).chain(run(100, 5).into_iter().skip(50)).collect();
        let broken = compared(run(40, 5), broken);
        let candidates = [candidate(&broken, &base), candidate(&better, &base)];
        let ranking = rank(&First { performance: &base, model: None }, &candidates, Some("match")).unwrap();
        let told: Vec<_> = ranking.runs.iter().map(|run| (run.quality.unwrap(), run.errored)).collect();
        assert_eq!(told, [(0.6, 0), (1.0, 50), (0.4, 0)]);
        let error = rank(&First { performance: &base, model: None }, &candidates, Some("mach")).unwrap_err();
        assert_eq!(error.hint(), Some("did you mean `match`?"));
    }
}
