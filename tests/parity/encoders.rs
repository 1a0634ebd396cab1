//! Encoders against transformers in float64: pooled vectors and classification logits, through the library's door.

use std::collections::BTreeMap;
use std::path::Path;

use karat::engine::models::model_folder::ModelFolder;
use karat::engine::options::EngineOptions;
use karat::engine::{Classification, Classifier, Long, Pooling, Reading, TextInput, Unread};
use serde_json::Value;

use crate::reference::{self, cosine, distance, embed, floats, json, options};

/// Least cosine of mean pooled and first-token vectors with the reference.
fn pooled(folder: &Path) {
    let reference = json(&folder.join("reference.json"));
    let texts: Vec<String> = list(&reference["inputs"]).iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    for (pooling, key) in [(Pooling::Mean, "mean_pooled"), (Pooling::Cls, "cls")] {
        let vectors = embed(folder, Some(pooling), &texts);
        assert_eq!(vectors.len(), texts.len());
        let cosines = vectors.iter().zip(list(&reference[key])).map(|(got, expected)| cosine(got, &floats(expected)));
        let least = cosines.fold(1.0, |least, x| if x >= least { least } else { x });
        println!("{} {key}: cosine 1 - {:.1e} or more", folder.display(), 1.0 - least);
        assert!(least >= 0.999999, "{} {key}: {least}", folder.display());
    }
}

/// What the folder's own modules make of the texts: pooling, limit and normalisation.
fn sentences(folder: &Path) {
    let reference = json(&folder.join("reference.json"));
    let texts: Vec<String> = list(&reference["inputs"]).iter().map(|text| text.as_str().unwrap().to_owned()).collect();
    for (got, expected) in embed(folder, None, &texts).iter().zip(list(&reference["embedding"])) {
        let distance = distance(got, &floats(expected));
        assert!(distance < 1e-5, "{}: {distance}", folder.display());
    }
}

/// Logits of the classifier, of texts and of pairs.
pub fn logits(folder: &Path, options: &EngineOptions) {
    let reference = json(&folder.join("reference.json"));
    let input = |value: &Value| match value {
        Value::String(text) => TextInput { text: text.clone(), text_pair: None, long: Long::Cut },
        pair => {
            let text = |index: usize| pair[index].as_str().unwrap().to_owned();
            TextInput { text: text(0), text_pair: Some(text(1)), long: Long::Cut }
        }
    };
    let inputs: Vec<TextInput> = list(&reference["inputs"]).iter().map(input).collect();
    let mut model = Classifier::open(&ModelFolder::new(folder), options).unwrap();
    let mut answers: BTreeMap<u64, Classification> = BTreeMap::new();
    let take = |place: u64, answer: Result<Reading<Classification>, Unread>| {
        let answer = answer.expect("an answer");
        answers.extend(answer.values().map(|(_, answer)| (place, answer.clone())));
        Ok(())
    };
    model.classify(inputs.iter().cloned().map(Ok), take, |_| Ok(())).unwrap();
    assert_eq!(answers.len(), inputs.len());
    let mut worst = 0.0;
    for (index, (got, expected)) in answers.values().zip(list(&reference["logits"])).enumerate() {
        let distance = distance(&got.logits, &floats(expected));
        assert!(distance < 1e-4, "{} input {index}: {distance}", folder.display());
        worst = f64::max(worst, distance);
        if let Some(expected) = reference["probs"].get(index) {
            let probabilities: Vec<f32> = got.scores.iter().map(|(_, p)| *p).collect();
            assert!(reference::distance(&probabilities, &floats(expected)) < 1e-5, "{} {index}", folder.display());
        }
    }
    println!("{}{}: logits within {worst:.1e}", reference::whose(options), folder.display());
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn fixture_vectors() {
    let names = ["bert", "bert-mean", "bert-cls", "xlm-roberta", "modernbert", "deberta-v2-conv"];
    names.iter().for_each(|name| sentences(&reference::fixture(name)));
    // Some folders normalise, which a cosine does not see.
    names.iter().for_each(|name| pooled(&reference::fixture(name)));
    sentences(&reference::fixture("mpnet-dense"));
}

#[test]
fn fixture_logits() {
    let names =
        ["bert-multilabel", "bert-2class", "distilbert-3class", "roberta-reranker", "modernbert-2class", "deberta-v3"];
    names.iter().for_each(|name| logits(&reference::fixture(name), &options()));
}

#[test]
#[ignore = "needs ../shared (KARAT_SHARED): scripts/check_shared.sh"]
fn shared_vectors_and_logits() {
    let shared = reference::shared();
    let model = |name: &str| shared.join("reference/models").join(name);
    ["bert", "modernbert", "mpnet", "xlm-roberta"].iter().for_each(|name| pooled(&model(name)));
    ["bert-multilabel", "deberta-v2-cls", "distilbert-cls", "roberta-cls"]
        .iter()
        .for_each(|name| logits(&model(name), &options()));
}
