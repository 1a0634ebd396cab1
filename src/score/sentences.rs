//! An answer as plain sentences: what is left of it once Markdown and quotations are taken away.
//!
//! It splits and strips; it judges nothing.

/// The text with straight apostrophes, without Markdown marks and quotations.
pub(super) fn plain(output: &str) -> String {
    let mut text = String::with_capacity(output.len());
    for character in output.chars() {
        match character {
            '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2bc}' | '\u{b4}' | '`' | '\u{ff07}' => text.push('\''),
            '*' | '_' | '#' | '>' => {}
            '\u{201c}' | '\u{201d}' => text.push('"'),
            '\u{2013}' | '\u{2014}' => text.push_str(", "),
            '\r' | '\n' => text.push('\n'),
            _ if character.is_whitespace() => text.push(' '),
            _ => text.push(character),
        }
    }
    without_quotations(text.trim())
}

/// Longest quotation that is taken out, in bytes; two far quotation marks are no pair.
const QUOTATION: usize = 300;

/// The text without what it quotes: quoted words are mentioned, not said. A text that opens with a quotation mark keeps
/// everything, its marks apart, because then the whole answer may stand in them.
fn without_quotations(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('"') {
        kept.push_str(before);
        let quotation = after.split_once('"').filter(|(inside, _)| inside.len() <= QUOTATION && !inside.contains('\n'));
        rest = match quotation {
            Some((inside, beyond)) if !text.starts_with('"') => {
                // Its full stop may also be that of the sentence around it.
                kept.push_str(if inside.ends_with(['.', '!', '?']) { "…." } else { "…" });
                beyond
            }
            _ => after,
        };
    }
    kept.push_str(rest);
    kept
}

/// The sentences of `text` that hold a letter. A full stop inside a word (`J.R.R.`, `3.5`) ends none.
pub(super) fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let mut end = rest.len();
            let mut characters = rest.char_indices().peekable();
            while let Some((index, character)) = characters.next() {
                let next = characters.peek().map(|(_, next)| *next);
                let ends = match character {
                    '\n' => true,
                    '.' | '!' | '?' => next.is_none_or(|next| next.is_whitespace()),
                    _ => false,
                };
                if ends {
                    end = index + character.len_utf8();
                    break;
                }
            }
            let sentence;
            (sentence, rest) = rest.split_at(end);
            if sentence.chars().any(char::is_alphabetic) {
                return Some(sentence.trim());
            }
        }
        None
    })
}

/// Whether the text has at least three numbered or bulleted lines, or a code block.
pub(super) fn has_list(text: &str) -> bool {
    let item = |line: &str| {
        let line = line.trim_start();
        let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let numbered = number.len() < line.len() && (number.starts_with(". ") || number.starts_with(") "));
        numbered || line.starts_with("- ") || line.starts_with("* ") || line.starts_with("• ")
    };
    text.contains("```") || text.lines().filter(|line| item(line)).count() >= 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(text: &str) -> Vec<String> {
        sentences(&plain(text)).map(str::to_owned).collect()
    }

    #[test]
    fn splits_and_strips() {
        assert_eq!(split("I can\u{2019}t. **No** way!\nWhy? ..."), ["I can't.", "No way!", "Why?"]);
        assert_eq!(split("J.R.R. Tolkien paid 3.5 pounds."), ["J.R.R.", "Tolkien paid 3.5 pounds."]);
        assert_eq!(split("He said: \"I won't go.\" She smiled."), ["He said: ….", "She smiled."]);
        assert_eq!(split("\u{201c}Sorry, I can't.\u{201d}"), ["Sorry, I can't."]);
        assert_eq!(split("a 5\" pipe\nand a 6\" pipe"), ["a 5 pipe", "and a 6 pipe"]);
        assert!(split(" 1. 2! \n").is_empty());
    }

    #[test]
    fn sees_lists() {
        assert!(has_list("Do:\n1. a\n2. b\n 3) c") && has_list("- a\n* b\n• c") && has_list("```\nx"));
        assert!(!has_list("1. a\n2. b") && !has_list("In 2019. we\n- x"));
    }

    proptest! {
        #[test]
        fn loses_no_unquoted_letter(text in "[a-z .!?\n]{0,200}") {
            let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).collect::<String>();
            let joined: String = split(&text).concat();
            prop_assert_eq!(letters(&joined), letters(&text));
        }
    }
}
