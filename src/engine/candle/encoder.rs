//! The parametric encoder: whole texts packed back to back, attention within each, one vector or logit row per text.

use std::path::Path;

use super::activation::{self, Activation};
use super::attention::{self, AttentionShape};
use super::device::in_pool;
use super::linear::Linear;
use super::norm::{Norm, NormKind};
use super::ops;
use super::weights::Checkpoint;
use crate::engine::backend::{Encoded, EncoderBackend};
use crate::engine::options::DtypeChoice;
use crate::engine::request::Pooling;
use crate::error::{Error, Result};

/// What distinguishes encoder families.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderSpec {
    /// Number of token ids.
    pub vocab: usize,
    /// Width of the token vectors.
    pub hidden: usize,
    /// Width of the feed-forward block.
    pub intermediate: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Rows of the position table: the longest text.
    pub positions: usize,
    /// Rows of the segment table.
    pub token_types: usize,
    /// Epsilon of the layer norms.
    pub norm_eps: f32,
    /// Activation of the feed-forward block.
    pub activation: Activation,
}

struct Layer {
    query_key_value: Linear,
    output: Linear,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    feed_forward_norm: Norm,
}

/// What is made of the token vectors.
enum Head {
    Pool(Pooling),
    /// The pooler's dense layer with tanh on the first token, then the classifier.
    Classify {
        pooler: Linear,
        classifier: Linear,
    },
}

/// What to load on top of the encoder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HeadKind {
    /// One vector per text.
    Pool(Pooling),
    /// This many logits per text.
    Classify(usize),
}

/// An encoder with its weights.
pub struct Encoder {
    spec: EncoderSpec,
    words: candle_core::Tensor,
    positions: Vec<f32>,
    types: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    head: Head,
}

impl Encoder {
    /// Loads the weights of a folder.
    ///
    /// # Errors
    /// Weights that are missing, broken or do not fit the specification.
    pub fn load(folder: &Path, spec: EncoderSpec, dtype: DtypeChoice, head: HeadKind) -> Result<Self> {
        let weights = Checkpoint::open(folder, dtype)?;
        // Bare encoders keep their tensors at the top, models with heads under the family's name.
        let prefix = if weights.contains("bert.embeddings.word_embeddings.weight") { "bert." } else { "" };
        let loader = Loader { weights: &weights, prefix, spec: &spec };
        let width = spec.hidden;
        let table = |name: &str, rows: usize| weights.table(&format!("{prefix}embeddings.{name}.weight"), rows, width);
        let words = ops::matrix(table("word_embeddings", spec.vocab)?, spec.vocab, width)?;
        let positions = table("position_embeddings", spec.positions)?;
        let types = table("token_type_embeddings", spec.token_types)?;
        let norm = loader.norm("embeddings.LayerNorm")?;
        let layers = (0..spec.layers).map(|index| loader.layer(index)).collect::<Result<_>>()?;
        let head = match head {
            HeadKind::Pool(pooling) => Head::Pool(pooling),
            HeadKind::Classify(labels) => Head::Classify {
                pooler: loader.linear(&["pooler.dense"], width, width)?,
                classifier: weights.linear(&[("classifier", labels)], width, true)?,
            },
        };
        Ok(Self { spec, words, positions, types, norm, layers, head })
    }

    /// Token vectors of packed texts, `[tokens, hidden]`.
    fn hidden(&self, texts: &[&Encoded], lengths: &[usize]) -> Result<candle_core::Tensor> {
        let width = self.spec.hidden;
        let ids: Vec<usize> = texts.iter().flat_map(|t| &t.ids).map(|id| *id as usize).collect();
        let x = ops::gather(&self.words, &ids)?;
        let added: Vec<f32> = texts
            .iter()
            .flat_map(|text| text.types.iter().enumerate())
            .flat_map(|(position, kind)| {
                let position = &self.positions[position * width..(position + 1) * width];
                let kind = &self.types[*kind as usize * width..(*kind as usize + 1) * width];
                position.iter().zip(kind).map(|(a, b)| a + b)
            })
            .collect();
        ops::add(&x, &ops::matrix(added, ids.len(), width)?)?;
        let mut x = self.norm.forward(&x)?;
        let size = width / self.spec.heads;
        let scale = (1.0 / (size as f64).sqrt()) as f32;
        let shape = AttentionShape {
            queries: self.spec.heads,
            keys: self.spec.heads,
            size,
            scale,
            soft_cap: None,
            window: None,
        };
        for layer in &self.layers {
            let qkv = layer.query_key_value.forward(&x)?;
            layer.output.forward_add(&attention::bidirectional(&qkv, lengths, &shape)?, &x)?;
            x = layer.attention_norm.forward(&x)?;
            let up = layer.up.forward(&x)?;
            activation::activate(&up, self.spec.activation)?;
            layer.down.forward_add(&up, &x)?;
            x = layer.feed_forward_norm.forward(&x)?;
        }
        Ok(x)
    }

    fn check(&self, text: &Encoded) -> Result<()> {
        let spec = &self.spec;
        if text.ids.is_empty() || text.ids.len() > spec.positions || text.types.len() != text.ids.len() {
            return Err(Error::internal(format!("encode a text of {} tokens", text.ids.len())));
        }
        if let Some(id) = text.ids.iter().find(|id| **id as usize >= spec.vocab) {
            return Err(Error::input(format!("look up token {id} in an embedding of {} rows", spec.vocab))
                .with_hint("the tokenizer and the weights belong to different models"));
        }
        match text.types.iter().find(|t| **t as usize >= spec.token_types) {
            Some(kind) => {
                Err(Error::input(format!("use segment {kind} of a model with {} segments", spec.token_types))
                    .with_hint("this model does not take text pairs"))
            }
            None => Ok(()),
        }
    }
}

impl EncoderBackend for Encoder {
    fn width(&self) -> usize {
        match &self.head {
            Head::Pool(_) => self.spec.hidden,
            Head::Classify { classifier, .. } => classifier.outputs(),
        }
    }

    fn encode(&mut self, texts: &[&Encoded]) -> Result<Vec<Vec<f32>>> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        texts.iter().try_for_each(|text| self.check(text))?;
        in_pool(|| self.compute(texts))
    }
}

impl Encoder {
    fn compute(&self, texts: &[&Encoded]) -> Result<Vec<Vec<f32>>> {
        let lengths: Vec<usize> = texts.iter().map(|t| t.ids.len()).collect();
        let x = self.hidden(texts, &lengths)?;
        let rows = match &self.head {
            Head::Pool(pooling) => {
                return ops::with_values(&x, |values| pool(values, &lengths, self.spec.hidden, *pooling));
            }
            Head::Classify { pooler, classifier } => {
                let firsts: Vec<usize> = starts(&lengths).collect();
                let pooled = pooler.forward(&ops::gather(&x, &firsts)?)?;
                activation::activate(&pooled, Activation::Tanh)?;
                classifier.forward(&pooled)?
            }
        };
        let width = self.width();
        ops::with_values(&rows, |values| values.chunks_exact(width).map(<[f32]>::to_vec).collect())
    }
}

fn starts(lengths: &[usize]) -> impl Iterator<Item = usize> {
    lengths.iter().scan(0, |at, len| {
        *at += len;
        Some(*at - len)
    })
}

/// One vector per text; means add the tokens in order.
fn pool(values: &[f32], lengths: &[usize], width: usize, pooling: Pooling) -> Vec<Vec<f32>> {
    let row = |at: usize| &values[at * width..(at + 1) * width];
    let pool = |(start, len): (usize, &usize)| match pooling {
        Pooling::Cls => row(start).to_vec(),
        Pooling::Last => row(start + len - 1).to_vec(),
        Pooling::Mean => {
            let mut sum = row(start).to_vec();
            (start + 1..start + len).for_each(|at| ops::add_row(&mut sum, row(at)));
            let count = *len as f32;
            sum.iter_mut().for_each(|x| *x /= count);
            sum
        }
    };
    starts(lengths).zip(lengths).map(pool).collect()
}

/// Loads the parts of a BERT-shaped encoder.
struct Loader<'a> {
    weights: &'a Checkpoint,
    prefix: &'a str,
    spec: &'a EncoderSpec,
}

impl Loader<'_> {
    fn linear(&self, parts: &[&str], inputs: usize, outputs: usize) -> Result<Linear> {
        let names: Vec<String> = parts.iter().map(|part| format!("{}{part}", self.prefix)).collect();
        let parts: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), outputs)).collect();
        self.weights.linear(&parts, inputs, true)
    }

    /// A LayerNorm; checkpoints converted from TensorFlow call its weights gamma and beta.
    fn norm(&self, name: &str) -> Result<Norm> {
        let width = self.spec.hidden;
        let name = format!("{}{name}", self.prefix);
        let old = self.weights.contains(&format!("{name}.gamma"));
        let (weight, bias) = if old { ("gamma", "beta") } else { ("weight", "bias") };
        Ok(Norm {
            kind: NormKind::Layer,
            weight: self.weights.vector(&format!("{name}.{weight}"), width)?,
            bias: Some(self.weights.vector(&format!("{name}.{bias}"), width)?),
            eps: self.spec.norm_eps,
        })
    }

    fn layer(&self, index: usize) -> Result<Layer> {
        let (width, inner) = (self.spec.hidden, self.spec.intermediate);
        let name = |part: &str| format!("encoder.layer.{index}.{part}");
        let (q, k, v) = (name("attention.self.query"), name("attention.self.key"), name("attention.self.value"));
        Ok(Layer {
            query_key_value: self.linear(&[&q, &k, &v], width, width)?,
            output: self.linear(&[&name("attention.output.dense")], width, width)?,
            attention_norm: self.norm(&name("attention.output.LayerNorm"))?,
            up: self.linear(&[&name("intermediate.dense")], width, inner)?,
            down: self.linear(&[&name("output.dense")], inner, width)?,
            feed_forward_norm: self.norm(&name("output.LayerNorm"))?,
        })
    }
}
