//! Weights of a Hugging Face folder: `model.safetensors` or the shards of `model.safetensors.index.json`.
//!
//! Files are memory-mapped; each tensor is checked against the shape that the configuration implies, widened to f32 and
//! transposed once to K×N, and its pages are given back at once, so that the peak stays near one copy of the model.
#![expect(unsafe_code, reason = "mmap file: mapping a file and giving its pages back")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::{Mmap, UncheckedAdvice};
use rayon::prelude::*;
use safetensors::tensor::{Dtype, Metadata};

use super::linear::{Linear, padded_columns};
use crate::error::{Error, Result, nearest};

/// Rows of the K×N result that one parallel task writes.
const TRANSPOSE_ROWS: usize = 16;

struct Entry {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Byte range in the file.
    range: (usize, usize),
}

/// All tensors of a model folder.
pub struct Checkpoint {
    folder: PathBuf,
    files: Vec<(PathBuf, Mmap)>,
    tensors: BTreeMap<String, Entry>,
}

/// The safetensors files of a folder, in a stable order.
///
/// # Errors
/// There are none, or the index is broken or names files that are missing.
pub fn weight_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let single = folder.join("model.safetensors");
    if single.is_file() {
        return Ok(vec![single]);
    }
    let index = folder.join("model.safetensors.index.json");
    if !index.is_file() {
        return Err(Error::input(format!("find weights in `{}`", folder.display())).with_hint(
            "a model folder holds `model.safetensors`, or shards with `model.safetensors.index.json`; \
             PyTorch `.bin` files must be converted first",
        ));
    }
    let text = std::fs::read_to_string(&index).map_err(|e| Error::io("read", &index, e))?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|e| {
        Error::input("parse the weight index").at_column(&index, e.line() as u64, e.column() as u64).caused_by(e)
    })?;
    let Some(map) = value.get("weight_map").and_then(|m| m.as_object()) else {
        return Err(Error::input("find `weight_map` in the weight index").at(&index));
    };
    let mut files: Vec<PathBuf> = Vec::new();
    for file in map.values() {
        let name = file.as_str().unwrap_or_default();
        let plain = Path::new(name).file_name().is_some_and(|n| n == name);
        if !plain {
            return Err(Error::input(format!("use the shard name `{name}`")).at(&index));
        }
        files.push(folder.join(name));
    }
    files.sort();
    files.dedup();
    match files.iter().find(|f| !f.is_file()) {
        Some(missing) => Err(Error::input(format!("find the shard `{}`", missing.display())).at(&index)),
        None if files.is_empty() => Err(Error::input("find any shard in the weight index").at(&index)),
        None => Ok(files),
    }
}

/// Number of values by type (`f16`), over the float tensors of a folder: buffers of whole numbers are no weights.
///
/// # Errors
/// Missing, truncated or broken files.
pub fn count_weights(folder: &Path) -> Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    for entry in Checkpoint::open(folder)?.tensors.values() {
        if matches!(entry.dtype, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16) {
            let count: usize = entry.shape.iter().product();
            *counts.entry(format!("{:?}", entry.dtype).to_lowercase()).or_default() += count as u64;
        }
    }
    Ok(counts)
}

impl Checkpoint {
    /// Maps the files of a folder and reads their headers.
    ///
    /// # Errors
    /// Missing, truncated or broken files.
    pub fn open(folder: &Path) -> Result<Self> {
        let mut checkpoint = Self { folder: folder.into(), files: Vec::new(), tensors: BTreeMap::new() };
        for path in weight_files(folder)? {
            checkpoint.add(path)?;
        }
        Ok(checkpoint)
    }

    fn add(&mut self, path: PathBuf) -> Result<()> {
        let file = File::open(&path).map_err(|e| Error::io("open", &path, e))?;
        // SAFETY: the map is read-only; karat, like every tool that maps weights, relies on nobody truncating the file
        // while it runs.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io("map", &path, e))?;
        let broken = |e: safetensors::SafeTensorError| {
            Error::input(format!("read the safetensors header of `{}`", path.display()))
                .caused_by(e.to_string())
                .with_hint("the file is truncated or not a safetensors file; fetch it again")
        };
        let (header, metadata) = safetensors::SafeTensors::read_metadata(&map).map_err(broken)?;
        self.index(&metadata, header + 8, map.len(), &path)?;
        self.files.push((path, map));
        Ok(())
    }

    fn index(&mut self, metadata: &Metadata, start: usize, len: usize, path: &Path) -> Result<()> {
        for (name, info) in metadata.tensors() {
            let range = (start + info.data_offsets.0, start + info.data_offsets.1);
            if range.1 > len {
                return Err(Error::input(format!("read tensor `{name}` of `{}`", path.display())).with_hint(format!(
                    "the file ends at byte {len}, the tensor at byte {}: it is truncated; fetch it again",
                    range.1
                )));
            }
            let entry = Entry { file: self.files.len(), dtype: info.dtype, shape: info.shape.clone(), range };
            self.tensors.insert(name.clone(), entry);
        }
        Ok(())
    }

    /// Whether a tensor of this name exists.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn entry(&self, name: &str, shape: &[usize]) -> Result<&Entry> {
        let Some(entry) = self.tensors.get(name) else {
            let hint = nearest(name, self.tensors.keys().map(String::as_str).take(400));
            let hint =
                if hint.len() > 200 { format!("the weights hold {} other tensors", self.tensors.len()) } else { hint };
            return Err(Error::input(format!("find tensor `{name}` in `{}`", self.folder.display())).with_hint(hint));
        };
        if entry.shape != shape {
            return Err(Error::input(format!(
                "use tensor `{name}` of shape {:?} where config.json implies {shape:?}",
                entry.shape
            ))
            .at(&self.files[entry.file].0)
            .with_hint("config.json and the weights belong to different models, or one of them was edited"));
        }
        Ok(entry)
    }

    /// Gives the mapped pages of a tensor back to the system.
    fn release(&self, entry: &Entry) {
        let (from, to) = entry.range;
        // SAFETY: the map is read-only and backed by the file, so dropped pages are read again if needed.
        let advice =
            unsafe { self.files[entry.file].1.unchecked_advise_range(UncheckedAdvice::DontNeed, from, to - from) };
        // Advice is only advice: where the system refuses, the pages stay until the map is closed.
        drop(advice);
    }

    fn reader<'a>(&'a self, entry: &Entry, name: &str) -> Result<Reader<'a>> {
        let bytes = &self.files[entry.file].1[entry.range.0..entry.range.1];
        match entry.dtype {
            Dtype::F32 => Ok(Reader::F32(bytes)),
            Dtype::F16 => Ok(Reader::F16(bytes)),
            Dtype::BF16 => Ok(Reader::Bf16(bytes)),
            other => Err(Error::input(format!("use tensor `{name}` of type {other:?}"))
                .at(&self.files[entry.file].0)
                .with_hint("karat reads f32, f16 and bf16 weights")),
        }
    }

    /// A vector of `len` values.
    pub fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>> {
        let entry = self.entry(name, &[len])?;
        let reader = self.reader(entry, name)?;
        Ok((0..len).map(|i| reader.get(i)).collect())
    }

    /// A table `[rows, width]` as it lies in the file, widened to f32.
    pub fn table(&self, name: &str, rows: usize, width: usize) -> Result<Vec<f32>> {
        let entry = self.entry(name, &[rows, width])?;
        let reader = self.reader(entry, name)?;
        let mut out = vec![0.0; rows * width];
        out.par_chunks_mut(width.max(1)).enumerate().for_each(|(row, out)| {
            for (i, x) in out.iter_mut().enumerate() {
                *x = reader.get(row * width + i);
            }
        });
        self.release(entry);
        Ok(out)
    }

    /// Weights `[outputs, inputs]` side by side as one `inputs × Σ outputs` layer, with their biases if `bias`.
    ///
    /// `parts` are names without `.weight`/`.bias` and their numbers of outputs.
    pub fn linear(&self, parts: &[(&str, usize)], inputs: usize, bias: bool) -> Result<Linear> {
        // Before the memory is taken: a wrong configuration may ask for any amount.
        for (name, outputs) in parts {
            self.entry(&format!("{name}.weight"), &[*outputs, inputs])?;
        }
        let outputs: usize = parts.iter().map(|p| p.1).sum();
        let columns = padded_columns(outputs);
        let mut values = vec![0.0f32; inputs * columns];
        let mut at = 0;
        for (name, outputs) in parts {
            self.transpose(&format!("{name}.weight"), *outputs, (&mut values, inputs, columns), at)?;
            at += outputs;
        }
        let mut biases = bias.then(|| Vec::with_capacity(outputs));
        if let Some(biases) = &mut biases {
            for (name, outputs) in parts {
                biases.extend(self.vector(&format!("{name}.bias"), *outputs)?);
            }
        }
        Linear::new(values, inputs, outputs, biases)
    }

    /// Writes `[outputs, inputs]` transposed into columns `at..at + outputs` of an `inputs × columns` matrix.
    fn transpose(&self, name: &str, outputs: usize, to: (&mut [f32], usize, usize), at: usize) -> Result<()> {
        let (to, inputs, columns) = to;
        let entry = self.entry(name, &[outputs, inputs])?;
        let reader = self.reader(entry, name)?;
        to.par_chunks_mut(columns * TRANSPOSE_ROWS).enumerate().for_each(|(task, rows)| {
            let first = task * TRANSPOSE_ROWS;
            for column in 0..outputs {
                for (i, row) in rows.chunks_exact_mut(columns).enumerate() {
                    row[at + column] = reader.get(column * inputs + first + i);
                }
            }
        });
        self.release(entry);
        Ok(())
    }
}

/// Values of a mapped tensor, widened one by one.
enum Reader<'a> {
    F32(&'a [u8]),
    F16(&'a [u8]),
    Bf16(&'a [u8]),
}

impl Reader<'_> {
    #[inline(always)]
    fn get(&self, i: usize) -> f32 {
        match self {
            Self::F32(b) => f32::from_le_bytes([b[4 * i], b[4 * i + 1], b[4 * i + 2], b[4 * i + 3]]),
            Self::F16(b) => half::f16::from_le_bytes([b[2 * i], b[2 * i + 1]]).to_f32(),
            Self::Bf16(b) => half::bf16::from_le_bytes([b[2 * i], b[2 * i + 1]]).to_f32(),
        }
    }
}
