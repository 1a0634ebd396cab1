//! Sorting more result lines than fit in memory, by dataset and id.
//!
//! Lines gather in a buffer of bounded size; a full buffer is sorted and taken by the caller or spilled to an unnamed
//! temporary file (nothing is left behind by a crash); at the end all spills are merged. Memory is the buffer plus one line
//! per spill.

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
/// Memory of an entry beside its text.
const SPAN_BYTES: usize = size_of::<Span>();

/// A line with its key, in one piece of text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Dataset, id and line, one behind the other.
    text: String,
    dataset: usize,
    id: usize,
}

impl Entry {
    /// A line; `json` writes it behind what there is, and `room` is about how long it gets.
    pub(crate) fn new(
        (dataset, id): (&str, &str),
        room: usize,
        json: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<Self> {
        let mut text = Vec::with_capacity(dataset.len() + id.len() + room);
        text.extend_from_slice(dataset.as_bytes());
        text.extend_from_slice(id.as_bytes());
        json(&mut text)?;
        let text = String::from_utf8(text).map_err(|e| Error::internal("write a line").caused_by(e))?;
        Ok(Self { text, dataset: dataset.len(), id: id.len() })
    }

    fn slice(&self) -> Slice<'_> {
        Slice { text: &self.text, dataset: self.dataset, id: self.id }
    }

    fn key(&self) -> (&str, &str) {
        self.slice().key()
    }

    /// The line.
    pub(crate) fn json(&self) -> &str {
        self.slice().json()
    }

    fn copy(&mut self, slice: Slice<'_>) {
        self.text.clear();
        self.text.push_str(slice.text);
        (self.dataset, self.id) = (slice.dataset, slice.id);
    }
}

/// The names in a line.
#[derive(Deserialize)]
struct Names<'a> {
    #[serde(borrow)]
    dataset: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
}

/// Collects lines in any order and gives them back sorted.
pub(crate) struct ExternalSort {
    folder: PathBuf,
    limit: usize,
    buffer: Buffer,
    spills: Vec<File>,
    written: Option<File>,
}

/// Entries one behind the other in one piece of memory: many small ones, taken and given back by several threads, would
/// leave the heap full of holes.
#[derive(Default)]
struct Buffer {
    text: String,
    spans: Vec<Span>,
}

/// Where an entry lies: its start, the lengths of its names, and its own.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    dataset: u32,
    id: u32,
    len: usize,
}

impl Buffer {
    fn bytes(&self) -> usize {
        self.text.len() + self.spans.len() * SPAN_BYTES
    }

    fn push(&mut self, entry: &Entry) -> Result<()> {
        let length = |bytes: usize| u32::try_from(bytes).map_err(|_| Error::internal("sort a case: a name of 4 GiB"));
        let (dataset, id) = (length(entry.dataset)?, length(entry.id)?);
        self.spans.push(Span { start: self.text.len(), dataset, id, len: entry.text.len() });
        self.text.push_str(&entry.text);
        Ok(())
    }

    /// Brings the entries in order.
    fn sort(&mut self) {
        let Self { text, spans } = self;
        spans.sort_unstable_by(|a, b| a.of(text).key().cmp(&b.of(text).key()));
    }

    /// Forgets the entries and keeps the memory.
    fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
    }

    fn entries(&self) -> Sorted<'_> {
        Sorted { text: &self.text, spans: self.spans.iter() }
    }
}

impl Span {
    fn of(self, text: &str) -> Slice<'_> {
        let text = &text[self.start..self.start + self.len];
        Slice { text, dataset: self.dataset as usize, id: self.id as usize }
    }
}

/// An entry in a buffer.
#[derive(Clone, Copy)]
pub(super) struct Slice<'a> {
    text: &'a str,
    dataset: usize,
    id: usize,
}

impl<'a> Slice<'a> {
    /// Dataset and id.
    pub fn key(self) -> (&'a str, &'a str) {
        self.text[..self.dataset + self.id].split_at(self.dataset)
    }

    /// The line.
    pub fn json(self) -> &'a str {
        &self.text[self.dataset + self.id..]
    }
}

/// The entries of a buffer in order.
#[derive(Clone)]
pub(super) struct Sorted<'a> {
    text: &'a str,
    spans: std::slice::Iter<'a, Span>,
}

impl<'a> Iterator for Sorted<'a> {
    type Item = Slice<'a>;

    fn next(&mut self) -> Option<Slice<'a>> {
        self.spans.next().map(|span| span.of(self.text))
    }
}

impl ExternalSort {
    /// A sort whose spills live in `folder` and whose buffer holds about `limit` bytes.
    pub(crate) fn new(folder: &Path, limit: usize) -> Self {
        Self { folder: folder.into(), limit, buffer: Buffer::default(), spills: Vec::new(), written: None }
    }

    /// Takes in a line.
    pub(crate) fn push(&mut self, entry: &Entry) -> Result<()> {
        if self.buffer.spans.is_empty() {
            // At once: growing would copy it again and again. What is not used costs addresses only.
            self.buffer.text.reserve(self.limit);
        }
        self.buffer.push(entry)
    }

    /// Whether the buffer wants to be emptied before the next line.
    pub(super) fn is_full(&self) -> bool {
        self.buffer.bytes() >= self.limit
    }

    /// The lines in the buffer, in order.
    pub(super) fn sorted(&mut self) -> Sorted<'_> {
        self.buffer.sort();
        self.buffer.entries()
    }

    /// Forgets the lines in the buffer: they are somewhere else.
    pub(super) fn clear(&mut self) {
        self.buffer.clear();
    }

    /// Takes in lines that the caller wrote in order, to be merged with the rest. Once at most.
    pub(super) fn add_written(&mut self, lines: File) {
        self.written = Some(lines);
    }

    /// Hands every line to `sink` in order. A key that was pushed twice is an error.
    pub(crate) fn finish(mut self, sink: impl FnMut(&Entry) -> Result<()>) -> Result<()> {
        let folder = std::mem::take(&mut self.folder);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.sort();
        let mut sources: Vec<Source> =
            self.spills.drain(..).map(Source::spill).collect::<Result<_, _>>().map_err(io(&folder))?;
        sources.extend(self.written.map(Source::written));
        sources.push(Source::Memory(buffer.entries()));
        merge(sources, &folder, sink)
    }

    /// Empties the buffer into a file of its own.
    pub(super) fn spill(&mut self) -> Result<()> {
        self.buffer.sort();
        let spilled = self.write(vec![Source::Memory(self.buffer.entries())])?;
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
    Memory(Sorted<'a>),
    Spill(BufReader<File>),
    /// Lines alone, and room for one.
    Written(BufReader<File>, Vec<u8>),
}

impl Source<'_> {
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
            Self::Memory(entries) => Ok(entries.next().map(|slice| entry.copy(slice)).is_some()),
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
            let fragment = format!("record case `{id}` of dataset `{dataset}`: it was recorded before");
            return Err(Error::internal(fragment));
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

/// Three lengths, then the text.
fn write_entry(writer: &mut impl Write, entry: &Entry) -> std::io::Result<()> {
    for length in [entry.dataset, entry.id, entry.text.len()] {
        writer.write_all(&(length as u64).to_le_bytes())?;
    }
    writer.write_all(entry.text.as_bytes())
}

fn read_entry(reader: &mut impl Read, entry: &mut Entry) -> std::io::Result<bool> {
    let mut lengths = [0u8; 24];
    // An end at the border of two entries is the end of the spill; anywhere else it is an error.
    if reader.read(&mut lengths[..1])? == 0 {
        return Ok(false);
    }
    reader.read_exact(&mut lengths[1..])?;
    let length = |at: usize| u64::from_le_bytes(lengths.as_chunks::<8>().0[at]) as usize;
    let mut bytes = std::mem::take(&mut entry.text).into_bytes();
    bytes.resize(length(2), 0);
    reader.read_exact(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(std::io::Error::other)?;
    *entry = Entry { text, dataset: length(0), id: length(1) };
    Ok(true)
}

fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>, entry: &mut Entry) -> std::io::Result<bool> {
    line.clear();
    if reader.read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    let json = str::from_utf8(line).map_err(std::io::Error::other)?.trim_end();
    let Names { dataset, id } = serde_json::from_str(json)?;
    entry.text.clear();
    [&dataset, &id, json].into_iter().for_each(|part| entry.text.push_str(part));
    (entry.dataset, entry.id) = (dataset.len(), id.len());
    Ok(true)
}

fn io(folder: &Path) -> impl Fn(std::io::Error) -> Error {
    move |e| Error::io("sort the results in", folder, e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sorted(entries: &[Entry], limit: usize) -> Result<(Vec<Entry>, usize)> {
        let folder = tempfile::tempdir().unwrap();
        let mut sort = ExternalSort::new(folder.path(), limit);
        for entry in entries {
            sort.push(entry)?;
            if sort.is_full() {
                sort.spill()?;
            }
        }
        let spills = sort.spills.len();
        let mut got = Vec::new();
        sort.finish(|entry| {
            got.push(entry.clone());
            Ok(())
        })?;
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "spills have no names");
        Ok((got, spills))
    }

    fn written(dataset: &str, id: &str, json: &str) -> Entry {
        let line = |text: &mut Vec<u8>| {
            text.extend(json.bytes());
            Ok(())
        };
        Entry::new((dataset, id), 0, line).unwrap()
    }

    fn entry(dataset: &str, id: String) -> Entry {
        written(dataset, &id, &format!("{{{id}}}"))
    }

    #[test]
    fn many_spills_are_merged_in_two_steps() {
        let entries: Vec<_> = (0..500).map(|i| entry("a", format!("{:03}", i * 7 % 500))).collect();
        let (got, spills) = sorted(&entries, 1).unwrap();
        assert!(spills < FAN_IN);
        assert_eq!(got, (0..500).map(|i| entry("a", format!("{i:03}"))).collect::<Vec<_>>());
    }

    #[test]
    fn a_case_recorded_twice_is_an_error() {
        let twice = [entry("a", "1".into()), entry("a", "2".into()), entry("a", "1".into())];
        for limit in [1, 1 << 20] {
            let error = sorted(&twice, limit).unwrap_err();
            assert_eq!(error.fragment(), "record case `1` of dataset `a`: it was recorded before");
        }
    }

    proptest! {
        #[test]
        fn equals_sorting_in_memory(
            keys in proptest::collection::btree_map(("[a-c]{0,2}", "\\PC{0,6}"), "\\PC{0,40}", 0..200),
            limit in 1usize..4000,
            seed in any::<u64>(),
        ) {
            let mut entries: Vec<_> = keys.into_iter()
                .map(|((dataset, id), json)| written(&dataset, &id, &json)).collect();
            let expected = entries.clone();
            let mut rng = crate::stats::CounterRng::new(seed, 0);
            for i in (1..entries.len()).rev() {
                entries.swap(i, rng.below(i as u64 + 1) as usize);
            }
            prop_assert_eq!(sorted(&entries, limit).unwrap().0, expected);
        }
    }
}
