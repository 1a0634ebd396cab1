//! Numbers in prose: where they are and whether two are equal.
//!
//! English conventions: `,` groups thousands and `.` starts decimals. Values are kept as decimal digits, so `5.00` equals
//! `5` and long integers lose nothing to floating point. Not understood, on purpose: fractions (`1/2`), spelled numbers,
//! scale words (`million`), decimal commas; `50%` is 50.

use regex::{Captures, Regex};

use crate::error::{Error, Result};

/// A decimal number in its one canonical form: no leading and no trailing zero digits, zero without sign and exponent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Number {
    negative: bool,
    digits: String,
    /// Power of ten of the last digit.
    exponent: i64,
}

impl Number {
    fn new(negative: bool, whole: &str, decimals: &str, exponent: i64) -> Self {
        let digits: String = whole.chars().chain(decimals.chars()).filter(char::is_ascii_digit).collect();
        let trimmed = digits.trim_end_matches('0');
        let removed = (digits.len() - trimmed.len()) as i64;
        let trimmed = trimmed.trim_start_matches('0').to_owned();
        if trimmed.is_empty() {
            return Self { negative: false, digits: trimmed, exponent: 0 };
        }
        let exponent = exponent.saturating_sub(decimals.len() as i64).saturating_add(removed);
        Self { negative, digits: trimmed, exponent }
    }

    /// The nearest float, for comparisons with a tolerance.
    pub fn to_f64(&self) -> f64 {
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}0{}e{}", self.digits, self.exponent).parse().unwrap_or(f64::NAN)
    }
}

/// Finds numbers in text.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    pattern: Regex,
}

/// A number and the text it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub number: Number,
    pub text: &'a str,
}

/// Letters that may touch a number and are no part of a word: currency codes written without a space.
const CURRENCY_CODES: [&str; 13] =
    ["usd", "eur", "gbp", "jpy", "cny", "inr", "chf", "cad", "aud", "rmb", "rs", "us", "r"];

impl Numbers {
    /// Compiles the pattern.
    pub fn new() -> Result<Self> {
        // The groups: sign before the currency, sign after it, whole part, decimals, decimals alone, exponent.
        let pattern = concat!(
            r"([-+\u{2212}]?)(?:\p{Sc}\s?)?([-+\u{2212}]?)",
            r"(?:([0-9]+(?:,[0-9]+)*)(?:\.([0-9]+))?|\.([0-9]+))",
            r"(?:[eE]([-+]?[0-9]{1,6})\b)?",
        );
        let pattern = Regex::new(pattern).map_err(|e| Error::internal("compile the number pattern").caused_by(e))?;
        Ok(Self { pattern })
    }

    /// The first number of `text`.
    pub fn first<'a>(&self, text: &'a str) -> Option<Found<'a>> {
        self.all(text).next()
    }

    /// The last number of `text`.
    pub fn last<'a>(&self, text: &'a str) -> Option<Found<'a>> {
        self.all(text).last()
    }

    /// All numbers of `text` in order. Digits inside a word (`GPT4`, `H2O`) are part of the word.
    pub fn all<'a>(&self, text: &'a str) -> impl Iterator<Item = Found<'a>> {
        self.pattern.captures_iter(text).flat_map(move |groups| read(text, &groups))
    }
}

/// The numbers of one match: one, none inside a word, several when the commas separate items and not thousands.
fn read<'a>(text: &'a str, groups: &Captures<'a>) -> Vec<Found<'a>> {
    let Some(matched) = groups.get(0) else { return Vec::new() };
    let group = |index: usize| groups.get(index).map_or("", |part| part.as_str());
    let (before, whole) = (&text[..matched.start()], group(3));
    let previous = before.chars().next_back();
    let glued = previous.is_some_and(char::is_alphanumeric) && !follows_a_code(before);
    if glued && matched.as_str().starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Vec::new();
    }
    // A sign belongs to the number only where no term stands before it: `10-3` holds 10 and 3.
    let after_term = previous.is_some_and(|c| c.is_alphanumeric() || matches!(c, ')' | ']'));
    let minus = |sign: &str| matches!(sign, "-" | "\u{2212}");
    let negative = (minus(group(1)) && !after_term) || minus(group(2));
    let decimals = if group(5).is_empty() { group(4) } else { group(5) };
    let exponent = group(6).parse().unwrap_or(0);
    if is_grouped(whole) {
        return vec![Found { number: Number::new(negative, whole, decimals, exponent), text: matched.as_str() }];
    }
    let items: Vec<&str> = whole.split(',').collect();
    let last = items.len() - 1;
    let found = items.into_iter().enumerate().map(|(index, item)| {
        let (decimals, exponent) = if index == last { (decimals, exponent) } else { ("", 0) };
        Found { number: Number::new(negative && index == 0, item, decimals, exponent), text: item }
    });
    found.collect()
}

/// Whether the commas of `whole`, if any, group thousands.
fn is_grouped(whole: &str) -> bool {
    match whole.split_once(',') {
        None => true,
        Some((first, rest)) => first.len() <= 3 && rest.split(',').all(|group| group.len() == 3),
    }
}

fn follows_a_code(before: &str) -> bool {
    let word = before.rsplit(|c: char| !c.is_alphabetic()).next().unwrap_or_default();
    CURRENCY_CODES.iter().any(|code| word.eq_ignore_ascii_case(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn last(text: &str) -> Option<Number> {
        Numbers::new().unwrap().last(text).map(|found| found.number)
    }

    fn same(left: &str, right: &str) {
        assert!(last(left).is_some(), "no number in {left:?}");
        assert_eq!(last(left), last(right), "{left:?} against {right:?}");
    }

    #[test]
    fn reads_what_models_write() {
        for (text, value) in [
            ("1,234", "1234"),
            ("$5.00", "5"),
            ("#### 42", "42"),
            ("So it is 42.", "42"),
            ("**1,234,567.50**", "1234567.5"),
            ("1e3", "1000"),
            ("2.5E-1 m", "0.25"),
            ("-3", "-3.0"),
            ("\u{2212}3", "-3"),
            ("-$3.10", "-3.1"),
            ("$-3.10", "-3.1"),
            ("€ 7", "7"),
            ("EUR7", "7"),
            ("x=.5", "0.5"),
            ("\\boxed{18}", "18"),
            ("50%", "50"),
            ("it ends 5-10", "10"),
            ("12 - 3", "3"),
            ("-0", "0"),
            ("000", "0"),
            ("3rd", "3"),
            ("A: 1, 2, 3", "3"),
            ("10,200,3000", "3000"),
            ("1,2345", "2345"),
            ("2,1.50", "1.5"),
            ("1,234km", "1234"),
            ("US$18", "18"),
            ("GPT-4", "4"),
        ] {
            same(text, value);
        }
        for text in ["", "none", "H2O", "GPT4", "x"] {
            assert_eq!(last(text), None, "{text:?}");
        }
        assert_ne!(last("-3"), last("3"));
        assert_ne!(last("1e400"), last("1e401"));
    }

    #[test]
    fn canonical_and_float() {
        assert_eq!(last("-1,230.50").unwrap().to_f64(), -1230.5);
        assert_eq!(last("0.00").unwrap().to_f64(), 0.0);
        assert_eq!(last("12345678901234567890123").unwrap().digits, "12345678901234567890123");
    }

    fn grouped(value: u64) -> String {
        let digits = value.to_string();
        let mut text = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        text
    }

    proptest! {
        #[test]
        fn formatted_numbers_are_read_back(value in any::<u64>(), cents in 0u8..100, negative in any::<bool>()) {
            let sign = if negative && (value, cents) != (0, 0) { "-" } else { "" };
            let plain = format!("{sign}{value}.{cents:02}");
            for text in [format!("{sign}{}.{cents:02}", grouped(value)), format!("{sign}${value}.{cents:02}0"),
                         format!("The answer is {sign}{value}.{cents:02}."), format!("#### {plain}\n")] {
                prop_assert_eq!(last(&text), last(&plain), "{}", text);
            }
        }

        #[test]
        fn floats_are_read_back(value in -1e15f64..1e15) {
            prop_assert_eq!(last(&value.to_string()).unwrap().to_f64(), value);
        }

        #[test]
        fn never_panics(text in any::<String>()) {
            if let Some(number) = last(&text) {
                number.to_f64();
            }
        }
    }
}
