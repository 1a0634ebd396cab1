//! The parametric decoder on a GPU: the weights of `cpu/decoder.rs` in its memory, and a step as one captured graph.
//!
//! A step is copied to the GPU as one buffer (`stage`), computed with room for a few more rows than it has, so that there are few
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
use super::launch::Rows;
use super::launch::attention::AttentionKernels;
use super::launch::experts::{Groups, Mixture};
use super::launch::pages::Pages;
use super::launch::rows::{Added, Embedding};
use super::launch::sample::{Asked, Found};
use super::layer::{FeedForward, LayerCache};
use super::pass::{ExpertSpace, Kernels, Pass, PlanViews, Space};
use super::plan::Planner;
use super::stage::{Bounds, Layout, PLANS, room};
use super::weight::{Products, Stored, memory};
use crate::cpu::cache::PAGE;
use crate::cpu::decoder::answer;
use crate::device;
use crate::error::{Error, Result};
use crate::models::identity::ModelFolder;
use crate::models::spec::DecoderSpec;
use crate::options::EngineOptions;
use crate::scheduler::backend::{Ahead, Backend, Processing, Read, Seen, Shape, Step, Want, processing_of};

/// Rows of logits held at once: 256 rows of a vocabulary of 150,000 are 150 MB.
const LOGIT_ROWS: usize = 256;

/// Steps of a room that are launched kernel by kernel before they are captured: the driver loads kernels at their first start,
/// which is nothing to capture.
const BEFORE_CAPTURE: u32 = 1;

/// How the steps of one room are computed.
#[derive(Default)]
struct Shaped {
    computed: u32,
    graph: Option<Captured>,
}

/// A captured step.
struct Captured(CudaGraph);

// SAFETY: a graph may be used by any thread, by one at a time; a decoder is used through `&mut`.
unsafe impl Send for Captured {}

/// A decoder with its weights and KV pages on a GPU.
pub struct Decoder<T> {
    spec: DecoderSpec,
    opened: Opened,
    kernels: Kernels,
    weights: Weights<T>,
    space: Space<T>,
    head_space: HeadSpace<T>,
    /// `[layers][pages][key heads][32][size]`.
    keys: CudaSlice<T>,
    /// The same of values.
    values: CudaSlice<T>,
    pages: usize,
    bounds: Bounds,
    most: usize,
    staged: CudaSlice<u32>,
    stages: [Stage; 2],
    /// Steps that are not finished, the oldest first.
    flights: VecDeque<Flight>,
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

/// A step under way.
struct Flight {
    stage: usize,
    reads: Vec<Read>,
    processing: Vec<Processing>,
    /// Rows of logits that the host looks at, in the order of their reads.
    logits: Vec<Vec<f32>>,
}

/// Whether the host looks at the row of a read: all of it is wanted, or logits processors go before the choice, which the CPU's
/// sampler makes then.
fn is_whole(read: &Read, processing: Option<&Processing>) -> bool {
    processing.is_some() || read.want == Want::Logits
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
        let per_sequence = spec.context.div_ceil(PAGE);
        let words = Layout::new(&bounds, most).words(&bounds, per_sequence);
        let staged = stream.alloc_zeros(words).map_err(memory("steps"))?;
        let stage = || Stage::new(&opened, words, &head_space).map_err(failed("failed to reserve memory for steps"));
        let stages = [stage()?, stage()?];
        let identity: Vec<u32> = (0..most as u32).collect();
        let identity = stream.clone_htod(&identity).map_err(memory("steps"))?;
        // Pages take their share of what is left when all else is there.
        let page_values = spec.attention.keys * PAGE * spec.attention.head_size;
        let page_bytes = (2 * spec.layers.len() * page_values * size_of::<T>()) as u64;
        let free = opened.memory()?.0;
        let pages = device::pages(options, spec.context, page_bytes, || free / 20 * 19);
        let all = spec.layers.len() * pages * page_values;
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
            pages,
            bounds,
            most,
            staged,
            stages,
            flights: VecDeque::new(),
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
        let (from, to) = (layout.carried.start - layout.ids.end, layout.carried.end - layout.ids.end);
        let (pairs, count) = (rest.slice(from..to), counts.slice(layout.counts.start + 2..layout.counts.start + 3));
        self.kernels.sample.carry(&self.head_space.found.as_view(), (&pairs, &count), &mut ids)?;

        let staged = &self.staged;
        let words = |range: &std::ops::Range<usize>| staged.slice(range.clone());
        let one = |at: usize| staged.slice(layout.counts.start + at..layout.counts.start + at + 1);
        let floats = |range: &std::ops::Range<usize>| floats(staged.slice(range.clone()));
        let angles = layout.angles.iter().zip(&spec.ropes);
        let pass = Pass {
            kernels: &self.kernels,
            count: one(0),
            most: layout.rows,
            page: words(&layout.page),
            position: words(&layout.position),
            identity: self.identity.as_view(),
            angles: angles
                .map(|([cosines, sines], rope)| Ok((floats(cosines)?, floats(sines)?, rope.pairs())))
                .collect::<Result<_>>()?,
            table: staged.slice(layout.table..),
            plans: (layout.plans.iter().enumerate())
                .map(|(at, [items, combines])| PlanViews {
                    items: words(items),
                    item_count: one(PLANS + 2 * at),
                    combines: words(combines),
                    combine_count: one(PLANS + 1 + 2 * at),
                })
                .collect(),
            hidden: spec.hidden,
            residual_scale: spec.residual_scale,
        };
        let page_values = spec.attention.keys * PAGE * spec.attention.head_size;
        let pages = Pages {
            keys: &mut self.keys.as_view_mut(),
            values: &mut self.values.as_view_mut(),
            layers: spec.layers.len(),
            pages: self.pages,
            page_values,
        };
        self.kernels.pages.copy_pages(pages, &words(&layout.copies), &one(1))?;
        let (weights, space) = (&mut self.weights, &mut self.space);
        let table = weights.positions.as_ref().map(CudaSlice::as_view);
        let added = table.as_ref().map(|table| Added { table, index: &pass.position });
        let (ids, table) = (words(&layout.ids), weights.embedding.as_view());
        let embedding = Embedding { ids: &ids, table: &table, scale: spec.embedding_scale, added: [added, None] };
        let rows = pass.rows(spec.hidden);
        self.kernels.rows.embed(rows, &embedding, &mut space.x.as_view_mut())?;
        let first = weights.layers.first().and_then(|layer| layer.attention_norm.as_ref());
        self.kernels.rows.norm(rows, &space.x.as_view(), first, &mut space.h.as_view_mut())?;
        let per_layer = self.pages * page_values;
        for index in 0..weights.layers.len() {
            let (before, behind) = weights.layers.split_at_mut(index + 1);
            let next = behind.first().map(|layer| layer.attention_norm.as_ref());
            let part = index * per_layer..(index + 1) * per_layer;
            let cache = LayerCache {
                keys_cache: self.keys.slice_mut(part.clone()),
                values_cache: self.values.slice_mut(part),
                pages: self.pages,
            };
            before[index].forward(&pass, space, cache, next)?;
        }
        Ok(())
    }

    /// The layers of a step, as a graph once its room was seen before.
    fn compute(&mut self, rows: usize) -> Result<()> {
        let room = room(rows, self.most);
        let layout = Layout::new(&self.bounds, room);
        let mut shaped = self.shapes.remove(&room).unwrap_or_default();
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
        self.shapes.insert(room, shaped);
        Ok(())
    }

    /// Puts what is read of a step on the stream; the rows of logits that the host looks at.
    fn read(&mut self, stage: usize, reads: &[Read], processing: &[Processing]) -> Result<Vec<Vec<f32>>> {
        let is_whole = |at: usize| is_whole(&reads[at], processing_of(processing, at));
        let stream = &self.opened.stream;
        let failed = |error| failed("failed to read a step")(error);
        let HeadSpace { reads: at_once, index, rows, normed, logits, asked, found } = &mut self.head_space;
        let Stage { index: host_index, asked: host_asked, found: host_found, .. } = &mut self.stages[stage];
        let (host_index, host_asked) =
            (host_index.as_mut_slice().map_err(failed)?, host_asked.as_mut_slice().map_err(failed)?);
        for (chunk, index) in reads.chunks(*at_once).zip(host_index.chunks_exact_mut(1 + *at_once)) {
            index[0] = chunk.len() as u32;
            index[1..].iter_mut().zip(chunk).for_each(|(to, read)| *to = read.row as u32);
        }
        for (at, (to, read)) in host_asked.iter_mut().zip(reads).enumerate() {
            *to = if is_whole(at) { Asked::default() } else { Asked::of(&read.want) };
        }
        let used = reads.len().div_ceil(*at_once) * (1 + *at_once);
        stream.memcpy_htod(&host_index[..used], &mut index.slice_mut(..used)).map_err(failed)?;
        stream.memcpy_htod(&host_asked[..reads.len()], &mut asked.slice_mut(..reads.len())).map_err(failed)?;
        let (hidden, vocab) = (self.spec.hidden, self.spec.vocab);
        let mut whole = Vec::new();
        for (number, chunk) in reads.chunks(*at_once).enumerate() {
            let first = number * *at_once;
            let index = index.slice(number * (1 + *at_once)..(number + 1) * (1 + *at_once));
            let (count, which) = (index.slice(..1), index.slice(1..));
            let most = room(chunk.len(), *at_once);
            let of = |width: usize| Rows { count: &count, most, width };
            self.kernels.pages.gather_rows(of(hidden), &self.space.x.as_view(), &which, &mut rows.as_view_mut())?;
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
        let found = found.slice(..reads.len());
        stream.memcpy_dtoh(&found, &mut host_found[..reads.len()]).map_err(failed)?;
        Ok(whole)
    }
}

impl<T: Stored> Backend for Decoder<T> {
    fn shape(&self) -> Shape {
        Shape { vocab: self.spec.vocab, context: self.spec.context, page_tokens: PAGE, pages: self.pages }
    }

    fn rotation(&self, length: usize) -> usize {
        self.spec.rotation(length)
    }

    fn step(&mut self, step: &Step) -> Result<Vec<Seen>> {
        self.begin(step)?;
        self.finish()
    }

    fn ahead(&mut self) -> Option<&mut dyn Ahead> {
        Some(self)
    }
}

impl<T: Stored> Ahead for Decoder<T> {
    fn begin(&mut self, step: &Step) -> Result<()> {
        let layout = Layout::new(&self.bounds, room(step.tokens.len(), self.most));
        let taken = |at: &usize| self.flights.iter().any(|flight| flight.stage == *at);
        let Some(stage) = (0..self.stages.len()).find(|at| !taken(at)) else {
            return Err(Error::internal("failed to begin a third step on a GPU"));
        };
        let words = self.stages[stage].words.as_mut_slice().map_err(failed("failed to stage a step"))?;
        let used = layout.write(&self.bounds, step, words)?;
        let mut to = self.staged.slice_mut(..used);
        self.opened.stream.memcpy_htod(&words[..used], &mut to).map_err(failed("failed to stage a step"))?;
        self.compute(step.tokens.len())?;
        let logits = if step.reads.is_empty() { Vec::new() } else { self.read(stage, &step.reads, &step.processing)? };
        self.stages[stage].done.record(&self.opened.stream).map_err(failed("failed to end a step"))?;
        let (reads, processing) = (step.reads.clone(), step.processing.clone());
        self.flights.push_back(Flight { stage, reads, processing, logits });
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<Seen>> {
        let Some(Flight { stage, reads, processing, mut logits }) = self.flights.pop_front() else {
            return Err(Error::internal("failed to finish a step that was not begun"));
        };
        let Stage { done, found, .. } = &self.stages[stage];
        done.synchronize().map_err(failed("failed to compute a step"))?;
        let found = found.as_slice().map_err(failed("failed to read a step"))?;
        let processing = |at: usize| processing_of(&processing, at);
        let whole: Vec<usize> = (0..reads.len()).filter(|at| is_whole(&reads[*at], processing(*at))).collect();
        if whole.len() != logits.len() {
            return Err(Error::internal("failed to find a row of logits"));
        }
        let looked = |(row, at): (&mut Vec<f32>, &usize)| answer(row, &reads[*at], processing(*at));
        let whole_seen: Vec<Seen> = device::in_pool(|| logits.par_iter_mut().zip(&whole).map(looked).collect());
        let mut whole_seen = whole.into_iter().zip(whole_seen).peekable();
        let seen = |(at, (found, read)): (usize, (&Found, &Read))| {
            let looked = whole_seen.next_if(|(of, _)| *of == at).map(|(_, seen)| seen);
            looked.or_else(|| found.seen(&read.want)).ok_or_else(|| Error::internal("failed to find a row of logits"))
        };
        found.iter().zip(&reads).enumerate().map(seen).collect()
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
        let (chunks, room) = (most.div_ceil(reads), |width: usize| reads * width);
        Ok(Self {
            reads,
            index: stream.alloc_zeros(chunks * (1 + reads)).map_err(memory("rows to read"))?,
            rows: stream.alloc_zeros(room(spec.hidden)).map_err(memory("rows to read"))?,
            normed: stream.alloc_zeros(room(spec.hidden)).map_err(memory("rows to read"))?,
            logits: stream.alloc_zeros(room(spec.vocab)).map_err(memory("logits"))?,
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
