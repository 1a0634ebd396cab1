//! What is known of a card. Plain data.

/// A CUDA card, and the software that computes on it. All of what is shown decides the bits of its results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
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
}

impl std::fmt::Display for Card {
    /// The card's part of a fingerprint. Not its number: equal cards give equal bits.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { index: _, name, capability: (major, minor), multiprocessors, memory: _, driver, cublas } = self;
        write!(f, "cuda {major}.{minor}, {multiprocessors} multiprocessors, {name}, driver {driver}, cublaslt {cublas}")
    }
}
