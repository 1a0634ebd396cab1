//! Expressions over a run: every term with its figures, and what they come to.
//!
//! A term without data is neither true nor false, nor is one that errored cases could turn. `fail_if` fails where its expression
//! holds; it is inconclusive where missing data leave that open, and not judged where only the missing baseline does.

use super::operational;
use super::results::{failed, missing_cause, open, skipped};
use super::subject::Subject;
use super::view::{Errors, Said, said};
use crate::error::Result;
use crate::record::{Outcome, RuleResult};
use crate::rule::{Change, Expression, Figure, Gate, Metric, Operational, Prices, Sign, Statistic, Term, Window};
use crate::stats::format::short;

/// What a term or an expression comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Holds,
    Fails,
    /// There are no data.
    Unknown,
    /// There is no baseline.
    Unasked,
}

impl Truth {
    fn of(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }

    fn not(self) -> Self {
        match self {
            Self::Holds => Self::Fails,
            Self::Fails => Self::Holds,
            other => other,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Holds => "true",
            Self::Fails => "false",
            Self::Unknown | Self::Unasked => "unknown",
        }
    }
}

/// The rule `fail_if`.
pub(super) fn rule(text: &str, gate: &Gate, subject: &Subject<'_>, prices: Option<&Prices>) -> Result<RuleResult> {
    let expression = match Expression::parse(text) {
        Ok(expression) => expression,
        Err(error) => return Ok(failed(format!("not ({text})"), None, error.chain())),
    };
    let filter = if gate.filter.is_empty() { String::new() } else { format!(" where {}", gate.filter) };
    let rule = format!("not ({expression}){filter}");
    let mut evaluation = Evaluation { gate, subject, prices, told: Vec::new(), observed: None };
    let truth = evaluation.expression(&expression)?;
    let Evaluation { told, observed, .. } = evaluation;
    let reason = told.join("; ");
    Ok(match truth {
        Truth::Fails => RuleResult { outcome: Outcome::Passed, observed, ..failed(rule, None, reason) },
        Truth::Holds => RuleResult { observed, ..failed(rule, None, reason) },
        Truth::Unknown => RuleResult { observed, ..open(rule, None, reason) },
        Truth::Unasked => RuleResult { reason, ..skipped(rule, None, subject) },
    })
}

struct Evaluation<'a> {
    gate: &'a Gate,
    subject: &'a Subject<'a>,
    prices: Option<&'a Prices>,
    /// A text for each term.
    told: Vec<String>,
    /// The value of the first term that holds, or of the only one.
    observed: Option<f64>,
}

/// A term's value, with what else there is to say about it.
struct Seen {
    value: f64,
    /// The value, had errored cases come out one way or the other.
    range: (f64, f64),
    note: String,
}

impl Seen {
    fn plain(value: f64, note: String) -> Self {
        Self { value, range: (value, value), note }
    }
}

/// Why there is no value.
enum Missing {
    Data(String),
    Baseline,
}

impl Evaluation<'_> {
    /// All parts are looked at, so that the reason names all figures.
    fn expression(&mut self, expression: &Expression) -> Result<Truth> {
        Ok(match expression {
            Expression::Term(term) => self.term(term)?,
            Expression::Not(part) => self.expression(part)?.not(),
            Expression::Or(parts) => self.parts(parts, Truth::Holds)?,
            Expression::And(parts) => self.parts(parts, Truth::Fails)?,
        })
    }

    /// One part that is `decisive` decides; else missing data leave it open; else no part was decisive.
    fn parts(&mut self, parts: &[Expression], decisive: Truth) -> Result<Truth> {
        let truths = parts.iter().map(|part| self.expression(part)).collect::<Result<Vec<_>>>()?;
        let found = [decisive, Truth::Unknown, Truth::Unasked].into_iter().find(|truth| truths.contains(truth));
        Ok(found.unwrap_or(decisive.not()))
    }

    fn term(&mut self, term: &Term) -> Result<Truth> {
        let change = match term.change {
            None => "",
            Some(Change::Drop) => " drop",
            Some(Change::Rise) => " rise",
        };
        let name = format!("{}{change}", term.name());
        let truth = match self.value(term)? {
            Ok(Seen { value, range: (low, high), note }) => {
                let (low, high) = (term.sign.holds(low, term.limit), term.sign.holds(high, term.limit));
                let truth = if low == high { Truth::of(low) } else { Truth::Unknown };
                let errors = match (low == high, term.figure.metric().and_then(missing_cause)) {
                    (true, _) => String::new(),
                    (false, None) => ", errored cases could turn it".to_owned(),
                    (false, Some(what)) => format!(", cases that erred or do not tell {what} could turn it"),
                };
                self.told.push(format!("{name} is {}{note}: {}{errors}", short(value), truth.word()));
                if truth == Truth::Holds || self.observed.is_none() {
                    self.observed = Some(value);
                }
                truth
            }
            Err(Missing::Data(why)) => {
                self.told.push(format!("{name}: no data ({why})"));
                Truth::Unknown
            }
            Err(Missing::Baseline) => {
                self.told.push(format!("{name}: no baseline to compare with"));
                Truth::Unasked
            }
        };
        Ok(truth)
    }

    fn value(&self, term: &Term) -> Result<Result<Seen, Missing>> {
        let metric = match &term.figure {
            Figure::Operational(figure) => return self.operational(*figure, term),
            Figure::Scores(metric) => metric,
        };
        if let Some(window) = term.window {
            return self.windowed(metric, term, window);
        }
        let failing = |value: f64| if term.failing { 1.0 - value } else { value };
        let missing = || Missing::Data(metric.hint(self.subject.summary));
        Ok(match term.change {
            None => match metric.observe(self.subject.summary) {
                Some(seen) => {
                    let note = format!(" over {}", seen.told);
                    Ok(Seen { value: failing(seen.value), range: (failing(seen.lowest), failing(seen.highest)), note })
                }
                None => Err(missing()),
            },
            Some(change) => match self.subject.comparison {
                None => Err(Missing::Baseline),
                Some(comparison) => match metric.paired(comparison) {
                    Some(paired) => {
                        let of =
                            |seen: &super::metric::Change| moved(change, failing(seen.base), failing(seen.candidate));
                        let range = (of(&paired.extremes[0]), of(&paired.extremes[1]));
                        Ok(Seen { value: of(&paired.seen), range, note: String::new() })
                    }
                    None => Err(missing()),
                },
            },
        })
    }

    fn operational(&self, figure: Operational, term: &Term) -> Result<Result<Seen, Missing>> {
        let subject = self.subject;
        let now = match operational::measure(figure, subject.performance, subject.cases, self.prices)? {
            Ok(now) => now,
            Err(why) => return Ok(Err(Missing::Data(format!("the run {why}")))),
        };
        let Some(change) = term.change else { return Ok(Ok(Seen::plain(now.value, now.note()))) };
        let (Some(cases), Some(_)) = (subject.base_cases, subject.comparison) else {
            return Ok(Err(Missing::Baseline));
        };
        let before = operational::measure(figure, subject.base_performance, cases, self.prices)?;
        Ok(match before {
            Ok(before) if before.by == now.by => Ok(Seen::plain(moved(change, before.value, now.value), now.note())),
            Ok(_) => Err(Missing::Data(operational::UNLIKE.into())),
            Err(why) => Err(Missing::Data(format!("the baseline {why}"))),
        })
    }

    /// The window in which the term is likeliest to hold.
    fn windowed(&self, metric: &Metric, term: &Term, window: Window) -> Result<Result<Seen, Missing>> {
        let said = said(self.subject.cases, metric, self.subject.summary, &self.gate.filter)?;
        if said.is_empty() {
            return Ok(Err(Missing::Data(metric.hint(self.subject.summary))));
        }
        let timed = said.iter().filter(|case| case.at.is_some()).count();
        if timed < said.len() {
            let why = format!("{} of {} cases have no timestamp", said.len() - timed, said.len());
            return Ok(Err(Missing::Data(why)));
        }
        let taken = match metric.statistic {
            Statistic::Mean => Taken::Mean,
            Statistic::PassRate => Taken::rate(term.failing),
            Statistic::OutcomeRate(_) => Taken::FailRate,
        };
        let seen = |errors: Errors| extreme(&said, (taken, errors), window, term.sign);
        let danger = metric.is_danger(self.subject.summary);
        let erred = !danger && said.iter().any(|case| case.erred);
        let bound = |errors: Errors| if erred { seen(errors) } else { seen(Errors::AsSeen) }.map(|(value, ..)| value);
        Ok(match seen(Errors::AsSeen) {
            Some((value, start, cases)) => {
                let start = jiff::Timestamp::from_second(start).map_or(String::new(), |time| format!(" from {time}"));
                let range = (bound(Errors::Low).unwrap_or(value), bound(Errors::High).unwrap_or(value));
                Ok(Seen { value, range, note: format!(" over {cases} cases in the window{start}") })
            }
            None => Err(Missing::Data(format!("no window has {} cases with a value", window.at_least))),
        })
    }
}

fn moved(change: Change, before: f64, after: f64) -> f64 {
    match change {
        Change::Drop => before - after,
        Change::Rise => after - before,
    }
}

/// What is asked of a window.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    PassRate,
    FailRate,
    Mean,
}

impl Taken {
    fn rate(failing: bool) -> Self {
        if failing { Self::FailRate } else { Self::PassRate }
    }

    /// What a case adds: records round values to millionths, so whole ones make exact sums. None where it does not count.
    fn millionths(self, case: &Said, errors: Errors) -> Option<i128> {
        match self {
            Self::PassRate => Some(i128::from(case.passes(errors)) * 1_000_000),
            Self::FailRate => Some(i128::from(!case.passes(errors)) * 1_000_000),
            Self::Mean => case.value_of(errors).map(|value| (value * 1e6).round() as i128),
        }
    }
}

/// The largest value of any window, or the smallest where the sign points down: the value, the window's start, and its cases.
/// Windows start at every case's time and hold the cases before `start + length`; the first of equal ones is told.
fn extreme(said: &[Said], (taken, errors): (Taken, Errors), window: Window, sign: Sign) -> Option<(f64, i64, u64)> {
    let mut cases: Vec<(i64, i128)> =
        said.iter().filter_map(|case| Some((case.at?, taken.millionths(case, errors)?))).collect();
    cases.sort_unstable_by_key(|(at, _)| *at);
    let length = i64::try_from(window.seconds).unwrap_or(i64::MAX);
    let (mut end, mut sum) = (0, 0);
    let mut found: Option<(f64, i64, u64)> = None;
    for start in 0..cases.len() {
        let first = cases[start].0;
        while end < cases.len() && cases[end].0 < first.saturating_add(length) {
            sum += cases[end].1;
            end += 1;
        }
        let count = (end - start) as u64;
        // Only a window that starts with all cases of its first second is whole.
        let whole = start == 0 || cases[start - 1].0 < first;
        if whole && count >= window.at_least {
            let value = sum as f64 / 1e6 / count as f64;
            let beats = |best: f64| if sign.is_upward() { value > best } else { value < best };
            if found.is_none_or(|(best, ..)| beats(best)) {
                found = Some((value, first, count));
            }
        }
        sum -= cases[start].1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn case(at: i64, passed: bool) -> Said {
        Said { at: Some(at), erred: false, passed, value: Some(f64::from(u8::from(passed))) }
    }

    #[test]
    fn a_burst_is_found_in_its_window() {
        // One failure a minute, then five within one.
        let quiet = (0..60).map(|minute| case(minute * 60, minute % 10 != 0));
        let burst = (0..5).map(|second| case(3_600 + second, false));
        let said: Vec<Said> = quiet.chain(burst).collect();
        let window = |seconds, at_least| Window { seconds, at_least };
        let worst = |seconds, at_least| {
            extreme(&said, (Taken::FailRate, Errors::AsSeen), window(seconds, at_least), Sign::Above)
        };
        assert_eq!(worst(60, 3), Some((1.0, 3_600, 5)));
        assert_eq!(worst(60, 6), None);
        assert_eq!(worst(3_600, 50).map(|(rate, ..)| rate > 0.15), Some(true));
        let best = extreme(&said, (Taken::PassRate, Errors::AsSeen), window(600, 1), Sign::Above);
        assert_eq!(best.map(|(rate, ..)| rate), Some(0.9));
    }

    proptest! {
        #[test]
        fn equals_looking_at_every_window(
            cases in proptest::collection::vec((0..40i64, any::<bool>()), 1..40), seconds in 1..30u64, at_least in 1..5u64,
        ) {
            let said: Vec<Said> = cases.iter().map(|(at, passed)| case(*at, *passed)).collect();
            let rate = |start: i64| {
                let inside: Vec<_> = cases.iter().filter(|(at, _)| (start..start + seconds as i64).contains(at)).collect();
                let failed = inside.iter().filter(|(_, passed)| !passed).count();
                (inside.len() as u64 >= at_least).then(|| failed as f64 / inside.len() as f64)
            };
            let naive = cases.iter().filter_map(|(at, _)| rate(*at)).max_by(f64::total_cmp);
            let found = extreme(&said, (Taken::FailRate, Errors::AsSeen), Window { seconds, at_least }, Sign::Above);
            prop_assert_eq!(found.map(|(rate, ..)| rate), naive);
        }
    }
}
