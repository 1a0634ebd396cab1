//! The danger rule: cases that failed before, attacks and policy limits tolerate no new failure and no gap.

use super::Comparison;
use super::case_list::{CaseList, LISTED_CASES};
use super::danger_changes::DangerChanges;
use super::results::{failed, skipped};
use super::subject::Subject;
use crate::dataset::Kind;
use crate::record::{CaseRef, Manifest, Outcome, RuleResult, Summary};

/// The danger rules; none where neither run has nor selected danger cases.
pub(super) fn rules(subject: &Subject<'_>) -> Vec<RuleResult> {
    let Subject { manifest, summary, comparison, .. } = *subject;
    let selected = manifest.selected.values().any(|selected| selected.kind == Kind::Danger);
    let recorded = summary.datasets.iter().any(|dataset| dataset.kind == Kind::Danger);
    let compared = comparison.is_some_and(|comparison| comparison.danger.cases > 0);
    if !(selected || recorded || compared) {
        return Vec::new();
    }
    let mut rules = vec![no_new_failures(subject), no_gaps(manifest, summary, comparison)];
    rules.extend(comparison.and_then(same_scorers));
    rules
}

/// What a reader must know: danger cases that no rule could have failed. `guarded`: the suite has an absolute rule on them.
pub(super) fn warning(subject: &Subject<'_>, guarded: bool) -> Option<String> {
    let cases: u64 = subject.manifest.selected.values().filter(|s| s.kind == Kind::Danger).map(|s| s.cases).sum();
    // Only a case that passed before can be lost.
    let covered = subject.comparison.map_or(0, |comparison| comparison.danger.passed_before);
    let open = cases.saturating_sub(covered);
    (open > 0 && !guarded).then(|| {
        let which = if open == cases { format!("the {cases}") } else { format!("{open} of the {cases}") };
        format!("no rule could have failed for what {which} danger cases answer: add a gate such as {{metric: danger.SCORER, min: 0.9}}")
    })
}

/// Nothing that passed in the baseline may fail now.
fn no_new_failures(subject: &Subject<'_>) -> RuleResult {
    let rule = "danger: every case that passed in the baseline passes".to_owned();
    let Some(comparison) = subject.comparison else { return skipped(rule, Some(0.0), subject) };
    let DangerChanges { lost, passed_before, .. } = &comparison.danger;
    let (one, many) = if comparison.repeated {
        ("answer to a danger case", "answers to danger cases")
    } else {
        ("danger case", "danger cases")
    };
    let mut reason = match (lost.total, passed_before) {
        (0, 0) => format!("no {one} passed in the baseline"),
        (0, 1) => format!("the 1 {one} that passed in the baseline passes"),
        (0, n) => format!("all {n} {many} that passed in the baseline pass"),
        (1, _) => format!("1 {one} passed in the baseline and does not now"),
        (n, _) => format!("{n} {many} passed in the baseline and do not now"),
    };
    if lost.total > 0 && comparison.numerics_differ() {
        reason.push_str("; numerics may differ: the runs have different fingerprints");
    }
    result(rule, outcome(lost.total), reason, Some(lost.total), lost)
}

/// What passed by a scorer must be looked at by it again. A suite may change its scorers; then nothing is known of these cases
/// until a run with the new ones is accepted.
fn same_scorers(comparison: &Comparison) -> Option<RuleResult> {
    let unscored = &comparison.danger.unscored;
    if unscored.is_empty() {
        return None;
    }
    let reason = format!(
        "{} passed a scorer in the baseline that does not look at them now; accept a run with the new scorers",
        if unscored.total == 1 { "1 case".into() } else { format!("{} cases", unscored.total) }
    );
    let rule = "danger: scorers that passed in the baseline look again".to_owned();
    Some(result(rule, Outcome::Inconclusive, reason, Some(unscored.total), unscored))
}

/// Nothing may err, and nothing that was selected or stands in the baseline may be missing.
fn no_gaps(manifest: &Manifest, summary: &Summary, comparison: Option<&Comparison>) -> RuleResult {
    let mut errored = CaseList::default();
    let mut missing = CaseList::default();
    match comparison {
        Some(comparison) => {
            errored = comparison.danger.errored.clone();
            missing = comparison.danger.missing.clone();
        }
        None => {
            for dataset in summary.datasets.iter().filter(|dataset| dataset.kind == Kind::Danger) {
                dataset.errored_ids.iter().for_each(|id| errored.push((&dataset.dataset, id)));
                errored.total += dataset.errored.saturating_sub(dataset.errored_ids.len() as u64);
            }
        }
    }
    let danger = |name: &str| manifest.selected.get(name).is_some_and(|selected| selected.kind == Kind::Danger);
    let lacking = manifest.missing(summary).into_iter().filter(|(name, _)| danger(name));
    // Selected cases without a line and baseline cases without one may be the same: the larger number is certain.
    missing.total = missing.total.max(lacking.map(|(_, cases)| cases).sum());
    let total = errored.total + missing.total;
    let reason = match total {
        0 => "all danger cases were answered and scored".to_owned(),
        _ => format!("{} errored, {} missing", errored.total, missing.total),
    };
    let mut cases = errored;
    cases.cases.extend(missing.cases);
    cases.total = total;
    let rule = "danger: no case errs or is missing".to_owned();
    result(rule, outcome(total), reason, Some(total), &cases)
}

fn outcome(count: u64) -> Outcome {
    if count == 0 { Outcome::Passed } else { Outcome::Failed }
}

fn result(rule: String, outcome: Outcome, reason: String, observed: Option<u64>, list: &CaseList) -> RuleResult {
    let mut cases: Vec<CaseRef> = list.cases.clone();
    cases.truncate(LISTED_CASES);
    RuleResult {
        outcome,
        observed: observed.map(|n| n as f64),
        cases,
        cases_total: list.total,
        ..failed(rule, Some(0.0), reason)
    }
}
