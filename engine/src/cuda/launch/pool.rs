//! One vector of the vectors of a text's tokens. See `pool.cu`.
#![expect(unsafe_code, reason = "starts kernels")]

use std::sync::Arc;

use cudarc::driver::{CudaFunction, CudaStream, CudaView, CudaViewMut, PushKernelArg};

use super::{Module, Rows, THREADS, blocks, failed, holds, int, ptx};
use crate::error::Result;
use crate::request::Pooling;

/// The kernels that pool; in f32.
pub struct PoolKernels {
    stream: Arc<CudaStream>,
    pool: CudaFunction,
}

/// Texts packed back to back.
pub struct Texts<'a> {
    /// `[tokens, width]`: the vectors of all tokens.
    pub x: &'a CudaView<'a, f32>,
    /// `[texts + 1]`: where texts begin, and where the last one ends.
    pub offsets: &'a CudaView<'a, u32>,
    /// `[texts]`: how many first tokens of each do not count where tokens are averaged.
    pub skipped: &'a CudaView<'a, u32>,
}

impl PoolKernels {
    /// Loads them.
    ///
    /// # Errors
    /// The driver does not take them.
    pub fn load(stream: &Arc<CudaStream>) -> Result<Self> {
        let module = Module::load(stream.context(), "pool", ptx::POOL)?;
        Ok(Self { stream: stream.clone(), pool: module.function("pool")? })
    }

    /// Pools texts to one row each; `rows` are the texts.
    ///
    /// # Errors
    /// Buffers that are too short.
    pub fn pool(
        &self,
        rows: Rows<'_>,
        texts: &Texts<'_>,
        pooling: Pooling,
        to: &mut CudaViewMut<'_, f32>,
    ) -> Result<()> {
        let name = "pool";
        let values = rows.values(name)?;
        holds(name, "the offsets", texts.offsets.len(), rows.most + 1)?;
        holds(name, "the skipped tokens", texts.skipped.len(), rows.most)?;
        holds(name, "the rows of the result", to.len(), values)?;
        if values == 0 {
            return Ok(());
        }
        let (tokens, width) = (int(name, texts.x.len() / rows.width)?, int(name, rows.width)?);
        let config = blocks(name, (rows.most, rows.width.div_ceil(THREADS)), 0)?;
        let pooling = number(pooling);
        let mut launch = self.stream.launch_builder(&self.pool);
        launch.arg(texts.x).arg(&tokens).arg(texts.offsets).arg(texts.skipped).arg(rows.count);
        launch.arg(&width).arg(&pooling).arg(to);
        // SAFETY: the parameters of `pool`; lengths were checked, and it holds the offsets against the tokens.
        unsafe { launch.launch(config) }.map_err(failed(name)).map(drop)
    }
}

/// As `pool.cu` counts them.
fn number(pooling: Pooling) -> i32 {
    match pooling {
        Pooling::Mean => 0,
        Pooling::Cls => 1,
        Pooling::Last => 2,
        Pooling::Max => 3,
        Pooling::MeanSqrtLen => 4,
        Pooling::WeightedMean => 5,
    }
}
