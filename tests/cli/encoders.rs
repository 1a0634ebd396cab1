//! Encoder families through the commands: cross-encoders, dense modules, prompts, and what of a family is refused.

use serde_json::{Value, json};

use crate::bad_input::{Case, Outcome};
use crate::checkpoint::Checkpoint;
use crate::project::{Project, engine_args, fixture};
use crate::reference::{Reference, cosine, norm, numbers};

fn texts(reference: &Reference) -> Vec<Value> {
    reference.list("inputs").iter().enumerate().map(|(i, text)| json!({"id": i, "text": text})).collect()
}

#[track_caller]
fn same_vectors(lines: &[Value], expected: &[Value], what: &str) {
    assert_eq!(lines.len(), expected.len());
    for (line, expected) in lines.iter().zip(expected) {
        let (got, expected) = (numbers(&line["embedding"]), numbers(expected));
        let similarity = cosine(&got, &expected);
        assert!(similarity >= 0.999_999, "{what}: cosine {similarity}");
        assert!((norm(&got) / norm(&expected) - 1.0).abs() < 1e-4, "{what}: length {}", norm(&got));
    }
}

#[test]
fn families_embed_as_transformers_does() {
    for name in ["xlm-roberta", "modernbert", "deberta-v2-conv", "mpnet-dense"] {
        let reference = Reference::of(&fixture(name));
        let lines = Project::new().engine("embed", &reference.folder, &texts(&reference), &[]);
        same_vectors(&lines, reference.list("embedding"), name);
    }
}

/// Prompts by their names, as a text, and none; the mean leaves their tokens out.
#[test]
fn a_prompt_stands_before_every_text() {
    let reference = Reference::of(&fixture("mpnet-dense"));
    let prompted = |name: &str| reference.value["prompted"][name].as_array().cloned().expect("a list");
    let embed = |flags: &[&str]| Project::new().engine("embed", &reference.folder, &texts(&reference), flags);
    same_vectors(&embed(&[]), &prompted("query"), "the default prompt");
    same_vectors(&embed(&["--prompt-name", "query"]), &prompted("query"), "query");
    same_vectors(&embed(&["--prompt-name", "passage"]), &prompted("passage"), "passage");
    same_vectors(&embed(&["--prompt", "gold: "]), &prompted("passage"), "a text");
    same_vectors(&embed(&["--prompt", ""]), &prompted(""), "no prompt");
}

#[test]
fn an_unknown_prompt_is_refused_with_the_known_ones() {
    for (model, known) in [("mpnet-dense", "passage"), ("bert", "--prompt")] {
        let project = Project::new();
        project.write_lines("in.jsonl", &[json!({"id": 1, "text": "gold"})]);
        let args = engine_args("embed", &fixture(model), &["--prompt-name", "document"]);
        project.karat(args).code(2).complains(&["document"]).complains(&[known]);
    }
}

/// sentence-transformers lowers texts where the folder says so, whatever the tokenizer does.
#[test]
fn texts_are_lowered_where_the_folder_says_so() {
    let project = Project::new();
    let model = Checkpoint::copy(&project, &fixture("xlm-roberta"));
    let texts = |text: &str| [json!({"id": 1, "text": text})];
    let right = project.engine_raw("embed", &model.folder, &texts("the old house"), &[]);
    let cased = texts("The OLD house");
    assert_ne!(project.engine_raw("embed", &model.folder, &cased, &[]), right);
    let config = r#"{"max_seq_length": 64, "do_lower_case": true}"#;
    std::fs::write(model.file("sentence_bert_config.json"), config).expect("write a file");
    assert_eq!(project.engine_raw("embed", &model.folder, &cased, &[]), right);
}

/// Texts and pairs, with and without segments; a single label is a relevance between 0 and 1.
#[test]
fn families_classify_as_transformers_does() {
    for name in ["distilbert-3class", "roberta-reranker", "modernbert-2class", "deberta-v3"] {
        let reference = Reference::of(&fixture(name));
        let line = |(i, input): (usize, &Value)| match input.as_array() {
            Some(pair) => json!({"id": i, "text": pair[0], "text_pair": pair[1]}),
            None => json!({"id": i, "text": input}),
        };
        let lines: Vec<Value> = reference.list("inputs").iter().enumerate().map(line).collect();
        let out = Project::new().engine("classify", &reference.folder, &lines, &[]);
        for (line, expected) in out.iter().zip(reference.list("probs")) {
            let scores = line["scores"].as_object().expect("scores");
            assert_eq!(scores.len(), numbers(expected).len());
            for ((label, got), expected) in scores.iter().zip(numbers(expected)) {
                let got = got.as_f64().unwrap_or(f64::NAN);
                assert!((got - expected).abs() < 1e-4, "{name} {label}: {got} instead of {expected}");
            }
        }
    }
}

#[test]
fn senseless_options_of_a_family_are_refused() {
    let refused = |name: &str, command, damage: &dyn Fn(&Checkpoint), groups: &[&[&str]]| {
        let project = Project::new();
        project.write_lines("in.jsonl", &[json!({"id": 1, "text": "gold"})]);
        let model = Checkpoint::copy(&project, &fixture(name));
        damage(&model);
        Case { name: command, command, model: model.folder, flags: &[], outcome: Outcome::Refused(groups) }
            .check(&project);
    };
    refused("mpnet-dense", "embed", &|m| m.set("relative_attention_num_buckets", json!(8)), &[&["buckets"]]);
    refused("mpnet-dense", "embed", &|m| m.remove("2_Dense/model.safetensors"), &[&["2_dense"]]);
    let wide = |m: &Checkpoint| m.edit_json("2_Dense/config.json", |v| v["in_features"] = json!(33));
    refused("mpnet-dense", "embed", &wide, &[&["33"], &["32"]]);
    refused("xlm-roberta", "embed", &|m| m.set("pad_token_id", json!(65)), &[&["positions"]]);
    refused("modernbert-2class", "classify", &|m| m.set("classifier_pooling", json!("max")), &[&["max"]]);
    refused("deberta-v2-conv", "embed", &|m| m.set("conv_kernel_size", json!(4)), &[&["conv_kernel_size"]]);
    refused("deberta-v3", "classify", &|m| m.set("position_buckets", json!(1)), &[&["buckets"]]);
    refused("deberta-v3", "classify", &|m| m.set("pos_att_type", json!(3)), &[&["pos_att_type"]]);
}
