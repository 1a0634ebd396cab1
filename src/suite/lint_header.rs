//! The rows of a dataset, held against the schema of its header.

use crate::dataset::{Header, Source};
use crate::error::Result;
use crate::prompt::Finding;

/// Reports every row that does not fit the schema, as an error, and every one with keys that it does not have, as a warning.
///
/// # Errors
/// The file cannot be read.
pub(super) fn rows(header: &Header, source: &Source, mut report: impl FnMut(Finding)) -> Result<()> {
    let Some(schema) = &header.schema else { return Ok(()) };
    let hint = || format!("the rows' keys stand under `schema` in {}", header.path.display());
    source.each_row(|row| {
        if let Some((first, more)) = schema.faults(row).split_first() {
            let more = match more.len() {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            let finding = Finding::error(format!("the row does not fit the schema: {first}{more}"));
            report(finding.at(&source.path, Some(row.line)).with_hint(hint()));
        }
        if let Some((keys, meant)) = schema.unknown(row) {
            let finding = Finding::warning(format!("the row has keys that the schema does not know: {keys}"));
            report(finding.at(&source.path, Some(row.line)).with_hint(meant.unwrap_or_else(hint)));
        }
    })
}
