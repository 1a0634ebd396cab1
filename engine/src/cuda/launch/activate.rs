//! Activations of feed-forward blocks, and the scale and cap of logits. See `activate.cu`.
#![expect(unsafe_code, reason = "starts kernels")]

use std::sync::Arc;

use cudarc::driver::{CudaFunction, CudaStream, CudaView, CudaViewMut, DeviceRepr, PushKernelArg};

use super::{Module, Rows, blocks, failed, holds, int, ptx, typed};
use crate::cpu::activation::Activation;
use crate::cuda::matmul::{Kind, Number};
use crate::error::Result;

/// Numbers of a row that a block has.
const PART: usize = 1024;

/// The kernels of activations for one kind of numbers.
pub struct ActivationKernels {
    stream: Arc<CudaStream>,
    kind: Kind,
    activate: CudaFunction,
    cap_logits: CudaFunction,
}

impl ActivationKernels {
    /// Loads them.
    ///
    /// # Errors
    /// The driver does not take them.
    pub fn load(stream: &Arc<CudaStream>, kind: Kind) -> Result<Self> {
        let module = Module::load(stream.context(), "activate", ptx::ACTIVATE)?;
        let (activate, cap_logits) = (module.of("activate", kind)?, module.function("cap_logits")?);
        Ok(Self { stream: stream.clone(), kind, activate, cap_logits })
    }

    /// `to = act(x)`, or `act(x[..width]) · x[width..]` where gated: then x has rows of twice the width. `rows.width` is that
    /// of `to`.
    ///
    /// # Errors
    /// Buffers that are too short.
    pub fn activate<T: Number + DeviceRepr>(
        &self,
        rows: Rows<'_>,
        (activation, gated): (Activation, bool),
        x: &CudaView<'_, T>,
        to: &mut CudaViewMut<'_, T>,
    ) -> Result<()> {
        let name = "activate";
        typed::<T>(name, self.kind)?;
        let values = rows.values(name)?;
        holds(name, "the rows", x.len(), if gated { 2 * values } else { values })?;
        holds(name, "the rows of the result", to.len(), values)?;
        if values == 0 {
            return Ok(());
        }
        let (width, config) = (int(name, rows.width)?, blocks(name, (rows.most, rows.width.div_ceil(PART)), 0)?);
        let (activation, gated) = (number(activation), i32::from(gated));
        let mut launch = self.stream.launch_builder(&self.activate);
        launch.arg(x).arg(rows.count).arg(&width).arg(&activation).arg(&gated).arg(to);
        // SAFETY: the parameters of `activate`; lengths were checked.
        unsafe { launch.launch(config) }.map_err(failed(name)).map(drop)
    }

    /// `logits = cap · tanh(logits · scale / cap)`, without the cap where there is none.
    ///
    /// # Errors
    /// Buffers that are too short.
    pub fn cap_logits(
        &self,
        rows: Rows<'_>,
        (scale, cap): (f32, Option<f32>),
        logits: &mut CudaViewMut<'_, f32>,
    ) -> Result<()> {
        let name = "cap_logits";
        let values = rows.values(name)?;
        holds(name, "the logits", logits.len(), values)?;
        if values == 0 {
            return Ok(());
        }
        let (width, config) = (int(name, rows.width)?, blocks(name, (rows.most, rows.width.div_ceil(PART)), 0)?);
        let cap = cap.unwrap_or(0.0);
        let mut launch = self.stream.launch_builder(&self.cap_logits);
        launch.arg(logits).arg(rows.count).arg(&width).arg(&scale).arg(&cap);
        // SAFETY: the parameters of `cap_logits`; the length was checked.
        unsafe { launch.launch(config) }.map_err(failed(name)).map(drop)
    }
}

/// As `activate.cu` counts them.
fn number(activation: Activation) -> i32 {
    match activation {
        Activation::Silu => 0,
        Activation::Gelu => 1,
        Activation::GeluTanh => 2,
        Activation::Relu => 3,
        Activation::Tanh => 4,
    }
}
