//! Quantiles by linear interpolation between order statistics (type 7, numpy's default).

use ndarray::ArrayView1;

/// The `q` quantile of unordered values; `None` for no values, a value that is not a number, or `q` outside [0, 1].
pub fn quantile(values: ArrayView1<'_, f64>, q: f64) -> Option<f64> {
    if values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile_sorted(&sorted, q)
}

/// The `q` quantile of values in ascending order.
pub fn quantile_sorted(sorted: &[f64], q: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&q) {
        return None;
    }
    let position = q * sorted.len().checked_sub(1)? as f64;
    let below = position.floor();
    let low = *sorted.get(below as usize)?;
    let high = *sorted.get(below as usize + 1).unwrap_or(&low);
    let value = low + (high - low) * (position - below);
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::aview1;

    #[test]
    fn agrees_with_numpy() {
        let x = [0.1, -0.4, 0.25, 0.0, 1.5, -0.75, 3.0, 2.25];
        for (q, value) in [(0.0, -0.75), (0.05, -0.6275), (0.5, 0.175), (0.75, 1.6875), (0.9, 2.475), (1.0, 3.0)] {
            assert!((quantile(aview1(&x), q).unwrap() - value).abs() < 1e-12, "{q}");
        }
    }

    #[test]
    fn undefined_is_none() {
        assert_eq!(quantile(aview1(&[]), 0.5), None);
        assert_eq!(quantile(aview1(&[1.0, f64::NAN]), 0.5), None);
        assert_eq!(quantile(aview1(&[1.0]), 1.5), None);
        assert_eq!(quantile(aview1(&[1.0]), f64::NAN), None);
        assert_eq!(quantile(aview1(&[7.0]), 0.3), Some(7.0));
    }
}
