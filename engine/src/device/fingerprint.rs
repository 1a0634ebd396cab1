//! What decides the bits of a result besides model, input and options.

use serde::{Deserialize, Serialize};

use super::{alike, resolve};
use crate::cpu::simd::InstructionSet;
use crate::cuda;
use crate::error::{Error, Result};
use crate::models::model_folder::ModelFolder;
use crate::models::weights::gguf_file;
use crate::options::{BackendChoice, DeviceChoice, DtypeChoice, EngineOptions};
use crate::reference;

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
    /// Whose model code computed; absent where it is the engine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { numerics_version, device, weights, kv, backend } = self;
        write!(f, "v{numerics_version} {device} weights={weights} kv={kv}")?;
        backend.iter().try_for_each(|backend| write!(f, " backend={backend}"))
    }
}

/// Checks that the chosen device and type can compute a model folder here, and says what its numerics are.
///
/// # Errors
/// A device, type or instruction set that this build or machine does not have.
pub fn fingerprint(folder: &ModelFolder, options: &EngineOptions) -> Result<Fingerprint> {
    let numerics_version = NUMERICS_VERSION;
    if options.backend == BackendChoice::Reference {
        options.check()?;
        return Ok(reference_fingerprint());
    }
    if let DeviceChoice::Cuda(gpus) = resolve(options.device)?.0 {
        let device = alike(gpus)?.swap_remove(0).to_string();
        let weights = cuda::dtype(options.dtype).name().to_owned();
        return Ok(Fingerprint { numerics_version, device, kv: weights.clone(), weights, backend: None });
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
        backend: None,
    })
}

/// candle's products choose kernels and blocks by the processor: its model is part of what decides their bits.
fn reference_fingerprint() -> Fingerprint {
    let device = match processor() {
        Some(name) => format!("cpu {}, {name}", std::env::consts::ARCH),
        None => format!("cpu {}", std::env::consts::ARCH),
    };
    let backend = Some(format!("reference ({})", reference::NAME));
    Fingerprint { numerics_version: NUMERICS_VERSION, device, weights: "f32".into(), kv: "f32".into(), backend }
}

/// The processor's name, where the system tells.
pub fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map(|(_, name)| name.trim().to_owned())
}
