//! candle-transformers as a second opinion: the reference backend against the engine's own, and against transformers where it
//! alone knows a family.

use std::path::Path;

use karat::engine::models::families::Config;
use karat::engine::models::model_folder::ModelFolder;
use karat::engine::reference::Plan;
use karat::engine::{Embedder, Pooling};

use crate::reference::{self, candle, distance, embed, embed_by, ids, json, last_logits, options};
use crate::{decoders, encoders};

/// Families that both compute, with the longest sequence that the second does.
const DECODERS: [(&str, usize); 12] = [
    ("gemma", 256),
    ("llama", 256),
    ("llama3-rope", 256),
    ("mistral-window", 256),
    ("olmo", 256),
    ("olmo2", 256),
    ("phi", 256),
    ("qwen2", 256),
    ("qwen2-moe", 256),
    ("qwen3", 256),
    ("stablelm", 256),
    ("starcoder2", 256),
];

/// Both backends on one folder: logits, log-probabilities and greedy answers.
fn agree(folder: &Path, longest: usize) {
    let reference = json(&folder.join("reference.json"));
    let prompts: Vec<Vec<u32>> = reference["prompts"].as_array().unwrap().iter().map(ids).collect();
    let prompts: Vec<Vec<u32>> = prompts.into_iter().filter(|prompt| prompt.len() < longest).collect();
    assert!(prompts.len() > 2);
    let mut ours = reference::load(folder);
    let mut theirs = reference::load_by(folder, &candle()).unwrap();
    assert_eq!(theirs.shape().context.min(256), longest.min(ours.shape().context));
    let mut worst = 0.0;
    for (ours, theirs) in last_logits(&mut *ours, &prompts).iter().zip(last_logits(&mut *theirs, &prompts)) {
        let theirs: Vec<f64> = theirs.into_iter().map(f64::from).collect();
        worst = f64::max(worst, distance(ours, &theirs));
    }
    let long: Vec<Vec<u32>> = prompts.iter().filter(|prompt| prompt.len() > 1).cloned().collect();
    let logprobs = [&mut ours, &mut theirs].map(|model| reference::prompt_logprobs(&mut **model, &long));
    let logprob = logprobs[0].iter().zip(&logprobs[1]).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst < 1e-3 && logprob < 1e-3, "{}: {worst} {logprob}", folder.display());
    let answers = [&mut ours, &mut theirs].map(|model| {
        let work = prompts.iter().map(|prompt| reference::greedy(prompt.clone(), 24.min(longest - prompt.len())));
        reference::generate(&mut **model, reference::LIMITS, work.collect())
    });
    for (index, (ours, theirs)) in answers[0].iter().zip(&answers[1]).enumerate() {
        if reference["margin"][index].as_f64().unwrap() >= 1e-3 {
            assert_eq!(ours, theirs, "{}: prompt {index}", folder.display());
        }
    }
    let name = folder.file_name().unwrap().display();
    println!("{name}: logits within {worst:.1e} of candle-transformers, log-probabilities {logprob:.1e}");
}

#[test]
fn decoders_agree_with_candle_transformers() {
    DECODERS.iter().for_each(|(name, longest)| agree(&reference::fixture(name), *longest));
}

/// It scales by the size of a head and has windows in all layers or none: the fixture with such a scale, up to its window.
#[test]
fn gemma_2_agrees_up_to_its_window() {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(reference::fixture("gemma2")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = copy.path().join("config.json");
    let mut config = json(&path);
    config["query_pre_attn_scalar"] = config["head_dim"].clone();
    std::fs::write(&path, config.to_string()).unwrap();
    agree(copy.path(), 8);
}

/// Their fixtures have long factors and a layer without experts, which candle-transformers does not know.
#[test]
#[ignore = "needs ../shared (KARAT_SHARED): scripts/check_shared.sh"]
fn families_beside_agree_with_candle_transformers() {
    let models = reference::shared().join("reference/models");
    for name in ["phi3", "qwen3-moe", "llama", "qwen2", "qwen3", "mistral-window", "olmo2"] {
        let folder = models.join(name);
        let config = Config::read(&ModelFolder::new(&folder)).unwrap();
        agree(&folder, config.count("max_position_embeddings").unwrap().min(256));
    }
}

/// Families that only candle-transformers has, against transformers in float64.
#[test]
fn families_of_the_reference_backend_alone_agree_with_transformers() {
    for name in ["glm4", "helium"] {
        let folder = reference::fixture(name);
        assert!(reference::load_by(&folder, &options()).is_err(), "{name} is no longer of the reference backend alone");
        decoders::judge(&folder, &candle());
    }
}

/// What candle-transformers would compute otherwise than transformers is refused, with what it lacks.
#[test]
fn what_candle_transformers_computes_otherwise_is_refused() {
    for (name, words) in [
        ("gemma2", "scale of attention"),
        ("gemma3", "this family"),
        ("granite", "this family"),
        ("gpt2", "this family"),
        ("mixtral", "this family"),
        ("phi3-longrope", "`longrope` scaling"),
        ("qwen3-moe", "model.layers.1.mlp.gate.weight"),
        ("smollm3", "this family"),
        ("stablelm-parallel", "parallel blocks"),
    ] {
        let Err(error) = reference::load_by(&reference::fixture(name), &candle()) else { panic!("{name} is computed") };
        assert!(error.chain().contains(words), "{name}: {}", error.chain());
    }
    for name in ["mpnet-dense", "distilbert-3class", "modernbert-2class", "deberta-v2-conv"] {
        let folder = ModelFolder::new(reference::fixture(name));
        assert!(Embedder::open(&folder, Some(Pooling::Cls), false, &candle()).is_err(), "{name}");
    }
}

/// A plan reads headers alone, and refuses what loading would.
#[test]
fn headers_are_enough_to_refuse() {
    let check = |name: &str| {
        let folder = ModelFolder::new(reference::fixture(name));
        Plan::read(&folder, &Config::read(&folder).unwrap()).and_then(|plan| plan.check(&folder))
    };
    assert!(["llama", "helium", "glm4", "starcoder2"].into_iter().all(|name| check(name).is_ok()));
    assert!(check("qwen3-moe").is_err());
}

#[test]
fn encoders_agree_with_candle_transformers() {
    for name in ["bert", "bert-mean", "bert-cls", "xlm-roberta", "modernbert", "deberta-v3"] {
        let folder = reference::fixture(name);
        let reference = json(&folder.join("reference.json"));
        // Classifiers have pairs among their inputs, which embedders do not take.
        let inputs = reference["inputs"].as_array().unwrap().iter();
        let texts: Vec<String> = inputs.filter_map(|text| text.as_str().map(str::to_owned)).collect();
        assert!(texts.len() > 2, "{name}");
        // The library gives pooled vectors only; first token, last token and mean together see every row.
        let mut worst = 0.0;
        for pooling in [Pooling::Cls, Pooling::Last, Pooling::Mean] {
            let theirs = embed_by(&folder, Some(pooling), &texts, &candle());
            for (ours, theirs) in embed(&folder, Some(pooling), &texts).iter().zip(theirs) {
                let theirs: Vec<f64> = theirs.into_iter().map(f64::from).collect();
                worst = f64::max(worst, distance(ours, &theirs));
            }
        }
        println!("{name}: vectors within {worst:.1e} of candle-transformers");
        assert!(worst < 1e-4, "{name}: {worst}");
    }
}

/// Classifiers of the reference backend, against transformers.
#[test]
fn classifiers_of_candle_transformers_agree_with_transformers() {
    for name in ["bert-multilabel", "bert-2class", "roberta-reranker", "deberta-v3"] {
        encoders::logits(&reference::fixture(name), &candle());
    }
}
