//! What the journal keeps of single cases while a run is unfinished.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::record::{Journal, Key, Work};

/// What the journal of the interrupted run knows of a case.
pub(super) enum Known<T> {
    Nothing,
    /// Its answer, of the kind that its dataset asks for.
    Answer(Box<T>),
    /// All that is recorded of it.
    Line,
}

/// What it knows of a case; nothing where there is no journal.
pub(super) fn known<T: DeserializeOwned>(journal: Option<&Journal>, case: (&str, &str, u32)) -> Result<Known<T>> {
    let Some(journal) = journal else { return Ok(Known::Nothing) };
    if journal.knows(&Key::of_case(Work::Line, case)) {
        return Ok(Known::Line);
    }
    let Some(bytes) = journal.find(&Key::of_case(Work::Answer, case))? else { return Ok(Known::Nothing) };
    let answer = serde_json::from_slice(&bytes);
    answer.map(Known::Answer).map_err(|e| Error::internal("failed to read an answer in the journal").caused_by(e))
}

/// Puts the answer to a case into the journal.
pub(super) fn keep(journal: &Journal, case: (&str, &str, u32), answer: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec(answer).map_err(|e| Error::internal("failed to write the journal").caused_by(e))?;
    journal.put(Work::Answer, &Key::of_case(Work::Answer, case), &bytes).map(drop)
}
