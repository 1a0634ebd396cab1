//! What is read from rows of logits: next tokens, scores of tokens. See `sample.cu`.
#![expect(unsafe_code, reason = "starts kernels")]

use std::sync::Arc;

use cudarc::driver::{CudaFunction, CudaStream, CudaView, CudaViewMut, DeviceRepr, PushKernelArg, ValidAsZeroBits};

use super::{Module, Rows, blocks, failed, holds, int, ptx};
use crate::error::{Error, Result};
use crate::scheduler::backend::{OutputKind, StepOutput};

/// Threads of a block: as many as `sample.cu` has.
const BLOCK: u32 = 1024;

/// Logits that a row may have: of more, the sum of masses may overflow.
pub const WIDEST: usize = 1 << 19;

/// The mark of a row with a NaN or without a finite highest logit, in place of a token.
const NOT_FINITE: u32 = u32::MAX;

/// What to read from a row, as the GPU takes it: `Asked` of `sample.cu`. The default reads nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Asked {
    top_p: f64,
    key: u64,
    position: u32,
    /// 0 nothing, 1 the next token, 2 a score.
    kind: u32,
    target: u32,
    /// 1 where the choice is greedy.
    top_k: u32,
    /// 1 / temperature, 1 for scores.
    factor: f32,
    unused: u32,
}

// SAFETY: `Asked` of `sample.cu` has these fields, and no bits are padding.
unsafe impl DeviceRepr for Asked {}
// SAFETY: zeros are the default.
unsafe impl ValidAsZeroBits for Asked {}

impl Asked {
    /// As a step wants it. Rows that the host looks at are copied without a kernel: nothing is read.
    pub fn of(kind: &OutputKind) -> Self {
        match *kind {
            OutputKind::Next { sampling, key, position } => {
                let greedy = sampling.temperature <= 0.0;
                let top_k = if greedy { 1 } else { sampling.top_k.try_into().unwrap_or(u32::MAX) };
                let (top_p, factor) = (sampling.top_p, (1.0 / sampling.temperature) as f32);
                Self { top_p, key, position, kind: 1, target: 0, top_k, factor, unused: 0 }
            }
            OutputKind::Score { target } => Self { kind: 2, target, factor: 1.0, ..Self::default() },
            OutputKind::Candidates { .. } | OutputKind::Logits => Self::default(),
        }
    }
}

/// What was read from a row: `Found` of `sample.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Found {
    /// ln p of the target where a score was asked for, else 0.
    logprob: f64,
    /// The next token; the greedy choice where a score was asked for; or [`NOT_FINITE`].
    token: u32,
    unused: u32,
}

// SAFETY: `Found` of `sample.cu` has these fields, and no bits are padding.
unsafe impl DeviceRepr for Found {}
// SAFETY: numbers all.
unsafe impl ValidAsZeroBits for Found {}

impl Found {
    /// As a step answers it; nothing where logits are wanted whole.
    pub fn output(self, kind: &OutputKind) -> Option<StepOutput> {
        match *kind {
            OutputKind::Candidates { .. } | OutputKind::Logits => None,
            _ if self.token == NOT_FINITE => Some(StepOutput::NotFinite),
            OutputKind::Next { .. } => Some(StepOutput::Next(self.token)),
            OutputKind::Score { target } => {
                Some(StepOutput::Score { logprob: self.logprob, greedy: self.token == target })
            }
        }
    }
}

/// The kernels that read logits and take over what was read.
pub struct SampleKernels {
    stream: Arc<CudaStream>,
    sample: CudaFunction,
    fill_deferred: CudaFunction,
}

impl SampleKernels {
    /// Loads them.
    ///
    /// # Errors
    /// The driver does not take them.
    pub fn load(stream: &Arc<CudaStream>) -> Result<Self> {
        let module = Module::load(stream.context(), "sample", ptx::SAMPLE)?;
        let (sample, fill_deferred) = (module.function("sample")?, module.function("fill_deferred")?);
        Ok(Self { stream: stream.clone(), sample, fill_deferred })
    }

    /// `found[row]` = what `asked[row]` asks of the row of `logits`, `[rows, width]`, scaled and capped as they are to be; where
    /// nothing is asked it stays. A row's answer depends on the row and what is asked of it alone.
    ///
    /// # Errors
    /// Buffers that are too short, or rows of more than [`WIDEST`] logits.
    pub fn sample(
        &self,
        rows: Rows<'_>,
        logits: &CudaView<'_, f32>,
        asked: &CudaView<'_, Asked>,
        found: &mut CudaViewMut<'_, Found>,
    ) -> Result<()> {
        let name = "sample";
        let values = rows.values(name)?;
        holds(name, "the logits", logits.len(), values)?;
        holds(name, "what is asked", asked.len(), rows.most)?;
        holds(name, "what is found", found.len(), rows.most)?;
        if rows.width > WIDEST {
            return Err(Error::internal(format!(
                "failed to start the kernel `{name}` on rows of {} logits",
                rows.width
            )));
        }
        if values == 0 {
            return Ok(());
        }
        let (width, mut config) = (int(name, rows.width)?.unsigned_abs(), blocks(name, (rows.most, 1), 0)?);
        config.block_dim.0 = BLOCK;
        let mut launch = self.stream.launch_builder(&self.sample);
        launch.arg(logits).arg(asked).arg(rows.count).arg(&width).arg(found);
        // SAFETY: the parameters of `sample`; lengths were checked, and it holds targets against the width.
        unsafe { launch.launch(config) }.map_err(failed(name)).map(drop)
    }

    /// `ids[row]` = the token of `found[read]`, for the first `count` pairs row, read, and never for more than there is room
    /// for. Where a row was not finite, that is no token.
    ///
    /// # Errors
    /// Buffers that are too short.
    pub fn fill_deferred(
        &self,
        found: &CudaView<'_, Found>,
        (pairs, count): (&CudaView<'_, u32>, &CudaView<'_, u32>),
        ids: &mut CudaViewMut<'_, u32>,
    ) -> Result<()> {
        let name = "fill_deferred";
        holds(name, "the number of pairs", count.len(), 1)?;
        let (reads, most, rows) = (found.len(), pairs.len() / 2, ids.len());
        if most == 0 || rows == 0 {
            return Ok(());
        }
        let (reads, most_pairs, rows) = (int(name, reads)?, int(name, most)?, int(name, rows)?);
        let mut config = blocks(name, (most.div_ceil(BLOCK as usize), 1), 0)?;
        config.block_dim.0 = BLOCK;
        let mut launch = self.stream.launch_builder(&self.fill_deferred);
        launch.arg(found).arg(&reads).arg(pairs).arg(count).arg(&most_pairs).arg(ids).arg(&rows);
        // SAFETY: the parameters of `fill_deferred`, which holds rows and reads against their numbers.
        unsafe { launch.launch(config) }.map_err(failed(name)).map(drop)
    }
}
