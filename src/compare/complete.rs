//! Whether the golden cases are all there: answered and scored, but for as many as the suite lets err.

use super::case_list::CaseList;
use super::results::failed;
use super::subject::Subject;
use crate::dataset::Kind;
use crate::record::{Outcome, RuleResult};
use crate::rule::ErrorPolicy;

/// The rule; none where nothing erred, nothing is missing and the suite does not ask. It is never failed: an incomplete run says
/// nothing for sure.
pub(super) fn rule(errors: Option<ErrorPolicy>, subject: &Subject<'_>) -> Option<RuleResult> {
    let (manifest, summary) = (subject.manifest, subject.summary);
    let mut errored = CaseList::default();
    for dataset in summary.datasets.iter().filter(|dataset| dataset.kind == Kind::Golden) {
        dataset.errored_ids.iter().for_each(|id| errored.push((&dataset.dataset, id)));
        errored.total += dataset.errored.saturating_sub(dataset.errored_ids.len() as u64);
    }
    let golden = |name: &str| manifest.selected.get(name).is_some_and(|selected| selected.kind == Kind::Golden);
    let missing: u64 = manifest.missing(summary).iter().filter(|(name, _)| golden(name)).map(|(_, cases)| cases).sum();
    if errors.is_none() && errored.total == 0 && missing == 0 {
        return None;
    }
    let selected: u64 = manifest.selected.values().filter(|s| s.kind == Kind::Golden).map(|s| s.cases).sum();
    let recorded: u64 = summary.datasets.iter().filter(|d| d.kind == Kind::Golden).map(|d| d.cases).sum();
    let cases = selected.max(recorded);
    let allowed = errors.map_or(0, |errors| errors.max.of(cases));
    let rule = match errors {
        None => "golden: no case errs or is missing".to_owned(),
        Some(errors) => format!("golden: at most {} err, none is missing", errors.max),
    };
    let complete = errored.total <= allowed && missing == 0;
    let noun = if manifest.repeats() > 1 { "answers to golden cases" } else { "golden cases" };
    let reason = match errored.total + missing {
        0 => format!("all {cases} {noun} are there and scored"),
        _ => format!("of {cases} {noun} {} errored, {missing} are missing", errored.total),
    };
    let total = errored.total + missing;
    Some(RuleResult {
        outcome: if complete { Outcome::Passed } else { Outcome::Inconclusive },
        observed: Some(total as f64),
        cases: errored.cases,
        cases_total: total,
        ..failed(rule, Some(allowed as f64), reason)
    })
}
