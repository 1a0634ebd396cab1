//! Query, key and value heads between the product that makes them and attention: norms, rotation, the KV cache. See
//! `heads.cu`.
#![expect(unsafe_code, reason = "starts kernels")]

use std::sync::Arc;

use cudarc::driver::{CudaFunction, CudaStream, CudaView, CudaViewMut, DeviceRepr, PushKernelArg};

use super::norm::{Argument, NormWeights};
use super::{Module, Rows, THREADS, address, blocks, failed, holds, int, ptx, typed};
use crate::cpu::cache::BLOCK_SIZE;
use crate::cpu::rotary::{self, Heads};
use crate::cuda::matmul::{Kind, Number};
use crate::error::{Error, Result};

/// Heads that a block computes at once.
const WARPS: usize = THREADS / 32;
/// Values of the largest head, for which a block has shared memory.
const LARGEST: usize = 1024;

/// The norm of the heads of one side, queries or keys.
pub enum HeadNorm {
    /// None.
    Absent,
    /// Each head by itself, all with the same `size` weights.
    Shared(NormWeights),
    /// Each head by itself, with weights of its own.
    PerHead(NormWeights),
    /// All heads as one row.
    Whole(NormWeights),
}

impl HeadNorm {
    /// That of a host.
    ///
    /// # Errors
    /// No memory is left.
    pub fn new(stream: &Arc<CudaStream>, norm: &rotary::HeadNorm) -> Result<Self> {
        Ok(match norm {
            rotary::HeadNorm::Each(norms) if norms.is_empty() => Self::Absent,
            rotary::HeadNorm::Each(norms) if norms.len() == 1 => Self::Shared(NormWeights::new(stream, &norms[0])?),
            rotary::HeadNorm::Each(norms) => Self::PerHead(NormWeights::of_heads(stream, norms)?),
            rotary::HeadNorm::Whole(norm) => Self::Whole(NormWeights::new(stream, norm)?),
        })
    }
}

/// The angles of a step.
pub struct Rotation<'a> {
    /// `[count, pairs]`: cosines.
    pub cosines: &'a CudaView<'a, f32>,
    /// `[count, pairs]`: sines.
    pub sines: &'a CudaView<'a, f32>,
    /// Values that turn together, in pairs; `rotary::Rope::pairs`.
    pub pairs: usize,
    /// `[tokens]`: the row of each. One that the table has not gives NaN.
    pub index: &'a CudaView<'a, u32>,
}

/// Where keys and values of a layer go.
pub struct Cache<'a, 'b, T> {
    /// `[kv_blocks][key heads][32][size]`.
    pub keys: &'a mut CudaViewMut<'b, T>,
    /// The same of values.
    pub values: &'a mut CudaViewMut<'b, T>,
    /// `[tokens]`: the KV block of each. One that there is not is not written.
    pub kv_block: &'a CudaView<'a, u32>,
    /// `[tokens]`: the position of each in its text; its remainder by 32 is its place in the KV block.
    pub position: &'a CudaView<'a, u32>,
    /// KV blocks.
    pub kv_blocks: usize,
}

/// `Side` of `heads.cu`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct SideArgument {
    norm: Argument,
    stride: i32,
    whole: i32,
}

// SAFETY: `Side` of `heads.cu` has these fields: a `Norm` and two ints.
unsafe impl DeviceRepr for SideArgument {}

/// `Rotation` of `heads.cu`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct RotationArgument {
    cosines: u64,
    sines: u64,
    index: u64,
    count: u32,
    pairs: i32,
}

// SAFETY: `Rotation` of `heads.cu` has these fields: three pointers, an unsigned, an int.
unsafe impl DeviceRepr for RotationArgument {}

/// `Cache` of `heads.cu`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CacheArgument {
    keys: u64,
    values: u64,
    kv_block: u64,
    position: u64,
    kv_blocks: u32,
}

// SAFETY: `Cache` of `heads.cu` has these fields: four pointers and an unsigned.
unsafe impl DeviceRepr for CacheArgument {}

/// The kernel that prepares heads, for one kind of numbers.
pub struct HeadKernels {
    stream: Arc<CudaStream>,
    kind: Kind,
    prepare_heads: CudaFunction,
}

impl HeadKernels {
    /// Loads it.
    ///
    /// # Errors
    /// The driver does not take it.
    pub fn load(stream: &Arc<CudaStream>, kind: Kind) -> Result<Self> {
        let module = Module::load(stream.context(), "heads", ptx::HEADS)?;
        Ok(Self { stream: stream.clone(), kind, prepare_heads: module.of("prepare_heads", kind)? })
    }

    /// Norms and rotates query and key heads. Queries stay where they are; keys and values go to the cache where there is
    /// one, else both stay too. `rows` are the tokens; their width is that of all heads.
    ///
    /// # Errors
    /// Buffers that are too short, norms of another width.
    pub fn prepare<T: Number + DeviceRepr>(
        &self,
        rows: Rows<'_>,
        heads: &Heads<'_, HeadNorm>,
        (rotation, cache): (Option<&Rotation<'_>>, Option<Cache<'_, '_, T>>),
        qkv: &mut CudaViewMut<'_, T>,
    ) -> Result<()> {
        let name = "prepare_heads";
        let &Heads { queries, keys, size, query_norm, key_norm } = heads;
        typed::<T>(name, self.kind)?;
        let values = rows.values(name)?;
        if rows.width != (queries + 2 * keys) * size || size > LARGEST {
            return Err(Error::internal(format!(
                "prepare {queries} and {keys} heads of {size} in rows of {}",
                rows.width
            )));
        }
        holds(name, "the heads", qkv.len(), values)?;
        let nothing = rotation.is_none() && cache.is_none();
        if values == 0 || nothing && matches!((query_norm, key_norm), (HeadNorm::Absent, HeadNorm::Absent)) {
            return Ok(());
        }
        let query_side = self.side(query_norm, queries, size)?;
        let key_side = self.side(key_norm, keys, size)?;
        let rotation = rotation.map(|rotation| self.rotation(rows.most, size, rotation)).transpose()?;
        let written = queries + if cache.is_some() { 2 * keys } else { keys };
        let cache = cache.map(|cache| self.cache(rows.most, keys * BLOCK_SIZE * size, cache)).transpose()?;
        let (rotation, cache) = (rotation.unwrap_or_default(), cache.unwrap_or_default());
        // A norm of all heads reads what their preparation overwrites, so that one block must have them all.
        let parts = if query_side.whole + key_side.whole > 0 { 1 } else { written.div_ceil(WARPS) };
        let config = blocks(name, (rows.most, parts), WARPS * size * size_of::<f32>())?;
        let (queries, keys, size) = (int(name, queries)?, int(name, keys)?, int(name, size)?);
        let mut launch = self.stream.launch_builder(&self.prepare_heads);
        launch.arg(qkv).arg(rows.count).arg(&queries).arg(&keys).arg(&size);
        launch.arg(&query_side).arg(&key_side).arg(&rotation).arg(&cache);
        // SAFETY: the parameters of `prepare_heads`; lengths were checked, and it holds indices against tables and KV blocks.
        unsafe { launch.launch(config) }.map_err(failed(name)).map(drop)
    }

    fn side(&self, norm: &HeadNorm, heads: usize, size: usize) -> Result<SideArgument> {
        let (norm, width, stride, whole) = match norm {
            HeadNorm::Absent => return Ok(SideArgument::default()),
            HeadNorm::Shared(norm) => (norm, size, 0, 0),
            HeadNorm::PerHead(norm) => (norm, heads * size, size, 0),
            HeadNorm::Whole(norm) => (norm, heads * size, size, 1),
        };
        let norm = Argument::of(&self.stream, "prepare_heads", Some(norm), width)?;
        Ok(SideArgument { norm, stride: int("prepare_heads", stride)?, whole })
    }

    fn rotation(&self, tokens: usize, size: usize, rotation: &Rotation<'_>) -> Result<RotationArgument> {
        let (name, &Rotation { cosines, sines, pairs, index }) = ("prepare_heads", rotation);
        holds(name, "a head", size, 2 * pairs)?;
        holds(name, "the rows of angles", index.len(), tokens)?;
        let at = |view| address(&self.stream, Some(view));
        let count = int(name, cosines.len().min(sines.len()) / pairs.max(1))?.unsigned_abs();
        let (cosines, sines, index) = (at(cosines), at(sines), address(&self.stream, Some(index)));
        Ok(RotationArgument { cosines, sines, index, count, pairs: int(name, pairs)? })
    }

    fn cache<T>(&self, tokens: usize, kv_block: usize, cache: Cache<'_, '_, T>) -> Result<CacheArgument> {
        let (name, Cache { keys, values, kv_block: blocks_of, position, kv_blocks }) = ("prepare_heads", cache);
        let all = kv_block.saturating_mul(kv_blocks);
        holds(name, "the keys", keys.len(), all)?;
        holds(name, "the values", values.len(), all)?;
        holds(name, "the KV blocks of tokens", blocks_of.len(), tokens)?;
        holds(name, "the positions of tokens", position.len(), tokens)?;
        let at = |view| address(&self.stream, Some(view));
        let index = |view| address(&self.stream, Some(view));
        let kv_blocks = int(name, kv_blocks)?.unsigned_abs();
        let (keys, values) = (at(&keys.as_view()), at(&values.as_view()));
        Ok(CacheArgument { keys, values, kv_block: index(blocks_of), position: index(position), kv_blocks })
    }
}
