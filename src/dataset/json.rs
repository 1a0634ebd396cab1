//! JSON datasets: one object per line, or one array of objects, each streamed object by object.
//!
//! Lines are read ahead in blocks that are parsed on all threads, and come in the order of the file. The array is split by
//! a scanner that only knows strings and brackets; what lies between is left to serde_json, so that memory holds one
//! object, whatever the file's size. A key given twice, at any depth of a case, is an error, where JSON parsers silently keep
//! the last.
//! Numbers among targets and choices keep their text: no float comes between `12345678901234567890123`, `1.10` or `1e400` and the
//! answers they are compared with.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rayon::prelude::*;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::blocks::{lines, read_lines};
use super::fields::{Field, FieldMap};
use super::keys::{Seen, distinct};
use super::limits::CASE;
use super::position::{Bytes, Position, Stream, utf8};
use super::resolve::{Record, resolve};
use super::sample::Sample;
use crate::error::{Error, Result};

/// The cases of objects, one per line; lines of white space are skipped, and after a bad line the next one is read.
///
/// A thread of its own reads ahead, so that whoever takes the cases works beside it.
pub(super) struct Lines {
    /// Blocks of lines; an empty one is the end.
    blocks: Receiver<Block>,
    /// What is left of a block.
    cases: std::vec::IntoIter<Option<Result<Sample>>>,
    finished: bool,
    /// The thread; gives the stream back.
    reader: JoinHandle<Stream>,
}

/// The case of every line; none on one of white space.
type Block = Vec<Option<Result<Sample>>>;

/// Blocks that wait.
const AHEAD: usize = 1;
/// Fewer lines are not worth another thread.
const FEWEST: usize = 32;

impl Lines {
    pub fn new(stream: Stream, path: PathBuf, fields: FieldMap) -> Self {
        let (sender, blocks) = sync_channel(AHEAD);
        let reader = std::thread::spawn(move || read_ahead(stream, &path, &fields, &sender));
        Self { blocks, cases: Block::new().into_iter(), finished: false, reader }
    }

    /// What is not read yet.
    pub fn rest(self) -> Result<Stream> {
        // The thread stops where nobody takes what it has read.
        drop(self.blocks);
        self.reader.join().map_err(|_| Error::internal("failed to read the cases: the thread panicked"))
    }
}

impl Iterator for Lines {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let next = self.cases.find_map(|case| case);
            if next.is_some() || self.finished {
                return next;
            }
            let Ok(block) = self.blocks.recv() else {
                self.finished = true;
                return Some(Err(Error::internal("failed to read the cases: the thread panicked")));
            };
            self.finished = block.is_empty();
            self.cases = block.into_iter();
        }
    }
}

/// Sends the cases of a file, block by block, until nobody takes them any more; gives back what is not read.
fn read_ahead(mut stream: Stream, path: &Path, fields: &FieldMap, sender: &SyncSender<Block>) -> Stream {
    let (mut block, mut before, mut finished) = (Vec::new(), 0, false);
    while !finished {
        let read = read_lines(&mut stream, &mut block);
        finished = read.is_err() || block.is_empty();
        let lines = lines(&block);
        let case = |(index, line): (usize, &&[u8])| {
            let position = Position::line(before + 1 + index as u64);
            let blank = line.iter().all(u8::is_ascii_whitespace);
            (!blank).then(|| parse(line, fields, path, position).and_then(|record| resolve(record, fields, path)))
        };
        let mut cases: Block = lines.par_iter().with_min_len(FEWEST).enumerate().map(case).collect();
        before += lines.len() as u64;
        if let Err(error) = read {
            cases.push(Some(Err(Error::io("read", path, error).at_line(path, before + 1))));
        }
        if !cases.is_empty() && sender.send(cases).is_err() {
            return stream;
        }
    }
    // Who no longer takes cases needs no end either.
    let _ = sender.send(Vec::new());
    stream
}

/// The objects of one JSON array.
pub(super) struct Array {
    bytes: Bytes,
    fields: FieldMap,
    state: State,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the opening bracket.
    Start,
    /// After the opening bracket.
    First,
    /// After a comma.
    Next,
    /// After the closing bracket or an error.
    End,
}

impl Array {
    pub fn new(stream: Stream, path: PathBuf, fields: FieldMap) -> Self {
        Self { bytes: Bytes::new(stream, path), fields, state: State::Start, buffer: Vec::new() }
    }

    /// What is not read yet.
    pub fn rest(self) -> Stream {
        self.bytes.rest()
    }

    fn advance(&mut self) -> Result<Option<Record<'static>>> {
        let Some((start, closed)) = self.take()? else { return Ok(None) };
        let Record { line, pairs, cells, numbers } = parse(&self.buffer, &self.fields, self.bytes.path(), start)?;
        // The buffer is for the next element.
        let pairs = pairs.into_iter().map(|(key, value)| (key.into_owned().into(), value)).collect();
        self.state = State::Next;
        if closed {
            self.close()?;
        }
        Ok(Some(Record { line, pairs, cells, numbers }))
    }

    /// The next element as it is written, and its line; what stands behind the array is not looked at.
    pub fn next_written(&mut self) -> Result<Option<(u64, &[u8])>> {
        if self.state == State::End {
            return Ok(None);
        }
        let Some((start, closed)) = self.take()? else { return Ok(None) };
        self.state = if closed { State::End } else { State::Next };
        Ok(Some((start.line, &self.buffer)))
    }

    /// Takes the next element into the buffer: where it starts, and whether it is the last. None at the end.
    fn take(&mut self) -> Result<Option<(Position, bool)>> {
        if self.state == State::Start {
            match self.bytes.skip_space()? {
                None => return Ok(None),
                Some(b'[') => self.bytes.next()?,
                Some(_) => {
                    let error = self.bytes.error("the array does not begin with `[`");
                    return Err(error.with_hint("a file of one object per line is named .jsonl"));
                }
            };
            self.state = State::First;
        }
        self.bytes.begin(usize::MAX);
        match self.bytes.skip_space()? {
            None => return Err(self.bytes.error("the file ends before the array's `]`")),
            Some(b']') if self.state == State::First => {
                self.bytes.next()?;
                self.close()?;
                return Ok(None);
            }
            Some(_) => {}
        }
        let start = self.bytes.position;
        Ok(Some((start, self.element()?)))
    }

    /// Takes one element into the buffer, and the comma or bracket after it; tells whether that was the bracket.
    fn element(&mut self) -> Result<bool> {
        self.buffer.clear();
        self.bytes.begin(CASE);
        let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
        while let Some(byte) = self.bytes.peek()? {
            let ends = !in_string && depth == 0 && matches!(byte, b',' | b']');
            self.bytes.next()?;
            if ends {
                return Ok(byte == b']');
            }
            self.buffer.push(byte);
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                b'{' | b'[' if !in_string => depth += 1,
                b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        Err(self.bytes.error("the file ends before the array's `]`"))
    }

    fn close(&mut self) -> Result<()> {
        self.state = State::End;
        self.bytes.begin(usize::MAX);
        match self.bytes.skip_space()? {
            None => Ok(()),
            Some(_) => Err(self.bytes.error("there is more after the array's `]`")),
        }
    }
}

impl Iterator for Array {
    type Item = Result<Record<'static>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::End {
            return None;
        }
        let result = self.advance();
        if !matches!(result, Ok(Some(_))) {
            self.state = State::End;
        }
        result.transpose()
    }
}

/// The object in `bytes`, which start at `start`.
fn parse<'a>(bytes: &'a [u8], fields: &FieldMap, path: &Path, start: Position) -> Result<Record<'a>> {
    let text = utf8(bytes, path, start)?;
    let failed = |error| describe(&error, bytes, path, start);
    let pairs = match serde_json::from_str(text) {
        Ok(Pairs(pairs)) if pairs.iter().any(|(key, value)| keeps_text(fields, key) && has_float(value)) => {
            as_written(text, fields)
        }
        Ok(Pairs(pairs)) => Ok((pairs, Vec::new())),
        // A number that no float holds is none of the others' business.
        Err(error) => as_written(text, fields).map_err(|_| error),
    };
    let (pairs, numbers) = pairs.map_err(failed)?;
    // Most cases have no object in them, and no key below their own.
    if bytes.iter().filter(|byte| **byte == b'{').nth(1).is_some() {
        // A number that no float holds ends this look, and is no mistake.
        distinct(text).or_else(|error| if error.is_data() { Err(failed(error)) } else { Ok(()) })?;
    }
    Ok(Record { line: start.line, pairs, cells: false, numbers })
}

/// The keys of the object in `bytes`, each with the JSON behind it as it is written; none where no case is made of it.
pub(super) fn written(bytes: &[u8]) -> Option<Vec<(Cow<'_, str>, &str)>> {
    let Pairs::<'_, &RawValue>(pairs) = serde_json::from_str(std::str::from_utf8(bytes).ok()?).ok()?;
    Some(pairs.into_iter().map(|(key, raw)| (key, raw.get())).collect())
}

/// Whether numbers of this key are text to karat.
fn keeps_text(fields: &FieldMap, key: &str) -> bool {
    matches!(fields.field(key), Some(Field::Target | Field::Choices))
}

/// Whether a value is or lists a number that is not kept digit by digit.
fn has_float(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(Value::is_f64),
        _ => false,
    }
}

/// Keys and values, and which of the targets are numbers.
type Written<'a> = (Vec<(Cow<'a, str>, Value)>, Vec<usize>);

/// The object in `text` with the numbers among its targets and choices as texts of what is written.
fn as_written<'a>(text: &'a str, fields: &FieldMap) -> serde_json::Result<Written<'a>> {
    let Pairs::<'a, &RawValue>(pairs) = serde_json::from_str(text)?;
    let mut numbers = Vec::new();
    let value = |key: &str, raw: &RawValue| match raw.get() {
        number if keeps_text(fields, key) && is_number(number) => Ok(Value::String(number.to_owned())),
        list if keeps_text(fields, key) && list.starts_with('[') => {
            let items: Vec<&RawValue> = serde_json::from_str(list)?;
            let item = |item: &RawValue| match item.get() {
                number if is_number(number) => Ok(Value::String(number.to_owned())),
                other => serde_json::from_str(other),
            };
            items.into_iter().map(item).collect::<serde_json::Result<_>>().map(Value::Array)
        }
        other => serde_json::from_str(other),
    };
    let targets = pairs.iter().filter(|(key, _)| fields.field(key) == Some(Field::Target));
    for (_, raw) in targets {
        let items: Vec<&RawValue> = match raw.get() {
            list if list.starts_with('[') => serde_json::from_str(list)?,
            _ => vec![raw],
        };
        let written = items.iter().enumerate().filter(|(_, item)| is_number(item.get()));
        numbers.extend(written.map(|(index, _)| index));
    }
    let pairs: serde_json::Result<_> =
        pairs.into_iter().map(|(key, raw)| value(&key, raw).map(|value| (key, value))).collect();
    Ok((pairs?, numbers))
}

fn is_number(json: &str) -> bool {
    json.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

fn describe(error: &serde_json::Error, bytes: &[u8], path: &Path, start: Position) -> Error {
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    let offset = lines.map(<[u8]>::len).sum::<usize>() + error.column().saturating_sub(1);
    let at = start.after(&bytes[..offset.min(bytes.len())]);
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let message = match error.classify() {
        serde_json::error::Category::Data => format!("the case is not valid: {message}"),
        _ => format!("the JSON is not valid: {message}"),
    };
    Error::input(message).at_column(path, at.line, at.column)
}

/// A JSON object in file order, its keys known to be different.
struct Pairs<'a, V>(Vec<(Cow<'a, str>, V)>);

/// A key, not copied where the text has it without escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<'de, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for PairsVisitor<V> {
            type Value = Pairs<'de, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut pairs, mut seen): (Vec<(Cow<'de, str>, V)>, _) = (Vec::new(), Seen::default());
                while let Some(Key(key)) = map.next_key()? {
                    if !seen.note(key.clone()) {
                        return Err(serde::de::Error::custom(format!("key `{key}` is given twice")));
                    }
                    pairs.push((key, map.next_value()?));
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}
