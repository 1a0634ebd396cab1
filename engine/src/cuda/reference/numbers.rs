//! Numbers as kernels store them, and sums in their order: `common.cuh`.

use half::{bf16, f16};

/// A type that numbers are stored in. All arithmetic is in f32.
pub trait Stored: Copy + PartialEq + std::fmt::Debug {
    /// As f32.
    fn wide(self) -> f32;
    /// Rounded to nearest even.
    fn narrow(x: f32) -> Self;
    /// How far apart numbers about 1 are.
    const STEP: f32;
}

impl Stored for f32 {
    fn wide(self) -> f32 {
        self
    }
    fn narrow(x: f32) -> Self {
        x
    }
    const STEP: f32 = f32::EPSILON;
}

impl Stored for bf16 {
    fn wide(self) -> f32 {
        self.to_f32()
    }
    fn narrow(x: f32) -> Self {
        Self::from_f32(x)
    }
    const STEP: f32 = 1.0 / 128.0;
}

impl Stored for f16 {
    fn wide(self) -> f32 {
        self.to_f32()
    }
    fn narrow(x: f32) -> Self {
        Self::from_f32(x)
    }
    const STEP: f32 = 1.0 / 1024.0;
}

/// A row as it is stored.
pub fn narrowed<T: Stored>(row: &[f32]) -> Vec<T> {
    row.iter().map(|x| T::narrow(*x)).collect()
}

/// A row as f32.
pub fn widened<T: Stored>(row: &[T]) -> Vec<f32> {
    row.iter().map(|x| x.wide()).collect()
}

/// A number that can be summed: f32, or f64.
pub trait Sum: Copy + Default + std::ops::Add<Output = Self> {}
impl Sum for f32 {}
impl Sum for f64 {}

/// `warp_sum`: of 32 lanes.
pub fn warp_sum<N: Sum>(lanes: &[N]) -> N {
    let mut lanes = lanes.to_vec();
    for apart in [16, 8, 4, 2, 1] {
        let before = lanes.clone();
        (0..32).for_each(|lane| lanes[lane] = before[lane] + before[lane ^ apart]);
    }
    lanes[0]
}

/// `block_sum`: of the threads of a block.
pub fn block_sum<N: Sum>(threads: &[N]) -> N {
    threads.chunks_exact(32).fold(N::default(), |sum, warp| sum + warp_sum(warp))
}

/// Numbers in -1..1, the same every time.
pub fn numbers<T: Stored>(count: usize, seed: u64) -> Vec<T> {
    let mut state = seed.wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        T::narrow((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0)
    };
    (0..count).map(|_| next()).collect()
}

/// That numbers are those of a formula in f64, to some steps of their type.
pub fn assert_near<T: Stored>(found: &[T], right: &[f64], steps: f32) {
    assert_eq!(found.len(), right.len());
    for (at, (found, right)) in found.iter().zip(right).enumerate() {
        let error = (f64::from(found.wide()) - right).abs();
        let allowed = f64::from(steps * T::STEP) * right.abs().max(0.1);
        assert!(error <= allowed, "number {at} is {found:?}, not {right}");
    }
}

#[test]
fn sums_are_sums() {
    let threads: Vec<f32> = (0..256).map(|i| i as f32).collect();
    assert_eq!(warp_sum(&threads[..32]), 496.0);
    assert_eq!(block_sum(&threads), 32_640.0);
}
