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

/// The words of two texts (E. W. Myers, "An O(ND) difference algorithm", 1986): what changed between two stretches that
/// stayed is one piece before and one after, white space between changed words included. All pieces that are not
/// [`Side::After`] make the text before, all that are not [`Side::Before`] the text after.
pub fn word_diff<'a>(before: &'a str, after: &'a str) -> Vec<Piece<'a>> {
    let mut config = TextDiff::configure();
    config.algorithm(Algorithm::Myers);
    let diff = if before.len().max(after.len()) > LONGEST {
        config.diff_lines(before, after)
    } else {
        config.diff_words(before, after)
    };
    // Where each side has been told to, and how far it has been read.
    let (mut told, mut read) = ((0, 0), (0, 0));
    let mut pieces = Vec::new();
    let mut changes = diff.iter_all_changes().peekable();
    while let Some(change) = changes.next() {
        let length = change.value().len();
        match change.tag() {
            ChangeTag::Delete => read.0 += length,
            ChangeTag::Insert => read.1 += length,
            ChangeTag::Equal => {
                let again = changes.peek().is_some_and(|next| next.tag() != ChangeTag::Equal);
                let inside = told != read && again && change.value().chars().all(|c| c == ' ');
                if !inside {
                    push(&mut pieces, (Side::Before, &before[told.0..read.0]));
                    push(&mut pieces, (Side::After, &after[told.1..read.1]));
                    push(&mut pieces, (Side::Both, &after[read.1..read.1 + length]));
                    told = (read.0 + length, read.1 + length);
                }
                read = (read.0 + length, read.1 + length);
            }
        }
    }
    push(&mut pieces, (Side::Before, &before[told.0..]));
    push(&mut pieces, (Side::After, &after[told.1..]));
    joined(pieces, after)
}

/// A text of at most so many characters, which says how many more it has.
pub fn bounded(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => {
            let more = text[end..].chars().count();
            format!("{}… ({more} more characters)", &text[..end])
        }
    }
}

/// Two texts, each [`bounded`]. Where they begin to differ behind the bound, both say how many characters are the same and go on
/// shortly before: equal texts stay equal, and others do not become so.
pub fn bounded_pair(before: &str, after: &str, most: usize) -> (String, String) {
    let same = before.chars().zip(after.chars()).take_while(|(one, two)| one == two).count();
    if before == after || same < most {
        return (bounded(before, most), bounded(after, most));
    }
    let skipped = same - most / 4;
    let later = |text: &str| {
        let begin = text.char_indices().nth(skipped).map_or(text.len(), |(at, _)| at);
        format!("({skipped} characters that are the same) …{}", bounded(&text[begin..], most))
    };
    (later(before), later(after))
}

fn push<'a>(pieces: &mut Vec<Piece<'a>>, piece: Piece<'a>) {
    if !piece.1.is_empty() {
        pieces.push(piece);
    }
}

/// Joins neighbours that stayed; they lie one behind the other in the text after.
fn joined<'a>(pieces: Vec<Piece<'a>>, after: &'a str) -> Vec<Piece<'a>> {
    let mut found: Vec<Piece<'a>> = Vec::new();
    let mut end = 0;
    for (side, text) in pieces {
        end += if side == Side::Before { 0 } else { text.len() };
        match found.last_mut() {
            Some((Side::Both, last)) if side == Side::Both => *last = &after[end - text.len() - last.len()..end],
            _ => found.push((side, text)),
        }
    }
    found
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
        let words = word_diff("a b c d", "x y z d");
        assert_eq!(words, [(Side::Before, "a b c"), (Side::After, "x y z"), (Side::Both, " d")]);
        assert_eq!(word_diff("", ""), []);
        assert_eq!(word_diff("a", ""), [(Side::Before, "a")]);
    }

    #[test]
    fn bounded_texts_differ_where_whole_ones_do() {
        assert_eq!(bounded("äöü", 3), "äöü");
        assert_eq!(bounded("äöü!", 3), "äöü… (1 more characters)");
        let long = "x".repeat(100);
        let (one, two) = bounded_pair(&format!("{long}one"), &format!("{long}two"), 8);
        assert_eq!(
            (one.as_str(), two.as_str()),
            ("(98 characters that are the same) …xxone", "(98 characters that are the same) …xxtwo")
        );
        let (one, two) = bounded_pair(&long, &long, 8);
        assert_eq!((one.as_str(), two.as_str()), ("xxxxxxxx… (92 more characters)", one.as_str()));
    }

    proptest! {
        #[test]
        fn bounded_pairs_are_equal_where_whole_ones_are(one in "[ab]{0,12}", two in "[ab]{0,12}", most in 1usize..8) {
            let (shown, other) = bounded_pair(&one, &two, most);
            prop_assert_eq!(shown == other, one == two);
            prop_assert!(shown.chars().count() <= most + 70);
        }
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
