//! What encoders made of texts, as a run remembers it: in memory, and in the journal of the run.

use std::sync::Arc;

use super::cache::Cache;
use super::meter::Meter;
use crate::engine::{Long, Reading};
use crate::error::{Error, Result};
use crate::record::{Journal, Key, Work};
use crate::score::Need;

/// Memory for what is remembered of earlier chunks, for each encoder.
const CACHE_BYTES: usize = 16 << 20;

/// A vector of every window.
pub(super) type Vectors = Reading<Vec<f32>>;
/// Labels with their probabilities, of every window.
pub(super) type Labels = Reading<Vec<(String, f32)>>;

/// What one encoder made of texts.
pub(super) struct Known<T> {
    pub role: &'static str,
    cache: Cache<Arc<T>>,
    bytes: fn(&T) -> usize,
    write: fn(&T) -> Result<Vec<u8>>,
    read: fn(&[u8]) -> Option<T>,
}

impl Known<Vectors> {
    pub fn vectors() -> Self {
        let cache = Cache::new(CACHE_BYTES);
        Self { role: "embedder", cache, bytes: vector_bytes, write: write_vectors, read: read_vectors }
    }
}

impl Known<Labels> {
    pub fn labels() -> Self {
        let cache = Cache::new(CACHE_BYTES);
        Self { role: "toxicity", cache, bytes: label_bytes, write: write_labels, read: read_labels }
    }
}

impl<T> Known<T> {
    /// What was made of a text before, by this run or by the interrupted one.
    pub fn find(&mut self, need: &Need, journal: Option<&Journal>, meter: &Meter) -> Result<Option<Arc<T>>> {
        let key = self.key(need);
        if let Some(known) = self.cache.get(key, |known| (self.bytes)(known)) {
            return Ok(Some(known));
        }
        let Some(journal) = journal else { return Ok(None) };
        let Some(bytes) = journal.find(&key)? else { return Ok(None) };
        meter.count(&format!("{}.resumed", self.role), 1);
        let read = || Error::internal(format!("failed to read what the {} made of a text in the journal", self.role));
        (self.read)(&bytes).map(|known| Some(Arc::new(known))).ok_or_else(read)
    }

    /// Remembers what was made of a text.
    pub fn keep(&mut self, need: &Need, made: T, journal: Option<&Journal>) -> Result<Arc<T>> {
        let (key, made) = (self.key(need), Arc::new(made));
        if let Some(journal) = journal {
            journal.put(Work::Encoded, &key, &(self.write)(&made)?)?;
        }
        self.cache.put(key, made.clone(), (self.bytes)(&made));
        Ok(made)
    }

    /// What a text becomes where it is too long is of the key: the same text has other values then.
    fn key(&self, need: &Need) -> Key {
        Key::of(Work::Encoded, &[self.role.as_bytes(), Long::name(need.long()).as_bytes(), need.text().as_bytes()])
    }
}

fn vector_bytes(vectors: &Vectors) -> usize {
    vectors.values().map(|(_, vector)| WINDOW + vector.len() * size_of::<f32>()).sum()
}

fn label_bytes(labels: &Labels) -> usize {
    let bytes = |labels: &[(String, f32)]| {
        labels.iter().map(|(label, _)| label.len() + size_of::<(String, f32)>()).sum::<usize>()
    };
    labels.values().map(|(_, labels)| WINDOW + bytes(labels)).sum()
}

/// Bytes of a window beside its values.
const WINDOW: usize = 64;

/// The windows with their numbers of values as one line of JSON, then the bits of the values.
fn write_vectors(vectors: &Vectors) -> Result<Vec<u8>> {
    let floats: Vec<u8> = vectors.values().flat_map(|(_, vector)| vector).flat_map(|x| x.to_le_bytes()).collect();
    let mut bytes = json(&vectors.clone().map(|vector| vector.len()))?;
    bytes.push(b'\n');
    bytes.extend(floats);
    Ok(bytes)
}

fn read_vectors(bytes: &[u8]) -> Option<Vectors> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let lengths: Reading<usize> = serde_json::from_slice(&bytes[..end]).ok()?;
    let (floats, rest) = bytes[end + 1..].as_chunks();
    let complete = rest.is_empty() && lengths.values().map(|(_, len)| *len).sum::<usize>() == floats.len();
    let mut floats = floats.iter().map(|bytes| f32::from_le_bytes(*bytes));
    complete.then(|| lengths.map(|len| floats.by_ref().take(len).collect()))
}

/// Names, and the bits of their probabilities.
fn write_labels(labels: &Labels) -> Result<Vec<u8>> {
    json(&labels.clone().map(|labels| labels.into_iter().map(|(label, p)| (label, p.to_bits())).collect::<Vec<_>>()))
}

fn read_labels(bytes: &[u8]) -> Option<Labels> {
    let bits: Reading<Vec<(String, u32)>> = serde_json::from_slice(bytes).ok()?;
    Some(bits.map(|labels| labels.into_iter().map(|(label, bits)| (label, f32::from_bits(bits))).collect()))
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Error::internal("failed to write the journal").caused_by(e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Length, Part, Span, Windows};
    use crate::record::{About, Manifest, RunId};
    use jiff::Timestamp;

    fn all<T: Clone>(values: [T; 2]) -> [Reading<T>; 3] {
        let span = |at: usize| Span { tokens: at..at + 9, characters: 3 * at..3 * at + 40 };
        let windows = values.iter().cloned().enumerate().map(|(at, value)| (span(at), value)).collect();
        let [first, _] = values;
        let length = Length { tokens: 12, read: 9 };
        let windows = Reading::Windows(Windows { tokens: 10, part: Part::Text, windows });
        [Reading::Whole(first.clone()), Reading::Cut(first, length), windows]
    }

    #[test]
    fn a_journal_gives_back_the_bits() {
        for vectors in all([vec![1.0f32, -0.0, f32::MIN_POSITIVE], vec![0.1, 3.0, f32::MAX]]) {
            let bytes = write_vectors(&vectors).unwrap();
            let read = read_vectors(&bytes).unwrap();
            let bits = |vectors: &Vectors| vectors.clone().map(|v| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
            assert_eq!(bits(&read), bits(&vectors));
            assert!(read_vectors(&bytes[..bytes.len() - 4]).is_none() && read_vectors(b"").is_none());
        }
        for labels in all([vec![("a\n\"".to_owned(), 0.1f32)], vec![("b".to_owned(), 1e-30)]]) {
            assert_eq!(read_labels(&write_labels(&labels).unwrap()).unwrap(), labels);
        }
    }

    /// As after a kill: nothing is in memory, and what was made of a text in one way is not that of another.
    #[test]
    fn what_a_killed_run_made_is_found_again_by_text_and_way() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let manifest = Manifest::new("s", RunId::parse("r").unwrap(), Timestamp::UNIX_EPOCH, serde_json::Value::Null);
        let journal = Journal::create(&path, About::new(manifest, true)).unwrap();
        let need = |long| Need::Classify("x".into(), long);
        let [_, cut, windows] = all([vec![("toxic".to_owned(), 0.25)], vec![("toxic".to_owned(), 0.5)]]);
        let mut known = Known::labels();
        known.keep(&need(Long::Windows), windows.clone(), Some(&journal)).unwrap();
        known.keep(&need(Long::Cut), cut.clone(), Some(&journal)).unwrap();
        journal.flush().unwrap();
        drop(journal);
        let (journal, meter) = (Journal::resume(&path).unwrap().unwrap(), Meter::default());
        let find = |long| Known::labels().find(&need(long), Some(&journal), &meter).unwrap();
        assert_eq!(find(Long::Windows).as_deref(), Some(&windows));
        assert_eq!(find(Long::Cut).as_deref(), Some(&cut));
        assert_eq!(find(Long::Error), None);
    }

    #[test]
    fn what_becomes_of_long_texts_is_of_the_key() {
        let known = Known::vectors();
        let keys = [Long::Windows, Long::Cut, Long::Error].map(|long| known.key(&Need::Embed("x".into(), long)));
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    }
}
