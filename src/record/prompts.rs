//! What was asked: `prompts.jsonl`, a line per case, sorted by dataset and id.
//!
//! Prompts of one suite begin alike (system prompt, examples, the head of a template), so a line holds how many bytes it
//! shares with the prompt of the line before, and the rest: front coding (I. H. Witten, A. Moffat and T. C. Bell, "Managing
//! Gigabytes", 1999). Repeats of a case were asked the same and have one line.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::packed;
use crate::error::{Error, Result};

/// The prompt of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptLine {
    /// Dataset name.
    pub dataset: String,
    /// Case id.
    pub id: String,
    /// The prompt as the suite builds it, before any chat template: text, or a conversation's turns one behind the other.
    pub prompt: String,
}

/// The same as the file holds it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Coded {
    dataset: String,
    id: String,
    /// Bytes shared with the prompt before.
    shared: usize,
    rest: String,
}

/// Leaves out what a prompt shares with the one before.
#[derive(Default)]
pub(super) struct FrontCoder {
    last: String,
}

impl FrontCoder {
    /// A line, with its line break, from one of a [`PromptLine`]; appended to `to`.
    pub fn code(&mut self, line: &[u8], to: &mut Vec<u8>) -> Result<()> {
        let failed = |e| Error::internal("failed to write a prompt").caused_by(e);
        let PromptLine { dataset, id, prompt } = serde_json::from_slice(line).map_err(failed)?;
        let mut shared = self.last.bytes().zip(prompt.bytes()).take_while(|(one, two)| one == two).count();
        while !prompt.is_char_boundary(shared) {
            shared -= 1;
        }
        let coded = Coded { dataset, id, shared, rest: prompt[shared..].to_owned() };
        serde_json::to_writer(&mut *to, &coded).map_err(failed)?;
        to.push(b'\n');
        self.last = prompt;
        Ok(())
    }
}

/// The prompts of a run in order. After the first error the iterator ends.
pub struct Prompts {
    path: PathBuf,
    reader: Box<dyn BufRead + Send>,
    number: u64,
    last: String,
    done: bool,
}

impl Prompts {
    /// Opens a file of prompts.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self::new(path, packed::open(path)?))
    }

    fn new(path: &Path, reader: Box<dyn BufRead + Send>) -> Self {
        Self { path: path.into(), reader, number: 0, last: String::new(), done: false }
    }

    fn read(&mut self) -> Result<Option<PromptLine>> {
        let mut line = Vec::new();
        self.reader.read_until(b'\n', &mut line).map_err(|e| Error::io("read", &self.path, e))?;
        if line.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let coded = serde_json::from_slice(&line).map_err(|e| {
            let column = (e.column() as u64).max(1);
            Error::input("failed to read a prompt").at_column(&self.path, self.number, column).caused_by(e)
        })?;
        let Coded { dataset, id, shared, rest } = coded;
        let Some(head) = self.last.get(..shared) else {
            let message = format!("the prompt of case `{id}` shares more than the one before it has");
            return Err(Error::input(message)
                .at_line(&self.path, self.number)
                .with_hint("the file was changed by hand"));
        };
        let prompt = head.to_owned() + &rest;
        self.last.clone_from(&prompt);
        Ok(Some(PromptLine { dataset, id, prompt }))
    }
}

impl Iterator for Prompts {
    type Item = Result<PromptLine>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.read().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Looks prompts up for cases that come in order.
pub struct PromptCursor {
    prompts: Option<std::iter::Peekable<Prompts>>,
}

impl PromptCursor {
    /// Over these prompts; a run that kept none has none for any case.
    pub fn new(prompts: Option<Prompts>) -> Self {
        Self { prompts: prompts.map(Iterator::peekable) }
    }

    /// The prompt of a case, which must not come before one that was looked up earlier; the same case may come again.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn find(&mut self, (dataset, id): (&str, &str)) -> Result<Option<String>> {
        let Some(prompts) = &mut self.prompts else { return Ok(None) };
        let before = |line: &Result<PromptLine>| match line {
            Ok(line) => (line.dataset.as_str(), line.id.as_str()) < (dataset, id),
            Err(_) => false,
        };
        while prompts.next_if(before).is_some() {}
        match prompts.peek() {
            Some(Ok(line)) if (line.dataset.as_str(), line.id.as_str()) == (dataset, id) => {
                Ok(Some(line.prompt.clone()))
            }
            Some(Err(_)) => prompts.next().transpose().map(|_| None),
            Some(Ok(_)) | None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn coded(lines: &[PromptLine]) -> Vec<u8> {
        let (mut coder, mut bytes) = (FrontCoder::default(), Vec::new());
        for line in lines {
            coder.code(&serde_json::to_vec(line).unwrap(), &mut bytes).unwrap();
        }
        bytes
    }

    fn read(bytes: Vec<u8>) -> Prompts {
        Prompts::new(Path::new("p.jsonl"), Box::new(std::io::Cursor::new(bytes)))
    }

    fn line(id: &str, prompt: &str) -> PromptLine {
        PromptLine { dataset: "a".into(), id: id.into(), prompt: prompt.into() }
    }

    #[test]
    fn a_common_head_is_written_once() {
        let lines = [line("1", "Be kind: ä"), line("2", "Be kind: ö"), line("3", "")];
        let text = String::from_utf8(coded(&lines)).unwrap();
        let expected = "{\"dataset\":\"a\",\"id\":\"1\",\"shared\":0,\"rest\":\"Be kind: ä\"}\n\
                        {\"dataset\":\"a\",\"id\":\"2\",\"shared\":9,\"rest\":\"ö\"}\n\
                        {\"dataset\":\"a\",\"id\":\"3\",\"shared\":0,\"rest\":\"\"}\n";
        assert_eq!(text, expected);
        let broken = text.replace("\"shared\":9", "\"shared\":10");
        let error = read(broken.into_bytes()).find_map(Result::err).unwrap();
        assert_eq!(error.location().unwrap().line, Some(2));
        assert!(read(b"{}\n".to_vec()).next().unwrap().is_err());
    }

    #[test]
    fn a_cursor_goes_forward() {
        let lines: Vec<_> = ["1", "3", "5"].map(|id| line(id, id)).into();
        let mut cursor = PromptCursor::new(Some(read(coded(&lines))));
        let mut find = |id| cursor.find(("a", id)).unwrap();
        assert_eq!(find("0"), None);
        assert_eq!(find("3").as_deref(), Some("3"));
        assert_eq!(find("3").as_deref(), Some("3"), "a repeat");
        assert_eq!(find("4"), None);
        assert_eq!(find("5").as_deref(), Some("5"));
        assert_eq!(find("6"), None);
        assert_eq!(PromptCursor::new(None).find(("a", "1")).unwrap(), None);
        assert!(PromptCursor::new(Some(read(b"x\n".to_vec()))).find(("a", "1")).is_err());
    }

    proptest! {
        #[test]
        fn what_was_coded_is_read(prompts in proptest::collection::vec("[aä]{0,3}[aäöb\n]{0,6}", 0..20)) {
            let lines: Vec<_> = prompts.iter().enumerate().map(|(at, prompt)| line(&format!("{at:02}"), prompt)).collect();
            let got: Result<Vec<_>> = read(coded(&lines)).collect();
            prop_assert_eq!(got.unwrap(), lines);
        }
    }
}
