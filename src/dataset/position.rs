//! Where we are in a file: a byte reader that counts lines and columns, and the way from byte offsets to both.
//!
//! Lines and columns count from 1, columns in characters.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::limits::too_long;
use crate::error::{Error, Result};

/// What every reader of this module reads from.
pub(super) type Stream = BufReader<Box<dyn Read + Send>>;

/// Line and column, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub line: u64,
    pub column: u64,
}

impl Position {
    /// Start of a line.
    pub fn line(line: u64) -> Self {
        Self { line, column: 1 }
    }

    /// The position after `passed`, which starts here.
    pub fn after(self, passed: &[u8]) -> Self {
        let tail = passed.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let newlines = passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        let columns = tail.iter().filter(|byte| !is_continuation(**byte)).count() as u64;
        let column = if newlines == 0 { self.column + columns } else { 1 + columns };
        Self { line: self.line + newlines, column }
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// The text of `bytes`, which start at `start`, or an error at the first byte that is not UTF-8.
pub(super) fn utf8<'a>(bytes: &'a [u8], path: &Path, start: Position) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = start.after(&bytes[..error.valid_up_to()]);
        Error::input("the text is not valid UTF-8")
            .at_column(path, at.line, at.column)
            .with_hint("save the file as UTF-8")
    })
}

/// Bytes of a file with the position of the next one.
pub(super) struct Bytes {
    stream: Stream,
    path: PathBuf,
    pub position: Position,
    /// Where the case begins that is read, and bytes that it may still have.
    case: (Position, usize),
}

impl Bytes {
    /// The bytes of `stream`, the text of the file `path`.
    pub fn new(stream: Stream, path: PathBuf) -> Self {
        Self { stream, path, position: Position::line(1), case: (Position::line(1), usize::MAX) }
    }

    /// What is not read yet.
    pub fn rest(self) -> Stream {
        self.stream
    }

    /// Begins a case of at most so many bytes.
    pub fn begin(&mut self, most: usize) {
        self.case = (self.position, most);
    }

    /// The next byte without taking it; `None` at the end.
    pub fn peek(&mut self) -> Result<Option<u8>> {
        loop {
            match self.stream.fill_buf() {
                Ok(buffer) => return Ok(buffer.first().copied()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", &self.path, error)),
            }
        }
    }

    /// Takes the next byte.
    pub fn next(&mut self) -> Result<Option<u8>> {
        let Some(byte) = self.peek()? else { return Ok(None) };
        let (start, left) = &mut self.case;
        let Some(less) = left.checked_sub(1) else { return Err(too_long().at_line(&self.path, start.line)) };
        *left = less;
        self.stream.consume(1);
        if byte == b'\n' {
            self.position = Position::line(self.position.line + 1);
        } else if !is_continuation(byte) {
            self.position.column += 1;
        }
        Ok(Some(byte))
    }

    /// Takes white space; gives the byte after it without taking that.
    pub fn skip_space(&mut self) -> Result<Option<u8>> {
        while let Some(byte) = self.peek()? {
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
            self.next()?;
        }
        Ok(None)
    }

    /// An error at the next byte.
    pub fn error(&self, message: impl Into<String>) -> Error {
        Error::input(message).at_column(&self.path, self.position.line, self.position.column)
    }

    /// The file, as the user named it.
    pub fn path(&self) -> &PathBuf {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_characters() {
        let start = Position { line: 3, column: 5 };
        assert_eq!(start.after("äb".as_bytes()), Position { line: 3, column: 7 });
        assert_eq!(start.after("x\n\nä".as_bytes()), Position { line: 5, column: 2 });
    }
}
