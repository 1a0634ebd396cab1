//! Mean and variance, added up in index order.

use ndarray::ArrayView1;

/// The mean in index order; `None` for no values or where the sum is not finite.
pub fn mean(values: ArrayView1<'_, f64>) -> Option<f64> {
    let mut sum = 0.0;
    for value in values {
        sum += value;
    }
    finite(sum / count(values.len())?)
}

/// The sample variance (divisor n - 1) by two passes in index order; `None` below two values.
pub fn variance(values: ArrayView1<'_, f64>) -> Option<f64> {
    let centre = mean(values)?;
    let mut sum = 0.0;
    for value in values {
        let deviation = value - centre;
        sum += deviation * deviation;
    }
    finite(sum / count(values.len().checked_sub(1)?)?)
}

/// A non-zero count as a float.
fn count(n: usize) -> Option<f64> {
    (n > 0).then_some(n as f64)
}

/// The value where it is a number.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{array, aview1};

    #[test]
    fn agrees_with_numpy() {
        let x = array![0.1, -0.4, 0.25, 0.0, 1.5, -0.75, 3.0, 2.25];
        assert!((mean(x.view()).unwrap() - 0.74375).abs() < 1e-15);
        assert!((variance(x.view()).unwrap() - 1.8117410714285713).abs() < 1e-14);
    }

    #[test]
    fn undefined_is_none() {
        assert_eq!(mean(aview1(&[])), None);
        assert_eq!(variance(aview1(&[])), None);
        assert_eq!(variance(aview1(&[1.0])), None);
        assert_eq!(mean(aview1(&[f64::MAX, f64::MAX])), None);
        assert_eq!(mean(aview1(&[f64::NAN])), None);
    }
}
