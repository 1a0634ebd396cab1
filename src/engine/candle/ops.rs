//! Row operations on packed activations `[tokens, width]`: norms, activations, rope, residual sums, gathers.
//!
//! Each row is computed alone, in one order, by one thread, so its bits never depend on its companions or on how rows are
//! spread over threads. No operation here touches more than one row at a time except to copy.

use candle_core::{CpuStorage, Device, InplaceOp1, Layout, Storage, Tensor};
use rayon::prelude::*;

use crate::engine::simd::{self, Kernel, Lanes, WIDTH};
use crate::error::{Error, Result};

/// Rows per parallel task at the least, so that small steps do not pay for threads they cannot use.
const MIN_VALUES_PER_TASK: usize = 16 * 1024;

/// Rows of `width` values that one parallel task should take.
pub fn rows_per_task(width: usize) -> usize {
    (MIN_VALUES_PER_TASK / width.max(1)).max(1)
}

/// Wraps an error of candle's.
pub fn tensor_error(error: candle_core::Error) -> Error {
    Error::internal("compute a tensor operation").caused_by(error.to_string())
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
fn for_rows(name: &'static str, x: &Tensor, f: impl Fn(usize, &mut [f32]) + Sync) -> Result<()> {
    let width = x.dims().last().copied().unwrap_or(0);
    x.inplace_op1(&RowWise { name, width, f }).map_err(tensor_error)
}

/// Writes every row of a new `[rows of x, width]` matrix from the matching row of `x`, in parallel.
fn map_rows(x: &Tensor, width: usize, f: impl Fn(usize, &[f32], &mut [f32]) + Sync) -> Result<Tensor> {
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

/// Which normalisation a model uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NormKind {
    /// Root mean square (Zhang and Sennrich, 2019), no bias.
    Rms,
    /// LayerNorm (Ba et al., 2016).
    Layer,
}

/// A normalisation over the last dimension with its weights.
#[derive(Clone, Debug)]
pub struct Norm {
    /// Which one.
    pub kind: NormKind,
    /// `[width]` factors.
    pub weight: Vec<f32>,
    /// `[width]` summands (LayerNorm).
    pub bias: Option<Vec<f32>>,
    /// Added to the variance.
    pub eps: f32,
}

struct NormRow<'a> {
    norm: &'a Norm,
    row: &'a mut [f32],
}

impl Kernel for NormRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let (norm, row) = (self.norm, self.row);
        let width = row.len() as f32;
        let mean = match norm.kind {
            NormKind::Rms => 0.0,
            NormKind::Layer => {
                sum_row::<L>(
                    row,
                    #[inline(always)]
                    |x| x,
                ) / width
            }
        };
        let mean_lanes = L::splat(mean);
        if norm.kind == NormKind::Layer {
            simd::map_row::<L>(
                row,
                mean,
                #[inline(always)]
                |_, x| x.sub(mean_lanes),
            );
        }
        let variance = sum_row::<L>(
            row,
            #[inline(always)]
            |x| x.mul(x),
        ) / width;
        let factor = L::splat(1.0 / (variance + norm.eps).sqrt());
        match &norm.bias {
            None => simd::map_row::<L>(
                row,
                0.0,
                #[inline(always)]
                |at, x| x.mul(factor).mul(simd::load_padded::<L>(&norm.weight, at, 0.0)),
            ),
            Some(bias) => simd::map_row::<L>(
                row,
                0.0,
                #[inline(always)]
                |at, x| {
                    let weight = simd::load_padded::<L>(&norm.weight, at, 0.0);
                    x.mul(factor).fma(weight, simd::load_padded::<L>(bias, at, 0.0))
                },
            ),
        }
    }
}

/// Sum of `f` over a row: 16 running sums, folded in one order; missing lanes add zero (`f(0)` must be 0).
#[inline(always)]
fn sum_row<L: Lanes>(row: &[f32], f: impl Fn(L) -> L) -> f32 {
    let mut sum = L::splat(0.0);
    let mut at = 0;
    while at < row.len() {
        sum = sum.add(f(simd::load_padded::<L>(row, at, 0.0)));
        at += WIDTH;
    }
    sum.sum()
}

impl Norm {
    /// Normalises one row in place.
    pub fn row(&self, row: &mut [f32]) {
        simd::dispatch(NormRow { norm: self, row });
    }

    /// Normalises every row of `[tokens, width]` into a new tensor.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        map_rows(x, self.weight.len(), |_, from, to| {
            to.copy_from_slice(from);
            self.row(to);
        })
    }
}

/// Which activation a feed-forward block uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// x · sigmoid(x).
    Silu,
    /// GELU with erf (Hendrycks and Gimpel, 2016).
    Gelu,
    /// GELU with the tanh approximation.
    GeluTanh,
    /// max(0, x).
    Relu,
    /// tanh(x).
    Tanh,
}

impl Activation {
    /// Hugging Face's names.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "silu" | "swish" => Ok(Self::Silu),
            "gelu" => Ok(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Ok(Self::GeluTanh),
            "relu" => Ok(Self::Relu),
            "tanh" => Ok(Self::Tanh),
            other => {
                let known = ["silu", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "tanh"];
                Err(Error::input(format!("use the activation `{other}`"))
                    .with_hint(crate::error::nearest(other, known)))
            }
        }
    }

    #[inline(always)]
    fn lanes<L: Lanes>(self, x: L) -> L {
        let one = L::splat(1.0);
        let zero = L::splat(0.0);
        match self {
            Self::Silu => x.div(one.add(zero.sub(x).exp())),
            Self::Gelu => {
                let half = x.mul(L::splat(0.5));
                erf(x.mul(L::splat(std::f32::consts::FRAC_1_SQRT_2))).fma(half, half)
            }
            Self::GeluTanh => {
                let cubic = x.mul(x).mul(x).fma(L::splat(0.044_715), x);
                let half = x.mul(L::splat(0.5));
                tanh(cubic.mul(L::splat(0.797_884_6))).fma(half, half)
            }
            Self::Relu => zero.max(x),
            Self::Tanh => tanh(x),
        }
    }
}

/// tanh through exp of the magnitude's negative, so that nothing overflows; odd by construction.
#[inline(always)]
fn tanh<L: Lanes>(x: L) -> L {
    let zero = L::splat(0.0);
    let one = L::splat(1.0);
    let negated = zero.sub(x);
    let magnitude = x.where_less(zero, negated, x);
    let e = magnitude.mul(L::splat(-2.0)).exp();
    let large = one.sub(e).div(one.add(e));
    // Near zero 1 - e cancels: the series x - x³/3 + 2x⁵/15 - 17x⁷/315 is exact to f32 there.
    let square = x.mul(x);
    let series = L::splat(-17.0 / 315.0).fma(square, L::splat(2.0 / 15.0)).fma(square, L::splat(-1.0 / 3.0));
    let small = series.mul(square).fma(x, x);
    let signed = x.where_less(zero, zero.sub(large), large);
    magnitude.where_less(L::splat(0.1), small, signed)
}

/// erf as a rational function of x on [-4, 4] (the one of Eigen's `generic_fast_erf_float`), within 5e-7.
#[inline(always)]
fn erf<L: Lanes>(x: L) -> L {
    const TOP: [f32; 7] = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const BOTTOM: [f32; 5] = [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2];
    let x = L::splat(4.0).min(L::splat(-4.0).max(x));
    let square = x.mul(x);
    let mut top = L::splat(TOP[0]);
    for factor in &TOP[1..] {
        top = top.fma(square, L::splat(*factor));
    }
    let mut bottom = L::splat(BOTTOM[0]);
    for factor in &BOTTOM[1..] {
        bottom = bottom.fma(square, L::splat(*factor));
    }
    x.mul(top).div(bottom)
}

struct ActivateRow<'a> {
    activation: Activation,
    row: &'a mut [f32],
}

impl Kernel for ActivateRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        simd::map_row::<L>(
            self.row,
            0.0,
            #[inline(always)]
            |_, x| self.activation.lanes(x),
        );
    }
}

struct GatedRow<'a> {
    activation: Activation,
    gate_up: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for GatedRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        let (gate, up) = self.gate_up.split_at(self.out.len());
        simd::map_row::<L>(
            self.out,
            0.0,
            #[inline(always)]
            |at, _| {
                let gate = simd::load_padded::<L>(gate, at, 0.0);
                self.activation.lanes(gate).mul(simd::load_padded::<L>(up, at, 0.0))
            },
        );
    }
}

/// Applies the activation in place.
pub fn activate(x: &Tensor, activation: Activation) -> Result<()> {
    for_rows("activation", x, |_, row| simd::dispatch(ActivateRow { activation, row }))
}

/// Gated feed-forward activation (Shazeer, 2020): `[tokens, 2·width]` of gate and up -> act(gate)·up `[tokens, width]`.
pub fn gated(x: &Tensor, activation: Activation) -> Result<Tensor> {
    let width = x.dims2().map_err(tensor_error)?.1 / 2;
    map_rows(x, width, |_, gate_up, out| simd::dispatch(GatedRow { activation, gate_up, out }))
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

/// `x += bias` for every row.
pub fn add_bias(x: &Tensor, bias: &[f32]) -> Result<()> {
    for_rows("add bias", x, |_, row| add_row(row, bias))
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

/// cos and sin of the rotary angles of one step: `[tokens, pairs]` each.
pub struct RopeRows {
    cos: Vec<f32>,
    sin: Vec<f32>,
    pairs: usize,
}

impl RopeRows {
    /// Angles are position · inverse frequency, taken in f64 and rounded once; `libm` is plain Rust, so the bits do not
    /// depend on the C library.
    pub fn new(positions: &[usize], inverse_frequencies: &[f64]) -> Self {
        let pairs = inverse_frequencies.len();
        let mut rows = Self { cos: vec![0.0; positions.len() * pairs], sin: vec![0.0; positions.len() * pairs], pairs };
        let per_task = rows_per_task(pairs * 8);
        let cos = rows.cos.par_chunks_mut(per_task * pairs);
        let sin = rows.sin.par_chunks_mut(per_task * pairs);
        cos.zip(sin).zip(positions.par_chunks(per_task)).for_each(|((cos, sin), positions)| {
            for (row, position) in positions.iter().enumerate() {
                for (pair, frequency) in inverse_frequencies.iter().enumerate() {
                    let angle = *position as f64 * frequency;
                    cos[row * pairs + pair] = libm::cos(angle) as f32;
                    sin[row * pairs + pair] = libm::sin(angle) as f32;
                }
            }
        });
        rows
    }
}

struct RotateHead<'a> {
    head: &'a mut [f32],
    cos: &'a [f32],
    sin: &'a [f32],
}

impl Kernel for RotateHead<'_> {
    type Output = ();

    /// The half-split rotation of Su et al. (2021) as transformers lays it out: pairs are (i, i + n/2).
    #[inline(always)]
    fn run<L: Lanes>(self) {
        let (first, second) = self.head[..2 * self.cos.len()].split_at_mut(self.cos.len());
        let mut turned = [0.0f32; WIDTH];
        let mut at = 0;
        while at < first.len() {
            let width = WIDTH.min(first.len() - at);
            let (cos, sin) = (simd::load_padded::<L>(self.cos, at, 0.0), simd::load_padded::<L>(self.sin, at, 0.0));
            let a = simd::load_padded::<L>(first, at, 0.0);
            let b = simd::load_padded::<L>(second, at, 0.0);
            let low = a.mul(cos).sub(b.mul(sin));
            let high = b.mul(cos).add(a.mul(sin));
            turned.copy_from_slice(&low.to_array());
            first[at..at + width].copy_from_slice(&turned[..width]);
            turned.copy_from_slice(&high.to_array());
            second[at..at + width].copy_from_slice(&turned[..width]);
            at += WIDTH;
        }
    }
}

/// How the fused q/k/v rows of one layer are laid out and prepared.
pub struct Heads<'a> {
    /// Query heads.
    pub queries: usize,
    /// Key/value heads.
    pub keys: usize,
    /// Values per head.
    pub size: usize,
    /// Per-head norm of the queries.
    pub query_norm: Option<&'a Norm>,
    /// Per-head norm of the keys.
    pub key_norm: Option<&'a Norm>,
}

/// Normalises (where the model does) and rotates the query and key heads of `[tokens, (queries + 2·keys)·size]` in place.
pub fn prepare_heads(qkv: &Tensor, heads: &Heads<'_>, rope: &RopeRows) -> Result<()> {
    let size = heads.size;
    for_rows("rotate heads", qkv, |token, row| {
        let range = token * rope.pairs..(token + 1) * rope.pairs;
        let (cos, sin) = (&rope.cos[range.clone()], &rope.sin[range]);
        for (index, head) in row[..(heads.queries + heads.keys) * size].chunks_exact_mut(size).enumerate() {
            if let Some(norm) = if index < heads.queries { heads.query_norm } else { heads.key_norm } {
                norm.row(head);
            }
            simd::dispatch(RotateHead { head, cos, sin });
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct OneRow(Vec<f32>, Activation);
    impl Kernel for OneRow {
        type Output = Vec<f32>;
        #[inline(always)]
        fn run<L: Lanes>(mut self) -> Vec<f32> {
            simd::map_row::<L>(
                &mut self.0,
                0.0,
                #[inline(always)]
                |_, x| self.1.lanes(x),
            );
            self.0
        }
    }

    #[test]
    fn activations_are_accurate() {
        let xs: Vec<f32> = (-6000..6000).map(|i| i as f32 * 0.0017).collect();
        let check = |activation: Activation, right: fn(f64) -> f64| {
            for (x, y) in xs.iter().zip(simd::dispatch(OneRow(xs.clone(), activation))) {
                let right = right(f64::from(*x));
                let error = (f64::from(y) - right).abs();
                assert!(error <= 2e-6 * right.abs().max(0.5), "{activation:?}({x}) = {y}, not {right}");
            }
        };
        check(Activation::Silu, |x| x / (1.0 + libm::exp(-x)));
        check(Activation::Gelu, |x| x * 0.5 * (1.0 + libm::erf(x / 2f64.sqrt())));
        check(Activation::GeluTanh, |x| {
            0.5 * x * (1.0 + libm::tanh((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)))
        });
        check(Activation::Tanh, libm::tanh);
        check(Activation::Relu, |x| x.max(0.0));
    }

    #[test]
    fn an_element_has_the_same_bits_at_any_index() {
        for activation in [Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Tanh] {
            let alone = simd::dispatch(OneRow(vec![0.7312], activation))[0].to_bits();
            for len in 1..40 {
                for value in simd::dispatch(OneRow(vec![0.7312; len], activation)) {
                    assert_eq!(value.to_bits(), alone);
                }
            }
        }
    }

    #[test]
    fn norms_match_their_definition() {
        let row: Vec<f32> = (0..37).map(|i| (i as f32 * 0.7).sin_cos().0 + 0.3).collect();
        let weight: Vec<f32> = (0..37).map(|i| 1.0 + i as f32 * 0.01).collect();
        let bias: Vec<f32> = (0..37).map(|i| i as f32 * 0.02).collect();
        for (kind, bias) in [(NormKind::Rms, None), (NormKind::Layer, Some(bias))] {
            let norm = Norm { kind, weight: weight.clone(), bias: bias.clone(), eps: 1e-6 };
            let mut got = row.clone();
            norm.row(&mut got);
            let mean = if kind == NormKind::Rms { 0.0 } else { row.iter().map(|x| f64::from(*x)).sum::<f64>() / 37.0 };
            let variance = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / 37.0;
            for i in 0..37 {
                let right = (f64::from(row[i]) - mean) / (variance + 1e-6).sqrt() * f64::from(weight[i])
                    + bias.as_ref().map_or(0.0, |b| f64::from(b[i]));
                assert!((f64::from(got[i]) - right).abs() < 2e-6, "{kind:?}: {} not {right}", got[i]);
            }
        }
    }

    #[test]
    fn rotation_keeps_length_and_starts_at_identity() {
        let rope = RopeRows::new(&[0, 5], &[1.0, 0.1, 0.01]);
        let x = matrix((0..2 * 3 * 8).map(|i| i as f32).collect(), 2, 24).unwrap();
        let before = x.to_vec2::<f32>().unwrap();
        let x = x.copy().unwrap();
        let heads = Heads { queries: 1, keys: 1, size: 8, query_norm: None, key_norm: None };
        prepare_heads(&x, &heads, &rope).unwrap();
        let after = x.to_vec2::<f32>().unwrap();
        assert_eq!(before[0], after[0]);
        assert_eq!(before[1][16..], after[1][16..], "values are not rotated");
        assert_eq!(before[1][6..8], after[1][6..8], "partial rotation leaves the rest");
        let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>();
        assert!((length(&before[1]) - length(&after[1])).abs() < 1e-2);
        assert_ne!(before[1][..6], after[1][..6]);
    }
}
