//! Scorers: two pure functions each, `needs` and `score`, one file per family.
//!
//! [`ScorerSpec`] is a scorer as a suite (or a case's `checks`) spells it, [`Scorer`] its compiled form. Nothing here runs
//! a model or reads a file.

mod contains;
mod digits;
mod exact_match;
mod explain;
mod extract;
mod fold;
mod invisible;
mod language;
#[cfg(test)]
mod language_cases;
mod language_english;
mod language_words;
mod likelihood;
mod likelihood_scorers;
mod normalize;
mod number;
mod numeral_gap;
mod numeral_head;
mod numeral_lines;
mod numeral_tail;
mod numeral_units;
mod numeral_words;
mod numerals;
#[cfg(test)]
mod numerals_answers;
#[cfg(test)]
mod numerals_cases;
mod pattern;
mod reasoning;
mod refusal;
#[cfg(test)]
mod refusal_cases;
mod refusal_patterns;
mod regex_match;
mod scorer;
mod sentences;
mod similarity;
mod spec;
#[cfg(test)]
mod testing;
mod texts;
mod token_f1;
mod toxicity;
mod types;

pub use contains::{ContainsOptions, Mode};
pub use digits::Decimal;
pub use exact_match::ExactMatchOptions;
pub use extract::{Extract, Occurrence};
pub use invisible::{is_blank, is_invisible, seen};
pub use language::other_language;
pub use likelihood::{ChoiceLikelihoods, ContinuationLikelihood, DocumentLikelihood, Likelihoods};
pub use likelihood_scorers::{
    ChoiceMetric, ChoiceOptions, LoglikelihoodMetric, LoglikelihoodOptions, PerplexityMetric, PerplexityOptions,
};
pub use normalize::Unicode;
pub use reasoning::{On, Output, Reasoning, Thought};
pub use refusal::{Expect, RefusalOptions, Stance, Verdict, judge};
pub use regex_match::RegexOptions;
pub use scorer::Scorer;
pub use similarity::SimilarityOptions;
pub use spec::{CompileContext, ScorerSpec};
pub use texts::Texts;
pub use token_f1::TokenF1Options;
pub use toxicity::{ToxicLabels, ToxicityOptions};
pub use types::{Answer, Lacking, Need, Score};
