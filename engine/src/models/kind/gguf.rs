//! The header of a GGUF file, read for what it is (specification: `docs/gguf.md` of ggml): a model or something else, whole or
//! split, of types that karat reads. Nothing is mapped; arrays are skipped; every length is held against the file's.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::place::used;
use crate::error::{Error, Result};
use crate::stand_in::{Expected, StandIn};

/// A type of tensors: its number in a file, its name, and values and bytes of a block where karat reads it.
type Type = (u32, &'static str, Option<(u64, u64)>);

/// The types of ggml (`enum ggml_type` of `ggml.h`), those that were taken out again among them.
const TYPES: [Type; 41] = [
    (0, "F32", Some((1, 4))),
    (1, "F16", Some((1, 2))),
    (2, "Q4_0", Some((32, 18))),
    (3, "Q4_1", Some((32, 20))),
    (4, "Q4_2", None),
    (5, "Q4_3", None),
    (6, "Q5_0", Some((32, 22))),
    (7, "Q5_1", Some((32, 24))),
    (8, "Q8_0", Some((32, 34))),
    (9, "Q8_1", None),
    (10, "Q2_K", Some((256, 84))),
    (11, "Q3_K", Some((256, 110))),
    (12, "Q4_K", Some((256, 144))),
    (13, "Q5_K", Some((256, 176))),
    (14, "Q6_K", Some((256, 210))),
    (15, "Q8_K", None),
    (16, "IQ2_XXS", None),
    (17, "IQ2_XS", None),
    (18, "IQ3_XXS", None),
    (19, "IQ1_S", None),
    (20, "IQ4_NL", None),
    (21, "IQ3_S", None),
    (22, "IQ2_S", None),
    (23, "IQ4_XS", None),
    (24, "I8", None),
    (25, "I16", None),
    (26, "I32", None),
    (27, "I64", None),
    (28, "F64", None),
    (29, "IQ1_M", None),
    (30, "BF16", Some((1, 2))),
    (31, "Q4_0_4_4", None),
    (32, "Q4_0_4_8", None),
    (33, "Q4_0_8_8", None),
    (34, "TQ1_0", None),
    (35, "TQ2_0", None),
    (36, "IQ4_NL_4_4", None),
    (37, "IQ4_NL_4_8", None),
    (38, "IQ4_NL_8_8", None),
    (39, "MXFP4", None),
    (40, "NVFP4", None),
];

/// Bounds of what a header may ask for.
const LONGEST_KEY: u64 = 1 << 16;
const LONGEST_TEXT: u64 = 1 << 30;
const DEEPEST: usize = 8;
const MOST_DIMENSIONS: u32 = 8;

/// A value of the metadata, as far as it is looked at.
#[derive(Clone, Debug, PartialEq)]
enum Field {
    Text(String),
    Count(u64),
    Other,
}

struct Tensor {
    name: String,
    sizes: Vec<u64>,
    kind: u32,
    offset: u64,
}

struct Header {
    fields: BTreeMap<String, Field>,
    tensors: Vec<Tensor>,
    /// Where the tensors' bytes begin.
    data: u64,
}

impl Header {
    fn text(&self, key: &str) -> &str {
        match self.fields.get(key) {
            Some(Field::Text(text)) => text,
            _ => "",
        }
    }

    fn count(&self, key: &str) -> Option<u64> {
        match self.fields.get(key) {
            Some(Field::Count(count)) => Some(*count),
            _ => None,
        }
    }
}

/// Holds the header of a file against what karat can use.
///
/// # Errors
/// The file is something else, cut, split, or of types that are not read.
pub fn check(path: &Path) -> Result<()> {
    if let Some(stand_in) = StandIn::of_file(path, Expected::Gguf)? {
        return Err(used(path, format!("it is {}", stand_in.what())).with_hint(stand_in.hint()));
    }
    if let Some((_, of)) = split_name(path).filter(|(_, of)| *of > 1) {
        return Err(split(path, of));
    }
    let header = read(path)?;
    if let Some(of) = header.count("split.count").filter(|of| *of > 1) {
        return Err(split(path, of));
    }
    purpose(path, &header)?;
    types(path, &header)?;
    whole(path, &header)
}

/// The number of a part and of how many, where a file's name says so: `x-00001-of-00003.gguf`.
pub fn split_name(path: &Path) -> Option<(u64, u64)> {
    let stem = path.file_stem()?.to_str()?;
    let (before, of) = stem.rsplit_once("-of-")?;
    let (_, number) = before.rsplit_once('-')?;
    let count = |digits: &str| (digits.len() == 5).then(|| digits.parse().ok()).flatten();
    Some((count(number)?, count(of)?))
}

fn split(path: &Path, of: u64) -> Error {
    let name = path.file_name().unwrap_or_default().display();
    used(path, format!("it is one of {of} parts, and a split GGUF is not supported")).with_hint(format!(
        "merge the parts into one file first: llama-gguf-split --merge {name} merged.gguf, from the first part"
    ))
}

/// What else than a language model comes as GGUF.
fn purpose(path: &Path, header: &Header) -> Result<()> {
    let (kind, architecture) = (header.text("general.type"), header.text("general.architecture"));
    let (what, hint) = match (kind, architecture) {
        ("adapter", _) => (
            "it is a LoRA adapter, not a model".to_owned(),
            "merge it into its base first: llama-export-lora -m BASE.gguf --lora ADAPTER.gguf -o merged.gguf",
        ),
        ("mmproj", _) | (_, "clip") => (
            "it is the vision part of a model (mmproj), which reads pictures".to_owned(),
            "name the file of the language model beside it",
        ),
        ("imatrix", _) | (_, "imatrix") => {
            ("it is an importance matrix, not a model".to_owned(), "name the file of the model that was made with it")
        }
        (_, "controlvector") => {
            ("it is a control vector, not a model".to_owned(), "name the file of the model that it steers")
        }
        ("" | "model", _) if header.tensors.is_empty() => {
            ("it holds no tensors (a vocabulary alone)".to_owned(), "name the file that holds the weights")
        }
        ("" | "model", _) => return Ok(()),
        (other, _) => (
            format!("it is of the kind `{other}` (general.type), not a model"),
            "name a file whose general.type is `model`",
        ),
    };
    Err(used(path, what).with_hint(hint))
}

fn types(path: &Path, header: &Header) -> Result<()> {
    let reads = |kind: u32| TYPES.iter().any(|(number, _, block)| *number == kind && block.is_some());
    let Some(first) = header.tensors.iter().find(|tensor| !reads(tensor.kind)) else { return Ok(()) };
    let others = header.tensors.iter().filter(|tensor| tensor.kind == first.kind).count() - 1;
    let name = match TYPES.iter().find(|(number, ..)| *number == first.kind) {
        Some((_, name, _)) => (*name).to_owned(),
        None => format!("{} (a number that karat does not know)", first.kind),
    };
    let more = if others > 0 { format!(" (and {others} more)") } else { String::new() };
    let known: Vec<&str> = TYPES.iter().filter(|(.., block)| block.is_some()).map(|(_, name, _)| *name).collect();
    let what = format!("tensor `{}`{more} is of type {name}, which karat does not read", first.name);
    Err(used(path, what).with_hint(format!(
        "it reads {}: take another quantisation, or make one from the original with llama-quantize",
        known.join(", ")
    )))
}

fn whole(path: &Path, header: &Header) -> Result<()> {
    let len = std::fs::metadata(path).map_err(|e| Error::io("read", path, e))?.len();
    for tensor in &header.tensors {
        let block = TYPES.iter().find(|(number, ..)| *number == tensor.kind).and_then(|(.., block)| *block);
        let (values, bytes) = block.unwrap_or((1, 0));
        let count = tensor.sizes.iter().try_fold(1u64, |count, size| count.checked_mul(*size));
        let end = count
            .and_then(|count| (count / values).checked_mul(bytes))
            .and_then(|len| len.checked_add(header.data)?.checked_add(tensor.offset));
        if end.is_none_or(|end| end > len) {
            let end = end.map_or("far behind it".to_owned(), |end| format!("at byte {end}"));
            let what = format!("it is truncated: it ends at byte {len}, tensor `{}` {end}", tensor.name);
            return Err(used(path, what).with_hint("fetch the file again"));
        }
    }
    Ok(())
}

fn broken(path: &Path, what: &str) -> Error {
    used(path, format!("its GGUF header {what}")).with_hint("the file is truncated or not a GGUF file; fetch it again")
}

/// Reads a header.
fn read(path: &Path) -> Result<Header> {
    let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    let len = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
    let mut reader = Reader { file: BufReader::with_capacity(1 << 16, file), at: 0, len, path };
    let magic: [u8; 4] = reader.array()?;
    match &magic {
        b"GGUF" => {}
        b"lmgg" | b"fmgg" | b"tjgg" | b"algg" => {
            let hint = "convert the original model anew with llama.cpp's convert_hf_to_gguf.py";
            return Err(used(path, "it is a ggml file from before GGUF").with_hint(hint));
        }
        _ => {
            let what = format!("it does not begin with `GGUF`, but with `{}`", magic.escape_ascii());
            return Err(used(path, what).with_hint("it is not a GGUF file, or damaged; fetch it again"));
        }
    }
    match reader.u32()? {
        2 | 3 => {}
        1 => {
            let error = used(path, "it is of version 1 of GGUF, which nobody reads any more");
            return Err(error.with_hint("convert the original model anew, or take a newer file"));
        }
        version if version.swap_bytes() <= 0xffff && version != 0 => {
            let error = used(path, "it is big-endian (made for s390x), and karat reads little-endian files");
            return Err(error.with_hint("take the usual file, or turn it round with gguf_convert_endian.py little"));
        }
        version => {
            let error = used(path, format!("it is of version {version} of GGUF, and karat reads 2 and 3"));
            return Err(error.with_hint("update karat, or take an older file"));
        }
    }
    let (tensors, fields) = (reader.u64()?, reader.u64()?);
    let mut header = Header { fields: BTreeMap::new(), tensors: Vec::new(), data: 0 };
    for _ in 0..fields {
        let key = reader.text(LONGEST_KEY)?;
        let kind = reader.u32()?;
        let value = reader.value(kind, 0)?;
        header.fields.insert(key, value);
    }
    for _ in 0..tensors {
        let name = reader.text(LONGEST_KEY)?;
        let dimensions = reader.u32()?;
        if dimensions > MOST_DIMENSIONS {
            return Err(broken(path, &format!("gives tensor `{name}` {dimensions} dimensions")));
        }
        let sizes = (0..dimensions).map(|_| reader.u64()).collect::<Result<_>>()?;
        let (kind, offset) = (reader.u32()?, reader.u64()?);
        header.tensors.push(Tensor { name, sizes, kind, offset });
    }
    let alignment = header.count("general.alignment").unwrap_or(32);
    if alignment == 0 || alignment > 1 << 20 {
        return Err(broken(path, &format!("asks for an alignment of {alignment}")));
    }
    header.data = reader.at.next_multiple_of(alignment);
    Ok(header)
}

struct Reader<'a> {
    file: BufReader<File>,
    at: u64,
    len: u64,
    path: &'a Path,
}

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.take(N as u64)?;
        self.file.read_exact(&mut bytes).map_err(|e| Error::io("read", self.path, e))?;
        Ok(bytes)
    }

    /// Counts bytes that are about to be read.
    fn take(&mut self, count: u64) -> Result<()> {
        match self.at.checked_add(count).filter(|end| *end <= self.len) {
            Some(end) => {
                self.at = end;
                Ok(())
            }
            None => Err(broken(self.path, &format!("goes on behind the end of the file at byte {}", self.len))),
        }
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn skip(&mut self, count: u64) -> Result<()> {
        self.take(count)?;
        let count = i64::try_from(count).map_err(|_| broken(self.path, "holds a length that no file has"))?;
        self.file.seek_relative(count).map_err(|e| Error::io("read", self.path, e))
    }

    fn text(&mut self, longest: u64) -> Result<String> {
        let len = self.u64()?;
        if len > longest {
            return Err(broken(self.path, &format!("holds a text of {len} bytes")));
        }
        self.take(len)?;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        self.file.read_exact(&mut bytes).map_err(|e| Error::io("read", self.path, e))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn value(&mut self, kind: u32, depth: usize) -> Result<Field> {
        let small = |bytes: &[u8]| Field::Count(bytes.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte)));
        match kind {
            0 => self.array::<1>().map(|bytes| small(&bytes)),
            2 => self.array::<2>().map(|bytes| small(&bytes)),
            4 => self.array::<4>().map(|bytes| small(&bytes)),
            10 => self.array::<8>().map(|bytes| small(&bytes)),
            5 => self.array::<4>().map(|b| u64::try_from(i32::from_le_bytes(b)).map_or(Field::Other, Field::Count)),
            1 | 7 => self.skip(1).map(|()| Field::Other),
            3 => self.skip(2).map(|()| Field::Other),
            6 => self.skip(4).map(|()| Field::Other),
            11 | 12 => self.skip(8).map(|()| Field::Other),
            8 => self.text(LONGEST_TEXT).map(Field::Text),
            9 => {
                let (kind, count) = (self.u32()?, self.u64()?);
                self.items(kind, count, depth + 1)?;
                Ok(Field::Other)
            }
            other => Err(broken(self.path, &format!("holds a value of the unknown type {other}"))),
        }
    }

    /// Skips the items of an array.
    fn items(&mut self, kind: u32, count: u64, depth: usize) -> Result<()> {
        let width = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            8 => {
                for _ in 0..count {
                    let len = self.u64()?;
                    self.skip(len)?;
                }
                return Ok(());
            }
            9 if depth < DEEPEST => {
                for _ in 0..count {
                    self.value(9, depth)?;
                }
                return Ok(());
            }
            other => return Err(broken(self.path, &format!("holds an array of the unknown type {other}"))),
        };
        match count.checked_mul(width) {
            Some(bytes) => self.skip(bytes),
            None => Err(broken(self.path, "holds an array that no file has")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of a header: texts and counts as metadata, tensors of 256 values with the given types.
    fn file(version: u32, texts: &[(&str, &str)], counts: &[(&str, u16)], types: &[u32]) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        let text = |bytes: &mut Vec<u8>, text: &str| {
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes.extend(text.as_bytes());
        };
        bytes.extend(version.to_le_bytes());
        bytes.extend((types.len() as u64).to_le_bytes());
        bytes.extend(((texts.len() + counts.len() + 1) as u64).to_le_bytes());
        for (key, value) in texts {
            text(&mut bytes, key);
            bytes.extend(8u32.to_le_bytes());
            text(&mut bytes, value);
        }
        for (key, value) in counts {
            text(&mut bytes, key);
            bytes.extend(2u32.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        // Lists are skipped: one of texts, within one of lists.
        text(&mut bytes, "tokenizer.ggml.tokens");
        bytes.extend(9u32.to_le_bytes());
        bytes.extend(9u32.to_le_bytes());
        bytes.extend(1u64.to_le_bytes());
        bytes.extend(8u32.to_le_bytes());
        bytes.extend(2u64.to_le_bytes());
        text(&mut bytes, "a");
        text(&mut bytes, "bc");
        for (number, kind) in types.iter().enumerate() {
            text(&mut bytes, &format!("blk.{number}.weight"));
            bytes.extend(1u32.to_le_bytes());
            bytes.extend(256u64.to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend(0u64.to_le_bytes());
        }
        bytes.resize(bytes.len().next_multiple_of(32) + 1024, 0);
        bytes
    }

    /// What is wrong with bytes under a name, behind "failed to use `PATH`: ".
    fn told(name: &str, bytes: &[u8]) -> Option<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        let error = check(&path).err()?;
        assert!(error.hint().is_some(), "{error:?}");
        let what = error.chain();
        Some(
            what.strip_prefix(&format!("failed to use `{}`: ", path.display()))
                .unwrap_or_else(|| panic!("{what}"))
                .to_owned(),
        )
    }

    #[test]
    fn every_type_is_read_or_named() {
        for (number, name, block) in TYPES {
            let told = told("x.gguf", &file(3, &[], &[], &[0, number, number]));
            let expected = format!("tensor `blk.1.weight` (and 1 more) is of type {name}, which karat does not read");
            assert_eq!(told, block.is_none().then_some(expected), "{name}");
        }
        let told = told("x.gguf", &file(3, &[], &[], &[0, 777])).expect("refused");
        assert!(told.contains("`blk.1.weight` is of type 777"), "{told}");
        let numbers: Vec<u32> = TYPES.iter().map(|(number, ..)| *number).collect();
        assert_eq!(numbers, (0..TYPES.len() as u32).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_no_whole_model_is_named() {
        let kind = |kind: &str| told("x.gguf", &file(3, &[("general.type", kind)], &[], &[0]));
        assert_eq!(kind("model"), None);
        assert!(kind("adapter").is_some_and(|told| told.contains("LoRA adapter")));
        assert!(kind("mmproj").is_some_and(|told| told.contains("vision part")));
        assert!(kind("imatrix").is_some_and(|told| told.contains("importance matrix")));
        assert!(kind("elephant").is_some_and(|told| told.contains("`elephant`")));
        let clip = told("x.gguf", &file(3, &[("general.architecture", "clip")], &[], &[0]));
        assert!(clip.is_some_and(|told| told.contains("vision part")));
        assert!(told("x.gguf", &file(3, &[], &[], &[])).is_some_and(|told| told.contains("no tensors")));
        let parts = "a split GGUF is not supported";
        assert!(told("x-00001-of-00002.gguf", &file(3, &[], &[], &[0])).is_some_and(|told| told.contains(parts)));
        assert_eq!(told("x-00001-of-00001.gguf", &file(3, &[], &[], &[0])), None);
        let counted = file(3, &[], &[("split.count", 3)], &[0]);
        assert!(told("x.gguf", &counted).is_some_and(|told| told.starts_with("it is one of 3 parts")));
        assert_eq!(told("x.gguf", &file(3, &[], &[("split.count", 1)], &[0])), None);
    }

    #[test]
    fn magic_version_and_length_are_looked_at() {
        let good = file(3, &[], &[], &[0, 12]);
        assert_eq!(told("x.gguf", &good), None);
        assert_eq!(told("x.gguf", &file(2, &[], &[], &[0])), None);
        let version = |version: u32| told("x.gguf", &file(version, &[], &[], &[0])).expect("refused");
        assert!(version(1).contains("version 1"));
        assert!(version(4).contains("version 4"));
        assert!(version(3u32.swap_bytes()).contains("big-endian"));
        assert!(told("x.gguf", b"lmgg\x01\0\0\0").is_some_and(|told| told.contains("before GGUF")));
        assert!(told("x.gguf", b"\0\x01\x02\x03\x04").is_some());
        assert!(told("x.gguf", b"<!DOCTYPE html><html>").is_some_and(|told| told.contains("an HTML page")));
        assert!(told("x.gguf", b"").is_some_and(|told| told.contains("empty")));
        assert!(told("x.gguf", &good[..good.len() - 100]).is_some_and(|told| told.contains("truncated")));
        for len in 4..good.len() - 1024 {
            assert!(told("x.gguf", &good[..len]).is_some(), "{len}");
        }
    }

    #[test]
    fn parts_are_told_by_their_names() {
        assert_eq!(split_name(Path::new("a/x-00002-of-00010.gguf")), Some((2, 10)));
        for name in ["x.gguf", "x-1-of-2.gguf", "x-of-00002.gguf", "x-0000a-of-00002.gguf"] {
            assert_eq!(split_name(Path::new(name)), None, "{name}");
        }
    }
}
