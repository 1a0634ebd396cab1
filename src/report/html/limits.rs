//! How much of everything but the cases a page shows.

use crate::compare::{Outcome, bounded};
use crate::record::{RuleResult, Verdict};

/// Cases of a rule that the page links.
const LINKED: usize = 12;

/// Entries of a list and characters of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    listed: usize,
    longest: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { listed: 512, longest: 4_096 }
    }
}

impl Limits {
    /// What always fits: some ten lists of sixteen entries, each of a few short texts.
    pub const LEAST: Self = Self { listed: 16, longest: 128 };

    /// Half of each, as far as that goes.
    pub fn smaller(self) -> Self {
        let Self { listed, longest } = Self::LEAST;
        Self { listed: (self.listed / 2).max(listed), longest: (self.longest / 2).max(longest) }
    }

    /// A text, cut.
    pub fn text(self, text: &str) -> String {
        bounded(text, self.longest)
    }

    /// Cuts a list, and adds how many entries are left out to `more`.
    pub fn list<T>(self, list: &mut Vec<T>, noun: &str, more: &mut Vec<String>) {
        if list.len() > self.listed {
            more.push(format!("{} more {noun}", list.len() - self.listed));
            list.truncate(self.listed);
        }
    }

    /// A verdict with the rules that decided it, if there are too many, in their order.
    pub fn verdict(self, verdict: &Verdict, more: &mut Vec<String>) -> Verdict {
        let mut rules: Vec<(usize, &RuleResult)> = verdict.rules.iter().enumerate().collect();
        rules.sort_by_key(|(_, rule)| match rule.outcome {
            Outcome::Failed => 0,
            Outcome::Inconclusive => 1,
            Outcome::Skipped => 2,
            Outcome::Passed => 3,
        });
        self.list(&mut rules, "rules", more);
        rules.sort_by_key(|(at, _)| *at);
        let mut warnings = verdict.warnings.clone();
        self.list(&mut warnings, "warnings", more);
        Verdict {
            passed: verdict.passed,
            outcome: verdict.outcome,
            baseline: verdict.baseline.as_deref().map(|id| self.text(id)),
            rules: rules.into_iter().map(|(_, rule)| self.rule(rule)).collect(),
            warnings: warnings.iter().map(|warning| self.text(warning)).collect(),
        }
    }

    fn rule(self, rule: &RuleResult) -> RuleResult {
        let cases = rule.cases.iter().take(LINKED).map(|case| {
            let mut case = case.clone();
            (case.dataset, case.id) = (self.text(&case.dataset), self.text(&case.id));
            case
        });
        RuleResult {
            rule: self.text(&rule.rule),
            reason: self.text(&rule.reason),
            cases: cases.collect(),
            ..RuleResult { cases: Vec::new(), ..rule.clone() }
        }
    }
}
