//! The device that computes, and the fingerprint of its numerics.

use serde::{Deserialize, Serialize};

use crate::engine::options::{DeviceChoice, DtypeChoice};
use crate::engine::simd::InstructionSet;
use crate::error::{Error, Result};

/// Raised whenever a stored golden-bits test changes: results of two versions must not be compared silently.
pub const NUMERICS_VERSION: u32 = 1;

/// What decides the bits of a result besides model, input and options. Equal fingerprints give equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Version of karat's numerics.
    pub numerics_version: u32,
    /// Device class.
    pub device: String,
    /// Instruction set of karat's kernels and of gemm's.
    pub instructions: String,
    /// Cache geometry, from which gemm derives its K-block.
    pub gemm_blocking: String,
    /// Type of the weights in memory.
    pub weights: String,
    /// Type of the KV cache.
    pub kv: String,
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { numerics_version, device, instructions, gemm_blocking, weights, kv } = self;
        write!(f, "v{numerics_version} {device} {instructions} {gemm_blocking} weights={weights} kv={kv}")
    }
}

/// Checks that the chosen device and type can compute here, and says what its numerics are.
///
/// # Errors
/// A device or type that this build or machine does not have.
pub fn fingerprint(device: DeviceChoice, dtype: DtypeChoice) -> Result<Fingerprint> {
    if let DeviceChoice::Cuda(index) = device {
        return Err(Error::input(format!("use device cuda:{index}: this build has no CUDA support"))
            .with_hint("use `--device cpu`"));
    }
    match dtype {
        DtypeChoice::Auto | DtypeChoice::F32 => {}
        DtypeChoice::Bf16 | DtypeChoice::F16 => {
            return Err(Error::input(format!("compute in {} on the CPU", dtype.name()))
                .with_hint("use `--dtype f32`: files of every type are read, the CPU computes in f32"));
        }
    }
    let caches: Vec<String> = gemm_common::cache::CACHE_INFO
        .iter()
        .enumerate()
        .map(|(level, c)| format!("l{}={}k/{}", level + 1, c.cache_bytes / 1024, c.associativity))
        .collect();
    Ok(Fingerprint {
        numerics_version: NUMERICS_VERSION,
        device: "cpu".into(),
        instructions: format!("{}-{}", std::env::consts::ARCH, InstructionSet::detect().name()),
        gemm_blocking: format!("gemm-0.19({})", caches.join(",")),
        weights: "f32".into(),
        kv: "f32".into(),
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
