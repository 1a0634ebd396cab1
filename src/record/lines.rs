//! Reading `results.jsonl` line by line.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use super::{ResultLine, packed};
use crate::error::{Error, Result};

/// The cases of a run in order. Each line is parsed, held against the sort order (pairing relies on it) and its
/// `passed` against its scores (gates rely on that). After the first error the iterator ends.
pub struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    buffer: Vec<u8>,
    number: u64,
    last: Option<(String, String, u32)>,
    done: bool,
}

impl Lines {
    /// Opens a result file, or what it is compressed to.
    pub fn open(path: &Path) -> Result<Self> {
        let reader = packed::open(path)?;
        Ok(Self { path: path.into(), reader, buffer: Vec::new(), number: 0, last: None, done: false })
    }

    fn read(&mut self) -> Result<Option<ResultLine>> {
        self.buffer.clear();
        let read = self.reader.read_until(b'\n', &mut self.buffer);
        if read.map_err(|e| Error::io("read", &self.path, e))? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let line: ResultLine = serde_json::from_slice(&self.buffer).map_err(|e| {
            let column = (e.column() as u64).max(1);
            Error::input("failed to read a result line").at_column(&self.path, self.number, column).caused_by(e)
        })?;
        if self.buffer.last() != Some(&b'\n') {
            return Err(self.wrong("the last line has no line break", "the file was cut off"));
        }
        if let Some((dataset, id, repeat)) = &self.last
            && (dataset.as_str(), id.as_str(), *repeat) >= line.key()
        {
            let message = format!("the results are not sorted: case `{}` of `{}` stands here", line.id, line.dataset);
            return Err(self.wrong(&message, "lines are sorted by dataset and id, each case once"));
        }
        if line.passed != line.earned() {
            let message = format!("`passed` of case `{}` contradicts its scores and error", line.id);
            return Err(self.wrong(&message, "the file was changed by hand; repeat the run"));
        }
        self.last = Some((line.dataset.clone(), line.id.clone(), line.repeat));
        Ok(Some(line))
    }

    fn wrong(&self, message: &str, hint: &str) -> Error {
        Error::input(message).at_line(&self.path, self.number).with_hint(hint)
    }
}

impl Iterator for Lines {
    type Item = Result<ResultLine>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.read().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::line::tests::line;

    fn read(text: &str) -> Result<Vec<ResultLine>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let result: Result<Vec<_>> = Lines::open(file.path()).unwrap().collect();
        result.map_err(|e| {
            let at = e.location().unwrap();
            Error::input(format!("{}:{}: {}", at.line.unwrap(), at.column.unwrap_or(0), e.message()))
        })
    }

    fn json(line: &ResultLine) -> String {
        serde_json::to_string(line).unwrap()
    }

    #[test]
    fn reads_what_was_written() {
        let lines = [line("a", "1", true), line("a", "10", false), line("b", "1", true)];
        let text: String = lines.iter().map(|line| json(line) + "\n").collect();
        assert_eq!(read(&text).unwrap(), lines);
        assert_eq!(read("").unwrap(), []);
    }

    #[test]
    fn bad_lines_say_where() {
        let json = |id, passed| json(&line("a", id, passed));
        let fails = |text: String| read(&text).unwrap_err().to_string();
        let good = json("1", true);
        assert_eq!(fails(format!("{good}\n{{\n")), "2:1: failed to read a result line");
        assert_eq!(fails(format!("{good}\n{good}\n")), "2:0: the results are not sorted: case `1` of `a` stands here");
        assert_eq!(fails(good.clone()), "1:0: the last line has no line break");
        let lie = good.replace(r#"{"passed":true"#, r#"{"passed":false"#);
        assert!(fails(format!("{lie}\n")).starts_with("1:0: `passed` of case `1` contradicts"));
        assert!(fails(format!("{}\n", good.replace("finish", "finnish"))).starts_with("1:"));
        assert!(fails(format!("{good}\n\n")).starts_with("2:1: failed to read"));
    }
}
