//! The driver: streams cases through prompt, engine and scorers into a record, and tells what happens as [`Event`]s.
//!
//! ```text
//! datasets ─> prompts ─> generator (or recorded answers) ─> chunks ─> needs ─> embedder, classifier ─> scores ─> RunWriter
//! └ a thread of the engine ┘ └ the caller's thread ──────┘  └ the scoring thread, its work spread over rayon ─┘ └ its own ┘
//! ```
//!
//! [`check`] looks at everything that can be looked at before a model loads; [`execute`] loads what is needed and runs. The
//! channels between the threads are bounded, and nothing ever waits for a channel inside the thread pool, so that one
//! thread suffices for everything. How answers are cut into chunks depends on timing; nothing that is recorded does.
//!
//! A case whose prompt cannot be built, that the engine refuses, or that a scorer cannot judge is recorded with its error
//! and never passes. Nothing here prints, compares or judges.

mod cache;
mod cases;
mod check;
mod driver;
mod encoders;
mod event;
mod generated;
mod journalled;
mod known;
mod manifest;
mod meter;
mod models;
mod outbox;
mod pages;
mod probe;
mod recorded;
mod recorded_keys;
mod recorded_line;
mod scored;
mod scoring;
mod settle;

#[cfg(test)]
mod tests;

pub use check::{Answers, Checked, check};
pub use driver::{Finished, Job, execute};
pub use event::{Event, Phase, Watch};
pub use models::ModelFolders;
pub use recorded::Recorded;
