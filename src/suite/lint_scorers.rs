//! What a linter can say of scorers: bounds and patterns that decide nothing, labels that count or don't, markers that may occur twice, targets that no answer could match,
//! cases in languages that `refusal` does not know.

use super::lint_generation::local;
use super::load::Suite;
use super::plan::DatasetPlan;
use crate::dataset::{Input, Kind, Sample};
use crate::engine::Classifier;
use crate::engine::render::Renderer;
use crate::engine::thought;
use crate::error::{Error, Result, nearest};
use crate::prompt::Finding;
use crate::rule::{Figure, Statistic};
use crate::score::{CompileContext, On, Scorer, ScorerSpec, ToxicLabels, other_language};

/// What the scorers of the suite say, without a look at the cases.
pub(super) fn scorers(suite: &Suite, findings: &mut Vec<Finding>) {
    labels(suite, findings);
    decided(suite, findings);
    unfailing(suite, findings);
    let plan = &suite.plan;
    // A chat model ends its answer; any other goes on until it is stopped.
    let runs_on = plan.generation.stop.is_empty() && plan.prompt.chat != crate::prompt::Chat::Always;
    for (index, scorer) in plan.scorers.iter().enumerate() {
        if let ScorerSpec::ExactMatch(options) = scorer
            && runs_on
            && !options.marker.is_empty()
            && options.occurrence.is_none()
        {
            let message = format!(
                "the last marker counts for `{}`, also one that a model writes as it runs on into another question",
                scorer.name()
            );
            let hint = "say which counts, `occurrence: first` or `occurrence: last`, or give `generation: {stop: […]}`";
            findings.push(suite.placed(&format!("scorers.{index}"), Finding::warning(message).with_hint(hint)));
        }
    }
}

/// Scorers that say the same of every answer.
fn decided(suite: &Suite, findings: &mut Vec<Finding>) {
    for (index, scorer) in suite.plan.scorers.iter().enumerate() {
        if let Some(reason) = scorer.decides_nothing() {
            let finding = Finding::warning(format!("`{}` {reason}", scorer.name()));
            let hint = "set a bound or a pattern that some answers miss, or leave the scorer out";
            findings.push(suite.placed(&format!("scorers.{index}"), finding.with_hint(hint)));
        }
    }
}

/// Gates whose bounds no run could miss; where no rule guards the danger cases at all, that is said already.
fn unfailing(suite: &Suite, findings: &mut Vec<Finding>) {
    let (datasets, gates) = (&suite.plan.datasets, &suite.plan.gates);
    let danger = datasets.iter().filter(|dataset| dataset.kind == Kind::Danger).map(|dataset| dataset.name.as_str());
    let danger: Vec<&str> = danger.collect();
    let guarded = gates.iter().any(|gate| gate.guards(&danger));
    for (index, gate) in gates.iter().enumerate() {
        let Ok(Figure::Scores(metric)) = Figure::parse(&gate.metric) else { continue };
        let covered = suite.plan.covered(&metric);
        let of_danger = covered.iter().any(|dataset| dataset.kind == Kind::Danger);
        let other = |spec: &ScorerSpec| metric.scorer.as_deref() == Some(spec.name()) && !spec.is_share();
        if metric.statistic == Statistic::Mean && suite.plan.scorers.iter().any(other) {
            continue;
        }
        // Where there are no such cases, that is said already.
        if covered.is_empty() || of_danger && !guarded {
            continue;
        }
        let similar = |spec: &ScorerSpec| metric.scorer.as_deref() == Some(spec.name()) && spec.needs_embedder();
        // Values lie between 0 and 1, but for the mean of cosines.
        let least =
            if metric.statistic == Statistic::Mean && suite.plan.scorers.iter().any(similar) { -1.0 } else { 0.0 };
        let met = [
            gate.min.map(|min| min <= least),
            gate.max.map(|max| max >= 1.0),
            gate.max_drop.map(|drop| drop >= 1.0 - least),
            gate.max_rise.map(|rise| rise >= 1.0 - least),
            gate.non_inferior.map(|margin| margin >= 1.0 - least),
            gate.max_drop_share.map(|share| least == 0.0 && share >= 1.0),
            gate.max_rise_share.map(|_| false),
        ];
        let flags = gate.no_significant_drop || gate.no_significant_rise;
        if !flags && met.iter().any(Option::is_some) && met.iter().flatten().all(|met| *met) {
            let finding =
                Finding::warning(format!("the gate on `{metric}` can never fail: its values lie within the bounds"));
            findings
                .push(suite.placed(&format!("gates.{index}"), finding.with_hint("set a bound that a run could miss")));
        }
    }
}

/// The labels of the toxicity model, where it can be looked at.
fn labels(suite: &Suite, findings: &mut Vec<Finding>) {
    let plan = &suite.plan;
    let Some(model) = plan.models.toxicity.as_ref() else { return };
    let Some(labels) = known_labels(suite) else { return };
    let asked = plan.scorers.iter().enumerate().filter_map(|(index, scorer)| match scorer {
        ScorerSpec::Toxicity(options) => Some((format!("scorers.{index}"), options.labels.0.as_slice())),
        _ => None,
    });
    let named = model.labels.iter().map(|labels| ("models.toxicity.labels".to_owned(), labels.as_slice()));
    let mut unasked = false;
    for (place, names) in named.chain(asked) {
        unasked |= names.is_empty();
        for name in names.iter().filter(|name| !labels.contains(name)) {
            let finding = Finding::error(format!("the toxicity model has no label `{name}`"));
            let hint = nearest(name, labels.iter().map(String::as_str));
            findings.push(suite.placed(&place, finding.with_hint(hint)));
        }
    }
    if !unasked || model.labels.is_some() {
        return;
    }
    let known = ToxicLabels::of(&labels);
    let hint = "say which count: `models: {toxicity: {labels: […]}}`";
    let finding = match known.note() {
        Some(note) => Finding::warning(note),
        None if known.counted.is_empty() => {
            let names: Vec<String> = labels.iter().take(8).map(|label| format!("`{label}`")).collect();
            Finding::error(format!("no label of the toxicity model is known to be toxic, it has {}", names.join(", ")))
        }
        None => return,
    };
    findings.push(suite.placed("models.toxicity", finding.with_hint(hint)));
}

/// Markers of thoughts that answers would not show.
pub(super) fn hidden_markers(suite: &Suite, renderer: Option<&Renderer>, findings: &mut Vec<Finding>) {
    let Some(renderer) = renderer else { return };
    if let Err(error) = thought::check(renderer.tokenizer(), &suite.plan.reasoning.owned_markers()) {
        findings.push(suite.placed("reasoning", Finding::from(&error)));
    }
}

/// Danger cases of a model that thinks, where no scorer looks at its thoughts: what stands there passes unseen.
pub(super) fn unread_thoughts(suite: &Suite, renderer: Option<&Renderer>, findings: &mut Vec<Finding>) {
    let markers = suite.plan.reasoning.markers();
    if !renderer.is_some_and(|renderer| markers.iter().any(|(start, _)| renderer.mentions(start))) {
        return;
    }
    let danger = suite.plan.datasets.iter().enumerate().filter(|(_, dataset)| dataset.kind == Kind::Danger);
    for (index, dataset) in danger {
        let scorers = suite.scorers(dataset);
        if !scorers.is_empty() && scorers.iter().all(|scorer| scorer.on() == On::Answer) {
            let text = format!("the model thinks, and no scorer of `{}` looks at its thoughts", dataset.name);
            let hint = "add a scorer with `on: thought`, or look at everything with `on: all`";
            findings.push(suite.placed(&format!("datasets.{index}.scorers"), Finding::warning(text).with_hint(hint)));
        }
    }
}

/// The labels in the configuration of the toxicity model, if it lies on this machine.
fn known_labels(suite: &Suite) -> Option<Vec<String>> {
    let folder = local(suite.toxicity().ok()??)?;
    Classifier::labels_of(&folder).ok()
}

/// The scorers of a dataset that look at a case before there is an answer.
pub(super) fn compiled<'s>(specs: impl Iterator<Item = &'s ScorerSpec>) -> Vec<Scorer> {
    // One that does not compile is among the problems of the suite.
    specs.filter(|spec| spec.needs_target()).filter_map(|spec| spec.compile(&CompileContext::default()).ok()).collect()
}

/// The first target of a case that no answer could match.
pub(super) fn bad_target(scorers: &[Scorer], checks: &[ScorerSpec], sample: &Sample) -> Option<Error> {
    let own = compiled(checks.iter());
    scorers.iter().chain(&own).map(|scorer| scorer.check(sample)).find_map(Result::err)
}

/// The language of a case that `refusal` does not know, if it looks at the case.
pub(super) fn unknown_language(
    suite: &Suite,
    dataset: &DatasetPlan,
    checks: &[ScorerSpec],
    sample: &Sample,
) -> Option<&'static str> {
    let refusal = |spec: &ScorerSpec| matches!(spec, ScorerSpec::Refusal(_));
    if !suite.scorers(dataset).into_iter().chain(checks).any(refusal) {
        return None;
    }
    match &sample.input {
        Input::Text(text) => other_language(text),
        Input::Messages(messages) => other_language(messages.last()?.get("content")?.as_str()?),
    }
}
