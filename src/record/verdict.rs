//! What the gates said, as `verdict.json` and the summaries of older records keep it. The judging itself is `compare`'s.

use serde::{Deserialize, Serialize};

use crate::rule::Tier;
use crate::stats::Interval;

/// May the candidate pass?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct Verdict {
    /// The outcome is [`Decision::Passed`]. Redundant; older records hold nothing else.
    pub passed: bool,
    /// What the rules come to; written only where it is neither passed nor failed.
    #[serde(skip_serializing_if = "Decision::is_plain")]
    pub outcome: Decision,
    /// The run it was compared with.
    pub baseline: Option<String>,
    /// Every rule that was asked.
    pub rules: Vec<RuleResult>,
    /// What a reader must know beside the rules, a sentence each: a danger class that no rule could fail, say.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A verdict as it is read: records of older versions have no `outcome`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    passed: bool,
    #[serde(default)]
    outcome: Option<Decision>,
    baseline: Option<String>,
    rules: Vec<RuleResult>,
    #[serde(default)]
    warnings: Vec<String>,
}

impl From<Stored> for Verdict {
    fn from(stored: Stored) -> Self {
        let Stored { passed, outcome, baseline, rules, warnings } = stored;
        let outcome = outcome.unwrap_or(if passed { Decision::Passed } else { Decision::Failed });
        Self { passed: outcome == Decision::Passed, outcome, baseline, rules, warnings }
    }
}

/// What a verdict comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// No rule failed, and the evidence is whole (exit code 0).
    Passed,
    /// A critical or required rule failed (exit code 1).
    Failed,
    /// None failed, but evidence is missing: cases erred, or a rule could not be measured (exit code 3).
    Inconclusive,
}

impl Decision {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
    fn is_plain(&self) -> bool {
        *self != Self::Inconclusive
    }

    /// The decision in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// The outcome of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not hold.
    Failed,
    /// Its evidence is missing: no data, or errored cases that could turn it.
    Inconclusive,
    /// It was not judged, and need not be: there is no baseline yet, or the call asked for none.
    Skipped,
}

/// One rule: what was asked, what was seen, and which cases are behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleResult {
    /// The rule as text, `golden.exact_match.pass_rate >= 0.8`.
    pub rule: String,
    /// The tier that the suite gives it; none where it is the default, see [`RuleResult::tier`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// How it went.
    pub outcome: Outcome,
    /// One line on why, with the figures.
    pub reason: String,
    /// The candidate's value.
    pub observed: Option<f64>,
    /// The bound.
    pub limit: Option<f64>,
    /// The baseline's value on the same cases.
    pub baseline: Option<f64>,
    /// Paired statistics, where runs were compared.
    pub evidence: Option<Evidence>,
    /// For significance rules, the p-value corrected for their number in this verdict (Holm).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrected_p_value: Option<f64>,
    /// The smallest true difference that this sample shows as significant with a chance of 80 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detectable: Option<f64>,
    /// Cases behind the outcome, the first of them where there are many.
    pub cases: Vec<CaseRef>,
    /// How many there are in all.
    pub cases_total: u64,
}

impl RuleResult {
    /// Its tier: the suite's, else critical for rules on danger cases and required for all others.
    pub fn tier(&self) -> Tier {
        let danger = self.rule.starts_with("danger:") || self.rule.starts_with("danger.");
        self.tier.unwrap_or(if danger { Tier::Critical } else { Tier::Required })
    }
}

/// Paired statistics behind a rule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Pairs compared.
    pub pairs: u64,
    /// Passed in the baseline only.
    pub regressed: u64,
    /// Pass in the candidate only.
    pub improved: u64,
    /// Two-sided p-value of the test that decides: mid-p McNemar for pass rates, unless the suite asks for another.
    pub p_value: Option<f64>,
    /// Interval of the difference at 95 %, of the same family as the test.
    pub interval: Option<Interval>,
}

/// A case by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseRef {
    /// Dataset name.
    pub dataset: String,
    /// Case id.
    pub id: String,
}

impl CaseRef {
    /// A case by name.
    pub fn new(dataset: &str, id: &str) -> Self {
        Self { dataset: dataset.into(), id: id.into() }
    }
}

impl Verdict {
    /// The verdict over these rules: failed where a critical or required one failed, else inconclusive where one of them is,
    /// else passed. Advisory rules never count.
    pub fn of(baseline: Option<String>, rules: Vec<RuleResult>) -> Self {
        let counts = |outcome| rules.iter().any(|rule| rule.outcome == outcome && rule.tier() != Tier::Advisory);
        let outcome = match (counts(Outcome::Failed), counts(Outcome::Inconclusive)) {
            (true, _) => Decision::Failed,
            (false, true) => Decision::Inconclusive,
            (false, false) => Decision::Passed,
        };
        Self { passed: outcome == Decision::Passed, outcome, baseline, rules, warnings: Vec::new() }
    }

    /// Rules with this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.rules.iter().filter(|rule| rule.outcome == outcome).count()
    }

    /// The verdict in a line, without the run that it was held against. `gates passed` stands for whole evidence alone.
    pub fn headline(&self) -> String {
        let count = |outcome| self.count(outcome);
        let plural = |n: usize| if n == 1 { "1 rule".to_owned() } else { format!("{n} rules") };
        match self.outcome {
            Decision::Failed => return "gates failed".into(),
            Decision::Inconclusive => return "gates inconclusive: evidence is missing".into(),
            Decision::Passed if self.rules.is_empty() => return "no gates: nothing was judged".into(),
            Decision::Passed => {}
        }
        let (passed, skipped) = (count(Outcome::Passed), count(Outcome::Skipped));
        match skipped {
            _ if passed == self.rules.len() => return "gates passed".into(),
            _ if skipped == self.rules.len() => {
                return format!("nothing judged: {} without a baseline", plural(skipped));
            }
            _ => {}
        }
        // Others than advisory ones would have decided it.
        let mut parts = vec![format!("{} passed", plural(passed))];
        for (outcome, word) in [(Outcome::Failed, "failed"), (Outcome::Inconclusive, "inconclusive")] {
            match count(outcome) {
                0 => {}
                1 => parts.push(format!("1 advisory rule {word}")),
                n => parts.push(format!("{n} advisory rules {word}")),
            }
        }
        if skipped > 0 {
            parts.push(format!("{} not judged without a baseline", plural(skipped)));
        }
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ruled(rule: &str, outcome: Outcome, tier: Option<Tier>) -> RuleResult {
        RuleResult {
            rule: rule.into(),
            tier,
            outcome,
            reason: String::new(),
            observed: None,
            limit: None,
            baseline: None,
            evidence: None,
            corrected_p_value: None,
            detectable: None,
            cases: vec![],
            cases_total: 0,
        }
    }

    #[test]
    fn three_outcomes_and_advisory_rules_decide_nothing() {
        use Outcome::{Failed, Inconclusive, Passed, Skipped};
        let of = |rules: &[(Outcome, Option<Tier>)]| {
            let rules = rules.iter().map(|(outcome, tier)| ruled("golden.x", *outcome, *tier)).collect();
            let verdict = Verdict::of(None, rules);
            assert_eq!(verdict.passed, verdict.outcome == Decision::Passed);
            (verdict.outcome, verdict.headline())
        };
        let advisory = Some(Tier::Advisory);
        assert_eq!(of(&[(Passed, None)]), (Decision::Passed, "gates passed".into()));
        assert_eq!(of(&[(Passed, None), (Failed, advisory), (Inconclusive, advisory)]).0, Decision::Passed);
        assert_eq!(of(&[(Inconclusive, None), (Failed, None)]).0, Decision::Failed);
        let open = of(&[(Passed, None), (Inconclusive, None)]);
        assert_eq!((open.0, open.1.contains("gates passed")), (Decision::Inconclusive, false));
        let first = of(&[(Passed, None), (Skipped, None)]);
        assert_eq!(first, (Decision::Passed, "1 rule passed, 1 rule not judged without a baseline".into()));
        let advised = of(&[(Passed, None), (Failed, advisory), (Failed, advisory), (Inconclusive, advisory)]);
        let told = "1 rule passed, 2 advisory rules failed, 1 advisory rule inconclusive";
        assert_eq!(advised, (Decision::Passed, told.into()));
        assert_eq!(of(&[]).1, "no gates: nothing was judged");
        assert_eq!(ruled("danger.refusal.pass_rate >= 1", Passed, None).tier(), Tier::Critical);
        assert_eq!(ruled("golden.x", Passed, None).tier(), Tier::Required);
    }

    /// What the versions before this one wrote.
    #[test]
    fn verdicts_without_an_outcome_are_read() {
        for (passed, outcome) in [(true, Decision::Passed), (false, Decision::Failed)] {
            let text = format!(r#"{{"passed":{passed},"baseline":null,"rules":[]}}"#);
            let verdict: Verdict = serde_json::from_str(&text).unwrap();
            assert_eq!(verdict.outcome, outcome);
            assert_eq!(serde_json::to_string(&verdict).unwrap(), text, "and written as before");
        }
        assert!(serde_json::from_str::<Verdict>(r#"{"passed":true,"baseline":null,"rules":[],"new":1}"#).is_err());
    }
}
