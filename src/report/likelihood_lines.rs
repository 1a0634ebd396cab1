//! What log-likelihoods of a dataset come to, in lines for people.

use crate::record::{Bin, Calibration, ChoiceFigures, LikelihoodFigures};
use crate::stats::format::fixed;

/// A line for perplexities, one for choices, and one for their reliability bins, as far as there are figures.
pub(super) fn lines(figures: &LikelihoodFigures) -> Vec<String> {
    let LikelihoodFigures { choice, perplexity, bits_per_byte, byte_perplexity, word_perplexity } = figures;
    let named = [
        ("perplexity", perplexity),
        ("bits per byte", bits_per_byte),
        ("byte perplexity", byte_perplexity),
        ("word perplexity", word_perplexity),
    ];
    let known: Vec<String> =
        named.iter().filter_map(|(name, value)| Some(format!("{name} {}", fixed((**value)?)))).collect();
    let over_all = (!known.is_empty()).then(|| format!("over all cases: {}", known.join(", ")));
    over_all.into_iter().chain(choice.iter().flat_map(choices)).collect()
}

fn choices(choice: &ChoiceFigures) -> Vec<String> {
    let ChoiceFigures { tied, f1, mcc, calibration: Calibration { error, bins } } = choice;
    let ties = format!("{tied} {}", if *tied == 1 { "tie" } else { "ties" });
    let named = [("F1", f1), ("MCC", mcc), ("expected calibration error", error)];
    let known = named.iter().filter_map(|(name, value)| Some(format!("{name} {}", fixed((**value)?))));
    let first = std::iter::once(ties).chain(known).collect::<Vec<_>>().join(", ");
    let bin = |Bin { above, to, cases, right, confidence }: &Bin| {
        let (accuracy, confidence) = (*right as f64 / (*cases).max(1) as f64, confidence.unwrap_or_default());
        let noun = if *cases == 1 { "case" } else { "cases" };
        format!("{above:.2} to {to:.2}: {cases} {noun}, {confidence:.2} sure, {accuracy:.2} right")
    };
    let bins: Vec<String> = bins.iter().map(bin).collect();
    vec![format!("choices: {first}"), format!("reliability by probability: {}", bins.join("; "))]
}
