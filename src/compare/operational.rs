//! Bounds of operational figures: tokens, throughput, memory, cost, latency.

use super::bounds::TOLERANCE;
use super::gate::{Subject, failed, number, outcome, skipped};
use super::{Cases, TokenSums};
use crate::error::Result;
use crate::record::{Performance, ProbedCase, RuleResult};
use crate::rule::{Gate, Operational, Prices};
use crate::stats::quantile;

/// A rule for each bound of a gate on an operational figure.
pub(super) fn rules(
    figure: Operational,
    gate: &Gate,
    subject: &Subject<'_>,
    prices: Option<&Prices>,
) -> Result<Vec<RuleResult>> {
    let now = value(figure, subject.performance, subject.cases, prices)?;
    let before = match subject.base_cases {
        Some(cases) => value(figure, subject.base_performance, cases, prices)?,
        None => None,
    };
    let mut rules = Vec::new();
    for (limit, below) in [(gate.min, false), (gate.max, true)] {
        let Some(limit) = limit else { continue };
        let rule = format!("{figure} {} {limit}", if below { "<=" } else { ">=" });
        rules.push(match now {
            None => failed(rule, Some(limit), missing(figure, "the run")),
            Some(now) => {
                let holds = if below { now <= limit + TOLERANCE } else { now >= limit - TOLERANCE };
                RuleResult {
                    outcome: outcome(holds),
                    observed: Some(now),
                    baseline: before,
                    ..failed(rule, Some(limit), shown(now))
                }
            }
        });
    }
    let relatives = [
        (gate.max_drop, "drops", "", -1.0, false),
        (gate.max_rise, "rises", "", 1.0, false),
        (gate.max_drop_share, "drops", " of the baseline", -1.0, true),
        (gate.max_rise_share, "rises", " of the baseline", 1.0, true),
    ];
    for (limit, verb, of, sign, share) in relatives {
        let Some(limit) = limit else { continue };
        let rule = format!("{figure} {verb} by at most {limit}{of}");
        rules.push(match (subject.comparison.is_some(), now, before) {
            (false, ..) => skipped(rule, Some(limit)),
            (_, None, _) => failed(rule, Some(limit), missing(figure, "the run")),
            (_, _, None) => failed(rule, Some(limit), missing(figure, "the baseline")),
            (true, Some(now), Some(before)) => {
                let room = if share { limit * before.abs() } else { limit };
                let change =
                    if before == 0.0 { String::new() } else { format!(", {:+.1} %", 100.0 * (now / before - 1.0)) };
                RuleResult {
                    outcome: outcome(sign * (now - before) <= room + TOLERANCE),
                    observed: Some(now),
                    baseline: Some(before),
                    ..failed(rule, Some(limit), format!("{} to {}{change}", shown(before), shown(now)))
                }
            }
        });
    }
    if rules.is_empty() {
        rules.push(failed(figure.to_string(), None, "it states no bound".into()));
    }
    Ok(rules)
}

/// A figure of one run; none where the record does not have it.
pub(super) fn value(
    figure: Operational,
    performance: Option<&Performance>,
    cases: &dyn Cases,
    prices: Option<&Prices>,
) -> Result<Option<f64>> {
    let Some(performance) = performance else { return Ok(None) };
    let probed = |time: fn(&ProbedCase) -> f64, share: f64| {
        let times: Vec<f64> = performance.probe.as_ref()?.cases.iter().map(time).collect();
        quantile(ndarray::aview1(&times), share)
    };
    Ok(match figure {
        // From the cases, not from what was computed: answers from a cache have tokens too.
        Operational::TokensPerCase => tokens(cases)?.per_case(),
        Operational::TokensPerSecond => performance.tokens_per_second,
        Operational::PeakMemoryBytes => performance.peak_memory_bytes.map(|bytes| bytes as f64),
        Operational::WallSeconds => Some(performance.wall_seconds).filter(|seconds| *seconds > 0.0),
        Operational::Cost => {
            let TokenSums { prompt, generated, .. } = tokens(cases)?;
            prices.map(|prices| prices.cost(prompt, generated, performance.wall_seconds))
        }
        Operational::FirstToken(percentile) => probed(|case| case.first_token_seconds, percentile.share()),
        Operational::Total(percentile) => probed(|case| case.total_seconds, percentile.share()),
    })
}

fn tokens(cases: &dyn Cases) -> Result<TokenSums> {
    let mut sums = TokenSums::default();
    for line in cases.lines()? {
        sums.add(&line?);
    }
    Ok(sums)
}

/// Large figures without decimals, others with four.
fn shown(value: f64) -> String {
    if value.abs() >= 1e4 { format!("{value:.0}") } else { number(value) }
}

fn missing(figure: Operational, whose: &str) -> String {
    let why = match figure {
        Operational::FirstToken(_) | Operational::Total(_) => "was not probed: add `probe: {cases: 50}` to the suite",
        Operational::Cost => "has no prices: add `prices` to the suite",
        Operational::TokensPerCase => "has no token counts: recorded answers need `output_ids` and `prompt_tokens`",
        Operational::TokensPerSecond => "generated nothing",
        Operational::PeakMemoryBytes | Operational::WallSeconds => "does not say",
    };
    format!("no data: {whose} {why}")
}
