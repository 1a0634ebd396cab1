//! Policy over a run and its comparison: the gate verdict.
//!
//! Absolute rules look at the candidate alone; relative rules at the cases that both runs share. A rule is judged twice where
//! golden cases erred, as if all of them had passed and as if all had failed: where that differs, it is inconclusive, as is a
//! rule without data. A danger case that errs does not pass. Without a baseline a relative rule is not judged where that is
//! all right ([`Without`]), else inconclusive. A bound that is not a number fails. The danger rules are always on. Significance
//! rules are corrected for their number in a verdict (Holm).

use std::collections::{BTreeMap, BTreeSet};

use super::bounds::Asked;
use super::cases::Cases;
use super::outcome_scores::WithOutcomes;
use super::results::{Ruled, Test, Tests, failed, open, outcome};
use super::subject::{GatePolicy, Subject, Unreadable, Without};
use super::view::View;
use super::{Method, baseline, complete, danger, gate_expression, operational, outcome_scores};
use crate::error::Result;
use crate::record::{AnswerOutcome, Manifest, Outcome, Verdict};
use crate::rule::{Figure, Filter, Tier};
use crate::stats::format::{short, short_p};
use crate::stats::{ALPHA, holm};

/// May the candidate pass?
///
/// # Errors
/// Cases that cannot be read.
pub fn judge(policy: &GatePolicy, subject: &Subject<'_>) -> Result<Verdict> {
    let alone = Subject { comparison: None, without: &Without::Itself, base_cases: None, ..*subject };
    // Runs of one second in different folders may have one id.
    let itself =
        |base: &Manifest| (&base.run_id, &base.created_at) == (&subject.manifest.run_id, &subject.manifest.created_at);
    let subject = if subject.base_manifest.is_some_and(itself) { &alone } else { subject };
    let mut rules: Vec<Ruled> = baseline::rules(policy, subject).into_iter().map(Ruled::from).collect();
    rules.extend(danger::rules(subject).into_iter().map(Ruled::from));
    rules.extend(complete::rule(policy.errors, subject).map(Ruled::from));
    let mut views = BTreeMap::new();
    let all_asked: Vec<_> = policy.gates.iter().map(outcome_scores::asked).collect();
    for (gate, asked) in policy.gates.iter().zip(&all_asked) {
        let cases = WithOutcomes { cases: subject.cases, asked };
        let base_cases = subject.base_cases.map(|cases| WithOutcomes { cases, asked });
        let told =
            Subject { cases: &cases, base_cases: base_cases.as_ref().map(|cases| cases as &dyn Cases), ..*subject };
        let subject = if asked.is_empty() { subject } else { &told };
        let view = if gate.filter.is_empty() && asked.is_empty() {
            None
        } else {
            Some(looked_at(&mut views, subject, (&gate.filter, asked), policy.method)?)
        };
        let seen = match view {
            None => *subject,
            Some(view) => Subject { summary: &view.summary, comparison: view.comparison.as_ref(), ..*subject },
        };
        let before = rules.len();
        let slice = view.filter(|_| !gate.filter.is_empty());
        let slice = slice.and_then(|view| baseline::filtered(gate, view.comparison.as_ref()?));
        rules.extend(slice.map(Ruled::from));
        match (&gate.fail_if, Figure::parse(&gate.metric)) {
            (Some(text), _) => rules.push(gate_expression::rule(text, gate, &seen, policy.prices.as_ref())?.into()),
            (None, Err(error)) => rules.push(failed(gate.metric.clone(), None, error.chain()).into()),
            (None, Ok(Figure::Operational(figure))) => {
                let results = operational::rules(figure, gate, &seen, policy.prices.as_ref())?;
                rules.extend(results.into_iter().map(Ruled::from));
            }
            (None, Ok(Figure::Scores(metric))) => {
                rules.extend(Asked { gate, metric: &metric, subject: &seen }.rules()?);
            }
        }
        rules[before..].iter_mut().for_each(|ruled| ruled.result.tier = gate.tier);
    }
    for Unreadable { gate, reason } in &policy.unreadable {
        rules.push(open(gate.clone(), None, reason.clone()).into());
    }
    correct(&mut rules);
    let rules = rules.into_iter().map(|ruled| ruled.result).collect();
    let mut verdict = Verdict::of(subject.comparison.map(|comparison| comparison.base.run_id.clone()), rules);
    verdict.warnings.extend(danger::warning(subject, guards(policy, subject.manifest)));
    Ok(verdict)
}

/// Whether an absolute rule looks at the danger cases.
fn guards(policy: &GatePolicy, manifest: &Manifest) -> bool {
    let danger = manifest.selected.iter().filter(|(_, selected)| selected.kind == crate::dataset::Kind::Danger);
    let danger: Vec<&str> = danger.map(|(name, _)| name.as_str()).collect();
    policy.gates.iter().any(|gate| gate.guards(&danger))
}

/// What a rule looks at: some cases, and outcomes of their answers beside their scores.
type Lens = (Filter, BTreeSet<AnswerOutcome>);

/// The run as it looks through a filter, with outcomes as scores; each is looked through once.
fn looked_at<'v>(
    views: &'v mut BTreeMap<Lens, View>,
    subject: &Subject<'_>,
    (filter, asked): (&Filter, &BTreeSet<AnswerOutcome>),
    method: Method,
) -> Result<&'v View> {
    let lens = (filter.clone(), asked.clone());
    if !views.contains_key(&lens) {
        views.insert(lens.clone(), View::new(subject, filter, method)?);
    }
    views.get(&lens).ok_or_else(|| crate::error::Error::internal("failed to look through a filter"))
}

/// Decides the significance rules, all together. Advisory rules are no part of the others' number.
fn correct(rules: &mut [Ruled]) {
    for advisory in [false, true] {
        let ours = |ruled: &&mut Ruled| (ruled.result.tier == Some(Tier::Advisory)) == advisory;
        let tested: Vec<&mut Ruled> = rules.iter_mut().filter(|ruled| ruled.tests.is_some()).filter(ours).collect();
        decide(tested);
    }
}

fn decide(tested: Vec<&mut Ruled>) {
    let tests: Vec<Tests> = tested.iter().filter_map(|ruled| ruled.tests).collect();
    let corrected = |pick: fn(&Tests) -> Test| {
        let picked: Vec<Test> = tests.iter().map(pick).collect();
        let p_values: Vec<f64> = picked.iter().map(|test| test.p_value).collect();
        let holds = |(p, test): (f64, Test)| (p, !(p < ALPHA && test.bad));
        holm(&p_values).into_iter().zip(picked).map(holds).collect::<Vec<_>>()
    };
    let (seen, lowest, highest) = (corrected(|t| t.seen), corrected(|t| t.lowest), corrected(|t| t.highest));
    let count = if tests.len() == 1 { "1 rule".to_owned() } else { format!("{} rules", tests.len()) };
    for (((ruled, (p_value, _)), (_, low)), (_, high)) in tested.into_iter().zip(seen).zip(lowest).zip(highest) {
        let result = &mut ruled.result;
        result.outcome = outcome(low, high);
        result.corrected_p_value = Some(p_value);
        result.reason.push_str(&format!("; corrected for {count}: p = {}", short_p(p_value)));
        // A single change among these rules has to be below the first of Holm's levels.
        let detectable = ruled.overlooked.detectable(ALPHA / tests.len() as f64);
        result.detectable = detectable.effect();
        if p_value >= ALPHA
            && let Some(told) = detectable.told(short)
        {
            result.reason.push_str(&format!("; {told}"));
        }
        if result.outcome == Outcome::Passed {
            (result.cases, result.cases_total) = (Vec::new(), 0);
        }
    }
}
