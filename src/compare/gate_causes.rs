//! What a change of the plan did to what must hold: rules added and removed, bounds and tiers loosened and tightened.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::causes::{CauseKind, Effect, Found, text};

/// Keys of a gate that say what it looks at; all others are its bounds.
const SUBJECT: [&str; 4] = ["metric", "where", "unpaired", "fail_if"];

/// Bounds of which a larger value lets more pass; of `min` a smaller one does.
const LOOSE_UPWARDS: [&str; 7] =
    ["max", "max_drop", "max_rise", "max_drop_share", "max_rise_share", "non_inferior", "threshold"];

/// Notes what differs in a key of the plan that is about gates.
pub(super) fn changes(found: &mut Found, key: &str, base: Option<&Value>, candidate: Option<&Value>) {
    if key != "gates" {
        let effect = match key {
            "errors" => compared(allowance(base), allowance(candidate), true),
            _ => Effect::Changed,
        };
        return found.effect(CauseKind::Gates, key.to_owned(), (text(base), text(candidate)), Some(effect));
    }
    let (base, candidate) = (by_subject(base), by_subject(candidate));
    let subjects: BTreeSet<&String> = base.keys().chain(candidate.keys()).collect();
    for subject in subjects {
        match (base.get(subject), candidate.get(subject)) {
            (Some(before), Some(after)) => bounds(found, subject, before, after),
            (before, after) => {
                let effect = if before.is_none() { Effect::Added } else { Effect::Removed };
                let told = |gate: Option<&&Map<String, Value>>| gate.map(|gate| stated(gate));
                found.effect(CauseKind::Gates, subject.clone(), (told(before), told(after)), Some(effect));
            }
        }
    }
}

/// What a scorer's threshold did, if the value at this path is one.
pub(super) fn threshold(
    kind: CauseKind,
    path: &str,
    base: Option<&Value>,
    candidate: Option<&Value>,
) -> Option<Effect> {
    let key = path.rsplit('.').next().filter(|key| ["min", "max", "threshold", "tolerance"].contains(key))?;
    if kind != CauseKind::Scorers {
        return None;
    }
    let number = |value: Option<&Value>| value.and_then(Value::as_f64);
    Some(match (key, number(base), number(candidate)) {
        ("min", Some(before), Some(after)) => compared(before, after, false),
        ("max" | "tolerance", Some(before), Some(after)) => compared(before, after, true),
        // Of a threshold the scorer knows which side passes.
        _ => Effect::Changed,
    })
}

/// Gates by what they look at. Two that look at the same are told apart by their number.
fn by_subject(gates: Option<&Value>) -> BTreeMap<String, &Map<String, Value>> {
    let mut found = BTreeMap::new();
    for gate in gates.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object) {
        let name = subject(gate);
        let mut unique = name.clone();
        for n in 2.. {
            if !found.contains_key(&unique) {
                break;
            }
            unique = format!("{name} ({n})");
        }
        found.insert(unique, gate);
    }
    found
}

fn subject(gate: &Map<String, Value>) -> String {
    let words = |key: &str| gate.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let mut name = match (words("fail_if"), words("metric")) {
        (Some(condition), _) => format!("fail_if {condition}"),
        (None, Some(metric)) => metric.to_owned(),
        (None, None) => "(no metric)".into(),
    };
    if gate.get("unpaired").and_then(Value::as_bool) == Some(true) {
        name.push_str(" unpaired");
    }
    if let Some(Value::Object(filter)) = gate.get("where").filter(|filter| !is_unset(filter)) {
        name.push_str(&format!(" where {}", Value::Object(filter.clone())));
    }
    name
}

/// What a gate asks, without what it looks at.
fn stated(gate: &Map<String, Value>) -> String {
    let bounds = gate.iter().filter(|(key, value)| !SUBJECT.contains(&key.as_str()) && !is_unset(value));
    let stated: Vec<String> = bounds.map(|(key, value)| format!("{key}: {value}")).collect();
    if stated.is_empty() { "must not hold".into() } else { stated.join(", ") }
}

fn bounds(found: &mut Found, subject: &str, before: &Map<String, Value>, after: &Map<String, Value>) {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for key in keys.into_iter().filter(|key| !SUBJECT.contains(&key.as_str())) {
        let get = |gate: &'_ Map<String, Value>| gate.get(key).filter(|value| !is_unset(value)).cloned();
        let (one, two) = (get(before), get(after));
        if one == two {
            continue;
        }
        let effect = match (key.as_str(), &one, &two) {
            ("tier", one, two) => tiers(one.as_ref(), two.as_ref()),
            ("lower_is_better", ..) => Effect::Changed,
            (_, None, _) => Effect::Tightened,
            (_, _, None) => Effect::Loosened,
            (key, Some(one), Some(two)) => match (one.as_f64(), two.as_f64()) {
                (Some(one), Some(two)) if key == "min" => compared(one, two, false),
                (Some(one), Some(two)) if LOOSE_UPWARDS.contains(&key) => compared(one, two, true),
                _ => Effect::Changed,
            },
        };
        let what = format!("{subject} {key}");
        found.effect(CauseKind::Gates, what, (text(one.as_ref()), text(two.as_ref())), Some(effect));
    }
}

/// A tier that is not stated is required or critical: both fail the verdict.
fn tiers(before: Option<&Value>, after: Option<&Value>) -> Effect {
    let advisory = |tier: Option<&Value>| tier.and_then(Value::as_str) == Some("advisory");
    match (advisory(before), advisory(after)) {
        (false, true) => Effect::Loosened,
        (true, false) => Effect::Tightened,
        _ => Effect::Changed,
    }
}

fn compared(before: f64, after: f64, loose_upwards: bool) -> Effect {
    match before.partial_cmp(&after) {
        Some(std::cmp::Ordering::Less) if loose_upwards => Effect::Loosened,
        Some(std::cmp::Ordering::Less) => Effect::Tightened,
        Some(std::cmp::Ordering::Greater) if loose_upwards => Effect::Tightened,
        Some(std::cmp::Ordering::Greater) => Effect::Loosened,
        _ => Effect::Changed,
    }
}

/// How much may err; nothing may where it is not stated.
fn allowance(errors: Option<&Value>) -> f64 {
    match errors {
        None | Some(Value::Null) => 0.0,
        Some(errors) => errors.get("max").and_then(Value::as_f64).unwrap_or(f64::NAN),
    }
}

/// As serde leaves out what is not asked, or older versions wrote it.
fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::causes::{Cause, causes};
    use super::*;
    use crate::record::{Manifest, RunId};

    fn told(base: Value, candidate: Value) -> Vec<String> {
        let manifest = |plan: Value| {
            let time = "2026-11-20T11:00:00Z".parse().unwrap();
            Manifest::new("desk", RunId::new(time, &plan), time, plan)
        };
        let line = |cause: &Cause| {
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
            let effect = cause.effect.map_or("", Effect::label);
            format!(
                "{} {effect}: {}: {} > {}",
                cause.kind.label(),
                cause.what,
                value(&cause.base),
                value(&cause.candidate)
            )
        };
        causes(&manifest(base), &manifest(candidate)).iter().map(line).collect()
    }

    #[test]
    fn rules_that_came_went_and_moved_come_first() {
        let base = json!({
            "generation": {"seed": 1},
            "gates": [
                {"metric": "golden.a", "min": 0.9, "max": null, "max_drop": 0.02},
                {"metric": "golden.b", "min": 0.5, "max": 0.9},
                {"metric": "golden.c", "min": 0.5},
                {"metric": "golden.e", "no_significant_drop": true},
                {"metric": "golden.f", "min": 0.1, "where": {"tag": "x"}},
            ],
        });
        let candidate = json!({
            "generation": {"seed": 2},
            "gates": [
                {"metric": "golden.b", "min": 0.6, "max": 0.95},
                {"metric": "golden.a", "min": 0.0, "max_drop": 0.05},
                {"metric": "golden.d", "max": 0.5},
                {"metric": "golden.e", "min": 0.1},
                {"metric": "golden.f", "min": 0.1, "where": {"tag": "x"}, "tier": "advisory"},
            ],
            "errors": {"max": 3},
        });
        let expected = [
            "gates loosened: errors: - > {\"max\":3}",
            "gates loosened: golden.a max_drop: 0.02 > 0.05",
            "gates loosened: golden.a min: 0.9 > 0.0",
            "gates loosened: golden.b max: 0.9 > 0.95",
            "gates tightened: golden.b min: 0.5 > 0.6",
            "gates removed: golden.c: min: 0.5 > -",
            "gates added: golden.d: - > max: 0.5",
            "gates tightened: golden.e min: - > 0.1",
            "gates loosened: golden.e no_significant_drop: true > -",
            "gates loosened: golden.f where {\"tag\":\"x\"} tier: - > \"advisory\"",
            "parameters : generation.seed: 1 > 2",
        ];
        assert_eq!(told(base, candidate), expected);
    }

    #[test]
    fn thresholds_of_scorers_are_told_before_what_explains_results() {
        let plan = |min: f64, max: f64, ignore: bool| {
            json!({"scorers": [
                {"similarity": {"name": "close", "min": min}},
                {"toxicity": {"max": max}},
                {"exact_match": {"ignore_case": ignore}},
            ]})
        };
        let found = told(plan(0.8, 0.5, true), plan(0.7, 0.4, false));
        let expected = [
            "thresholds loosened: scorers.001.similarity.min: 0.8 > 0.7",
            "thresholds tightened: scorers.002.toxicity.max: 0.5 > 0.4",
            "scorers : scorers.003.exact_match.ignore_case: true > false",
        ];
        // Named or numbered, by what the plan gives.
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            let without_place = |text: &str| text.split("scorers.").next().unwrap_or_default().to_owned();
            assert_eq!(without_place(found), without_place(expected), "{found}");
        }
    }
}
