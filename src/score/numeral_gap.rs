//! What stands between two runs of digits, and whether it makes one thing of them: a fraction, a range, a list, a sum.

use super::numerals::is_currency;

/// Longest text between two runs of digits that could hang together, in bytes.
const LONGEST: usize = 64;
/// Words between the parts of a range, a list or a sum.
const WORDS: [&str; 27] = [
    "to",
    "and",
    "or",
    "through",
    "thru",
    "until",
    "till",
    "by",
    "over",
    "plus",
    "minus",
    "times",
    "vs",
    "vs.",
    "versus",
    "divided by",
    "out of",
    "&",
    "und",
    "oder",
    "bis",
    "et",
    "ou",
    "y",
    "o",
    "e",
    "à",
];
/// Signs between the parts of a fraction, a range, a product, a sum or a power.
const SIGNS: [&str; 23] = [
    "+", "-", "*", "/", "×", "÷", "·", "⋅", "±", "^", "~", "x", "X", "\u{2010}", "\u{2011}", "\u{2012}", "\u{2013}",
    "\u{2014}", "\u{2212}", "\u{2044}", "\u{2215}", "->", "\u{2192}",
];
/// Signs of lists.
const LISTS: [&str; 5] = [",", ";", "、", ", ...,", ", …,"];
/// What Chinese and Japanese put between the parts of a date, a time or a range.
const UNSPACED: [&str; 13] = ["年", "月", "日", "時", "时", "点", "點", "分", "到", "至", "から", "和", "或"];

/// Units of which the second is a part of the first: `5 feet 10 inches` is neither 5 nor 10.
const MIXED: [(&str, &str); 17] = [
    ("year", "month"),
    ("month", "day"),
    ("week", "day"),
    ("day", "hour"),
    ("hour", "min"),
    ("hr", "min"),
    ("min", "sec"),
    ("feet", "in"),
    ("foot", "in"),
    ("ft", "in"),
    ("dollar", "cent"),
    ("pound", "ounce"),
    ("pound", "pence"),
    ("lb", "oz"),
    ("kg", "g"),
    ("metre", "centi"),
    ("meter", "centi"),
];

/// Whether two runs of digits hang together, by the text between them and that behind the second.
pub(super) fn joins(gap: &str, behind: &str) -> bool {
    if gap.len() > LONGEST {
        return false;
    }
    let gap = &plain(gap);
    let (trimmed, lines) = (gap.trim(), gap.contains('\n'));
    if lines {
        // A list, a line each.
        return LISTS.contains(&trimmed);
    }
    if is_joint(gap) || UNSPACED.contains(&trimmed) {
        return true;
    }
    // `5 km - 10 km`, `x = 2 or x = 3`: the same word beside both.
    let spaced = gap.trim_start();
    let unit = &spaced[..spaced.find(|c: char| !c.is_alphabetic()).unwrap_or(spaced.len())];
    let after = behind.trim_start();
    let same = !unit.is_empty() && after.get(..unit.len()).is_some_and(|start| start.eq_ignore_ascii_case(unit));
    let named = spaced.strip_prefix("or ").and_then(|rest| rest.trim_end().strip_suffix('='));
    let between = &spaced[unit.len()..];
    let mixed = || {
        let smaller = &after[..after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len())];
        let pair = |(large, small): &(&str, &str)| unit.starts_with(large) && smaller.starts_with(small);
        matches!(between.trim(), "" | "and" | "," | ", and") && MIXED.iter().any(pair)
    };
    (same && is_joint(between))
        || (!unit.is_empty() && mixed())
        || named.is_some_and(|name| name.trim().chars().all(char::is_alphabetic))
}

/// Whether an equals sign stands between what is equal.
pub(super) fn is_equation(gap: &str) -> bool {
    gap.len() <= LONGEST && plain(gap).trim_start_matches([')', ']', ' ', '\n', '&']).starts_with('=')
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
        "." | ".." | "..." => !right && !left,
        "'" | "\u{2019}" | "\u{2032}" | "\"" | "\u{2032}\u{2032}" => !left,
        inner if SIGNS.contains(&inner) => !entry,
        inner if LISTS.contains(&inner) => true,
        inner => {
            let words = LISTS.iter().find_map(|sign| inner.strip_prefix(sign)).unwrap_or(inner).trim_start();
            let words = words.strip_prefix("and/").unwrap_or(words);
            WORDS.iter().any(|word| words.eq_ignore_ascii_case(word))
        }
    }
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
