//! Metrics of what became of answers: `golden.finish_length_rate`, `golden.exact_match.not_extracted_rate`.
//!
//! They are shares of answers that are no evidence, or little: the lower the better.

/// What such metrics end with.
pub const OUTCOME_RATES: [&str; 5] =
    ["finish_length_rate", "empty_rate", "no_answer_rate", "not_extracted_rate", "truncated_rate"];

/// Those that can be asked of one scorer.
pub const SCORER_RATES: [&str; 3] = ["no_answer_rate", "not_extracted_rate", "truncated_rate"];
