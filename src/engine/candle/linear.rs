//! Matrix products with weights kept as K×N, invariant in the number of rows.
//!
//! gemm gives a row the same bits whatever other rows there are and however many threads, if the weight lies contiguous as
//! K×N, N is at least 65 and there are at least two rows (measured; `tests/invariance.rs` sweeps it). Narrow weights are
//! padded at load, and a lone row is computed twice.
#![expect(unsafe_code, reason = "kernel file: gemm takes pointers")]

use candle_core::Tensor;
use gemm::Parallelism;

use super::ops;
use crate::error::Result;

/// Narrowest weight that gemm's row-invariant path takes, rounded up to whole tiles.
const MIN_COLUMNS: usize = 128;

/// `y = x·W + b` with `W` of shape `[inputs, outputs]`.
pub struct Linear {
    /// `[inputs, columns]`, contiguous; columns past `outputs` are zero.
    weight: Tensor,
    bias: Option<Vec<f32>>,
    inputs: usize,
    outputs: usize,
    columns: usize,
}

/// Columns that a weight with `outputs` outputs gets.
pub fn padded_columns(outputs: usize) -> usize {
    if outputs < 65 { MIN_COLUMNS } else { outputs }
}

impl Linear {
    /// From `inputs × padded_columns(outputs)` values.
    ///
    /// # Errors
    /// The number of values does not fit.
    pub fn new(values: Vec<f32>, inputs: usize, outputs: usize, bias: Option<Vec<f32>>) -> Result<Self> {
        let columns = padded_columns(outputs);
        Ok(Self { weight: ops::matrix(values, inputs, columns)?, bias, inputs, outputs, columns })
    }

    /// Output width.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// `[tokens, inputs]` -> `[tokens, outputs]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let rows = x.dims2().map_err(ops::tensor_error)?.0;
        let mut out = Vec::new();
        self.forward_into(x, &mut out)?;
        let out = ops::matrix(out, rows, self.outputs)?;
        if let Some(bias) = &self.bias {
            ops::add_bias(&out, bias)?;
        }
        Ok(out)
    }

    /// The product without bias into a buffer that is used again: a fresh one of many megabytes costs page faults.
    pub fn forward_into(&self, x: &Tensor, out: &mut Vec<f32>) -> Result<()> {
        let rows = x.dims2().map_err(ops::tensor_error)?.0;
        ops::with_values(&self.weight, |weight| {
            ops::with_values(x, |x| match rows {
                1 => self.product(&[x, x].concat(), weight, 2, out),
                _ => self.product(x, weight, rows, out),
            })
        })??;
        self.cut(out, rows);
        Ok(())
    }

    /// Column `row` of the weight for each of `columns`: the rows of a tied embedding table, `[columns, inputs]`.
    pub fn gather_columns(&self, columns: &[u32]) -> Result<Tensor> {
        let out = ops::with_values(&self.weight, |weight| {
            let mut out = vec![0.0; columns.len() * self.inputs];
            use rayon::prelude::*;
            out.par_chunks_mut(self.inputs).zip(columns).for_each(|(out, column)| {
                for (i, x) in out.iter_mut().enumerate() {
                    *x = weight[i * self.columns + *column as usize];
                }
            });
            out
        })?;
        ops::matrix(out, columns.len(), self.inputs)
    }

    /// `rows ≥ 2` rows of `x` times the weight.
    fn product(&self, x: &[f32], weight: &[f32], rows: usize, out: &mut Vec<f32>) {
        assert!(rows >= 2 && x.len() == rows * self.inputs && weight.len() == self.inputs * self.columns);
        out.resize(rows * self.columns, 0.0);
        let parallelism = match rayon::current_num_threads() {
            0 | 1 => Parallelism::None,
            threads => Parallelism::Rayon(threads),
        };
        // SAFETY: the shapes were checked above; all three matrices are row-major and contiguous.
        unsafe {
            gemm::gemm(
                rows,
                self.columns,
                self.inputs,
                out.as_mut_ptr(),
                1,
                self.columns as isize,
                false,
                x.as_ptr(),
                1,
                self.inputs as isize,
                weight.as_ptr(),
                1,
                self.columns as isize,
                0.0f32,
                1.0f32,
                false,
                false,
                false,
                parallelism,
            );
        }
    }

    /// Drops the padding columns and the second copy of a lone row.
    fn cut(&self, out: &mut Vec<f32>, rows: usize) {
        if self.columns != self.outputs {
            for row in 1..rows {
                let from = row * self.columns;
                out.copy_within(from..from + self.outputs, row * self.outputs);
            }
        }
        out.truncate(rows * self.outputs);
    }
}
