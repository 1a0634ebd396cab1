//! Prompts: a versioned template, a system prompt and few-shot examples turn a case into an [`crate::engine::Prompt`].
//!
//! Chat templates belong to the engine; this module only decides between a conversation and a text.

mod builder;
mod digest;
mod files;
mod finding;
mod front_matter;
mod plain;
mod spec;
mod template;
#[cfg(test)]
mod tests;
mod transcript;

pub use builder::{Builder, lint};
pub use finding::{Finding, Severity};
pub use spec::{Chat, FewShot, PromptSpec, portable};
pub use transcript::transcript;
