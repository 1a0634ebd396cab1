//! What changed between two texts, word by word.

use serde::Serialize;
use similar::{Algorithm, ChangeTag, TextDiff};

/// Texts of more bytes are compared line by line: words of long texts would take long and say little.
const LONGEST: usize = 40_000;

/// Whether a piece of text stands on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// On both.
    Both,
    /// Before only.
    Before,
    /// After only.
    After,
}

/// A piece of text and where it stands.
pub type Piece<'a> = (Side, &'a str);

/// The words of two texts (E. W. Myers, "An O(ND) difference algorithm", 1986), neighbours of one side joined. All pieces
/// that are not [`Side::After`] make the text before, all that are not [`Side::Before`] the text after.
pub fn word_diff<'a>(before: &'a str, after: &'a str) -> Vec<Piece<'a>> {
    let mut config = TextDiff::configure();
    config.algorithm(Algorithm::Myers);
    let diff = match before.len().max(after.len()) > LONGEST {
        true => config.diff_lines(before, after),
        false => config.diff_words(before, after),
    };
    let mut pieces: Vec<Piece<'a>> = Vec::new();
    // Where the last piece of each side ends, so that neighbours join without a copy.
    let (mut old, mut new) = (0, 0);
    for change in diff.iter_all_changes() {
        let length = change.value().len();
        let (side, text, start) = match change.tag() {
            ChangeTag::Equal => (Side::Both, after, new),
            ChangeTag::Delete => (Side::Before, before, old),
            ChangeTag::Insert => (Side::After, after, new),
        };
        old += if side == Side::After { 0 } else { length };
        new += if side == Side::Before { 0 } else { length };
        match pieces.last_mut() {
            Some((last, joined)) if *last == side => *joined = &text[start - joined.len()..start + length],
            _ => pieces.push((side, &text[start..start + length])),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_that_stayed_stand_once() {
        let pieces = word_diff("You are the support desk.", "You are a friendly support desk.");
        let expected = [
            (Side::Both, "You are "),
            (Side::Before, "the"),
            (Side::After, "a friendly"),
            (Side::Both, " support desk."),
        ];
        assert_eq!(pieces, expected);
        assert_eq!(word_diff("", ""), []);
        assert_eq!(word_diff("a", ""), [(Side::Before, "a")]);
    }

    #[test]
    fn long_texts_go_by_lines() {
        let long = "word ".repeat(LONGEST);
        let changed = format!("{long}\nend");
        assert_eq!(word_diff(&long, &changed).len(), 2);
    }

    proptest! {
        #[test]
        fn both_texts_come_back(before in "[ab ä\n]{0,40}", after in "[ab ä\n]{0,40}") {
            let pieces = word_diff(&before, &after);
            let without = |side| pieces.iter().filter(|(s, _)| *s != side).map(|(_, text)| *text).collect::<String>();
            prop_assert_eq!(&without(Side::After), &before);
            prop_assert_eq!(&without(Side::Before), &after);
            prop_assert!(pieces.windows(2).all(|pair| pair[0].0 != pair[1].0));
        }
    }
}
