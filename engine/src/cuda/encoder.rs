//! The parametric encoder on a GPU: the layers of `cpu/encoder.rs` in its memory. What is made of the pooled rows, which are
//! few, is computed by the host.

use std::sync::Arc;

use cudarc::driver::{CudaSlice, CudaStream, CudaView, DriverError};

use super::Gpu;
use super::driver::{Opened, open};
use super::launch::Rows;
use super::launch::activate::ActivationKernels;
use super::launch::attention::{AttentionKernels, Work};
use super::launch::heads::{HeadKernels, HeadNorm, Rotation};
use super::launch::norm::NormWeights;
use super::launch::pool::{PoolKernels, Texts};
use super::launch::rows::{Added, Embedding, RowKernels, Step};
use super::plan::{Heads, Item, Mask, Planner, packed};
use super::weight::{Products, Stored, To, Weight, memory, upload};
use crate::cpu::encoder::{Encoder as Host, Layer as HostLayer, positions};
use crate::cpu::rotary::{self, RopeRows};
use crate::device::in_pool;
use crate::error::{Error, Result};
use crate::models::encoder_spec::EncoderSpec;
use crate::request::Pooling;
use crate::scheduler::backend::{Encoded, EncoderBackend};

/// The layers of an encoder on a GPU, and the rest of it on the host.
pub struct Encoder<T> {
    host: Host,
    opened: Opened,
    rows: RowKernels,
    activations: ActivationKernels,
    heads: HeadKernels,
    attention: AttentionKernels,
    pool: PoolKernels,
    /// `[vocab, hidden]`.
    words: CudaSlice<T>,
    /// `[positions, hidden]` and `[segments, hidden]`, where there are such tables.
    tables: [Option<CudaSlice<f32>>; 2],
    norm: NormWeights,
    last_norm: Option<NormWeights>,
    layers: Vec<Layer<T>>,
    /// Rows that the buffers hold.
    capacity: usize,
    space: Space<T>,
}

struct Layer<T> {
    query_key_value: Weight<T>,
    output: Weight<T>,
    attention_norm: Option<NormWeights>,
    up: Weight<T>,
    down: Weight<T>,
    feed_forward_norm: NormWeights,
}

/// Rows between kernels.
struct Space<T> {
    x: CudaSlice<f32>,
    h: CudaSlice<T>,
    qkv: CudaSlice<T>,
    attended: CudaSlice<T>,
    states: CudaSlice<f32>,
    inner: CudaSlice<T>,
    activated: CudaSlice<T>,
    y: CudaSlice<f32>,
}

/// What the driver says.
fn failed(error: DriverError) -> Error {
    Error::internal("failed to encode texts on a GPU").caused_by(error)
}

impl<T: Stored> Layer<T> {
    fn new(products: &Products, host: &HostLayer) -> Result<Self> {
        let stream = products.lt.stream();
        Ok(Self {
            query_key_value: Weight::new(products, &host.query_key_value, To::Rows)?,
            output: Weight::new(products, &host.output, To::Wide)?,
            attention_norm: host.attention_norm.as_ref().map(|norm| NormWeights::new(stream, norm)).transpose()?,
            up: Weight::new(products, &host.up, To::Rows)?,
            down: Weight::new(products, &host.down, To::Wide)?,
            feed_forward_norm: NormWeights::new(stream, &host.feed_forward_norm)?,
        })
    }
}

impl<T: Stored> Encoder<T> {
    /// Takes the layers of a host's encoder to a GPU, and room for so many tokens at once: whoever comes next takes what is
    /// left.
    ///
    /// # Errors
    /// The GPU has no room for them.
    pub fn new(gpu: &Gpu, mut host: Host, tokens: usize) -> Result<Self> {
        let opened = open(gpu.clone())?;
        let stream = opened.stream.clone();
        let products = Products::new::<T>(&stream)?;
        let layers = std::mem::take(&mut host.layers);
        let layers = layers.iter().map(|layer| Layer::new(&products, layer)).collect::<Result<_>>()?;
        let table =
            |values: &[f32]| if values.is_empty() { Ok(None) } else { upload::<f32>(&stream, values).map(Some) };
        Ok(Self {
            rows: RowKernels::load(&stream, T::KIND)?,
            activations: ActivationKernels::load(&stream, T::KIND)?,
            heads: HeadKernels::load(&stream, T::KIND)?,
            attention: AttentionKernels::load(&stream, T::KIND)?,
            pool: PoolKernels::load(&stream)?,
            words: upload(&stream, host.words.values())?,
            tables: [table(&host.positions)?, table(&host.types)?],
            norm: NormWeights::new(&stream, &host.norm)?,
            last_norm: host.last_norm.as_ref().map(|norm| NormWeights::new(&stream, norm)).transpose()?,
            layers,
            capacity: tokens,
            space: Space::new(&stream, &host.spec, tokens)?,
            host,
            opened,
        })
    }

    /// Puts the embeddings of packed texts into `space.x` and what the first layer reads into `space.h`.
    fn embed(&mut self, texts: &[&Encoded], rows: Rows<'_>) -> Result<()> {
        let stream = self.opened.stream.clone();
        let spec = &self.host.spec;
        let put = |values: Vec<u32>| stream.clone_htod(&values).map_err(memory("tokens"));
        let ids = put(texts.iter().flat_map(|text| &text.ids).copied().collect())?;
        let at = texts.iter().flat_map(|text| positions(spec.learned, &text.ids));
        let at = put(at.map(|at| at as u32).collect())?;
        let kinds = texts.iter().flat_map(|text| &text.types).map(|kind| if spec.segments { *kind } else { 0 });
        let kinds = put(kinds.collect())?;
        let indices = [at.as_view(), kinds.as_view()];
        let tables = self.tables.each_ref().map(|table| table.as_ref().map(CudaSlice::as_view));
        let added = |which: usize| Some(Added { table: tables[which].as_ref()?, index: &indices[which] });
        let added = if tables[0].is_some() { [added(0), added(1)] } else { [added(1), None] };
        let embedding = Embedding { ids: &ids.as_view(), table: &self.words.as_view(), scale: 1.0, added };
        let (mut x, mut h) = (self.space.x.as_view_mut(), self.space.h.as_view_mut());
        self.rows.embed(rows, &embedding, &mut x)?;
        self.rows.norm_sum(rows, (None::<&CudaView<'_, f32>>, Some(&self.norm)), &mut x, &mut h)
    }

    /// What attention needs to know of packed texts.
    fn positions(&self, lengths: &[usize]) -> Result<Positions> {
        let stream = &self.opened.stream;
        let spec = &self.host.spec;
        let at: Vec<usize> = lengths.iter().flat_map(|len| 0..*len).collect();
        let identity: Vec<u32> = (0..at.len() as u32).collect();
        let identity = stream.clone_htod(&identity).map_err(memory("tokens"))?;
        let angles = spec.rotations.as_ref().map(|both| {
            let put = |values: &[f32]| stream.clone_htod(values).map_err(memory("angles"));
            let rows = both.each_ref().map(|rope| RopeRows::new(&at, &vec![0; at.len()], rope));
            rows.iter().map(|rows| Ok((put(rows.cosines())?, put(rows.sines())?))).collect::<Result<Vec<_>>>()
        });
        let sequences = packed(lengths.iter().copied());
        let mut plans: Vec<(Option<usize>, Heads, Shares)> = Vec::new();
        for window in &spec.windows {
            if plans.iter().all(|(known, ..)| known != window) {
                let planner = planner::<T>(spec, *window, self.opened.gpu.multiprocessors);
                let plan = planner.plan(&sequences);
                plans.push((*window, planner.heads, Shares::new(stream, [&plan.items, &plan.combines])?));
            }
        }
        Ok(Positions { identity, angles: angles.transpose()?, plans })
    }

    /// Token vectors of packed texts, in `space.x`.
    fn hidden(&mut self, texts: &[&Encoded], lengths: &[usize], count: &CudaView<'_, u32>) -> Result<()> {
        let most = lengths.iter().sum();
        let of = |width: usize| Rows { count, most, width };
        self.embed(texts, of(self.host.spec.hidden))?;
        let Positions { identity, angles, plans } = self.positions(lengths)?;
        let spec = &self.host.spec;
        let Space { x, h, qkv, attended, states, inner, activated, y } = &mut self.space;
        let none = HeadNorm::Absent;
        let (heads, size) = (spec.heads, spec.head_size());
        let prepared = rotary::Heads { queries: heads, keys: heads, size, query_norm: &none, key_norm: &none };
        for index in 0..self.layers.len() {
            let (before, behind) = self.layers.split_at_mut(index + 1);
            let (layer, window) = (&mut before[index], spec.windows[index]);
            layer.query_key_value.rows(of(spec.hidden), h, qkv)?;
            if let (Some(angles), Some(ropes)) = (&angles, &spec.rotations) {
                let which = usize::from(window.is_some());
                let (cosines, sines) = &angles[which];
                let (cosines, sines, index) = (cosines.as_view(), sines.as_view(), identity.as_view());
                let pairs = ropes[which].pairs();
                let rotation = Rotation { cosines: &cosines, sines: &sines, pairs, index: &index };
                let rows = of(3 * spec.hidden);
                self.heads.prepare::<T>(rows, &prepared, (Some(&rotation), None), &mut qkv.as_view_mut())?;
            }
            let Some((_, heads, shares)) = plans.iter().find(|(known, ..)| *known == window) else {
                return Err(Error::internal("failed to find the plan of a layer"));
            };
            let (mut states, mut to) = (states.as_view_mut(), attended.as_view_mut());
            let rows = qkv.slice(..most * 3 * spec.hidden);
            let (items, combines) = (shares.items.as_view(), shares.combines.as_view());
            let (item_count, combine_count) = (&shares.counts.slice(..1), &shares.counts.slice(1..));
            let work = Work { items: &items, item_count, combines: &combines, combine_count };
            self.attention.attend(heads, &work, (&rows, None), &mut states, &mut to)?;
            layer.output.wide(of(spec.hidden), attended, y)?;
            // With norms before, `norm` is that of what the next product reads; with norms behind, that of the stream.
            let add = |norm: Option<&NormWeights>, y: &CudaSlice<f32>, x: &mut CudaSlice<f32>, h: &mut CudaSlice<T>| {
                let (y, mut x, mut h) = (y.as_view(), x.as_view_mut(), h.as_view_mut());
                if !spec.norms_before {
                    return self.rows.norm_sum(of(spec.hidden), (Some(&y), norm), &mut x, &mut h);
                }
                let step = Step { y: &y, post_norm: None, scale: 1.0, norm };
                self.rows.add_norm(of(spec.hidden), &step, &mut x, Some(&mut h))
            };
            let own = Some(&layer.feed_forward_norm);
            add(if spec.norms_before { own } else { layer.attention_norm.as_ref() }, y, x, h)?;
            layer.up.rows(of(spec.hidden), h, inner)?;
            let form = (spec.activation, spec.gated);
            self.activations.activate(of(spec.intermediate), form, &inner.as_view(), &mut activated.as_view_mut())?;
            layer.down.wide(of(spec.intermediate), activated, y)?;
            let next = behind.first().and_then(|layer| layer.attention_norm.as_ref());
            add(if spec.norms_before { next } else { own }, y, x, h)?;
        }
        match &self.last_norm {
            Some(norm) => {
                let (mut x, mut h) = (x.as_view_mut(), h.as_view_mut());
                self.rows.norm_sum(of(spec.hidden), (None::<&CudaView<'_, f32>>, Some(norm)), &mut x, &mut h)
            }
            None => Ok(()),
        }
    }

    /// One row for every text.
    fn pooled(
        &mut self,
        texts: &[&Encoded],
        lengths: &[usize],
        (skipped, pooling): (&[usize], Pooling),
    ) -> Result<Vec<Vec<f32>>> {
        let stream = self.opened.stream.clone();
        let (tokens, width) = (lengths.iter().sum::<usize>(), self.host.spec.hidden);
        // A text of more tokens than a batch has.
        if tokens > self.capacity {
            self.capacity = tokens;
            self.space = Space::new(&stream, &self.host.spec, tokens)?;
        }
        let put = |values: Vec<u32>| stream.clone_htod(&values).map_err(memory("texts"));
        let counts = put(vec![tokens as u32, texts.len() as u32])?;
        self.hidden(texts, lengths, &counts.slice(..1))?;
        let ends = lengths.iter().scan(0, |end, len| {
            *end += *len as u32;
            Some(*end)
        });
        let offsets = put(std::iter::once(0).chain(ends).collect())?;
        let skipped = put(skipped.iter().map(|skipped| *skipped as u32).collect())?;
        let mut rows = stream.alloc_zeros::<f32>(texts.len() * width).map_err(memory("texts"))?;
        let x = self.space.x.slice(..tokens * width);
        let texts_view = Texts { x: &x, offsets: &offsets.as_view(), skipped: &skipped.as_view() };
        let of = Rows { count: &counts.slice(1..), most: texts.len(), width };
        self.pool.pool(of, &texts_view, pooling, &mut rows.as_view_mut())?;
        let values = stream.clone_dtoh(&rows).map_err(failed)?;
        stream.synchronize().map_err(failed)?;
        Ok(values.chunks_exact(width).map(<[f32]>::to_vec).collect())
    }
}

impl<T: Stored> EncoderBackend for Encoder<T> {
    fn width(&self) -> usize {
        self.host.width()
    }

    fn encode(&mut self, texts: &[&Encoded]) -> Result<Vec<Vec<f32>>> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        texts.iter().try_for_each(|text| self.host.check(text))?;
        let lengths: Vec<usize> = texts.iter().map(|text| text.ids.len()).collect();
        let (pooling, skipped) = self.host.pooling(texts);
        let rows = self.pooled(texts, &lengths, (&skipped, pooling))?;
        Ok(in_pool(|| self.host.finish(rows)))
    }
}

/// Where the tokens of packed texts stand, on the GPU.
struct Positions {
    /// 0, 1, 2, …: the rows of the angles, which are those of the tokens.
    identity: CudaSlice<u32>,
    /// Cosines and sines of layers without and with a window.
    angles: Option<Vec<(CudaSlice<f32>, CudaSlice<f32>)>>,
    /// How attention is shared out for each window that layers have.
    plans: Vec<(Option<usize>, Heads, Shares)>,
}

/// A plan on the GPU.
struct Shares {
    items: CudaSlice<u32>,
    combines: CudaSlice<u32>,
    /// How many there are of either.
    counts: CudaSlice<u32>,
}

impl Shares {
    fn new(stream: &Arc<CudaStream>, [items, combines]: [&[Item]; 2]) -> Result<Self> {
        // A buffer of nothing has no address.
        let put = |list: &[Item]| {
            let mut words: Vec<u32> = list.iter().flat_map(|item| item.words()).collect();
            words.resize(words.len().max(Item::WORDS), 0);
            stream.clone_htod(&words).map_err(memory("a plan"))
        };
        let counts = [items.len() as u32, combines.len() as u32];
        let counts = stream.clone_htod(&counts).map_err(memory("a plan"))?;
        Ok(Self { items: put(items)?, combines: put(combines)?, counts })
    }
}

impl<T: Stored> Space<T> {
    fn new(stream: &Arc<CudaStream>, spec: &EncoderSpec, rows: usize) -> Result<Self> {
        let rows = rows.next_multiple_of(16).max(16);
        let wide = |width: usize| stream.alloc_zeros::<f32>(rows * width).map_err(memory("rows of texts"));
        let narrow = |width: usize| stream.alloc_zeros::<T>(rows * width).map_err(memory("rows of texts"));
        let states = AttentionKernels::space(&planner::<T>(spec, None, 1))?;
        Ok(Self {
            x: wide(spec.hidden)?,
            h: narrow(spec.hidden)?,
            qkv: narrow(3 * spec.hidden)?,
            attended: narrow(spec.hidden)?,
            states: stream.alloc_zeros(states).map_err(memory("rows of texts"))?,
            inner: narrow(if spec.gated { 2 } else { 1 } * spec.intermediate)?,
            activated: narrow(spec.intermediate)?,
            y: wide(spec.hidden)?,
        })
    }
}

fn planner<T: Stored>(spec: &EncoderSpec, window: Option<usize>, multiprocessors: u32) -> Planner {
    let (heads, mask) = (spec.heads, Mask::both(window));
    Planner {
        heads: Heads { queries: heads, keys: heads, size: spec.head_size(), scale: spec.scale, cap: None, mask },
        tile_rows: AttentionKernels::tile_rows(T::KIND),
        multiprocessors: multiprocessors as usize,
    }
}
