//! The parametric decoder: one pass over the packed tokens of a step.
//!
//! A [`DecoderSpec`] says what distinguishes the families; there is one forward pass. Activations are `[tokens, hidden]`
//! without padding; attention works per sequence over the paged cache; logits are computed only for the rows that are
//! read.

use rayon::prelude::*;

use super::activation::soft_cap_row;
use super::cache::{BLOCK_SIZE, KvCache};
use super::layer::{Layer, Loader, Stream};
use super::linear::Linear;
use super::norm::Norm;
use super::rotary::RopeRows;
use super::rows::{Rows, add_row};
use crate::device::in_pool;
use crate::error::Result;
use crate::models::model_folder::ModelFolder;
use crate::models::spec::DecoderSpec;
use crate::models::weights::Checkpoint;
use crate::options::DtypeChoice;
use crate::sampling;
use crate::scheduler::backend::{
    Backend, OutputKind, OutputRequest, Processing, Shape, Step, StepOutput, processing_of,
};

/// Rows of logits held at once: 256 rows of a vocabulary of 150,000 are 150 MB.
const LOGIT_ROWS: usize = 256;

/// Where token vectors come from.
enum Embedding {
    /// The rows of a table `[vocab, hidden]`, packed as a head would be.
    Table(Linear),
    /// The rows of the head, which the model shares; a second copy would cost a quarter of a small model.
    Tied,
}

/// A decoder with its weights and KV blocks.
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
    /// Loads the weights of a folder and reserves `blocks` KV blocks.
    ///
    /// # Errors
    /// Weights that are missing, broken or do not fit the specification.
    pub fn load(folder: &ModelFolder, spec: DecoderSpec, dtype: DtypeChoice, blocks: usize) -> Result<Self> {
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
        let cache = KvCache::new(spec.cache_shape(dtype), blocks)?;
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
        Shape { vocab: self.spec.vocab, context: self.spec.context, block_size: BLOCK_SIZE, blocks: self.cache.blocks }
    }

    fn rotation(&self, length: usize) -> usize {
        self.spec.rotation(length)
    }

    fn step(&mut self, step: &Step) -> Result<Vec<StepOutput>> {
        Ok(in_pool(|| self.compute(step)))
    }
}

impl Decoder {
    fn compute(&mut self, step: &Step) -> Vec<StepOutput> {
        self.cache.copy(&step.copies);
        let x = self.hidden(step);
        let mut outputs = Vec::with_capacity(step.outputs.len());
        let (scale, soft_cap) = (self.spec.logit_scale, self.spec.logit_soft_cap);
        for (chunk, requests) in step.outputs.chunks(LOGIT_ROWS).enumerate() {
            let rows: Vec<usize> = requests.iter().map(|request| request.row).collect();
            let last = self.norm.forward(&x.gather(&rows));
            self.head.forward_into(&last, &mut self.logits);
            let rows = self.logits.par_chunks_exact_mut(self.spec.vocab);
            let first = chunk * LOGIT_ROWS;
            let answer = |(at, (row, request)): (usize, (&mut [f32], &OutputRequest))| {
                if scale != 1.0 {
                    row.iter_mut().for_each(|x| *x *= scale);
                }
                if let Some(cap) = soft_cap {
                    soft_cap_row(row, cap);
                }
                answer(row, request, (processing_of(&step.processing, first + at), &step.targets))
            };
            let mut answers: Vec<StepOutput> = rows.zip(requests).enumerate().map(answer).collect();
            outputs.append(&mut answers);
        }
        outputs
    }
}

/// The step output of a request, from its row of logits; `targets` are the step's.
pub(crate) fn answer(
    row: &mut [f32],
    request: &OutputRequest,
    (processing, targets): (Option<&Processing>, &[u32]),
) -> StepOutput {
    if let Some(processing) = processing {
        // Before a processor hides it.
        if sampling::argmax(row).is_none() {
            return StepOutput::NotFinite;
        }
        processing.apply(row);
        if sampling::argmax(row).is_none() {
            return StepOutput::NothingLeft;
        }
    }
    let output = match request.kind {
        OutputKind::Next { sampling, key, position } => {
            sampling::choose(row, &sampling, key, position).map(StepOutput::Next)
        }
        OutputKind::Score { target } => {
            sampling::score(row, target).map(|(logprob, greedy)| StepOutput::Score { logprob, greedy })
        }
        OutputKind::Candidates { first, count } => {
            sampling::score_all(row, &targets[first..first + count]).map(StepOutput::Candidates)
        }
        OutputKind::Logits => sampling::argmax(row).map(|_| StepOutput::Logits(row.to_vec())),
    };
    output.unwrap_or(StepOutput::NotFinite)
}
