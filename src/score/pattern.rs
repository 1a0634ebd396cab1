//! Compiling the regular expressions of suites, with one set of flags and one error text.
//!
//! The engine is linear in the text and has neither look-around nor back-references, so no pattern of a suite can hang a
//! run.

use regex::{Regex, RegexBuilder};

use crate::error::{Error, Result};

/// Largest compiled program, in bytes: a pattern beyond it is a mistake (`(a{1000}){1000}`).
const SIZE_LIMIT: usize = 8 << 20;

/// How a pattern is read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Flags {
    pub ignore_case: bool,
    pub multi_line: bool,
    pub dot_matches_newline: bool,
    pub full: bool,
}

impl Flags {
    /// Compiles `pattern`, anchored at both ends if `full`.
    pub fn compile(self, pattern: &str) -> Result<Regex> {
        let anchored = if self.full { format!(r"\A(?:{pattern})\z") } else { pattern.to_owned() };
        RegexBuilder::new(&anchored)
            .case_insensitive(self.ignore_case)
            .multi_line(self.multi_line)
            .dot_matches_new_line(self.dot_matches_newline)
            .size_limit(SIZE_LIMIT)
            .build()
            .map_err(|error| {
                let reason = error.to_string();
                let last = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                Error::input(format!("failed to compile the pattern `{pattern}`: {last}"))
                    .with_hint("the syntax is that of the Rust crate `regex`: no look-around, no back-references")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_errors() {
        let full = Flags { full: true, ignore_case: true, ..Flags::default() }.compile("a|b").unwrap();
        assert!(full.is_match("B") && !full.is_match("ab"));
        let error = Flags::default().compile("(?=x)").unwrap_err();
        assert!(
            error.message().starts_with("failed to compile the pattern `(?=x)`: look-around"),
            "{}",
            error.message()
        );
    }
}
