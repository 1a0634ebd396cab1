//! The parametric encoder: whole texts packed back to back, attention within each, one vector or logit row per text.

use std::sync::Arc;

use super::activation::{self, Activation};
use super::attention::{self, AttentionShape};
use super::linear::Linear;
use super::norm::Norm;
use super::pooling;
use super::relative::Bias;
use super::rotary::{self, HeadNorm, Heads, RopeRows};
use super::rows::Rows;
use crate::device::in_pool;
use crate::error::{Error, Result};
use crate::models::encoder_spec::{EncoderSpec, Learned};
use crate::request::Pooling;
use crate::scheduler::backend::{Encoded, EncoderBackend};

/// What is made of the token vectors.
pub(crate) enum Head {
    Pool { pooling: Pooling, stages: Vec<Stage> },
    Classify { pooling: Pooling, dense: Linear, activation: Activation, norm: Option<Norm>, output: Linear },
}

/// What a sentence-transformers folder does to a pooled vector.
pub(crate) enum Stage {
    /// A product and what follows it.
    Dense(Linear, Option<Activation>),
    /// Length one.
    Normalize,
}

/// The weights of one layer.
pub(crate) struct Layer {
    pub query_key_value: Linear,
    pub output: Linear,
    pub attention_norm: Option<Norm>,
    pub up: Linear,
    pub down: Linear,
    pub feed_forward_norm: Norm,
    pub bias: Option<Arc<Bias>>,
}

/// A convolution along each text, as a product over the values of neighbouring tokens.
pub(crate) struct Convolution {
    pub product: Linear,
    pub kernel: usize,
    pub activation: Activation,
    /// Norm of its sum with the first layer's output.
    pub norm: Norm,
}

impl Convolution {
    /// `[tokens, hidden]` -> `[tokens, hidden]`; beyond a text's ends are zeros.
    pub fn forward(&self, x: &Rows, lengths: &[usize]) -> Rows {
        let width = x.columns();
        let mut wide = Rows::zeros(x.rows(), self.kernel * width);
        let mut start = 0;
        for len in lengths {
            for (token, tap) in (0..*len).flat_map(|token| (0..self.kernel).map(move |tap| (token, tap))) {
                if let Some(from) = (token + tap).checked_sub(self.kernel / 2).filter(|from| from < len) {
                    let to = ((start + token) * self.kernel + tap) * width;
                    let from = &x.values()[(start + from) * width..][..width];
                    wide.values_mut()[to..to + width].copy_from_slice(from);
                }
            }
            start += len;
        }
        let mut out = self.product.forward(&wide);
        activation::activate(&mut out, self.activation);
        out
    }
}

/// An encoder with its weights.
pub struct Encoder {
    pub(crate) spec: EncoderSpec,
    /// `[vocab, embedding]`
    pub(crate) words: Rows,
    pub(crate) positions: Vec<f32>,
    pub(crate) types: Vec<f32>,
    pub(crate) projection: Option<Linear>,
    pub(crate) norm: Norm,
    pub(crate) layers: Vec<Layer>,
    pub(crate) convolution: Option<Convolution>,
    pub(crate) last_norm: Option<Norm>,
    pub(crate) head: Head,
}

impl Encoder {
    /// Vectors added to the word vectors, `[tokens, embedding]`, where the model has any.
    fn added(&self, texts: &[&Encoded]) -> Option<Rows> {
        let spec = &self.spec;
        let width = spec.embedding;
        if spec.learned == Learned::None && spec.token_types == 0 {
            return None;
        }
        let row = |table: &[f32], row: usize, at: usize| table.get(row * width + at).copied().unwrap_or(0.0);
        let mut added = Vec::with_capacity(texts.iter().map(|t| t.ids.len()).sum::<usize>() * width);
        for text in texts {
            let kinds = text.types.iter().map(|kind| if spec.segments { *kind as usize } else { 0 });
            for (position, kind) in positions(spec.learned, &text.ids).into_iter().zip(kinds) {
                added.extend((0..width).map(|at| row(&self.positions, position, at) + row(&self.types, kind, at)));
            }
        }
        Some(Rows::new(added, width))
    }

    /// Token vectors before the first layer, `[tokens, hidden]`.
    fn embedded(&self, texts: &[&Encoded]) -> Rows {
        let ids: Vec<usize> = texts.iter().flat_map(|t| &t.ids).map(|id| *id as usize).collect();
        let mut x = self.words.gather(&ids);
        if let Some(added) = self.added(texts) {
            x.add(&added);
        }
        match &self.projection {
            Some(projection) => self.norm.forward(&projection.forward(&x)),
            None => self.norm.forward(&x),
        }
    }

    /// Token vectors of packed texts, `[tokens, hidden]`.
    fn hidden(&self, texts: &[&Encoded], lengths: &[usize]) -> Rows {
        let spec = &self.spec;
        let (heads, size) = (spec.heads, spec.head_size());
        let positions: Vec<usize> = lengths.iter().flat_map(|len| 0..*len).collect();
        let usual = vec![0; positions.len()];
        let rotations = spec.rotations.as_ref();
        let rotations = rotations.map(|both| both.each_ref().map(|rope| RopeRows::new(&positions, &usual, rope)));
        let no_norm = HeadNorm::Each(Vec::new());
        let mut x = self.embedded(texts);
        let convolved = self.convolution.as_ref().map(|c| c.forward(&x, lengths));
        for (index, (layer, window)) in self.layers.iter().zip(&spec.windows).enumerate() {
            let mut qkv = match &layer.attention_norm {
                Some(norm) if spec.norms_before => layer.query_key_value.forward_made(&x, |x, to| norm.row_into(x, to)),
                _ => layer.query_key_value.forward(&x),
            };
            if let Some(rotations) = &rotations {
                let heads = Heads { queries: heads, keys: heads, size, query_norm: &no_norm, key_norm: &no_norm };
                rotary::prepare_heads(&mut qkv, &heads, Some(&rotations[usize::from(window.is_some())]));
            }
            let shape = AttentionShape {
                queries: heads,
                keys: heads,
                size,
                scale: spec.scale,
                soft_cap: None,
                window: *window,
            };
            let attended = attention::bidirectional(&qkv, lengths, &shape, layer.bias.as_deref());
            layer.output.forward_add(&attended, &mut x);
            if let Some(norm) = layer.attention_norm.as_ref().filter(|_| !spec.norms_before) {
                x = norm.forward(&x);
            }
            self.feed_forward(layer, &mut x);
            if !spec.norms_before {
                x = layer.feed_forward_norm.forward(&x);
            }
            if let (0, Some(convolution), Some(convolved)) = (index, &self.convolution, &convolved) {
                x.add(convolved);
                x = convolution.norm.forward(&x);
            }
        }
        match &self.last_norm {
            Some(norm) => norm.forward(&x),
            None => x,
        }
    }

    /// `x += feed-forward(x)`.
    fn feed_forward(&self, layer: &Layer, x: &mut Rows) {
        let activation = self.spec.activation;
        let mut up = if self.spec.norms_before {
            layer.up.forward_made(x, |x, to| layer.feed_forward_norm.row_into(x, to))
        } else {
            layer.up.forward(x)
        };
        if self.spec.gated {
            return layer.down.forward_made_add(&up, |x, to| activation::gated_row(x, to, activation), x);
        }
        activation::activate(&mut up, activation);
        layer.down.forward_add(&up, x);
    }

    pub(crate) fn check(&self, text: &Encoded) -> Result<()> {
        let spec = &self.spec;
        if text.ids.is_empty() || text.ids.len() > spec.positions || text.types.len() != text.ids.len() {
            return Err(Error::internal(format!("failed to encode a text of {} tokens", text.ids.len())));
        }
        if let Some(id) = text.ids.iter().find(|id| **id as usize >= spec.vocab) {
            return Err(Error::input(format!("token {id} is outside the embedding table ({} rows)", spec.vocab))
                .with_hint("the tokenizer and the weights belong to different models"));
        }
        match text.types.iter().find(|t| spec.segments && **t as usize >= spec.token_types) {
            Some(kind) => {
                Err(Error::input(format!("segment {kind} is outside the model's {} segments", spec.token_types))
                    .with_hint("this model does not take text pairs"))
            }
            None => Ok(()),
        }
    }

    fn compute(&self, texts: &[&Encoded]) -> Vec<Vec<f32>> {
        let lengths: Vec<usize> = texts.iter().map(|t| t.ids.len()).collect();
        let (pooling, skipped) = self.pooling(texts);
        self.finish(pooling::pool(&self.hidden(texts, &lengths), &lengths, &skipped, pooling))
    }

    /// How token vectors become one row for each text, and how many tokens of each do not count.
    pub(crate) fn pooling(&self, texts: &[&Encoded]) -> (Pooling, Vec<usize>) {
        match &self.head {
            Head::Pool { pooling, .. } => (*pooling, texts.iter().map(|text| text.skipped).collect()),
            Head::Classify { pooling, .. } => (*pooling, vec![0; texts.len()]),
        }
    }

    /// What the head makes of the pooled rows.
    pub(crate) fn finish(&self, pooled: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        match &self.head {
            Head::Pool { stages, .. } => stages.iter().fold(pooled, |rows, stage| stage.apply(rows)),
            Head::Classify { dense, activation, norm, output, .. } => {
                let mut pooled = dense.forward(&joined(&pooled));
                activation::activate(&mut pooled, *activation);
                split(&match norm {
                    Some(norm) => output.forward(&norm.forward(&pooled)),
                    None => output.forward(&pooled),
                })
            }
        }
    }
}

impl Stage {
    fn apply(&self, mut rows: Vec<Vec<f32>>) -> Vec<Vec<f32>> {
        match self {
            Self::Normalize => rows.iter_mut().for_each(|row| pooling::unit_length(row)),
            Self::Dense(dense, activation) => {
                let mut out = dense.forward(&joined(&rows));
                if let Some(activation) = activation {
                    activation::activate(&mut out, *activation);
                }
                rows = split(&out);
            }
        }
        rows
    }
}

/// The vectors of at least one text as one matrix.
fn joined(vectors: &[Vec<f32>]) -> Rows {
    Rows::new(vectors.concat(), vectors[0].len())
}

/// A matrix as its rows.
fn split(matrix: &Rows) -> Vec<Vec<f32>> {
    matrix.iter().map(<[f32]>::to_vec).collect()
}

/// The row of the position table for every token of a text.
pub(crate) fn positions(learned: Learned, ids: &[u32]) -> Vec<usize> {
    let Learned::After(padding) = learned else { return (0..ids.len()).collect() };
    let mut last = padding as usize;
    let position = |id: &u32| {
        if *id == padding {
            return padding as usize;
        }
        last += 1;
        last
    };
    ids.iter().map(position).collect()
}

impl EncoderBackend for Encoder {
    fn width(&self) -> usize {
        let of_stage = |stage: &Stage| match stage {
            Stage::Dense(dense, _) => Some(dense.outputs()),
            Stage::Normalize => None,
        };
        match &self.head {
            Head::Pool { stages, .. } => stages.iter().rev().find_map(of_stage).unwrap_or(self.spec.hidden),
            Head::Classify { output, .. } => output.outputs(),
        }
    }

    fn encode(&mut self, texts: &[&Encoded]) -> Result<Vec<Vec<f32>>> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        texts.iter().try_for_each(|text| self.check(text))?;
        Ok(in_pool(|| self.compute(texts)))
    }
}
