//! Whether a baseline can carry what is asked of it: it is there, it holds the cases of the run, and each was answered as often.

use super::results::open;
use super::subject::{GatePolicy, Subject, Without};
use super::{Comparison, DatasetComparison};
use crate::dataset::Kind;
use crate::record::{Manifest, RuleResult};
use crate::rule::{Gate, Tier};

/// Rules about the baseline, each only where it leaves the verdict open, whatever the other rules say.
pub(super) fn rules(policy: &GatePolicy, subject: &Subject<'_>) -> Vec<RuleResult> {
    let Some(comparison) = subject.comparison else {
        return match subject.without {
            Without::Missing(why) => vec![open("baseline: there is one to compare with".into(), None, why.clone())],
            _ => Vec::new(),
        };
    };
    // An advisory rule without evidence changes nothing; one over arms of a canary, which share no case, asks for no pairs.
    let relative = |gate: &Gate| gate.is_relative() && gate.tier != Some(Tier::Advisory);
    let paired = policy.gates.iter().any(|gate| relative(gate) && !gate.unpaired);
    let arms = policy.gates.iter().any(|gate| gate.unpaired);
    let cases = if arms && !paired { None } else { shared(comparison, paired) };
    let base = subject.base_manifest.filter(|_| paired || comparison.danger.cases > 0);
    let partial = base.and_then(|base| partial(base, subject.manifest));
    let repeats = base.and_then(|base| repeats(base, subject.manifest));
    cases.into_iter().chain(partial).chain(repeats).collect()
}

/// The same for a gate that looks through a filter.
pub(super) fn filtered(gate: &Gate, comparison: &Comparison) -> Option<RuleResult> {
    let looked_at = comparison.datasets.iter().any(|dataset| dataset.cases.candidate.cases > 0);
    if gate.unpaired || !gate.is_relative() || !looked_at {
        return None;
    }
    let found = shared(comparison, true)?;
    Some(RuleResult { rule: format!("{} where {}", found.rule, gate.filter), ..found })
}

/// A baseline of a call that selected some cases holds not all of this run's.
fn partial(base: &Manifest, candidate: &Manifest) -> Option<RuleResult> {
    let short = |name: &&String| base.selects_some_of(name) && !candidate.selects_some_of(name);
    let names: Vec<String> = candidate.selected.keys().filter(short).map(|name| format!("`{name}`")).collect();
    let why = format!("the baseline is partial: its call selected only some cases of {}", names.join(", "));
    (!names.is_empty()).then(|| open("baseline: it holds the cases of this run".to_owned(), None, why))
}

/// Half of the golden cases of either run must be in the other, where rules compare them. What a call left out does not count.
fn shared(comparison: &Comparison, relative: bool) -> Option<RuleResult> {
    let rule = |why| Some(open("baseline: it holds the cases of this run".to_owned(), None, why));
    let common = |dataset: &DatasetComparison| dataset.cases.common_base.cases;
    if comparison.datasets.iter().map(common).sum::<u64>() == 0 {
        return rule(format!("run `{}` shares no case with this one", comparison.base.run_id));
    }
    if !relative {
        return None;
    }
    let few = |dataset: &&DatasetComparison| {
        dataset.kind == Kind::Golden
            && 2 * common(dataset) < dataset.cases.base.cases.max(dataset.cases.candidate.cases)
    };
    let told = |dataset: &DatasetComparison| {
        let (own, shared) = (&dataset.cases.candidate, &dataset.cases.common_candidate);
        let others = match own.cases - shared.cases {
            0 => String::new(),
            n => format!("; of the {n} others in this run {} pass", own.passed - shared.passed),
        };
        format!(
            "the runs share {} cases of `{}`, of {} in the baseline and {} in this run{others}",
            shared.cases, dataset.dataset, dataset.cases.base.cases, own.cases
        )
    };
    let told: Vec<String> = comparison.datasets.iter().filter(few).map(told).collect();
    (!told.is_empty()).then(|| rule(told.join("; "))).flatten()
}

/// Answers that one run gave more often than the other are compared with nothing.
fn repeats(base: &Manifest, candidate: &Manifest) -> Option<RuleResult> {
    let (before, now) = (base.repeats(), candidate.repeats());
    let rule = "baseline: each case was answered as often".to_owned();
    let why = || {
        format!("{before} answers a case in the baseline, {now} in this run: run one of them with the other's `repeat`")
    };
    (before != now).then(|| open(rule, None, why()))
}
