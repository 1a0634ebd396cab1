//! What is known of a GPU. Plain data.

/// A CUDA GPU, and the software that computes on it. All of what is shown decides the bits of its results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Its number.
    pub index: usize,
    /// What the driver calls it.
    pub name: String,
    /// Compute capability: major, minor.
    pub capability: (u32, u32),
    /// Multiprocessors.
    pub multiprocessors: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// Version of the driver; the CUDA version that it serves where the system does not tell.
    pub driver: String,
    /// Version of cuBLASLt, as it counts.
    pub cublas: usize,
    /// What wrote the kernels: the CUDA version of nvcc (13000 is 13.0), and for which compute capability (80 is 8.0).
    pub kernels: (u32, u32),
}

impl std::fmt::Display for Gpu {
    /// The GPU's part of a fingerprint. Not its number: equal GPUs give equal bits.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { index: _, name, capability: (major, minor), multiprocessors, memory: _, driver, cublas, kernels } =
            self;
        let (nvcc, least) = kernels;
        write!(
            f,
            "cuda {major}.{minor}, {multiprocessors} multiprocessors, {name}, driver {driver}, cublaslt {cublas}, "
        )?;
        write!(f, "nvcc {} for {}.{}", version(*nvcc), least / 10, least % 10)
    }
}

/// A CUDA version as people write it.
pub fn version(number: u32) -> String {
    format!("{}.{}", number / 1000, number % 1000 / 10)
}

/// What of a GPU's memory is free, as people write it.
#[cfg(any(feature = "cuda", test))]
pub fn free_of((free, total): (u64, u64)) -> String {
    format!("{} of {} are free", size(free), size(total))
}

/// A size of memory as people write it.
#[cfg(any(feature = "cuda", test))]
pub fn size(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1u32 << 20);
    if mib < 1024.0 { format!("{mib:.1} MiB") } else { format!("{:.1} GiB", mib / 1024.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_readable() {
        assert_eq!(free_of((3 << 19, 80 << 30)), "1.5 MiB of 80.0 GiB are free");
        assert_eq!((size(0), size(1 << 30)), ("0.0 MiB".into(), "1.0 GiB".into()));
    }
}
