//! Paired differences of single pairs.

use ndarray::ArrayView1;

/// Per-pair differences (candidate minus base), where the zeros are only counted: between two runs of the same model
/// most pairs are equal, and memory should follow what changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Differences {
    changed: Vec<f64>,
    pairs: u64,
}

impl Differences {
    /// Adds one pair.
    pub fn push(&mut self, difference: f64) {
        self.pairs += 1;
        if difference != 0.0 {
            self.changed.push(difference);
        }
    }

    /// Differences of paired pass/fail outcomes: -1 for each regressed, +1 for each improved, 0 for the other pairs.
    pub fn of_outcomes(regressed: u64, improved: u64, pairs: u64) -> Self {
        let worse = std::iter::repeat_n(-1.0, regressed as usize);
        let better = std::iter::repeat_n(1.0, improved as usize);
        Self { changed: worse.chain(better).collect(), pairs }
    }

    /// Number of pairs, equal ones included.
    pub fn pairs(&self) -> u64 {
        self.pairs
    }

    /// The differences that are not zero, in the order they were added.
    pub fn changed(&self) -> ArrayView1<'_, f64> {
        ArrayView1::from(&self.changed[..])
    }

    /// The mean difference over all pairs; `None` for no pairs.
    pub fn mean(&self) -> Option<f64> {
        if self.pairs == 0 {
            return None;
        }
        let mut sum = 0.0;
        for difference in &self.changed {
            sum += difference;
        }
        let mean = sum / self.pairs as f64;
        mean.is_finite().then_some(mean)
    }

    /// Their variance, with n - 1 in the denominator; `None` below two pairs.
    pub fn variance(&self) -> Option<f64> {
        let mean = self.mean()?;
        let mut sum = (self.pairs - self.changed.len() as u64) as f64 * mean * mean;
        for difference in &self.changed {
            sum += (difference - mean).powi(2);
        }
        let variance = sum / (self.pairs as f64 - 1.0);
        (self.pairs > 1).then_some(variance).filter(|variance| variance.is_finite())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::stats::mean;
    use ndarray::aview1;

    pub fn differences(values: impl IntoIterator<Item = f64>) -> Differences {
        let mut differences = Differences::default();
        values.into_iter().for_each(|value| differences.push(value));
        differences
    }

    #[test]
    fn zeros_are_only_counted() {
        let data = differences([0.0, 0.5, 0.0, -0.25]);
        assert_eq!((data.pairs(), data.changed().len()), (4, 2));
        assert_eq!(data.mean(), mean(aview1(&[0.0, 0.5, 0.0, -0.25])));
        assert_eq!(differences([-0.0]).changed().len(), 0);
    }

    #[test]
    fn variances_have_n_minus_one() {
        assert_eq!(differences([0.25; 7]).variance(), Some(0.0));
        assert_eq!(differences([0.0, 1.0]).variance(), Some(0.5));
        assert_eq!((differences([1.0]).variance(), Differences::default().mean()), (None, None));
    }
}
