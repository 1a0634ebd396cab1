//! `gemm.cu`. In f32 its order; of bf16 and f16 the order is the tensor cores' own, and [`sum`] is one of many.

use super::numbers::{Stored, narrowed};

/// One output before bias and y.
pub fn sum<T: Stored>(x: &[T], w: &[T]) -> f32 {
    x.iter().zip(w).fold(0.0, |sum, (x, w)| x.wide().mul_add(w.wide(), sum))
}

/// A row of y: of a row of x, `w` `[outputs, inputs]`, a bias and what y held.
pub fn product<T: Stored, O: Stored>(x: &[T], w: &[T], bias: Option<&[O]>, y: Option<&[O]>) -> Vec<O> {
    let mut row: Vec<f32> = w.chunks_exact(x.len()).map(|w| sum(x, w)).collect();
    for added in [bias, y].into_iter().flatten() {
        row.iter_mut().zip(added).for_each(|(sum, added)| *sum += added.wide());
    }
    narrowed(&row)
}

/// The same in f64, and how far from that a sum in f32 of any order may be: a small part of the sum of absolute values.
pub fn right<T: Stored, O: Stored>(x: &[T], w: &[T], bias: Option<&[O]>, y: Option<&[O]>) -> Vec<(f64, f64)> {
    let one = |(at, w): (usize, &[T])| {
        let terms: Vec<f64> = x.iter().zip(w).map(|(x, w)| f64::from(x.wide()) * f64::from(w.wide())).collect();
        let added = [bias, y].map(|added| added.map_or(0.0, |added| f64::from(added[at].wide())));
        let sum = terms.iter().sum::<f64>() + added[0] + added[1];
        let whole = terms.iter().chain(&added).map(|x| x.abs()).sum::<f64>();
        (sum, whole * f64::from(f32::EPSILON) * (4.0 + x.len() as f64 / 8.0) + sum.abs() * f64::from(O::STEP))
    };
    w.chunks_exact(x.len()).enumerate().map(one).collect()
}

/// That a row is near that.
pub fn assert_row<O: Stored>(found: &[O], right: &[(f64, f64)], what: &str) {
    assert_eq!(found.len(), right.len(), "{what}");
    for (at, (found, (right, allowed))) in found.iter().zip(right).enumerate() {
        let error = (f64::from(found.wide()) - right).abs();
        assert!(error <= *allowed, "{what}: number {at} is {found:?}, not {right}");
    }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;
    use crate::cuda::reference::numbers::numbers;

    fn of<T: Stored, O: Stored>() {
        for inputs in [1, 7, 64, 1000] {
            let (x, w) = (numbers::<T>(inputs, 1), numbers::<T>(5 * inputs, 2));
            let (bias, y) = (numbers::<O>(5, 3), numbers::<O>(5, 4));
            for (bias, y) in
                [(None, None), (Some(&bias[..]), None), (None, Some(&y[..])), (Some(&bias[..]), Some(&y[..]))]
            {
                assert_row(&product(&x, &w, bias, y), &right(&x, &w, bias, y), "product");
            }
        }
    }

    #[test]
    fn products_are_products() {
        of::<f32, f32>();
        of::<bf16, bf16>();
        of::<bf16, f32>();
        of::<f16, f16>();
    }

    #[test]
    fn a_small_product() {
        let y: Vec<f32> =
            product::<f32, _>(&[1.0, 2.0], &[3.0, 4.0, 5.0, 6.0], Some(&[0.5, 0.25]), Some(&[100.0, 200.0]));
        assert_eq!(y, [111.5, 217.25]);
    }
}
