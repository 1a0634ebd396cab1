//! Bounds of operational figures: tokens, throughput, memory, cost, latency.

use super::results::{TOLERANCE, failed, open, outcome, skipped};
use super::subject::Subject;
use super::{Cases, TokenSums};
use crate::error::Result;
use crate::record::{BASELINE_DRAFTS, CACHED, Performance, ProbedCase, RuleResult};
use crate::rule::{Gate, Operational, Prices};
use crate::stats::format::short;
use crate::stats::quantile;

/// A rule for each bound of a gate on an operational figure.
pub(super) fn rules(
    figure: Operational,
    gate: &Gate,
    subject: &Subject<'_>,
    prices: Option<&Prices>,
) -> Result<Vec<RuleResult>> {
    let now = measure(figure, subject.performance, subject.cases, prices)?;
    let before = match subject.base_cases {
        Some(cases) => Some(measure(figure, subject.base_performance, cases, prices)?),
        None => None,
    };
    let mut rules = absolute(figure, gate, &now, before.as_ref());
    rules.extend(relative(figure, gate, subject, before.as_ref(), &now));
    if rules.is_empty() {
        rules.push(failed(figure.to_string(), None, "it states no bound".into()));
    }
    Ok(rules)
}

/// Bounds of the run alone.
fn absolute(figure: Operational, gate: &Gate, now: &Figure, before: Option<&Figure>) -> Vec<RuleResult> {
    let known = before.and_then(|before| before.as_ref().ok());
    let mut rules = Vec::new();
    for (limit, below) in [(gate.min, false), (gate.max, true)] {
        let Some(limit) = limit else { continue };
        let rule = format!("{figure} {} {limit}", if below { "<=" } else { ">=" });
        rules.push(match now {
            Err(why) => open(rule, Some(limit), format!("not measured: the run {why}")),
            Ok(now) => {
                let holds = if below { now.value <= limit + TOLERANCE } else { now.value >= limit - TOLERANCE };
                RuleResult {
                    outcome: outcome(holds, holds),
                    observed: Some(now.value),
                    baseline: known.map(|before| before.value),
                    ..failed(rule, Some(limit), format!("{}{}", shown(now.value), now.note()))
                }
            }
        });
    }
    rules
}

/// Bounds of its change since the baseline.
fn relative(
    figure: Operational,
    gate: &Gate,
    subject: &Subject<'_>,
    before: Option<&Figure>,
    now: &Figure,
) -> Vec<RuleResult> {
    let mut rules = Vec::new();
    let relatives = [
        (gate.max_drop, "drops", "", -1.0, false),
        (gate.max_rise, "rises", "", 1.0, false),
        (gate.max_drop_share, "drops", " of the baseline", -1.0, true),
        (gate.max_rise_share, "rises", " of the baseline", 1.0, true),
    ];
    for (limit, verb, of, sign, share) in relatives {
        let Some(limit) = limit else { continue };
        let rule = format!("{figure} {verb} by at most {limit}{of}");
        rules.push(match (subject.comparison.and(before), now) {
            (None, _) => skipped(rule, Some(limit), subject),
            (_, Err(why)) => open(rule, Some(limit), format!("not measured: the run {why}")),
            (Some(Err(why)), _) => open(rule, Some(limit), format!("not measured: the baseline {why}")),
            (Some(Ok(before)), Ok(now)) if before.by != now.by => open(rule, Some(limit), UNLIKE.into()),
            (Some(Ok(before)), Ok(now)) => {
                let (was, is) = (before.value, now.value);
                let room = if share { limit * was.abs() } else { limit };
                let change = if was == 0.0 { String::new() } else { format!(", {:+.1} %", 100.0 * (is / was - 1.0)) };
                let holds = sign * (is - was) <= room + TOLERANCE;
                RuleResult {
                    outcome: outcome(holds, holds),
                    observed: Some(is),
                    baseline: Some(was),
                    ..failed(rule, Some(limit), format!("{} to {}{change}{}", shown(was), shown(is), now.note()))
                }
            }
        });
    }
    rules
}

/// Why two figures do not compare.
pub(super) const UNLIKE: &str = "not measured alike: one run by its batch, the other by its probe, since its answers were known before; repeat it with --no-cache --no-drafts";

/// An operational figure of one run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    pub value: f64,
    pub by: By,
}

/// What a figure was measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The run itself.
    Run,
    /// The probe, one case at a time, where the run's answers were known: from the cache, or as drafts.
    Probe,
}

/// The figure, or why it was not measured, behind "the run" or "the baseline".
type Figure = Result<Measured, String>;

impl Measured {
    /// What there is to say about how it was measured.
    pub fn note(&self) -> String {
        match self.by {
            By::Run => String::new(),
            By::Probe => " (by the probe, one case at a time: the run's answers were known before)".into(),
        }
    }
}

/// A figure of one run. An answer from the cache or from a journal cost nothing,
/// one that its draft foretold little: neither says what answers cost.
pub(super) fn measure(
    figure: Operational,
    performance: Option<&Performance>,
    cases: &dyn Cases,
    prices: Option<&Prices>,
) -> Result<Figure> {
    let Some(performance) = performance else { return Ok(Err("does not say".into())) };
    let counted = |name: &str| performance.counters.get(name).copied().unwrap_or(0);
    let (cached, drafted, resumed) = (counted(CACHED), counted(BASELINE_DRAFTS), performance.resumed());
    let known = cached + drafted + resumed;
    let from_cache = || match (resumed, cached) {
        (0, 0) => format!("had the baseline's answers as drafts of {drafted}: repeat it with --no-drafts"),
        (0, _) => format!("took {cached} answers from the cache: repeat it with --no-cache"),
        _ => format!("was interrupted, and took {resumed} answers from its journal: repeat it without --resume"),
    };
    let computed = |value: Option<f64>, why: &str| if known > 0 { Err(from_cache()) } else { by_run(value, why) };
    let probe = performance.probe.as_ref().filter(|probe| !probe.cases.is_empty());
    let probed = |time: fn(&ProbedCase) -> f64, share: f64| {
        let times: Vec<f64> = probe?.cases.iter().map(time).collect();
        quantile(ndarray::aview1(&times), share)
    };
    let not_probed = "was not probed: add `probe: {cases: 50}` to the suite";
    Ok(match figure {
        // From the cases, not from what was computed: answers from a cache have tokens too.
        Operational::TokensPerCase => by_run(tokens(cases)?.per_case(), NO_TOKENS),
        Operational::TokensPerSecond => match (known, probe) {
            (0, _) => by_run(performance.tokens_per_second, "generated nothing: its answers were recorded"),
            (_, Some(probe)) => speed_of_probe(&probe.cases),
            (_, None) => Err(format!("{}, or add `probe: {{cases: 50}}` to the suite", from_cache())),
        },
        Operational::PeakMemoryBytes => match cached {
            0 => by_run(performance.peak_memory_bytes.map(|bytes| bytes as f64), "does not say"),
            _ => Err(from_cache()),
        },
        Operational::WallSeconds => {
            computed(Some(performance.wall_seconds).filter(|seconds| *seconds > 0.0), "does not say")
        }
        Operational::Cost => match prices {
            None => Err("has no prices: add `prices` to the suite".into()),
            // Hours that were not needed would make it cheap.
            Some(prices) if known > 0 && prices.per_hour > 0.0 => Err(from_cache()),
            Some(prices) => {
                let TokenSums { prompt, generated, cases: known } = tokens(cases)?;
                let counted = known > 0 || prices.per_1k_prompt_tokens + prices.per_1k_generated_tokens == 0.0;
                let cost = prices.cost(prompt, generated, performance.wall_seconds);
                by_run(counted.then_some(cost), NO_TOKENS)
            }
        },
        Operational::FirstToken(percentile) => {
            by_run(probed(|case| case.first_token_seconds, percentile.share()), not_probed)
        }
        Operational::Total(percentile) => by_run(probed(|case| case.total_seconds, percentile.share()), not_probed),
    })
}

const NO_TOKENS: &str = "has no token counts: recorded answers need `output_ids` and `prompt_tokens`";

fn by_run(value: Option<f64>, why: &str) -> Figure {
    value.map(|value| Measured { value, by: By::Run }).ok_or_else(|| why.to_owned())
}

/// Tokens a second of cases that were asked alone.
fn speed_of_probe(cases: &[ProbedCase]) -> Figure {
    let sums = |(tokens, seconds): (u64, f64), case: &ProbedCase| (tokens + case.tokens, seconds + case.total_seconds);
    let (tokens, seconds) = cases.iter().fold((0, 0.0), sums);
    if seconds > 0.0 && tokens > 0 {
        Ok(Measured { value: tokens as f64 / seconds, by: By::Probe })
    } else {
        Err("has a probe that generated nothing".into())
    }
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
    if value.abs() >= 1e4 { format!("{value:.0}") } else { short(value) }
}
