//! Why two runs may differ: what their manifests say was not the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::gate_causes;
use crate::record::Manifest;

/// What kind of thing was not the same; in the order in which causes are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CauseKind {
    /// What must hold: rules, their tiers, how many cases may err, which test decides. Changes the verdict, never a result.
    Gates,
    /// From which value on a scorer lets an answer pass.
    Thresholds,
    /// The numerics fingerprint: bits may differ without any other cause.
    Fingerprint,
    /// The version of karat.
    Software,
    /// Model, tokenizer or chat template.
    Model,
    /// Prompt template or system prompt.
    Prompt,
    /// Dataset files or which of their cases are used.
    Data,
    /// How answers are generated.
    Parameters,
    /// How answers are scored.
    Scorers,
}

impl CauseKind {
    /// The kind in a word.
    pub fn label(self) -> &'static str {
        match self {
            Self::Gates => "gates",
            Self::Thresholds => "thresholds",
            Self::Fingerprint => "fingerprint",
            Self::Software => "karat",
            Self::Model => "model",
            Self::Prompt => "prompt",
            Self::Data => "data",
            Self::Parameters => "parameters",
            Self::Scorers => "scorers",
        }
    }
}

impl CauseKind {
    /// Whether it can explain that a result is another one.
    pub fn explains_results(self) -> bool {
        self != Self::Gates
    }
}

/// What a change did to what must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// A rule that was not there.
    Added,
    /// A rule that is gone.
    Removed,
    /// More passes than before.
    Loosened,
    /// Less passes than before.
    Tightened,
    /// Neither can be said.
    Changed,
}

impl Effect {
    /// The effect in a word.
    pub fn label(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Loosened => "loosened",
            Self::Tightened => "tightened",
            Self::Changed => "changed",
        }
    }
}

/// One thing that was not the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Cause {
    /// What kind of thing.
    pub kind: CauseKind,
    /// Which one: a fingerprint part, a file, a path into the plan.
    pub what: String,
    /// What it did to the gates, where it is of their kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// Its value in the base run; none where it did not exist.
    pub base: Option<String>,
    /// Its value in the candidate.
    pub candidate: Option<String>,
}

/// Everything in two manifests that can explain different verdicts, gates first, or different results, the fingerprint first of
/// these. Names, times, labels, commits and the choice of baseline explain nothing and are left out.
pub fn causes(base: &Manifest, candidate: &Manifest) -> Vec<Cause> {
    let mut found = Found::default();
    found.maps(CauseKind::Fingerprint, "", &base.fingerprint, &candidate.fingerprint);
    found.add(CauseKind::Software, "version".into(), Some(base.karat.clone()), Some(candidate.karat.clone()));
    let roles: BTreeSet<&String> = base.hashes.models.keys().chain(candidate.hashes.models.keys()).collect();
    let none = BTreeMap::new();
    for role in roles {
        let files = |manifest: &'_ Manifest| manifest.hashes.models.get(role).cloned().unwrap_or_else(|| none.clone());
        found.maps(CauseKind::Model, &format!("{role} file "), &files(base), &files(candidate));
    }
    found.maps(CauseKind::Prompt, "file ", &base.hashes.prompts, &candidate.hashes.prompts);
    found.maps(CauseKind::Data, "version of ", &base.dataset_versions, &candidate.dataset_versions);
    found.maps(CauseKind::Data, "file of ", &base.hashes.datasets, &candidate.hashes.datasets);
    found.plans(&base.plan, &candidate.plan);
    found.causes.sort();
    found.causes
}

#[derive(Default)]
pub(super) struct Found {
    causes: Vec<Cause>,
}

impl Found {
    fn add(&mut self, kind: CauseKind, what: String, base: Option<String>, candidate: Option<String>) {
        self.effect(kind, what, (base, candidate), None);
    }

    /// Adds a cause with what it did to the gates.
    pub fn effect(
        &mut self,
        kind: CauseKind,
        what: String,
        (base, candidate): (Option<String>, Option<String>),
        effect: Option<Effect>,
    ) {
        if base != candidate {
            self.causes.push(Cause { kind, what, effect, base, candidate });
        }
    }

    fn maps(
        &mut self,
        kind: CauseKind,
        label: &str,
        base: &BTreeMap<String, String>,
        candidate: &BTreeMap<String, String>,
    ) {
        let keys: BTreeSet<&String> = base.keys().chain(candidate.keys()).collect();
        for key in keys {
            self.add(kind, format!("{label}{key}"), base.get(key).cloned(), candidate.get(key).cloned());
        }
    }

    fn plans(&mut self, base: &Value, candidate: &Value) {
        for (key, base, candidate) in children(base, candidate) {
            let kind = match key.as_str() {
                "models" => CauseKind::Model,
                "prompt" => CauseKind::Prompt,
                "datasets" => CauseKind::Data,
                "scorers" => CauseKind::Scorers,
                "gates" | "errors" | "statistics" => {
                    gate_causes::changes(self, &key, base, candidate);
                    continue;
                }
                "version" | "name" | "danger" | "baseline" | "prices" | "probe" => continue,
                _ => CauseKind::Parameters,
            };
            self.values(kind, &key, base, candidate);
        }
    }

    fn values(&mut self, kind: CauseKind, path: &str, base: Option<&Value>, candidate: Option<&Value>) {
        match (base, candidate) {
            (Some(base), Some(candidate)) if base == candidate => {}
            (
                Some(base @ (Value::Object(_) | Value::Array(_))),
                Some(candidate @ (Value::Object(_) | Value::Array(_))),
            ) if base.is_object() == candidate.is_object() => {
                let parts = children(base, candidate);
                for (key, base, candidate) in parts {
                    self.values(kind, &format!("{path}.{key}"), base, candidate);
                }
            }
            _ => match gate_causes::threshold(kind, path, base, candidate) {
                Some(effect) => {
                    self.effect(CauseKind::Thresholds, path.to_owned(), (text(base), text(candidate)), Some(effect))
                }
                None => self.add(kind, path.to_owned(), text(base), text(candidate)),
            },
        }
    }
}

/// A value of the plan as text; `null` and an absent key both mean "not set".
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    value.filter(|value| !value.is_null()).map(Value::to_string)
}

/// The children of two values under their common names. Elements of a list go by their `name` (or only key) where each
/// has its own, so that an inserted dataset does not move all others; by their place otherwise.
fn children<'a>(base: &'a Value, candidate: &'a Value) -> Vec<(String, Option<&'a Value>, Option<&'a Value>)> {
    let (base, candidate) = match (named(base), named(candidate)) {
        (Some(base), Some(candidate)) => (base, candidate),
        _ => (numbered(base), numbered(candidate)),
    };
    let keys: BTreeSet<&String> = base.keys().chain(candidate.keys()).collect();
    keys.into_iter().map(|key| (key.clone(), base.get(key).copied(), candidate.get(key).copied())).collect()
}

fn named(value: &Value) -> Option<BTreeMap<String, &Value>> {
    match value {
        Value::Object(map) => Some(map.iter().map(|(key, value)| (key.clone(), value)).collect()),
        Value::Array(items) => {
            let name = |item: &'_ Value| match item {
                Value::Object(map) => match map.get("name") {
                    Some(name) => name.as_str().map(str::to_owned),
                    None if map.len() == 1 => map.keys().next().cloned(),
                    None => None,
                },
                _ => None,
            };
            let named: BTreeMap<_, _> = items.iter().map(|item| Some((name(item)?, item))).collect::<Option<_>>()?;
            (named.len() == items.len()).then_some(named)
        }
        _ => None,
    }
}

fn numbered(value: &Value) -> BTreeMap<String, &Value> {
    match value {
        // Padded, so that the tenth element sorts behind the ninth.
        Value::Array(items) => items.iter().enumerate().map(|(i, item)| (format!("{i:03}"), item)).collect(),
        _ => named(value).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RunId;
    use serde_json::json;

    fn manifest(plan: Value) -> Manifest {
        let time = "2026-11-20T11:00:00Z".parse().unwrap();
        let mut manifest = Manifest::new("desk", RunId::new(time, &plan), time, plan);
        manifest.fingerprint.insert("isa".into(), "avx512".into());
        manifest.hashes.models.insert("generator".into(), BTreeMap::from([("model.safetensors".into(), "11".into())]));
        manifest
    }

    fn told(base: &Manifest, candidate: &Manifest) -> Vec<String> {
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
        let line = |c: &Cause| format!("{} {}: {} > {}", c.kind.label(), c.what, value(&c.base), value(&c.candidate));
        causes(base, candidate).iter().map(line).collect()
    }

    #[test]
    fn equal_runs_have_no_causes() {
        let mut other = manifest(json!({"gates": [], "name": "x"}));
        (other.created_at, other.git_commit) = ("later".into(), Some("abc".into()));
        other.label = Some("nightly".into());
        assert_eq!(causes(&manifest(json!({"gates": []})), &other), []);
    }

    #[test]
    fn names_what_differs_with_the_fingerprint_first() {
        let base = manifest(json!({
            "generation": {"seed": 0, "stop": ["a", "b"], "top_k": null},
            "datasets": [{"name": "golden", "limit": 1}],
            "scorers": [{"exact_match": {"trim": true}}],
            "prompt": {"version": "1"},
        }));
        let mut candidate = manifest(json!({
            "generation": {"seed": 1, "stop": ["a"]},
            "datasets": [{"name": "added"}, {"name": "golden", "limit": 2}],
            "scorers": [{"exact_match": {"trim": false}}],
            "prompt": {"version": "2"},
        }));
        candidate.fingerprint.insert("isa".into(), "avx2".into());
        candidate.hashes.models.insert("generator".into(), BTreeMap::from([("model.safetensors".into(), "22".into())]));
        candidate.hashes.datasets.insert("golden".into(), "33".into());
        candidate.dataset_versions.insert("golden".into(), "1.1".into());
        candidate.karat = "9".into();
        let software = format!("karat version: {} > 9", base.karat);
        let expected = [
            "fingerprint isa: avx512 > avx2",
            &software,
            "model generator file model.safetensors: 11 > 22",
            r#"prompt prompt.version: "1" > "2""#,
            r#"data datasets.added: - > {"name":"added"}"#,
            "data datasets.golden.limit: 1 > 2",
            "data file of golden: - > 33",
            "data version of golden: - > 1.1",
            "parameters generation.seed: 0 > 1",
            r#"parameters generation.stop.001: "b" > -"#,
            "scorers scorers.exact_match.exact_match.trim: true > false",
        ];
        assert_eq!(told(&base, &candidate), expected);
    }
}
