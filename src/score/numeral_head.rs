//! What stands before digits and makes them a part of something else: comparisons, functions, signs that stand apart.

use super::digits::is_minus;
use super::numeral_words::{
    CODES, COMPARISONS, FAR, HOURS, end_of, is_bare_function, is_function, is_multiplier, is_part_of, is_term,
    last_word,
};

/// Whether what stands before a number makes it a part of something: a bound (`x > 5`), an argument (`f(5)`, `ln 5`, `square root of 5`),
/// the half of an expression (`x - 5`), of an interval, or of a date (`Q3 2024`).
pub(super) fn takes(head: &str) -> bool {
    let near = end_of(head, FAR);
    let bare = near.trim_end_matches([' ', '*', '`']);
    is_bounded(near) || is_argument(near) || is_worded(bare) || is_operand(near) || is_cornered(near)
}

/// `≥ 5`, `x < 5`, `x >= 5`; but a quotation (`> 5`), an arrow (`-> 5`), the end of a tag (`<b>5`) and GSM8K's `<<48/2=24>>24`
/// bound nothing.
fn is_bounded(near: &str) -> bool {
    let bare = near.trim_end_matches([' ', '$', '{']);
    if COMPARISONS.iter().any(|sign| bare.ends_with(sign)) || bare.ends_with("\\le") || bare.ends_with("\\ge") {
        return true;
    }
    if let Some(before) = bare.strip_suffix('=') {
        return before.ends_with(['<', '>', '!']);
    }
    if let Some(before) = bare.strip_suffix('<') {
        return !before.ends_with('<');
    }
    let Some(before) = bare.strip_suffix('>') else { return false };
    if before.ends_with(['-', '=', '>', '\u{2013}']) {
        return false;
    }
    let line = before.rsplit('\n').next().unwrap_or_default();
    let quotation = line.chars().all(|c| c == '>' || c == ' ') && bare.len() < near.len();
    let tag = before.rfind('<').is_some_and(|open| {
        before[open + 1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '|'))
    });
    !(quotation || tag)
}

/// `f(5)`, `max(3, 5)`, `\ln{5}`, `sin 30`, `\log_2 8`, `|5`: digits inside an open parenthesis of a function, or behind its name.
fn is_argument(near: &str) -> bool {
    if near.ends_with(['⌊', '⌈', '‖', '∥']) {
        return true;
    }
    let mut depth = 0;
    for (at, sign) in near.char_indices().rev() {
        match sign {
            ')' | '}' => depth += 1,
            '(' | '{' if depth > 0 => depth -= 1,
            '(' | '{' => {
                let before = near[..at].trim_end_matches(['\'', '′']).trim_end_matches("\\left");
                if is_applied(before, sign == '(') || is_bare_function(last_word(before.trim_end_matches(' '))) {
                    return true;
                }
                break;
            }
            '\n' => break,
            _ => {}
        }
    }
    let spaced = near.trim_end_matches(' ');
    let thin = ["\\,", "\\;", "\\!", "\\ "].iter().find_map(|space| spaced.strip_suffix(space)).unwrap_or(spaced);
    let plain = without_index(thin);
    let name = last_word(plain);
    if plain[..plain.len() - name.len()].ends_with('\\') {
        is_function(name)
    } else {
        spaced.len() < near.len() && is_bare_function(name)
    }
}

/// Whether a text ends with the name of a function, or with a letter that may be one: `f`, `\sin`, `\log_2`.
fn is_applied(text: &str, letters: bool) -> bool {
    let plain = without_index(text);
    let name = last_word(plain);
    let before = plain[..plain.len() - name.len()].chars().next_back();
    let mut all = name.chars();
    let letter = matches!((all.next(), all.next()), (Some(_), None)) && !is_term(before) && before != Some('\\');
    (letters && letter) || is_function(name)
}

/// A text without the index that it ends with: `\log_2`, `\log_{10}`, `\sqrt[3]`.
fn without_index(text: &str) -> &str {
    let open = match text.chars().next_back() {
        Some('}') => text.rfind("_{"),
        Some(']') => text.rfind("\\sqrt[").map(|at| at + "\\sqrt".len()),
        Some(c) if c.is_alphanumeric() => {
            text.trim_end_matches(|c: char| c.is_alphanumeric()).strip_suffix('_').map(str::len)
        }
        _ => None,
    };
    open.map_or(text, |open| &text[..open])
}

/// `square root of 5`, `half of 10`, `twice 5`, `half past 5`.
fn is_worded(bare: &str) -> bool {
    let last = last_word(bare);
    if is_multiplier(last) {
        return true;
    }
    let of = bare.strip_suffix(" of").or_else(|| bare.strip_suffix(" of the"));
    let whole = |text: &str| is_part_of(last_word(text.trim_end_matches(' ')));
    let lower = end_of(bare, 16).to_lowercase();
    of.is_some_and(whole) || HOURS.iter().any(|hour| lower.ends_with(hour))
}

/// `x - 5`, `x * 5`, `f(x) - 5`, `x^2 - 5`, with spaces on both sides of the sign; a dash behind words is none, nor is a star of Markdown.
fn is_operand(near: &str) -> bool {
    let bare = near.trim_end_matches(' ');
    let sign = bare.chars().next_back().filter(|c| is_minus(*c) || *c == '*');
    let Some(sign) = sign.filter(|_| bare.len() < near.len()) else { return false };
    let Some(left) = bare[..bare.len() - sign.len_utf8()].strip_suffix(' ') else { return false };
    let token = left.rsplit(char::is_whitespace).next().unwrap_or_default();
    let variable = token.len() == 1 && token.starts_with(|c: char| c.is_ascii_lowercase());
    let applied = token.ends_with(')') && token.find('(').is_some_and(|at| at > 0);
    variable || applied || token.contains('^') || token.ends_with('∞')
}

/// `(-∞, 5]`, `Q3 2024`.
fn is_cornered(near: &str) -> bool {
    let bare = near.trim_end_matches(' ');
    let open = bare.strip_suffix(',').is_some_and(|open| open.ends_with('∞') || open.ends_with("\\infty"));
    let token = bare.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let mut all = token.chars();
    let quarter = matches!((all.next(), all.next(), all.next()), (Some('Q' | 'H'), Some('1'..='4'), None));
    open || (quarter && bare.len() < near.len())
}

/// Whether a minus stands before what opens a number: brackets, marks of Markdown and LaTeX, a currency code, or a word for it. How far
/// it reaches can't be told for sure, so that there is no number.
pub(super) fn is_negated(head: &str) -> bool {
    fn minus(text: &str) -> Option<(char, &str)> {
        let sign = text.chars().next_back().filter(|c| is_minus(*c))?;
        let before = &text[..text.len() - sign.len_utf8()];
        (!is_term(before.chars().next_back())).then_some((sign, before))
    }

    let near = end_of(head, FAR);
    let spaced = near.trim_end_matches(' ');
    if spaced.len() < near.len() {
        let code = last_word(spaced);
        let coded = CODES.iter().any(|known| code.eq_ignore_ascii_case(known));
        if coded && minus(&spaced[..spaced.len() - code.len()]).is_some() {
            return true;
        }
        if ["minus", "negative"].iter().any(|sign| code.eq_ignore_ascii_case(sign)) {
            return true;
        }
        // A dash with space behind it is no sign, but the sign of mathematics and what begins a formula are.
        return minus(spaced).is_some_and(|(sign, before)| {
            let previous = before.trim_end_matches(' ').chars().next_back();
            !is_term(previous.filter(|c| !c.is_alphabetic())) && (sign == '\u{2212}' || previous == Some('$'))
        });
    }
    let mut rest = near;
    loop {
        let trimmed = rest.trim_end_matches(['{', '(', '[', '*', '_', '`', '$']);
        let name = last_word(trimmed);
        let coded = trimmed.len() == near.len() && CODES.iter().any(|known| name.eq_ignore_ascii_case(known));
        let open = &trimmed[..trimmed.len() - name.len()];
        rest = match open.strip_suffix('\\') {
            Some(open) => open,
            None if coded => open,
            None if trimmed.len() < rest.len() => trimmed,
            None => break,
        };
    }
    rest.len() < near.len() && minus(rest).is_some()
}
