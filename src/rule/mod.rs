//! What gates ask: metrics and their bounds, filters, tiers, expressions, operational figures, prices, and the baseline's name. Data and its parsing; `suite`
//! checks it before anything runs, `compare` judges by it.

mod baseline;
mod expression;
mod gate;
mod metric;
mod operational;
mod outcome_rate;
mod parse;
mod statistics;

pub use baseline::{BaselineNames, DeviceClass};
pub use expression::{Change, Expression, Sign, Term, Window};
pub use gate::{Allowance, ErrorPolicy, Filter, Gate, Tier};
pub use metric::{Figure, Metric, Statistic};
pub use operational::{Operational, Percentile, Prices};
pub use outcome_rate::{OUTCOME_RATES, SCORER_RATES};
pub use statistics::{McNemarKind, Statistics};
