//! Sums of recorded values that no order changes.

use super::round;

/// A sum of values as records hold them, in millionths: exact, so that no order changes it. None once it is beyond what
/// whole numbers of 128 bits hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum(Option<i128>);

/// Millionths of one.
const MILLION: f64 = 1e6;
/// Millionths that whole numbers of 128 bits can hold many of.
const LARGEST: f64 = 1e30;

impl Default for Sum {
    fn default() -> Self {
        Self(Some(0))
    }
}

impl Sum {
    pub fn add(&mut self, value: f64) {
        let millionths = (value * MILLION).round();
        self.merge(Self((millionths.abs() < LARGEST).then_some(millionths as i128)));
    }

    pub fn merge(&mut self, other: Self) {
        self.0 = self.0.zip(other.0).and_then(|(one, two)| one.checked_add(two));
    }

    /// The sum.
    pub fn total(self) -> Option<f64> {
        self.0.map(|sum| sum as f64 / MILLION)
    }

    /// The mean of so many values, rounded as records are.
    pub fn mean(self, count: u64) -> Option<f64> {
        if count == 0 {
            return None;
        }
        // Of numbers that doubles hold: rounded once.
        round(self.0? as f64 / (count as f64 * MILLION))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_beyond_bounds_has_no_mean() {
        let mut sum = Sum::default();
        sum.add(0.1);
        sum.add(0.2);
        assert_eq!(sum.mean(3), Some(0.1));
        assert_eq!(sum.mean(0), None);
        sum.add(1e300);
        sum.add(-1e300);
        assert_eq!(sum.mean(5), None);
    }
}
