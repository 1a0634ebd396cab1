//! Copies: KV blocks of the KV cache, rows of the stream that are read. See `copies.cu`.
#![expect(unsafe_code, reason = "starts kernels")]

use std::sync::Arc;

use cudarc::driver::{CudaFunction, CudaStream, CudaView, CudaViewMut, DeviceRepr, PushKernelArg};

use super::{Module, Rows, THREADS, blocks, failed, holds, int, ptx};
use crate::cuda::matmul::Number;
use crate::error::{Error, Result};

/// Bytes of a word of the copy.
const WORD: usize = 16;

/// The kernels that copy; for numbers of every kind.
pub struct CopyKernels {
    stream: Arc<CudaStream>,
    copy_kv_blocks: CudaFunction,
    gather_rows: CudaFunction,
}

/// KV blocks of keys and values on a GPU, `[layers][kv_blocks][block_values]` each.
pub struct KvBlocks<'a, 'b, T> {
    /// Keys.
    pub keys: &'a mut CudaViewMut<'b, T>,
    /// Values.
    pub values: &'a mut CudaViewMut<'b, T>,
    /// Layers.
    pub layers: usize,
    /// KV blocks of a layer.
    pub kv_blocks: usize,
    /// Values of a KV block: heads · 32 · size. As bytes a multiple of 16.
    pub block_values: usize,
}

impl CopyKernels {
    /// Loads them.
    ///
    /// # Errors
    /// The driver does not take them.
    pub fn load(stream: &Arc<CudaStream>) -> Result<Self> {
        let module = Module::load(stream.context(), "copies", ptx::COPIES)?;
        let (copy_kv_blocks, gather_rows) = (module.function("copy_kv_blocks")?, module.function("gather_rows")?);
        Ok(Self { stream: stream.clone(), copy_kv_blocks, gather_rows })
    }

    /// Copies KV blocks in all layers: `pairs` has from, to, one pair after the other and in that order, of which the first
    /// `count` are copied, and never more than it has room for.
    ///
    /// # Errors
    /// Buffers that are too short or do not begin at a multiple of 16 bytes.
    pub fn copy_kv_blocks<T: Number + DeviceRepr>(
        &self,
        kv_blocks: KvBlocks<'_, '_, T>,
        pairs: &CudaView<'_, u32>,
        count: &CudaView<'_, u32>,
    ) -> Result<()> {
        let name = "copy_kv_blocks";
        let KvBlocks { keys, values, layers, kv_blocks, block_values } = kv_blocks;
        holds(name, "the number of pairs", count.len(), 1)?;
        let all = layers.saturating_mul(kv_blocks).saturating_mul(block_values);
        holds(name, "the keys", keys.len(), all)?;
        holds(name, "the values", values.len(), all)?;
        let bytes = block_values * size_of::<T>();
        if !bytes.is_multiple_of(WORD) {
            return Err(Error::internal(format!("failed to copy KV blocks of {bytes} bytes")));
        }
        let most = int(name, pairs.len() / 2)?;
        if all == 0 || most == 0 {
            return Ok(());
        }
        for at in [
            crate::cuda::launch::address(&self.stream, Some(&keys.as_view())),
            crate::cuda::launch::address(&self.stream, Some(&values.as_view())),
        ] {
            if !at.is_multiple_of(WORD as u64) {
                return Err(Error::internal("failed to copy KV blocks that do not begin at a multiple of 16 bytes"));
            }
        }
        let (kv_blocks, words) = (int(name, kv_blocks)?, bytes / WORD);
        let mut config = blocks(name, (words.div_ceil(THREADS), layers), 0)?;
        config.grid_dim.2 = 2;
        let words = int(name, words)?;
        let mut launch = self.stream.launch_builder(&self.copy_kv_blocks);
        launch.arg(keys).arg(values).arg(pairs).arg(count).arg(&most).arg(&kv_blocks).arg(&words);
        // SAFETY: the parameters of `copy_kv_blocks`; lengths were checked, and it holds KV blocks against their number.
        unsafe { launch.launch(config) }.map_err(failed(name)).map(drop)
    }

    /// `to[row] = from[index[row]]`. A row that `from` has not is NaN.
    ///
    /// # Errors
    /// Buffers that are too short.
    pub fn gather_rows(
        &self,
        rows: Rows<'_>,
        from: &CudaView<'_, f32>,
        index: &CudaView<'_, u32>,
        to: &mut CudaViewMut<'_, f32>,
    ) -> Result<()> {
        let name = "gather_rows";
        let values = rows.values(name)?;
        holds(name, "the index", index.len(), rows.most)?;
        holds(name, "the rows of the result", to.len(), values)?;
        if values == 0 {
            return Ok(());
        }
        let (there, width) = (int(name, from.len() / rows.width)?, int(name, rows.width)?);
        let config = blocks(name, (rows.most, 1), 0)?;
        let mut launch = self.stream.launch_builder(&self.gather_rows);
        launch.arg(from).arg(&there).arg(index).arg(rows.count).arg(&width).arg(to);
        // SAFETY: the parameters of `gather_rows`; lengths were checked, and it holds the index against the rows.
        unsafe { launch.launch(config) }.map_err(failed(name)).map(drop)
    }
}
