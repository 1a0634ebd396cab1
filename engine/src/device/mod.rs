//! The device that computes: which one a choice means, what its numerics are, and decoders and encoders on it.

mod factory;
mod fingerprint;
mod memory;
mod pool;

pub use factory::{DecoderPlan, decoders, encoder, encoder_options};
pub use fingerprint::{Fingerprint, NUMERICS_VERSION, fingerprint, processor};
pub use memory::{available_memory, kv_blocks};
pub use pool::in_pool;

use crate::cuda::{self, Gpu};
use crate::error::{Error, Result};
use crate::options::{DeviceChoice, Gpus};

/// The device of a choice, named by number where it is a GPU: that of `auto`, too, with a line that says why where it is not
/// a GPU that this build could use.
///
/// # Errors
/// A GPU that was asked for and cannot be used, or GPUs that are not alike.
pub fn resolve(choice: DeviceChoice) -> Result<(DeviceChoice, Option<String>)> {
    match choice {
        DeviceChoice::Cpu => Ok((choice, None)),
        DeviceChoice::Cuda(gpus) => alike(gpus).map(|_| (choice, None)),
        DeviceChoice::AllGpus => {
            let first = cuda::usable(0)?;
            let same = |number: &usize| cuda::usable(*number).is_ok_and(|gpu| gpu.to_string() == first.to_string());
            let gpus = Gpus::new((0..MAX_GPUS).take_while(same)).unwrap_or(Gpus::FIRST);
            Ok((DeviceChoice::Cuda(gpus), None))
        }
        // A build without GPUs has nothing to explain.
        DeviceChoice::Auto if !cuda::BUILT => Ok((DeviceChoice::Cpu, None)),
        DeviceChoice::Auto => Ok(match cuda::usable(0) {
            Ok(_) => (DeviceChoice::Cuda(Gpus::FIRST), None),
            Err(error) => (DeviceChoice::Cpu, Some(format!("computing on the CPU: {}", error.message()))),
        }),
    }
}

/// GPUs that `cuda:all` looks for.
const MAX_GPUS: usize = 64;

/// GPUs that can all be used and give the same bits.
fn alike(gpus: Gpus) -> Result<Vec<Gpu>> {
    let gpus = gpus.numbers().map(cuda::usable).collect::<Result<Vec<_>>>()?;
    let differs = |gpu: &&Gpu| gpu.to_string() != gpus[0].to_string();
    match gpus.iter().find(differs) {
        None => Ok(gpus),
        Some(other) => {
            Err(Error::input(format!("cuda:{} and cuda:{} cannot share the work", gpus[0].index, other.index))
                .with_hint(format!("GPUs must be alike to give equal bytes; one is {}, the other {other}", gpus[0])))
        }
    }
}
