//! Cutting the answer out of a model's chatter before it is compared.
//!
//! Two steps, both general: a `marker` (what follows its last occurrence is the answer, as in GSM8K's `#### 42`), then a
//! form (`number`, a line, a pattern). It does not judge; what is not found is no answer.

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::number::{Found, Numbers};

/// Which part of the answer counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// The compiled form of [`Extract`] with its options.
#[derive(Clone, Debug)]
pub(super) enum Form {
    Whole,
    Number(Numbers),
    FirstLine,
    LastLine,
    Pattern { pattern: Regex, group: usize },
}

/// What follows the last occurrence of any marker; the whole text without markers; nothing where none occurs.
pub(super) fn after_marker<'a>(text: &'a str, markers: &[String]) -> Option<&'a str> {
    if markers.is_empty() {
        return Some(text);
    }
    let ends = markers.iter().filter_map(|marker| text.rfind(marker.as_str()).map(|start| start + marker.len()));
    ends.max().map(|end| &text[end..])
}

impl Form {
    /// The part of `text` that counts, for the forms that compare as text.
    pub fn part<'a>(&self, text: &'a str) -> Option<&'a str> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        match self {
            Form::Whole | Form::Number(_) => Some(text),
            Form::FirstLine => lines.next(),
            Form::LastLine => lines.next_back(),
            Form::Pattern { pattern, group } => {
                pattern.captures_iter(text).last().and_then(|groups| groups.get(*group)).map(|part| part.as_str())
            }
        }
    }
}

/// The number that counts in a text that may be cut at a marker.
pub(super) fn number<'a>(numbers: &Numbers, text: &'a str, markers: &[String]) -> Option<Found<'a>> {
    let part = after_marker(text, markers)?;
    if markers.is_empty() { numbers.last(part) } else { numbers.first(part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marker_then_form() {
        let markers = ["####".to_owned(), "A:".to_owned()];
        assert_eq!(after_marker("x #### 1 y #### 2", &markers), Some(" 2"));
        assert_eq!(after_marker("no mark", &markers), None);
        assert_eq!(after_marker("all", &[]), Some("all"));
        let numbers = Numbers::new().unwrap();
        assert_eq!(number(&numbers, "3 + 4\nA: 7 of 9", &markers).unwrap().text, "7");
        assert_eq!(number(&numbers, "3 + 4 = 7", &[]).unwrap().text, "7");
        assert_eq!(number(&numbers, "7", &markers), None);
    }

    #[test]
    fn lines_and_patterns() {
        assert_eq!(Form::LastLine.part("a\nb\n \n"), Some("b"));
        assert_eq!(Form::FirstLine.part("\n\na\r\nb"), Some("a"));
        assert_eq!(Form::LastLine.part(" \n"), None);
        let form = Form::Pattern { pattern: Regex::new(r"answer is (\w+)").unwrap(), group: 1 };
        assert_eq!(form.part("the answer is B, no, the answer is C."), Some("C"));
        assert_eq!(form.part("C"), None);
    }
}
