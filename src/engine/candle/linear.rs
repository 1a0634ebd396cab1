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
        let out = ops::with_values(&self.weight, |weight| {
            ops::with_values(x, |x| {
                if rows == 1 {
                    let twice = [x, x].concat();
                    let mut out = self.product(&twice, weight, 2);
                    out.truncate(self.columns);
                    return out;
                }
                self.product(x, weight, rows)
            })
        })??;
        let out = ops::matrix(self.cut(out, rows), rows, self.outputs)?;
        if let Some(bias) = &self.bias {
            ops::add_bias(&out, bias)?;
        }
        Ok(out)
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
    fn product(&self, x: &[f32], weight: &[f32], rows: usize) -> Vec<f32> {
        assert!(rows >= 2 && x.len() == rows * self.inputs && weight.len() == self.inputs * self.columns);
        let parallelism = match rayon::current_num_threads() {
            0 | 1 => Parallelism::None,
            threads => Parallelism::Rayon(threads),
        };
        ops::filled(rows * self.columns, |out| {
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
        })
    }

    /// Drops the padding columns.
    fn cut(&self, out: Vec<f32>, rows: usize) -> Vec<f32> {
        if self.columns == self.outputs {
            return out;
        }
        let mut cut = Vec::with_capacity(rows * self.outputs);
        for row in out.chunks_exact(self.columns) {
            cut.extend_from_slice(&row[..self.outputs]);
        }
        cut
    }
}
