//! Every kernel on a GPU against its reference. `scripts/check_cuda.sh` runs them where there is a GPU.
//!
//! Buffers have room for more rows than there are; what lies behind must stay as it was.

mod attention;
mod copies;
mod experts;
mod gemm;
mod heads;
mod rows;
mod sample;

use cudarc::driver::{CudaSlice, DeviceRepr, ValidAsZeroBits};
use half::{bf16, f16};

use crate::cuda::driver::{Opened, open, usable};
use crate::cuda::launch::Rows;
use crate::cuda::matmul::Number;
use crate::cuda::reference::numbers::Stored;

/// A number that can lie on a GPU.
trait Value: Number + Stored + DeviceRepr + ValidAsZeroBits {}
impl Value for f32 {}
impl Value for bf16 {}
impl Value for f16 {}

/// Rows that there are, and that there is room for.
const COUNT: usize = 7;
const MOST: usize = 9;

/// An open GPU.
struct Bench {
    opened: Opened,
    count: CudaSlice<u32>,
}

impl Bench {
    fn new() -> Self {
        let opened = open(usable(0).unwrap()).unwrap();
        let count = opened.stream.clone_htod(&[COUNT as u32]).unwrap();
        Self { opened, count }
    }

    fn up<N: DeviceRepr>(&self, values: &[N]) -> CudaSlice<N> {
        self.opened.stream.clone_htod(values).unwrap()
    }

    fn down<N: DeviceRepr + Clone>(&self, values: &CudaSlice<N>) -> Vec<N> {
        self.opened.stream.clone_dtoh(values).unwrap()
    }

    /// Runs something on [`COUNT`] of [`MOST`] rows.
    fn rows<R>(&self, width: usize, run: impl FnOnce(Rows<'_>) -> R) -> R {
        run(Rows { count: &self.count.as_view(), most: MOST, width })
    }
}

/// That the rows there are have the bits of the reference, and those behind those of before.
fn assert_rows<T: Stored>(found: &[T], width: usize, right: impl Fn(usize) -> Vec<T>, before: &[T], what: &str) {
    for row in 0..COUNT {
        let right = right(row);
        assert_eq!(right.len(), width, "{what}");
        for (at, (found, right)) in found[row * width..].iter().zip(&right).enumerate() {
            assert_eq!(found, right, "number {at} of row {row}: {what}");
        }
    }
    assert_eq!(found[COUNT * width..], before[COUNT * width..], "rows behind: {what}");
}
