//! Pure numbers: means, quantiles, intervals, paired tests, the bootstrap.
//!
//! No I/O, no datasets, no scorers. Everything sums in index order and draws from a counter-based generator, so that
//! equal input gives equal bits whatever the thread count. What is undefined (the mean of nothing, the rate of no
//! cases) is `None`, never NaN: a report can say "no data", it cannot say NaN. Figures in the tests come from scipy and
//! statsmodels.

mod bootstrap;
mod interval;
mod mcnemar;
mod moments;
mod normal;
mod quantile;
mod random;

pub use bootstrap::{Differences, Resampling, bootstrap_mean};
pub use interval::{Interval, wilson};
pub use mcnemar::mcnemar_exact;
pub use moments::{mean, variance};
pub use normal::normal_quantile;
pub use quantile::{quantile, quantile_sorted};
pub use random::CounterRng;

/// The confidence level of every interval that a report shows without saying otherwise.
pub const CONFIDENCE: f64 = 0.95;

/// The significance level that goes with [`CONFIDENCE`].
pub const ALPHA: f64 = 0.05;
