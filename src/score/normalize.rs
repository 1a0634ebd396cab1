//! Text normalisation for comparing answers with targets, idempotent by construction.
//!
//! The steps are those of the SQuAD metric with deviations that stop false passes: a `.` or `,` between digits and a
//! minus before a digit are not punctuation (`3.5` is not `35`, `-3` is not `3`). Case is folded, not lowered, so `ß`
//! equals `SS` and a final sigma equals any other. A third: an article is one only where a word follows it, so that the answers
//! `A`, `A and C` and `Vitamin A` keep their letter.

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, Result};

/// Unicode normalisation form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unicode {
    /// As it is.
    #[default]
    None,
    /// Compatibility composition: full-width digits, ligatures and combining accents become their plain forms.
    Nfkc,
}

/// Which differences between two texts do not count.
#[derive(Clone, Debug, Default)]
pub(super) struct Normalizer {
    pub unicode: Unicode,
    pub ignore_case: bool,
    pub ignore_articles: bool,
    pub collapse_whitespace: bool,
    pub trim: bool,
    pub punctuation: Option<Regex>,
}

/// Rounds after which an input that still changes is taken as it is; a few suffice for any real text.
const ROUNDS: usize = 16;

impl Normalizer {
    /// The pattern behind `punctuation`: all of Unicode's, and the ASCII symbols that SQuAD counts.
    pub fn punctuation_pattern() -> Result<Regex> {
        Regex::new(r"^[\p{P}$+<=>^`|~]$").map_err(|e| Error::internal("compile the punctuation pattern").caused_by(e))
    }

    /// The normalised text. One step can prepare work for another (removed punctuation joins a letter and its accent),
    /// so the steps repeat until nothing changes; in ASCII nothing joins, and once is enough.
    pub fn apply(&self, text: &str) -> String {
        if text.is_ascii() {
            return self.ascii(text);
        }
        let mut current = self.once(text);
        for _ in 0..ROUNDS {
            let next = self.once(&current);
            if next == current {
                break;
            }
            current = next;
        }
        current
    }

    /// As [`Self::once`], for ASCII: all steps in one pass.
    fn ascii(&self, text: &str) -> String {
        let bytes = text.as_bytes();
        let digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
        let numeric = |at: usize| match bytes[at] {
            b'.' | b',' => digit(at.checked_sub(1)) && digit(Some(at + 1)),
            b'-' => digit(Some(at + 1)) && at.checked_sub(1).is_none_or(|before| is_space(&bytes[before])),
            _ => false,
        };
        let removed = |at: usize| bytes[at].is_ascii_punctuation() && !numeric(at);
        let mut kept = Vec::with_capacity(text.len());
        match self.punctuation {
            Some(_) if bytes.iter().any(u8::is_ascii_punctuation) => {
                kept.extend((0..bytes.len()).filter(|at| !removed(*at)).map(|at| bytes[at]));
            }
            _ => kept.extend_from_slice(bytes),
        }
        if self.ignore_case {
            kept.make_ascii_lowercase();
        }
        if self.ignore_articles || self.collapse_whitespace {
            let mut words = Vec::with_capacity(kept.len() + 1);
            let all = || kept.split(is_space).filter(|word| !word.is_empty());
            for (word, article) in with_articles(all, self.ignore_articles) {
                if !article {
                    words.extend_from_slice(word);
                    words.push(b' ');
                }
            }
            words.pop();
            kept = words;
        }
        let kept = String::from_utf8(kept).unwrap_or_default();
        if self.trim && kept.trim().len() < kept.len() { kept.trim().to_owned() } else { kept }
    }

    fn once(&self, text: &str) -> String {
        let mut text = match self.unicode {
            Unicode::Nfkc if !text.is_ascii() => text.nfkc().collect(),
            Unicode::Nfkc | Unicode::None => text.to_owned(),
        };
        if self.ignore_case {
            text = fold_case(text);
        }
        if let Some(pattern) = &self.punctuation {
            text = remove_punctuation(text, pattern);
        }
        if self.ignore_articles {
            let words = with_articles(|| text.split_whitespace(), true).filter(|(_, article)| !article);
            text = join(words.map(|(word, _)| word), text.len());
        } else if self.collapse_whitespace {
            text = join(text.split_whitespace(), text.len());
        }
        if self.trim && text.trim().len() < text.len() { text.trim().to_owned() } else { text }
    }
}

/// Words with one space between; together they have at most `room` bytes.
fn join<'a>(words: impl Iterator<Item = &'a str>, room: usize) -> String {
    let mut joined = String::with_capacity(room);
    for word in words {
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(word);
    }
    joined
}

/// Case folding by character: what [`str::to_lowercase`] does, without its context rule for sigma, and `ß` as `ss`.
pub(super) fn fold_case(mut text: String) -> String {
    if text.is_ascii() {
        text.make_ascii_lowercase();
        return text;
    }
    let mut folded = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            'ß' | 'ẞ' => folded.push_str("ss"),
            'ς' => folded.push('σ'),
            _ => folded.extend(character.to_lowercase()),
        }
    }
    folded
}

/// What [`char::is_whitespace`] says of ASCII.
fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The words, each with whether it is an article: a, an or the before another word. Among letters alone (`A and C`) a is one of them.
fn with_articles<'w, W: AsRef<[u8]> + ?Sized + 'w, I: Iterator<Item = &'w W>>(
    words: impl Fn() -> I,
    asked: bool,
) -> impl Iterator<Item = (&'w W, bool)> {
    let letter = |word: &W| word.as_ref().len() == 1 || is_one_of(word.as_ref(), &["and", "or"]);
    let asked = asked && words().any(|word| is_article(word.as_ref())) && !words().all(letter);
    let mut rest = words().peekable();
    std::iter::from_fn(move || {
        let word = rest.next()?;
        Some((word, asked && is_article(word.as_ref()) && rest.peek().is_some()))
    })
}

fn is_article(word: &[u8]) -> bool {
    word.len() <= 3 && is_one_of(word, &["a", "an", "the"])
}

fn is_one_of(word: &[u8], others: &[&str]) -> bool {
    others.iter().any(|other| word.eq_ignore_ascii_case(other.as_bytes()))
}

fn remove_punctuation(text: String, pattern: &Regex) -> String {
    if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_punctuation()) {
        return text;
    }
    let characters: Vec<char> = text.chars().collect();
    let digit = |index: Option<usize>| index.and_then(|i| characters.get(i)).is_some_and(char::is_ascii_digit);
    let mut kept = String::with_capacity(text.len());
    let mut buffer = [0u8; 4];
    for (index, character) in characters.iter().enumerate() {
        let before = index.checked_sub(1);
        let numeric = match character {
            '.' | ',' => digit(before) && digit(Some(index + 1)),
            '-' => digit(Some(index + 1)) && before.is_none_or(|i| characters[i].is_whitespace()),
            _ => false,
        };
        // Of ASCII the pattern holds just what Rust calls punctuation.
        let punctuation = if character.is_ascii() {
            character.is_ascii_punctuation()
        } else {
            pattern.is_match(character.encode_utf8(&mut buffer))
        };
        if numeric || !punctuation {
            kept.push(*character);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> Normalizer {
        Normalizer {
            unicode: Unicode::Nfkc,
            ignore_case: true,
            ignore_articles: true,
            collapse_whitespace: true,
            trim: true,
            punctuation: Some(Normalizer::punctuation_pattern().unwrap()),
        }
    }

    fn with(flags: u8) -> Normalizer {
        let on = |bit: u8| flags & (1 << bit) != 0;
        Normalizer {
            unicode: if on(0) { Unicode::Nfkc } else { Unicode::None },
            ignore_case: on(1),
            ignore_articles: on(2),
            collapse_whitespace: on(3),
            trim: true,
            punctuation: on(4).then(|| Normalizer::punctuation_pattern().unwrap()),
        }
    }

    #[test]
    fn removes_what_does_not_count() {
        assert_eq!(all().apply("  The “Cat”,\n sat on A mat! "), "cat sat on mat");
        assert_eq!(all().apply("Ｆｕｌｌ ﬁt ¼"), "full fit 1⁄4");
        assert_eq!(all().apply("STRASSE"), all().apply("Straße"));
        assert_eq!(all().apply("ΟΔΟΣ"), all().apply("οδος"));
        assert_eq!(Normalizer::default().apply(" The Cat "), " The Cat ");
    }

    #[test]
    fn an_article_that_is_the_answer_stays() {
        for (text, kept) in [
            ("A", "a"),
            ("(A)", "a"),
            ("An.", "an"),
            ("The", "the"),
            ("A, C", "a c"),
            ("A and C", "a and c"),
            ("Vitamin A", "vitamin a"),
            ("Option A.", "option a"),
            ("the A", "a"),
            ("a cat", "cat"),
            ("The answer", "answer"),
            ("ein Ä", "ein ä"),
            ("the Ä", "ä"),
            ("a é", "é"),
        ] {
            assert_eq!(all().apply(text), kept, "{text}");
        }
    }

    #[test]
    fn keeps_numbers_apart() {
        let normalizer = all();
        assert_ne!(normalizer.apply("3.5"), normalizer.apply("35"));
        assert_ne!(normalizer.apply("-3"), normalizer.apply("3"));
        assert_eq!(normalizer.apply("It is 3.5."), "it is 3.5");
        assert_eq!(normalizer.apply("well-known - 3"), "wellknown 3");
    }

    #[test]
    fn ascii_punctuation_is_what_the_pattern_holds() {
        let pattern = Normalizer::punctuation_pattern().unwrap();
        for byte in 0..128u8 {
            let character = char::from(byte);
            assert_eq!(pattern.is_match(&character.to_string()), character.is_ascii_punctuation(), "{character:?}");
        }
    }

    proptest! {
        #[test]
        fn once_is_enough_for_ascii_and_one_pass_is_the_same(text in "[ -~\\t\\n]{0,40}|[-.,0-9a!th e\\t]{0,20}", flags in 0u8..32) {
            let normalizer = with(flags);
            let once = normalizer.once(&text);
            prop_assert_eq!(normalizer.once(&once), once.clone());
            prop_assert_eq!(normalizer.ascii(&text), once);
        }

        #[test]
        fn idempotent(text in any::<String>(), flags in 0u8..32) {
            let normalizer = with(flags);
            let once = normalizer.apply(&text);
            prop_assert_eq!(normalizer.apply(&once), once);
        }
    }
}
