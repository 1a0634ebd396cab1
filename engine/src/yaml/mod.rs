//! YAML that knows where everything was written, and serde over it: what suites and registry entries are read with.
//!
//! A text becomes a tree of [`Node`]s with places, and [`read`] makes any serde type of the tree. Every error names line
//! and column and, for an unknown key or name, the nearest known one. What the keys mean is the caller's business.

mod node;
mod reader;

pub use node::{Content, Entry, Node, Origin};
pub use reader::read;
