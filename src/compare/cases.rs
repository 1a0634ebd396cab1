//! Where the cases of a run are read from.

use crate::error::Result;
use crate::record::{ResultLine, RunReader};

/// Cases in order of dataset and id.
pub type CaseLines<'a> = Box<dyn Iterator<Item = Result<ResultLine>> + 'a>;

/// Where cases can be read from, any number of times.
pub trait Cases {
    /// All cases, in order.
    ///
    /// # Errors
    /// A file that cannot be opened.
    fn lines(&self) -> Result<CaseLines<'_>>;
}

impl Cases for RunReader {
    fn lines(&self) -> Result<CaseLines<'_>> {
        Ok(Box::new(Self::lines(self)?))
    }
}

impl Cases for Vec<ResultLine> {
    fn lines(&self) -> Result<CaseLines<'_>> {
        Ok(Box::new(self.iter().cloned().map(Ok)))
    }
}
