//! An encoder of candle-transformers as a backend: one text at a time, pooled by the engine's own code.
//!
//! Not here: MPNet, which candle-transformers does not have, and DistilBERT, whose GELU is the approximation there.

use candle_core::{D, Device, Error as CandleError, Module, Result as CandleResult, Tensor};
use candle_nn::{LayerNorm, Linear, VarBuilder};
use candle_transformers::models::{bert, debertav2, modernbert, xlm_roberta};
use serde_json::{Value, json};

use super::settings::{refuse_gguf, refused};
use super::weights::Weights;
use crate::cpu::{Activation, Rows, pooling, unit_length};
use crate::error::{Error, Result};
use crate::models::EncoderSpec;
use crate::models::families::Config;
use crate::models::model_folder::ModelFolder;
use crate::models::weights::Checkpoint;
use crate::models::{HeadKind, StageSpec};
use crate::options::DtypeChoice;
use crate::request::Pooling;
use crate::scheduler::backend::{Encoded, EncoderBackend};

/// Token vectors, `[1, tokens, hidden]`, of the ids and segments of a text, `[1, tokens]`.
type Model = Box<dyn Fn(&Tensor, &Tensor) -> CandleResult<Tensor> + Send>;

/// A family's model of a configuration and weights.
type Load = fn(Value, VarBuilder<'_>) -> CandleResult<Model>;

/// An encoder of candle-transformers with its weights.
///
/// # Errors
/// The family is not known, or asks for what candle-transformers does not have; weights that are missing or broken, or that it
/// would leave unread.
pub(crate) fn encoder(
    folder: &ModelFolder,
    config: &Config,
    spec: &EncoderSpec,
    head: HeadKind,
) -> Result<Box<dyn EncoderBackend>> {
    let load = family(folder, config)?;
    let weights = Weights::new(Checkpoint::open(folder, DtypeChoice::F32)?);
    let model = model(load, &weights, config, spec)?;
    let head = Head::load(&weights, spec, head)?;
    Ok(Box::new(Encoder { model, head, hidden: spec.hidden }))
}

/// Holds the headers of the weights against the encoder.
///
/// # Errors
/// Those of [`encoder`], the head's aside.
pub(crate) fn check_encoder(folder: &ModelFolder, config: &Config, spec: &EncoderSpec) -> Result<()> {
    let load = family(folder, config)?;
    model(load, &Weights::new(Checkpoint::headers(folder)?), config, spec).map(drop)
}

fn family(folder: &ModelFolder, config: &Config) -> Result<Load> {
    refuse_gguf(folder)?;
    match config.model_type()? {
        "bert" => Ok(load_bert),
        "roberta" | "xlm-roberta" => Ok(load_roberta),
        "modernbert" => Ok(load_modernbert),
        "deberta-v2" => Ok(load_deberta),
        _ => Err(refused(config, "model of this family that computes as transformers does")
            .with_hint("the reference backend embeds with bert, deberta-v2, modernbert, roberta, xlm-roberta")),
    }
}

fn model(load: Load, weights: &Weights, config: &Config, spec: &EncoderSpec) -> Result<Model> {
    let (name, names) = (config.model_type()?, &spec.names);
    let prefixed = weights.checkpoint().contains(&format!("{}{}.weight", names.prefix, names.words));
    let builder = match (name, prefixed) {
        // It writes its prefix itself, which the names of bare models are found without.
        ("modernbert", _) | (_, false) => weights.builder(),
        _ => weights.builder().pp(names.prefix.trim_end_matches('.')),
    };
    let model = load(settings(config, spec)?, builder).map_err(|error| weights.failure(error, name))?;
    let layer = format!("{}.", names.layer);
    match weights.unread().iter().find(|tensor| tensor.contains(&layer)) {
        Some(tensor) => Err(refused(config, format!("place for tensor `{tensor}`"))),
        None => Ok(model),
    }
}

/// The configuration as candle-transformers reads it: the file's, with what it may leave out.
fn settings(config: &Config, spec: &EncoderSpec) -> Result<Value> {
    let mut map = config.object();
    let thetas: [Option<&Value>; 2] = ["full_attention", "sliding_attention"]
        .map(|kind| config.get("rope_parameters").and_then(|options| options.get(kind)?.get("rope_theta")));
    let every = config.optional_count("global_attn_every_n_layers")?.unwrap_or(3).max(1);
    let turns = |(index, window): (usize, &Option<usize>)| window.is_none() == index.is_multiple_of(every);
    if config.model_type()? == "modernbert" {
        if !spec.windows.iter().enumerate().all(turns) {
            return Err(refused(config, "layers with windows but in turns"));
        }
        if spec.activation != Activation::Gelu {
            return Err(refused(config, "activation but `gelu` in this family"));
        }
    }
    let defaults = json!({
        "attention_probs_dropout_prob": 0.0,
        "global_attn_every_n_layers": every,
        "global_rope_theta": thetas[0].unwrap_or(&json!(160_000.0)),
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.0,
        "initializer_range": 0.02,
        "layer_norm_eps": map.get("norm_eps").unwrap_or(&json!(spec.norm_eps)),
        "local_attention": 128,
        "local_rope_theta": thetas[1].unwrap_or(&json!(10_000.0)),
        "pad_token_id": 0,
        "position_embedding_type": "absolute",
        "type_vocab_size": spec.token_types,
    });
    for (key, value) in defaults.as_object().into_iter().flatten() {
        if map.get(key).is_none_or(Value::is_null) {
            map.insert(key.clone(), value.clone());
        }
    }
    Ok(Value::Object(map))
}

fn load_bert(config: Value, weights: VarBuilder<'_>) -> CandleResult<Model> {
    let model = bert::BertModel::load(weights, &serde_json::from_value(config).map_err(CandleError::wrap)?)?;
    Ok(Box::new(move |ids, types| model.forward(ids, types, None)))
}

fn load_roberta(config: Value, weights: VarBuilder<'_>) -> CandleResult<Model> {
    let config = serde_json::from_value(config).map_err(CandleError::wrap)?;
    let model = xlm_roberta::XLMRobertaModel::new(&config, weights)?;
    Ok(Box::new(move |ids, _| model.forward(ids, &ids.ones_like()?, &ids.zeros_like()?, None, None, None)))
}

fn load_modernbert(config: Value, weights: VarBuilder<'_>) -> CandleResult<Model> {
    let model = modernbert::ModernBert::load(weights, &serde_json::from_value(config).map_err(CandleError::wrap)?)?;
    Ok(Box::new(move |ids, _| model.forward(ids, &ids.ones_like()?)))
}

fn load_deberta(config: Value, weights: VarBuilder<'_>) -> CandleResult<Model> {
    let config = serde_json::from_value(config).map_err(CandleError::wrap)?;
    let model = debertav2::DebertaV2Model::load(weights, &config)?;
    Ok(Box::new(move |ids, types| model.forward(ids, Some(types.clone()), None)))
}

/// What is made of the token vectors.
struct Head {
    pooling: Pooling,
    /// Whether the tokens of a prompt do not count.
    skips: bool,
    steps: Vec<Stage>,
    width: usize,
}

enum Stage {
    Product(Linear),
    Activation(Activation),
    Norm(LayerNorm),
    Normalize,
}

impl Head {
    fn load(weights: &Weights, spec: &EncoderSpec, kind: HeadKind) -> Result<Self> {
        match kind {
            HeadKind::Pool(pooling, stages) => Self::pooled(weights, spec.hidden, pooling, stages),
            HeadKind::Classify(labels) => {
                Self::classifier(weights, spec, labels).map_err(|error| weights.failure(error, "classifier"))
            }
        }
    }

    /// The modules of a sentence-transformers folder.
    fn pooled(weights: &Weights, mut width: usize, pooling: Pooling, stages: Vec<StageSpec>) -> Result<Self> {
        let mut steps = Vec::new();
        for stage in stages {
            let StageSpec::Dense { weights: file, inputs, outputs, bias, activation } = stage else {
                steps.push(Stage::Normalize);
                continue;
            };
            let module = Weights::new(weights.checkpoint().beside(&file)?);
            let product = candle_nn::linear_b(inputs, outputs, bias, module.builder().pp("linear"));
            steps.push(Stage::Product(product.map_err(|error| module.failure(error, "Dense"))?));
            steps.extend(activation.map(Stage::Activation));
            width = outputs;
        }
        Ok(Self { pooling, skips: true, steps, width })
    }

    fn classifier(weights: &Weights, spec: &EncoderSpec, labels: usize) -> CandleResult<Self> {
        let (head, hidden) = (&spec.classifier, spec.hidden);
        let builder = weights.builder();
        // First: a model without a head is told by what every head has.
        let output = candle_nn::linear(hidden, labels, builder.pp(head.output))?;
        let dense = candle_nn::linear_b(hidden, hidden, head.dense_bias, builder.pp(head.dense))?;
        let mut steps = vec![Stage::Product(dense), Stage::Activation(head.activation)];
        if let Some(name) = head.norm {
            let norm = candle_nn::LayerNormConfig {
                eps: f64::from(spec.norm_eps),
                affine: spec.norm_bias,
                ..Default::default()
            };
            steps.push(Stage::Norm(candle_nn::layer_norm(hidden, norm, builder.pp(name))?));
        }
        steps.push(Stage::Product(output));
        Ok(Self { pooling: head.pooling, skips: false, steps, width: labels })
    }

    /// What it makes of a pooled row.
    fn apply(&self, row: Vec<f32>) -> CandleResult<Vec<f32>> {
        let width = row.len();
        let mut row = Tensor::from_vec(row, (1, width), &Device::Cpu)?;
        for step in &self.steps {
            row = match step {
                Stage::Product(product) => product.forward(&row)?,
                Stage::Norm(norm) => norm.forward(&row)?,
                Stage::Activation(activation) => activate(&row, *activation)?,
                Stage::Normalize => {
                    let mut values: Vec<f32> = row.flatten_all()?.to_vec1()?;
                    unit_length(&mut values);
                    Tensor::from_vec(values, row.shape(), &Device::Cpu)?
                }
            };
        }
        row.flatten_all()?.to_vec1()
    }
}

fn activate(row: &Tensor, activation: Activation) -> CandleResult<Tensor> {
    match activation {
        Activation::Silu => row.silu(),
        Activation::Gelu => row.gelu_erf(),
        Activation::GeluTanh => row.gelu(),
        Activation::Relu => row.relu(),
        Activation::Tanh => row.tanh(),
    }
}

struct Encoder {
    model: Model,
    head: Head,
    hidden: usize,
}

impl Encoder {
    fn text(&self, text: &Encoded) -> CandleResult<Vec<f32>> {
        let row = |values: &[u32]| Tensor::new(values, &Device::Cpu)?.unsqueeze(0);
        let vectors = (self.model)(&row(&text.ids)?, &row(&text.types)?)?;
        debug_assert_eq!(vectors.dim(D::Minus1)?, self.hidden);
        let vectors = Rows::new(vectors.flatten_all()?.to_vec1()?, self.hidden);
        let skipped = if self.head.skips { text.skipped } else { 0 };
        let pooled = pooling::pool(&vectors, &[text.ids.len()], &[skipped], self.head.pooling);
        self.head.apply(pooled.concat())
    }
}

impl EncoderBackend for Encoder {
    fn width(&self) -> usize {
        self.head.width
    }

    fn encode(&mut self, texts: &[&Encoded]) -> Result<Vec<Vec<f32>>> {
        let told = |error| Error::internal("failed to compute with candle-transformers").caused_by(error);
        texts.iter().map(|text| self.text(text).map_err(told)).collect()
    }
}
