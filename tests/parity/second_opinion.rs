//! candle-transformers as a second opinion: another implementation of the same families on the same weights.
//!
//! Where its implementation departs from transformers, the comparison says so and works around it:
//!
//! - its Llama has no `head_dim` of its own and reads only the old spelling of the rotary options, so the configuration
//!   is filled in here; the fixtures' head sizes are hidden / heads, which it assumes;
//! - its Mistral lets a token see `sliding_window` tokens before itself, transformers one less (the window counts the
//!   token itself), so it is given a window one smaller;
//! - its Qwen2 wants numbers where newer files have `null`; without a window they are not looked at;
//! - of encoders, MPNet is not there, and DistilBERT is left out: its GELU is the approximation by tanh there, transformers'
//!   has erf; DeBERTa with token vectors of another width than its layers it does not load;
//! - its rotary tables are computed in float32, karat's in float64, which stays far below the tolerance.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::{Activation, VarBuilder};
use candle_transformers::models::{bert, debertav2, llama, mistral, modernbert, qwen2, qwen3, xlm_roberta};
use karat::engine::Pooling;
use karat::engine::models::identity::ModelFolder;
use karat::engine::models::weight_files;
use serde_json::Value;

use crate::reference::{self, distance, embed, ids, json, last_logits};

/// A configuration, with the rotary base where the old spelling has it.
struct Config(Value);

impl Config {
    fn read(folder: &Path) -> Self {
        Self(json(&folder.join("config.json")))
    }

    fn count(&self, key: &str) -> usize {
        self.0[key].as_u64().unwrap_or_else(|| panic!("no {key}")) as usize
    }

    fn theta(&self) -> f64 {
        self.0["rope_theta"].as_f64().or(self.0["rope_parameters"]["rope_theta"].as_f64()).unwrap()
    }

    fn norm(&self) -> f64 {
        self.0["rms_norm_eps"].as_f64().unwrap()
    }

    fn tied(&self) -> bool {
        self.0["tie_word_embeddings"].as_bool().unwrap()
    }
}

/// The folder's weights in float32.
fn weights(folder: &Path) -> VarBuilder<'static> {
    let parts = weight_files(&ModelFolder::new(folder)).unwrap();
    let mut tensors = std::collections::HashMap::new();
    for part in parts {
        tensors.extend(candle_core::safetensors::load(folder.join(part), &Device::Cpu).unwrap());
    }
    VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu)
}

/// The last logits of a prompt `[1, tokens]`.
type Answers = Box<dyn FnMut(&Tensor) -> candle_core::Result<Tensor>>;
/// A family's model of a folder.
type Load = fn(&Path) -> Answers;

fn llama(folder: &Path) -> Answers {
    let config = Config::read(folder);
    let scaling = config.0.get("rope_scaling").filter(|scaling| !scaling.is_null());
    let config = llama::Config {
        hidden_size: config.count("hidden_size"),
        intermediate_size: config.count("intermediate_size"),
        vocab_size: config.count("vocab_size"),
        num_hidden_layers: config.count("num_hidden_layers"),
        num_attention_heads: config.count("num_attention_heads"),
        num_key_value_heads: config.count("num_key_value_heads"),
        use_flash_attn: false,
        rms_norm_eps: config.norm(),
        rope_theta: config.theta() as f32,
        bos_token_id: None,
        eos_token_id: None,
        rope_scaling: scaling.map(|scaling| serde_json::from_value(scaling.clone()).unwrap()),
        max_position_embeddings: config.count("max_position_embeddings"),
        tie_word_embeddings: config.tied(),
    };
    let model = llama::Llama::load(weights(folder), &config).unwrap();
    Box::new(move |prompt| {
        let mut cache = llama::Cache::new(false, DType::F32, &config, &Device::Cpu)?;
        model.forward(prompt, 0, &mut cache)
    })
}

fn mistral(folder: &Path) -> Answers {
    let config = Config::read(folder);
    let config = mistral::Config {
        vocab_size: config.count("vocab_size"),
        hidden_size: config.count("hidden_size"),
        intermediate_size: config.count("intermediate_size"),
        num_hidden_layers: config.count("num_hidden_layers"),
        num_attention_heads: config.count("num_attention_heads"),
        head_dim: Some(config.count("head_dim")),
        num_key_value_heads: config.count("num_key_value_heads"),
        hidden_act: Activation::Silu,
        max_position_embeddings: config.count("max_position_embeddings"),
        rms_norm_eps: config.norm(),
        rope_theta: config.theta(),
        sliding_window: Some(config.count("sliding_window") - 1),
        use_flash_attn: false,
    };
    let mut model = mistral::Model::new(&config, weights(folder)).unwrap();
    Box::new(move |prompt| {
        model.clear_kv_cache();
        model.forward(prompt, 0)
    })
}

fn qwen2(folder: &Path) -> Answers {
    let config = Config::read(folder);
    assert_eq!(config.0["use_sliding_window"], false);
    let positions = config.count("max_position_embeddings");
    let config = qwen2::Config {
        vocab_size: config.count("vocab_size"),
        hidden_size: config.count("hidden_size"),
        intermediate_size: config.count("intermediate_size"),
        num_hidden_layers: config.count("num_hidden_layers"),
        num_attention_heads: config.count("num_attention_heads"),
        num_key_value_heads: config.count("num_key_value_heads"),
        max_position_embeddings: positions,
        // It masks by this number even without a window.
        sliding_window: positions,
        max_window_layers: config.count("max_window_layers"),
        tie_word_embeddings: config.tied(),
        rope_theta: config.theta(),
        rms_norm_eps: config.norm(),
        use_sliding_window: false,
        hidden_act: Activation::Silu,
    };
    let mut model = qwen2::ModelForCausalLM::new(&config, weights(folder)).unwrap();
    Box::new(move |prompt| {
        model.clear_kv_cache();
        model.forward(prompt, 0)
    })
}

fn qwen3(folder: &Path) -> Answers {
    let config = Config::read(folder);
    let config = qwen3::Config {
        vocab_size: config.count("vocab_size"),
        hidden_size: config.count("hidden_size"),
        intermediate_size: config.count("intermediate_size"),
        num_hidden_layers: config.count("num_hidden_layers"),
        num_attention_heads: config.count("num_attention_heads"),
        head_dim: config.count("head_dim"),
        attention_bias: config.0["attention_bias"].as_bool().unwrap(),
        num_key_value_heads: config.count("num_key_value_heads"),
        max_position_embeddings: config.count("max_position_embeddings"),
        sliding_window: None,
        max_window_layers: config.count("max_window_layers"),
        tie_word_embeddings: config.tied(),
        rope_theta: config.theta(),
        rms_norm_eps: config.norm(),
        use_sliding_window: false,
        hidden_act: Activation::Silu,
    };
    let mut model = qwen3::ModelForCausalLM::new(&config, weights(folder)).unwrap();
    Box::new(move |prompt| {
        model.clear_kv_cache();
        model.forward(prompt, 0)
    })
}

#[test]
fn decoders_agree_with_candle_transformers() {
    let families: [(&str, Load); 5] =
        [("llama", llama), ("llama3-rope", llama), ("mistral-window", mistral), ("qwen2", qwen2), ("qwen3", qwen3)];
    for (name, family) in families {
        let folder = reference::fixture(name);
        let prompts: Vec<Vec<u32>> =
            json(&folder.join("reference.json"))["prompts"].as_array().unwrap().iter().map(ids).collect();
        let ours = last_logits(&mut *reference::load(&folder), &prompts);
        let mut theirs = family(&folder);
        let mut worst = 0.0;
        for (prompt, ours) in prompts.iter().zip(&ours) {
            let prompt = Tensor::new(prompt.as_slice(), &Device::Cpu).unwrap().unsqueeze(0).unwrap();
            let theirs: Vec<f32> = theirs(&prompt).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            let theirs: Vec<f64> = theirs.into_iter().map(f64::from).collect();
            let distance = distance(ours, &theirs);
            assert!(distance < 1e-3, "{name}, prompt of {}: {distance}", prompt.elem_count());
            worst = f64::max(worst, distance);
        }
        println!("{name}: logits within {worst:.1e} of candle-transformers");
    }
}

/// A family's token vectors, `[1, tokens, hidden]`, of a text `[1, tokens]`.
type Encode = fn(Value, VarBuilder, &Tensor) -> candle_core::Result<Tensor>;

const ENCODERS: [(&str, Encode); 6] = [
    ("bert", bert),
    ("bert-mean", bert),
    ("bert-cls", bert),
    ("xlm-roberta", |mut config, weights, tokens| {
        config["position_embedding_type"] = "absolute".into();
        let model = xlm_roberta::XLMRobertaModel::new(&serde_json::from_value(config).unwrap(), weights)?;
        model.forward(tokens, &tokens.ones_like()?, &tokens.zeros_like()?, None, None, None)
    }),
    ("modernbert", |mut config, weights, tokens| {
        let thetas = config["rope_parameters"].clone();
        config["global_rope_theta"] = thetas["full_attention"]["rope_theta"].clone();
        config["local_rope_theta"] = thetas["sliding_attention"]["rope_theta"].clone();
        config["layer_norm_eps"] = config["norm_eps"].clone();
        let weights = weights.rename_f(|name| name.trim_start_matches("model.").to_owned());
        modernbert::ModernBert::load(weights, &serde_json::from_value(config).unwrap())?
            .forward(tokens, &tokens.ones_like()?)
    }),
    ("deberta-v3", |config, weights, tokens| {
        debertav2::DebertaV2Model::load(weights.pp("deberta"), &serde_json::from_value(config).unwrap())?
            .forward(tokens, None, None)
    }),
];

fn bert(config: Value, weights: VarBuilder, tokens: &Tensor) -> candle_core::Result<Tensor> {
    bert::BertModel::load(weights, &serde_json::from_value(config).unwrap())?.forward(
        tokens,
        &tokens.zeros_like()?,
        None,
    )
}

#[test]
fn encoders_agree_with_candle_transformers() {
    for (name, family) in ENCODERS {
        let folder = reference::fixture(name);
        let reference = json(&folder.join("reference.json"));
        // Classifiers have pairs among their inputs, which embedders do not take.
        let inputs = reference["inputs"].as_array().unwrap().iter().zip(reference["ids"].as_array().unwrap());
        let (texts, tokens): (Vec<String>, Vec<Vec<u32>>) =
            inputs.filter_map(|(text, tokens)| Some((text.as_str()?.to_owned(), ids(tokens)))).unzip();
        assert!(texts.len() > 2, "{name}");
        // The library gives pooled vectors only; first token, last token and mean together see every row.
        let poolings = [Pooling::Cls, Pooling::Last, Pooling::Mean];
        let ours = poolings.map(|pooling| embed(&folder, Some(pooling), &texts));
        let normalised = ["bert-mean", "xlm-roberta"].contains(&name);
        let mut worst = 0.0;
        for (index, tokens) in tokens.iter().enumerate() {
            let tokens = Tensor::new(tokens.as_slice(), &Device::Cpu).unwrap().unsqueeze(0).unwrap();
            let hidden = family(json(&folder.join("config.json")), weights(&folder), &tokens).unwrap();
            let rows: Vec<Vec<f32>> = hidden.squeeze(0).unwrap().to_vec2().unwrap();
            let wide = |row: &[f32]| row.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
            let mean = (0..rows[0].len())
                .map(|i| rows.iter().map(|row| f64::from(row[i])).sum::<f64>() / rows.len() as f64)
                .collect();
            let theirs = [wide(&rows[0]), wide(&rows[rows.len() - 1]), mean];
            for (ours, mut theirs) in ours.iter().zip(theirs) {
                if normalised {
                    let length = theirs.iter().map(|x| x * x).sum::<f64>().sqrt();
                    theirs.iter_mut().for_each(|x| *x /= length);
                }
                let distance = distance(&ours[index], &theirs);
                assert!(distance < 1e-4, "{name}, text {index}: {distance}");
                worst = f64::max(worst, distance);
            }
        }
        println!("{name}: vectors within {worst:.1e} of candle-transformers");
    }
}
