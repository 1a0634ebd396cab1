//! `regex`: the answer matches one or all of some patterns, or none of them.

use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::contains::Mode;
use super::explain::{ALONE, PAIR, quote};
use super::pattern::Flags;
use super::reasoning::On;
use super::texts::Texts;
use super::types::Score;
use crate::dataset::Sample;
use crate::error::{Error, Result};

/// Options of `regex`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RegexOptions {
    /// Name in reports and gates; the kind when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What counts of what the model wrote.
    #[serde(skip_serializing_if = "On::is_answer")]
    #[schemars(!skip_serializing_if)]
    pub on: On,
    /// The patterns (one or a list).
    #[serde(skip_serializing_if = "Texts::is_empty")]
    pub pattern: Texts,
    /// Take the targets of the case as patterns instead.
    pub target_as_pattern: bool,
    /// How many of the patterns must match.
    pub mode: Mode,
    /// No pattern may match.
    pub absent: bool,
    /// A pattern must match the whole answer, white space at its ends aside.
    pub full: bool,
    /// Upper and lower case are equal.
    pub ignore_case: bool,
    /// `^` and `$` also match at line breaks.
    pub multi_line: bool,
    /// `.` also matches a line break.
    pub dot_matches_newline: bool,
}

/// A compiled `regex`.
#[derive(Clone, Debug)]
pub struct RegexMatch {
    /// Empty when the targets are the patterns.
    patterns: Vec<Regex>,
    flags: Flags,
    mode: Mode,
    absent: bool,
}

/// Texts of which a pattern that says something matches not all.
const PROBES: [&str; 6] = ["", "a", "0", " ", "\n", "Zq7 -\n\u{1f600}"];

impl RegexOptions {
    /// Why the patterns say the same of every answer, if they do: one that matches the empty text is found in any.
    pub(super) fn decides_nothing(&self) -> Option<String> {
        let compiled = self.compile().ok()?;
        let trimmed = |text: &'static str| if self.full { text.trim() } else { text };
        let always = |pattern: &Regex| PROBES.iter().all(|text| pattern.is_match(trimmed(text)));
        let all = !compiled.patterns.is_empty() && compiled.patterns.iter().all(always);
        let found = if self.mode == Mode::All { all } else { compiled.patterns.iter().any(always) };
        let pattern = self.pattern.iter().zip(&compiled.patterns).find(|(_, compiled)| always(compiled));
        let (pattern, _) = pattern.filter(|_| found)?;
        let what = if self.absent { "passes no answer" } else { "passes every answer" };
        Some(format!("{what}: the pattern `{pattern}` matches any text"))
    }

    /// Checks and compiles the options.
    ///
    /// # Errors
    /// No pattern or two sources of patterns, contradictions, a pattern that does not compile.
    pub fn compile(&self) -> Result<RegexMatch> {
        if self.pattern.is_empty() != self.target_as_pattern {
            return Err(Error::input("regex: give either `pattern` or `target_as_pattern: true`"));
        }
        if self.absent && self.mode == Mode::All {
            return Err(Error::input("regex: `absent` forbids every pattern, `mode: all` does not go with it"));
        }
        let flags = Flags {
            ignore_case: self.ignore_case,
            multi_line: self.multi_line,
            dot_matches_newline: self.dot_matches_newline,
            full: self.full,
        };
        let patterns = self.pattern.iter().map(|pattern| flags.compile(pattern)).collect::<Result<_>>()?;
        Ok(RegexMatch { patterns, flags, mode: self.mode, absent: self.absent })
    }
}

impl RegexMatch {
    /// Whether the targets of a case are patterns, where they are to be.
    ///
    /// # Errors
    /// The first that is empty or does not compile.
    pub fn check(&self, sample: &Sample) -> Result<()> {
        if self.patterns.is_empty() {
            sample.target.iter().try_for_each(|target| self.target(target).map(drop))
        } else {
            Ok(())
        }
    }

    /// A target as a pattern.
    fn target(&self, target: &str) -> Result<Regex> {
        if target.is_empty() {
            let error = Error::input("regex: a target is empty");
            return Err(error.with_hint("every text matches the empty pattern"));
        }
        self.flags.compile(target)
    }

    /// Matches `output`. The value is the part of the patterns that match; 1 or 0 where one is enough or none may.
    ///
    /// # Errors
    /// A target that is to be a pattern, and is empty or does not compile.
    pub fn score(&self, sample: &Sample, output: &str) -> Result<Score> {
        let own;
        let patterns = if self.patterns.is_empty() {
            own = sample.target.iter().map(|target| self.target(target)).collect::<Result<Vec<_>>>()?;
            &own
        } else {
            &self.patterns
        };
        let text = if self.flags.full { output.trim() } else { output };
        let found: Vec<_> = patterns.iter().map(|pattern| pattern.find(text)).collect();
        let count = found.iter().filter(|found| found.is_some()).count();
        let first_match = found.iter().flatten().next();
        let first_missing = patterns.iter().zip(&found).find(|(_, found)| found.is_none()).map(|(pattern, _)| pattern);
        let passed = match (self.absent, self.mode) {
            (true, _) => count == 0,
            (false, Mode::Any) => count > 0,
            (false, Mode::All) => count == patterns.len(),
        };
        let value = if self.mode == Mode::All && !self.absent {
            count as f64 / patterns.len().max(1) as f64
        } else {
            f64::from(u8::from(passed))
        };
        let explanation = match (passed, self.absent, first_match, first_missing) {
            (false, true, Some(text), _) => format!("the forbidden pattern matches {}", quote(text.as_str(), ALONE)),
            (true, true, ..) => format!("none of {} forbidden patterns matches", patterns.len()),
            (true, false, Some(text), _) => format!("matches {}", quote(text.as_str(), ALONE)),
            (_, _, _, Some(pattern)) => {
                format!("{} does not match {}", quote(&self.shown(pattern), PAIR), quote(text, PAIR))
            }
            (..) => format!("{count} of {} patterns match", patterns.len()),
        };
        Ok(Score { passed, value, explanation, outcome: None })
    }

    /// The pattern as the suite has it, without the anchors of `full`.
    fn shown(&self, pattern: &Regex) -> String {
        let text = pattern.as_str();
        let inner = text.strip_prefix(r"\A(?:").and_then(|text| text.strip_suffix(r")\z"));
        if self.flags.full { inner.unwrap_or(text).to_owned() } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::testing::sample;

    fn options(json: &str) -> RegexOptions {
        serde_json::from_str(json).unwrap()
    }

    fn score(json: &str, targets: &[&str], output: &str) -> Score {
        options(json).compile().unwrap().score(&sample(targets), output).unwrap()
    }

    #[test]
    fn matches_and_forbids() {
        assert_eq!(score(r#"{"pattern":"\\bord-\\d+"}"#, &[], "see ord-12").explanation, "matches \"ord-12\"");
        assert!(score(r#"{"pattern":["a","b"],"mode":"all"}"#, &[], "ab").passed);
        assert_eq!(score(r#"{"pattern":["a","z"],"mode":"all"}"#, &[], "ab").value, 0.5);
        assert!(!score(r#"{"pattern":"\\d{4}","absent":true}"#, &[], "pin 1234").passed);
        assert!(score(r#"{"pattern":"\\d{4}","absent":true}"#, &[], "no").passed);
        assert!(score(r#"{"pattern":"yes|no","full":true,"ignore_case":true}"#, &[], " Yes\n").passed);
        let miss = score(r#"{"pattern":"yes|no","full":true}"#, &[], "yes sir");
        assert_eq!(miss.explanation, "\"yes|no\" does not match \"yes sir\"");
        assert!(score(r#"{"target_as_pattern":true}"#, &["x+", "y"], "axx").passed);
    }

    #[test]
    fn refuses_contradictions() {
        for json in [
            "{}",
            r#"{"pattern":"a","target_as_pattern":true}"#,
            r#"{"pattern":"["}"#,
            r#"{"pattern":"a","absent":true,"mode":"all"}"#,
        ] {
            assert!(options(json).compile().is_err(), "{json}");
        }
        let scorer = options(r#"{"target_as_pattern":true}"#).compile().unwrap();
        assert!(scorer.score(&sample(&["("]), "x").is_err());
        assert!(scorer.check(&sample(&["("])).is_err() && scorer.check(&sample(&["a"])).is_ok());
    }
}
