//! `exact_match`: the answer equals one of the targets, after the differences that do not count are removed.

use serde::{Deserialize, Serialize};

use super::explain::{ALONE, PAIR, expected, quote};
use super::extract::{self, Extract, Form};
use super::normalize::{Normalizer, Unicode};
use super::number::{Number, Numbers};
use super::pattern;
use super::reasoning::On;
use super::texts::Texts;
use super::types::Score;
use crate::dataset::Sample;
use crate::error::{Error, Result};

/// Options of `exact_match`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExactMatchOptions {
    /// Name in reports and gates; the kind when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What counts: the `answer` (default), the `thought` before it, or `all`.
    #[serde(skip_serializing_if = "On::is_answer")]
    pub on: On,
    /// Remove white space at both ends (default true).
    pub trim: bool,
    /// Upper and lower case are equal.
    pub ignore_case: bool,
    /// Punctuation does not count, except inside numbers.
    pub ignore_punctuation: bool,
    /// The English articles a, an and the do not count.
    pub ignore_articles: bool,
    /// Any run of white space equals one space.
    pub collapse_whitespace: bool,
    /// Unicode normalisation of both sides.
    pub unicode: Unicode,
    /// Only what follows the last of these counts; an answer without any fails.
    #[serde(skip_serializing_if = "Texts::is_empty")]
    pub marker: Texts,
    /// Which part of the answer counts.
    pub extract: Extract,
    /// The pattern of `extract: regex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The group of `pattern` that counts (default: 1 if the pattern has one, else the whole match).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<usize>,
    /// Largest absolute difference of `extract: number` (default 0: equal as decimals).
    pub tolerance: f64,
}

impl Default for ExactMatchOptions {
    fn default() -> Self {
        Self {
            name: None,
            on: On::Answer,
            trim: true,
            ignore_case: false,
            ignore_punctuation: false,
            ignore_articles: false,
            collapse_whitespace: false,
            unicode: Unicode::None,
            marker: Texts::default(),
            extract: Extract::None,
            pattern: None,
            group: None,
            tolerance: 0.0,
        }
    }
}

/// A compiled `exact_match`.
#[derive(Clone, Debug)]
pub struct ExactMatch {
    markers: Vec<String>,
    form: Form,
    normalizer: Normalizer,
    tolerance: f64,
}

impl ExactMatchOptions {
    /// Checks and compiles the options.
    ///
    /// # Errors
    /// Options that contradict one another, an empty marker, a pattern that does not compile.
    pub fn compile(&self) -> Result<ExactMatch> {
        if self.marker.iter().any(|marker| marker.trim().is_empty()) {
            return Err(Error::input("read exact_match: a `marker` is empty"));
        }
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            return Err(Error::input(format!("read exact_match: `tolerance` is {}", self.tolerance))
                .with_hint("a number from 0 up"));
        }
        if self.tolerance > 0.0 && self.extract != Extract::Number {
            return Err(Error::input("read exact_match: `tolerance` without `extract: number`"));
        }
        if (self.pattern.is_some() || self.group.is_some()) && self.extract != Extract::Regex {
            return Err(Error::input("read exact_match: `pattern` and `group` need `extract: regex`"));
        }
        let form = match self.extract {
            Extract::None => Form::Whole,
            Extract::Number => Form::Number(Numbers::new()?),
            Extract::FirstLine => Form::FirstLine,
            Extract::LastLine => Form::LastLine,
            Extract::Regex => self.pattern_form()?,
        };
        let punctuation = self.ignore_punctuation.then(Normalizer::punctuation_pattern).transpose()?;
        let normalizer = Normalizer {
            unicode: self.unicode,
            ignore_case: self.ignore_case,
            ignore_articles: self.ignore_articles,
            collapse_whitespace: self.collapse_whitespace,
            trim: self.trim,
            punctuation,
        };
        Ok(ExactMatch { markers: self.marker.0.clone(), form, normalizer, tolerance: self.tolerance })
    }

    fn pattern_form(&self) -> Result<Form> {
        let Some(text) = &self.pattern else {
            return Err(Error::input("read exact_match: `extract: regex` needs a `pattern`"));
        };
        let pattern = pattern::Flags::default().compile(text)?;
        let groups = pattern.captures_len() - 1;
        let group = self.group.unwrap_or(groups.min(1));
        if group > groups {
            return Err(Error::input(format!("read exact_match: `group` is {group}, the pattern has {groups}")));
        }
        Ok(Form::Pattern { pattern, group })
    }
}

impl ExactMatch {
    /// Compares `output` with the targets of `sample`; the value is 1 or 0.
    ///
    /// # Errors
    /// A case without a target, or with a target that holds no number where numbers are compared.
    pub fn score(&self, sample: &Sample, output: &str) -> Result<Score> {
        match &self.form {
            Form::Number(numbers) => self.score_number(numbers, &sample.target, output),
            form => {
                let Some(part) = extract::after_marker(output, &self.markers).and_then(|text| form.part(text)) else {
                    return Ok(self.nothing_found(output, &sample.target));
                };
                let answer = self.normalizer.apply(part);
                let mut matches = sample.target.iter().filter(|target| self.normalizer.apply(target) == answer);
                Ok(match matches.next() {
                    Some(target) => verdict(true, format!("matches {}", quote(target, ALONE))),
                    None => verdict(false, format!("got {}, {}", quote(part, PAIR), expected(&sample.target))),
                })
            }
        }
    }

    fn score_number(&self, numbers: &Numbers, targets: &[String], output: &str) -> Result<Score> {
        let mut accepted = Vec::with_capacity(targets.len());
        for target in targets {
            // A target may be a worked solution that ends in the marker, or the bare number.
            let marked = extract::number(numbers, target, &self.markers);
            let found = marked.or_else(|| numbers.last(target)).ok_or_else(|| {
                Error::input(format!("score with exact_match: the target {} holds no number", quote(target, PAIR)))
            })?;
            accepted.push(found.number);
        }
        let Some(found) = extract::number(numbers, output, &self.markers) else {
            return Ok(self.nothing_found(output, targets));
        };
        let passed = accepted.iter().any(|number| self.is_equal(number, &found.number));
        let text = quote(found.text, PAIR);
        Ok(if passed {
            verdict(true, format!("the number {text} matches"))
        } else {
            verdict(false, format!("got the number {text}, {}", expected(targets)))
        })
    }

    fn is_equal(&self, left: &Number, right: &Number) -> bool {
        left == right || (self.tolerance > 0.0 && (left.to_f64() - right.to_f64()).abs() <= self.tolerance)
    }

    fn nothing_found(&self, output: &str, targets: &[String]) -> Score {
        let missing = match &self.form {
            _ if extract::after_marker(output, &self.markers).is_none() => "no marker",
            Form::Number(_) => "no number",
            Form::Pattern { .. } => "no match of the pattern",
            Form::Whole | Form::FirstLine | Form::LastLine => "no line",
        };
        verdict(false, format!("{missing} in {}, {}", quote(output, PAIR), expected(targets)))
    }
}

fn verdict(passed: bool, explanation: String) -> Score {
    Score { passed, value: f64::from(u8::from(passed)), explanation, outcome: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::testing::sample;
    use proptest::prelude::*;

    fn options(json: &str) -> ExactMatchOptions {
        serde_json::from_str(json).unwrap()
    }

    fn passes(json: &str, targets: &[&str], output: &str) -> bool {
        let score = options(json).compile().unwrap().score(&sample(targets), output).unwrap();
        assert_eq!(score.value, if score.passed { 1.0 } else { 0.0 });
        assert!(!score.explanation.contains('\n'));
        score.passed
    }

    #[test]
    fn text_options() {
        assert!(passes("{}", &["Paris"], " Paris\n"));
        assert!(!passes("{\"trim\":false}", &["Paris"], " Paris"));
        assert!(!passes("{}", &["Paris"], "paris"));
        assert!(passes("{\"ignore_case\":true}", &["Lyon", "Paris"], "paris"));
        assert!(passes("{\"ignore_punctuation\":true,\"ignore_articles\":true}", &["cat"], "the cat."));
        assert!(passes("{\"collapse_whitespace\":true}", &["a b"], "a \n b"));
        assert!(passes("{\"unicode\":\"nfkc\"}", &["caf\u{e9}"], "cafe\u{301}"));
        assert!(passes("{\"extract\":\"last_line\"}", &["B"], "I think\n\nB\n"));
        assert!(passes("{\"extract\":\"regex\",\"pattern\":\"\\\\(([A-D])\\\\)\"}", &["C"], "(A)? no: (C)"));
        assert!(passes("{\"marker\":\"Answer:\"}", &["blue"], "Hm. Answer: red. Sorry, Answer: blue"));
        assert!(!passes("{\"marker\":\"Answer:\"}", &["blue"], "blue"));
    }

    #[test]
    fn numbers_compare_by_value() {
        let number = "{\"extract\":\"number\"}";
        for output in ["5", "$5.00", "It costs 3 + 2 = 5.", "5.0 euros", "0.5e1"] {
            assert!(passes(number, &["5.00"], output), "{output}");
        }
        assert!(passes(number, &["1234"], "1,234"));
        assert!(!passes(number, &["5"], "5 apples for 2 people"));
        assert!(!passes(number, &["5"], "five"));
        assert!(passes("{\"extract\":\"number\",\"marker\":[\"####\",\"A:\"]}", &["6/2=3\n#### 3"], "so\nA: 3"));
        assert!(passes("{\"extract\":\"number\",\"tolerance\":0.01}", &["3.14"], "3.1415926"));
        let error = options(number).compile().unwrap().score(&sample(&["many"]), "5").unwrap_err();
        assert!(error.fragment().contains("holds no number"));
    }

    #[test]
    fn says_what_decided() {
        let scorer = options("{}").compile().unwrap();
        let explanation = |targets: &[&str], output| scorer.score(&sample(targets), output).unwrap().explanation;
        assert_eq!(explanation(&["a"], "b\nc"), "got \"b c\", expected \"a\"");
        assert_eq!(explanation(&["a", "x"], "b"), "got \"b\", expected \"a\" or 1 more");
        assert_eq!(explanation(&["a"], "a"), "matches \"a\"");
        assert!(explanation(&[&"x".repeat(500)], &"y".repeat(500)).chars().count() <= 130);
    }

    #[test]
    fn refuses_contradictions() {
        for json in [
            "{\"marker\":\"\"}",
            "{\"tolerance\":-1,\"extract\":\"number\"}",
            "{\"tolerance\":1}",
            "{\"extract\":\"regex\"}",
            "{\"pattern\":\"a\"}",
            "{\"extract\":\"regex\",\"pattern\":\"(\"}",
            "{\"extract\":\"regex\",\"pattern\":\"a\",\"group\":1}",
        ] {
            assert!(options(json).compile().is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn reflexive(text in any::<String>(), case in any::<bool>(), rest in any::<bool>()) {
            let options = ExactMatchOptions {
                ignore_case: case, ignore_punctuation: rest, ignore_articles: rest, collapse_whitespace: rest,
                ..ExactMatchOptions::default()
            };
            prop_assert!(options.compile().unwrap().score(&sample(&[&text]), &text).unwrap().passed);
        }
    }
}
