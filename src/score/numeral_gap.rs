//! What stands between two runs of digits, and whether it makes one thing of them: a fraction, a range, a list, a sum.

use super::digits::is_minus;
use super::numeral_units::is_compound;
use super::numeral_words::{is_currency, last_word, lists};

/// Longest text between two runs of digits that could hang together, in bytes.
const LONGEST: usize = 64;
/// Words of which one between two numbers makes a range, a list, a share or a sum of them, in the languages that use these letters.
const CORE: &str = " to and or through thru until till by over plus minus times vs vs. versus of per in mod modulo choose base remainder rem \
    from into than & c p r und oder bis von et ou à sur y o e a al hasta de di su até do tot en van til och eller og av af sau și \
    ve veya ila és vagy dan atau hingga sampai dari và hoặc đến trên i lub oraz или и до из от από έως και ";
/// Words that stand beside these.
const FILLERS: &str = " up down out divided raised power multiplied subtracted added the maybe perhaps possibly probably even about around \
    approximately roughly nearly almost at most least as many much either both all every each his her its their our my \
    these those with a an less more fewer greater percent % give take not only and/or zu hin mod, ";
/// What stands between the parts of a share, also behind a unit: `3 students out of 5`.
const SHARES: [&str; 12] = [
    "out of",
    "out of the",
    "out of every",
    "out of each",
    "of the",
    "of every",
    "for every",
    "for each",
    "in every",
    "per",
    "per every",
    "to every",
];
/// Signs between the parts of a fraction, a range, a product, a sum or a power.
const SIGNS: [&str; 32] = [
    "+", "-", "*", "/", "×", "÷", "·", "⋅", "±", "^", "~", "x", "X", "\u{301c}", "\u{2010}", "\u{2011}", "\u{2012}",
    "\u{2013}", "\u{2014}", "\u{2212}", "\u{2044}", "\u{2215}", "->", "\u{2192}", "|", "<", ">", "≤", "≥", "≠", "!=",
    "∶",
];
/// Signs of lists.
const LISTS: [&str; 5] = [",", ";", "、", ", ...,", ", …,"];
/// What Chinese and Japanese put between the parts of a date, a time or a range.
const UNSPACED: [&str; 13] = ["年", "月", "日", "時", "时", "点", "點", "分", "到", "至", "から", "和", "或"];

/// Whether two runs of digits hang together, by the text between them and those before and behind both.
pub(super) fn joins(before: &str, gap: &str, behind: &str) -> bool {
    if gap.len() > LONGEST {
        return false;
    }
    let (raw, gap) = (gap, &plain(gap));
    let (trimmed, lines) = (gap.trim(), gap.contains('\n'));
    if lines {
        // A list, a line each; the rows of a vector.
        return LISTS.contains(&trimmed) || (trimmed.is_empty() && raw.contains("\\\\"));
    }
    if is_joint(gap) || UNSPACED.contains(&trimmed) || is_punctuation(gap) {
        return true;
    }
    let (unit, between) = unit_of(gap);
    let after = behind.trim_start();
    // `5 km - 10 km`: the same word beside both; `3 h 20 min`, `6 ft 2`; `3 students out of 5`.
    let same = !unit.is_empty() && after.get(..unit.len()).is_some_and(|start| start.eq_ignore_ascii_case(unit));
    (same && is_joint(between))
        || is_compound(unit, between, after)
        || SHARES.contains(&trimmed)
        || SHARES.contains(&between.trim())
        || is_named(before, gap)
        || is_spanned(before, trimmed)
}

/// The word that a gap begins with, and what follows it.
fn unit_of(gap: &str) -> (&str, &str) {
    let spaced = gap.trim_start();
    spaced.split_at(spaced.find(|c: char| !c.is_alphabetic()).unwrap_or(spaced.len()))
}

/// `x = 2 or x = 3`, `x = 2, y = 3`: several numbers with a letter each; where a formula is filled in (`for r = 2, A = 12`), the last counts.
fn is_named(before: &str, gap: &str) -> bool {
    let Some(rest) = gap.trim_end().strip_suffix('=') else { return false };
    let rest = rest.trim();
    let Some(name) = ["or", "and", ", and", ", or", ",", ";"].iter().find_map(|sign| rest.strip_prefix(sign)) else {
        return false;
    };
    let lettered = |name: &str| name.chars().filter(|c| c.is_alphabetic()).count() <= 1;
    if rest.starts_with("or ") {
        return name.trim().chars().all(char::is_alphabetic);
    }
    let Some(first) = before.trim_end().strip_suffix('=') else { return false };
    let first = first.trim_end();
    let start = first.trim_end_matches(|c: char| c.is_alphanumeric() || matches!(c, '_' | '{' | '}'));
    let filled =
        ["when", "if", "for", "with", "at", "let", "where", "since", "given", "suppose", "put", "because", "and"];
    let word = last_word(start.trim_end()).to_lowercase();
    lettered(name) && lettered(&first[start.len()..]) && !filled.contains(&&*word)
}

/// `from 5 apples in May to 10`, `between 5 km and 10 miles`.
fn is_spanned(before: &str, gap: &str) -> bool {
    let first = last_word(before.trim_end_matches(|c: char| c == ' ' || is_currency(c)));
    let ends =
        |words: &[&str]| words.iter().any(|word| gap.ends_with(word) && gap[..gap.len() - word.len()].ends_with(' '));
    let whole = !gap.contains(['.', ',', ';', ':', '=']);
    whole
        && match first.to_ascii_lowercase().as_str() {
            "from" => ends(&["to", "until", "till", "through"]) && !ends(&["get to", "go to"]),
            "between" => ends(&["and"]),
            _ => false,
        }
}

/// Whether punctuation alone stands between digits, without a space: `1,,234`, `5|10`, `3::4`.
fn is_punctuation(gap: &str) -> bool {
    !gap.is_empty()
        && gap.chars().all(|c| {
            matches!(c, ',' | ';' | ':' | '.' | '/' | '|' | '~' | '_' | '\'' | '!' | '@' | '%' | '°') || is_minus(c)
        })
}

/// Whether an equals sign stands between what is equal.
pub(super) fn is_equation(gap: &str) -> bool {
    gap.len() <= LONGEST && plain(gap).trim_start_matches([')', ']', ' ', '\n', '&', '|', '!']).starts_with('=')
}

/// Whether a text without its marks joins what stands on both sides of it.
fn is_joint(gap: &str) -> bool {
    let trimmed = gap.trim();
    let (left, right) = (gap.starts_with(char::is_whitespace), gap.ends_with(char::is_whitespace));
    // `2(3)`, `(1), (2)`, `(3) + (4)`; but `1) - 42` is an entry of a list.
    let inner = trimmed.trim_matches(['(', ')', '[', ']', ' ']);
    let brackets = inner.len() < trimmed.len();
    let entry = trimmed.starts_with([')', ']']) && left != right;
    match inner {
        // Digits and spaces alone: `1 1/2`, `12 34`; `2(3)` and `f(2)(3)`.
        "" => !brackets || trimmed.ends_with('(') && !left && !right,
        ":" => left == right,
        "." | ".." => !right && !left,
        "..." => right == left,
        "'" | "\u{2019}" | "\u{2032}" | "\"" | "\u{2032}\u{2032}" => !left,
        inner if SIGNS.contains(&inner) => !entry,
        inner if LISTS.contains(&inner) => true,
        inner => {
            let words = LISTS.iter().find_map(|sign| inner.strip_prefix(sign)).unwrap_or(inner).trim();
            // `1, , 2`.
            words.chars().all(|c| matches!(c, ',' | ';' | ' ')) || is_worded(words)
        }
    }
}

/// Whether words join what stands on both sides: `to`, `up to`, `-to-`, `out of the`, `or about`.
fn is_worded(text: &str) -> bool {
    let text = text.replace(is_minus, " ").to_lowercase();
    let mut core = false;
    for word in text.split_whitespace() {
        let joins = lists(CORE, word);
        if !joins && !lists(FILLERS, word) {
            return false;
        }
        core |= joins;
    }
    core
}

/// The text without currencies, quotation marks and the marks of Markdown and LaTeX.
fn plain(gap: &str) -> String {
    if gap
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b',' | b'-' | b'/' | b':'))
    {
        return gap.to_owned();
    }
    let mut text = gap.replace("**", "").replace("\\left", "").replace("\\right", "");
    for (spelled, sign) in [
        ("\\times", "×"),
        ("\\cdots", "..."),
        ("\\cdot", "·"),
        ("\\div", "÷"),
        ("\\pm", "±"),
        ("\\ldots", "..."),
        ("\\dots", "..."),
        ("\\to", "->"),
        ("\\rightarrow", "->"),
        ("\\text", ""),
        ("\\mathrm", ""),
        ("\\overline", ""),
        ("\\quad", " "),
        ("\\,", " "),
        ("\\;", " "),
        ("\\ ", " "),
        ("\\!", ""),
        ("\\(", ""),
        ("\\)", ""),
        ("\\[", ""),
        ("\\]", ""),
        ("\\\\", " "),
        ("…", "..."),
        ("+/-", "±"),
    ] {
        if text.contains(spelled) {
            text = text.replace(spelled, sign);
        }
    }
    text.retain(|c| !(is_currency(c) || matches!(c, '`' | '{' | '}' | '"' | '“' | '”' | '\\')));
    text
}
