//! Figures of the page: metrics, slices, histograms.

use serde::Serialize;

use super::limits::Limits;
use crate::compare::Comparison;
use crate::record::{Performance, ProbedCase};
use crate::report::rows::{ALL_SCORERS, Row, scorer_name};
use crate::stats::quantile;

/// Slices to show; they come with the significant ones first.
const SLICES: usize = 16;
/// Bars of a histogram.
const BARS: usize = 32;

/// A dataset and a scorer, before and after.
#[derive(Serialize)]
pub(super) struct Metric<'a> {
    dataset: &'a str,
    scorer: &'a str,
    cases: u64,
    passed: u64,
    answers: u64,
    errored: u64,
    rate: Option<f64>,
    rate_low: Option<f64>,
    rate_high: Option<f64>,
    base_rate: Option<f64>,
    base_low: Option<f64>,
    base_high: Option<f64>,
    difference: Option<f64>,
    low: Option<f64>,
    high: Option<f64>,
    p: Option<f64>,
    significant: bool,
    detectable: Option<f64>,
    /// What the sample could have shown, in words, where it found nothing.
    overlooked: Option<String>,
}

impl<'a> Metric<'a> {
    fn new(row: &'a Row) -> Self {
        let (figures, interval) = (&row.figures, row.difference.and_then(|difference| difference.interval));
        Self {
            dataset: &row.dataset,
            scorer: &row.scorer,
            cases: figures.cases,
            passed: figures.passed,
            answers: figures.answers,
            errored: figures.errored,
            rate: figures.rate,
            rate_low: figures.interval.map(|interval| interval.low),
            rate_high: figures.interval.map(|interval| interval.high),
            base_rate: row.base_rate,
            base_low: row.base_interval.map(|interval| interval.low),
            base_high: row.base_interval.map(|interval| interval.high),
            difference: row.difference.map(|difference| difference.difference),
            low: interval.map(|interval| interval.low),
            high: interval.map(|interval| interval.high),
            p: row.significance.map(|significance| significance.p_value),
            significant: row.significance.is_some_and(|significance| significance.significant),
            detectable: row.detectable().effect(),
            overlooked: overlooked(row),
        }
    }
}

fn overlooked(row: &Row) -> Option<String> {
    row.detectable().told(|effect| format!("±{:.1} points", 100.0 * effect))
}

/// One card for each dataset: whole cases.
pub(super) fn cards(rows: &[Row]) -> Vec<Metric<'_>> {
    let alone = |row: &Row| rows.iter().filter(|other| other.dataset == row.dataset).count() == 1;
    rows.iter().filter(|row| row.scorer == ALL_SCORERS || alone(row)).map(Metric::new).collect()
}

/// All rows.
pub(super) fn metrics(rows: &[Row]) -> Vec<Metric<'_>> {
    rows.iter().map(Metric::new).collect()
}

/// A slice as a row of a table.
#[derive(Serialize)]
pub(super) struct SliceRow {
    dataset: String,
    slice: String,
    scorer: String,
    cases: u64,
    base_rate: Option<f64>,
    rate: Option<f64>,
    difference: Option<f64>,
    p: Option<f64>,
    significant: bool,
    detectable: Option<f64>,
}

/// The first slices of a comparison, those in which anything changed.
pub(super) fn slices(comparison: &Comparison, limits: Limits) -> Vec<SliceRow> {
    let changed = comparison.slices.iter().filter(|slice| slice.regressed + slice.improved > 0);
    let rows = changed.take(SLICES).map(|slice| SliceRow {
        dataset: limits.text(&slice.dataset),
        slice: limits.text(&slice.slice.to_string()),
        scorer: limits.text(scorer_name(&slice.metric)),
        cases: slice.cases,
        base_rate: slice.base_rate,
        rate: slice.candidate_rate,
        difference: slice.difference.map(|difference| difference.difference),
        p: slice.significance.map(|significance| significance.p_value),
        significant: slice.significance.is_some_and(|significance| significance.significant),
        detectable: slice.difference.and_then(|difference| difference.detectable.effect()),
    });
    rows.collect()
}

/// What there is to say above the table of slices.
pub(super) fn slices_note(comparison: &Comparison) -> String {
    let slices = &comparison.slices;
    let real = slices.iter().filter(|slice| slice.significance.is_some_and(|s| s.significant)).count();
    let changed = slices.iter().filter(|slice| slice.regressed + slice.improved > 0).count();
    let shown = if changed > SLICES {
        format!(" The {SLICES} least likely of {changed} changes are shown.")
    } else {
        String::new()
    };
    let more = if comparison.slices_left_out { " There are more slices than are looked at." } else { "" };
    format!("{real} of {} slices differ beyond chance, corrected for their number.{shown}{more}", slices.len())
}

/// Counts of values in bars of one width.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Histogram {
    title: String,
    low: f64,
    high: f64,
    label_low: String,
    label_high: String,
    after: Vec<u64>,
    before: Option<Vec<u64>>,
    note: Option<String>,
}

impl Histogram {
    /// Over the values of both sides; none where there are none, or where all are 0 or 1: passing says that already.
    pub(super) fn of_scores(title: String, before: Option<&[f32]>, after: &[f32]) -> Option<Self> {
        let all = || before.unwrap_or_default().iter().chain(after);
        if all().all(|value| *value == 0.0 || *value == 1.0) {
            return None;
        }
        let low = f64::from(all().copied().fold(0.0, f32::min));
        let high = f64::from(all().copied().fold(1.0, f32::max));
        let wide = |values: &[f32]| counts(values.iter().map(|value| f64::from(*value)), low, high);
        let (label_low, label_high) = (short(low), short(high));
        let (before, after) = (before.map(wide), wide(after));
        Some(Self { title, low, high, label_low, label_high, after, before, note: None })
    }

    fn of_seconds(title: &str, before: Option<Vec<f64>>, after: &[f64]) -> Option<Self> {
        let high = before.iter().flatten().chain(after).copied().fold(0.0, f64::max);
        if after.is_empty() || high <= 0.0 {
            return None;
        }
        let values = ndarray::ArrayView1::from(after);
        let at = |share| quantile(values, share).map_or("–".into(), seconds);
        let note = format!("p50 {}, p95 {}, p99 {} of {} cases", at(0.5), at(0.95), at(0.99), after.len());
        Some(Self {
            title: title.to_owned(),
            low: 0.0,
            high,
            label_low: "0 s".into(),
            label_high: seconds(high),
            after: counts(after.iter().copied(), 0.0, high),
            before: before.map(|values| counts(values.into_iter(), 0.0, high)),
            note: Some(note),
        })
    }
}

fn counts(values: impl Iterator<Item = f64>, low: f64, high: f64) -> Vec<u64> {
    let mut counts = vec![0; BARS];
    for value in values {
        // The highest value belongs to the last bar.
        let at = ((value - low) / (high - low) * BARS as f64) as usize;
        counts[at.min(BARS - 1)] += 1;
    }
    counts
}

fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn seconds(value: f64) -> String {
    if value < 1.0 { format!("{:.0} ms", value * 1e3) } else { format!("{value:.2} s") }
}

/// Time to the first token and to the last, of the cases that were probed.
pub(super) fn latency(after: Option<&Performance>, before: Option<&Performance>) -> Vec<Histogram> {
    /// What is timed.
    type Time = fn(&ProbedCase) -> f64;
    let probed = |performance: Option<&Performance>, time: Time| {
        let probe = performance?.probe.as_ref()?;
        Some(probe.cases.iter().map(time).collect::<Vec<f64>>())
    };
    let times: [(&str, Time); 2] =
        [("to the first token", |case| case.first_token_seconds), ("to the last token", |case| case.total_seconds)];
    let histogram = |(title, time)| Histogram::of_seconds(title, probed(before, time), &probed(after, time)?);
    times.into_iter().filter_map(histogram).collect()
}
