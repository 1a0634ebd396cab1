//! What gates ask: bounds of metrics, filters, expressions, operational figures and prices. Data and its parsing; `suite`
//! checks it before anything runs, `compare` judges by it.

mod expression;
mod gate;
mod operational;
mod parse;

pub use expression::{Change, Expression, Sign, Term, Window};
pub use gate::{Filter, Gate};
pub use operational::{Operational, Percentile, Prices};
