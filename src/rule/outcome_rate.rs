//! Metrics of what became of answers: `golden.finish_length_rate`, `golden.exact_match.not_extracted_rate`.
//!
//! They are shares of answers that are no evidence, or little: the lower the better.

/// What such metrics end with.
pub const OUTCOME_RATES: [&str; 5] =
    ["finish_length_rate", "empty_rate", "no_answer_rate", "not_extracted_rate", "truncated_rate"];

/// Those that can be asked of one scorer.
pub const SCORER_RATES: [&str; 3] = ["no_answer_rate", "not_extracted_rate", "truncated_rate"];

/// The rate that a metric asks for, where it is one of these: all of the text behind its last dot.
pub fn outcome_rate(metric: &str) -> Option<&'static str> {
    let (_, last) = metric.rsplit_once('.')?;
    OUTCOME_RATES.into_iter().find(|rate| *rate == last)
}
