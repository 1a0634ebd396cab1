//! The device that computes, and the fingerprint of its numerics.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::weights::gguf_file;
use crate::engine::options::{DeviceChoice, DtypeChoice, EngineOptions};
use crate::engine::simd::InstructionSet;
use crate::error::{Error, Result};

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
pub fn fingerprint(folder: &Path, options: &EngineOptions) -> Result<Fingerprint> {
    if let DeviceChoice::Cuda(index) = options.device {
        return Err(Error::input(format!("use device cuda:{index}: this build has no CUDA support"))
            .with_hint("use `--device cpu`"));
    }
    let weights = match options.dtype {
        DtypeChoice::Auto if gguf_file(folder)?.is_some() => "gguf",
        DtypeChoice::Auto | DtypeChoice::F32 => "f32",
        DtypeChoice::Bf16 => "bf16",
        DtypeChoice::F16 => {
            return Err(Error::input("compute in f16 on the CPU")
                .with_hint("use `--dtype f32` or `--dtype bf16`: files of every type are read"));
        }
    };
    InstructionSet::check()?;
    Ok(Fingerprint {
        numerics_version: NUMERICS_VERSION,
        device: format!("cpu {}", std::env::consts::ARCH),
        weights: weights.into(),
        // bfloat16 throughout: the cache follows the weights.
        kv: if weights == "bf16" { "bf16" } else { "f32" }.into(),
    })
}

/// Runs a step inside the thread pool, so that its many short parallel sections do not each hand over to it.
pub fn in_pool<R: Send>(step: impl FnOnce() -> R + Send) -> R {
    rayon::scope(|_| step())
}

/// Bytes of memory that this process could still get without swapping, where the system tells: what the machine has
/// free, within the limit of a container.
pub fn available_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let limit = number("/sys/fs/cgroup/memory.max");
    let used = number("/sys/fs/cgroup/memory.current").unwrap_or(0);
    Some(limit.map_or(u64::MAX, |limit| limit.saturating_sub(used)).min(kib * 1024))
}
