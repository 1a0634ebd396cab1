//! Cases on their way into the record: their lines as they will stand there, and their figures.

use super::sort::Buffer;
use super::{PromptLine, ResultLine, SummaryBuilder, Totals};
use crate::error::{Error, Result};

/// Some cases, settled and written down; any thread can make one, [`super::RunWriter::push`] takes them.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) lines: Buffer,
    pub(super) prompts: Buffer,
    pub(super) summary: SummaryBuilder,
}

impl Batch {
    /// Takes in a case, settled by [`ResultLine::settle`].
    ///
    /// # Errors
    /// A value that is not finite.
    pub fn push(&mut self, mut line: ResultLine) -> Result<()> {
        line.settle()?;
        self.summary.add(&line);
        let failed = |e| Error::internal("failed to write a result line").caused_by(e);
        self.lines.push(line.key(), |bytes| line.write(bytes).map_err(failed))
    }

    /// Takes in what a case was asked.
    ///
    /// # Errors
    /// None but those of running out of bounds.
    pub fn push_prompt(&mut self, prompt: &PromptLine) -> Result<()> {
        let failed = |e| Error::internal("failed to write a prompt").caused_by(e);
        let key = (prompt.dataset.as_str(), prompt.id.as_str(), 0);
        self.prompts.push(key, |bytes| serde_json::to_writer(bytes, prompt).map_err(failed))
    }

    /// How many cases there are.
    pub fn totals(&self) -> Totals {
        self.summary.totals()
    }
}
