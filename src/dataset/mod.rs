//! Datasets: verified files to a stream of [`Sample`].

mod sample;

pub use sample::{Input, Kind, Sample};
