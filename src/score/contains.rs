//! `contains`: the answer contains one or all of some texts, or none of them.
//!
//! A number is not found inside a number: `5` is not in `15`, `1.5`, `1,500` or `-5`. Where texts are forbidden it is, because `4711`
//! is given away in `47110`, too.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::digits::{is_digit, spans};
use super::explain::{ALONE, PAIR, quote};
use super::normalize::{Unicode, fold_case};
use super::reasoning::On;
use super::texts::Texts;
use super::types::Score;
use crate::dataset::Sample;
use crate::error::{Error, Result};
use unicode_normalization::UnicodeNormalization;

/// How many of several must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// At least one.
    #[default]
    Any,
    /// Every one.
    All,
}

/// Options of `contains`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ContainsOptions {
    /// Name in reports and gates; the kind when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What counts of what the model wrote.
    #[serde(skip_serializing_if = "On::is_answer")]
    #[schemars(!skip_serializing_if)]
    pub on: On,
    /// The texts to look for (default: the targets of the case). One that begins or ends with a digit is not found inside a longer
    /// number, unless it is forbidden.
    #[serde(skip_serializing_if = "Texts::is_empty")]
    pub values: Texts,
    /// How many of them must occur.
    pub mode: Mode,
    /// Upper and lower case are equal.
    pub ignore_case: bool,
    /// Only whole words count: no letter, digit or underscore may touch the text found.
    pub words: bool,
    /// Unicode normalisation of both sides.
    pub unicode: Unicode,
    /// None of the `values` may occur.
    pub absent: bool,
}

/// A compiled `contains`.
#[derive(Clone, Debug)]
pub struct Contains {
    options: ContainsOptions,
}

impl ContainsOptions {
    /// Checks and compiles the options.
    ///
    /// # Errors
    /// An empty value; `absent` without values or with `mode: all`.
    pub fn compile(&self) -> Result<Contains> {
        if self.values.iter().any(str::is_empty) {
            return Err(Error::input("contains: a value is empty").with_hint("every text contains the empty one"));
        }
        if self.absent && self.values.is_empty() {
            return Err(Error::input("contains: `absent` needs `values`")
                .with_hint("name what must not occur; a case may do so in its `checks`"));
        }
        if self.absent && self.mode == Mode::All {
            return Err(Error::input("contains: `absent` forbids every value, `mode: all` does not go with it"));
        }
        Ok(Contains { options: self.clone() })
    }
}

impl Contains {
    /// Looks for the values in `output`. The value is the part of the texts that was found; 1 or 0 where one is enough
    /// or none may occur.
    ///
    /// # Errors
    /// A case without a target, or with an empty one, where the targets are looked for.
    pub fn score(&self, sample: &Sample, output: &str) -> Result<Score> {
        let options = &self.options;
        let values = if options.values.is_empty() { &sample.target } else { &options.values.0 };
        if values.iter().any(String::is_empty) {
            return Err(Error::input("contains: a target is empty"));
        }
        let text = self.prepare(output);
        let prepared: Vec<String> = values.iter().map(|value| self.prepare(value)).collect();
        let numbers = if !options.absent && prepared.iter().any(|value| has_edge_digit(value)) {
            spans(&text)
        } else {
            Vec::new()
        };
        let found: Vec<bool> = prepared.iter().map(|value| self.occurs(&text, value, &numbers)).collect();
        let count = found.iter().filter(|found| **found).count();
        let first =
            |wanted: bool| values.iter().zip(&found).find(|(_, found)| **found == wanted).map(|(value, _)| value);
        if options.absent {
            let explanation = match first(true) {
                Some(value) => format!("contains the forbidden {}", quote(value, ALONE)),
                None => format!("contains none of {} forbidden texts", values.len()),
            };
            return Ok(Score {
                passed: count == 0,
                value: f64::from(u8::from(count == 0)),
                explanation,
                outcome: None,
            });
        }
        let passed = match options.mode {
            Mode::Any => count > 0,
            Mode::All => count == values.len(),
        };
        let value = match options.mode {
            Mode::Any => f64::from(u8::from(passed)),
            Mode::All => count as f64 / values.len().max(1) as f64,
        };
        let explanation = match (passed, first(passed)) {
            (true, Some(value)) if values.len() == 1 || options.mode == Mode::Any => {
                format!("contains {}", quote(value, ALONE))
            }
            (true, _) => format!("contains all {} texts", values.len()),
            (false, Some(value)) if values.len() == 1 => {
                let inside = has_edge_digit(value) && !options.words && text.contains(&prepared[0]);
                let only = if inside { " but inside a longer number" } else { "" };
                format!("{} is not in {}{only}", quote(value, PAIR), quote(output, PAIR))
            }
            (false, Some(value)) if options.mode == Mode::All => {
                format!("{count} of {} found, {} is not in {}", values.len(), quote(value, PAIR), quote(output, PAIR))
            }
            (false, _) => format!("none of {} texts is in {}", values.len(), quote(output, PAIR)),
        };
        Ok(Score { passed, value, explanation, outcome: None })
    }

    fn prepare(&self, text: &str) -> String {
        let text = match self.options.unicode {
            Unicode::None => text.to_owned(),
            Unicode::Nfkc => text.nfkc().collect(),
        };
        if self.options.ignore_case { fold_case(text) } else { text }
    }

    /// Whether `value` occurs in `text` as a word, if words are asked for, and not inside one of its numbers.
    fn occurs(&self, text: &str, value: &str, numbers: &[(usize, usize)]) -> bool {
        if !self.options.words && (numbers.is_empty() || !has_edge_digit(value)) {
            return text.contains(value);
        }
        let mut start = 0;
        while let Some(offset) = text[start..].find(value) {
            let (from, to) = (start + offset, start + offset + value.len());
            let left = touches(text[..from].chars().next_back(), value.chars().next());
            let right = touches(value.chars().next_back(), text[to..].chars().next());
            let words = !self.options.words || (!left && !right);
            let first = value.starts_with(is_digit) && is_inside(numbers, from);
            let last = value.ends_with(is_digit) && is_inside(numbers, to);
            if words && !first && !last {
                return true;
            }
            start = from + text[from..].chars().next().map_or(1, char::len_utf8);
        }
        false
    }
}

fn has_edge_digit(value: &str) -> bool {
    value.starts_with(is_digit) || value.ends_with(is_digit)
}

/// Whether a place lies within a number, not at an end of it.
fn is_inside(numbers: &[(usize, usize)], at: usize) -> bool {
    let next = numbers.partition_point(|(_, end)| *end <= at);
    numbers.get(next).is_some_and(|(start, _)| *start < at)
}

/// Whether two neighbours are parts of one word.
fn touches(left: Option<char>, right: Option<char>) -> bool {
    let in_word = |character: Option<char>| character.is_some_and(|c| c.is_alphanumeric() || c == '_');
    in_word(left) && in_word(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::testing::sample;
    use proptest::prelude::*;

    fn score(json: &str, targets: &[&str], output: &str) -> Score {
        let options: ContainsOptions = serde_json::from_str(json).unwrap();
        options.compile().unwrap().score(&sample(targets), output).unwrap()
    }

    #[test]
    fn any_and_all() {
        assert!(score("{}", &["30 days"], "within 30 days.").passed);
        assert!(!score("{}", &["30 days"], "within 30 Days.").passed);
        assert!(score("{\"ignore_case\":true}", &["x", "30 days"], "within 30 Days.").passed);
        let partial = score("{\"values\":[\"a\",\"z\"],\"mode\":\"all\"}", &[], "abc");
        assert_eq!((partial.passed, partial.value), (false, 0.5));
        assert_eq!(partial.explanation, "1 of 2 found, \"z\" is not in \"abc\"");
        assert!(score("{\"values\":\"ab\",\"mode\":\"all\"}", &[], "abc").passed);
    }

    #[test]
    fn a_number_is_not_found_inside_a_number() {
        for (value, output, found) in [
            ("5", "15", false),
            ("5", "1.5", false),
            ("5", "5.0", false),
            ("5", "1,500 and 55", false),
            ("500", "1 500", false),
            ("5", "-5", false),
            ("5", "2,5", false),
            ("5", "2e5", false),
            ("5", "5", true),
            ("5", "5.", true),
            ("5", "5%, or 5kg", true),
            ("5", "15 or 5", true),
            ("5", "1-5", true),
            ("5", "1, 5", true),
            ("5", "x5", true),
            ("-5", "-5", true),
            ("2024", "05.01.2024", true),
            ("19", "covid-19", true),
            ("1,500", "$1,500.", true),
            ("2 October", "on 12 October", false),
            ("2 October", "on 2 October", true),
            ("room 5", "room 51", false),
            ("room 5", "room 5", true),
            ("5", "5²", false),
            ("5", "2⁵ and 5^2", false),
            ("5", "5^{-2}", false),
            ("5", "5½", false),
            ("5", "5٬000", false),
            ("5", "5٫5", false),
            ("5", "5５", false),
            ("5", "５5", false),
            ("5", "5，000", false),
            ("5", "5\u{200b}0", false),
            ("5", "٣5", false),
            ("5", "5\u{a0}000", false),
            ("５", "１５", false),
            ("５", "それは ５ です", true),
            ("٥", "١٥", false),
            ("٥", "إنه ٥.", true),
            ("5", "5² or 5", true),
            ("5²", "5²", true),
            ("5", "é5é", true),
            ("5", "答案是5。", true),
            ("5", "5 m²", true),
            ("2", "x^2", true),
        ] {
            assert_eq!(score("{}", &[value], output).passed, found, "{value} in {output}");
            let any = format!("{{\"values\":[\"{value}\",\"zebra\"],\"words\":{}}}", value != "5");
            assert_eq!(score(&any, &[], output).passed && found, found, "{value} in {output}");
        }
        let inside = score("{}", &["5"], "15");
        assert_eq!(inside.explanation, "\"5\" is not in \"15\" but inside a longer number");
        // What is forbidden is given away there, too.
        assert!(!score("{\"values\":\"4711\",\"absent\":true}", &[], "It is 47110.").passed);
    }

    #[test]
    fn words_and_absence() {
        assert!(!score("{\"words\":true}", &["cat"], "concatenate").passed);
        assert!(score("{\"words\":true}", &["cat"], "concatenate a cat").passed);
        assert!(score("{\"words\":true}", &["$5"], "it is $5.").passed);
        let hit = score("{\"values\":[\"pin\",\"4711\"],\"absent\":true}", &[], "it is 4711");
        assert_eq!((hit.passed, hit.value), (false, 0.0));
        assert_eq!(hit.explanation, "contains the forbidden \"4711\"");
        assert!(score("{\"values\":\"4711\",\"absent\":true}", &[], "no").passed);
    }

    #[test]
    fn refuses_contradictions() {
        for json in ["{\"values\":[\"\"]}", "{\"absent\":true}", "{\"absent\":true,\"values\":\"a\",\"mode\":\"all\"}"]
        {
            let options: ContainsOptions = serde_json::from_str(json).unwrap();
            assert!(options.compile().is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn finds_what_is_there(before in any::<String>(), value in "\\PC{1,8}", after in any::<String>()) {
            // A number may go on to the left or the right.
            let output = if has_edge_digit(&value) { format!("{before} a {value} z {after}") } else { format!("{before}{value}{after}") };
            let found = score("{\"ignore_case\":true}", &[&value], &output);
            prop_assert!(found.passed);
            score("{\"ignore_case\":true,\"words\":true,\"unicode\":\"nfkc\"}", &[&value], &output);
        }
    }
}
