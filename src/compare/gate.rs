//! Policy over a run and its comparison: the gate verdict.
//!
//! Absolute rules look at the candidate alone; relative rules at the cases that both runs share, where an errored case
//! does not pass. No data fail a rule. A relative rule without a baseline is skipped and says so. A bound that is not a
//! number fails. The danger rules are always on. Significance rules are corrected for their number in a verdict (Holm).

use std::collections::BTreeMap;

use super::bounds::Asked;
use super::view::{Cases, View};
use super::{Comparison, danger, gate_expression, operational};
use crate::error::Result;
use crate::record::{Manifest, Outcome, Performance, RuleResult, Summary, Verdict};
use crate::rule::{Filter, Gate, Operational, Prices};
use crate::stats::{ALPHA, holm};

/// How many cases a rule lists; the total is always exact.
pub const LISTED_CASES: usize = 100;

/// What a suite asks of a candidate, beside the danger rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GatePolicy {
    /// In the order of the suite.
    pub gates: Vec<Gate>,
    /// What tokens and hours cost.
    pub prices: Option<Prices>,
}

/// The run that is judged, and what it is held against.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// What ran.
    pub manifest: &'a Manifest,
    /// The run in figures.
    pub summary: &'a Summary,
    /// The comparison with the baseline, where there is one.
    pub comparison: Option<&'a Comparison>,
    /// How the run went.
    pub performance: Option<&'a Performance>,
    /// How the baseline went.
    pub base_performance: Option<&'a Performance>,
    /// The run's cases, for rules that need more than figures.
    pub cases: &'a dyn Cases,
    /// The baseline's cases.
    pub base_cases: Option<&'a dyn Cases>,
}

/// A rule's result, and the p-value where significance decides it.
pub(super) struct Ruled {
    pub result: RuleResult,
    pub test: Option<Test>,
}

/// A test that decides a rule once it is corrected.
pub(super) struct Test {
    pub p_value: f64,
    /// The change goes in the direction that the rule forbids.
    pub bad: bool,
}

impl From<RuleResult> for Ruled {
    fn from(result: RuleResult) -> Self {
        Self { result, test: None }
    }
}

/// May the candidate pass?
///
/// # Errors
/// Cases that cannot be read.
pub fn judge(policy: &GatePolicy, subject: &Subject<'_>) -> Result<Verdict> {
    let Subject { manifest, summary, comparison, .. } = *subject;
    let mut rules: Vec<Ruled> = danger::rules(manifest, summary, comparison).into_iter().map(Ruled::from).collect();
    let mut views = BTreeMap::new();
    for gate in &policy.gates {
        let view = match gate.filter.is_empty() {
            true => None,
            false => Some(filtered(&mut views, subject, &gate.filter)?),
        };
        let seen = match view {
            None => *subject,
            Some(view) => Subject { summary: &view.summary, comparison: view.comparison.as_ref(), ..*subject },
        };
        match (&gate.fail_if, Operational::parse(&gate.metric)) {
            (Some(text), _) => rules.push(gate_expression::rule(text, gate, &seen, policy.prices.as_ref())?.into()),
            (None, Err(error)) => rules.push(failed(gate.metric.clone(), None, error.chain()).into()),
            (None, Ok(Some(figure))) => {
                let results = operational::rules(figure, gate, &seen, policy.prices.as_ref())?;
                rules.extend(results.into_iter().map(Ruled::from));
            }
            (None, Ok(None)) => rules.extend(Asked { gate, subject: &seen }.rules()?),
        }
    }
    correct(&mut rules);
    let rules = rules.into_iter().map(|ruled| ruled.result).collect();
    Ok(Verdict::of(comparison.map(|comparison| comparison.base.run_id.clone()), rules))
}

/// The run as it looks through a filter; each is looked through once.
fn filtered<'v>(views: &'v mut BTreeMap<Filter, View>, subject: &Subject<'_>, filter: &Filter) -> Result<&'v View> {
    if !views.contains_key(filter) {
        views.insert(filter.clone(), View::new(subject, filter)?);
    }
    views.get(filter).ok_or_else(|| crate::error::Error::internal("look through a filter"))
}

/// Decides the significance rules, all together.
fn correct(rules: &mut [Ruled]) {
    let p_values: Vec<f64> = rules.iter().filter_map(|ruled| Some(ruled.test.as_ref()?.p_value)).collect();
    let tested = rules.iter_mut().filter(|ruled| ruled.test.is_some());
    for (ruled, corrected) in tested.zip(holm(&p_values)) {
        let Some(Test { bad, .. }) = ruled.test else { continue };
        let found = corrected < ALPHA;
        let result = &mut ruled.result;
        result.outcome = outcome(!(found && bad));
        result.corrected_p_value = Some(corrected);
        let rules = if p_values.len() == 1 { "1 rule".to_owned() } else { format!("{} rules", p_values.len()) };
        result.reason.push_str(&format!("; corrected for {rules}: p = {}", p_text(corrected)));
        match result.detectable {
            Some(effect) if !found => {
                result.reason.push_str(&format!("; a change of {} would have been found with 80 %", number(effect)));
            }
            _ => {}
        }
        if result.outcome == Outcome::Passed {
            (result.cases, result.cases_total) = (Vec::new(), 0);
        }
    }
}

pub(super) fn outcome(holds: bool) -> Outcome {
    if holds { Outcome::Passed } else { Outcome::Failed }
}

/// A rule that failed for want of something.
pub(super) fn failed(rule: String, limit: Option<f64>, reason: String) -> RuleResult {
    RuleResult {
        rule,
        outcome: Outcome::Failed,
        reason,
        observed: None,
        limit: limit.filter(|limit| limit.is_finite()),
        baseline: None,
        evidence: None,
        corrected_p_value: None,
        detectable: None,
        cases: Vec::new(),
        cases_total: 0,
    }
}

/// A rule that could not be asked.
pub(super) fn skipped(rule: String, limit: Option<f64>) -> RuleResult {
    RuleResult { outcome: Outcome::Skipped, ..failed(rule, limit, "no baseline to compare with".into()) }
}

/// A figure with at most four decimals.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" { "0".into() } else { short.into() }
}

/// A p-value: four decimals, or its order of magnitude.
pub(super) fn p_text(p: f64) -> String {
    if p >= 1e-4 || p == 0.0 { number(p) } else { format!("{p:.1e}") }
}
