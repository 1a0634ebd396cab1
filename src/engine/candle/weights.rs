//! Weights of a model folder: `model.safetensors`, the shards of `model.safetensors.index.json`, or one GGUF file.
//!
//! Files are memory-mapped; each tensor is checked against the shape that the configuration implies and packed once into the
//! layout of its product ([`Linear`]), and its pages are given back at once, so that the peak stays near one copy of the
//! model.
#![expect(unsafe_code, reason = "mmap file: mapping a file and giving its pages back")]

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::{Mmap, UncheckedAdvice};
use rayon::prelude::*;
use safetensors::tensor::Dtype;

use super::gguf;
use super::linear::{Kind, Linear, Quantized, Weights};
use crate::engine::model_kind::{is_gguf, missing_shards, several_gguf, without_weights};
use crate::engine::options::DtypeChoice;
use crate::error::{Error, Result, nearest};

/// How the values of a tensor are stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// bfloat16.
    Bf16,
    /// A quantised type of ggml.
    Quantized(Kind),
    /// A type that karat does not compute with.
    Other(String),
}

impl Stored {
    /// The name in `karat models`.
    fn name(&self) -> String {
        match self {
            Self::Quantized(kind) => format!("{kind:?}").to_lowercase(),
            Self::Other(name) => name.clone(),
            float => format!("{float:?}").to_lowercase(),
        }
    }

    /// Values of a block and its bytes.
    pub(super) fn block(&self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Quantized(kind) => (kind.block(), kind.bytes()),
            Self::Other(_) => (1, 0),
        }
    }
}

struct Entry {
    file: usize,
    stored: Stored,
    shape: Vec<usize>,
    /// Byte range in the file.
    range: (usize, usize),
    /// See [`gguf::Tensor::interleaved`].
    interleaved: Option<usize>,
}

impl Entry {
    /// Where output `row` of the model stands among the rows of the file: ggml's converter puts the two halves of a rotated
    /// head side by side (`LlamaModel.permute` of `convert_hf_to_gguf.py`).
    fn row(&self, row: usize) -> usize {
        let Some(heads) = self.interleaved else { return row };
        let size = self.shape[0] / heads;
        row / size * size + row % size % (size / 2) * 2 + row % size / (size / 2)
    }
}

/// A matrix of a layer, by its name without `.weight` and `.bias`.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// The name.
    pub name: String,
    /// Number of outputs.
    pub outputs: usize,
    /// How it lies in the file.
    pub order: Order,
}

impl Matrix {
    /// One that lies output by output.
    pub fn new(name: String, outputs: usize) -> Self {
        Self { name, outputs, order: Order::Rows }
    }
}

/// How a matrix lies in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `[outputs, inputs]`.
    Rows,
    /// `[inputs, outputs]`.
    Columns,
    /// `[outputs, inputs]`, the query, key and value rows of each of so many heads together; outputs are all queries, then
    /// all keys, then all values.
    ByHead(usize),
    /// The one with this number in a stack of `of`, `[of, outputs, inputs]`, whose name may or may not end in `.weight`.
    Slice {
        /// Which one.
        number: usize,
        /// How many there are.
        of: usize,
    },
}

impl Order {
    fn shape(self, outputs: usize, inputs: usize) -> Vec<usize> {
        match self {
            Self::Rows | Self::ByHead(_) => vec![outputs, inputs],
            Self::Columns => vec![inputs, outputs],
            Self::Slice { of, .. } => vec![of, outputs, inputs],
        }
    }

    /// The row in the file of an output.
    fn row(self, output: usize, outputs: usize) -> usize {
        match self {
            Self::Rows | Self::Columns => output,
            Self::ByHead(heads) => {
                let size = outputs / heads / 3;
                let (kind, head, at) = (output / (heads * size), output / size % heads, output % size);
                (3 * head + kind) * size + at
            }
            Self::Slice { number, .. } => number * outputs + output,
        }
    }
}

/// All tensors of a model folder.
pub struct Checkpoint {
    folder: PathBuf,
    dtype: DtypeChoice,
    files: Vec<(PathBuf, Mmap)>,
    tensors: BTreeMap<String, Entry>,
}

/// The GGUF file of a folder without safetensors, or the file itself that is named.
///
/// # Errors
/// There are several, so that it is open which one is meant, or the folder cannot be read.
pub fn gguf_file(folder: &Path) -> Result<Option<PathBuf>> {
    if folder.is_file() {
        return Ok(is_gguf(folder).then(|| folder.into()));
    }
    if ["model.safetensors", "model.safetensors.index.json"].iter().any(|name| folder.join(name).is_file()) {
        return Ok(None);
    }
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io("read the model folder", folder, e))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|path| is_gguf(path)).collect();
    files.sort();
    match files.as_slice() {
        [_, _, ..] => Err(several_gguf(folder, &files)),
        _ => Ok(files.pop()),
    }
}

/// What a folder's GGUF file says in the place of a `config.json`, with the file's path; `None` if it has no such file.
///
/// # Errors
/// The file is broken, or of an architecture that is not supported.
pub fn gguf_config(folder: &Path) -> Result<Option<(PathBuf, serde_json::Value)>> {
    let Some(path) = gguf_file(folder)? else { return Ok(None) };
    let config = gguf::read(&path, &map(&path)?)?.config;
    Ok(Some((path, config)))
}

/// What a folder's GGUF file says of its tokenizer and chat template (see `gguf::metadata`), with the file's path; `None` if
/// it has no such file.
///
/// # Errors
/// The file is broken, or there are several.
pub fn gguf_metadata(folder: &Path) -> Result<Option<(PathBuf, serde_json::Map<String, serde_json::Value>)>> {
    let Some(path) = gguf_file(folder)? else { return Ok(None) };
    let metadata = gguf::metadata(&path, &map(&path)?)?;
    Ok(Some((path, metadata)))
}

fn map(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    // SAFETY: the map is read-only; karat, like every tool that maps weights, relies on nobody truncating the file while it
    // runs.
    unsafe { Mmap::map(&file) }.map_err(|e| Error::io("map", path, e))
}

/// The weight files of a folder, in a stable order.
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
        return Ok(vec![gguf_file(folder)?.ok_or_else(|| without_weights(folder))?]);
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
    let missing: Vec<&PathBuf> = files.iter().filter(|file| !file.is_file()).collect();
    match missing.is_empty() {
        false => Err(missing_shards(folder, &missing)),
        true if files.is_empty() => Err(Error::input("find any shard in the weight index").at(&index)),
        true => Ok(files),
    }
}

/// Number of values by type (`f16`), over the float tensors of a folder: buffers of whole numbers are no weights.
///
/// # Errors
/// Missing, truncated or broken files.
pub fn count_weights(folder: &Path) -> Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    for entry in Checkpoint::open(folder, DtypeChoice::Auto)?.tensors.values() {
        if !matches!(&entry.stored, Stored::Other(name) if name != "f64") {
            let count: usize = entry.shape.iter().product();
            *counts.entry(entry.stored.name()).or_default() += count as u64;
        }
    }
    Ok(counts)
}

impl Checkpoint {
    /// Maps the files of a folder and reads their headers. `dtype` says in which type products will be computed.
    ///
    /// # Errors
    /// Missing, truncated or broken files.
    pub fn open(folder: &Path, dtype: DtypeChoice) -> Result<Self> {
        let mut checkpoint = Self { folder: folder.into(), dtype, files: Vec::new(), tensors: BTreeMap::new() };
        for path in weight_files(folder)? {
            let map = map(&path)?;
            match is_gguf(&path) {
                true => checkpoint.add_gguf(&path, &map)?,
                false => checkpoint.add_safetensors(&path, &map)?,
            }
            checkpoint.files.push((path, map));
        }
        Ok(checkpoint)
    }

    fn add_safetensors(&mut self, path: &Path, map: &[u8]) -> Result<()> {
        let broken = |e: safetensors::SafeTensorError| {
            Error::input(format!("read the safetensors header of `{}`", path.display()))
                .caused_by(e.to_string())
                .with_hint("the file is truncated or not a safetensors file; fetch it again")
        };
        let (header, metadata) = safetensors::SafeTensors::read_metadata(map).map_err(broken)?;
        for (name, info) in metadata.tensors() {
            let range = (header + 8 + info.data_offsets.0, header + 8 + info.data_offsets.1);
            let stored = match info.dtype {
                Dtype::F32 => Stored::F32,
                Dtype::F16 => Stored::F16,
                Dtype::BF16 => Stored::Bf16,
                other => Stored::Other(format!("{other:?}").to_lowercase()),
            };
            self.add(
                name,
                Entry { file: self.files.len(), stored, shape: info.shape.clone(), range, interleaved: None },
                path,
                map,
            )?;
        }
        Ok(())
    }

    fn add_gguf(&mut self, path: &Path, map: &[u8]) -> Result<()> {
        for gguf::Tensor { name, stored, shape, start, interleaved } in gguf::read(path, map)?.tensors {
            let (values, bytes) = stored.block();
            let count = shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
            let width = shape.last().copied().unwrap_or(1);
            let halves =
                interleaved.is_none_or(|heads| shape.first().is_some_and(|rows| rows.is_multiple_of(2 * heads)));
            let end = count.and_then(|n| (n / values).checked_mul(bytes)).and_then(|len| start.checked_add(len));
            let (true, true, Some(end)) = (width.is_multiple_of(values), halves, end) else {
                return Err(
                    Error::input(format!("read tensor `{name}` of shape {shape:?} as {}", stored.name())).at(path)
                );
            };
            let range = (start, end);
            self.add(name, Entry { file: self.files.len(), stored, shape, range, interleaved }, path, map)?;
        }
        Ok(())
    }

    fn add(&mut self, name: String, entry: Entry, path: &Path, map: &[u8]) -> Result<()> {
        if entry.range.1 > map.len() {
            return Err(Error::input(format!("read tensor `{name}` of `{}`", path.display())).with_hint(format!(
                "the file ends at byte {}, the tensor at byte {}: it is truncated; fetch it again",
                map.len(),
                entry.range.1
            )));
        }
        self.tensors.insert(name, entry);
        Ok(())
    }

    /// The type in which products are computed.
    pub fn dtype(&self) -> DtypeChoice {
        self.dtype
    }

    /// Whether a tensor of this name exists.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Whether two tensors, of which both are there, differ in shape or in any value.
    pub fn differ(&self, one: &str, other: &str) -> bool {
        let (Some(a), Some(b)) = (self.tensors.get(one), self.tensors.get(other)) else { return true };
        if a.shape != b.shape || a.interleaved != b.interleaved {
            return true;
        }
        if a.stored == b.stored {
            // Bytes that differ may be equal values only by the sign of a zero, which changes no product.
            return self.bytes(a) != self.bytes(b);
        }
        let (Ok(a), Ok(b)) = (self.reader(a, one), self.reader(b, other)) else { return true };
        let count: usize = self.tensors[one].shape.iter().product();
        (0..count).into_par_iter().any(|i| a.get(i) != b.get(i))
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

    fn bytes(&self, entry: &Entry) -> &[u8] {
        &self.files[entry.file].1[entry.range.0..entry.range.1]
    }

    fn unknown(&self, entry: &Entry, name: &str) -> Error {
        Error::input(format!("use tensor `{name}` of type {}", entry.stored.name()))
            .at(&self.files[entry.file].0)
            .with_hint("karat reads f32, f16 and bf16 weights, and from GGUF files q4_0 to q8_0 and q2_k to q6_k")
    }

    fn reader<'a>(&'a self, entry: &Entry, name: &str) -> Result<Reader<'a>> {
        let bytes = self.bytes(entry);
        match entry.stored {
            Stored::F32 => Ok(Reader::F32(bytes)),
            Stored::F16 => Ok(Reader::F16(bytes)),
            Stored::Bf16 => Ok(Reader::Bf16(bytes)),
            Stored::Quantized(_) | Stored::Other(_) => Err(self.unknown(entry, name)),
        }
    }

    /// A vector of `len` values.
    pub fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>> {
        let entry = self.entry(name, &[len])?;
        let reader = self.reader(entry, name)?;
        Ok((0..len).map(|i| reader.get(entry.row(i))).collect())
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

    /// A tensor of any shape as it lies in the file, widened to f32.
    pub fn array(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let reader = self.reader(self.entry(name, shape)?, name)?;
        Ok((0..shape.iter().product()).map(|i| reader.get(i)).collect())
    }

    /// A layer whose weights, `get(output, input)`, do not lie in a file as a matrix.
    pub fn made(
        &self,
        (outputs, inputs): (usize, usize),
        bias: Option<Vec<f32>>,
        get: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Linear {
        Linear::new(vec![(outputs, float(self.dtype, inputs, outputs, get))], inputs, bias)
    }

    /// As [`Checkpoint::matrices`], of matrices that lie output by output: names without `.weight`/`.bias` and outputs.
    pub fn linear(&self, parts: &[(&str, usize)], inputs: usize, bias: bool) -> Result<Linear> {
        let parts: Vec<Matrix> = parts.iter().map(|(name, outputs)| Matrix::new((*name).into(), *outputs)).collect();
        self.matrices(&parts, inputs, bias)
    }

    /// Matrices side by side as one `inputs × Σ outputs` layer, with their biases if `bias`.
    pub fn matrices(&self, parts: &[Matrix], inputs: usize, bias: bool) -> Result<Linear> {
        // Before the memory is taken: a wrong configuration may ask for any amount.
        for part in parts {
            self.entry(&self.name(part), &part.order.shape(part.outputs, inputs))?;
        }
        let packed = parts.iter().map(|part| Ok((part.outputs, self.weights(part, inputs)?)));
        let packed = packed.collect::<Result<_>>()?;
        let mut biases = bias.then(Vec::new);
        if let Some(biases) = &mut biases {
            for Matrix { name, outputs, order } in parts {
                let values = self.vector(&format!("{name}.bias"), *outputs)?;
                biases.extend((0..*outputs).map(|output| values[order.row(output, *outputs)]));
            }
        }
        Ok(Linear::new(packed, inputs, biases))
    }

    /// The name of a matrix in the file: stacks of experts may be parameters of their own.
    fn name(&self, matrix: &Matrix) -> String {
        match matrix.order {
            Order::Slice { .. } if self.contains(&matrix.name) => matrix.name.clone(),
            _ => format!("{}.weight", matrix.name),
        }
    }

    /// A matrix, packed.
    fn weights(&self, matrix: &Matrix, inputs: usize) -> Result<Weights> {
        let (name, outputs, order) = (self.name(matrix), matrix.outputs, matrix.order);
        let entry = self.entry(&name, &order.shape(outputs, inputs))?;
        let row = |output: usize| match order {
            Order::Slice { .. } => order.row(output, outputs),
            _ => entry.row(order.row(output, outputs)),
        };
        let weights = match &entry.stored {
            Stored::Quantized(_) if order == Order::Columns => return Err(self.unknown(entry, &name)),
            Stored::Quantized(kind) => {
                let packed = Quantized::pack(*kind, self.bytes(entry), inputs, outputs, row);
                match self.dtype {
                    DtypeChoice::Auto => Weights::Quantized(packed),
                    dtype => {
                        let rows: Vec<Vec<f32>> = (0..outputs).into_par_iter().map(|row| packed.output(row)).collect();
                        float(dtype, inputs, outputs, |output, input| rows[output][input])
                    }
                }
            }
            _ => {
                let reader = self.reader(entry, &name)?;
                match order {
                    Order::Columns => {
                        float(self.dtype, inputs, outputs, |output, input| reader.get(input * outputs + output))
                    }
                    _ => float(self.dtype, inputs, outputs, |output, input| reader.get(row(output) * inputs + input)),
                }
            }
        };
        self.release(entry);
        Ok(weights)
    }
}

/// Weights in the float type of a choice.
fn float(dtype: DtypeChoice, inputs: usize, outputs: usize, get: impl Fn(usize, usize) -> f32 + Sync) -> Weights {
    match dtype {
        DtypeChoice::Bf16 => Weights::bf16(inputs, outputs, get),
        DtypeChoice::Auto | DtypeChoice::F32 | DtypeChoice::F16 => Weights::f32(inputs, outputs, get),
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
