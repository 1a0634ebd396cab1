//! Making any text safe and short enough to show on one line.

use unicode_width::UnicodeWidthChar;

use crate::compare::{Detectable, TextSide, word_diff};
use crate::score::seen;
use crate::stats::format::fixed;

use super::page::PAINTS;

/// Replaces what a terminal or a reader's eye would obey instead of showing: control characters, escape sequences,
/// direction marks and invisible characters, as `\u{1b}`; line breaks and tabs as `\n`, `\r`, `\t`.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (c, seen) in seen(text) {
        if seen { shown.push(c) } else { shown.extend(c.escape_default()) }
    }
    shown
}

/// [`visible`] line by line: line breaks stay, and where `painted`, the colours that pages of this module are painted in.
pub fn visible_lines(text: &str, painted: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            shown.push('\n');
        }
        let mut rest = line;
        while let Some((before, paint)) = next_paint(rest).filter(|_| painted) {
            shown.push_str(&visible(before));
            shown.push_str(paint);
            rest = &rest[before.len() + paint.len()..];
        }
        shown.push_str(&visible(rest));
    }
    shown
}

/// The first sequence that paints, and what stands before it.
fn next_paint(text: &str) -> Option<(&str, &str)> {
    text.match_indices('\u{1b}').find_map(|(at, _)| {
        let paint = PAINTS.into_iter().find(|paint| text[at..].starts_with(*paint))?;
        Some((&text[..at], paint))
    })
}

/// JSON without a character that [`visible`] would replace: it is escaped, and the values are what they were. Outside of
/// strings JSON has none but its line breaks.
pub fn visible_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for (c, seen) in seen(json) {
        match c {
            '\n' => shown.push('\n'),
            _ if seen => shown.push(c),
            _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| shown.push_str(&format!("\\u{unit:04x}"))),
        }
    }
    shown
}

/// Text on one line of at most `width` columns; what does not fit becomes `…`. Only the needed part is looked at.
pub(super) fn one_line(text: &str, width: usize) -> String {
    // Zero-width characters do not count: bound the characters too.
    let start: String = text.trim().chars().take(4 * width + 4).collect();
    let whole = start.len() == text.trim().len();
    cut(&visible(&start), width, whole)
}

/// Cuts visible text to `width` columns; `whole` says that nothing was cut before.
fn cut(text: &str, width: usize, whole: bool) -> String {
    if whole && columns(text) <= width {
        return text.to_owned();
    }
    let mut used = 0;
    let mut kept = String::new();
    for c in text.chars() {
        used += char_columns(c);
        if used + 1 > width {
            break;
        }
        kept.push(c);
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

/// What changed between two texts, on one line: `[-gone-]` and `{+new+}` with a few words around, as `git diff --word-diff`
/// has it.
pub(super) fn changed_words(before: &str, after: &str, width: usize) -> String {
    /// Characters of what did not change to show on either side of what did.
    const AROUND: usize = 16;
    let pieces = word_diff(before, after);
    let mut shown = String::new();
    for (at, (side, text)) in pieces.iter().enumerate() {
        match side {
            TextSide::Before => shown.push_str(&format!("[-{text}-]")),
            TextSide::After => shown.push_str(&format!("{{+{text}+}}")),
            TextSide::Both => {
                let count = text.chars().count();
                let (first, last) = (at == 0, at + 1 == pieces.len());
                let head = if first { 0 } else { AROUND };
                let tail = if last { 0 } else { AROUND };
                if count <= head + tail + 1 {
                    shown.push_str(text);
                } else {
                    shown.extend(text.chars().take(head));
                    shown.push('…');
                    shown.extend(text.chars().skip(count - tail));
                }
            }
        }
    }
    one_line(&shown, width)
}

/// Columns of text on a terminal: the sum over its characters, so that text cut between any two of them fits.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(char_columns).sum()
}

/// 0 for combining marks, 2 for wide East Asian characters and emoji, 1 for most others.
fn char_columns(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// The smallest difference of rates that a sample would have shown; of no size where it shows none.
pub(super) fn detectable(effect: Detectable) -> String {
    match effect {
        Detectable::Effect(effect) if effect <= 1.0 => format!("±{}", fixed(effect)),
        Detectable::Effect(_) | Detectable::Never | Detectable::Beyond | Detectable::TooFew => "none".into(),
        Detectable::Unknown => "–".into(),
    }
}

/// What `none` in a column of detectable changes means.
pub(super) const NONE_DETECTABLE: &str =
    "detectable none: so few pairs differ that no change would have been found with 80 %";

/// A count with a noun: `1 case`, `2 cases`.
pub(super) fn count(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_text_becomes_visible() {
        assert_eq!(one_line("\u{1b}[31mred\u{7}\r\nnext\u{202e}gpj", 80), r"\u{1b}[31mred\u{7}\r\nnext\u{202e}gpj");
        assert_eq!(one_line("  abcdef ", 4), "abc…");
        assert_eq!(one_line("abcd", 4), "abcd");
        assert_eq!(one_line("日本語", 5), "日本…");
        assert_eq!(one_line("ภาษาที่ดี", 7), "ภาษาที่ดี");
        assert_eq!(one_line("x", 0), "");
        let prompt = "You are the support desk of an invented shop. Answer briefly.";
        let other = "You are the help desk of an invented shop. Answer briefly, please.";
        assert_eq!(
            changed_words(prompt, other, 120),
            "You are the [-support-]{+help+} desk of an inve…ed shop. Answer [-briefly.-]{+briefly, please.+}"
        );
    }

    #[test]
    fn lines_keep_their_breaks_and_pages_their_colours() {
        let text = "\u{1b}[31mred\u{1b}[0m\u{1b}[5m\u{1b}]0;x\u{7}\n\tnext\u{202e}\r\n";
        let plain = "\\u{1b}[31mred\\u{1b}[0m\\u{1b}[5m\\u{1b}]0;x\\u{7}\n\\tnext\\u{202e}\\r\n";
        assert_eq!(visible_lines(text, false), plain);
        let painted = "\u{1b}[31mred\u{1b}[0m\\u{1b}[5m\\u{1b}]0;x\\u{7}\n\\tnext\\u{202e}\\r\n";
        assert_eq!(visible_lines(text, true), painted);
    }

    proptest! {
        #[test]
        fn json_stays_what_it_is(text in ".{0,80}", hostile in proptest::sample::select(vec!["\u{9b}", "\u{202e}", "\u{e0041}", "\u{7f}"])) {
            let value = serde_json::json!({ &text: [format!("{hostile}{text}")] });
            for json in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
                let shown = visible_json(&json);
                prop_assert!(!shown.contains(hostile));
                prop_assert!(seen(&shown).all(|(c, seen)| seen || c == '\n'));
                prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&shown).unwrap(), &value);
            }
        }

        #[test]
        fn lines_fit_and_hold_no_controls(text in ".{0,200}", width in 1usize..60) {
            let line = one_line(&text, width);
            prop_assert!(columns(&line) <= width);
            prop_assert!(seen(&line).all(|(_, seen)| seen), "{:?}", line);
        }
    }
}
