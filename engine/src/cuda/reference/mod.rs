//! What the kernels compute, in plain Rust and in their order of operations. Tests hold these against simple formulas in f64
//! everywhere, and the kernels against these on a GPU.

pub mod activate;
pub mod attention;
pub mod copies;
pub mod experts;
pub mod gemm;
pub mod heads;
pub mod numbers;
pub mod pool;
pub mod rows;
pub mod sample;
pub mod steps;
