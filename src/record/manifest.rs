//! What ran: `manifest.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{FileEntry, RESULTS, RunId, Summary, check_name};
use crate::dataset::Kind as Class;
use crate::error::{Error, Kind, Result};

/// The newest format that this karat writes and reads. A record has the lowest number that can hold it, so that one which uses
/// nothing new keeps its bytes; readers refuse a newer number: a field they do not know could change what counts.
pub const FORMAT: u32 = 5;

/// What the number of a format stands behind.
const PREFIX: &str = "karat-run/";

/// A format as manifests spell it.
fn spelled(format: u32) -> String {
    format!("{PREFIX}{format}")
}

/// Everything that shaped a run, and what its files must hash to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `karat-run/N`, N up to [`FORMAT`]: 5 where a dataset has a header, or a prompt, options or a kind of request of its own; 4 where lines say what became of their answers; 3 where the run names its baseline; 2 where it has a label, is partial, or its plan uses
    /// what format 1 does not know (tiers, allowed errors, …); else 1.
    pub format: String,
    /// Version of karat that wrote it.
    pub karat: String,
    /// Suite name.
    pub suite: String,
    /// Run id.
    pub run_id: RunId,
    /// What whoever started it calls it (`--label`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The run that it is compared with: what was accepted when it started. None where nothing was, or where the summary of an
    /// older record says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<RunId>,
    /// When the run started, RFC 3339 in UTC.
    pub created_at: String,
    /// The commit of the suite's repository, where it has one.
    pub git_commit: Option<String>,
    /// Whether files of the suite's folder differed from that commit; none where git does not keep them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_dirty: Option<bool>,
    /// The numerics fingerprint by part (instruction set, kernels, K-block, types, …). Runs with different fingerprints
    /// may differ in bits without any other cause.
    pub fingerprint: BTreeMap<String, String>,
    /// SHA-256 of everything that was read.
    pub hashes: Hashes,
    /// Versions of datasets by dataset name, as their headers say; only of those that have one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dataset_versions: BTreeMap<String, String>,
    /// How many cases the plan selected, by dataset: fewer result lines mean that the run is incomplete.
    pub selected: BTreeMap<String, Selected>,
    /// The validated plan with all layers applied; its top-level keys are those of `suite.yaml`.
    pub plan: Value,
    /// The other files of the record. What is made from it, `verdict.json` and `report.md`, is among them in older records alone.
    pub files: BTreeMap<String, FileEntry>,
}

/// SHA-256 (hex) of what a run read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hashes {
    /// Model files by role (`generator`, `embedder`, `toxicity`) and file name; tokenizer and chat template are among
    /// them.
    pub models: BTreeMap<String, BTreeMap<String, String>>,
    /// Prompt and system prompt files by the name the suite gives them.
    pub prompts: BTreeMap<String, String>,
    /// Dataset files by dataset name; recorded responses as `responses`.
    pub datasets: BTreeMap<String, String>,
    /// Headers beside dataset files by dataset name; only where there is one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// What the plan selected from a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selected {
    /// What the dataset is for.
    pub kind: Class,
    /// Number of cases.
    pub cases: u64,
    /// The call selected only some of the suite's cases (`--limit`): the others are not missing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub partial: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Manifest {
    /// A manifest in the first format with no hashes, no selection and no files yet.
    pub fn new(suite: &str, run_id: RunId, created_at: jiff::Timestamp, plan: Value) -> Self {
        Self {
            format: spelled(1),
            karat: env!("CARGO_PKG_VERSION").into(),
            suite: suite.into(),
            run_id,
            label: None,
            baseline: None,
            created_at: created_at.to_string(),
            git_commit: None,
            git_dirty: None,
            fingerprint: BTreeMap::new(),
            hashes: Hashes::default(),
            dataset_versions: BTreeMap::new(),
            selected: BTreeMap::new(),
            plan,
            files: BTreeMap::new(),
        }
    }

    /// Adds the parts of an engine's fingerprint (a plain struct) under its role: `generator.weights`, ….
    pub fn add_fingerprint(&mut self, role: &str, fingerprint: &impl Serialize) -> Result<()> {
        let value = serde_json::to_value(fingerprint);
        let Ok(Value::Object(parts)) = value else {
            return Err(Error::internal(format!("failed to record the fingerprint of the {role}: it has no parts")));
        };
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        self.fingerprint.extend(parts.iter().map(|(part, value)| (format!("{role}.{part}"), text(value))));
        Ok(())
    }

    /// Reads `manifest.json`, refusing formats that this karat does not know and names that leave the folder.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let at = |e: serde_json::Error| {
            let (line, column) = (e.line() as u64, e.column() as u64);
            Error::input("failed to read the run's manifest").at_column(path, line.max(1), column.max(1)).caused_by(e)
        };
        // The format first: a newer manifest may hold keys that are unknown here, and that is the better message.
        let value: Value = serde_json::from_slice(bytes).map_err(at)?;
        let format = value.get("format").and_then(Value::as_str).unwrap_or_default();
        let version = format.strip_prefix(PREFIX).and_then(|version| version.parse::<u32>().ok());
        match version {
            Some(1..=FORMAT) => {}
            Some(newer) => {
                let writer = value.get("karat").and_then(Value::as_str).unwrap_or("a newer one");
                let message = format!(
                    "the run has format {newer}, written by karat {writer}; this is karat {}, which reads formats up to {FORMAT}",
                    env!("CARGO_PKG_VERSION")
                );
                return Err(Error::new(Kind::Newer, message)
                    .at(path)
                    .with_hint("update karat, or repeat the run with this one"));
            }
            None => {
                let message = format!("the run's manifest does not have the format `{}`", spelled(FORMAT));
                return Err(Error::input(message).at(path).with_hint("is this a run folder of karat?"));
            }
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(at)?;
        check_name("suite name", &manifest.suite).map_err(|e| e.at(path))?;
        for name in manifest.files.keys() {
            check_name("file name", name).map_err(|e| e.at(path))?;
        }
        if !manifest.files.contains_key(RESULTS) {
            return Err(Error::input(format!("the run's manifest does not list `{RESULTS}`")).at(path));
        }
        Ok(manifest)
    }

    /// The bytes of `manifest.json`.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        super::files::pretty(self)
    }

    /// Gives it the lowest format that can hold it.
    pub(super) fn settle_format(&mut self, has_outcomes: bool) {
        let plain = self.label.is_none() && !self.is_partial() && is_plain_plan(&self.plan);
        self.format = spelled(match (&self.baseline, plain) {
            _ if !self.hashes.headers.is_empty() || has_own_requests(&self.plan) => 5,
            _ if has_outcomes => 4,
            (Some(_), _) => 3,
            (None, false) => 2,
            (None, true) => 1,
        });
    }

    /// Whether the call selected only some of the suite's cases.
    pub fn is_partial(&self) -> bool {
        self.selected.values().any(|selected| selected.partial)
    }

    /// Answers to each case, as the plan asks.
    pub fn repeats(&self) -> u32 {
        let repeat = self.plan.pointer("/generation/repeat").and_then(serde_json::Value::as_u64);
        repeat.and_then(|repeat| u32::try_from(repeat).ok()).unwrap_or(1)
    }

    /// Whether the call selected only some of a dataset's cases.
    pub fn selects_some_of(&self, dataset: &str) -> bool {
        self.selected.get(dataset).is_some_and(|selected| selected.partial)
    }

    /// Cases that were selected but have no result line, by dataset.
    pub fn missing(&self, summary: &Summary) -> BTreeMap<String, u64> {
        let lines = |name: &str| summary.dataset(name).map_or(0, |dataset| dataset.cases);
        let missing = self.selected.iter().map(|(name, selected)| (name, selected.cases.saturating_sub(lines(name))));
        missing.filter(|(_, cases)| *cases > 0).map(|(name, cases)| (name.clone(), cases)).collect()
    }
}

/// Whether datasets of a plan say themselves what is asked and how, or prompts have keys that readers of format 4 do not know.
fn has_own_requests(plan: &Value) -> bool {
    const KNOWN: [&str; 7] =
        ["file", "version", "chat", "system", "few_shot", "continue_final_message", "chat_template_kwargs"];
    let datasets = plan.get("datasets").and_then(Value::as_array).into_iter().flatten();
    let mut datasets = datasets.filter_map(Value::as_object);
    let own =
        datasets.any(|dataset| ["request", "prompt", "generation", "ids"].iter().any(|key| dataset.contains_key(*key)));
    let prompt = plan.get("prompt").and_then(Value::as_object);
    let new = prompt.is_some_and(|prompt| prompt.keys().any(|key| !KNOWN.contains(&key.as_str())));
    let shots = prompt.and_then(|prompt| prompt.get("few_shot")).and_then(Value::as_object);
    own || new || shots.is_some_and(|shots| shots.keys().any(|key| !["file", "count"].contains(&key.as_str())))
}

/// Whether a plan uses nothing that readers of format 1 do not know.
fn is_plain_plan(plan: &Value) -> bool {
    let tiers =
        plan.get("gates").and_then(Value::as_array).into_iter().flatten().any(|gate| gate.get("tier").is_some());
    let by_device = plan.get("baseline").is_some_and(Value::is_object);
    !tiers && !by_device && plan.get("errors").is_none() && plan.get("statistics").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest() -> Manifest {
        let time = "2026-11-20T11:04:55Z".parse().unwrap();
        let mut manifest = Manifest::new("desk", RunId::new(time, &json!({})), time, json!({"b": 1, "a": 2}));
        manifest.files.insert(RESULTS.into(), FileEntry { sha256: "00".into(), bytes: 0 });
        manifest
    }

    #[test]
    fn round_trips() {
        let bytes = manifest().to_bytes().unwrap();
        assert_eq!(Manifest::parse(Path::new("m"), &bytes).unwrap(), manifest());
        assert_eq!(bytes.last(), Some(&b'\n'));
    }

    #[test]
    fn the_format_is_the_lowest_that_holds_the_record() {
        let format = |edit: fn(&mut Manifest)| {
            let mut manifest = manifest();
            edit(&mut manifest);
            manifest.settle_format(false);
            manifest.format
        };
        assert_eq!(format(|_| {}), "karat-run/1");
        assert_eq!(format(|manifest| manifest.label = Some("nightly".into())), "karat-run/2");
        assert_eq!(format(|manifest| manifest.baseline = RunId::parse("before").ok()), "karat-run/3");
        let partial = |manifest: &mut Manifest| {
            manifest.selected.insert("a".into(), Selected { kind: Class::Golden, cases: 1, partial: true });
        };
        assert_eq!(format(partial), "karat-run/2");
        assert_eq!(format(|manifest| manifest.plan = json!({"errors": {"max": 1}})), "karat-run/2");
        assert_eq!(format(|manifest| manifest.plan = json!({"baseline": {"cpu": "a"}})), "karat-run/2");
        assert_eq!(format(|manifest| manifest.plan = json!({"baseline": "a", "gates": [{}]})), "karat-run/1");
        let mut told = manifest();
        told.settle_format(true);
        assert_eq!(told.format, "karat-run/4");
        told.hashes.headers.insert("golden".into(), "00".into());
        told.dataset_versions.insert("golden".into(), "1.0".into());
        told.settle_format(true);
        assert_eq!(told.format, "karat-run/5");
        assert_eq!(Manifest::parse(Path::new("m"), &told.to_bytes().unwrap()).unwrap(), told);
    }

    #[test]
    fn fingerprints_are_taken_apart() {
        let mut manifest = manifest();
        manifest.add_fingerprint("generator", &json!({"weights": "f32", "numerics_version": 1})).unwrap();
        let parts: Vec<_> = manifest.fingerprint.iter().map(|(part, value)| format!("{part}={value}")).collect();
        assert_eq!(parts, ["generator.numerics_version=1", "generator.weights=f32"]);
        assert!(manifest.add_fingerprint("generator", &"text").is_err());
    }

    #[test]
    fn refuses_newer_foreign_and_wandering_manifests() {
        let text = String::from_utf8(manifest().to_bytes().unwrap()).unwrap();
        let fails = |from: &str, to: &str| {
            let error = Manifest::parse(Path::new("m.json"), text.replace(from, to).as_bytes()).unwrap_err();
            format!("{error}; {}", error.hint().unwrap_or("-"))
        };
        let newer = fails("karat-run/1", "karat-run/9");
        let version = env!("CARGO_PKG_VERSION");
        let both =
            format!("format 9, written by karat {version}; this is karat {version}, which reads formats up to 5");
        assert!(newer.contains(&both), "{newer}");
        assert!(fails("karat-run/1", "other").starts_with("the run's manifest does not have the format `karat-run/5`"));
        assert!(fails(r#""suite": "desk""#, r#""suite": "../x""#).starts_with("`../x` is no suite name"));
        assert!(fails("results.jsonl", "../../results").starts_with("`../../results` is no file name"));
        assert!(fails("results.jsonl", "other.jsonl").contains("does not list `results.jsonl`"));
        assert!(fails(r#""karat":"#, r#""carat":"#).starts_with("failed to read the run's manifest (m.json:3:"));
        assert!(Manifest::parse(Path::new("m.json"), b"{").is_err());
    }
}
