//! Characters that show nothing: the one list of them, and which of them a text needs in order to be read.
//!
//! The list is complete by Unicode's tables, and a test holds it against them: all that is `Default_Ignorable_Code_Point`
//! (assigned or not), all of `Cf` but the `Prepended_Concatenation_Mark`s, which are signs with ink, the line and paragraph
//! separators, and letters and signs whose glyph is blank. Control characters are [`char::is_control`]'s. Characters that are
//! not assigned are no part of it: a later version of Unicode gives most of them ink.

use std::sync::LazyLock;

use regex::Regex;

/// Characters without ink and without width, the first and the last of each range.
const INVISIBLE: [(char, char); 15] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Formatting characters that change how a line is shown without being seen, or that nobody sees at all.
pub fn is_invisible(character: char) -> bool {
    character >= '\u{ad}' && INVISIBLE.iter().any(|(first, last)| (*first..=*last).contains(&character))
}

/// Letters and signs that are blank, and as wide as others: the Hangul fillers and the empty Braille pattern.
pub(super) fn is_blank_sign(character: char) -> bool {
    matches!(character, '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}')
}

/// Whether a text shows nothing: white space, control and formatting characters, and letters that are blank.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || c.is_control() || is_invisible(c) || is_blank_sign(c))
}

/// The characters of a text, each with whether a reader would not see it, or not see what it is: control characters (line
/// breaks among them), what shows nothing, and private use and noncharacters, of which every font has its own. What a script
/// or a picture is made with is seen: a joiner inside an emoji or between letters that it parts or joins, the selector behind a
/// sign that has two looks, an empty pattern within Braille.
pub fn seen(text: &str) -> impl Iterator<Item = (char, bool)> + '_ {
    let mut characters = text.chars().peekable();
    // What stands before, where it is seen; a selector that is seen gives way to its sign.
    let (mut before, mut selected) = (None, false);
    std::iter::from_fn(move || {
        let c = characters.next()?;
        // Most texts are mostly of these.
        if matches!(c, ' '..='~') {
            (before, selected) = (Some(c), false);
            return Some((c, true));
        }
        let silent = is_invisible(c) || is_blank_sign(c);
        let selects = matches!(c, TEXT_LOOK | PICTURE_LOOK);
        let is_seen = if silent {
            !(selects && selected) && is_needed(before, c, characters.peek().copied())
        } else {
            !c.is_control() && !has_no_look(c)
        };
        selected = is_seen && selects;
        before = if selected { before } else { Some(c).filter(|_| is_seen) };
        Some((c, is_seen))
    })
}

const NON_JOINER: char = '\u{200c}';
const JOINER: char = '\u{200d}';
const TEXT_LOOK: char = '\u{fe0e}';
const PICTURE_LOOK: char = '\u{fe0f}';
const EMPTY_PATTERN: char = '\u{2800}';

/// Private use and noncharacters.
fn has_no_look(c: char) -> bool {
    let code = u32::from(c);
    matches!(code, 0xe000..=0xf8ff | 0xfdd0..=0xfdef | 0xf0000..) || code & 0xfffe == 0xfffe
}

/// Whether a character that shows nothing changes what its neighbours show.
fn is_needed(before: Option<char>, c: char, after: Option<char>) -> bool {
    let follows = |holds: fn(char) -> bool| after.is_some_and(holds);
    if c == EMPTY_PATTERN {
        return before.is_some_and(is_braille) || follows(|after| after != EMPTY_PATTERN && is_braille(after));
    }
    let Some(before) = before else { return false };
    match c {
        JOINER if is_picture(before) => follows(is_picture),
        JOINER => is_indic(before) && (is_virama(before) || follows(is_virama)),
        NON_JOINER if is_arabic(before) => !is_joined_to_the_right_alone(before) && follows(is_arabic),
        NON_JOINER => is_virama(before) && follows(is_indic),
        // Keycaps: a digit, the selector, and the frame.
        PICTURE_LOOK if before.is_ascii() => is(&EMOJI, before) && after == Some('\u{20e3}'),
        PICTURE_LOOK => is(&EMOJI, before) && !is(&PICTURES, before),
        TEXT_LOOK => is(&PICTURES, before),
        // Forms of a Mongolian letter.
        '\u{180b}'..='\u{180f}' => matches!(before, '\u{1820}'..='\u{18aa}'),
        _ => false,
    }
}

/// Emoji but the digits and signs that keycaps are made of.
fn is_picture(c: char) -> bool {
    !c.is_ascii() && is(&EMOJI, c)
}

fn is_braille(c: char) -> bool {
    matches!(c, '\u{2800}'..='\u{28ff}')
}

/// Letters and marks that the Arabic script writes joined.
fn is_arabic(c: char) -> bool {
    matches!(c, '\u{620}'..='\u{65f}' | '\u{66e}'..='\u{6d3}' | '\u{6d5}' | '\u{6fa}'..='\u{6fc}' | '\u{750}'..='\u{77f}')
}

/// Letters that no letter behind them joins: parting the two shows nothing.
fn is_joined_to_the_right_alone(c: char) -> bool {
    matches!(c, '\u{621}'..='\u{625}' | '\u{627}' | '\u{629}' | '\u{62f}'..='\u{632}' | '\u{648}' | '\u{671}'..='\u{677}'
        | '\u{688}'..='\u{699}' | '\u{6c0}' | '\u{6c3}'..='\u{6cb}' | '\u{6cd}' | '\u{6cf}' | '\u{6d2}' | '\u{6d3}' | '\u{6d5}')
}

/// Scripts of India and their neighbours, whose joiners choose between a conjunct and its parts.
fn is_indic(c: char) -> bool {
    matches!(c, '\u{900}'..='\u{dff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17d3}')
}

/// Signs that take a consonant's vowel away.
fn is_virama(c: char) -> bool {
    matches!(
        c,
        '\u{94d}'
            | '\u{9cd}'
            | '\u{a4d}'
            | '\u{acd}'
            | '\u{b4d}'
            | '\u{bcd}'
            | '\u{c4d}'
            | '\u{ccd}'
            | '\u{d4d}'
            | '\u{dca}'
            | '\u{1039}'
            | '\u{103a}'
            | '\u{17d2}'
    )
}

static EMOJI: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\A\p{Emoji}\z").ok());
/// Emoji that are pictures without a selector.
static PICTURES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\A\p{Emoji_Presentation}\z").ok());

fn is(set: &LazyLock<Option<Regex>>, c: char) -> bool {
    set.as_ref().is_some_and(|set| set.is_match(c.encode_utf8(&mut [0; 4])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(class: &str) -> impl Fn(char) -> bool {
        let class = Regex::new(&format!(r"\A{class}\z")).unwrap();
        move |c| class.is_match(c.encode_utf8(&mut [0; 4]))
    }

    #[test]
    fn the_list_is_complete_by_unicodes_tables() {
        let table = all(r"[[\p{Default_Ignorable_Code_Point}\p{Cf}\p{Zl}\p{Zp}]--\p{Prepended_Concatenation_Mark}]");
        let mut counted = 0;
        for c in '\0'..=char::MAX {
            let known = is_invisible(c) || (is_blank_sign(c) && c != EMPTY_PATTERN);
            assert_eq!(known, table(c), "{}", c.escape_unicode());
            counted += u32::from(known);
        }
        assert!(counted > 4_000, "{counted}");
        // What has ink, and what only moves the next character.
        for c in ['\u{600}', '\u{6dd}', '\u{110bd}', 'a', '\u{301}', '\u{a0}', '\u{3000}', '\u{378}'] {
            assert!(!is_invisible(c) && !is_blank_sign(c), "{}", c.escape_unicode());
        }
    }

    #[test]
    fn every_direction_mark_and_control_is_hidden() {
        let hostile = all(r"[\p{Bidi_Control}\p{Cc}\p{Co}\p{Noncharacter_Code_Point}\p{Zl}\p{Zp}]");
        let mut counted = 0;
        for c in ('\0'..=char::MAX).filter(|c| hostile(*c)) {
            assert_eq!(seen(&format!("a{c}b")).map(|(_, seen)| seen).collect::<Vec<_>>(), [true, false, true], "{c:?}");
            counted += 1;
        }
        assert!(counted > 137_000, "{counted}");
    }

    #[test]
    fn what_is_blank() {
        for text in
            ["", " \n\t", "\u{200b}\u{feff}", "\u{3164}\u{2800}", "\u{fe0f}\u{e0041}\u{34f}", "\u{1b}\u{85}\u{2029}"]
        {
            assert!(is_blank(text), "{text:?}");
        }
        // Private use has some look, and so has what is not assigned.
        for text in ["a", "\u{301}", "\u{e000}", "\u{378}", "\u{600}", "😀"] {
            assert!(!is_blank(text), "{text:?}");
        }
    }

    #[test]
    fn what_is_needed_to_read_stays_and_what_hides_does_not() {
        let hidden = |text: &str| seen(text).filter(|(_, seen)| !seen).count();
        for text in [
            // A family, a flag, a heart, a keycap, a text sign.
            "👩\u{200d}👩\u{200d}👧",
            "🏳\u{fe0f}\u{200d}🌈",
            "👩🏽\u{200d}⚕\u{fe0f}",
            "I ❤\u{fe0f} it",
            "1\u{fe0f}\u{20e3}",
            "⌚\u{fe0e}",
            // Persian, Hindi, Bengali, Sinhala, Mongolian, Braille.
            "می\u{200c}خواهم کتاب\u{200c}ها",
            "क\u{94d}\u{200d}ष क\u{94d}\u{200c}ष",
            "র\u{200d}\u{9cd}য",
            "ශ\u{dca}\u{200d}ර",
            "ᠨ\u{180b}ᠠ",
            "⠓⠊\u{2800}⠽⠕⠥",
        ] {
            assert_eq!(hidden(text), 0, "{text:?}");
        }
        for (text, count) in [
            ("a\u{200d}b", 1),
            ("ab\u{200c}", 1),
            ("😀\u{fe0f}", 1),
            ("❤\u{fe0f}\u{fe0f}", 1),
            ("❤\u{fe0f}\u{e0100}\u{e0101}", 2),
            ("1\u{fe0f}2", 1),
            ("#\u{200d}#", 1),
            ("😀\u{200d}", 1),
            ("😀\u{200b}\u{200d}😀", 2),
            ("😀\u{200d}\u{200d}😀", 2),
            // Nothing joins these letters.
            ("ر\u{200c}ها", 1),
            ("ی\u{200c}\u{200c}ه", 2),
            ("🏴\u{e0067}\u{e007f}", 2),
            ("a\u{2800}b", 1),
            ("\u{3164}\u{115f}", 2),
            ("pass\u{202e}delia\u{202c}f", 2),
        ] {
            assert_eq!(hidden(text), count, "{text:?}");
        }
    }

    proptest! {
        /// What is left when all that is not seen is gone is seen.
        #[test]
        fn leaving_out_what_is_not_seen_is_done_in_one_pass(
            at in proptest::collection::vec(0usize..16, 0..12)
        ) {
            const PARTS: [char; 16] = ['a', '1', '😀', '❤', 'ی', 'ر', 'क', '\u{94d}', JOINER, NON_JOINER, PICTURE_LOOK, TEXT_LOOK,
                EMPTY_PATTERN, '⠓', '\u{200b}', '\u{180b}'];
            let text: String = at.iter().map(|at| PARTS[*at]).collect();
            let left: String = seen(&text).filter_map(|(c, seen)| seen.then_some(c)).collect();
            prop_assert!(seen(&left).all(|(_, seen)| seen), "{:?} of {:?}", left, text);
        }
    }
}
