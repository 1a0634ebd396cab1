//! What the gates said, as the summary and `verdict.json` keep it. The judging itself is `compare`'s.

use serde::{Deserialize, Serialize};

use crate::stats::Interval;

/// May the candidate pass?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// No rule failed.
    pub passed: bool,
    /// The run it was compared with.
    pub baseline: Option<String>,
    /// Every rule that was asked.
    pub rules: Vec<RuleResult>,
}

/// How a rule went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not hold, or there are no data to say so.
    Failed,
    /// It could not be asked (a relative rule without a baseline); never counted as passed.
    Skipped,
}

/// One rule: what was asked, what was seen, and which cases are behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleResult {
    /// The rule as text, `golden.exact_match.pass_rate >= 0.8`.
    pub rule: String,
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
    /// McNemar's exact p-value.
    pub p_value: Option<f64>,
    /// Bootstrap interval of the difference.
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

/// The format of `verdict.json`; `docs/verdict.schema.json` describes it.
pub const VERDICT_FORMAT: &str = "karat-verdict/1";

/// `verdict.json`: a verdict and the run that it is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerdictFile {
    /// [`VERDICT_FORMAT`].
    pub format: String,
    /// Suite name.
    pub suite: String,
    /// Run id.
    pub run_id: String,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl VerdictFile {
    /// The file of a verdict over a run.
    pub fn new(suite: &str, run_id: &str, verdict: Verdict) -> Self {
        Self { format: VERDICT_FORMAT.into(), suite: suite.into(), run_id: run_id.into(), verdict }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// None but a bug.
    pub fn to_bytes(&self) -> crate::error::Result<Vec<u8>> {
        super::reader::pretty(self)
    }
}

impl CaseRef {
    /// A case by name.
    pub fn new(dataset: &str, id: &str) -> Self {
        Self { dataset: dataset.into(), id: id.into() }
    }
}

impl Verdict {
    /// The verdict over these rules: passed unless one failed.
    pub fn of(baseline: Option<String>, rules: Vec<RuleResult>) -> Self {
        Self { passed: rules.iter().all(|rule| rule.outcome != Outcome::Failed), baseline, rules }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// Every key that is written is described, and every key that is required is written.
    fn held(schema: &Value, written: &Value) {
        let keys: Vec<&String> = written.as_object().unwrap().keys().collect();
        let properties = schema["properties"].as_object().unwrap();
        assert!(keys.iter().all(|key| properties.contains_key(*key)), "{keys:?}");
        for required in schema["required"].as_array().unwrap() {
            assert!(keys.iter().any(|key| required == key.as_str()), "{required}");
        }
    }

    #[test]
    fn the_published_schema_describes_the_file() {
        let schema: Value = serde_json::from_str(include_str!("../../docs/verdict.schema.json")).unwrap();
        let interval = Some(Interval { low: -0.1, high: 0.1 });
        let evidence = Evidence { pairs: 1, regressed: 1, improved: 0, p_value: Some(1.0), interval };
        let rule = RuleResult {
            rule: "r".into(),
            outcome: Outcome::Failed,
            reason: "because".into(),
            observed: Some(0.5),
            limit: None,
            baseline: Some(1.0),
            evidence: Some(evidence),
            corrected_p_value: Some(1.0),
            detectable: Some(0.1),
            cases: vec![CaseRef::new("a", "1")],
            cases_total: 1,
        };
        let bare = RuleResult { corrected_p_value: None, detectable: None, evidence: None, ..rule.clone() };
        let file = VerdictFile::new("desk", "run", Verdict::of(None, vec![rule, bare]));
        let written: Value = serde_json::from_slice(&file.to_bytes().unwrap()).unwrap();
        held(&schema, &written);
        assert_eq!(schema["properties"]["format"]["const"], VERDICT_FORMAT);
        let parts = &schema["$defs"];
        for rule in written["rules"].as_array().unwrap() {
            held(&parts["rule"], rule);
        }
        held(&parts["evidence"], &written["rules"][0]["evidence"]);
        held(&parts["case"], &written["rules"][0]["cases"][0]);
        let again: VerdictFile = serde_json::from_value(written).unwrap();
        assert_eq!(again, file);
    }
}
