//! A run of digits with its grouping and its decimals: how far one number reaches in a text.
//!
//! Spaces, apostrophes and LaTeX's `{,}` and `\,` group wherever three digits follow; a comma does before exactly three digits, or
//! as in `12,34,567`. Where the comma starts decimals it is the point that groups. What is grouped otherwise is not one number,
//! and ends before its first separator.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::fold::digit as script_digit;
use super::invisible::is_invisible;

/// Which sign stands before the decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Decimal {
    /// As in `1,234.5`.
    #[default]
    #[serde(rename = ".")]
    Point,
    /// As in `1.234,5`.
    #[serde(rename = ",")]
    Comma,
}

impl Decimal {
    /// Whether it is the default, which plans don't spell out.
    pub fn is_point(&self) -> bool {
        *self == Self::Point
    }

    /// The sign itself.
    pub(super) fn mark(self) -> char {
        match self {
            Self::Point => '.',
            Self::Comma => ',',
        }
    }
}

/// What may group, longest spelling first where one begins another; the signs of the decimals are not among them.
const SEPARATORS: [&str; 18] = [
    "{,}", "\\,", "\\;", "\\:", "\\ ", "\\!", "~", " ", "\u{a0}", "\u{2007}", "\u{2009}", "\u{202f}", "\u{2005}",
    "\u{2006}", "\u{2008}", "'", "\u{2019}", "_",
];

/// Groups that a number may have.
const MOST_GROUPS: usize = 100;

/// Digits that are one number, as byte positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digits {
    /// Where the whole part begins; its digits are scattered between separators.
    pub start: usize,
    /// Where the whole part ends.
    pub whole: usize,
    /// Where the decimals begin; behind the end of the whole part.
    pub decimals: usize,
    /// Where all of it ends.
    pub end: usize,
    /// The separator between the groups; empty where there are none.
    pub separator: &'static str,
}

impl Digits {
    /// The number whose first digit stands at `start`, where no digit stands before it.
    pub fn read(text: &str, start: usize, decimal: Decimal) -> Self {
        let first = start + run(&text[start..]);
        let (whole, separator) = grouped(text, start, first, decimal).unwrap_or((first, ""));
        let (mut decimals, mut end) = (whole, whole);
        // `3{,}14` in German LaTeX; what groups there is the point.
        let marks = if decimal == Decimal::Comma { [",", "{,}"] } else { [".", "."] };
        if let Some(mark) = marks.into_iter().find(|mark| text[whole..].starts_with(mark) && separator != *mark) {
            let length = run(&text[whole + mark.len()..]);
            if length > 0 {
                decimals = whole + mark.len();
                end = decimals + length;
            }
        }
        Self { start, whole, decimals, end, separator }
    }

    /// Decimals without a whole part, whose first digit stands at `start`.
    pub fn bare(text: &str, start: usize) -> Self {
        let end = start + run(&text[start..]);
        Self { start, whole: start, decimals: start, end, separator: "" }
    }
}

/// How many ASCII digits a text begins with.
pub(super) fn run(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// The end of a whole part in groups and what separates them.
fn grouped(text: &str, start: usize, first: usize, decimal: Decimal) -> Option<(usize, &'static str)> {
    // `0,123` is no thousand of anything.
    if first - start > 3 || text[start..].starts_with('0') {
        return None;
    }
    let point = match decimal {
        Decimal::Point => [",\\!", ","],
        Decimal::Comma => [".", "."],
    };
    let mut separators = point.into_iter().chain(SEPARATORS).filter(|s| decimal == Decimal::Point || *s != "{,}");
    let separator = separators.find(|separator| {
        let rest = text[first..].strip_prefix(separator);
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    })?;
    let (mut end, mut lengths) = (first, Vec::new());
    while let Some(rest) = text[end..].strip_prefix(separator) {
        let length = rest.bytes().take(4).take_while(u8::is_ascii_digit).count();
        if length == 0 {
            break;
        }
        lengths.push(length);
        // What is no group makes one number of none; a list of thousands is not worth reading again from each of its parts.
        if !(2..=3).contains(&length) || lengths.len() > MOST_GROUPS {
            return None;
        }
        end += separator.len() + length;
    }
    let thousands = lengths.iter().all(|length| *length == 3);
    let lakhs = || match lengths.as_slice() {
        [pairs @ .., last] => {
            first - start <= 2 && *last == 3 && !pairs.is_empty() && pairs.iter().all(|pair| *pair == 2)
        }
        [] => false,
    };
    (thousands || (separator == "," && lakhs())).then_some((end, separator))
}

/// Where numbers reach in a text, as byte positions from the first sign to the last digit, in either convention: with `1,5` read
/// as one number, and versions, dates and lists (`1.2.3`, `1,2,5`) as several. Digits of all scripts count, and what is raised
/// behind digits (`5²`, `5^2`) or a fraction (`5½`) is a part of their number.
pub(super) fn spans(text: &str) -> Vec<(usize, usize)> {
    if text.is_ascii() {
        return ascii_spans(text);
    }
    let (plain, places) = plain(text);
    // Where a character begins that stands for none in the plain text, it belongs to the number before it.
    ascii_spans(&plain).into_iter().map(|(start, end)| (places[start].0, places[end - 1].1)).collect()
}

/// A text with ASCII digits for those of all scripts, and for each of its bytes where the character that it stands for begins and ends.
fn plain(text: &str) -> (String, Vec<(usize, usize)>) {
    let (mut plain, mut places) = (String::with_capacity(text.len()), Vec::with_capacity(text.len()));
    let (mut raised, mut buffer) = (false, [0; 4]);
    for (at, character) in text.char_indices() {
        let here = (at, at + character.len_utf8());
        let (power, fraction) = (is_raised(character), is_fraction(character));
        let after_digit = plain.ends_with(|c: char| c.is_ascii_digit());
        let spelled = match character {
            _ if is_invisible(character) => "",
            // Groups and decimals of Arabic, and what is written as wide as a Chinese character.
            '\u{66c}' => "'",
            '\u{66b}' | '\u{ff0e}' => ".",
            '\u{ff0c}' => ",",
            _ if power && after_digit && !raised => "^1",
            _ if fraction && after_digit => "^1",
            _ => match digit(character) {
                Some(digit) => digit.encode_utf8(&mut buffer),
                None => character.encode_utf8(&mut buffer),
            },
        };
        raised = power;
        plain.push_str(spelled);
        places.extend(std::iter::repeat_n(here, spelled.len()));
    }
    (plain, places)
}

/// The ASCII digit of a digit in any script, raised ones and wide ones, too.
fn digit(character: char) -> Option<char> {
    // Digits in circles count things and go on in no number.
    if character.is_ascii() || matches!(character, '\u{2460}'..='\u{249b}' | '\u{24ea}'..='\u{24ff}') {
        return None;
    }
    script_digit(character).or_else(|| {
        let mut folded = std::iter::once(character).nfkc();
        let first = folded.next().filter(char::is_ascii_digit)?;
        folded.next().is_none().then_some(first)
    })
}

/// Whether a character is a digit of any script, on the line.
pub(super) fn is_digit(character: char) -> bool {
    character.is_ascii_digit() || (!is_raised(character) && digit(character).is_some())
}

/// Digits, signs and letters that are raised.
pub(super) fn is_raised(character: char) -> bool {
    matches!(character, '²' | '³' | '¹' | '\u{2070}' | '\u{2074}'..='\u{207b}' | 'ⁿ')
}

/// A fraction in one character.
pub(super) fn is_fraction(character: char) -> bool {
    matches!(character, '¼'..='¾' | '\u{2150}'..='\u{215f}' | '\u{2189}')
}

/// [`spans`], of a text with ASCII digits.
fn ascii_spans(text: &str) -> Vec<(usize, usize)> {
    let (mut spans, mut at) = (Vec::new(), 0);
    while let Some(offset) = text[at..].bytes().position(|byte| byte.is_ascii_digit()) {
        let digit = at + offset;
        let start = match text[..digit].strip_suffix('.') {
            Some(before) if digit > at && !before.ends_with(|c: char| c.is_alphanumeric() || c == '.') => digit - 1,
            _ => digit,
        };
        let longest =
            [Decimal::Point, Decimal::Comma].map(|decimal| Digits::read(text, digit, decimal).end).into_iter().max();
        let mut end = longest.unwrap_or(digit).max(digit + 1);
        let goes_on = |end: usize| {
            let rest = text[end..].strip_prefix(['.', ',']);
            rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        if goes_on(end) {
            // Every part for itself.
            while goes_on(end) {
                end += 1 + run(&text[end + 1..]);
            }
            while at < end {
                at += text[at..end].bytes().take_while(|byte| !byte.is_ascii_digit()).count();
                let length = run(&text[at..end]);
                if length > 0 {
                    spans.push((at, at + length));
                }
                at += length;
            }
            continue;
        }
        end += exponent(&text[end..]).map_or(0, |(_, length)| length);
        end += power(&text[end..]);
        spans.push((signed(text, start), end));
        at = end;
    }
    spans
}

/// An exponent like `e-3` and its length; nothing where letters or further digits follow.
pub(super) fn exponent(text: &str) -> Option<(i64, usize)> {
    let rest = text.strip_prefix(['e', 'E'])?;
    let (exponent, length) = integer(rest)?;
    let ends = !rest[length..].starts_with(|c: char| c.is_alphanumeric());
    ends.then_some((exponent, length + 1))
}

/// The length of a power behind digits: `^2`, `^{-2}`, `^n`, `**2`; none where nothing is raised.
fn power(text: &str) -> usize {
    let bold = text.strip_prefix("**").filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let Some(raised) = text.strip_prefix('^').or(bold) else { return 0 };
    let braced =
        raised.strip_prefix('{').and_then(|inside| inside.get(..24).unwrap_or(inside).find('}')).map(|at| at + 2);
    let signed = raised.strip_prefix(['-', '+', '\u{2212}']).unwrap_or(raised);
    let bare = raised.len() - signed.len() + run(signed);
    let length = braced.unwrap_or(if run(signed) > 0 { bare } else { 0 });
    if length == 0 { 0 } else { text.len() - raised.len() + length }
}

/// A whole number of at most nine digits with its sign, and its length.
pub(super) fn integer(text: &str) -> Option<(i64, usize)> {
    let sign = text.chars().next().filter(|c| *c == '+' || is_minus(*c));
    let skipped = sign.map_or(0, char::len_utf8);
    let length = run(&text[skipped..]);
    if !(1..=9).contains(&length) {
        return None;
    }
    let value: i64 = text[skipped..skipped + length].parse().ok()?;
    Some((if sign.is_some_and(is_minus) { -value } else { value }, skipped + length))
}

/// What is written for a minus directly before digits.
pub(super) fn is_minus(character: char) -> bool {
    matches!(character, '-' | '\u{2010}' | '\u{2011}' | '\u{2012}' | '\u{2013}' | '\u{2212}' | '\u{fe63}' | '\u{ff0d}')
}

/// The start of a number with the minus before it, where that is a sign and not a hyphen, a range or a subtraction.
fn signed(text: &str, start: usize) -> usize {
    let mut before = text[..start].chars();
    match before.next_back().filter(|c| is_minus(*c)) {
        Some(minus)
            if !before.next_back().is_some_and(|c| c.is_alphanumeric() || matches!(c, ')' | ']' | '}' | '%' | '-')) =>
        {
            start - minus.len_utf8()
        }
        _ => start,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, decimal: Decimal) -> &str {
        let start = text.find(|c: char| c.is_ascii_digit()).unwrap();
        &text[start..Digits::read(text, start, decimal).end]
    }

    #[test]
    fn a_number_reaches_as_far_as_its_groups_agree() {
        for (text, point, comma) in [
            ("1,234", "1,234", "1,234"),
            ("1,234,567.5 m", "1,234,567.5", "1,234"),
            ("1.234,56", "1.234", "1.234,56"),
            ("1 234 567", "1 234 567", "1 234 567"),
            ("1\u{a0}234\u{a0}567,5", "1\u{a0}234\u{a0}567", "1\u{a0}234\u{a0}567,5"),
            ("1\u{202f}234", "1\u{202f}234", "1\u{202f}234"),
            ("1'234.5", "1'234.5", "1'234"),
            ("1\u{2019}234,5", "1\u{2019}234", "1\u{2019}234,5"),
            ("1{,}234", "1{,}234", "1{,}234"),
            ("3{,}14", "3", "3{,}14"),
            ("1\\,234", "1\\,234", "1\\,234"),
            ("1,\\!234", "1,\\!234", "1"),
            ("12,34,567", "12,34,567", "12,34"),
            ("1,23,45,678.9", "1,23,45,678.9", "1,23"),
            ("1,2345", "1", "1,2345"),
            ("1,23", "1", "1,23"),
            ("1,234,56", "1", "1,234"),
            ("1234,567", "1234", "1234,567"),
            ("0,123", "0", "0,123"),
            ("1.000", "1.000", "1.000"),
            ("12 34", "12", "12"),
            ("1 2345", "1", "1"),
            ("1 234 56", "1", "1"),
            ("123 4567", "123", "123"),
            ("2024.", "2024", "2024"),
            ("5, 100", "5", "5"),
        ] {
            assert_eq!(read(text, Decimal::Point), point, "{text}");
            assert_eq!(read(text, Decimal::Comma), comma, "{text}");
        }
    }

    #[test]
    fn spans_hold_whole_numbers() {
        let found =
            |text: &'static str| spans(text).into_iter().map(|(start, end)| &text[start..end]).collect::<Vec<_>>();
        assert_eq!(found("15 apples, 1,500.5 pears"), ["15", "1,500.5"]);
        assert_eq!(
            found("-5 or \u{2212}5 or \u{2013}5, not 3-5, covid-19"),
            ["-5", "\u{2212}5", "\u{2013}5", "3", "5", "19"]
        );
        assert_eq!(found("05.01.2024, v1.2.3 and 1,2,5"), ["05", "01", "2024", "1", "2", "3", "1", "2", "5"]);
        assert_eq!(found("2,5 and 2e5 and .5"), ["2,5", "2e5", ".5"]);
    }

    proptest! {
        #[test]
        fn spans_hold_every_digit_once(text in "[0-9.,' a-]{0,30}|\\PC{0,20}") {
            let mut last = 0;
            let mut inside = 0;
            for (start, end) in spans(&text) {
                prop_assert!(start >= last && end > start);
                last = end;
                inside += text[start..end].bytes().filter(u8::is_ascii_digit).count();
            }
            prop_assert_eq!(inside, text.bytes().filter(u8::is_ascii_digit).count());
        }
    }
}
