//! Cutting the answer out of a model's chatter before it is compared.
//!
//! Two steps, both general: a `marker` (what follows it is the answer, as in GSM8K's `#### 42`), then a form (`number`, a line, a
//! pattern). It does not judge; what is not found is no answer.

use regex::{Captures, Regex};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::digits::Decimal;
use super::numerals::{Place, deciding, places};

/// Which part of the answer counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Extract {
    /// All of it.
    #[default]
    None,
    /// One number, compared by value; with a marker the first after it, else the last of the answer.
    Number,
    /// The first line that is not blank.
    FirstLine,
    /// The last line that is not blank.
    LastLine,
    /// A group of the option `pattern`; the last match counts.
    Regex,
}

/// Which of several counts: of markers, or without a marker of numbers or of matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Occurrence {
    /// The first: what a model goes on to write behind its answer changes nothing.
    First,
    /// The last: what a model thinks better of is not its answer.
    #[default]
    Last,
}

/// The compiled form of [`Extract`] with its options.
#[derive(Clone, Debug)]
pub(super) enum Form {
    Whole,
    Number(Decimal),
    FirstLine,
    LastLine,
    Pattern { pattern: Regex, group: usize },
}

/// The markers that an answer stands behind.
#[derive(Clone, Debug, Default)]
pub(super) struct Markers {
    pub texts: Vec<String>,
    pub which: Occurrence,
}

impl Markers {
    /// What follows the marker that counts, of several at one place the longest; the whole text without markers; nothing where none
    /// occurs.
    pub fn cut<'a>(&self, text: &'a str) -> Option<&'a str> {
        if self.texts.is_empty() {
            return Some(text);
        }
        let place = |marker: &String| {
            let start = match self.which {
                Occurrence::First => text.find(marker.as_str()),
                Occurrence::Last => text.rfind(marker.as_str()),
            };
            start.map(|start| (start, start + marker.len()))
        };
        let places = self.texts.iter().filter_map(place);
        let (_, end) = match self.which {
            Occurrence::First => places.min_by_key(|(start, end)| (*start, std::cmp::Reverse(*end)))?,
            Occurrence::Last => places.max_by_key(|(_, end)| *end)?,
        };
        Some(&text[end..])
    }

    /// Whether the marker occurs more than once.
    pub fn repeat(&self, text: &str) -> bool {
        self.texts.iter().map(|marker| text.matches(marker.as_str()).take(2).count()).sum::<usize>() > 1
    }
}

impl Form {
    /// The part of `text` that counts, for the forms that compare as text.
    pub fn part<'a>(&self, text: &'a str, which: Occurrence) -> Option<&'a str> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        match self {
            Form::Whole | Form::Number(_) => Some(text),
            Form::FirstLine => lines.next(),
            Form::LastLine => lines.next_back(),
            Form::Pattern { pattern, group } => {
                let mut found = pattern.captures_iter(text);
                let groups: Captures<'a> = match which {
                    Occurrence::First => found.next(),
                    Occurrence::Last => found.last(),
                }?;
                groups.get(*group).map(|part| part.as_str())
            }
        }
    }
}

/// Where the number should stand that counts in a text that is cut at its marker: the first behind a marker.
pub(super) fn number<'a>(text: &'a str, decimal: Decimal, markers: &Markers) -> Option<Place<'a>> {
    let first = !markers.texts.is_empty() || markers.which == Occurrence::First;
    deciding(&places(text, decimal), first).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn markers(texts: &[&str], which: Occurrence) -> Markers {
        Markers { texts: texts.iter().map(|text| (*text).to_owned()).collect(), which }
    }

    #[test]
    fn marker_then_form() {
        let last = markers(&["####", "A:"], Occurrence::Last);
        assert_eq!(last.cut("x #### 1 y #### 2"), Some(" 2"));
        assert_eq!(last.cut("no mark"), None);
        let first = markers(&["A:", "The A:", "####"], Occurrence::First);
        assert_eq!(first.cut("x The A: 1 y #### 2"), Some(" 1 y #### 2"));
        assert!(first.repeat("#### 1 A:") && !first.repeat("#### 1"));
        assert_eq!(markers(&[], Occurrence::Last).cut("all"), Some("all"));
        let read = |text: &'static str, markers| number(text, Decimal::Point, markers).map(|place| place.text);
        assert_eq!(read(" 7, so 9", &last), Some("7"));
        let [none_last, none_first] = [Occurrence::Last, Occurrence::First].map(|which| markers(&[], which));
        assert_eq!(read("3 + 4 = 7", &none_last), Some("7"));
        assert_eq!(read("7 and that is 9", &none_first), Some("7"));
        assert_eq!(read("none", &last), None);
    }

    #[test]
    fn lines_and_patterns() {
        let last = |form: &Form, text| form.part(text, Occurrence::Last);
        assert_eq!(last(&Form::LastLine, "a\nb\n \n"), Some("b"));
        assert_eq!(last(&Form::FirstLine, "\n\na\r\nb"), Some("a"));
        assert_eq!(last(&Form::LastLine, " \n"), None);
        let form = Form::Pattern { pattern: Regex::new(r"answer is (\w+)").unwrap(), group: 1 };
        assert_eq!(last(&form, "the answer is B, no, the answer is C."), Some("C"));
        assert_eq!(form.part("the answer is B, no, the answer is C.", Occurrence::First), Some("B"));
        assert_eq!(last(&form, "C"), None);
    }
}
