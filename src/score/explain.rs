//! Quotes of answers for the one-line explanations of scores.
//!
//! An answer is untrusted text: a quote is one line, holds no control, bidirectional or invisible characters (a terminal
//! or a report would obey them) but those that its script needs, and is cut by characters, never inside one. Escaping for Markdown or HTML is the reports'
//! own work.

use super::invisible::{is_blank_sign, seen};

/// Longest explanation, in characters.
pub(super) const LONGEST: usize = 160;
/// Longest quote of a text that stands alone, in characters.
pub(super) const ALONE: usize = 90;
/// Longest quote where two stand in one explanation, in characters.
pub(super) const PAIR: usize = 48;
/// Longest quote where three do.
pub(super) const THREE: usize = 34;

/// `text` on one line in double quotes, cut to `limit` characters.
pub(super) fn quote(text: &str, limit: usize) -> String {
    if text.len() <= limit && is_plain(text.as_bytes()) {
        return ["\"", text, "\""].concat();
    }
    let mut quoted = String::with_capacity(text.len().min(limit) + 8);
    quoted.push('"');
    let mut count = 0;
    let mut gap = false;
    for (character, seen) in seen(text) {
        if character.is_whitespace() || character.is_control() || (!seen && is_blank_sign(character)) {
            gap = count > 0;
            continue;
        }
        if !seen {
            continue;
        }
        let width = 1 + usize::from(gap);
        if count + width > limit {
            quoted.push('…');
            break;
        }
        if gap {
            quoted.push(' ');
            gap = false;
        }
        quoted.push(character);
        count += width;
    }
    quoted.push('"');
    quoted
}

/// [`quote`] between two parts of an explanation: what they leave of [`LONGEST`], `limit` characters at most.
pub(super) fn quote_between(before: &str, text: &str, limit: usize, after: &str) -> String {
    // Two marks and perhaps an ellipsis.
    let taken = before.chars().count() + after.chars().count() + 3;
    [before, &quote(text, limit.min(LONGEST.saturating_sub(taken))), after].concat()
}

/// Whether a text is of visible ASCII characters with single spaces between.
fn is_plain(text: &[u8]) -> bool {
    let seen = |byte: &u8| byte.is_ascii_graphic();
    let apart = text.split(|byte| *byte == b' ').all(|word| !word.is_empty() && word.iter().all(seen));
    apart && !text.is_empty()
}

/// The targets in short: one is quoted, several are counted.
pub(super) fn expected(targets: &[String], limit: usize) -> String {
    match targets {
        [only] => format!("expected {}", quote(only, limit)),
        [first, rest @ ..] => format!("expected {} or {} more", quote(first, limit), rest.len()),
        [] => "expected nothing".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_line_and_cut() {
        assert_eq!(quote("  a\n\tb\u{1b}[31m \u{202e}c ", 40), "\"a b [31m c\"");
        assert_eq!(quote("abcdef", 3), "\"abc…\"");
        assert_eq!(quote("", 3), "\"\"");
        assert_eq!(quote("a b", 3), "\"a b\"");
        for text in [" a b", "a b ", "a  b"] {
            assert_eq!(quote(text, 5), "\"a b\"", "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_breaks_a_line(text in any::<String>(), limit in 0usize..40) {
            let quoted = quote(&text, limit);
            prop_assert!(quoted.chars().count() <= limit + 3);
            prop_assert!(seen(quoted.trim_end_matches(['"', '…'])).all(|(_, seen)| seen));
            let between = quote_between(&"b".repeat(limit), &text, ALONE, &"a".repeat(100));
            prop_assert!(between.chars().count() <= LONGEST);
        }
    }
}
