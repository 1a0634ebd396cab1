//! Norms on a GPU: their weights, and how kernels take them.
#![expect(unsafe_code, reason = "says what a kernel takes by value")]

use std::sync::Arc;

use cudarc::driver::{CudaSlice, CudaStream, DeviceRepr, DriverError};

use super::{address, holds};
use crate::cpu::norm::{Norm, NormKind};
use crate::error::{Error, Result};

/// A norm with its weights on a GPU.
pub struct NormWeights {
    kind: NormKind,
    eps: f32,
    weight: CudaSlice<f32>,
    bias: Option<CudaSlice<f32>>,
}

impl NormWeights {
    /// Copies a norm to the GPU.
    ///
    /// # Errors
    /// No memory is left, or the bias is not as long as the weight.
    pub fn new(stream: &Arc<CudaStream>, norm: &Norm) -> Result<Self> {
        let weights: Vec<&[f32]> = vec![&norm.weight];
        Self::joined(stream, norm, &weights, norm.bias.as_deref())
    }

    /// Copies norms that differ in their weights alone, one behind the other: those of heads. Without biases.
    ///
    /// # Errors
    /// No memory is left, or there is no norm.
    pub fn of_heads(stream: &Arc<CudaStream>, norms: &[Norm]) -> Result<Self> {
        let same = |norm: &&Norm| norm.kind == norms[0].kind && norm.eps == norms[0].eps && norm.bias.is_none();
        match norms.first() {
            Some(first) if norms.iter().all(|norm| same(&norm)) => {
                let weights: Vec<&[f32]> = norms.iter().map(|norm| norm.weight.as_slice()).collect();
                Self::joined(stream, first, &weights, None)
            }
            _ => Err(Error::internal(
                "failed to put the norms of heads on a GPU: they differ in more than their weights",
            )),
        }
    }

    fn joined(stream: &Arc<CudaStream>, norm: &Norm, weights: &[&[f32]], bias: Option<&[f32]>) -> Result<Self> {
        let failed = |error: DriverError| Error::input("failed to put a norm on the GPU").caused_by(error);
        let weight = weights.concat();
        if let Some(bias) = bias {
            holds("norm", "the bias", bias.len(), weight.len())?;
        }
        Ok(Self {
            kind: norm.kind,
            eps: norm.eps,
            weight: stream.clone_htod(&weight).map_err(failed)?,
            bias: bias.map(|bias| stream.clone_htod(bias)).transpose().map_err(failed)?,
        })
    }

    /// Weights, of all heads where it is theirs.
    pub fn width(&self) -> usize {
        self.weight.len()
    }
}

/// `Norm` of `norm.cuh`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Argument {
    weight: u64,
    bias: u64,
    eps: f32,
    layer: i32,
}

// SAFETY: `Norm` of `norm.cuh` has these fields: two pointers, a float, an int.
unsafe impl DeviceRepr for Argument {}

impl Argument {
    /// A norm of `width` values, or none.
    pub fn of(stream: &CudaStream, name: &str, norm: Option<&NormWeights>, width: usize) -> Result<Self> {
        let Some(norm) = norm else { return Ok(Self::default()) };
        if norm.width() != width {
            return Err(Error::internal(format!(
                "failed to start the kernel `{name}`: a norm of {} values for rows of {width}",
                norm.width()
            )));
        }
        let bias = norm.bias.as_ref().map(|bias| bias.as_view());
        Ok(Self {
            weight: address(stream, Some(&norm.weight.as_view())),
            bias: address(stream, bias.as_ref()),
            eps: norm.eps,
            layer: (norm.kind == NormKind::Layer).into(),
        })
    }
}
