//! Prompts: a versioned template, a system prompt and few-shot examples turn a case into an [`crate::engine::Prompt`].
//!
//! Chat templates belong to the engine; this module only decides between a conversation and a text.

mod builder;
mod digest;
mod files;
mod finding;
mod front_matter;
mod layout;
mod made;
mod plain;
mod python_random;
mod question;
mod shots;
mod spec;
mod template;
#[cfg(test)]
mod tests;
mod transcript;
mod value_template;

pub use builder::{Builder, Purpose, lint};
pub use finding::{Finding, Severity};
pub use question::Question;
pub use shots::same_file;
pub use spec::{Chat, Choices, Draw, FewShot, Join, PromptSpec, RequestKind, portable};
pub use transcript::transcript;
