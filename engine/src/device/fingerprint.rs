//! What decides the bits of a result besides model, input and options.

use serde::{Deserialize, Serialize};

use super::{alike, resolve};
use crate::cpu::simd::InstructionSet;
use crate::cuda;
use crate::error::{Error, Result};
use crate::models::identity::ModelFolder;
use crate::models::weights::gguf_file;
use crate::options::{DeviceChoice, DtypeChoice, EngineOptions};

/// Raised whenever a stored golden-bits test changes: results of two versions must not be compared silently.
pub const NUMERICS_VERSION: u32 = 2;

/// What decides the bits of a result besides model, input and options. Equal fingerprints give equal bytes: every kernel
/// gives the same bits on every instruction set of an architecture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Version of karat's numerics.
    pub numerics_version: u32,
    /// Device class and architecture.
    pub device: String,
    /// Type of the weights in memory; `gguf` for quantised ones, as they are in the file.
    pub weights: String,
    /// Type of the KV cache.
    pub kv: String,
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { numerics_version, device, weights, kv } = self;
        write!(f, "v{numerics_version} {device} weights={weights} kv={kv}")
    }
}

/// Checks that the chosen device and type can compute a model folder here, and says what its numerics are.
///
/// # Errors
/// A device, type or instruction set that this build or machine does not have.
pub fn fingerprint(folder: &ModelFolder, options: &EngineOptions) -> Result<Fingerprint> {
    let numerics_version = NUMERICS_VERSION;
    if let DeviceChoice::Cuda(cards) = resolve(options.device)?.0 {
        let device = alike(cards)?.swap_remove(0).to_string();
        let weights = cuda::dtype(options.dtype).name().to_owned();
        return Ok(Fingerprint { numerics_version, device, kv: weights.clone(), weights });
    }
    let weights = match options.dtype {
        DtypeChoice::Auto if gguf_file(folder)?.is_some() => "gguf",
        DtypeChoice::Auto | DtypeChoice::F32 => "f32",
        DtypeChoice::Bf16 => "bf16",
        DtypeChoice::F16 => {
            return Err(Error::input("f16 is not supported on the CPU")
                .with_hint("use `--dtype f32` or `--dtype bf16`: files of every type are read"));
        }
    };
    InstructionSet::check()?;
    Ok(Fingerprint {
        numerics_version,
        device: format!("cpu {}", std::env::consts::ARCH),
        weights: weights.into(),
        // bfloat16 throughout: the cache follows the weights.
        kv: if weights == "bf16" { "bf16" } else { "f32" }.into(),
    })
}
