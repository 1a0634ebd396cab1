//! Activations of feed-forward blocks, computed by karat's own exp, tanh and erf, so that no C library decides a bit.

use super::rows::Rows;
use super::simd::{self, Kernel, Lanes};
use crate::error::{Error, Result};

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
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" => Ok(Self::GeluTanh),
            "relu" => Ok(Self::Relu),
            "tanh" => Ok(Self::Tanh),
            other => {
                let known = ["silu", "gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "relu", "tanh"];
                Err(Error::input(format!("the activation `{other}` is not supported"))
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

/// `cap · tanh(x / cap)`: keeps a number within the cap (Gemma 2).
#[inline(always)]
pub fn soft_cap<L: Lanes>(x: L, cap: f32) -> L {
    tanh(x.div(L::splat(cap))).mul(L::splat(cap))
}

struct SoftCapRow<'a> {
    row: &'a mut [f32],
    cap: f32,
}

impl Kernel for SoftCapRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lanes>(self) {
        simd::map_row::<L>(
            self.row,
            0.0,
            #[inline(always)]
            |_, x| soft_cap(x, self.cap),
        );
    }
}

/// [`soft_cap`] of a row in place.
pub fn soft_cap_row(row: &mut [f32], cap: f32) {
    simd::dispatch(SoftCapRow { row, cap });
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
pub fn activate(x: &mut Rows, activation: Activation) {
    x.for_each(|_, row| simd::dispatch(ActivateRow { activation, row }));
}

/// The activation of a row, written beside it.
pub fn activate_row(x: &[f32], out: &mut [f32], activation: Activation) {
    out.copy_from_slice(x);
    simd::dispatch(ActivateRow { activation, row: out });
}

/// Gated feed-forward activation (Shazeer, 2020) of a row: gate and up side by side -> act(gate)·up, half as long.
pub fn gated_row(gate_up: &[f32], out: &mut [f32], activation: Activation) {
    simd::dispatch(GatedRow { activation, gate_up, out });
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
}
