//! `exact_match`: the answer equals one of the targets, after the differences that do not count are removed.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::digits::{Decimal, is_minus};
use super::explain::{ALONE, PAIR, THREE, expected, quote};
use super::extract::{self, Extract, Form, Markers, Occurrence};
use super::fold::fold;
use super::normalize::{Normalizer, Unicode};
use super::number::Number;
use super::numerals::{Place, places};
use super::pattern;
use super::reasoning::On;
use super::texts::Texts;
use super::types::{Lacking, Score};
use crate::dataset::Sample;
use crate::error::{Error, Result};

/// Options of `exact_match`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExactMatchOptions {
    /// Name in reports and gates; the kind when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What counts of what the model wrote.
    #[serde(skip_serializing_if = "On::is_answer")]
    #[schemars(!skip_serializing_if)]
    pub on: On,
    /// White space at both ends does not count.
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
    /// Only what follows one of these counts, the last in the answer if `occurrence` does not say otherwise; an answer without any
    /// fails.
    #[serde(skip_serializing_if = "Texts::is_empty")]
    pub marker: Texts,
    /// Which marker counts, or without a marker which number or match of `pattern`; the last when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occurrence: Option<Occurrence>,
    /// Which part of the answer counts.
    pub extract: Extract,
    /// The pattern of `extract: regex`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The group of `pattern` that counts (default: 1 if the pattern has one, else the whole match).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<usize>,
    /// Largest absolute difference of `extract: number`, to the decimal; 0: equal as decimals.
    pub tolerance: f64,
    /// What starts the decimals of `extract: number`, in answers and targets.
    #[serde(skip_serializing_if = "Decimal::is_point")]
    #[schemars(!skip_serializing_if)]
    pub decimal: Decimal,
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
            occurrence: None,
            extract: Extract::None,
            pattern: None,
            group: None,
            tolerance: 0.0,
            decimal: Decimal::Point,
        }
    }
}

/// A compiled `exact_match`.
#[derive(Clone, Debug)]
pub struct ExactMatch {
    markers: Markers,
    form: Form,
    normalizer: Normalizer,
    /// None where numbers must be equal.
    tolerance: Option<Number>,
}

impl ExactMatchOptions {
    /// Checks and compiles the options.
    ///
    /// # Errors
    /// Options that contradict one another, an empty marker, a pattern that does not compile.
    pub fn compile(&self) -> Result<ExactMatch> {
        if self.marker.iter().any(|marker| marker.trim().is_empty()) {
            return Err(Error::input("exact_match: a `marker` is empty"));
        }
        if !(self.tolerance >= 0.0 && self.tolerance.is_finite()) {
            return Err(
                Error::input(format!("exact_match: `tolerance` is {}", self.tolerance)).with_hint("a number from 0 up")
            );
        }
        if self.tolerance > 0.0 && self.extract != Extract::Number {
            return Err(Error::input("exact_match: `tolerance` needs `extract: number`"));
        }
        if (self.pattern.is_some() || self.group.is_some()) && self.extract != Extract::Regex {
            return Err(Error::input("exact_match: `pattern` and `group` need `extract: regex`"));
        }
        if !self.decimal.is_point() && self.extract != Extract::Number {
            return Err(Error::input("exact_match: `decimal` needs `extract: number`"));
        }
        let several = self.extract == Extract::Number || self.extract == Extract::Regex;
        if self.occurrence.is_some() && self.marker.is_empty() && !several {
            return Err(Error::input(
                "exact_match: `occurrence` needs `marker`, `extract: number` or `extract: regex`",
            ));
        }
        let form = match self.extract {
            Extract::None => Form::Whole,
            Extract::Number => Form::Number(self.decimal),
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
        let tolerance = (self.tolerance > 0.0).then(|| Number::of(self.tolerance));
        let scorer = ExactMatch { markers: Markers::default(), form, normalizer, tolerance };
        let texts = self.marker.iter().map(|marker| scorer.plain(marker).into_owned()).collect();
        Ok(ExactMatch { markers: Markers { texts, which: self.occurrence.unwrap_or_default() }, ..scorer })
    }

    fn pattern_form(&self) -> Result<Form> {
        let Some(text) = &self.pattern else {
            return Err(Error::input("exact_match: `extract: regex` needs a `pattern`"));
        };
        let pattern = pattern::Flags::default().compile(text)?;
        let groups = pattern.captures_len() - 1;
        let group = self.group.unwrap_or(groups.min(1));
        if group > groups {
            return Err(Error::input(format!("exact_match: `group` is {group}, the pattern has {groups}")));
        }
        Ok(Form::Pattern { pattern, group })
    }
}

impl ExactMatch {
    /// Whether the targets of a case are such that an answer could match them.
    ///
    /// # Errors
    /// Where numbers are compared, a target that is not one number.
    pub fn check(&self, sample: &Sample) -> Result<()> {
        match self.form {
            Form::Number(decimal) => self.accepted(sample, decimal).map(drop),
            _ => Ok(()),
        }
    }

    /// Compares `output` with the targets of `sample`; the value is 1 or 0.
    ///
    /// # Errors
    /// A case without a target, or with a target that is not one number where numbers are compared.
    pub fn score(&self, sample: &Sample, output: &str) -> Result<Score> {
        let text = &*self.plain(output);
        let targets = &sample.target;
        if let Form::Number(decimal) = self.form {
            return self.score_number(decimal, sample, text);
        }
        // With a marker it is the marker of several that `occurrence` speaks of.
        let which = if self.markers.texts.is_empty() { self.markers.which } else { Occurrence::Last };
        let Some(part) = self.markers.cut(text).and_then(|text| self.form.part(text, which)) else {
            return Ok(self.nothing_found(text, targets));
        };
        let answer = self.normalizer.apply(part);
        let mut matches = targets.iter().filter(|target| self.normalizer.apply(target) == answer);
        let whole = self.markers.texts.is_empty() && matches!(self.form, Form::Whole);
        Ok(match matches.next() {
            Some(target) if whole => verdict(true, format!("matches {}", quote(target, ALONE))),
            Some(target) => verdict(true, format!("extracted {}, matches {}", quote(part, PAIR), quote(target, PAIR))),
            None if whole => verdict(false, format!("got {}, {}", quote(part, PAIR), expected(targets, PAIR))),
            None => verdict(false, self.extracted(part, text, targets)),
        })
    }

    /// The text in the form in which markers, patterns and numbers are looked for.
    fn plain<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.form {
            Form::Number(_) => fold(text),
            _ if self.normalizer.unicode == Unicode::Nfkc && !text.is_ascii() => Cow::Owned(text.nfkc().collect()),
            _ => Cow::Borrowed(text),
        }
    }

    /// The numbers that the targets are; those that the file has as JSON numbers are written as JSON does.
    fn accepted(&self, sample: &Sample, decimal: Decimal) -> Result<Vec<Number>> {
        let targets = sample.target.iter().enumerate();
        let number = |(index, target): (usize, &String)| {
            if sample.numeric_targets.contains(&index) {
                self.number(target, Decimal::Point)
            } else {
                self.number(target, decimal)
            }
        };
        targets.map(number).collect()
    }

    fn score_number(&self, decimal: Decimal, sample: &Sample, text: &str) -> Result<Score> {
        let (accepted, targets) = (self.accepted(sample, decimal)?, sample.target.as_slice());
        let place = self.markers.cut(text).and_then(|part| extract::number(part, decimal, &self.markers));
        let Some(place) = place else { return Ok(self.nothing_found(text, targets)) };
        let Some(number) = place.number else {
            let quoted = quote(place.text, PAIR);
            return Ok(lacking(format!("{quoted} is not one number, {}", expected(targets, PAIR))));
        };
        Ok(if accepted.iter().any(|accepted| self.is_equal(accepted, &number)) {
            verdict(true, format!("the number {} matches", quote(place.text, PAIR)))
        } else {
            verdict(false, self.extracted(place.text, text, targets))
        })
    }

    /// The number that a target is: all of it, or what stands behind its marker, as in a worked solution.
    fn number(&self, target: &str, decimal: Decimal) -> Result<Number> {
        let text = fold(target);
        let text = self.markers.cut(&text).unwrap_or(&text);
        let mut places = places(text, decimal).into_iter();
        let (first, more) = (places.next(), places.next().is_some());
        let minus = |start: usize| text[..start].trim_end().ends_with(is_minus);
        let (problem, hint) = match first {
            Some(Place { number: Some(_), start, .. }) if !more && minus(start) => {
                ("is not one number", "a minus that stands apart may be a dash: write -5, or 5")
            }
            Some(Place { number: Some(number), ambiguous: false, .. }) if !more => return Ok(number),
            Some(Place { ambiguous: true, .. }) if !more => (
                "can be read as two numbers",
                "with `decimal: ','` write it without the point: 1234, or 1,234 for decimals",
            ),
            Some(_) => ("is not one number", "`extract: number` compares one number; compare anything else as text"),
            None => ("holds no number", "`extract: number` compares one number; compare anything else as text"),
        };
        let error = Error::input(format!("exact_match: the target {} {problem}", quote(target, PAIR)));
        Err(error.with_hint(hint))
    }

    fn is_equal(&self, left: &Number, right: &Number) -> bool {
        left == right || self.tolerance.as_ref().is_some_and(|tolerance| left.is_within(tolerance, right))
    }

    /// What was taken out of an answer, with the line that it stands in, and of which marker where there are several.
    fn extracted(&self, part: &str, text: &str, targets: &[String]) -> String {
        let at = part.as_ptr() as usize - text.as_ptr() as usize;
        let begin = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let line = &text[begin..at + text[at..].find('\n').unwrap_or(text.len() - at)];
        let shown = text[begin..at].chars().rev().take(THREE / 2).map(char::len_utf8).sum::<usize>();
        let near = &text[at - shown..begin + line.len()];
        let dots = if shown < at - begin { "…" } else { "" };
        let from = if line.trim() == part.trim() {
            String::new()
        } else {
            format!(" from {}", quote(&format!("{dots}{near}"), THREE))
        };
        let several = match (self.markers.repeat(text), self.markers.which) {
            (false, _) => "",
            (true, Occurrence::First) => " (first marker)",
            (true, Occurrence::Last) => " (last marker)",
        };
        format!("extracted {}{from}{several}, {}", quote(part, THREE), expected(targets, THREE))
    }

    fn nothing_found(&self, output: &str, targets: &[String]) -> Score {
        let missing = match &self.form {
            _ if self.markers.cut(output).is_none() => "no marker",
            Form::Number(_) => "no number",
            Form::Pattern { .. } => "no match of the pattern",
            Form::Whole | Form::FirstLine | Form::LastLine => "no line",
        };
        lacking(format!("{missing} in {}, {}", quote(output, PAIR), expected(targets, PAIR)))
    }
}

/// The score of an answer in which nothing was found to compare.
fn lacking(explanation: String) -> Score {
    Score { outcome: Some(Lacking::NotExtracted), ..verdict(false, explanation) }
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
        assert!(passes(number, &["1234567"], "1\u{202f}234\u{202f}567") && passes(number, &["１２"], "⑫"));
        assert!(passes("{\"extract\":\"number\",\"decimal\":\",\"}", &["1234,5"], "Es sind 1.234,50 Euro."));
        let big = "12345678901234567890123";
        assert!(passes(number, &[big], big) && !passes(number, &[big], "12345678901234568000000"));
        assert!(passes("{\"extract\":\"number\",\"marker\":[\"####\",\"A:\"]}", &["6/2=3\n#### 3"], "so\nA: 3"));
        assert!(passes("{\"extract\":\"number\",\"tolerance\":0.01}", &["3.14"], "3.1415926"));
        for (target, problem) in
            [("many", "holds no number"), ("1/2", "is not one number"), ("3 of 4", "is not one number")]
        {
            let scorer = options(number).compile().unwrap();
            let case = sample(&["5", target]);
            assert!(scorer.score(&case, "5").unwrap_err().message().contains(problem), "{target}");
            assert!(scorer.check(&case).unwrap_err().message().contains(problem), "{target}");
        }
        let refused = options(number).compile().unwrap();
        for target in [
            "sqrt 2",
            "2 pi",
            "5 pm",
            "- 5",
            "#### - 5",
            "5!",
            "5k",
            "$5M",
            "x > 5",
            "5 ≤ x ≤ 10",
            "5|10",
            "3 h 20 min",
        ] {
            let error = refused.check(&sample(&[target])).unwrap_err();
            assert!(error.message().ends_with("is not one number"), "{target}: {}", error.message());
        }
        let comma = options("{\"extract\":\"number\",\"decimal\":\",\"}").compile().unwrap();
        for (target, answer) in [("0.5", "0,5"), ("1.234", "1,234"), ("1e3", "1.000"), ("-2.50", "-2,5")] {
            let case = Sample { numeric_targets: vec![0], ..sample(&[target]) };
            assert!(comma.score(&case, answer).unwrap().passed, "{target}");
            assert!(!comma.score(&case, "7").unwrap().passed, "{target}");
        }
        let mixed = Sample { numeric_targets: vec![1], ..sample(&["2,5", "0.5"]) };
        assert!(comma.score(&mixed, "2,5").unwrap().passed && comma.score(&mixed, "0,5").unwrap().passed);
        assert!(comma.check(&sample(&["0.5"])).is_err());
        assert!(comma.check(&sample(&["1.234"])).unwrap_err().message().contains("two numbers"));
        assert!(comma.check(&sample(&["1.5"])).unwrap_err().message().contains("is not one number"));
        assert!(comma.check(&sample(&["1.234.567", "1.234,5", "1234"])).is_ok());
    }

    #[test]
    fn what_is_not_one_number_is_not_extracted() {
        let scorer = options("{\"extract\":\"number\"}").compile().unwrap();
        let score = |output| scorer.score(&sample(&["2"]), output).unwrap();
        for output in ["1/2", "It is 2-3.", "at 3:02", "2, 2", "on 2024-01-02", "none"] {
            let score = score(output);
            assert_eq!((score.passed, score.outcome), (false, Some(Lacking::NotExtracted)), "{output}");
        }
        assert_eq!(score("so 1/2").explanation, "\"1/2\" is not one number, expected \"2\"");
        assert_eq!((score("3").passed, score("3").outcome), (false, None));
        let marked = options("{\"marker\":\"A:\"}").compile().unwrap();
        assert_eq!(marked.score(&sample(&["2"]), "2").unwrap().outcome, Some(Lacking::NotExtracted));
    }

    #[test]
    fn the_edge_of_the_tolerance_is_decimal() {
        let near = "{\"extract\":\"number\",\"tolerance\":0.2}";
        assert!(
            passes(near, &["0.1"], "0.3") && passes(near, &["0.3"], "0.1") && !passes(near, &["0.1"], "0.30000000001")
        );
        assert!(!passes(near, &["1"], "1e999999") && !passes(near, &["1e999999999"], "-1e999999999"));
    }

    #[test]
    fn the_first_or_the_last_counts() {
        let run_on = "6*7=42\n#### 42\n\nQuestion: 3+4?\nAnswer: 3+4=7\n#### 7";
        let number = |rest: &str| format!("{{\"extract\":\"number\"{rest}}}");
        assert!(!passes(&number(",\"marker\":\"####\""), &["42"], run_on));
        assert!(!passes(&number(",\"marker\":\"####\",\"occurrence\":\"last\""), &["42"], run_on));
        assert!(passes(&number(",\"marker\":\"####\",\"occurrence\":\"first\""), &["42"], run_on));
        assert!(passes(&number(",\"occurrence\":\"first\""), &["5"], "5 apples for 2 people"));
        let pattern = "\"extract\":\"regex\",\"pattern\":\"\\\\(([A-D])\\\\)\"";
        assert!(passes(&format!("{{{pattern},\"occurrence\":\"first\"}}"), &["A"], "(A), or (C)"));
        let full = "{\"marker\":\"####\",\"unicode\":\"nfkc\",\"extract\":\"first_line\"}";
        assert!(passes(full, &["B"], "＃＃＃＃ Ｂ"));
    }

    #[test]
    fn says_what_decided() {
        let scorer = options("{}").compile().unwrap();
        let explanation = |targets: &[&str], output| scorer.score(&sample(targets), output).unwrap().explanation;
        assert_eq!(explanation(&["a"], "b\nc"), "got \"b c\", expected \"a\"");
        assert_eq!(explanation(&["a", "x"], "b"), "got \"b\", expected \"a\" or 1 more");
        assert_eq!(explanation(&["a"], "a"), "matches \"a\"");
        assert!(explanation(&[&"x".repeat(500)], &"y".repeat(500)).chars().count() <= 130);
        let scorer = options("{\"extract\":\"number\",\"marker\":\"A:\"}").compile().unwrap();
        let explanation = |targets: &[&str], output: &str| scorer.score(&sample(targets), output).unwrap().explanation;
        assert_eq!(explanation(&["8"], "Hm.\nA: 7 so 9"), "extracted \"7\" from \"A: 7 so 9\", expected \"8\"");
        assert_eq!(explanation(&["8"], "A:\n7"), "extracted \"7\", expected \"8\"");
        assert_eq!(explanation(&["7"], "A: 7"), "the number \"7\" matches");
        assert_eq!(
            explanation(&["8"], "A: 8\nThen comes the next question, A: 7"),
            "extracted \"7\" from \"…ext question, A: 7\" (last marker), expected \"8\""
        );
        let long = format!("A: {0}\nA: {0} {0}", "1234567890".repeat(20));
        assert!(explanation(&[&long[3..203], "5"], &long.replace('1', "2")).chars().count() <= 160);
        let scorer = options("{\"extract\":\"last_line\",\"ignore_case\":true}").compile().unwrap();
        assert_eq!(scorer.score(&sample(&["B"]), "I think\nb").unwrap().explanation, "extracted \"b\", matches \"B\"");
    }

    #[test]
    fn refuses_contradictions() {
        for json in [
            "{\"marker\":\"\"}",
            "{\"tolerance\":-1,\"extract\":\"number\"}",
            "{\"tolerance\":1}",
            "{\"decimal\":\",\"}",
            "{\"occurrence\":\"first\"}",
            "{\"occurrence\":\"first\",\"extract\":\"last_line\"}",
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
        fn numbers_never_panic_and_are_explained(targets in prop::collection::vec("[-0-9.,/ ]{0,12}|\\PC{0,20}", 0..3), output in "[-0-9.,/: A-Z#\n$%^{}\\\\]{0,60}|\\PC{0,60}", first in any::<bool>()) {
            let options = ExactMatchOptions {
                extract: Extract::Number, marker: if first { Texts::from(["A"]) } else { Texts::default() }, tolerance: 0.5,
                occurrence: Some(if first { Occurrence::First } else { Occurrence::Last }), ..ExactMatchOptions::default()
            };
            let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
            if let Ok(score) = options.compile().unwrap().score(&sample(&targets), &output) {
                prop_assert!(score.explanation.chars().count() <= 160, "{}", score.explanation);
            }
        }

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
