//! Text in its plain form before numbers are looked for: compatibility forms, digits of all scripts, no invisible characters.
//!
//! Plain NFKC would join what only stands close: `10³` is not 103, nor `2½` 21⁄2, nor `x₁` x1.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use super::digits::{is_fraction, is_raised};
use super::invisible::is_invisible;

/// The zeros of scripts with decimal digits of their own: Arabic, Persian, the scripts of India, Thai, Lao, Tibetan, Burmese, Khmer,
/// Mongolian.
const ZEROS: [u32; 17] = [
    0x660, 0x6f0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xed0, 0xf20, 0x1040, 0x17e0,
    0x1810,
];

/// The plain form.
pub(super) fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut folded = String::with_capacity(text.len() + 8);
    // What the last character was: raised, lowered or neither.
    let mut level = Level::Line;
    for character in text.chars() {
        if is_invisible(character) {
            continue;
        }
        let here = Level::of(character);
        match here {
            Level::Raised if level != here => folded.push('^'),
            Level::Lowered if level != here => folded.push('_'),
            _ => {}
        }
        level = here;
        match character {
            '\u{66a}' => folded.push('%'),
            '\u{66b}' => folded.push('.'),
            '\u{66c}' => folded.push('\''),
            // A fraction of its own, or what a whole number has beside it.
            _ if is_fraction(character) => {
                if folded.ends_with(|c: char| c.is_ascii_digit()) {
                    folded.push(' ');
                }
                folded.push(character);
            }
            // In circles, parentheses and with full stops.
            '\u{2460}'..='\u{249b}' | '\u{24ea}'..='\u{24ff}' => folded.extend([' ', character, ' ']),
            _ => folded.push(digit(character).unwrap_or(character)),
        }
    }
    Cow::Owned(folded.nfkc().collect())
}

/// The ASCII digit of a digit in another script.
pub(super) fn digit(character: char) -> Option<char> {
    let code = u32::from(character);
    let zero = ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code))?;
    char::from_digit(code - zero, 10)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Line,
    Raised,
    Lowered,
}

impl Level {
    fn of(character: char) -> Self {
        match character {
            '\u{2080}'..='\u{208b}' => Self::Lowered,
            _ if is_raised(character) => Self::Raised,
            _ => Self::Line,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_is_not_together() {
        for (text, wanted) in [
            ("10³", "10^3"),
            ("10⁻¹²", "10^\u{2212}12"),
            ("2½", "2 1\u{2044}2"),
            ("½", "1\u{2044}2"),
            ("x₁₂", "x_12"),
            ("１２．５％", "12.5%"),
            ("①", " 1 "),
            ("⑴", " (1) "),
            ("٤٢", "42"),
            ("١٬٢٣٤٫٥", "1'234.5"),
            ("१२", "12"),
            ("1\u{a0}234\u{202f}567", "1 234 567"),
            ("4\u{200b}2\u{200e}", "42"),
            ("𝟒𝟐", "42"),
            ("plain", "plain"),
        ] {
            assert_eq!(fold(text), wanted, "{text}");
        }
    }
}
