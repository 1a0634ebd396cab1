//! Pure numbers, and how they are written: means, quantiles, intervals, tests of pairs, of units of several pairs and of two samples,
//! power and what a test could have found, agreement, calibration.
//!
//! No I/O, no datasets, no scorers. Everything sums in index order and draws from a counter-based generator, so that
//! equal input gives equal bits whatever the thread count. What is undefined (the mean of nothing, the rate of no
//! cases) is `None`, never NaN: a report can say "no data", it cannot say NaN. Figures in the tests come from scipy,
//! statsmodels and others (`scripts/stats_figures.py`).

mod agreement;
mod beta;
mod binomial;
mod calibration;
mod cluster;
mod differences;
pub mod format;
mod interval;
mod mcnemar;
mod mcnemar_power;
mod moments;
mod normal;
mod power;
mod quantile;
mod random;
mod repeats;
mod score;
mod sign_flip;
#[cfg(test)]
mod size_tests;
mod student;
mod two_rates;
mod two_sample;

pub use agreement::{Scale, cohen_kappa, krippendorff_alpha};
pub use calibration::{Bin, Calibration, calibration};
pub use cluster::{Clusters, clustered_error};
pub use differences::Differences;
pub use interval::{ClusterCounts, Interval, wilson, wilson_clustered};
pub use mcnemar::{McNemar, mcnemar_exact, mcnemar_mid_p};
pub use mcnemar_power::{Detectable, mcnemar_detectable, mcnemar_power};
pub use moments::{mean, variance};
pub use normal::normal_quantile;
pub use power::{holm, smallest_detectable};
pub use quantile::{quantile, quantile_sorted};
pub use random::CounterRng;
pub use repeats::{pass_at_k, pass_hat_k, within_case_variance};
pub use score::{tango, with_unseen};
pub use sign_flip::{Draws, UnitTest, pair_test, unit_test};
pub use student::{student_bound, student_two_sided};
pub use two_rates::two_rates;
pub use two_sample::{SampleTest, TwoSample, welch};

/// The confidence level of every interval that a report shows without saying otherwise.
pub const CONFIDENCE: f64 = 0.95;

/// The significance level that goes with [`CONFIDENCE`].
pub const ALPHA: f64 = 0.05;
