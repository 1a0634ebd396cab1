//! Attention over the KV cache, or over the rows of a step themselves. See `attention.cuh`.
#![expect(unsafe_code, reason = "starts kernels")]

use std::sync::Arc;

use cudarc::driver::sys::CUfunction_attribute as Attribute;
use cudarc::driver::{CudaFunction, CudaStream, CudaView, CudaViewMut, DeviceRepr, PushKernelArg};

use super::{Module, address, blocks, failed, holds, int, ptx, typed};
use crate::cpu::cache::BLOCK_SIZE;
use crate::cuda::matmul::{Kind, Number};
use crate::cuda::plan::{Heads, Item, PART_ROWS, Planner};
use crate::error::{Error, Result};

/// Values of a head that kernels are compiled for; a head takes the next of them.
const SIZES: [usize; 3] = [64, 128, 256];
/// Threads of a block.
const THREADS: u32 = 128;
/// Bytes at a multiple of which rows must begin where kernels copy that many at once.
const WORD: usize = 16;

/// The kernels of attention for one kind of numbers.
pub struct AttentionKernels {
    stream: Arc<CudaStream>,
    kind: Kind,
    sized: Vec<OfSize>,
}

/// Those for heads of at most `size` values.
struct OfSize {
    size: usize,
    /// Bytes of shared memory.
    shared: usize,
    attention: CudaFunction,
    combine: CudaFunction,
}

/// Keys and values of a layer's cache, as `launch::heads` writes them.
pub struct Cache<'a, T> {
    /// `[kv_blocks][key heads][32][size]`.
    pub keys: &'a CudaView<'a, T>,
    /// The same of values.
    pub values: &'a CudaView<'a, T>,
    /// The KV blocks of sequences, as their items name them. One that there is not holds zeros.
    pub table: &'a CudaView<'a, u32>,
}

/// A plan on the GPU: [`Item::words`] of every item, one after the other. Blocks are started for all that there is room for, and
/// those behind the number return at once.
pub struct Work<'a> {
    /// `[most, 8]`. Items that ask for rows, KV blocks or states that there are not are left out, all of them.
    pub items: &'a CudaView<'a, u32>,
    /// How many, one number.
    pub item_count: &'a CudaView<'a, u32>,
    /// `[most, 8]`: those to combine.
    pub combines: &'a CudaView<'a, u32>,
    /// How many, one number.
    pub combine_count: &'a CudaView<'a, u32>,
}

/// `Heads` of `attention.cuh`.
#[repr(C)]
#[derive(Clone, Copy)]
struct HeadsArgument {
    queries: i32,
    keys: i32,
    size: i32,
    scale: f32,
    cap: f32,
    before: i32,
    after: i32,
}

// SAFETY: `Heads` of `attention.cuh` has these fields: three ints, two floats, two ints.
unsafe impl DeviceRepr for HeadsArgument {}

/// `Capacity` of `attention.cuh`.
#[repr(C)]
#[derive(Clone, Copy)]
struct RoomArgument {
    rows: u32,
    table: u32,
    kv_blocks: u32,
    partials: u32,
}

// SAFETY: `Capacity` of `attention.cuh` has these fields: four unsigned.
unsafe impl DeviceRepr for RoomArgument {}

impl AttentionKernels {
    /// Loads them.
    ///
    /// # Errors
    /// The driver does not take them.
    pub fn load(stream: &Arc<CudaStream>, kind: Kind) -> Result<Self> {
        let plain = Module::load(stream.context(), "attention", ptx::ATTENTION)?;
        let tensor = match kind {
            Kind::F32 => None,
            Kind::Bf16 | Kind::F16 => Some(Module::load(stream.context(), "attention_mma", ptx::ATTENTION_MMA)?),
        };
        let load = |size: usize| {
            let attention = tensor.as_ref().unwrap_or(&plain).of(&format!("attention_{size}"), kind)?;
            let shared = shared(kind, size);
            let capacity = Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            attention.set_attribute(capacity, int("attention", shared)?).map_err(failed("attention"))?;
            let combine = plain.of(&format!("combine_{size}"), kind)?;
            Ok(OfSize { size, shared, attention, combine })
        };
        let sized = SIZES.into_iter().map(load).collect::<Result<_>>()?;
        Ok(Self { stream: stream.clone(), kind, sized })
    }

    /// Rows of a tile: what plans for these kernels are made with.
    pub fn tile_rows(kind: Kind) -> usize {
        if kind == Kind::F32 { 16 } else { 64 }
    }

    /// Values of the space for the states of a planner's parts.
    ///
    /// # Errors
    /// Heads are too large.
    pub fn space(planner: &Planner) -> Result<usize> {
        Ok(planner.partials() * planner.heads.keys * state(padded(planner.heads.size)?))
    }

    /// `out = softmax(queries · keysᵀ · scale) · values` for every token and query head, where a token sees the keys of its
    /// sequence that `heads.mask` names. `qkv` has the rows of a step, `[tokens, (queries + 2·keys)·size]`, from which queries
    /// are taken, and without a cache keys and values too: then sequences must start at position 0. `out` is `[tokens,
    /// queries·size]`. What is in `space` before and after is of no interest; it need only be as long as [`Self::space`]
    /// where the plan has parts.
    ///
    /// A row has the same bits whatever the plan, the rows beside it, and the steps in which its sequence came.
    ///
    /// # Errors
    /// Heads that are too large or do not divide, buffers that are too short or do not begin at a multiple of 16 bytes.
    pub fn attend<T: Number + DeviceRepr>(
        &self,
        heads: &Heads,
        work: &Work<'_>,
        (qkv, cache): (&CudaView<'_, T>, Option<&Cache<'_, T>>),
        space: &mut CudaViewMut<'_, f32>,
        out: &mut CudaViewMut<'_, T>,
    ) -> Result<()> {
        let name = "attention";
        typed::<T>(name, self.kind)?;
        let padded = padded(heads.size)?;
        let Some(sized) = self.sized.iter().find(|sized| sized.size == padded) else {
            return Err(Error::internal(format!("failed to find attention for heads of {padded} values")));
        };
        holds(name, "the number of items", work.item_count.len(), 1)?;
        holds(name, "the number of items to combine", work.combine_count.len(), 1)?;
        let heads_argument = HeadsArgument::of(name, heads)?;
        let Heads { queries, keys, size, .. } = *heads;
        // What there is room for bounds every item.
        let rows = (qkv.len() / ((queries + 2 * keys) * size)).min(out.len() / (queries * size));
        let partials = space.len() / (keys * state(padded));
        let (mut capacity, mut of_cache) =
            (RoomArgument { rows: number(rows), table: 0, kv_blocks: 0, partials: number(partials) }, (0, 0, 0));
        if let Some(Cache { keys: key_cache, values, table }) = cache {
            holds(name, "the table of KV blocks", table.len(), 1)?;
            capacity.table = number(table.len());
            capacity.kv_blocks = number(key_cache.len().min(values.len()) / (keys * BLOCK_SIZE * size));
            let at = |view| address(&self.stream, Some(view));
            of_cache = (at(key_cache), at(values), address(&self.stream, Some(table)));
        }
        let aligned = [address(&self.stream, Some(qkv)), of_cache.0, of_cache.1];
        if aligned.iter().any(|at| !at.is_multiple_of(WORD as u64)) {
            return Err(Error::internal(
                "failed to start the kernel `attention` on rows that do not begin at a multiple of 16 bytes",
            ));
        }
        let (items, combines) = (work.items.len() / Item::WORDS, work.combines.len() / Item::WORDS);
        if items > 0 {
            let mut config = blocks(name, (items, keys), sized.shared)?;
            config.block_dim.0 = THREADS;
            let mut launch = self.stream.launch_builder(&sized.attention);
            launch.arg(qkv).arg(&of_cache.0).arg(&of_cache.1).arg(&of_cache.2).arg(&mut *out).arg(&mut *space);
            launch.arg(work.items).arg(work.item_count).arg(&heads_argument).arg(&capacity);
            // SAFETY: the parameters of `attention_*`, which holds items and KV blocks against the room there is.
            unsafe { launch.launch(config) }.map_err(failed(name))?;
        }
        if combines > 0 {
            let mut config = blocks(name, (combines, keys), 0)?;
            config.block_dim.0 = THREADS;
            let mut launch = self.stream.launch_builder(&sized.combine);
            launch.arg(out).arg(space).arg(work.combines).arg(work.combine_count).arg(&heads_argument).arg(&capacity);
            // SAFETY: the parameters of `combine_*`, which holds items against the room there is.
            unsafe { launch.launch(config) }.map_err(failed(name))?;
        }
        Ok(())
    }
}

impl HeadsArgument {
    fn of(name: &str, heads: &Heads) -> Result<Self> {
        let &Heads { queries, keys, size, scale, cap, mask } = heads;
        if keys == 0 || size == 0 || queries == 0 || !queries.is_multiple_of(keys) {
            return Err(Error::internal(format!(
                "attend with {queries} query heads, {keys} key heads of {size} values"
            )));
        }
        int(name, queries.saturating_add(keys.saturating_mul(2)).saturating_mul(size))?;
        // All is further than any sequence is long.
        let far = |positions: Option<usize>| positions.and_then(|far| i32::try_from(far).ok()).unwrap_or(i32::MAX);
        let (queries, keys, size) = (int(name, queries)?, int(name, keys)?, int(name, size)?);
        let (before, after) = (far(mask.before), far(mask.after));
        Ok(Self { queries, keys, size, scale, cap: cap.unwrap_or(0.0), before, after })
    }
}

/// A bound of what a kernel may ask for.
fn number(capacity: usize) -> u32 {
    u32::try_from(capacity).unwrap_or(u32::MAX)
}

/// The size that there are kernels for.
fn padded(size: usize) -> Result<usize> {
    SIZES.into_iter().find(|padded| size <= *padded).ok_or_else(|| {
        Error::input(format!("failed to compute attention on a GPU with heads of {size} values"))
            .with_hint(format!("{} are the most that karat's kernels know; `--device cpu` has no limit", SIZES[2]))
    })
}

/// Values of the state of a chunk and key head.
fn state(padded: usize) -> usize {
    PART_ROWS * (padded + 2)
}

/// Bytes of shared memory of a block: less than the 99 KiB that every GPU from 8.0 on has.
fn shared(kind: Kind, padded: usize) -> usize {
    match kind {
        // Keys, values, queries.
        Kind::F32 => size_of::<f32>() * (BLOCK_SIZE * (padded + 1) + BLOCK_SIZE * padded + 16 * padded),
        // Keys and values; sums.
        Kind::Bf16 | Kind::F16 => {
            2 * BLOCK_SIZE * (padded + 8) * 2 + padded / 8 * THREADS as usize * 4 * size_of::<f32>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_fit_in_every_gpu() {
        for kind in [Kind::F32, Kind::Bf16, Kind::F16] {
            assert!(SIZES.iter().all(|size| shared(kind, *size) <= 99 << 10), "{}", kind.name());
        }
    }

    #[test]
    fn large_heads_are_told() {
        assert_eq!([1, 64, 65, 80, 128, 129, 256].map(|size| padded(size).unwrap()), [64, 64, 128, 128, 128, 256, 256]);
        assert!(padded(257).unwrap_err().to_string().contains("257"));
    }
}
