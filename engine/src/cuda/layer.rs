//! A decoder layer on a GPU: its weights, and what it puts on the stream. The arithmetic is that of `cpu/layer.rs`.

use std::sync::Arc;

use cudarc::driver::{CudaSlice, CudaStream, CudaViewMut};

use super::experts::Experts;
use super::feed_forward::FeedForward;
use super::launch::attention::{Cache, Work};
use super::launch::heads::{self, HeadNorm};
use super::launch::norm::NormWeights;
use super::launch::rows::Step;
use super::pass::{Pass, Space};
use super::plan::Heads;
use super::weight::{Products, Stored, To, Weight};
use crate::cpu::layer::{Block as HostBlock, Layer as HostLayer};
use crate::cpu::norm::Norm;
use crate::cpu::rotary;
use crate::error::Result;

enum Block<T> {
    Dense(Box<FeedForward<T>>),
    Experts(Box<Experts<T>>),
}

/// The norm of what a product reads, and where that goes.
type Normed<'a, T> = Option<(Option<&'a NormWeights>, &'a mut CudaSlice<T>)>;

/// Where a layer's keys and values lie.
pub struct LayerCache<'a, T> {
    /// `[kv_blocks][key heads][32][size]`.
    pub keys_cache: CudaViewMut<'a, T>,
    /// The same of values.
    pub values_cache: CudaViewMut<'a, T>,
    /// KV blocks.
    pub kv_blocks: usize,
}

/// A layer with its weights.
pub struct Layer<T> {
    /// The norm of what its first product reads.
    pub attention_norm: Option<NormWeights>,
    query_key_value: Weight<T>,
    head_norms: [HeadNorm; 2],
    output: Weight<T>,
    attention_post_norm: Option<NormWeights>,
    feed_forward_norm: Option<NormWeights>,
    /// Whether both blocks of a parallel layer read what attention's norm gives.
    shares_norm: bool,
    block: Block<T>,
    feed_forward_post_norm: Option<NormWeights>,
    attention: Heads,
    /// Which of the pass's plans is for its heads.
    plan: usize,
    rope: Option<usize>,
}

impl<T: Stored> Layer<T> {
    /// Copies a layer of the host.
    ///
    /// # Errors
    /// The GPU has no room for it.
    pub fn new(products: &Products, host: &HostLayer, (attention, plan): (Heads, usize)) -> Result<Self> {
        let stream = products.lt.stream();
        let [query_norm, key_norm] = &host.head_norms;
        let block = match &host.block {
            HostBlock::Dense(block) => Block::Dense(Box::new(FeedForward::new(products, block)?)),
            HostBlock::Experts(experts) => Block::Experts(Box::new(Experts::new(products, experts)?)),
        };
        Ok(Self {
            attention_norm: upload_norm(stream, host.attention_norm.as_ref())?,
            query_key_value: Weight::new(products, &host.query_key_value, To::Rows)?,
            head_norms: [HeadNorm::new(stream, query_norm)?, HeadNorm::new(stream, key_norm)?],
            output: Weight::new(products, &host.output, To::Wide)?,
            attention_post_norm: upload_norm(stream, host.attention_post_norm.as_ref())?,
            feed_forward_norm: upload_norm(stream, host.feed_forward_norm.as_ref())?,
            shares_norm: host.shares_norm,
            block,
            feed_forward_post_norm: upload_norm(stream, host.feed_forward_post_norm.as_ref())?,
            attention,
            plan,
            rope: host.rope,
        })
    }

    /// Adds the layer to the stream. `space.h` holds what its first product reads, and afterwards what that of the next layer
    /// reads, whose norm is `next`; behind the last layer, where `next` is `None`, nothing of use.
    ///
    /// # Errors
    /// Buffers that are too short.
    pub fn forward(
        &mut self,
        pass: &Pass<'_>,
        space: &mut Space<T>,
        cache: LayerCache<'_, T>,
        next: Option<Option<&NormWeights>>,
    ) -> Result<()> {
        self.attend(pass, space, cache)?;
        let (rows, kernels, scale) = (pass.rows(pass.hidden), &pass.kernels.rows, pass.residual_scale);
        let Self { output, block, attention_post_norm, feed_forward_norm, feed_forward_post_norm, .. } = self;
        let Space { x, h, attended, inner, activated, y, beside, experts, .. } = space;
        let mut feed = |h: &CudaSlice<T>, y: &mut CudaSlice<f32>| match &mut *block {
            Block::Dense(block) => block.forward(pass, h, (&mut *inner, &mut *activated), y),
            Block::Experts(block) => block.forward(pass, h, (&mut *inner, &mut *activated), (experts.as_mut(), y)),
        };
        // In a parallel layer the feed-forward block must read the stream before attention is added to it.
        if let Some((h2, fed)) = beside {
            if self.shares_norm {
                feed(h, fed)?;
            } else {
                kernels.norm(rows, &x.as_view(), feed_forward_norm.as_ref(), &mut h2.as_view_mut())?;
                feed(h2, fed)?;
            }
        }
        output.wide(pass.rows(self.attention.queries * self.attention.size), attended, y)?;
        let x = &mut x.as_view_mut();
        let mut add = |y: &CudaSlice<f32>, post_norm: &Option<NormWeights>, to: Normed<'_, T>| {
            let (norm, to) = to.unzip();
            let step = Step { y: &y.as_view(), post_norm: post_norm.as_ref(), scale, norm: norm.flatten() };
            kernels.add_norm(rows, &step, x, to.map(CudaSlice::as_view_mut).as_mut())
        };
        let fed = match beside {
            Some((_, fed)) => {
                add(y, attention_post_norm, None)?;
                fed
            }
            None => {
                add(y, attention_post_norm, Some((feed_forward_norm.as_ref(), &mut *h)))?;
                feed(h, y)?;
                y
            }
        };
        add(fed, feed_forward_post_norm, next.map(|norm| (norm, h)))
    }

    /// `space.attended`, from `space.h`.
    fn attend(&mut self, pass: &Pass<'_>, space: &mut Space<T>, cache: LayerCache<'_, T>) -> Result<()> {
        let Space { h, qkv, attended, states, .. } = space;
        let Heads { queries, keys, size, .. } = self.attention;
        let [query_norm, key_norm] = &self.head_norms;
        self.query_key_value.rows(pass.rows(pass.hidden), h, qkv)?;
        let LayerCache { mut keys_cache, mut values_cache, kv_blocks } = cache;
        let (keys_at, values_at) = (&mut keys_cache, &mut values_cache);
        let written = heads::Cache {
            keys: keys_at,
            values: values_at,
            kv_block: &pass.kv_block,
            position: &pass.position,
            kv_blocks,
        };
        let (heads, rotation) =
            (rotary::Heads { queries, keys, size, query_norm, key_norm }, self.rope.map(|rope| pass.rotation(rope)));
        let rows = pass.rows(self.query_key_value.outputs());
        pass.kernels.heads.prepare(rows, &heads, (rotation.as_ref(), Some(written)), &mut qkv.as_view_mut())?;
        let plan = &pass.plans[self.plan];
        let work = Work {
            items: &plan.items,
            item_count: &plan.item_count,
            combines: &plan.combines,
            combine_count: &plan.combine_count,
        };
        let read = Cache { keys: &keys_cache.as_view(), values: &values_cache.as_view(), table: &pass.table };
        let (mut states, mut to) = (states.as_view_mut(), attended.as_view_mut());
        pass.kernels.attention.attend(&self.attention, &work, (&qkv.as_view(), Some(&read)), &mut states, &mut to)
    }
}

fn upload_norm(stream: &Arc<CudaStream>, norm: Option<&Norm>) -> Result<Option<NormWeights>> {
    norm.map(|norm| NormWeights::new(stream, norm)).transpose()
}
