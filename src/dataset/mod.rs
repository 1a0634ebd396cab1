//! Datasets: files to a stream of verified [`Sample`]s.
//!
//! A [`Source`] names a file and how to read it; [`Source::open`] streams it, in memory that does not grow with the file
//! apart from about 35 bytes a case for the check that ids are unique. It knows nothing of suites, prompts or scorers.
//!
//! Parquet is left for later; [`Format`] is where it will come in.

mod blocks;
mod content;
mod csv;
mod fields;
mod ids;
mod json;
mod keys;
mod message;
mod position;
mod resolve;
mod sample;
mod source;
#[cfg(test)]
mod tests;

pub use blocks::{lines, read_lines};
pub use content::{content_id, to_json};
pub use fields::{Field, FieldMap};
pub use keys::{Column, Holds, Instead, Keys, UnknownKeys};
pub use message::MESSAGE;
pub use sample::{Input, Kind, Sample};
pub use source::{Format, Samples, Source, sha256_file};
