//! CSV and TSV datasets (RFC 4180: header, commas or another separator, quotes, line breaks inside quotes), streamed row by
//! row.
//!
//! Written here and not taken from a crate for one reason: a quote that is never closed swallows the rest of the file,
//! and common parsers then report one long last row. Here it is an error at the line that opened it, as is text after a
//! closing quote. An empty cell is an absent field. A table whose header tells that its cells are apart by something else
//! than its name says is an error: with one column nothing of it could be used.

use std::collections::HashSet;
use std::path::PathBuf;

use serde_json::Value;

use super::limits::CASE;
use super::position::{Bytes, Position, Stream, utf8};
use super::resolve::Record;
use crate::error::{Error, Result};

/// The rows of a CSV file.
pub(super) struct Rows {
    bytes: Bytes,
    /// What stands between two cells.
    separator: u8,
    header: Option<Vec<String>>,
    finished: bool,
}

/// What separates cells, in the words of messages.
const SEPARATORS: [(u8, &str); 4] = [(b',', "commas"), (b';', "semicolons"), (b'\t', "tabs"), (b'|', "bars")];

impl Rows {
    pub fn new(stream: Stream, path: PathBuf, separator: u8) -> Self {
        Self { bytes: Bytes::new(stream, path), separator, header: None, finished: false }
    }

    /// What is not read yet.
    pub fn rest(self) -> Stream {
        self.bytes.rest()
    }

    fn advance(&mut self) -> Result<Option<Record<'static>>> {
        if self.header.is_none() {
            let Some((line, cells)) = self.row()? else { return Ok(None) };
            self.header = Some(self.check_header(line, cells)?);
        }
        let Some((line, cells)) = self.row()? else { return Ok(None) };
        let header = self.header.as_deref().unwrap_or_default();
        if cells.len() != header.len() {
            let message = format!("the row has {} cells, the header {}", cells.len(), header.len());
            let error = Error::input(message).at_line(self.bytes.path(), line);
            return Err(error.with_hint(format!("put cells with {} or line breaks in double quotes", self.words())));
        }
        let filled = header.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
        let pairs = filled.map(|(name, cell)| (name.clone().into(), Value::String(cell))).collect();
        Ok(Some(Record { line, pairs, cells: true, numbers: Vec::new() }))
    }

    /// The names of the columns; one without a name, as pandas writes for its index, is called by its number.
    fn check_header(&self, line: u64, cells: Vec<String>) -> Result<Vec<String>> {
        let others = || SEPARATORS.into_iter().filter(|(other, _)| *other != self.separator);
        let meant = |(other, _): &(u8, &str)| cells[0].contains(char::from(*other));
        if let Some((other, words)) = others().find(meant).filter(|_| cells.len() == 1) {
            let shown = char::from(other).escape_default();
            let message = format!("the header's cells are separated by {words}, not by {}", self.words());
            let error = Error::input(message).at_line(self.bytes.path(), line);
            let hint = format!("add `separator: \"{shown}\"` to the dataset, or save the table with {}", self.words());
            return Err(error.with_hint(hint));
        }
        let name =
            |(index, cell): (usize, String)| if cell.is_empty() { format!("column_{}", index + 1) } else { cell };
        let names: Vec<String> = cells.into_iter().enumerate().map(name).collect();
        let mut seen = HashSet::with_capacity(names.len());
        match names.iter().find(|name| !seen.insert(name.as_str())) {
            None => Ok(names),
            Some(name) => {
                let message = format!("column `{name}` is given twice");
                Err(Error::input(message).at_line(self.bytes.path(), line))
            }
        }
    }

    /// What separates cells, in words.
    fn words(&self) -> String {
        let known = SEPARATORS.into_iter().find(|(separator, _)| *separator == self.separator);
        known.map_or_else(|| format!("`{}`", char::from(self.separator)), |(_, words)| words.to_owned())
    }

    /// The next row that is not an empty line, with the line it starts on.
    fn row(&mut self) -> Result<Option<(u64, Vec<String>)>> {
        while matches!(self.bytes.peek()?, Some(b'\n' | b'\r')) {
            self.bytes.next()?;
        }
        if self.bytes.peek()?.is_none() {
            return Ok(None);
        }
        let (line, mut cells) = (self.bytes.position.line, Vec::new());
        self.bytes.begin(CASE);
        loop {
            let start = self.bytes.position;
            let quoted = self.bytes.peek()? == Some(b'"');
            let (cell, more) = if quoted { self.quoted(start)? } else { self.plain()? };
            cells.push(utf8(&cell, self.bytes.path(), start)?.to_owned());
            if !more {
                return Ok(Some((line, cells)));
            }
        }
    }

    /// A cell without quotes, and whether another follows.
    fn plain(&mut self) -> Result<(Vec<u8>, bool)> {
        let mut cell = Vec::new();
        loop {
            match self.bytes.next()? {
                Some(b'\n') | None => {
                    if cell.last() == Some(&b'\r') {
                        cell.pop();
                    }
                    return Ok((cell, false));
                }
                // Some readers end a row here, others don't.
                Some(_) if cell.last() == Some(&b'\r') => {
                    let error = self.bytes.error("the row has a carriage return in a cell without quotes");
                    return Err(error.with_hint("put the cell in double quotes, or end every row with a line feed"));
                }
                Some(byte) if byte == self.separator => return Ok((cell, true)),
                Some(byte) => cell.push(byte),
            }
        }
    }

    /// A cell in quotes, and whether another follows.
    fn quoted(&mut self, start: Position) -> Result<(Vec<u8>, bool)> {
        let mut cell = Vec::new();
        self.bytes.next()?;
        loop {
            match self.bytes.next()? {
                Some(b'"') if self.bytes.peek()? == Some(b'"') => {
                    self.bytes.next()?;
                    cell.push(b'"');
                }
                Some(b'"') => break,
                Some(byte) => cell.push(byte),
                None => {
                    let error = Error::input("the row has a quote that is never closed");
                    return Err(error.at_column(self.bytes.path(), start.line, start.column));
                }
            }
        }
        if self.bytes.peek()? == Some(b'\r') {
            self.bytes.next()?;
        }
        match self.bytes.peek()? {
            Some(byte) if byte == self.separator => {
                self.bytes.next()?;
                Ok((cell, true))
            }
            Some(b'\n') => {
                self.bytes.next()?;
                Ok((cell, false))
            }
            None => Ok((cell, false)),
            Some(_) => {
                let error = self.bytes.error("the row has text after a closing quote");
                Err(error.with_hint("write a quote inside a quoted cell twice"))
            }
        }
    }
}

impl Iterator for Rows {
    type Item = Result<Record<'static>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.finished {
            return None;
        }
        let result = self.advance();
        // Past a broken quote or header nothing can be trusted.
        self.finished = !matches!(result, Ok(Some(_)));
        result.transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn rows(text: String) -> Rows {
        Rows::new(BufReader::new(Box::new(std::io::Cursor::new(text))), "table.csv".into(), b',')
    }

    /// Names that are compared each with each would take minutes here.
    #[test]
    fn a_table_of_many_columns_is_read_in_one_go() {
        let columns: Vec<String> = (0..200_000).map(|n| format!("the column of number {n}")).collect();
        let cells = vec!["x"; columns.len()].join(",");
        let mut table = rows(format!("{}\n{cells}\n", columns.join(",")));
        assert_eq!(table.next().unwrap().unwrap().pairs.len(), columns.len());
        let mut twice = rows(format!("{},{}\n", columns.join(","), columns[7]));
        assert!(twice.next().unwrap().err().unwrap().message().contains("`the column of number 7` is given twice"));
    }

    #[test]
    fn a_row_that_does_not_end_is_an_error_at_its_start() {
        let mut table = rows(format!("id,input\n1,ok\n2,\"{}", "x\n".repeat(CASE / 2)));
        assert!(table.next().unwrap().is_ok());
        let error = table.next().unwrap().err().unwrap();
        assert!(error.message().contains("more than 67108864 bytes"), "{error}");
        assert_eq!(error.location().and_then(|place| place.line), Some(3));
    }
}
