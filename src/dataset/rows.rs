//! The rows of a file as they are written, before a case is made of them: what a row schema is held against.
//!
//! Numbers keep their text, and keys their names. A row that cannot be read is left out: whoever reads the cases says so.

use std::borrow::Cow;

use serde_json::Value;

use super::blocks::{lines, read_lines};
use super::csv::Rows;
use super::json::{Array, written};
use super::position::Stream;
use super::source::{Format, Source};
use super::start::text;
use crate::error::{Error, Result};

/// One row.
#[derive(Debug)]
pub struct Row<'a> {
    /// Line on which it starts, from 1.
    pub line: u64,
    /// In file order; keys are different.
    pub values: Vec<(Cow<'a, str>, Written<'a>)>,
}

/// A value as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written<'a> {
    /// JSON.
    Json(&'a str),
    /// A cell of a table, not empty.
    Cell(&'a str),
}

impl Written<'_> {
    /// Whether it is JSON's null: an absent value.
    pub fn is_null(self) -> bool {
        self == Self::Json("null")
    }
}

impl Source {
    /// Shows every row of the whole file to `visit`, whatever the limit: a schema is of the file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn each_row(&self, mut visit: impl FnMut(&Row<'_>)) -> Result<()> {
        let stream = text(Box::new(self.opened()?), &self.path)?;
        let mut object = |line: u64, bytes: &[u8]| {
            if let Some(pairs) = written(bytes) {
                let values = pairs.into_iter().map(|(key, json)| (key, Written::Json(json))).collect();
                visit(&Row { line, values });
            }
        };
        match self.format {
            Format::Jsonl => self.each_line(stream, object),
            Format::Json => {
                let mut array = Array::new(stream, self.path.clone(), self.fields.clone());
                while let Some((line, bytes)) = array.next_written()? {
                    object(line, bytes);
                }
                Ok(())
            }
            Format::Csv | Format::Tsv => {
                for record in Rows::new(stream, self.path.clone(), self.separator).flatten() {
                    let cell = |value: &'_ Value| value.as_str().map(str::to_owned).unwrap_or_default();
                    let cells: Vec<String> = record.pairs.iter().map(|(_, value)| cell(value)).collect();
                    let keys = record.pairs.iter().map(|(key, _)| Cow::Borrowed(&**key));
                    let values = keys.zip(cells.iter().map(|cell| Written::Cell(cell))).collect();
                    visit(&Row { line: record.line, values });
                }
                Ok(())
            }
        }
    }

    fn each_line(&self, mut stream: Stream, mut object: impl FnMut(u64, &[u8])) -> Result<()> {
        let (mut block, mut line) = (Vec::new(), 0);
        loop {
            read_lines(&mut stream, &mut block)
                .map_err(|error| Error::io("read", &self.path, error).at_line(&self.path, line + 1))?;
            if block.is_empty() {
                return Ok(());
            }
            for bytes in lines(&block) {
                line += 1;
                object(line, bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(name: &str, contents: &str) -> Vec<(u64, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, contents).unwrap();
        let mut rows = Vec::new();
        let show = |row: &Row<'_>| {
            let value = |(key, written): &(Cow<'_, str>, Written<'_>)| match written {
                Written::Json(text) => format!("{key}={text}"),
                Written::Cell(text) => format!("{key}~{text}"),
            };
            rows.push((row.line, row.values.iter().map(value).collect::<Vec<_>>().join(" ")));
        };
        Source::file(path).unwrap().each_row(show).unwrap();
        rows
    }

    #[test]
    fn values_come_as_they_are_written() {
        let lines = "{\"id\": 1.10, \"target\": 1e400}\n\nbroken\n{\"a\\u0062\": [1, {\"x\": null}]}";
        let expected = [(1, "id=1.10 target=1e400".to_owned()), (4, "ab=[1, {\"x\": null}]".to_owned())];
        assert_eq!(rows("x.jsonl", lines), expected);
        let array = "[{\"id\": 1.10, \"target\": 1e400},\n3,\n\n {\"b\": \"c\"}]";
        assert_eq!(rows("x.json", array), [(1, "id=1.10 target=1e400".to_owned()), (4, "b=\"c\"".to_owned())]);
        assert_eq!(rows("x.json", "[]"), []);
        assert_eq!(rows("x.csv", "id,b\n1.0,\n\"x\ny\",z\n"), [(2, "id~1.0".into()), (3, "id~x\ny b~z".to_owned())]);
    }
}
