//! What stands behind digits and makes more or less of them: exponents, roots, fractions, times, variables, bounds.

use super::digits::{self, is_minus};
use super::numeral_words::{
    FAR, TAILS, is_bare_function, is_clock, is_currency, is_fraction, is_latex_factor, is_magnitude, is_unspaced,
    scale, unspaced_scale, word,
};

/// A power of ten behind a number: `×10^3`, ` x 10^{-3}`, `\times 10^3`, `*10**3`.
pub(super) fn scientific(text: &str) -> Option<(i64, usize)> {
    let spaced = text.trim_start_matches([' ', '\\', ',']);
    let signs = ["\\times", "\\cdot", "times", "cdot", "×", "·", "⋅", "*", "x", "X"];
    let ten =
        signs.into_iter().find_map(|sign| spaced.strip_prefix(sign))?.trim_start_matches(' ').strip_prefix("10")?;
    let ten = ten.strip_prefix("{").filter(|rest| rest.starts_with('^')).unwrap_or(ten);
    let raised = ten.strip_prefix('^').or_else(|| ten.strip_prefix("**"))?;
    let (inside, length) = braced(raised)?;
    let (power, used) = digits::integer(inside)?;
    (used == inside.len()).then_some((power, text.len() - raised.len() + length))
}

/// What stands in braces or parentheses at the start of a text, else its signed digits; with the length of all.
pub(super) fn braced(text: &str) -> Option<(&str, usize)> {
    for (open, close) in [('{', '}'), ('(', ')')] {
        if let Some(inside) = text.strip_prefix(open) {
            let (at, _) = inside.char_indices().take(FAR).find(|(_, c)| *c == close)?;
            return Some((&inside[..at], at + 2));
        }
    }
    let (_, length) = digits::integer(text)?;
    let ends = !text[length..].starts_with(|c: char| c.is_alphanumeric());
    ends.then_some((&text[..length], length))
}

/// What is raised and no exponent: the ending of an ordinal, degrees.
pub(super) fn ordinal(text: &str) -> Option<usize> {
    let (inside, length) = match braced(text) {
        Some((inside, length)) => (inside, length),
        None if text.starts_with('\\') => {
            let length = 1 + word(&text[1..]).len();
            let (inside, more) = braced(&text[length..]).unwrap_or(("", 0));
            (if inside.is_empty() { &text[..length] } else { inside }, length + more)
        }
        None => (word(text), word(text).len()),
    };
    let plain = inside.trim_start_matches('\\').trim();
    let plain = ["text", "mathrm", "rm"].into_iter().find_map(|name| plain.strip_prefix(name)).unwrap_or(plain);
    let plain = plain.trim_matches(['{', '}', ' ']);
    let mark = matches!(plain, "st" | "nd" | "rd" | "th" | "circ" | "degree" | "°" | "prime");
    let closing = text[length..].bytes().take_while(|byte| *byte == b'}').count();
    mark.then_some(length + if inside.contains('{') && !inside.contains('}') { closing } else { 0 })
}

/// The length of what makes another of a number, where it stands directly behind it or its marks.
pub(super) fn extends(text: &str, money: bool) -> Option<usize> {
    let spaced = text.trim_start_matches([' ', '*', '·', '⋅']);
    let skipped = text.len() - spaced.len();
    for sign in ["π", "√", "∛", "∜", "∞", "dozen"] {
        if spaced.starts_with(sign) {
            return Some(skipped + sign.len());
        }
    }
    // `1_000` is a group, `101_{2}` and `x_1` are not.
    if text.strip_prefix('_').is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || c == '{')) {
        return Some(1);
    }
    unspaced_scale(text)
        .or_else(|| latex(text))
        .or_else(|| operand(text, spaced))
        .or_else(|| bound(text))
        .or_else(|| coded(text))
        .or_else(|| worded(text, money))
}

/// `2\pi`, `2 \cdot \sqrt{3}`, `2\,\theta`.
fn latex(text: &str) -> Option<usize> {
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start_matches([' ', '*', '·', '⋅', '×']);
        let next =
            ["\\,", "\\;", "\\!", "\\ ", "\\cdot", "\\times"].iter().find_map(|space| trimmed.strip_prefix(space));
        match next {
            Some(next) => rest = next,
            None => {
                rest = trimmed;
                break;
            }
        }
    }
    let name = word(rest.strip_prefix('\\')?);
    is_latex_factor(name).then_some(text.len() - rest.len() + 1 + name.len())
}

/// `3 + x`, `5 - x`, `1/n`, `2 * y`, `2 sqrt(3)`, `2 pi`, `5+`.
fn operand(text: &str, spaced: &str) -> Option<usize> {
    let skipped = text.len() - spaced.len();
    let lone = |rest: &str| matches!(word(rest), "x" | "y" | "z" | "n");
    if let Some(rest) = spaced.strip_prefix('+') {
        let next = rest.trim_start_matches(' ');
        let ends = skipped == 0
            && !rest.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '\\' | '(' | '-' | '+' | '/'));
        let open = ends && !next.starts_with(|c: char| c.is_ascii_digit() || is_currency(c));
        if next.starts_with(char::is_alphabetic) || open {
            return Some(skipped + 1);
        }
    }
    let signed = spaced.strip_prefix(|c: char| matches!(c, '/' | '÷') || is_minus(c));
    if let Some(rest) = signed.filter(|rest| lone(rest.trim_start_matches(' '))) {
        return Some(text.len() - rest.len());
    }
    // `2 sqrt 3`, `2*sin(x)`; a log that stands alone is wood.
    let name = word(spaced);
    let argument = spaced[name.len()..].trim_start_matches(' ');
    let applied =
        is_bare_function(name) && argument.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '(' | '{' | '\\'));
    let factor = name.eq_ignore_ascii_case("pi") || (skipped > 0 && lone(spaced)) || applied || name == "sqrt";
    factor.then_some(skipped + name.len())
}

/// `5 < x`, `5 ≤ x ≤ 10`, `5 \leq x`, `[5, ∞)`; but `5</b>`, and GSM8K's `>>`.
fn bound(text: &str) -> Option<usize> {
    let spaced = text.trim_start_matches([' ', '$', '\\']);
    let skipped = text.len() - spaced.len();
    for sign in ["≤", "≥", "≠", "≦", "≧", "<=", ">=", "!=", "leq", "geq", "neq"] {
        if spaced.starts_with(sign) && (skipped > 0 || !sign.starts_with(char::is_alphabetic)) {
            return Some(skipped + sign.len());
        }
    }
    if let Some(rest) = spaced.strip_prefix(['<', '>']) {
        let tag = rest.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '|' | '<' | '>'));
        let compared =
            rest.trim_start_matches(' ').starts_with(|c: char| c.is_alphanumeric() || is_minus(c) || c == '\\');
        return (compared && !tag).then_some(skipped + 1);
    }
    let open = text.trim_start_matches([' ', ',', ';', '+']);
    let infinite = ["∞", "\\infty", "infinity"].into_iter().find(|sign| open.starts_with(sign))?;
    (open.len() < text.len()).then_some(text.len() - open.len() + infinite.len())
}

/// `2024-W05`, `12-B4`, `42-A`: a code; `5-year-old` is none.
fn coded(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('-')?;
    let token = &rest[..rest.find(|c: char| !(c.is_alphanumeric() || c == '-')).unwrap_or(rest.len())];
    let capital = token.len() == 1 && token.starts_with(|c: char| c.is_ascii_uppercase());
    let mixed = token.starts_with(|c: char| c.is_ascii_alphabetic()) && token.contains(|c: char| c.is_ascii_digit());
    (capital || mixed).then_some(1 + token.len())
}

/// `5 pm`, `5 p.m.`, `5 o'clock`, `5 squared`, `2 and a half`, `3 tenths`, `2-thirds`, `5 Millionen`, `$5 M`, `5 or more`.
fn worded(text: &str, money: bool) -> Option<usize> {
    let starts = |tail: &str| text.get(..tail.len()).is_some_and(|start| start.eq_ignore_ascii_case(tail));
    if let Some(tail) = TAILS.iter().find(|tail| starts(tail)) {
        return Some(tail.len());
    }
    let rest = text.strip_prefix([' ', '-', '\u{a0}'])?;
    let skipped = text.len() - rest.len();
    let name = word(rest);
    let behind = &rest[name.len()..];
    let dotted =
        matches!(name, "a" | "p" | "A" | "P") && [".m", ".M", ". m"].iter().any(|half| behind.starts_with(half));
    let million = money && matches!(name, "M" | "K" | "B" | "T" | "m");
    // 300 K are kelvins.
    let magnitude = name != "K" && is_magnitude(name);
    let other = is_clock(name) || dotted || million || magnitude || is_fraction(name);
    (!name.is_empty() && other && !behind.starts_with(is_unspaced)).then_some(skipped + name.len())
}

/// Marks of Markdown, LaTeX and HTML that may stand between a number and its word.
const MARKS: [&str; 21] = [
    "*",
    "__",
    "`",
    "$",
    "}",
    "\\)",
    "\\]",
    "\\,",
    "\\;",
    "\\:",
    "\\ ",
    "~",
    "\\text{",
    "\\mathrm{",
    "\\textbf{",
    "\\mbox{",
    "</b>",
    "</strong>",
    "</i>",
    "</em>",
    "</code>",
];

/// A word that makes another number of one behind marks: `**5** million`, `5\text{ dozen}`, `$10$ pm`, `\boxed{5} million`; and what
/// HTML raises or lowers.
pub(super) fn behind_markup(text: &str) -> Option<usize> {
    if text.starts_with("<sup>") || text.starts_with("<sub>") {
        return Some("<sup>".len());
    }
    let (mut rest, mut marked) = (text, false);
    loop {
        let next = MARKS.iter().find_map(|mark| rest.strip_prefix(mark));
        marked |= next.is_some();
        match next.or_else(|| rest.strip_prefix(' ')) {
            Some(next) => rest = next,
            None => break,
        }
    }
    let name = word(rest);
    let touches = matches!(name, "k" | "M" | "B" | "T") && text[..text.len() - rest.len()].ends_with('{');
    let dozens = matches!(name, "dozen" | "dozens" | "doz");
    let other = dozens || scale(name).is_some() || is_clock(name) || (name != "K" && is_magnitude(name)) || touches;
    (marked && !name.is_empty() && other).then_some(text.len() - rest.len() + name.len())
}

/// Whether exclamation marks behind digits are factorials and no joy: nothing but a sentence ends with joy.
pub(super) fn is_factorial(head: &str, behind: &str) -> bool {
    if !behind.starts_with('!') || behind.starts_with("!=") {
        return false;
    }
    let marks = behind.trim_start_matches('!');
    let after = marks.trim_start_matches(['*', '_', '"', '\u{201d}', '\u{2019}']);
    let line = after.split('\n').next().unwrap_or_default();
    let goes_on = |c: char| {
        c.is_lowercase()
            || c.is_ascii_digit()
            || matches!(c, '=' | '+' | '-' | '*' | '/' | '×' | '·' | '÷' | '^' | '\\' | ',')
    };
    if !(after.is_empty() || after.starts_with(char::is_whitespace)) || line.trim_start().starts_with(goes_on) {
        return true;
    }
    let before = head.rsplit('\n').next().unwrap_or_default().trim_end_matches(['*', '_', ' ', '"', '\u{201c}']);
    !before.ends_with(|c: char| c.is_alphabetic() || c == ':' || is_currency(c))
}
