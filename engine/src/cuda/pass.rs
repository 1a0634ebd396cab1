//! One pass of a step through a model on a GPU: the kernels, the rows between them, and what is known of the tokens.

use std::sync::Arc;

use cudarc::driver::{CudaSlice, CudaStream, CudaView};

use super::launch::Rows;
use super::launch::activate::ActivationKernels;
use super::launch::attention::AttentionKernels;
use super::launch::copies::CopyKernels;
use super::launch::experts::{ExpertKernels, Groups};
use super::launch::gemm::GemmKernels;
use super::launch::heads::{HeadKernels, Rotation};
use super::launch::rows::RowKernels;
use super::launch::sample::SampleKernels;
use super::matmul::Kind;
use crate::error::Result;

/// All kernels of a decoder.
pub struct Kernels {
    /// On rows of the residual stream.
    pub rows: RowKernels,
    /// Activations.
    pub activations: ActivationKernels,
    /// Heads on their way to attention.
    pub heads: HeadKernels,
    /// Attention.
    pub attention: AttentionKernels,
    /// Copies of KV blocks and rows.
    pub copies: CopyKernels,
    /// Mixtures of experts.
    pub experts: ExpertKernels,
    /// Reading of logits.
    pub sample: SampleKernels,
    /// Products of our own.
    pub gemm: Arc<GemmKernels>,
}

impl Kernels {
    /// Loads them for a kind of numbers.
    ///
    /// # Errors
    /// The driver does not take them.
    pub fn load(stream: &Arc<CudaStream>, kind: Kind, gemm: &Arc<GemmKernels>) -> Result<Self> {
        Ok(Self {
            rows: RowKernels::load(stream, kind)?,
            activations: ActivationKernels::load(stream, kind)?,
            heads: HeadKernels::load(stream, kind)?,
            attention: AttentionKernels::load(stream, kind)?,
            copies: CopyKernels::load(stream)?,
            experts: ExpertKernels::load(stream, kind)?,
            sample: SampleKernels::load(stream)?,
            gemm: gemm.clone(),
        })
    }
}

/// What a pass knows of its tokens; all of it lies on the GPU.
pub struct Pass<'a> {
    /// The kernels.
    pub kernels: &'a Kernels,
    /// How many rows there are.
    pub count: CudaView<'a, u32>,
    /// How many there may be: the rows that products compute.
    pub most: usize,
    /// `[most]`: the KV block of each token.
    pub kv_block: CudaView<'a, u32>,
    /// `[most]`: its position.
    pub position: CudaView<'a, u32>,
    /// `[most]`: 0, 1, 2, …: the rows of the tables of angles, which are those of the tokens.
    pub identity: CudaView<'a, u32>,
    /// Cosines and sines `[most, pairs]` of each rotary embedding, and its pairs.
    pub angles: Vec<(CudaView<'a, f32>, CudaView<'a, f32>, usize)>,
    /// The KV blocks of sequences, one behind the other.
    pub table: CudaView<'a, u32>,
    /// How attention is shared out, for each window that a layer may have.
    pub plans: Vec<PlanViews<'a>>,
    /// Values of a row of the stream.
    pub hidden: usize,
    /// Factor of what a block adds to it.
    pub residual_scale: f32,
}

/// A plan of attention on the GPU.
pub struct PlanViews<'a> {
    /// Items.
    pub items: CudaView<'a, u32>,
    /// Their number.
    pub item_count: CudaView<'a, u32>,
    /// Items to combine.
    pub combines: CudaView<'a, u32>,
    /// Their number.
    pub combine_count: CudaView<'a, u32>,
}

impl Pass<'_> {
    /// The rows of the pass, of so many values.
    pub fn rows(&self, width: usize) -> Rows<'_> {
        Rows { count: &self.count, most: self.most, width }
    }

    /// The angles of one of the rotary embeddings.
    pub fn rotation(&self, rope: usize) -> Rotation<'_> {
        let (cosines, sines, pairs) = &self.angles[rope];
        Rotation { cosines, sines, pairs: *pairs, index: &self.identity }
    }
}

/// Rows between kernels, with room for those of the largest step.
pub struct Space<T> {
    /// `[rows, hidden]`: the residual stream.
    pub x: CudaSlice<f32>,
    /// `[rows, hidden]`: what the next product reads.
    pub h: CudaSlice<T>,
    /// `[rows, (queries + 2·keys)·size]`.
    pub qkv: CudaSlice<T>,
    /// `[rows, queries·size]`.
    pub attended: CudaSlice<T>,
    /// States of the parts of attention.
    pub states: CudaSlice<f32>,
    /// What goes into the activation of a feed-forward block.
    pub inner: CudaSlice<T>,
    /// What comes out of it.
    pub activated: CudaSlice<T>,
    /// `[rows, hidden]`: what a block adds to the stream.
    pub y: CudaSlice<f32>,
    /// Of parallel layers: what the feed-forward block reads, `[rows, hidden]`, and what it adds.
    pub beside: Option<(CudaSlice<T>, CudaSlice<f32>)>,
    /// Of mixtures of experts.
    pub experts: Option<ExpertSpace<T>>,
}

/// Rows of a mixture of experts.
pub struct ExpertSpace<T> {
    /// `[rows, experts]`: what the router says.
    pub logits: CudaSlice<f32>,
    /// Who takes which.
    pub groups: Groups,
    /// Grouped rows of what goes into the activation.
    pub inner: CudaSlice<T>,
    /// What comes out of it.
    pub activated: CudaSlice<T>,
    /// Grouped rows of what the experts say.
    pub y: CudaSlice<f32>,
    /// What the block says that all tokens take, and its gate, where there is one.
    pub shared: Option<(CudaSlice<f32>, CudaSlice<f32>)>,
}
