//! CSV and TSV datasets (RFC 4180: header, commas or another separator, quotes, line breaks inside quotes), streamed row by
//! row.
//!
//! Written here and not taken from a crate for one reason: a quote that is never closed swallows the rest of the file,
//! and common parsers then report one long last row. Here it is an error at the line that opened it, as is text after a
//! closing quote. An empty cell is an absent field. A table whose header tells that its cells are apart by something else
//! than its name says is an error: with one column nothing of it could be used.

use std::path::PathBuf;

use serde_json::Value;

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
            let fragment = format!("read a row: it has {} cells, the header has {}", cells.len(), header.len());
            let error = Error::input(fragment).at_line(self.bytes.path(), line);
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
            let fragment = format!("read the header: its cells are apart by {words}, not by {}", self.words());
            let error = Error::input(fragment).at_line(self.bytes.path(), line);
            let hint = format!("add `separator: \"{shown}\"` to the dataset, or save the table with {}", self.words());
            return Err(error.with_hint(hint));
        }
        let name =
            |(index, cell): (usize, String)| if cell.is_empty() { format!("column_{}", index + 1) } else { cell };
        let names: Vec<String> = cells.into_iter().enumerate().map(name).collect();
        match names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
            None => Ok(names),
            Some((_, name)) => {
                let fragment = format!("read the header: column `{name}` is given twice");
                Err(Error::input(fragment).at_line(self.bytes.path(), line))
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
                    let error = self.bytes.error("read a row: a carriage return stands in a cell without quotes");
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
                    let error = Error::input("read a row: a quote is never closed");
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
                let error = self.bytes.error("read a row: there is text after a closing quote");
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
