//! What a change of the plan did to what must hold: rules added and removed, bounds and tiers loosened and tightened.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::causes::{CauseKind, Effect, Found, text};
use crate::rule::{Allowance, ErrorPolicy};

/// Keys of a gate that say what it looks at; all others are its bounds.
const SUBJECT: [&str; 4] = ["metric", "where", "unpaired", "fail_if"];

/// All bounds; what else a later version may write, this one does not understand.
const BOUNDS: [&str; 9] = [
    "min",
    "max",
    "max_drop",
    "max_rise",
    "max_drop_share",
    "max_rise_share",
    "non_inferior",
    "no_significant_drop",
    "no_significant_rise",
];

/// Bounds of which a larger value lets more pass; of `min` a smaller one does.
const LOOSE_UPWARDS: [&str; 7] =
    ["max", "max_drop", "max_rise", "max_drop_share", "max_rise_share", "non_inferior", "threshold"];

/// Notes what differs in a key of the plan that is about gates.
pub(super) fn changes(found: &mut Found, key: &str, base: Option<&Value>, candidate: Option<&Value>) {
    if key != "gates" {
        let effect = match key {
            "errors" => allowances(base, candidate),
            _ => Effect::Changed,
        };
        return found.effect(CauseKind::Gates, key.to_owned(), (text(base), text(candidate)), Some(effect));
    }
    let (base, candidate) = (by_subject(base), by_subject(candidate));
    let subjects: BTreeSet<&String> = base.keys().chain(candidate.keys()).collect();
    let none = Vec::new();
    for subject in subjects {
        let (before, after) = (base.get(subject).unwrap_or(&none), candidate.get(subject).unwrap_or(&none));
        match (before.as_slice(), after.as_slice()) {
            ([before], [after]) => bounds(found, subject, before, after),
            ([], gates) | (gates, []) => {
                let effect = if before.is_empty() { Effect::Added } else { Effect::Removed };
                for gate in gates {
                    let told = Some(stated(gate));
                    let values = if before.is_empty() { (None, told) } else { (told, None) };
                    found.effect(CauseKind::Gates, subject.clone(), values, Some(effect));
                }
            }
            (before, after) => several(found, subject, before, after),
        }
    }
}

/// Several gates on one subject: their order, and how the bounds are spread over them, do not matter.
fn several(found: &mut Found, subject: &str, before: &[&Map<String, Value>], after: &[&Map<String, Value>]) {
    let (mut before, mut after) = (single_bounds(before), single_bounds(after));
    before.retain(|bound| match after.iter().position(|other| other == bound) {
        Some(at) => {
            after.remove(at);
            false
        }
        None => true,
    });
    let keys: BTreeSet<String> = before.iter().chain(&after).map(|(key, _)| key.clone()).collect();
    for key in keys {
        let of = |bounds: &[(String, Map<String, Value>)]| {
            bounds.iter().filter(|(other, _)| *other == key).map(|(_, bound)| bound.clone()).collect::<Vec<_>>()
        };
        let (one, two) = (of(&before), of(&after));
        for at in 0..one.len().max(two.len()) {
            let empty = Map::new();
            bounds(found, subject, one.get(at).unwrap_or(&empty), two.get(at).unwrap_or(&empty));
        }
    }
}

/// Each bound as a gate of its own, by its key, with what the gate says about all of its bounds.
fn single_bounds(gates: &[&Map<String, Value>]) -> Vec<(String, Map<String, Value>)> {
    let about_all = |key: &str| SUBJECT.contains(&key) || ["tier", "lower_is_better"].contains(&key);
    let mut single = Vec::new();
    for gate in gates {
        let shared = gate.iter().filter(|(key, value)| about_all(key) && !is_unset(value));
        let shared: Map<String, Value> = shared.map(|(key, value)| (key.clone(), value.clone())).collect();
        for (key, value) in gate.iter().filter(|(key, value)| !about_all(key) && !is_unset(value)) {
            let mut bound = shared.clone();
            bound.insert(key.clone(), value.clone());
            single.push((key.clone(), bound));
        }
    }
    single
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

/// Gates by what they look at.
fn by_subject(gates: Option<&Value>) -> BTreeMap<String, Vec<&Map<String, Value>>> {
    let mut found: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for gate in gates.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object) {
        found.entry(subject(gate)).or_default().push(gate);
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
            (key, ..) if !BOUNDS.contains(&key) => Effect::Changed,
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

/// How many cases may err; none may where it is not stated. A number and a share of the cases do not compare.
fn allowances(before: Option<&Value>, after: Option<&Value>) -> Effect {
    let read = |errors: Option<&Value>| match errors {
        None | Some(Value::Null) => Some(Allowance::Count(0)),
        Some(errors) => serde_json::from_value::<ErrorPolicy>(errors.clone()).ok().map(|policy| policy.max),
    };
    match (read(before), read(after)) {
        (Some(Allowance::Count(before)), Some(Allowance::Count(after))) => compared(before as f64, after as f64, true),
        (Some(Allowance::Share(before)), Some(Allowance::Share(after))) => compared(before, after, true),
        // None may err: whatever comes is more.
        (Some(Allowance::Count(0)), Some(Allowance::Share(after))) if after > 0.0 => Effect::Loosened,
        (Some(Allowance::Share(before)), Some(Allowance::Count(0))) if before > 0.0 => Effect::Tightened,
        _ => Effect::Changed,
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
    fn order_and_spread_of_gates_change_nothing() {
        let gates = |gates: Value| json!({"gates": gates});
        let (drop, min) = (json!({"metric": "golden.a", "max_drop": 0.1}), json!({"metric": "golden.a", "min": 0.5}));
        let whole = json!({"metric": "golden.a", "min": 0.5, "max_drop": 0.1});
        assert_eq!(told(gates(json!([drop, min])), gates(json!([min, drop]))), [""; 0]);
        assert_eq!(told(gates(json!([whole])), gates(json!([drop, min]))), [""; 0]);
        let looser = json!({"metric": "golden.a", "min": 0.4});
        let expected = ["gates loosened: golden.a min: 0.5 > 0.4"];
        assert_eq!(told(gates(json!([whole])), gates(json!([looser, drop]))), expected);
        let expected = ["gates loosened: golden.a min: 0.5 > -"];
        assert_eq!(told(gates(json!([min, drop, drop])), gates(json!([drop, drop]))), expected);
        let unknown = json!({"metric": "golden.a", "min": 0.5, "foo": 1});
        assert_eq!(told(gates(json!([min])), gates(json!([unknown]))), ["gates changed: golden.a foo: - > 1"]);
    }

    #[test]
    fn counts_and_shares_of_errors_do_not_compare() {
        let effect = |before: Value, after: Value| {
            let one = |max: Value| if max.is_null() { json!({}) } else { json!({"errors": {"max": max}}) };
            told(one(before), one(after))[0].split(':').next().unwrap().to_owned()
        };
        assert_eq!(effect(json!(2), json!(0.5)), "gates changed");
        assert_eq!(effect(json!("50 %"), json!(1)), "gates changed");
        assert_eq!(effect(json!(0.1), json!("50 %")), "gates loosened");
        assert_eq!(effect(json!(Value::Null), json!("50 %")), "gates loosened");
        assert_eq!(effect(json!(3), json!(2)), "gates tightened");
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
