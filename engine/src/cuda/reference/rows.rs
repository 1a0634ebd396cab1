//! `rows.cu` and `norm.cuh`.

use super::numbers::{Stored, block_sum, narrowed, warp_sum, widened};
use crate::cpu::norm::{Norm, NormKind};

/// Who adds up what of a row.
#[derive(Clone, Copy)]
pub enum Order {
    /// A block of 256 threads, of which each has fours of numbers.
    Fours,
    /// A block of 256 threads, of which each has single numbers.
    Block,
    /// A warp.
    Warp,
}

impl Order {
    fn sum(self, values: impl Iterator<Item = f32>, add: impl Fn(f32, f32) -> f32) -> f32 {
        let mut threads = [0.0f32; 256];
        for (at, value) in values.enumerate() {
            let thread = match self {
                Self::Fours => at / 4 % 256,
                Self::Block => at % 256,
                Self::Warp => at % 32,
            };
            threads[thread] = add(threads[thread], value);
        }
        match self {
            Self::Fours | Self::Block => block_sum(&threads),
            Self::Warp => warp_sum(&threads[..32]),
        }
    }
}

/// Mean and factor of a row.
pub fn moments(row: &[f32], norm: &Norm, order: Order) -> (f32, f32) {
    let width = row.len() as f32;
    let mean = match norm.kind {
        NormKind::Rms => 0.0,
        NormKind::Layer => order.sum(row.iter().copied(), |sum, x| sum + x) / width,
    };
    let variance = order.sum(row.iter().map(|x| x - mean), |sum, x| x.mul_add(x, sum)) / width;
    (mean, 1.0 / (variance + norm.eps).sqrt())
}

/// The norm of a number with its weight and bias.
pub fn applied(x: f32, (mean, factor): (f32, f32), weight: f32, bias: Option<f32>) -> f32 {
    let x = (x - mean) * factor;
    bias.map_or(x * weight, |bias| x.mul_add(weight, bias))
}

/// The norm of a row.
pub fn normed(row: &[f32], norm: &Norm, order: Order) -> Vec<f32> {
    let moments = moments(row, norm, order);
    let value = |(at, x): (usize, &f32)| applied(*x, moments, norm.weight[at], norm.bias.as_ref().map(|bias| bias[at]));
    row.iter().enumerate().map(value).collect()
}

fn maybe_normed(row: &[f32], norm: Option<&Norm>) -> Vec<f32> {
    norm.map_or_else(|| row.to_vec(), |norm| normed(row, norm, Order::Fours))
}

/// `embed` of a token.
pub fn embed<T: Stored>(vector: &[T], scale: f32, added: [Option<&[f32]>; 2]) -> Vec<f32> {
    let value = |(at, x): (usize, &T)| {
        let x = x.wide() * scale;
        match added {
            [Some(first), Some(second)] => x + (first[at] + second[at]),
            [Some(first), None] => x + first[at],
            _ => x,
        }
    };
    vector.iter().enumerate().map(value).collect()
}

/// `norm` of a row.
pub fn norm<T: Stored>(row: &[f32], norm: Option<&Norm>) -> Vec<T> {
    narrowed(&maybe_normed(row, norm))
}

/// `add_norm`: adds to the row of the stream, and gives the norm of it.
pub fn add_norm<T: Stored, Y: Stored>(
    x: &mut [f32],
    y: &[Y],
    (post_norm, scale): (Option<&Norm>, f32),
    next: Option<&Norm>,
) -> Vec<T> {
    let y = maybe_normed(&widened(y), post_norm);
    x.iter_mut().zip(&y).for_each(|(x, y)| *x += y * scale);
    norm(x, next)
}

/// `norm_sum`: the row of the stream becomes the norm of the sum, which is given too.
pub fn norm_sum<T: Stored, Y: Stored>(x: &mut [f32], y: Option<&[Y]>, norm: Option<&Norm>) -> Vec<T> {
    if let Some(y) = y {
        x.iter_mut().zip(y).for_each(|(x, y)| *x += y.wide());
    }
    let sum = maybe_normed(x, norm);
    x.copy_from_slice(&sum);
    narrowed(&sum)
}

/// A norm for tests.
pub fn some_norm(kind: NormKind, bias: bool, width: usize) -> Norm {
    let weight = crate::cuda::reference::numbers::numbers::<f32>(width, 11).iter().map(|x| 1.0 + x / 4.0).collect();
    Norm { kind, weight, bias: bias.then(|| crate::cuda::reference::numbers::numbers(width, 12)), eps: 1e-5 }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;
    use crate::cuda::reference::numbers::{assert_near, numbers};

    fn right(row: &[f64], norm: &Norm) -> Vec<f64> {
        let width = row.len() as f64;
        let mean = if norm.kind == NormKind::Layer { row.iter().sum::<f64>() / width } else { 0.0 };
        let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / width;
        let factor = 1.0 / (variance + f64::from(norm.eps)).sqrt();
        let bias = |at: usize| norm.bias.as_ref().map_or(0.0, |bias| f64::from(bias[at]));
        let value = |(at, x): (usize, &f64)| (x - mean) * factor * f64::from(norm.weight[at]) + bias(at);
        row.iter().enumerate().map(value).collect()
    }

    fn doubles<T: Stored>(row: &[T]) -> Vec<f64> {
        row.iter().map(|x| x.wide().into()).collect()
    }

    #[test]
    fn norms_are_norms_in_every_order() {
        for (kind, bias) in [(NormKind::Rms, false), (NormKind::Layer, true), (NormKind::Layer, false)] {
            for width in [1, 37, 128, 896, 1025, 5000] {
                let (row, norm) = (numbers::<f32>(width, 3), some_norm(kind, bias, width));
                let right = right(&doubles(&row), &norm);
                for order in [Order::Fours, Order::Block, Order::Warp] {
                    assert_near(&normed(&row, &norm, order), &right, 32.0);
                }
                assert_near(&super::norm::<bf16>(&row, Some(&norm)), &right, 1.0);
            }
        }
    }

    #[test]
    fn a_step_adds_what_was_normed_and_scaled() {
        let width = 300;
        let (x, y) = (numbers::<f32>(width, 1), numbers::<f16>(width, 2));
        let (post, next) = (some_norm(NormKind::Rms, false, width), some_norm(NormKind::Layer, true, width));
        let mut stream = x.clone();
        let out: Vec<f16> = add_norm(&mut stream, &y, (Some(&post), 0.5), Some(&next));
        let added = right(&doubles(&y), &post);
        let sum: Vec<f64> = doubles(&x).iter().zip(added).map(|(x, y)| x + 0.5 * y).collect();
        assert_near(&stream, &sum, 32.0);
        assert_near(&out, &right(&sum, &next), 1.0);
    }

    #[test]
    fn a_step_behind_is_the_norm_of_the_sum() {
        let width = 300;
        let (x, y, norm) =
            (numbers::<f32>(width, 1), numbers::<bf16>(width, 2), some_norm(NormKind::Layer, true, width));
        let mut stream = x.clone();
        let out: Vec<bf16> = norm_sum(&mut stream, Some(&y), Some(&norm));
        let sum: Vec<f64> = doubles(&x).iter().zip(doubles(&y)).map(|(x, y)| x + y).collect();
        assert_near(&stream, &right(&sum, &norm), 32.0);
        assert_eq!(out, narrowed::<bf16>(&stream));
    }

    #[test]
    fn token_vectors_are_scaled_before_positions_are_added() {
        let vector = [bf16::from_f32(0.5), bf16::from_f32(-2.0)];
        assert_eq!(embed(&vector, 3.0, [Some(&[1.0, 2.0]), Some(&[0.25, 0.5])]), [2.75, -3.5]);
        assert_eq!(embed(&vector, 1.0, [None, None]), [0.5, -2.0]);
    }
}
