//! Normalisation of rows: RMSNorm and LayerNorm.

use super::rows::Rows;
use super::simd::{self, Kernel, Lanes, WIDTH};

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
    /// `[width]` biases (LayerNorm).
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

    /// Normalises `from` into `to`.
    pub fn row_into(&self, from: &[f32], to: &mut [f32]) {
        to.copy_from_slice(from);
        self.row(to);
    }

    /// Normalises every row of `[tokens, width]` into a new matrix.
    pub fn forward(&self, x: &Rows) -> Rows {
        x.map(self.weight.len(), |from, to| self.row_into(from, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
