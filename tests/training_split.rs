//! The split between what karat-mini was trained on and what evaluates it, by template: `scripts/train/mini/templates` holds both
//! lists, `datasets/support-desk` may use only one of them. `scripts/train/mini/disjoint.py` proves the same on whole corpora.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use regex::{Regex, RegexBuilder};
use serde_json::Value;

fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Every list named `split`, at any depth of a template file: there is one beside every intent.
fn collect(node: &Value, split: &str, found: &mut Vec<String>) {
    for (name, value) in node.as_object().into_iter().flatten() {
        match value.as_array() {
            Some(texts) if name == split => found.extend(texts.iter().map(|text| text.as_str().unwrap().to_owned())),
            _ => collect(value, split, found),
        }
    }
}

/// The templates of each kind of task.
fn templates(split: &str) -> BTreeMap<String, Vec<String>> {
    let files = std::fs::read_dir(repository("scripts/train/mini/templates")).unwrap();
    let yaml = files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "yaml"));
    yaml.map(|path| {
        let file: Value = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let mut found = Vec::new();
        collect(&file, split, &mut found);
        assert!(!found.is_empty(), "{}: no `{split}` list", path.display());
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), found)
    })
    .collect()
}

/// A filler stands for a word or two, a number for digits; `[a|b]` is a choice.
fn pattern(template: &str) -> Regex {
    let filler = Regex::new(r"\\\{(\w+)\\\}").unwrap();
    let escaped = regex::escape(template).replace(r"\[", "(?:").replace(r"\]", ")").replace(r"\|", "|");
    let numbers = ["qty", "order", "price", "size", "year", "phone", "time", "n", "p", "c", "m", "cm", "g"];
    // Letters and digits of ASCII are all there is, and a tenth of the time of Unicode's.
    let words =
        filler.replace_all(
            &escaped,
            |found: &regex::Captures<'_>| {
                if numbers.contains(&&found[1]) { r"[\d.:-]+" } else { r"[!-~]+(?: [!-~]+)?" }
            },
        );
    RegexBuilder::new(&format!("^{}$", words.replace(' ', " *"))).case_insensitive(true).unicode(false).build().unwrap()
}

/// What a template can say with its first, second, … choices, fillers replaced.
fn said(template: &str, turn: usize) -> String {
    let choice = Regex::new(r"\[([^\[\]]*)\]").unwrap();
    let chosen = choice.replace_all(template, |found: &regex::Captures<'_>| {
        let choices: Vec<&str> = found[1].split('|').collect();
        choices[turn % choices.len()].to_owned()
    });
    let filler = Regex::new(r"\{(\w+)\}").unwrap();
    filler.replace_all(&chosen, "xq").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn normal(text: &str) -> String {
    let letters = text.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { ' ' });
    letters.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words that a template says whatever its choices and fillers; few sentences have them all, which spares the pattern.
fn fixed_words(template: &str) -> Vec<String> {
    let open = Regex::new(r"\[[^\[\]]*\]|\{\w+\}").unwrap();
    let words = open.replace_all(template, " ").to_lowercase();
    words.split_whitespace().map(str::to_owned).collect()
}

/// Evaluation templates that training has too, or can say.
fn shared(train: &[String], held_out: &[String]) -> Vec<String> {
    let patterns: Vec<(Vec<String>, Regex)> = train.iter().map(|text| (fixed_words(text), pattern(text))).collect();
    let known: BTreeSet<String> = train.iter().map(|text| normal(text)).collect();
    let can_be_said = |sentence: &str| {
        let small = sentence.to_lowercase();
        let mut candidates = patterns.iter().filter(|(words, _)| words.iter().all(|word| small.contains(word)));
        candidates.any(|(_, pattern)| pattern.is_match(sentence))
    };
    let is_shared = |text: &&String| known.contains(&normal(text)) || (0..6).any(|turn| can_be_said(&said(text, turn)));
    held_out.iter().filter(is_shared).cloned().collect()
}

#[test]
fn no_evaluation_template_is_a_training_template() {
    let (train, held_out) = (templates("train"), templates("eval"));
    for (kind, texts) in &held_out {
        assert_eq!(shared(&train[kind], texts), Vec::<String>::new(), "{kind}");
    }
    assert!(train.values().map(Vec::len).sum::<usize>() > 1000 && held_out.values().map(Vec::len).sum::<usize>() > 300);
}

#[test]
fn a_shared_template_is_seen() {
    let train = ["How [long|many days] do I have to return [a|the] {item}?".to_owned(), "When is it due?".to_owned()];
    let held_out = ["How many days do I have to return the {item}?", "when is it due", "By when is it due?"];
    assert_eq!(shared(&train, &held_out.map(str::to_owned)), held_out[..2]);
}

#[test]
fn the_suite_uses_evaluation_templates_alone() {
    let held_out: BTreeSet<String> = templates("eval").into_values().flatten().collect();
    let train: BTreeSet<String> = templates("train").into_values().flatten().collect();
    for (file, least) in [("golden", 300), ("danger", 120)] {
        let text = std::fs::read_to_string(repository(&format!("datasets/support-desk/{file}.jsonl"))).unwrap();
        let mut cases = 0;
        for line in text.lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            cases += 1;
            let tags: Vec<&str> = case["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
            for key in ["template", "attack"] {
                match case["metadata"][key].as_str() {
                    Some(template) => {
                        assert!(held_out.contains(template) && !train.contains(template), "{file} {}", case["id"]);
                    }
                    None => assert!(key == "attack" || tags.contains(&"handwritten"), "{file} {}", case["id"]),
                }
            }
        }
        assert!(cases >= least, "{file}: {cases} cases");
    }
}
