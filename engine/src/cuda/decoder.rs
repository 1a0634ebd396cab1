//! The parametric decoder on a GPU: the weights of `cpu/decoder.rs` in its memory, and a step as one captured graph.
//!
//! A step is copied to the GPU as one buffer (`stage`), padded to a few more rows than it has, so that there are few
//! shapes, and read back once. Rows beyond those there are hold anything and reach nothing: a row depends on itself alone. While
//! one step is computed the next is staged: all that both touch is touched in the order of the stream.
#![expect(unsafe_code, reason = "captured work is sent to other threads; words of the stage are read as floats")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use cudarc::driver::sys::{CUgraphInstantiate_flags, CUstreamCaptureMode};
use cudarc::driver::{CudaEvent, CudaGraph, CudaSlice, CudaStream, CudaView, DriverError, PinnedHostSlice};
use rayon::prelude::*;

use super::Gpu;
use super::decoder_weights::{Weights, fits, heads, windows};
use super::driver::{Opened, open};
use super::feed_forward::FeedForward;
use super::launch::Rows;
use super::launch::attention::AttentionKernels;
use super::launch::copies::KvBlocks;
use super::launch::experts::{Groups, Mixture};
use super::launch::rows::{Added, Embedding};
use super::launch::sample::{Asked, Found};
use super::layer::LayerCache;
use super::pass::{ExpertSpace, Kernels, Pass, PlanViews, Space};
use super::plan::Planner;
use super::stage::{Bounds, Layout, PLANS, padded};
use super::weight::{Products, Stored, memory};
use crate::cpu::cache::BLOCK_SIZE;
use crate::cpu::decoder::answer;
use crate::device::{in_pool, kv_blocks};
use crate::error::{Error, Result};
use crate::models::model_folder::ModelFolder;
use crate::models::spec::DecoderSpec;
use crate::options::EngineOptions;
use crate::scheduler::backend::{
    AsyncBackend, Backend, OutputKind, OutputRequest, Processing, Shape, Step, StepOutput, processing_of,
};

/// Rows of logits held at once: 256 rows of a vocabulary of 150,000 are 150 MB.
const LOGIT_ROWS: usize = 256;

/// Steps of a padded batch size that are launched kernel by kernel before they are captured: the driver loads kernels at their first start,
/// which is nothing to capture.
const BEFORE_CAPTURE: u32 = 1;

/// How the steps of one padded batch size are computed.
#[derive(Default)]
struct Shaped {
    computed: u32,
    graph: Option<Captured>,
}

/// A captured step.
struct Captured(CudaGraph);

// SAFETY: a graph may be used by any thread, by one at a time; a decoder is used through `&mut`.
unsafe impl Send for Captured {}

/// A decoder with its weights and KV blocks on a GPU.
pub struct Decoder<T> {
    spec: DecoderSpec,
    opened: Opened,
    kernels: Kernels,
    weights: Weights<T>,
    space: Space<T>,
    head_space: HeadSpace<T>,
    /// `[layers][kv_blocks][key heads][32][size]`.
    keys: CudaSlice<T>,
    /// The same of values.
    values: CudaSlice<T>,
    kv_blocks: usize,
    bounds: Bounds,
    most: usize,
    staged: CudaSlice<u32>,
    stages: [Stage; 2],
    /// The oldest first.
    in_flight: VecDeque<InFlightStep>,
    identity: CudaSlice<u32>,
    shapes: BTreeMap<usize, Shaped>,
}

/// What the host writes for a step and gets of it, in memory that the GPU reaches. From the beginning of a step to its end
/// nothing here may be touched.
struct Stage {
    words: PinnedHostSlice<u32>,
    /// For each [`LOGIT_ROWS`] reads: how many there are, then their rows.
    index: PinnedHostSlice<u32>,
    asked: PinnedHostSlice<Asked>,
    found: PinnedHostSlice<Found>,
    /// Its end.
    done: CudaEvent,
}

/// A step that was started and not read yet.
struct InFlightStep {
    stage: usize,
    requests: Vec<OutputRequest>,
    targets: Vec<u32>,
    processing: Vec<Processing>,
    /// Rows of logits that the host looks at, in the order of their reads.
    logits: Vec<Vec<f32>>,
}

/// Whether the host looks at the row of an output request: all of it or several candidates are wanted, or logits processors go before the choice, which the CPU's
/// sampler makes then.
fn is_whole(request: &OutputRequest, processing: Option<&Processing>) -> bool {
    processing.is_some() || matches!(request.kind, OutputKind::Logits | OutputKind::Candidates { .. })
}

/// Rows between the last layer and the answers.
struct HeadSpace<T> {
    /// Reads that are answered at a time.
    reads: usize,
    /// `[chunks, 1 + reads]`: how many rows are read, then which.
    index: CudaSlice<u32>,
    /// `[reads, hidden]`.
    rows: CudaSlice<f32>,
    /// `[reads, hidden]`.
    normed: CudaSlice<T>,
    /// `[reads, vocab]`.
    logits: CudaSlice<f32>,
    /// `[chunks, reads]`: what is asked of each row, and what was found, to the end of the next step.
    asked: CudaSlice<Asked>,
    found: CudaSlice<Found>,
}

/// What the driver says.
fn failed(what: &str) -> impl FnOnce(DriverError) -> Error {
    move |error| Error::internal(format!("{what} on a GPU")).caused_by(error)
}

/// Decoders for GPUs of one kind; the host reads every weight once.
///
/// # Errors
/// Weights that are missing or broken, or more than fits a GPU.
pub fn load<T: Stored>(
    gpus: &[Gpu],
    folder: &ModelFolder,
    spec: &DecoderSpec,
    options: &EngineOptions,
) -> Result<Vec<Decoder<T>>> {
    let opened = gpus.iter().map(|gpu| open(gpu.clone())).collect::<Result<Vec<_>>>()?;
    for opened in &opened {
        fits::<T>(opened, folder)?;
    }
    let products: Vec<Products> =
        opened.iter().map(|opened| Products::new::<T>(&opened.stream)).collect::<Result<_>>()?;
    let weights = Weights::<T>::load(&products, folder, spec)?;
    let parts = opened.into_iter().zip(products).zip(weights);
    parts.map(|((opened, products), weights)| Decoder::new(opened, &products, weights, spec, options)).collect()
}

impl<T: Stored> Decoder<T> {
    fn new(
        opened: Opened,
        products: &Products,
        weights: Weights<T>,
        spec: &DecoderSpec,
        options: &EngineOptions,
    ) -> Result<Self> {
        let stream = opened.stream.clone();
        let kernels = Kernels::load(&stream, T::KIND, &products.gemm)?;
        let most = options.batch_tokens.next_multiple_of(16);
        let planner = |window| Planner {
            heads: heads(spec, window),
            tile_rows: AttentionKernels::tile_rows(T::KIND),
            multiprocessors: opened.gpu.multiprocessors as usize,
        };
        let bounds = Bounds {
            sequences: options.max_seqs,
            longest: spec.context,
            ropes: spec.ropes.clone(),
            planners: windows(spec).into_iter().map(planner).collect(),
        };
        let space = space(&stream, spec, most, &bounds)?;
        let head_space = HeadSpace::new(&stream, spec, most)?;
        let per_sequence = spec.context.div_ceil(BLOCK_SIZE);
        let words = Layout::new(&bounds, most).words(&bounds, per_sequence);
        let staged = stream.alloc_zeros(words).map_err(memory("steps"))?;
        let stage = || Stage::new(&opened, words, &head_space).map_err(failed("failed to reserve memory for steps"));
        let stages = [stage()?, stage()?];
        let identity: Vec<u32> = (0..most as u32).collect();
        let identity = stream.clone_htod(&identity).map_err(memory("steps"))?;
        // KV blocks take their share of what is left when all else is there.
        let block_values = spec.attention.keys * BLOCK_SIZE * spec.attention.head_size;
        let block_bytes = (2 * spec.layers.len() * block_values * size_of::<T>()) as u64;
        let free = opened.memory()?.0;
        let kv_blocks = kv_blocks(options, spec.context, block_bytes, || free / 20 * 19);
        let all = spec.layers.len() * kv_blocks * block_values;
        let cache = || stream.alloc_zeros::<T>(all).map_err(memory("the KV cache"));
        let (keys, values) = (cache()?, cache()?);
        stream.synchronize().map_err(failed("failed to load a model"))?;
        Ok(Self {
            spec: spec.clone(),
            opened,
            kernels,
            weights,
            space,
            head_space,
            keys,
            values,
            kv_blocks,
            bounds,
            most,
            staged,
            stages,
            in_flight: VecDeque::new(),
            identity,
            shapes: BTreeMap::new(),
        })
    }

    /// Puts the layers of a step on the stream.
    fn trunk(&mut self, layout: &Layout) -> Result<()> {
        let spec = &self.spec;
        // Counts lie before the ids, all else behind them.
        let (counts, mut rest) = self.staged.split_at_mut(layout.ids.start);
        let (mut ids, rest) = rest.split_at_mut(layout.ids.len());
        let (from, to) = (layout.deferred.start - layout.ids.end, layout.deferred.end - layout.ids.end);
        let (pairs, count) = (rest.slice(from..to), counts.slice(layout.count(2)));
        self.kernels.sample.fill_deferred(&self.head_space.found.as_view(), (&pairs, &count), &mut ids)?;

        let staged = &self.staged;
        let pass = pass(spec, &self.kernels, staged, &self.identity, layout)?;
        let block_values = spec.attention.keys * BLOCK_SIZE * spec.attention.head_size;
        let kv_blocks = KvBlocks {
            keys: &mut self.keys.as_view_mut(),
            values: &mut self.values.as_view_mut(),
            layers: spec.layers.len(),
            kv_blocks: self.kv_blocks,
            block_values,
        };
        let (pairs, count) = (staged.slice(layout.copies.clone()), staged.slice(layout.count(1)));
        self.kernels.copies.copy_kv_blocks(kv_blocks, &pairs, &count)?;
        let (weights, space) = (&mut self.weights, &mut self.space);
        let table = weights.positions.as_ref().map(CudaSlice::as_view);
        let added = table.as_ref().map(|table| Added { table, index: &pass.position });
        let (ids, table) = (staged.slice(layout.ids.clone()), weights.embedding.as_view());
        let embedding = Embedding { ids: &ids, table: &table, scale: spec.embedding_scale, added: [added, None] };
        let rows = pass.rows(spec.hidden);
        self.kernels.rows.embed(rows, &embedding, &mut space.x.as_view_mut())?;
        let first = weights.layers.first().and_then(|layer| layer.attention_norm.as_ref());
        self.kernels.rows.norm(rows, &space.x.as_view(), first, &mut space.h.as_view_mut())?;
        let per_layer = self.kv_blocks * block_values;
        for index in 0..weights.layers.len() {
            let (before, behind) = weights.layers.split_at_mut(index + 1);
            let next = behind.first().map(|layer| layer.attention_norm.as_ref());
            let part = index * per_layer..(index + 1) * per_layer;
            let cache = LayerCache {
                keys_cache: self.keys.slice_mut(part.clone()),
                values_cache: self.values.slice_mut(part),
                kv_blocks: self.kv_blocks,
            };
            before[index].forward(&pass, space, cache, next)?;
        }
        Ok(())
    }

    /// The layers of a step, as a graph once its padded batch size was seen before.
    fn compute(&mut self, rows: usize) -> Result<()> {
        let size = padded(rows, self.most);
        let layout = Layout::new(&self.bounds, size);
        let mut shaped = self.shapes.remove(&size).unwrap_or_default();
        let stream = self.opened.stream.clone();
        if shaped.graph.is_none() && shaped.computed >= BEFORE_CAPTURE {
            let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
            stream.begin_capture(mode).map_err(failed("failed to capture a step"))?;
            let put = self.trunk(&layout);
            // What was begun is ended whatever came of it.
            let graph = stream.end_capture(CUgraphInstantiate_flags(0));
            put?;
            shaped.graph = graph.map_err(failed("failed to capture a step"))?.map(Captured);
        }
        match &shaped.graph {
            Some(graph) => graph.0.launch().map_err(failed("failed to start a step"))?,
            None => self.trunk(&layout)?,
        }
        shaped.computed = shaped.computed.saturating_add(1);
        self.shapes.insert(size, shaped);
        Ok(())
    }

    /// Puts what is read of a step on the stream; the rows of logits that the host looks at.
    fn read(&mut self, stage: usize, requests: &[OutputRequest], processing: &[Processing]) -> Result<Vec<Vec<f32>>> {
        let is_whole = |at: usize| is_whole(&requests[at], processing_of(processing, at));
        let stream = &self.opened.stream;
        let failed = |error| failed("failed to read a step")(error);
        let HeadSpace { reads: at_once, index, rows, normed, logits, asked, found } = &mut self.head_space;
        let Stage { index: host_index, asked: host_asked, found: host_found, .. } = &mut self.stages[stage];
        let (host_index, host_asked) =
            (host_index.as_mut_slice().map_err(failed)?, host_asked.as_mut_slice().map_err(failed)?);
        for (chunk, index) in requests.chunks(*at_once).zip(host_index.chunks_exact_mut(1 + *at_once)) {
            index[0] = chunk.len() as u32;
            index[1..].iter_mut().zip(chunk).for_each(|(to, request)| *to = request.row as u32);
        }
        for (at, (to, request)) in host_asked.iter_mut().zip(requests).enumerate() {
            *to = if is_whole(at) { Asked::default() } else { Asked::of(&request.kind) };
        }
        let used = requests.len().div_ceil(*at_once) * (1 + *at_once);
        stream.memcpy_htod(&host_index[..used], &mut index.slice_mut(..used)).map_err(failed)?;
        stream.memcpy_htod(&host_asked[..requests.len()], &mut asked.slice_mut(..requests.len())).map_err(failed)?;
        let (hidden, vocab) = (self.spec.hidden, self.spec.vocab);
        let mut whole = Vec::new();
        for (number, chunk) in requests.chunks(*at_once).enumerate() {
            let first = number * *at_once;
            let index = index.slice(number * (1 + *at_once)..(number + 1) * (1 + *at_once));
            let (count, which) = (index.slice(..1), index.slice(1..));
            let most = padded(chunk.len(), *at_once);
            let of = |width: usize| Rows { count: &count, most, width };
            self.kernels.copies.gather_rows(of(hidden), &self.space.x.as_view(), &which, &mut rows.as_view_mut())?;
            let norm = Some(&self.weights.norm);
            self.kernels.rows.norm(of(hidden), &rows.as_view(), norm, &mut normed.as_view_mut())?;
            self.weights.head.wide(of(hidden), normed, logits)?;
            let (scale, cap) = (self.spec.logit_scale, self.spec.logit_soft_cap);
            if scale != 1.0 || cap.is_some() {
                self.kernels.activations.cap_logits(of(vocab), (scale, cap), &mut logits.as_view_mut())?;
            }
            let (asked, mut found) = (asked.slice(first..first + most), found.slice_mut(first..first + most));
            self.kernels.sample.sample(of(vocab), &logits.as_view(), &asked, &mut found)?;
            for row in (0..chunk.len()).filter(|row| is_whole(first + row)) {
                let row_of = logits.slice(row * vocab..(row + 1) * vocab);
                whole.push(stream.clone_dtoh(&row_of).map_err(failed)?);
            }
        }
        let host_found = host_found.as_mut_slice().map_err(failed)?;
        let found = found.slice(..requests.len());
        stream.memcpy_dtoh(&found, &mut host_found[..requests.len()]).map_err(failed)?;
        Ok(whole)
    }
}

impl<T: Stored> Backend for Decoder<T> {
    fn shape(&self) -> Shape {
        Shape { vocab: self.spec.vocab, context: self.spec.context, block_size: BLOCK_SIZE, blocks: self.kv_blocks }
    }

    fn rotation(&self, length: usize) -> usize {
        self.spec.rotation(length)
    }

    fn step(&mut self, step: &Step) -> Result<Vec<StepOutput>> {
        self.begin(step)?;
        self.finish()
    }

    fn as_async(&mut self) -> Option<&mut dyn AsyncBackend> {
        Some(self)
    }
}

impl<T: Stored> AsyncBackend for Decoder<T> {
    fn begin(&mut self, step: &Step) -> Result<()> {
        let layout = Layout::new(&self.bounds, padded(step.tokens.len(), self.most));
        let taken = |at: &usize| self.in_flight.iter().any(|flight| flight.stage == *at);
        let Some(stage) = (0..self.stages.len()).find(|at| !taken(at)) else {
            return Err(Error::internal("failed to begin a third step on a GPU"));
        };
        let words = self.stages[stage].words.as_mut_slice().map_err(failed("failed to stage a step"))?;
        let used = layout.write(&self.bounds, step, words)?;
        let mut to = self.staged.slice_mut(..used);
        self.opened.stream.memcpy_htod(&words[..used], &mut to).map_err(failed("failed to stage a step"))?;
        self.compute(step.tokens.len())?;
        let logits =
            if step.outputs.is_empty() { Vec::new() } else { self.read(stage, &step.outputs, &step.processing)? };
        self.stages[stage].done.record(&self.opened.stream).map_err(failed("failed to end a step"))?;
        let (requests, processing) = (step.outputs.clone(), step.processing.clone());
        self.in_flight.push_back(InFlightStep { stage, requests, targets: step.targets.clone(), processing, logits });
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<StepOutput>> {
        let Some(InFlightStep { stage, requests, targets, processing, mut logits }) = self.in_flight.pop_front() else {
            return Err(Error::internal("failed to finish a step that was not begun"));
        };
        let Stage { done, found, .. } = &self.stages[stage];
        done.synchronize().map_err(failed("failed to compute a step"))?;
        let found = found.as_slice().map_err(failed("failed to read a step"))?;
        let processing = |at: usize| processing_of(&processing, at);
        let whole: Vec<usize> = (0..requests.len()).filter(|at| is_whole(&requests[*at], processing(*at))).collect();
        if whole.len() != logits.len() {
            return Err(Error::internal("failed to find a row of logits"));
        }
        let looked = |(row, at): (&mut Vec<f32>, &usize)| answer(row, &requests[*at], (processing(*at), &targets));
        let whole_outputs: Vec<StepOutput> = in_pool(|| logits.par_iter_mut().zip(&whole).map(looked).collect());
        let mut whole_outputs = whole.into_iter().zip(whole_outputs).peekable();
        let output = |(at, (found, request)): (usize, (&Found, &OutputRequest))| {
            let looked = whole_outputs.next_if(|(of, _)| *of == at).map(|(_, seen)| seen);
            looked
                .or_else(|| found.output(&request.kind))
                .ok_or_else(|| Error::internal("failed to find a row of logits"))
        };
        found.iter().zip(&requests).enumerate().map(output).collect()
    }
}

impl Stage {
    fn new<T>(opened: &Opened, words: usize, head: &HeadSpace<T>) -> std::result::Result<Self, DriverError> {
        let context = &opened.context;
        // SAFETY: whatever is copied to the GPU is written first, and what is read was copied from it.
        unsafe {
            Ok(Self {
                words: context.alloc_pinned(words)?,
                index: context.alloc_pinned(head.index.len())?,
                asked: context.alloc_pinned(head.asked.len())?,
                // The host reads it, which is slow where writes are combined.
                found: context.alloc_pinned_with_flags(head.found.len(), 0)?,
                done: context.new_event(None)?,
            })
        }
    }
}

/// What a step of this layout knows of its tokens.
fn pass<'a>(
    spec: &DecoderSpec,
    kernels: &'a Kernels,
    staged: &'a CudaSlice<u32>,
    identity: &'a CudaSlice<u32>,
    layout: &Layout,
) -> Result<Pass<'a>> {
    let words = |range: &std::ops::Range<usize>| staged.slice(range.clone());
    let count = |at: usize| staged.slice(layout.count(at));
    let angles = layout.angles.iter().zip(&spec.ropes);
    let plans = layout.plans.iter().enumerate();
    Ok(Pass {
        kernels,
        count: count(0),
        most: layout.rows,
        kv_block: words(&layout.kv_block),
        position: words(&layout.position),
        identity: identity.as_view(),
        angles: angles
            .map(|([cosines, sines], rope)| Ok((floats(words(cosines))?, floats(words(sines))?, rope.pairs())))
            .collect::<Result<_>>()?,
        table: staged.slice(layout.table..),
        plans: plans
            .map(|(at, [items, combines])| PlanViews {
                items: words(items),
                item_count: count(PLANS + 2 * at),
                combines: words(combines),
                combine_count: count(PLANS + 1 + 2 * at),
            })
            .collect(),
        hidden: spec.hidden,
        residual_scale: spec.residual_scale,
    })
}

/// Words as the floats whose bits they are.
fn floats(words: CudaView<'_, u32>) -> Result<CudaView<'_, f32>> {
    let len = words.len();
    // SAFETY: every word is a float.
    unsafe { words.transmute(len) }.ok_or_else(|| Error::internal("failed to read angles of a step"))
}

impl<T: Stored> HeadSpace<T> {
    /// For steps of at most so many rows, all of which may be read.
    fn new(stream: &Arc<CudaStream>, spec: &DecoderSpec, most: usize) -> Result<Self> {
        let reads = LOGIT_ROWS.min(most);
        let (chunks, values) = (most.div_ceil(reads), |width: usize| reads * width);
        Ok(Self {
            reads,
            index: stream.alloc_zeros(chunks * (1 + reads)).map_err(memory("rows to read"))?,
            rows: stream.alloc_zeros(values(spec.hidden)).map_err(memory("rows to read"))?,
            normed: stream.alloc_zeros(values(spec.hidden)).map_err(memory("rows to read"))?,
            logits: stream.alloc_zeros(values(spec.vocab)).map_err(memory("logits"))?,
            asked: stream.alloc_zeros(chunks * reads).map_err(memory("rows to read"))?,
            found: stream.alloc_zeros(chunks * reads).map_err(memory("rows to read"))?,
        })
    }
}

/// Rows between kernels.
fn space<T: Stored>(stream: &Arc<CudaStream>, spec: &DecoderSpec, rows: usize, bounds: &Bounds) -> Result<Space<T>> {
    let wide = |width: usize| stream.alloc_zeros::<f32>(rows * width).map_err(memory("rows of a step"));
    let narrow = |width: usize| stream.alloc_zeros::<T>(rows * width).map_err(memory("rows of a step"));
    let attention = &spec.attention;
    let (hidden, of_queries) = (spec.hidden, attention.queries * attention.head_size);
    let shared = spec.experts.and_then(|experts| experts.shared).unwrap_or(0);
    let (inner, activated) = FeedForward::<T>::widths(&spec.feed_forward);
    let states = bounds.planners.iter().map(AttentionKernels::space).collect::<Result<Vec<_>>>()?;
    let experts = spec.experts.map(|experts| {
        let mixture = Mixture { experts: experts.count, chosen: experts.chosen, multiple: 1 };
        let grouped = mixture.rows(rows);
        let narrow = |width: usize| stream.alloc_zeros::<T>(grouped * width).map_err(memory("rows of experts"));
        Ok(ExpertSpace {
            logits: wide(experts.count)?,
            groups: Groups::new(stream, mixture, rows)?,
            inner: narrow(2 * experts.intermediate)?,
            activated: narrow(experts.intermediate)?,
            y: stream.alloc_zeros(grouped * hidden).map_err(memory("rows of experts"))?,
            shared: experts.shared.map(|_| Ok::<_, Error>((wide(hidden)?, wide(1)?))).transpose()?,
        })
    });
    Ok(Space {
        x: wide(hidden)?,
        h: narrow(hidden)?,
        qkv: narrow(of_queries + 2 * attention.keys * attention.head_size)?,
        attended: narrow(of_queries)?,
        states: stream.alloc_zeros(states.into_iter().max().unwrap_or(1)).map_err(memory("rows of a step"))?,
        inner: narrow(inner.max(2 * shared))?,
        activated: narrow(activated.max(shared))?,
        y: wide(hidden)?,
        beside: spec.parallel.then(|| Ok::<_, Error>((narrow(hidden)?, wide(hidden)?))).transpose()?,
        experts: experts.transpose()?,
    })
}
