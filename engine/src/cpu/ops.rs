//! Row operations on packed activations `[tokens, width]`: how rows are spread over threads, sums, gathers.
//!
//! Each row is computed alone, in one order, by one thread, so its bits never depend on its companions or on how rows are
//! spread over threads. No operation here touches more than one row at a time except to copy.

use candle_core::{CpuStorage, Device, InplaceOp1, Layout, Storage, Tensor};
use rayon::prelude::*;

use super::simd::{self, Kernel, Lanes};
use crate::error::{Error, Result};

/// Rows per parallel task at the least, so that small steps do not pay for threads they cannot use.
const MIN_VALUES_PER_TASK: usize = 16 * 1024;

/// Rows of `width` values that one parallel task should take.
pub fn rows_per_task(width: usize) -> usize {
    (MIN_VALUES_PER_TASK / width.max(1)).max(1)
}

/// Wraps an error of candle's.
pub fn tensor_error(error: candle_core::Error) -> Error {
    Error::internal("compute a tensor operation").caused_by(plain(&error))
}

/// What an error of candle's says, without the backtrace that it shows where `RUST_BACKTRACE` is set.
pub fn plain(error: &candle_core::Error) -> String {
    let text = error.to_string();
    let is_frame = |line: &str| line.trim_start().split_once(':').is_some_and(|(n, _)| n.parse::<u32>().is_ok());
    text.lines().take_while(|line| !is_frame(line)).collect::<Vec<_>>().join(" ")
}

/// Runs `f` on the values of a contiguous f32 tensor in host memory.
///
/// # Errors
/// The tensor is not f32, not contiguous or not in host memory: a broken rule of the backend.
pub fn with_values<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(CpuStorage::F32(values)) = &*storage else {
        return Err(Error::internal("read a tensor that is not f32 in host memory"));
    };
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(f(&values[from..to])),
        None => Err(Error::internal("read a tensor that is not contiguous")),
    }
}

/// A `[rows, width]` tensor in host memory from its values.
pub fn matrix(values: Vec<f32>, rows: usize, width: usize) -> Result<Tensor> {
    Tensor::from_vec(values, (rows, width), &Device::Cpu).map_err(tensor_error)
}

/// A vector of `len` values that `fill` writes.
pub fn filled(len: usize, fill: impl FnOnce(&mut [f32])) -> Vec<f32> {
    let mut values = vec![0.0; len];
    fill(&mut values);
    values
}

/// An operation on every row of an activation matrix, in place.
struct RowWise<F> {
    name: &'static str,
    width: usize,
    f: F,
}

impl<F: Fn(usize, &mut [f32]) + Sync> InplaceOp1 for RowWise<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (CpuStorage::F32(values), Some((from, to))) = (storage, layout.contiguous_offsets()) else {
            candle_core::bail!("{} needs contiguous f32 rows", self.name);
        };
        let rows = rows_per_task(self.width);
        values[from..to].par_chunks_mut(rows * self.width).enumerate().for_each(|(task, chunk)| {
            for (row, values) in chunk.chunks_exact_mut(self.width).enumerate() {
                (self.f)(task * rows + row, values);
            }
        });
        Ok(())
    }
}

/// Applies `f(row index, row)` to every row of `x` in place, in parallel.
pub fn for_rows(name: &'static str, x: &Tensor, f: impl Fn(usize, &mut [f32]) + Sync) -> Result<()> {
    let width = x.dims().last().copied().unwrap_or(0);
    x.inplace_op1(&RowWise { name, width, f }).map_err(tensor_error)
}

/// Writes every row of a new `[rows of x, width]` matrix from the matching row of `x`, in parallel.
pub fn map_rows(x: &Tensor, width: usize, f: impl Fn(usize, &[f32], &mut [f32]) + Sync) -> Result<Tensor> {
    let (rows, input) = x.dims2().map_err(tensor_error)?;
    let out = with_values(x, |values| {
        let per_task = rows_per_task(input.max(width));
        filled(rows * width, |out| {
            out.par_chunks_mut(per_task * width).zip(values.par_chunks(per_task * input)).enumerate().for_each(
                |(task, (out, values))| {
                    let pairs = out.chunks_exact_mut(width).zip(values.chunks_exact(input));
                    for (row, (out, values)) in pairs.enumerate() {
                        f(task * per_task + row, values, out);
                    }
                },
            );
        })
    })?;
    matrix(out, rows, width)
}

struct AddRow<'a> {
    row: &'a mut [f32],
    other: &'a [f32],
}

impl Kernel for AddRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        simd::map_row::<L>(
            self.row,
            0.0,
            #[inline(always)]
            |at, x| x.add(simd::load_padded::<L>(self.other, at, 0.0)),
        );
    }
}

/// `row += other`, element by element.
pub fn add_row(row: &mut [f32], other: &[f32]) {
    simd::dispatch(AddRow { row, other });
}

/// `x += other`, both `[tokens, width]`.
pub fn add(x: &Tensor, other: &Tensor) -> Result<()> {
    let width = other.dims2().map_err(tensor_error)?.1;
    with_values(other, |values| for_rows("add", x, |row, to| add_row(to, &values[row * width..(row + 1) * width])))?
}

/// The rows of `x` with these indices, in this order, as a new matrix.
pub fn gather(x: &Tensor, rows: &[usize]) -> Result<Tensor> {
    let width = x.dims2().map_err(tensor_error)?.1;
    let out = with_values(x, |values| {
        filled(rows.len() * width, |out| {
            for (to, row) in out.chunks_exact_mut(width).zip(rows) {
                to.copy_from_slice(&values[row * width..(row + 1) * width]);
            }
        })
    })?;
    matrix(out, rows.len(), width)
}
