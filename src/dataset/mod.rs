//! Datasets: files to a stream of verified [`Sample`]s.
//!
//! A [`Source`] names a file and how to read it; [`Source::open`] streams it, in memory that does not grow with the file
//! apart from about 35 bytes a case for the check that ids are unique. The bytes that are parsed are those that are hashed;
//! [`Source::reopen`] refuses a file that is not what it was. It knows nothing of suites, prompts or scorers.
//! What a file is beyond its bytes (version, origin, licence, schema of its rows) stands in a [`Header`] beside it.
//!
//! Parquet is left for later; [`Format`] is where it will come in.

mod blocks;
mod cells;
mod content;
mod csv;
mod digest;
mod fields;
mod header;
mod ids;
mod json;
mod keys;
mod limits;
mod message;
mod position;
mod resolve;
mod row_schema;
mod rows;
mod sample;
mod source;
mod start;
#[cfg(test)]
mod tests;

pub use blocks::{lines, read_lines};
pub use cells::{CellForm, Cells};
pub use content::{content_id, to_json};
pub use digest::{BlockHasher, BlockHashes, FileDigest};
pub use fields::{Field, FieldMap};
pub use header::{Changes, Header, HeaderId};
pub use keys::{Column, Holds, Instead, Keys, UnknownKeys, keys_once};
pub use message::{MESSAGE, fault};
pub use resolve::{list, numbers, texts};
pub use row_schema::{RowKey, RowSchema, RowType};
pub use rows::{Row, Written};
pub use sample::{Input, Kind, Sample};
pub use source::{Derive, Format, Ids, Samples, Source, Step};
pub use start::{has_lines_of_returns, refuse, whole_text};
