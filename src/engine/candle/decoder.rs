//! The parametric decoder: one pass over the packed tokens of a step.
//!
//! A [`DecoderSpec`] says what distinguishes the families; there is one forward pass. Activations are `[tokens, hidden]`
//! without padding; attention works per sequence over the paged cache; logits are computed only for the rows that are
//! read.

use std::path::Path;

use rayon::prelude::*;

use super::activation::{self, Activation};
use super::attention::{self, AttentionShape};
use super::cache::{CacheShape, KvCache, PAGE};
use super::device::in_pool;
use super::linear::Linear;
use super::norm::{Norm, NormKind};
use super::ops;
use super::rotary::{self, Heads, RopeRows};
use super::weights::Checkpoint;
use crate::engine::backend::{Backend, Read, Seen, Shape, Step, Want};
use crate::engine::options::DtypeChoice;
use crate::engine::sampler;
use crate::error::{Error, Result};

/// Rows of logits held at once: 256 rows of a vocabulary of 150,000 are 150 MB.
const LOGIT_ROWS: usize = 256;

/// What distinguishes decoder families.
#[derive(Clone, Debug, PartialEq)]
pub struct DecoderSpec {
    /// Number of token ids.
    pub vocab: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width of the feed-forward block.
    pub intermediate: usize,
    /// Longest sequence.
    pub context: usize,
    /// Query heads.
    pub queries: usize,
    /// Key/value heads.
    pub keys: usize,
    /// Values per head.
    pub head_size: usize,
    /// Epsilon of the RMS norms.
    pub norm_eps: f32,
    /// Activation of the gate.
    pub activation: Activation,
    /// Biases on q, k and v.
    pub query_key_value_bias: bool,
    /// Bias on the attention's output projection.
    pub output_bias: bool,
    /// Biases in the feed-forward block.
    pub feed_forward_bias: bool,
    /// RMS norms on every query and key head.
    pub head_norms: bool,
    /// Rotary frequencies, one per rotated pair.
    pub inverse_frequencies: Vec<f64>,
    /// Sliding window of each layer; as many entries as layers.
    pub windows: Vec<Option<usize>>,
    /// The head shares the embedding table.
    pub tied: bool,
}

impl DecoderSpec {
    /// Checks what the arithmetic relies on.
    ///
    /// # Errors
    /// Counts that are zero or do not divide.
    pub fn check(&self) -> Result<()> {
        let counts = [
            ("vocab_size", self.vocab),
            ("hidden_size", self.hidden),
            ("intermediate_size", self.intermediate),
            ("max_position_embeddings", self.context),
            ("num_hidden_layers", self.windows.len()),
            ("num_attention_heads", self.queries),
            ("num_key_value_heads", self.keys),
            ("head_dim", self.head_size),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Error::input(format!("use a model whose `{name}` is zero")));
        }
        if !self.queries.is_multiple_of(self.keys) {
            return Err(Error::input(format!("share {} key heads among {} query heads", self.keys, self.queries)));
        }
        if !self.head_size.is_multiple_of(2) {
            return Err(Error::input(format!("rotate heads of odd size {}", self.head_size)));
        }
        if self.windows.contains(&Some(0)) {
            return Err(Error::input("use a sliding window of zero tokens"));
        }
        Ok(())
    }

    /// Heads and sizes of the KV cache.
    pub fn cache_shape(&self, dtype: DtypeChoice) -> CacheShape {
        let bf16 = dtype == DtypeChoice::Bf16;
        CacheShape { bf16, layers: self.windows.len(), heads: self.keys, size: self.head_size }
    }

    fn attention(&self, window: Option<usize>) -> AttentionShape {
        let scale = (1.0 / (self.head_size as f64).sqrt()) as f32;
        AttentionShape { queries: self.queries, keys: self.keys, size: self.head_size, scale, window }
    }
}

struct Layer {
    attention_norm: Norm,
    query_key_value: Linear,
    query_norm: Option<Norm>,
    key_norm: Option<Norm>,
    output: Linear,
    feed_forward_norm: Norm,
    gate_up: Linear,
    down: Linear,
    attention: AttentionShape,
}

impl Layer {
    fn load(weights: &Checkpoint, spec: &DecoderSpec, index: usize) -> Result<Self> {
        let name = |part: &str| format!("model.layers.{index}.{part}");
        let norm = |part: &str, width: usize| rms(weights, &name(part), width, spec.norm_eps);
        let (queries, keys) = (spec.queries * spec.head_size, spec.keys * spec.head_size);
        let (q, k, v) = (name("self_attn.q_proj"), name("self_attn.k_proj"), name("self_attn.v_proj"));
        let (gate, up) = (name("mlp.gate_proj"), name("mlp.up_proj"));
        let head_norm = |part: &str| spec.head_norms.then(|| norm(part, spec.head_size)).transpose();
        Ok(Self {
            attention_norm: norm("input_layernorm", spec.hidden)?,
            query_key_value: weights.linear(
                &[(&q, queries), (&k, keys), (&v, keys)],
                spec.hidden,
                spec.query_key_value_bias,
            )?,
            query_norm: head_norm("self_attn.q_norm")?,
            key_norm: head_norm("self_attn.k_norm")?,
            output: weights.linear(&[(&name("self_attn.o_proj"), spec.hidden)], queries, spec.output_bias)?,
            feed_forward_norm: norm("post_attention_layernorm", spec.hidden)?,
            gate_up: weights.linear(
                &[(&gate, spec.intermediate), (&up, spec.intermediate)],
                spec.hidden,
                spec.feed_forward_bias,
            )?,
            down: weights.linear(
                &[(&name("mlp.down_proj"), spec.hidden)],
                spec.intermediate,
                spec.feed_forward_bias,
            )?,
            attention: spec.attention(spec.windows[index]),
        })
    }
}

fn rms(weights: &Checkpoint, name: &str, width: usize, eps: f32) -> Result<Norm> {
    let weight = weights.vector(&format!("{name}.weight"), width)?;
    Ok(Norm { kind: NormKind::Rms, weight, bias: None, eps })
}

/// Where token vectors come from.
enum Embedding {
    /// The rows of a table `[vocab, hidden]`, packed as a head would be.
    Table(Linear),
    /// The rows of the head, which the model shares; a second copy would cost a quarter of a small model.
    Tied,
}

/// A decoder with its weights and KV pages.
pub struct Decoder {
    spec: DecoderSpec,
    embedding: Embedding,
    layers: Vec<Layer>,
    norm: Norm,
    head: Linear,
    /// Logits of the rows read last; kept for its memory.
    logits: Vec<f32>,
    cache: KvCache,
}

impl Decoder {
    /// Loads the weights of a folder and reserves `pages` KV pages.
    ///
    /// # Errors
    /// Weights that are missing, broken or do not fit the specification.
    pub fn load(folder: &Path, spec: DecoderSpec, dtype: DtypeChoice, pages: usize) -> Result<Self> {
        let weights = Checkpoint::open(folder, dtype)?;
        let table = weights.linear(&[("model.embed_tokens", spec.vocab)], spec.hidden, false)?;
        let (embedding, head) = match spec.tied {
            true => (Embedding::Tied, table),
            false => (Embedding::Table(table), weights.linear(&[("lm_head", spec.vocab)], spec.hidden, false)?),
        };
        let layers = (0..spec.windows.len()).map(|i| Layer::load(&weights, &spec, i)).collect::<Result<_>>()?;
        let norm = rms(&weights, "model.norm", spec.hidden, spec.norm_eps)?;
        let cache = KvCache::new(spec.cache_shape(dtype), pages)?;
        Ok(Self { spec, embedding, layers, norm, head, logits: Vec::new(), cache })
    }

    /// The hidden states of all rows after the last norm: `[tokens, hidden]`.
    fn hidden(&mut self, step: &Step) -> Result<candle_core::Tensor> {
        let positions: Vec<usize> = step.segments.iter().flat_map(|s| s.start..s.start + s.len).collect();
        let rope = RopeRows::new(&positions, &self.spec.inverse_frequencies);
        let table = match &self.embedding {
            Embedding::Tied => &self.head,
            Embedding::Table(table) => table,
        };
        let x = table.gather(&step.tokens)?;
        for (layer, cache) in self.layers.iter().zip(&mut self.cache.layers) {
            let qkv = layer.query_key_value.forward_made(&x, |x, to| layer.attention_norm.row_into(x, to))?;
            let heads = Heads {
                queries: self.spec.queries,
                keys: self.spec.keys,
                size: self.spec.head_size,
                query_norm: layer.query_norm.as_ref(),
                key_norm: layer.key_norm.as_ref(),
            };
            rotary::prepare_heads(&qkv, &heads, &rope)?;
            cache.write(&qkv, self.spec.queries, &step.segments)?;
            let attended = attention::paged(&qkv, cache, &step.segments, &layer.attention)?;
            layer.output.forward_add(&attended, &x)?;
            let gate_up = layer.gate_up.forward_made(&x, |x, to| layer.feed_forward_norm.row_into(x, to))?;
            let activation = self.spec.activation;
            layer.down.forward_made_add(&gate_up, |x, to| activation::gated_row(x, to, activation), &x)?;
        }
        Ok(x)
    }
}

impl Backend for Decoder {
    fn shape(&self) -> Shape {
        Shape { vocab: self.spec.vocab, context: self.spec.context, page_tokens: PAGE, pages: self.cache.pages }
    }

    fn step(&mut self, step: &Step) -> Result<Vec<Seen>> {
        in_pool(|| self.compute(step))
    }
}

impl Decoder {
    fn compute(&mut self, step: &Step) -> Result<Vec<Seen>> {
        self.cache.copy(&step.copies);
        let x = self.hidden(step)?;
        let mut seen = Vec::with_capacity(step.reads.len());
        for reads in step.reads.chunks(LOGIT_ROWS) {
            let rows: Vec<usize> = reads.iter().map(|r| r.row).collect();
            let last = self.norm.forward(&ops::gather(&x, &rows)?)?;
            self.head.forward_into(&last, &mut self.logits)?;
            let rows = self.logits.par_chunks_exact(self.spec.vocab);
            let mut answers: Vec<Seen> = rows.zip(reads).map(|(row, read)| answer(row, read)).collect();
            seen.append(&mut answers);
        }
        Ok(seen)
    }
}

/// What one read sees in its row of logits.
fn answer(row: &[f32], read: &Read) -> Seen {
    let seen = match read.want {
        Want::Next { sampling, key, position } => sampler::choose(row, &sampling, key, position).map(Seen::Next),
        Want::Score { target } => sampler::score(row, target).map(|(logprob, greedy)| Seen::Score { logprob, greedy }),
        Want::Logits => sampler::argmax(row).map(|_| Seen::Logits(row.to_vec())),
    };
    seen.unwrap_or(Seen::NotFinite)
}
