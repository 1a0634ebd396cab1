//! The schema against the code, the suites of the repository and the pages that show it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::plan::{DangerPolicy, DatasetPlan, Generation, ModelPlan, Models, Plan, ProbePlan, ToxicityPlan};
use super::reference::{BEGIN, END, reference};
use super::schema::{schema, schema_text};
use crate::prompt::{FewShot, PromptSpec};
use crate::rule::{ErrorPolicy, Gate, Prices, Statistics};
use crate::score::{
    ChoiceOptions, ContainsOptions, ExactMatchOptions, LoglikelihoodOptions, PerplexityOptions, RefusalOptions,
    RegexOptions, SimilarityOptions, TokenF1Options, ToxicityOptions,
};
use crate::yaml::{self, Node};

/// Every key of a suite, each with a value; no such suite could run.
const WHOLE: &str = include_str!("schema_tests/whole.yaml");

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn tree(text: &str) -> Value {
    yaml::read(&Node::parse(text, Path::new("suite.yaml")).unwrap()).unwrap()
}

fn is_read(text: &str) -> bool {
    yaml::read::<Plan>(&Node::parse(text, Path::new("suite.yaml")).unwrap()).is_ok()
}

/// What is wrong with a value, by the keywords that the schema uses.
struct Check<'a> {
    root: &'a Value,
    complaints: Vec<String>,
}

impl Check<'_> {
    fn of(root: &Value, value: &Value) -> Vec<String> {
        let mut check = Check { root, complaints: Vec::new() };
        check.value(root, value, "");
        check.complaints
    }

    fn value(&mut self, schema: &Value, value: &Value, place: &str) {
        let schema = match schema {
            Value::Bool(true) => return,
            Value::Bool(false) => return self.hold(false, place, "is not allowed"),
            schema => schema.as_object().unwrap(),
        };
        for (keyword, rule) in schema {
            match keyword.as_str() {
                "$schema" | "$defs" | "title" | "description" | "default" => {}
                "properties"
                | "additionalProperties"
                | "required"
                | "propertyNames"
                | "minProperties"
                | "maxProperties" => {
                    if let Some(map) = value.as_object() {
                        self.map(schema, keyword, map, place);
                    }
                }
                _ => self.keyword(keyword, rule, value, place),
            }
        }
    }

    fn keyword(&mut self, keyword: &str, rule: &Value, value: &Value, place: &str) {
        let fits = |schema: &Value| {
            let mut check = Check { root: self.root, complaints: Vec::new() };
            check.value(schema, value, place);
            check.complaints.is_empty()
        };
        let bound = rule.as_f64();
        let number = value.as_f64();
        let length = value.as_str().map(|text| text.chars().count() as f64);
        let held = match keyword {
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                return self.value(&self.root["$defs"][name], value, place);
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.value(rule, item, &format!("{place}/{index}"));
                }
                return;
            }
            "type" => match rule {
                Value::Array(names) => names.iter().any(|name| is_of(value, name)),
                name => is_of(value, name),
            },
            "const" => value == rule,
            "enum" => rule.as_array().unwrap().contains(value),
            "anyOf" => rule.as_array().unwrap().iter().any(fits),
            "oneOf" => rule.as_array().unwrap().iter().filter(|form| fits(form)).count() == 1,
            "minimum" => number >= bound || number.is_none(),
            "maximum" => number <= bound,
            "minLength" => length >= bound || length.is_none(),
            "maxLength" => length <= bound,
            "pattern" => {
                let pattern = regex::Regex::new(rule.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            other => panic!("this check knows no `{other}`"),
        };
        self.hold(held, place, keyword);
    }

    fn map(&mut self, schema: &Map<String, Value>, keyword: &str, map: &Map<String, Value>, place: &str) {
        let rule = &schema[keyword];
        let known = schema.get("properties").and_then(Value::as_object);
        for (key, value) in map {
            let place = format!("{place}/{key}");
            match (keyword, known.and_then(|known| known.get(key))) {
                ("properties", Some(schema)) => self.value(schema, value, &place),
                ("additionalProperties", None) => self.value(rule, value, &place),
                ("propertyNames", _) => self.value(rule, &json!(key), &place),
                _ => {}
            }
        }
        let held = match keyword {
            "required" => rule.as_array().unwrap().iter().all(|key| map.contains_key(key.as_str().unwrap())),
            "minProperties" => map.len() as u64 >= rule.as_u64().unwrap(),
            "maxProperties" => map.len() as u64 <= rule.as_u64().unwrap(),
            _ => true,
        };
        self.hold(held, place, keyword);
    }

    fn hold(&mut self, held: bool, place: &str, keyword: &str) {
        if !held {
            self.complaints.push(format!("{place}: {keyword}"));
        }
    }
}

fn is_of(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        other => panic!("this check knows no type `{other}`"),
    }
}

#[test]
fn the_docs_hold_the_schema() {
    let kept = fs::read_to_string(at("docs/suite.schema.json")).unwrap_or_default();
    assert!(
        kept == schema_text(),
        "docs/suite.schema.json is not what the code says: cargo run -- schema suite > docs/suite.schema.json"
    );
}

#[test]
fn the_docs_hold_the_reference() {
    let page = fs::read_to_string(at("docs/suite.md")).unwrap();
    let kept = page.find(BEGIN).zip(page.find(END)).map(|(begin, end)| &page[begin..end + END.len() + 1]);
    assert!(
        kept == Some(&reference(&schema())),
        "the reference in docs/suite.md is not what the code says: put the output of `cargo run -- schema suite --markdown` in its \
         place, from `{BEGIN}` to `{END}`"
    );
}

/// The files of this name below a folder.
fn files(folder: &Path, fits: &dyn Fn(&str) -> bool, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, fits, found);
        } else if fits(&path.file_name().unwrap().to_string_lossy()) {
            found.push(path);
        }
    }
}

#[test]
fn suites_of_the_repository_are_valid() {
    let (schema, mut found) = (schema(), Vec::new());
    for folder in ["datasets", "tests/fixtures", "src/cli/init"] {
        files(&at(folder), &|name| name == "suite.yaml", &mut found);
    }
    assert!(found.len() >= 4, "{found:?}");
    for path in found {
        let text = fs::read_to_string(&path).unwrap().replace("{{name}}", "desk").replace("{{model}}", "\"a-model\"");
        assert_eq!(Check::of(&schema, &tree(&text)), [""; 0], "{}", path.display());
        assert!(is_read(&text), "{}", path.display());
    }
}

/// Blocks of YAML whose keys are those of suites; parts of a suite get a head.
#[test]
fn suites_in_the_docs_are_valid() {
    let (schema, mut pages, mut looked_at) = (schema(), vec![at("README.md")], 0);
    files(&at("docs"), &|name| name.ends_with(".md"), &mut pages);
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for block in text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            let Ok(node) = Node::parse(block, &page) else { continue };
            let Ok(Value::Object(mut suite)) = yaml::read::<Value>(&node) else { continue };
            if suite.keys().any(|key| schema["properties"].get(key).is_none()) {
                continue;
            }
            for (key, value) in [("version", json!(1)), ("name", json!("x"))] {
                suite.entry(key).or_insert(value);
            }
            assert_eq!(Check::of(&schema, &Value::Object(suite)), [""; 0], "{}:\n{block}", page.display());
            looked_at += 1;
        }
    }
    assert!(looked_at >= 5, "{looked_at}");
}

#[test]
fn every_key_is_read() {
    let (schema, whole) = (schema(), tree(WHOLE));
    assert_eq!(Check::of(&schema, &whole), [""; 0]);
    yaml::read::<Plan>(&Node::parse(WHOLE, Path::new("whole.yaml")).unwrap()).map_err(|e| e.told("read")).unwrap();
    fn all(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    found.insert(key.clone());
                    all(value, found);
                }
            }
            Value::Array(list) => list.iter().for_each(|value| all(value, found)),
            _ => {}
        }
    }
    fn known(schema: &Value, found: &mut BTreeSet<String>) {
        match schema {
            Value::Object(map) => {
                found.extend(map.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys).cloned());
                map.values().for_each(|value| known(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| known(value, found)),
            _ => {}
        }
    }
    let (mut written, mut keys) = (BTreeSet::new(), BTreeSet::new());
    all(&whole, &mut written);
    known(&schema, &mut keys);
    let missing: Vec<&String> = keys.difference(&written).collect();
    assert!(keys.len() > 100 && missing.is_empty(), "schema_tests/whole.yaml lacks {missing:?} of {}", keys.len());
}

#[test]
fn wrong_suites_are_refused() {
    let schema = schema();
    let dataset = |text: &str| format!("datasets: [{{name: a, kind: golden, file: a.jsonl, {text}}}]");
    let right = [
        dataset("scorers: [exact_match]"),
        dataset("prompt: {chat: false}"),
        dataset("prompt: "),
        dataset("request: choice"),
        dataset("fields: {input: text}, limit: null"),
        "prompt:\ngeneration:\n".into(),
        "scorers: [refusal, exact_match: , contains: {values: x}, contains: {values: [x, y]}]".into(),
        "reasoning: {start: a, end: b}".into(),
        "baseline: {cpu: a}".into(),
        "errors: {max: '1 %'}".into(),
        "generation: {temperature: 0, bad_words_ids: [[1, 2], [3]]}".into(),
    ];
    let wrong = [
        "model: {}".into(),
        "version: 2".into(),
        "name: 5".into(),
        "datasets: {}".into(),
        "datasets: [{name: a, kind: golden}]".into(),
        "datasets: [{name: a, kind: silver, file: a.jsonl}]".into(),
        dataset("request: choices"),
        dataset("prompt: {files: a.md}"),
        dataset("prompt: {few_shot: {count: 2}}"),
        dataset("generation: {max_new_tokens: many}"),
        dataset("separator: ';;'"),
        dataset("limit: -1"),
        "prompt: {chat: sometimes}".into(),
        "generation: {temperature: hot}".into(),
        "generation: {stop: x}".into(),
        "generation: {generation_config: never}".into(),
        "scorers: [exact_mach]".into(),
        "scorers: [exact_match: {ignore_cas: true}]".into(),
        "scorers: [exact_match: {trim: 1}]".into(),
        "scorers: [{exact_match: {}, refusal: {}}]".into(),
        "scorers: [{}]".into(),
        "scorers: [similarity: {long: short}]".into(),
        "gates: [{metric: golden.a, mni: 0.5}]".into(),
        "gates: [{metric: golden.a, tier: high}]".into(),
        "reasoning: {start: a}".into(),
        "reasoning: some".into(),
        "baseline: {gpu: a}".into(),
        "baseline: {}".into(),
        "errors: {max: 1.5}".into(),
        "errors: {max: many}".into(),
        "probe: {}".into(),
        "prices: {per_day: 2}".into(),
        "statistics: {mcnemar: mid}".into(),
    ];
    for (suites, valid) in [(&right[..], true), (&wrong[..], false)] {
        for text in suites {
            let mut value = tree(text);
            let map = value.as_object_mut().unwrap();
            for (key, usual) in [("version", json!(1)), ("name", json!("x"))] {
                map.entry(key).or_insert(usual);
            }
            let complaints = Check::of(&schema, &value);
            assert_eq!(complaints.is_empty(), valid, "{text}: {complaints:?}");
            // The version is held against 1 behind the reading.
            assert_eq!(is_read(&value.to_string()), valid || text.starts_with("version"), "{text}: karat");
        }
    }
}

/// A key at the default that the schema names changes nothing.
fn held<T: Serialize + DeserializeOwned>(schema: &Value, name: &str, least: Value) -> usize {
    let part = if name.is_empty() { schema } else { &schema["$defs"][name] };
    let read = |value: Value| serde_json::to_value(serde_json::from_value::<T>(value).unwrap()).unwrap();
    let plain = read(least.clone());
    let properties = part["properties"].as_object().unwrap();
    let defaults = properties.iter().filter_map(|(key, value)| Some((key, value.get("default")?)));
    let checked = defaults.map(|(key, default)| {
        let mut said = least.clone();
        said[key] = default.clone();
        assert_eq!(read(said), plain, "{name}.{key}");
    });
    checked.count()
}

#[test]
fn defaults_are_those_of_the_code() {
    let schema = &schema();
    let none = || json!({});
    let counts = [
        held::<Plan>(schema, "", json!({"version": 1, "name": "x"})),
        held::<Models>(schema, "Models", none()),
        held::<ModelPlan>(schema, "ModelPlan", json!({"model": "x"})),
        held::<ToxicityPlan>(schema, "ToxicityPlan", json!({"model": "x"})),
        held::<DatasetPlan>(schema, "DatasetPlan", json!({"name": "x", "kind": "golden", "file": "x"})),
        held::<Generation>(schema, "Generation", none()),
        held::<ProbePlan>(schema, "ProbePlan", json!({"cases": 1})),
        held::<DangerPolicy>(schema, "DangerPolicy", none()),
        held::<PromptSpec>(schema, "PromptSpec", none()),
        held::<FewShot>(schema, "FewShot", json!({"file": "x"})),
        held::<Gate>(schema, "Gate", none()),
        held::<ErrorPolicy>(schema, "ErrorPolicy", json!({"max": 1})),
        held::<Prices>(schema, "Prices", none()),
        held::<Statistics>(schema, "Statistics", none()),
        held::<ExactMatchOptions>(schema, "ExactMatchOptions", none()),
        held::<ContainsOptions>(schema, "ContainsOptions", none()),
        held::<RegexOptions>(schema, "RegexOptions", none()),
        held::<TokenF1Options>(schema, "TokenF1Options", none()),
        held::<SimilarityOptions>(schema, "SimilarityOptions", none()),
        held::<ToxicityOptions>(schema, "ToxicityOptions", none()),
        held::<RefusalOptions>(schema, "RefusalOptions", none()),
        held::<ChoiceOptions>(schema, "ChoiceOptions", none()),
        held::<LoglikelihoodOptions>(schema, "LoglikelihoodOptions", none()),
        held::<PerplexityOptions>(schema, "PerplexityOptions", none()),
    ];
    assert!(counts.iter().sum::<usize>() > 50, "{counts:?}");
}
