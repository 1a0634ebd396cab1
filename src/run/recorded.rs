//! Recorded answers: a file of JSON lines and an index of 14 bytes a line.
//!
//! The file is read twice. The first pass checks every line, blocks of lines on all threads, hashes every page, and notes a
//! hash of dataset and id with the line's offset; then every case claims its line, so that unknown and doubled answers are
//! known before anything is scored. The second reads each line when its case comes, from pages that are held against those of
//! the first: one sequential pass where both files have one order. As long as they have, the next line is the one that a case
//! looks for, and the index stays as it was noted; at the first case that looks elsewhere it is sorted.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::event::Watch;
use super::pages::{PAGE, Pages};
use super::recorded_line::RecordedLine;
use crate::dataset::{BlockHasher, UnknownKeys, has_lines_of_returns, lines, read_lines, refuse};
use crate::error::{Error, Result, nearest};
use crate::hash::hex;
use crate::stand_in::open_file;

/// Recorded answers of a suite's cases.
pub struct Recorded {
    path: PathBuf,
    pages: Pages,
    /// In the order of the file, or sorted by hash.
    entries: Vec<Entry>,
    /// In the order of the file, the line behind the one that was looked for last; none once the entries are sorted.
    next: Option<usize>,
    /// Of sorted entries: by the first bits of a hash, where its entries start; one more for their end.
    starts: Vec<usize>,
    /// By how much a hash is shifted for its first bits.
    shift: u32,
    /// Whether some lines name their dataset, and whether some do not.
    named: bool,
    bare: bool,
    /// The dataset that claimed first.
    first: Option<String>,
    sha256: String,
}

/// Where the answer of a case is: 48 bits of a hash of dataset and id, a bit that says whether a case has claimed it, and
/// the offset of its line. Big-endian, so that the order of the bytes is the order of hash and offset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry([u8; 12]);

const HASH_BITS: u32 = 48;
/// Entries that start alike, in the mean this many to twice as many: one or two lines of the processor's cache.
const BUCKET: usize = 4;
const CLAIMED: u64 = 1 << 47;
/// What is read at a time in the first pass.
const BUFFER: usize = 1 << 16;
/// Bytes of a stream between two looks at whether to go on.
const SPOOL: u64 = 1 << 20;
/// Fewer lines are not worth another thread.
const FEWEST: usize = 32;

impl Entry {
    fn new(hash: u64, offset: u64) -> Self {
        let mut bytes = [0; 12];
        bytes[..6].copy_from_slice(&hash.to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&offset.to_be_bytes()[2..]);
        Self(bytes)
    }

    fn hash(self) -> u64 {
        let [a, b, c, d, e, f, ..] = self.0;
        number([a, b, c, d, e, f])
    }

    fn claim_and_offset(self) -> u64 {
        let [.., a, b, c, d, e, f] = self.0;
        number([a, b, c, d, e, f])
    }

    fn offset(self) -> u64 {
        self.claim_and_offset() & !CLAIMED
    }

    fn is_claimed(self) -> bool {
        self.claim_and_offset() & CLAIMED != 0
    }

    fn claim(&mut self) {
        *self = Self::new(self.hash(), self.offset() | CLAIMED);
    }
}

/// The number of 48 bits in these bytes.
fn number([a, b, c, d, e, f]: [u8; 6]) -> u64 {
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

impl Recorded {
    /// Reads and checks a file of recorded answers. What becomes of keys that karat does not know, `unknown` says.
    ///
    /// # Errors
    /// A line that cannot be read.
    pub fn open(path: &Path, unknown: UnknownKeys, watch: Watch<'_>) -> Result<Self> {
        let file = open_file(path).map_err(|error| error.at(path))?;
        Self::of_file((file, path), unknown, watch)
    }

    /// Reads and checks recorded answers that come once, standard input say: they are kept in a temporary file. Whoever waits
    /// for them asks by himself whether to go on.
    ///
    /// # Errors
    /// A line that cannot be read; no room for the file.
    pub fn of_stream((stream, name): (impl Read, &Path), unknown: UnknownKeys, watch: Watch<'_>) -> Result<Self> {
        Self::of_file((spooled(stream, name, watch)?, name), unknown, watch)
    }

    /// [`Recorded::open`] of a regular file that is open already.
    ///
    /// # Errors
    /// A line that cannot be read.
    pub fn of_file((file, name): (File, &Path), unknown: UnknownKeys, watch: Watch<'_>) -> Result<Self> {
        let (path, pages) = (name.to_owned(), Pages::new(file, name));
        let (entries, starts, sha256) = (Vec::new(), Vec::new(), String::new());
        let (next, shift, named, bare, first) = (Some(0), HASH_BITS, false, false, None);
        let mut recorded = Self { path, pages, entries, next, starts, shift, named, bare, first, sha256 };
        recorded.index(unknown, watch)?;
        Ok(recorded)
    }

    /// SHA-256 of the file in hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    fn index(&mut self, unknown: UnknownKeys, watch: Watch<'_>) -> Result<()> {
        let (mut hasher, mut pages) = (Sha256::new(), BlockHasher::new(PAGE));
        let (mut block, mut number, mut offset) = (Vec::new(), 0, 0);
        let mut reader = BufReader::with_capacity(BUFFER, self.pages.file());
        let failed = |e| Error::io("read", &self.path, e);
        let start = reader.fill_buf().map_err(failed)?;
        refuse(start, &self.path)?;
        if has_lines_of_returns(start) {
            let error = Error::input("lines of the answers end in a carriage return alone").at_line(&self.path, 1);
            return Err(error.with_hint("end them with line feeds: tr '\\r' '\\n' < OLD > NEW"));
        }
        loop {
            read_lines(&mut reader, &mut block).map_err(failed)?;
            if block.is_empty() {
                break;
            }
            watch.check()?;
            let (lines, first) = (lines(&block), number + 1);
            let starts = lines.iter().scan(offset, |next, line| {
                let start = *next;
                *next += line.len() as u64;
                Some(start)
            });
            let starts: Vec<u64> = starts.collect();
            let note = |(index, line): (usize, &&[u8])| {
                let number = first + index as u64;
                let placed = |(error, column): Wrong| match column {
                    Some(column) => error.at_column(&self.path, number, column.max(1)),
                    None => error.at_line(&self.path, number),
                };
                note(line, starts[index], unknown).map_err(placed).transpose()
            };
            let notes = || lines.par_iter().with_min_len(FEWEST).enumerate().filter_map(note).collect::<Vec<_>>();
            let hash = || {
                hasher.update(&block);
                pages.update(&block);
            };
            let (notes, ()) = rayon::join(notes, hash);
            // By a quarter at a time: doubling would cost more than the index itself.
            if self.entries.capacity() - self.entries.len() < notes.len() {
                self.entries.reserve_exact(notes.len().max(self.entries.len() / 4));
            }
            for noted in notes {
                let (entry, named) = noted?;
                self.named |= named;
                self.bare |= !named;
                self.entries.push(entry);
            }
            number += lines.len() as u64;
            offset += block.len() as u64;
        }
        self.pages.hold_to(pages.finish());
        self.sha256 = hex(&hasher.finalize());
        Ok(())
    }

    /// Sorts the entries, so that lines can be looked for in any order.
    ///
    /// # Errors
    /// Two lines answer one case.
    fn sort(&mut self) -> Result<()> {
        if self.next.take().is_none() {
            return Ok(());
        }
        self.entries.par_sort_unstable();
        self.shift = HASH_BITS - (self.entries.len() / BUCKET).max(1).ilog2();
        let mut start = 0;
        let starts = (0..=1 << (HASH_BITS - self.shift)).map(|first| {
            start += self.entries[start..].iter().take_while(|entry| entry.hash() >> self.shift < first).count();
            start
        });
        self.starts = starts.collect();
        self.refuse_doubled()
    }

    fn refuse_doubled(&mut self) -> Result<()> {
        for at in 1..self.entries.len() {
            let (one, two) = (self.entries[at - 1], self.entries[at]);
            if one.hash() != two.hash() {
                continue;
            }
            let (first, second) = (self.names(one)?, self.names(two)?);
            if first == second {
                return Err(self.doubled(one, two, &second.1));
            }
        }
        Ok(())
    }

    fn doubled(&mut self, one: Entry, two: Entry, id: &str) -> Error {
        let lines = self.line_number(one.offset()).and_then(|one| Ok((one, self.line_number(two.offset())?)));
        match lines {
            Ok((one, two)) => {
                let (first, second) = (one.min(two), one.max(two));
                let message = format!("case `{id}` is answered on line {first} and on line {second}");
                Error::input(message).at_line(&self.path, second).with_hint("keep one of them")
            }
            Err(error) => error,
        }
    }

    /// Notes that this case is among those of the run.
    ///
    /// # Errors
    /// Two lines answer one case, or an answer without a dataset could belong to two cases.
    pub(super) fn claim(&mut self, case: Wanted<'_>) -> Result<()> {
        let (dataset, id, repeat) = case;
        if self.bare && self.first.get_or_insert_with(|| dataset.to_owned()) != dataset {
            // Two answers of one id must not pass for those of two datasets.
            self.sort()?;
        }
        let (named, bare) = (self.find((Some(dataset), id, repeat))?, self.find((None, id, repeat))?);
        let at = match (named, bare) {
            (None, None) => return Ok(()),
            (Some(one), Some(two)) => {
                let (one, two) = (self.entries[one], self.entries[two]);
                return Err(self.doubled(one, two, id));
            }
            (Some(at), None) => at,
            (None, Some(at)) if self.entries[at].is_claimed() => {
                let line = self.line_number(self.entries[at].offset())?;
                let message = format!("which case the answer belongs to is not clear: two datasets have a case `{id}`");
                return Err(Error::input(message).at_line(&self.path, line).with_hint("add `dataset` to the answer"));
            }
            (None, Some(at)) => at,
        };
        self.entries[at].claim();
        Ok(())
    }

    /// Answers that no case has claimed. Those of `limited` datasets may belong to cases that were not selected; they are
    /// counted, as all are where `allow` says so.
    ///
    /// # Errors
    /// An answer for a case that does not exist, or two for one case.
    pub(super) fn unclaimed(&mut self, known: Known<'_>, allow: bool) -> Result<u64> {
        let Known { datasets: known, limited, repeats } = known;
        if self.entries.iter().any(|entry| !entry.is_claimed()) {
            // Some of them may answer a case twice.
            self.sort()?;
        }
        // From the start again.
        self.next = self.next.map(|_| 0);
        let mut offsets: Vec<u64> =
            self.entries.iter().filter(|entry| !entry.is_claimed()).map(|entry| entry.offset()).collect();
        if allow {
            return Ok(offsets.len() as u64);
        }
        offsets.sort_unstable();
        let datasets: HashSet<&str> = known.iter().copied().collect();
        let open: HashSet<&str> = limited.iter().copied().collect();
        for offset in &offsets {
            let (dataset, id, repeat) = self.names(Entry::new(0, *offset))?;
            let unknown = match &dataset {
                _ if repeat >= repeats => {
                    let message = format!("the answer of `{id}` has the `repeat` {repeat}");
                    Error::input(message).with_hint("repeats count from 0; --repeat N says how many answers a case has")
                }
                Some(dataset) if !datasets.contains(dataset.as_str()) => {
                    let message =
                        format!("the answer of `{id}` names the dataset `{dataset}`, which the suite does not have");
                    Error::input(message).with_hint(nearest(dataset, known.iter().copied()))
                }
                Some(dataset) if !open.contains(dataset.as_str()) => {
                    let message = format!("the dataset `{dataset}` has no case `{id}`, which an answer names");
                    Error::input(message).with_hint("take it out, or use --allow-extra")
                }
                None if limited.is_empty() => {
                    let message = format!("no dataset has a case `{id}`, which an answer names");
                    Error::input(message).with_hint("take it out, or use --allow-extra")
                }
                _ => continue,
            };
            let number = self.line_number(*offset)?;
            return Err(unknown.at_line(&self.path, number));
        }
        Ok(offsets.len() as u64)
    }

    /// The line that answers a case, if there is one.
    pub(super) fn line(&mut self, (dataset, id, repeat): Wanted<'_>) -> Result<Option<String>> {
        let at = match self.find((Some(dataset), id, repeat))? {
            Some(at) => at,
            None => match self.find((None, id, repeat))? {
                Some(at) => at,
                None => return Ok(None),
            },
        };
        self.read(self.entries[at].offset()).map(Some)
    }

    /// The recorded tokens of a case; none where there is no such answer or it cannot be read.
    pub(super) fn output_ids(&mut self, case: Wanted<'_>) -> Vec<u32> {
        let line = self.line(case).ok().flatten();
        line.and_then(|line| RecordedLine::parse(&line).ok()?.output_ids).unwrap_or_default()
    }

    /// Index of the entry of exactly this answer. Where two lines have one hash, the lines themselves decide.
    fn find(&mut self, named: Named<&str>) -> Result<Option<usize>> {
        let (dataset, id, repeat) = named;
        if !(if dataset.is_some() { self.named } else { self.bare }) {
            return Ok(None);
        }
        let hash = hash(named);
        if let Some(next) = self.next {
            // In a file that names datasets on some lines only, the next line is not the only one that may answer the case.
            if !(self.named && self.bare) && self.entries.get(next).is_some_and(|entry| entry.hash() == hash) {
                self.next = Some(next + 1);
                return Ok(Some(next));
            }
            self.sort()?;
        }
        let near = (hash >> self.shift) as usize;
        let (start, end) = (self.starts[near], self.starts[near + 1]);
        let first = start + self.entries[start..end].iter().take_while(|entry| entry.hash() < hash).count();
        let count = self.entries[first..end].iter().take_while(|entry| entry.hash() == hash).count();
        if count < 2 {
            return Ok((count == 1).then_some(first));
        }
        for at in first..first + count {
            let (found, its, of) = self.names(self.entries[at])?;
            if found.as_deref() == dataset && its == id && of == repeat {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Whose answer a line is.
    fn names(&mut self, entry: Entry) -> Result<Named<String>> {
        let line = self.read(entry.offset())?;
        let wrong = |(error, _): Wrong| error.at(&self.path);
        let RecordedLine { dataset, id, repeat, .. } = RecordedLine::parse(&line).map_err(wrong)?;
        Ok((dataset.map(Cow::into_owned), id.into_owned(), repeat))
    }

    fn read(&mut self, offset: u64) -> Result<String> {
        let mut line = self.pages.line(offset)?;
        let whole = content(&line, offset);
        if whole.len() + 1 == line.len() && line.ends_with(b"\n") {
            // The usual line: nothing around it but the break.
            line.truncate(line.len() - 1)
        } else {
            line = whole.to_vec()
        }
        String::from_utf8(line).map_err(|_| Error::input("the recorded answer is not valid UTF-8").at(&self.path))
    }

    /// The number of the line that starts at an offset, for messages: counts from the start of the file.
    fn line_number(&mut self, offset: u64) -> Result<u64> {
        Ok(1 + self.pages.breaks_before(offset)?)
    }
}

/// Which answers there can be: the datasets, those of them of which not all cases are selected, and the answers to each case.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub datasets: &'a [&'a str],
    pub limited: &'a [&'a str],
    pub repeats: u32,
}

/// A case by dataset and id, and which of its answers.
pub(super) type Wanted<'a> = (&'a str, &'a str, u32);

/// The same as a line says it: the dataset may be left out.
type Named<T> = (Option<T>, T, u32);

/// What is wrong with a line, and the column where it is known.
type Wrong = (Error, Option<u64>);

/// The entry of a line and whether it names its dataset; none of a line of white space.
fn note(line: &[u8], offset: u64, unknown: UnknownKeys) -> Result<Option<(Entry, bool)>, Wrong> {
    let broken = |error| (Error::input("the recorded answer is not valid UTF-8").caused_by(error), None);
    let text = std::str::from_utf8(content(line, offset)).map_err(broken)?;
    if text.is_empty() {
        return Ok(None);
    }
    let RecordedLine { dataset, id, repeat, .. } = RecordedLine::checked(text, unknown)?;
    Ok(Some((Entry::new(hash((dataset.as_deref(), &id, repeat)), offset), dataset.is_some())))
}

/// The line without byte-order mark, line break and white space around.
fn content(line: &[u8], offset: u64) -> &[u8] {
    let line = if offset == 0 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
    line.trim_ascii()
}

/// 48 bits over dataset, id and repeat. Lives as long as the process: where two lines have one, the lines themselves decide.
fn hash(named: Named<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    named.hash(&mut hasher);
    hasher.finish() >> (u64::BITS - HASH_BITS)
}

/// What a stream gives, in an unnamed temporary file.
fn spooled(mut stream: impl Read, name: &Path, watch: Watch<'_>) -> Result<File> {
    let failed = |e| Error::io("read", name, e);
    let mut file = tempfile::tempfile().map_err(failed)?;
    while std::io::copy(&mut stream.by_ref().take(SPOOL), &mut file).map_err(failed)? > 0 {
        watch.check()?;
    }
    file.rewind().map_err(failed)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATCH: Watch<'static> = Watch { event: &|_| (), stop: &|| Ok(()) };

    fn open(lines: &str) -> Result<Recorded> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, lines.as_bytes()).unwrap();
        Recorded::open(file.path(), UnknownKeys::by_flag(false), WATCH)
    }

    fn known<'a>(datasets: &'a [&'a str], limited: &'a [&'a str]) -> Known<'a> {
        Known { datasets, limited, repeats: 1 }
    }

    fn error(result: Result<impl Sized>) -> String {
        let error = result.err().expect("an error");
        format!("{}: {}", error.location().and_then(|at| at.line).unwrap_or(0), error.message())
    }

    const FOUR: &str = "\u{feff}{\"dataset\":\"a\",\"id\":\"1\",\"output\":\"a1\"}\n\n{\"dataset\":\"b\",\"id\":\"1\",\"output\":\"b1\"}\n\
                        {\"id\":2,\"output\":\"2\"}\r\n{\"dataset\":\"a\",\"id\":\"3\",\"output\":\"a3\"}";

    #[test]
    fn finds_every_line_in_any_order() {
        let mut recorded = open(FOUR).unwrap();
        for (dataset, id, output) in [("a", "3", "a3"), ("b", "1", "b1"), ("b", "2", "2"), ("a", "1", "a1")] {
            recorded.claim((dataset, id, 0)).unwrap();
            let line = recorded.line((dataset, id, 0)).unwrap().expect(output);
            assert_eq!(RecordedLine::parse(&line).unwrap().output.as_deref(), Some(output));
        }
        assert_eq!(recorded.line(("a", "4", 0)).unwrap(), None);
        assert_eq!(recorded.unclaimed(known(&["a", "b"], &[]), false).unwrap(), 0);
        assert!(error(recorded.claim(("a", "2", 0))).starts_with("4: which case the answer belongs to is not clear"));
    }

    #[test]
    fn lines_that_were_changed_are_refused() {
        let text: String = (0..2000).map(|n| format!("{{\"id\":{n},\"output\":\"answer {n}\"}}\n")).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &text).unwrap();
        let mut recorded = Recorded::open(file.path(), UnknownKeys::default(), WATCH).unwrap();
        // As long as before, in place; the file stays the one that is open.
        std::fs::write(file.path(), text.replace("answer 1500", "ANSWER 1500")).unwrap();
        let output = |line: Result<Option<String>>| line.map(|line| line.unwrap_or_default());
        assert!(output(recorded.line(("a", "3", 0))).unwrap().contains("answer 3"));
        let error = output(recorded.line(("a", "1500", 0))).unwrap_err();
        assert!(error.chain().contains("was changed during the run"), "{error:?}");
        std::fs::write(file.path(), &text[..1000]).unwrap();
        assert!(recorded.line(("a", "1999", 0)).is_err(), "cut off");
        std::fs::write(file.path(), &text).unwrap();
        assert!(output(recorded.line(("a", "1500", 0))).unwrap().contains("answer 1500"), "as it was");
    }

    #[test]
    fn files_that_are_no_lines_are_named() {
        assert!(error(open("{\"id\":1,\"output\":\"\"}\r{\"id\":2,\"output\":\"\"}\r")).contains("carriage return"));
        assert_eq!(
            open("{\"id\":1,\"output\":\"\"}\r").unwrap().line(("a", "1", 0)).unwrap().as_deref(),
            Some("{\"id\":1,\"output\":\"\"}")
        );
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), b"\x1f\x8b\x08\0").unwrap();
        assert!(error(Recorded::open(path.path(), UnknownKeys::default(), WATCH)).contains("packed with gzip"));
    }

    #[test]
    fn unknown_and_doubled_answers_name_their_lines() {
        let mut recorded = open(FOUR).unwrap();
        for (dataset, id) in [("a", "1"), ("b", "1"), ("a", "3")] {
            recorded.claim((dataset, id, 0)).unwrap();
        }
        assert_eq!(
            error(recorded.unclaimed(known(&["a", "b"], &[]), false)),
            "4: no dataset has a case `2`, which an answer names"
        );
        assert_eq!(recorded.unclaimed(known(&["a", "b"], &["a"]), false).unwrap(), 1);
        assert_eq!(recorded.unclaimed(known(&["a", "b"], &[]), true).unwrap(), 1);
        let mut recorded = open(FOUR).unwrap();
        recorded.claim(("a", "1", 0)).unwrap();
        assert!(
            error(recorded.unclaimed(known(&["a"], &[]), false))
                .contains("names the dataset `b`, which the suite does not have")
        );
        let text = "{\"id\":1,\"output\":\"\"}\n{\"id\":2,\"output\":\"\"}\n{\"id\":\"1\",\"output\":\"\"}\n";
        let doubled = "3: case `1` is answered on line 1 and on line 3";
        let mut recorded = open(text).unwrap();
        assert_eq!(error(recorded.claim(("a", "3", 0))), doubled);
        // In the order of the file, the second comes out at the end or where another dataset begins.
        for other in [None, Some("b")] {
            let mut recorded = open(text).unwrap();
            recorded.claim(("a", "1", 0)).unwrap();
            recorded.claim(("a", "2", 0)).unwrap();
            let result = match other {
                None => recorded.unclaimed(known(&["a"], &["a"]), true).map(|_| ()),
                Some(other) => recorded.claim((other, "1", 0)),
            };
            assert_eq!(error(result), doubled);
        }
        let mut recorded = open("{\"id\":1,\"output\":\"\"}\n{\"dataset\":\"a\",\"id\":1,\"output\":\"\"}\n").unwrap();
        assert!(error(recorded.claim(("a", "1", 0))).contains("on line 1 and on line 2"));
        assert!(error(open("{\"id\":1,\"output\":\"\"}\n{\"id\":\n")).starts_with("2: failed to parse"));
    }
}
