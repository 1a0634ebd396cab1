//! Asks driver and libraries what there is, and opens a GPU.
//!
//! Nothing here ends the process where something is missing. In a build with `scripts/cuda_toolkit.sh` a library that is not
//! there answers every call with an error: the driver with `CUDA_ERROR_STUB_LIBRARY`, cuBLASLt with a status.
#![expect(unsafe_code, reason = "calls of the CUDA driver, which knows no safe ones")]

use std::sync::Arc;

use cudarc::cublaslt::sys as lt;
use cudarc::driver::result::{self, DriverError, device};
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute, CUresult};
use cudarc::driver::{CudaContext, CudaStream};

use super::gpu::{Gpu, version};
use super::machine::{Machine, Needs, choose, mapped_version, module_version};
use crate::error::{Error, Result};

/// No cuBLASLt has a lower version, and no status of a missing one is as high.
const LEAST_CUBLAS: usize = 10_000;

/// The GPU with this number, if karat can compute on it. Quick: nothing is opened.
///
/// # Errors
/// What is missing: the driver library or one that is new enough, a GPU, a GPU of this number or of the compute capability
/// that the kernels need, cuBLASLt.
pub fn usable(index: usize) -> Result<Gpu> {
    let (cuda, capability) = kernels();
    choose(index, machine(), Needs { cuda, capability })
}

/// What wrote the kernels; see [`Gpu`].
fn kernels() -> (u32, u32) {
    (number(env!("KARAT_CUDA_VERSION")), number(env!("KARAT_COMPUTE_CAPABILITY")))
}

/// A GPU that is open: its context, and the one stream that everything on it goes through.
pub struct Opened {
    /// The GPU.
    pub gpu: Gpu,
    /// Its primary context.
    pub context: Arc<CudaContext>,
    /// The stream. It can be captured, as the default stream could not.
    pub stream: Arc<CudaStream>,
}

/// Opens a GPU.
///
/// # Errors
/// The driver refuses: another process has the GPU for itself, say.
pub fn open(gpu: Gpu) -> Result<Opened> {
    let failed = |error: DriverError| {
        Error::environment(format!("failed to open cuda:{}", gpu.index))
            .caused_by(error)
            .with_hint("`nvidia-smi` shows who uses the GPU")
    };
    let context = CudaContext::new(gpu.index).map_err(failed)?;
    // SAFETY: there is one stream, so that there is nothing for events to order; and a capture bears no events from outside.
    unsafe { context.disable_event_tracking() };
    let stream = context.new_stream().map_err(failed)?;
    Ok(Opened { gpu, context, stream })
}

impl Opened {
    /// Bytes of its memory that nobody has, and all of them.
    ///
    /// # Errors
    /// The driver does not tell.
    pub fn memory(&self) -> Result<(u64, u64)> {
        let asked = self.context.mem_get_info();
        let (free, total) =
            asked.map_err(|e| Error::internal("failed to ask for the free memory of a GPU").caused_by(e))?;
        Ok((free as u64, total as u64))
    }
}

fn machine() -> Machine {
    match result::init() {
        Ok(()) => gpus().unwrap_or_else(|error| Machine::Broken(told(error))),
        Err(DriverError(CUresult::CUDA_ERROR_STUB_LIBRARY)) => Machine::NoDriver,
        Err(DriverError(CUresult::CUDA_ERROR_NO_DEVICE)) => {
            Machine::Gpus { serves: 0, gpus: Vec::new(), cublas: false }
        }
        Err(error) => Machine::Broken(told(error)),
    }
}

fn gpus() -> std::result::Result<Machine, DriverError> {
    let mut serves = 0;
    // SAFETY: writes one number.
    unsafe { sys::cuDriverGetVersion(&raw mut serves) }.result()?;
    let serves = u32::try_from(serves).unwrap_or(0);
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let (maps, module) = (read("/proc/self/maps"), read("/proc/driver/nvidia/version"));
    let driver = match mapped_version(&maps, "libcuda").or_else(|| module_version(&module)) {
        Some(version) => version.to_owned(),
        None => format!("of CUDA {}", version(serves)),
    };
    // SAFETY: takes nothing and gives a number.
    let cublas = unsafe { lt::cublasLtGetVersion() };
    let gpu = |index: i32| {
        let handle = device::get(index)?;
        // SAFETY: the handle is the driver's own.
        let attribute =
            |which| unsafe { device::get_attribute(handle, which) }.map(|value| u32::try_from(value).unwrap_or(0));
        Ok(Gpu {
            index: usize::try_from(index).unwrap_or(0),
            name: device::get_name(handle)?,
            capability: (
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
            ),
            multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            // SAFETY: as above.
            memory: unsafe { device::total_mem(handle) }? as u64,
            driver: driver.clone(),
            cublas,
            kernels: kernels(),
        })
    };
    let gpus = (0..device::get_count()?).map(gpu).collect::<std::result::Result<_, DriverError>>()?;
    Ok(Machine::Gpus { serves, gpus, cublas: cublas >= LEAST_CUBLAS })
}

/// The name of a driver's error.
fn told(error: DriverError) -> String {
    format!("{:?}", error.0)
}

fn number(text: &str) -> u32 {
    text.parse().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_asked_without_harm() {
        match usable(0) {
            Ok(gpu) => assert!(gpu.multiprocessors > 0 && gpu.memory > 0, "{gpu:?}"),
            Err(error) => {
                assert!(error.message().starts_with("failed to use cuda:0: ") && error.hint().is_some(), "{error:?}")
            }
        }
    }

    #[test]
    #[ignore = "needs a CUDA GPU"]
    fn a_gpu_opens() {
        let opened = open(usable(0).unwrap()).unwrap();
        let (free, total) = opened.memory().unwrap();
        assert!(free > 0 && free <= total);
        println!("{}: {free} of {total} bytes are free", opened.gpu);
    }
}
