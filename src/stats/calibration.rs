//! Whether stated probabilities are what happens.

/// Answers whose stated probability lies in one part of [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Where it begins; it ends where the next begins, the last at 1, which it holds.
    pub low: f64,
    /// How many there are.
    pub count: u64,
    /// Mean of the stated probabilities; none where there are no answers.
    pub stated: Option<f64>,
    /// Share of the answers that were right.
    pub right: Option<f64>,
}

/// A reliability diagram and what it comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Bins of equal width.
    pub bins: Vec<Bin>,
    /// Expected calibration error: the mean distance of stated and right, bins weighed by their counts (M. P. Naeini et al.,
    /// 2015).
    pub error: f64,
}

/// Sorts answers (stated probability, whether right) into so many bins of equal width. `None` for no answers, no bins, or a
/// probability outside [0, 1].
pub fn calibration(answers: &[(f64, bool)], bins: usize) -> Option<Calibration> {
    if answers.is_empty() || bins == 0 || answers.iter().any(|(stated, _)| !(0.0..=1.0).contains(stated)) {
        return None;
    }
    let mut sums = vec![(0u64, 0.0, 0u64); bins];
    for (stated, right) in answers {
        let (count, sum, hits) = &mut sums[((stated * bins as f64) as usize).min(bins - 1)];
        *count += 1;
        *sum += stated;
        *hits += u64::from(*right);
    }
    let bin = |(at, (count, sum, hits)): (usize, (u64, f64, u64))| {
        let mean = |sum: f64| (count > 0).then(|| sum / count as f64);
        Bin { low: at as f64 / bins as f64, count, stated: mean(sum), right: mean(hits as f64) }
    };
    let distance = |(_, sum, hits): &(u64, f64, u64)| (sum - *hits as f64).abs();
    let error = sums.iter().map(distance).sum::<f64>() / answers.len() as f64;
    Some(Calibration { bins: sums.into_iter().enumerate().map(bin).collect(), error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_count_by_hand() {
        let answers = [(0.95, true), (0.85, false), (0.15, false), (1.0, true), (0.0, false)];
        let got = calibration(&answers, 10).unwrap();
        // Bins 9 (0.95 and 1.0: stated 0.975, right 1), 8 (0.85, 0), 1 (0.15, 0), 0 (0, 0).
        assert!((got.error - (2.0 * 0.025 + 0.85 + 0.15 + 0.0) / 5.0).abs() < 1e-15);
        assert_eq!((got.bins[9].count, got.bins[9].right, got.bins[5].stated), (2, Some(1.0), None));
        assert_eq!(got.bins.iter().map(|bin| bin.count).sum::<u64>(), 5);
    }

    #[test]
    fn undefined_is_none() {
        assert_eq!(calibration(&[], 10), None);
        assert_eq!(calibration(&[(0.5, true)], 0), None);
        assert_eq!(calibration(&[(1.5, true)], 10), None);
        assert_eq!(calibration(&[(f64::NAN, true)], 10), None);
    }
}
