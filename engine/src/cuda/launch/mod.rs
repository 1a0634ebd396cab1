//! Our own kernels, as safe functions: each checks the lengths of its buffers and puts one kernel, or a few, on a stream. None
//! allocates memory of the GPU or waits for it, so all can be captured in a CUDA graph.

use std::sync::Arc;

use cudarc::driver::{
    CudaContext, CudaFunction, CudaModule, CudaStream, CudaView, DevicePtr, DriverError, LaunchConfig,
};
use cudarc::nvrtc::Ptx;

use crate::cuda::matmul::{Kind, Number};
use crate::error::{Error, Result};

pub mod activate;
pub mod attention;
pub mod copies;
pub mod experts;
pub mod gemm;
pub mod heads;
pub mod norm;
pub mod pool;
pub mod rows;
pub mod sample;

/// The PTX of every `kernels/NAME.cu`, as the constant `NAME`.
mod ptx {
    include!(concat!(env!("OUT_DIR"), "/ptx.rs"));
}

/// The kernels of one `.cu` file, compiled for a GPU by its driver.
struct Module {
    name: &'static str,
    module: Arc<CudaModule>,
}

impl Module {
    /// Compiles them; some milliseconds for a file, and the driver remembers.
    fn load(context: &Arc<CudaContext>, name: &'static str, ptx: &str) -> Result<Self> {
        let module = context.load_module(Ptx::from_src(ptx)).map_err(|error| {
            Error::input(format!("failed to compile the kernels `{name}` for the GPU"))
                .caused_by(error)
                .with_hint("a driver of series 580 or newer can; `nvidia-smi` shows which one is there")
        })?;
        Ok(Self { name, module })
    }

    /// One of them by its name.
    fn function(&self, name: &str) -> Result<CudaFunction> {
        let failed =
            |error| Error::internal(format!("failed to find the kernel `{name}` of `{}`", self.name)).caused_by(error);
        self.module.load_function(name).map_err(failed)
    }

    /// The one of a kernel that is there for every type of numbers.
    fn of(&self, name: &str, kind: Kind) -> Result<CudaFunction> {
        self.function(&format!("{name}_{}", kind.name()))
    }
}

/// Why a kernel did not start.
fn failed(name: &str) -> impl FnOnce(DriverError) -> Error {
    move |error| Error::internal(format!("failed to start the kernel `{name}`")).caused_by(error)
}

/// That a buffer has at least `needed` values.
fn holds(name: &str, what: &str, len: usize, needed: usize) -> Result<()> {
    if len >= needed {
        Ok(())
    } else {
        Err(Error::internal(format!("failed to start the kernel `{name}`: {what} holds {len} values of {needed}")))
    }
}

/// A size as kernels take it.
fn int(name: &str, size: usize) -> Result<i32> {
    i32::try_from(size)
        .map_err(|e| Error::internal(format!("failed to start the kernel `{name}` for {size} values")).caused_by(e))
}

/// Threads of a block of the kernels on rows.
const THREADS: usize = 256;

/// The rows of a step. Their number lies on the GPU, so that a captured graph serves every step; blocks beyond it return at
/// once.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// How many, one number.
    pub count: &'a CudaView<'a, u32>,
    /// How many at most: what the grid and the buffers have room for.
    pub most: usize,
    /// Values of a row.
    pub width: usize,
}

impl Rows<'_> {
    /// Values of all rows, after the number was held against its buffer.
    fn values(&self, name: &str) -> Result<usize> {
        holds(name, "the number of rows", self.count.len(), 1)?;
        int(name, self.width)?;
        let values = self.most.checked_mul(self.width);
        values.ok_or_else(|| Error::internal(format!("failed to start the kernel `{name}` for {} rows", self.most)))
    }
}

/// Blocks `x` by `y` of [`THREADS`] threads, with some bytes of shared memory.
fn blocks(name: &str, (x, y): (usize, usize), shared: usize) -> Result<LaunchConfig> {
    let (Ok(x), Ok(y), Ok(shared)) = (i32::try_from(x), u16::try_from(y), u32::try_from(shared)) else {
        return Err(Error::internal(format!("failed to start the kernel `{name}` in {x} by {y} blocks")));
    };
    let grid_dim = (x.unsigned_abs(), y.into(), 1);
    Ok(LaunchConfig { grid_dim, block_dim: (THREADS as u32, 1, 1), shared_mem_bytes: shared })
}

/// Where a buffer begins, 0 where there is none. Only for kernels of the one stream: there is nothing that orders others.
fn address<T>(stream: &CudaStream, view: Option<&CudaView<'_, T>>) -> u64 {
    view.map_or(0, |view| view.device_ptr(stream).0)
}

/// That numbers are of the kind that kernels were loaded for.
fn typed<T: Number>(name: &str, kind: Kind) -> Result<()> {
    if T::KIND == kind {
        Ok(())
    } else {
        Err(Error::internal(format!("failed to start the kernel `{name}` of {} on {}", kind.name(), T::KIND.name())))
    }
}

#[cfg(test)]
mod tests;
