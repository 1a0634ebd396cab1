//! Sorting more result lines than fit in memory, by dataset and id.
//!
//! Lines gather in a buffer of bounded size; a full buffer is sorted and spilled to an unnamed temporary file (nothing
//! is left behind by a crash); at the end all spills are merged. Memory is the buffer plus one line per spill.

use std::borrow::Cow;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};

/// Default size of the buffer.
pub(crate) const BUFFER_BYTES: usize = 32 << 20;
/// Spills that are merged at once; more are merged into one, so that the number of open files stays bounded.
const FAN_IN: usize = 64;
/// Memory of a line beside its text.
const SPAN_BYTES: usize = size_of::<Span>();

/// Dataset and id as bytes, which order as their texts do.
pub(super) type Key<'a> = (&'a [u8], &'a [u8]);

/// A line with its key, in one piece of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    /// Dataset, id and line, one behind the other.
    bytes: Vec<u8>,
    dataset: usize,
    id: usize,
}

impl Entry {
    fn key(&self) -> Key<'_> {
        self.bytes[..self.dataset + self.id].split_at(self.dataset)
    }

    /// The line with its line break.
    fn line(&self) -> &[u8] {
        &self.bytes[self.dataset + self.id..]
    }

    fn set(&mut self, (dataset, id): Key<'_>, line: &[u8]) {
        self.bytes.clear();
        [dataset, id, line].into_iter().for_each(|part| self.bytes.extend_from_slice(part));
        (self.dataset, self.id) = (dataset.len(), id.len());
    }
}

/// Writes an id as it is sorted by, behind what there is: repeats follow the first answer, in front of every longer id.
pub(super) fn extend_id(to: &mut Vec<u8>, id: &str, repeat: u32) {
    to.extend_from_slice(id.as_bytes());
    if repeat > 0 {
        to.push(0);
        to.extend_from_slice(&repeat.to_be_bytes());
    }
}

/// The names in a line.
#[derive(Deserialize)]
struct Names<'a> {
    #[serde(borrow)]
    dataset: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(default)]
    repeat: u32,
}

/// Collects lines in any order and gives them back sorted.
pub(crate) struct ExternalSort {
    folder: PathBuf,
    limit: usize,
    buffer: Buffer,
    spills: Vec<File>,
    written: Option<File>,
}

/// Lines one behind the other in one piece of memory, their keys in another: many small ones, taken and given back by
/// several threads, would leave the heap full of holes.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    keys: Vec<u8>,
    lines: Vec<u8>,
    spans: Vec<Span>,
}

/// Where key and line of a case start, and how long they are.
#[derive(Clone, Copy, Debug)]
struct Span {
    key: usize,
    line: usize,
    len: usize,
    dataset: u32,
    id: u32,
}

impl Span {
    fn key(self, keys: &[u8]) -> Key<'_> {
        keys[self.key..][..self.dataset as usize + self.id as usize].split_at(self.dataset as usize)
    }

    fn line(self, lines: &[u8]) -> &[u8] {
        &lines[self.line..][..self.len]
    }
}

impl Buffer {
    /// Takes in a line, which `write` writes without its line break behind what there is.
    ///
    /// # Errors
    /// That of `write`; a name of 4 GiB.
    pub fn push(
        &mut self,
        (dataset, id, repeat): (&str, &str, u32),
        write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let length =
            |len: usize| u32::try_from(len).map_err(|_| Error::internal("failed to sort a case: a name of 4 GiB"));
        let (key, line) = (self.keys.len(), self.lines.len());
        write(&mut self.lines)?;
        self.lines.push(b'\n');
        self.keys.extend_from_slice(dataset.as_bytes());
        let start = self.keys.len();
        extend_id(&mut self.keys, id, repeat);
        let (len, id) = (self.lines.len() - line, self.keys.len() - start);
        self.spans.push(Span { key, line, len, dataset: length(dataset.len())?, id: length(id)? });
        Ok(())
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Takes in the lines of another buffer.
    fn append(&mut self, other: &Self) {
        let (keys, lines) = (self.keys.len(), self.lines.len());
        self.keys.extend_from_slice(&other.keys);
        self.lines.extend_from_slice(&other.lines);
        let moved = |span: &Span| Span { key: span.key + keys, line: span.line + lines, ..*span };
        self.spans.extend(other.spans.iter().map(moved));
    }

    /// The lines in the order in which they came, each with its line break.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// The keys in the order of the lines, or of the last sort.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = Key<'_>> + Clone {
        self.spans.iter().map(|span| span.key(&self.keys))
    }

    /// Key and line, with its line break, of each case in the order in which they came.
    pub fn entries(&self) -> impl Iterator<Item = (Key<'_>, &[u8])> {
        self.spans.iter().map(|span| (span.key(&self.keys), span.line(&self.lines)))
    }

    fn bytes(&self) -> usize {
        self.keys.len() + self.lines.len() + self.spans.len() * SPAN_BYTES
    }

    fn sort(&mut self) {
        let Self { keys, lines: _, spans } = self;
        spans.sort_unstable_by(|a, b| a.key(keys).cmp(&b.key(keys)));
    }

    /// Forgets the lines and keeps the memory.
    fn clear(&mut self) {
        self.keys.clear();
        self.lines.clear();
        self.spans.clear();
    }
}

impl ExternalSort {
    /// A sort whose spills live in `folder` and whose buffer holds about `limit` bytes.
    pub(crate) fn new(folder: &Path, limit: usize) -> Self {
        Self { folder: folder.into(), limit, buffer: Buffer::default(), spills: Vec::new(), written: None }
    }

    /// Takes in lines.
    pub(super) fn push(&mut self, lines: &Buffer) -> Result<()> {
        if self.buffer.spans.is_empty() {
            // At once: growing would copy it again and again. What is not used costs addresses only.
            self.buffer.lines.reserve(self.limit);
        }
        self.buffer.append(lines);
        if self.buffer.bytes() >= self.limit { self.spill() } else { Ok(()) }
    }

    /// Takes in lines that the caller wrote in order, to be merged with the rest. Once at most.
    pub(super) fn add_written(&mut self, lines: File) {
        self.written = Some(lines);
    }

    /// Hands every line, with its line break, to `sink` in order. A key that was pushed twice is an error.
    pub(super) fn finish(mut self, mut sink: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let folder = std::mem::take(&mut self.folder);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.sort();
        let mut sources: Vec<Source> =
            self.spills.drain(..).map(Source::spill).collect::<Result<_, _>>().map_err(io(&folder))?;
        sources.extend(self.written.map(Source::written));
        sources.push(Source::memory(&buffer));
        merge(sources, &folder, |entry| sink(entry.line()))
    }

    /// Empties the buffer into a file of its own.
    fn spill(&mut self) -> Result<()> {
        self.buffer.sort();
        let spilled = self.write(vec![Source::memory(&self.buffer)])?;
        self.buffer.clear();
        self.spills.push(spilled);
        if self.spills.len() >= FAN_IN {
            let sources: Result<Vec<_>, _> = self.spills.drain(..).map(Source::spill).collect();
            let merged = self.write(sources.map_err(io(&self.folder))?)?;
            self.spills.push(merged);
        }
        Ok(())
    }

    fn write(&self, sources: Vec<Source<'_>>) -> Result<File> {
        let file = tempfile::tempfile_in(&self.folder).map_err(io(&self.folder))?;
        let mut writer = BufWriter::with_capacity(1 << 18, file);
        merge(sources, &self.folder, |entry| write_entry(&mut writer, entry).map_err(io(&self.folder)))?;
        writer.into_inner().map_err(|e| io(&self.folder)(e.into_error()))
    }
}

/// Where sorted entries come from.
enum Source<'a> {
    Memory(&'a Buffer, std::slice::Iter<'a, Span>),
    Spill(BufReader<File>),
    /// Lines alone, and room for one.
    Written(BufReader<File>, Vec<u8>),
}

impl<'a> Source<'a> {
    fn memory(sorted: &'a Buffer) -> Self {
        Self::Memory(sorted, sorted.spans.iter())
    }

    fn written(file: File) -> Self {
        Self::Written(BufReader::with_capacity(1 << 16, file), Vec::new())
    }

    fn spill(mut file: File) -> std::io::Result<Self> {
        file.rewind()?;
        Ok(Self::Spill(BufReader::with_capacity(1 << 16, file)))
    }

    /// The next entry, in place of the given one whose memory it takes over; false at the end.
    fn next(&mut self, entry: &mut Entry) -> std::io::Result<bool> {
        match self {
            Self::Memory(buffer, spans) => {
                let next = spans.next().map(|span| entry.set(span.key(&buffer.keys), span.line(&buffer.lines)));
                Ok(next.is_some())
            }
            Self::Spill(reader) => read_entry(reader, entry),
            Self::Written(reader, line) => read_line(reader, line, entry),
        }
    }
}

/// The front entry of a source.
#[derive(PartialEq, Eq)]
struct Front {
    entry: Entry,
    source: usize,
}

impl Ord for Front {
    fn cmp(&self, other: &Self) -> Ordering {
        self.entry.key().cmp(&other.entry.key()).then(self.source.cmp(&other.source))
    }
}

impl PartialOrd for Front {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn merge(mut sources: Vec<Source>, folder: &Path, mut sink: impl FnMut(&Entry) -> Result<()>) -> Result<()> {
    let mut fronts = BinaryHeap::with_capacity(sources.len());
    for (source, entries) in sources.iter_mut().enumerate() {
        let mut entry = Entry::default();
        if entries.next(&mut entry).map_err(io(folder))? {
            fronts.push(Reverse(Front { entry, source }));
        }
    }
    let mut last: Option<Entry> = None;
    while let Some(mut top) = fronts.peek_mut() {
        let Reverse(Front { entry, source }) = &mut *top;
        if last.as_ref().is_some_and(|last| last.key() == entry.key()) {
            let (dataset, id) = entry.key();
            let (dataset, id) = (String::from_utf8_lossy(dataset), String::from_utf8_lossy(id));
            let message = format!("case `{id}` of dataset `{dataset}` was recorded twice");
            return Err(Error::internal(message));
        }
        sink(entry)?;
        // The next of the same source takes its place: it moves down the heap once, by no step where there is one source.
        std::mem::swap(last.get_or_insert_default(), entry);
        if !sources[*source].next(entry).map_err(io(folder))? {
            PeekMut::pop(top);
        }
    }
    Ok(())
}

/// Three lengths, then the bytes.
fn write_entry(writer: &mut impl Write, entry: &Entry) -> std::io::Result<()> {
    for length in [entry.dataset, entry.id, entry.bytes.len()] {
        writer.write_all(&(length as u64).to_le_bytes())?;
    }
    writer.write_all(&entry.bytes)
}

fn read_entry(reader: &mut impl Read, entry: &mut Entry) -> std::io::Result<bool> {
    let mut lengths = [0u8; 24];
    // An end at the border of two entries is the end of the spill; anywhere else it is an error.
    if reader.read(&mut lengths[..1])? == 0 {
        return Ok(false);
    }
    reader.read_exact(&mut lengths[1..])?;
    let length = |at: usize| u64::from_le_bytes(lengths.as_chunks::<8>().0[at]) as usize;
    (entry.dataset, entry.id) = (length(0), length(1));
    entry.bytes.resize(length(2), 0);
    reader.read_exact(&mut entry.bytes)?;
    Ok(true)
}

fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>, entry: &mut Entry) -> std::io::Result<bool> {
    line.clear();
    if reader.read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    let Names { dataset, id, repeat } = serde_json::from_slice(line)?;
    let mut key = Vec::new();
    let id = match repeat {
        0 => id.as_bytes(),
        _ => {
            extend_id(&mut key, &id, repeat);
            &key
        }
    };
    entry.set((dataset.as_bytes(), id), line);
    Ok(true)
}

fn io(folder: &Path) -> impl Fn(std::io::Error) -> Error {
    move |e| Error::io("sort the results in", folder, e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Line = (String, String, String);

    fn sorted(lines: &[Line], limit: usize) -> Result<(Vec<String>, usize)> {
        let folder = tempfile::tempdir().unwrap();
        let mut sort = ExternalSort::new(folder.path(), limit);
        for some in lines.chunks(3) {
            let mut buffer = Buffer::default();
            for (dataset, id, line) in some {
                let write = |bytes: &mut Vec<u8>| {
                    bytes.extend(line.bytes());
                    Ok(())
                };
                buffer.push((dataset, id, 0), write)?;
            }
            sort.push(&buffer)?;
        }
        let spills = sort.spills.len();
        let mut got = Vec::new();
        sort.finish(|line| {
            got.push(std::str::from_utf8(line).unwrap().strip_suffix('\n').unwrap().to_owned());
            Ok(())
        })?;
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "spills have no names");
        Ok((got, spills))
    }

    fn line(dataset: &str, id: &str) -> Line {
        (dataset.into(), id.into(), format!("{{{id}}}"))
    }

    #[test]
    fn many_spills_are_merged_in_two_steps() {
        let lines: Vec<_> = (0..500).map(|i| line("a", &format!("{:03}", i * 7 % 500))).collect();
        let (got, spills) = sorted(&lines, 1).unwrap();
        assert!(spills < FAN_IN);
        assert_eq!(got, (0..500).map(|i| format!("{{{i:03}}}")).collect::<Vec<_>>());
    }

    #[test]
    fn a_case_recorded_twice_is_an_error() {
        let twice = [line("a", "1"), line("a", "2"), line("a", "1")];
        for limit in [1, 1 << 20] {
            let error = sorted(&twice, limit).unwrap_err();
            assert_eq!(error.message(), "case `1` of dataset `a` was recorded twice");
        }
    }

    proptest! {
        #[test]
        fn equals_sorting_in_memory(
            keys in proptest::collection::btree_map(("[a-c]{0,2}", "\\PC{0,6}"), "\\PC{0,40}", 0..200),
            limit in 1usize..4000,
            seed in any::<u64>(),
        ) {
            let mut lines: Vec<Line> = keys.into_iter().map(|((dataset, id), line)| (dataset, id, line)).collect();
            let expected: Vec<String> = lines.iter().map(|(_, _, line)| line.clone()).collect();
            let mut rng = crate::stats::CounterRng::new(seed, 0);
            for i in (1..lines.len()).rev() {
                lines.swap(i, rng.below(i as u64 + 1) as usize);
            }
            prop_assert_eq!(sorted(&lines, limit).unwrap().0, expected);
        }
    }
}
