//! Scorers: two pure functions each, `needs` and `score`.

mod types;

pub use types::{Answer, Need, Score};
