//! The parametric decoder: one pass over the packed tokens of a step.
//!
//! A [`DecoderSpec`] says what distinguishes the families; there is one forward pass. Activations are `[tokens, hidden]`
//! without padding; attention works per sequence over the paged cache; logits are computed only for the rows that are
//! read.

use rayon::prelude::*;

use super::activation::soft_cap_row;
use super::cache::{KvCache, PAGE};
use super::layer::{Layer, Loader, Stream};
use super::linear::Linear;
use super::norm::Norm;
use super::rotary::RopeRows;
use super::rows::{Rows, add_row};
use crate::device::in_pool;
use crate::error::Result;
use crate::models::identity::ModelFolder;
use crate::models::spec::DecoderSpec;
use crate::models::weights::Checkpoint;
use crate::options::DtypeChoice;
use crate::sampling;
use crate::scheduler::backend::{Backend, Processing, Read, Seen, Shape, Step, Want, processing_of};

/// Rows of logits held at once: 256 rows of a vocabulary of 150,000 are 150 MB.
const LOGIT_ROWS: usize = 256;

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
    /// `[context, hidden]`, where the model has such a table.
    positions: Option<Vec<f32>>,
    layers: Vec<Layer>,
    norm: Norm,
    head: Linear,
    /// Logits of the rows read last; kept for its memory.
    logits: Vec<f32>,
    cache: KvCache,
}

/// The tensor of a head of its own that a model's weights hold although its configuration ties the head to the token vectors,
/// where the two differ. transformers 5 then takes the head (`tie_weights` of `modeling_utils.py`).
///
/// # Errors
/// Missing or broken weight files.
pub fn separate_head(folder: &ModelFolder, spec: &DecoderSpec) -> Result<Option<String>> {
    if !spec.tied {
        return Ok(None);
    }
    let weights = Checkpoint::open(folder, DtypeChoice::Auto)?;
    Loader::new(&weights, spec).separate_head()
}

/// Holds the headers of a folder's weights against a specification: whether every tensor is there, of its shape and of a type
/// that is read. No values are.
///
/// # Errors
/// The first that does not fit, as [`Decoder::load`] says it.
pub fn check_weights(folder: &ModelFolder, spec: &DecoderSpec) -> Result<()> {
    let weights = Checkpoint::headers(folder)?;
    let loader = Loader::new(&weights, spec);
    loader.table()?;
    if spec.tied {
        loader.check_spare_head()?
    } else {
        drop(loader.head()?)
    }
    if spec.positions {
        loader.positions()?;
    }
    (0..spec.layers.len()).try_for_each(|index| loader.layer(index).map(drop))?;
    loader.last_norm().map(drop)
}

impl Decoder {
    /// Loads the weights of a folder and reserves `pages` KV pages.
    ///
    /// # Errors
    /// Weights that are missing, broken or do not fit the specification.
    pub fn load(folder: &ModelFolder, spec: DecoderSpec, dtype: DtypeChoice, pages: usize) -> Result<Self> {
        let weights = Checkpoint::open(folder, dtype)?;
        let loader = Loader::new(&weights, &spec);
        let (embedding, head) = if spec.tied {
            // Only a table without a bias can be shared.
            (Embedding::Tied, loader.table()?)
        } else {
            (Embedding::Table(loader.table()?), loader.head()?)
        };
        let positions = spec.positions.then(|| loader.positions()).transpose()?;
        let layers = (0..spec.layers.len()).map(|index| loader.layer(index)).collect::<Result<_>>()?;
        let norm = loader.last_norm()?;
        let cache = KvCache::new(spec.cache_shape(dtype), pages)?;
        Ok(Self { spec, embedding, positions, layers, norm, head, logits: Vec::new(), cache })
    }

    /// The token vectors of a step, with their positions where the model adds them: `[tokens, hidden]`.
    fn embed(&self, step: &Step, positions: &[usize]) -> Rows {
        let table = match &self.embedding {
            Embedding::Tied => &self.head,
            Embedding::Table(table) => table,
        };
        let mut x = table.gather(&step.tokens);
        let (width, scale) = (self.spec.hidden, self.spec.embedding_scale);
        if scale != 1.0 {
            x.for_each(|_, row| row.iter_mut().for_each(|x| *x *= scale));
        }
        if let Some(table) = &self.positions {
            x.for_each(|row, to| add_row(to, &table[positions[row] * width..][..width]));
        }
        x
    }

    /// The hidden states of all rows before the last norm: `[tokens, hidden]`.
    fn hidden(&mut self, step: &Step) -> Rows {
        let positions: Vec<usize> = step.segments.iter().flat_map(|s| s.start..s.start + s.len).collect();
        let rotations: Vec<usize> = step.segments.iter().flat_map(|s| std::iter::repeat_n(s.rotation, s.len)).collect();
        let ropes: Vec<RopeRows> =
            self.spec.ropes.iter().map(|rope| RopeRows::new(&positions, &rotations, rope)).collect();
        let mut x = self.embed(step, &positions);
        let mut stream = Stream { x: &mut x, spec: &self.spec, segments: &step.segments, ropes: &ropes };
        for (layer, cache) in self.layers.iter().zip(&mut self.cache.layers) {
            layer.forward(&mut stream, cache);
        }
        x
    }
}

impl Backend for Decoder {
    fn shape(&self) -> Shape {
        Shape { vocab: self.spec.vocab, context: self.spec.context, page_tokens: PAGE, pages: self.cache.pages }
    }

    fn rotation(&self, length: usize) -> usize {
        self.spec.rotation(length)
    }

    fn step(&mut self, step: &Step) -> Result<Vec<Seen>> {
        Ok(in_pool(|| self.compute(step)))
    }
}

impl Decoder {
    fn compute(&mut self, step: &Step) -> Vec<Seen> {
        self.cache.copy(&step.copies);
        let x = self.hidden(step);
        let mut seen = Vec::with_capacity(step.reads.len());
        let (scale, soft_cap) = (self.spec.logit_scale, self.spec.logit_soft_cap);
        for (chunk, reads) in step.reads.chunks(LOGIT_ROWS).enumerate() {
            let rows: Vec<usize> = reads.iter().map(|r| r.row).collect();
            let last = self.norm.forward(&x.gather(&rows));
            self.head.forward_into(&last, &mut self.logits);
            let rows = self.logits.par_chunks_exact_mut(self.spec.vocab);
            let first = chunk * LOGIT_ROWS;
            let answer = |(at, (row, read)): (usize, (&mut [f32], &Read))| {
                if scale != 1.0 {
                    row.iter_mut().for_each(|x| *x *= scale);
                }
                if let Some(cap) = soft_cap {
                    soft_cap_row(row, cap);
                }
                answer(row, read, processing_of(&step.processing, first + at))
            };
            let mut answers: Vec<Seen> = rows.zip(reads).enumerate().map(answer).collect();
            seen.append(&mut answers);
        }
        seen
    }
}

/// What one read sees in its row of logits, after what goes before it.
pub(crate) fn answer(row: &mut [f32], read: &Read, processing: Option<&Processing>) -> Seen {
    if let Some(processing) = processing {
        // Before a processor hides it.
        if sampling::argmax(row).is_none() {
            return Seen::NotFinite;
        }
        processing.apply(row);
        if sampling::argmax(row).is_none() {
            return Seen::NothingLeft;
        }
    }
    let seen = match read.want {
        Want::Next { sampling, key, position } => sampling::choose(row, &sampling, key, position).map(Seen::Next),
        Want::Score { target } => sampling::score(row, target).map(|(logprob, greedy)| Seen::Score { logprob, greedy }),
        Want::Logits => sampling::argmax(row).map(|_| Seen::Logits(row.to_vec())),
    };
    seen.unwrap_or(Seen::NotFinite)
}
