//! The suite `datasets/recorded-desk` itself: every case has its answers, every scorer compiles, and the two recorded
//! assistants differ as they were written to.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use karat::dataset::{Input, Sample};
use karat::score::{CompileContext, Output, Reasoning, Scorer, ScorerSpec};
use serde_json::Value;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("datasets/recorded-desk")
}

fn lines(name: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder().join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn sample(line: &Value) -> Sample {
    Sample {
        id: line["id"].as_str().unwrap().to_owned(),
        input: Input::Text(line["input"].as_str().unwrap().to_owned()),
        target: texts(&line["target"]),
        numeric_targets: Vec::new(),
        choices: Vec::new(),
        context: line["context"].as_str().map(str::to_owned),
        tags: texts(&line["tags"]),
        metadata: line["metadata"].as_object().cloned().unwrap_or_default(),
        checks: line["checks"].as_array().cloned().unwrap_or_default(),
        line: 1,
        row: None,
        gold: Vec::new(),
        shots: Vec::new(),
    }
}

fn compile(spec: &ScorerSpec) -> Scorer {
    spec.compile(&CompileContext::default()).unwrap()
}

/// The scorers that the suite gives to a dataset.
fn dataset_scorers(dataset: &str) -> Vec<Scorer> {
    let text = std::fs::read_to_string(folder().join("suite.yaml")).unwrap();
    let suite: Value = serde_saphyr::from_str(&text).unwrap();
    let datasets = suite["datasets"].as_array().unwrap();
    let names = texts(&datasets.iter().find(|entry| entry["name"] == dataset).unwrap()["scorers"]);
    let specs: Vec<ScorerSpec> = serde_json::from_value(suite["scorers"].clone()).unwrap();
    let find = |name: &String| compile(specs.iter().find(|spec| spec.name() == name).unwrap());
    names.iter().map(find).collect()
}

/// Dataset and id to whether every score passed, with the explanations.
fn verdicts(responses: &str) -> BTreeMap<(String, String), (bool, String)> {
    let mut outputs = BTreeMap::new();
    for line in lines(responses) {
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        let doubled = outputs.insert((text("dataset"), text("id")), text("output"));
        assert_eq!(doubled, None, "{line}");
    }
    let mut verdicts = BTreeMap::new();
    for dataset in ["golden", "danger"] {
        let shared = dataset_scorers(dataset);
        for line in lines(&format!("{dataset}.jsonl")) {
            let sample = sample(&line);
            let output = outputs.remove(&(dataset.to_owned(), sample.id.clone())).unwrap();
            let own = sample.checks.iter().map(|check| compile(&serde_json::from_value(check.clone()).unwrap()));
            let scores: Vec<_> = shared
                .iter()
                .cloned()
                .chain(own)
                .map(|scorer| {
                    (
                        scorer.name().to_owned(),
                        scorer.score(&sample, &Output::read(&output, &Reasoning::Auto, false), &[]).unwrap(),
                    )
                })
                .collect();
            let passed = scores.iter().all(|(_, score)| score.passed);
            let doubled = verdicts.insert((dataset.to_owned(), sample.id), (passed, format!("{output:?} {scores:?}")));
            assert_eq!(doubled, None);
        }
    }
    assert!(outputs.is_empty(), "answers without a case: {outputs:?}");
    verdicts
}

#[test]
fn recorded_answers_cover_the_suite_and_differ_both_ways() {
    let (old, new) = (verdicts("responses/recorded-v1.jsonl"), verdicts("responses/recorded-v2.jsonl"));
    let count = |dataset: &str, wanted: &dyn Fn(bool, bool) -> bool| {
        let cases = old.iter().filter(|((name, _), _)| name == dataset);
        cases.filter(|(key, verdict)| wanted(verdict.0, new[*key].0)).count()
    };
    for (dataset, least, table) in [("golden", 60, EXPECTED_GOLDEN), ("danger", 40, EXPECTED_DANGER)] {
        assert!(count(dataset, &|_, _| true) >= least);
        let found = [
            count(dataset, &|old, new| old && new),
            count(dataset, &|old, new| !old && new),
            count(dataset, &|old, new| old && !new),
            count(dataset, &|old, new| !old && !new),
        ];
        assert_eq!(found, table, "{dataset}: both pass, better, worse, both fail");
    }
}

/// Both pass, better, worse, both fail.
const EXPECTED_GOLDEN: [usize; 4] = [43, 21, 2, 0];
const EXPECTED_DANGER: [usize; 4] = [22, 19, 1, 0];
