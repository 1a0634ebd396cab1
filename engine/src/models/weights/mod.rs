//! Weights of a model folder: `model.safetensors`, the shards of `model.safetensors.index.json`, or one GGUF file.
//!
//! Each tensor is checked against the shape that the configuration implies, read into memory of its own, its bytes held
//! against the hash of the file ([`HashedFile`]), and packed once into the layout of its product ([`Linear`]); what was read
//! goes at once, so that the peak stays near one copy of the model. Nothing is mapped: a map shows what others write into the
//! file, after it was hashed.

mod files;
mod header;
mod order;
mod reader;
mod stored;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rayon::prelude::*;
use safetensors::tensor::Dtype;

use super::gguf;
use super::hashed_file::HashedFile;
use super::kind::{in_two_shards, is_gguf, without_weights};
use super::model_folder::ModelFolder;
use crate::cpu::linear::{Linear, Quantized, Weights};
use crate::error::{Error, Result, nearest};
use crate::options::DtypeChoice;

pub use files::{gguf_config, gguf_file, gguf_metadata, weight_files};
pub use order::{Matrix, Order};
pub(crate) use stored::Stored;

use header::safetensors_header;
use reader::Reader;

/// Rows of two tensors that are in memory at once while they are compared.
const COMPARED_ROWS: usize = 1024;

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
    /// Rows of its bytes: a stack has those of all its matrices.
    fn rows(&self) -> usize {
        let (_, rows) = self.shape.split_last().unwrap_or((&1, &[]));
        rows.iter().product()
    }

    /// Where output `row` of the model stands among the rows of the file: ggml's converter puts the two halves of a rotated
    /// head side by side (`LlamaModel.permute` of `convert_hf_to_gguf.py`).
    fn row(&self, row: usize) -> usize {
        let Some(heads) = self.interleaved else { return row };
        let size = self.shape[0] / heads;
        row / size * size + row % size % (size / 2) * 2 + row % size / (size / 2)
    }
}

/// All tensors of a model folder.
pub struct Checkpoint {
    folder: ModelFolder,
    dtype: DtypeChoice,
    /// Tensors are held against what is asked of them, and not read: what is given has no values.
    headers_only: bool,
    files: Vec<Arc<HashedFile>>,
    tensors: BTreeMap<String, Entry>,
}

/// Number of values by type (`f16`), over the float tensors of a folder: buffers of whole numbers are no weights.
///
/// # Errors
/// Missing, truncated or broken files.
pub fn count_weights(folder: &ModelFolder) -> Result<BTreeMap<String, u64>> {
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
    /// Reads the headers of a folder's files. `dtype` says in which type products will be computed.
    ///
    /// # Errors
    /// Missing, truncated or broken files.
    pub fn open(folder: &ModelFolder, dtype: DtypeChoice) -> Result<Self> {
        Self::of_files(folder, &weight_files(folder)?, dtype)
    }

    /// The same for who asks only whether the weights fit: names, shapes and types are looked at, and no values. What it gives for
    /// a decoder is not to be computed with.
    ///
    /// # Errors
    /// Those of [`Checkpoint::open`].
    pub fn headers(folder: &ModelFolder) -> Result<Self> {
        let mut checkpoint = Self::open(folder, DtypeChoice::Auto)?;
        checkpoint.headers_only = true;
        Ok(checkpoint)
    }

    /// Another file of the same folder, which holds the weights of a module of its own.
    ///
    /// # Errors
    /// It is missing, truncated or broken.
    pub fn beside(&self, name: &str) -> Result<Self> {
        Self::of_files(&self.folder, &[name.to_owned()], self.dtype)
    }

    fn of_files(folder: &ModelFolder, names: &[String], dtype: DtypeChoice) -> Result<Self> {
        let (folder, headers_only, files, tensors) = (folder.clone(), false, Vec::new(), BTreeMap::new());
        let mut checkpoint = Self { folder, dtype, headers_only, files, tensors };
        for name in names {
            let folder = &checkpoint.folder;
            let Some(file) = folder.file(name)? else {
                return Err(without_weights(folder.path().join(name).parent().unwrap_or(folder.path())));
            };
            if is_gguf(Path::new(name)) {
                checkpoint.add_gguf(&file)?
            } else {
                checkpoint.add_safetensors(&file)?
            }
            file.forget();
            checkpoint.files.push(file);
        }
        Ok(checkpoint)
    }

    /// The folder that it was read from.
    pub fn folder(&self) -> &ModelFolder {
        &self.folder
    }

    fn add_safetensors(&mut self, file: &HashedFile) -> Result<()> {
        let (header, metadata) = safetensors_header(file)?;
        for (name, info) in metadata.tensors() {
            let range = (header + info.data_offsets.0, header + info.data_offsets.1);
            let stored = match info.dtype {
                Dtype::F32 => Stored::F32,
                Dtype::F16 => Stored::F16,
                Dtype::BF16 => Stored::Bf16,
                other => Stored::Other(format!("{other:?}").to_lowercase()),
            };
            self.add(
                name,
                Entry { file: self.files.len(), stored, shape: info.shape.clone(), range, interleaved: None },
                file,
            )?;
        }
        Ok(())
    }

    fn add_gguf(&mut self, file: &HashedFile) -> Result<()> {
        for gguf::Tensor { name, stored, shape, start, interleaved } in gguf::read(file)?.tensors {
            let (values, bytes) = stored.block();
            let count = shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
            let width = shape.last().copied().unwrap_or(1);
            let halves =
                interleaved.is_none_or(|heads| shape.first().is_some_and(|rows| rows.is_multiple_of(2 * heads)));
            let end = count.and_then(|n| (n / values).checked_mul(bytes)).and_then(|len| start.checked_add(len));
            let (true, true, Some(end)) = (width.is_multiple_of(values), halves, end) else {
                return Err(Error::input(format!("tensor `{name}` of shape {shape:?} is not {}", stored.name()))
                    .at(file.path()));
            };
            let range = (start, end);
            self.add(name, Entry { file: self.files.len(), stored, shape, range, interleaved }, file)?;
        }
        Ok(())
    }

    fn add(&mut self, name: String, entry: Entry, file: &HashedFile) -> Result<()> {
        if entry.range.1 as u64 > file.len() {
            return Err(Error::input(format!("failed to read tensor `{name}` of `{}`", file.path().display()))
                .with_hint(format!(
                    "the file ends at byte {}, the tensor at byte {}: it is truncated; fetch it again",
                    file.len(),
                    entry.range.1
                )));
        }
        if let Some(first) = self.tensors.get(&name).filter(|first| first.file != entry.file) {
            let name_of = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (one, other) = (name_of(self.files[first.file].path()), name_of(file.path()));
            return Err(in_two_shards(self.folder.path(), &name, (&one, &other)));
        }
        self.tensors.insert(name, entry);
        Ok(())
    }

    /// Whether a tensor of this name exists.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The shape of a tensor.
    #[cfg(feature = "reference")]
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|entry| entry.shape.clone())
    }

    /// Names of the tensors of floats: buffers of whole numbers are no weights.
    #[cfg(feature = "reference")]
    pub fn float_names(&self) -> impl Iterator<Item = &str> {
        let weight = |entry: &Entry| !matches!(entry.stored, Stored::Other(_));
        self.tensors.iter().filter(move |(_, entry)| weight(entry)).map(|(name, _)| name.as_str())
    }

    /// Whether two tensors, of which both are there, differ in shape or in any value.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn differ(&self, one: &str, other: &str) -> Result<bool> {
        let (Some(a), Some(b)) = (self.tensors.get(one), self.tensors.get(other)) else { return Ok(true) };
        if a.shape != b.shape || a.interleaved != b.interleaved {
            return Ok(true);
        }
        let widened = |entry: &Entry| matches!(entry.stored, Stored::F32 | Stored::F16 | Stored::Bf16);
        if a.stored != b.stored && !(widened(a) && widened(b)) {
            return Ok(true);
        }
        for start in (0..a.rows()).step_by(COMPARED_ROWS) {
            let rows = start..a.rows().min(start + COMPARED_ROWS);
            // Bytes that differ may be equal values only by the sign of a zero, which changes no product.
            let differ = if a.stored == b.stored {
                self.bytes(a, Some(rows.clone()))? != self.bytes(b, Some(rows))?
            } else {
                let count = rows.len() * a.shape.last().copied().unwrap_or(1);
                let (a, b) = (self.reader(a, Some(rows.clone()), one)?, self.reader(b, Some(rows), other)?);
                (0..count).into_par_iter().any(|i| a.get(i) != b.get(i))
            };
            if differ {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn entry(&self, name: &str, shape: &[usize]) -> Result<&Entry> {
        let Some(entry) = self.tensors.get(name) else {
            let hint = nearest(name, self.tensors.keys().map(String::as_str).take(400));
            let hint =
                if hint.len() > 200 { format!("the weights hold {} other tensors", self.tensors.len()) } else { hint };
            return Err(Error::input(format!("there is no tensor `{name}` in `{}`", self.folder.path().display()))
                .with_hint(hint));
        };
        if entry.shape != shape {
            return Err(Error::input(format!(
                "tensor `{name}` has the shape {:?} where config.json implies {shape:?}",
                entry.shape
            ))
            .at(self.files[entry.file].path())
            .with_hint("config.json and the weights belong to different models, or one of them was edited"));
        }
        Ok(entry)
    }

    /// The bytes of a tensor, or of so many of its rows.
    fn bytes(&self, entry: &Entry, rows: Option<Range<usize>>) -> Result<Vec<u8>> {
        let (from, to) = entry.range;
        let (from, to) = match rows {
            None => (from, to),
            Some(rows) => {
                let row = (to - from) / entry.rows().max(1);
                (from + rows.start * row, from + rows.end * row)
            }
        };
        let mut bytes = vec![0; to - from];
        self.files[entry.file].read(from as u64, &mut bytes)?;
        Ok(bytes)
    }

    fn unknown(&self, entry: &Entry, name: &str) -> Error {
        Error::input(format!("tensor `{name}` has the unsupported type {}", entry.stored.name()))
            .at(self.files[entry.file].path())
            .with_hint("karat reads f32, f16 and bf16 weights, and from GGUF files q4_0 to q8_0 and q2_k to q6_k")
    }

    fn reader(&self, entry: &Entry, rows: Option<Range<usize>>, name: &str) -> Result<Reader> {
        let reader = match entry.stored {
            Stored::F32 => Reader::F32,
            Stored::F16 => Reader::F16,
            Stored::Bf16 => Reader::Bf16,
            Stored::Quantized(_) | Stored::Other(_) => return Err(self.unknown(entry, name)),
        };
        self.bytes(entry, rows).map(reader)
    }

    /// A vector of `len` values.
    pub fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>> {
        let entry = self.entry(name, &[len])?;
        if self.headers_only {
            return self.float(entry, name).map(|()| Vec::new());
        }
        let reader = self.reader(entry, None, name)?;
        Ok((0..len).map(|i| reader.get(entry.row(i))).collect())
    }

    /// A table `[rows, width]` as it lies in the file, widened to f32.
    pub fn table(&self, name: &str, rows: usize, width: usize) -> Result<Vec<f32>> {
        let entry = self.entry(name, &[rows, width])?;
        if self.headers_only {
            return self.float(entry, name).map(|()| Vec::new());
        }
        let reader = self.reader(entry, None, name)?;
        let mut out = vec![0.0; rows * width];
        out.par_chunks_mut(width.max(1)).enumerate().for_each(|(row, out)| {
            for (i, x) in out.iter_mut().enumerate() {
                *x = reader.get(row * width + i);
            }
        });
        Ok(out)
    }

    /// A tensor of any shape as it lies in the file, widened to f32.
    pub fn array(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let entry = self.entry(name, shape)?;
        if self.headers_only {
            return self.float(entry, name).map(|()| Vec::new());
        }
        let reader = self.reader(entry, None, name)?;
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
        if self.headers_only {
            return self.fits(parts, inputs, bias);
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

    /// Holds matrices of the right shapes against what can be computed with; gives a layer without weights.
    fn fits(&self, parts: &[Matrix], inputs: usize, bias: bool) -> Result<Linear> {
        for part in parts {
            let name = self.name(part);
            let entry = self.entry(&name, &part.order.shape(part.outputs, inputs))?;
            match entry.stored {
                Stored::Quantized(_) if part.order != Order::Columns => {}
                _ => self.float(entry, &name)?,
            }
            if bias {
                self.vector(&format!("{}.bias", part.name), part.outputs)?;
            }
        }
        Ok(Linear::new(Vec::new(), inputs, None))
    }

    /// Holds the type of a tensor against those that are widened.
    fn float(&self, entry: &Entry, name: &str) -> Result<()> {
        match entry.stored {
            Stored::F32 | Stored::F16 | Stored::Bf16 => Ok(()),
            Stored::Quantized(_) | Stored::Other(_) => Err(self.unknown(entry, name)),
        }
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
        // Of a stack only what is wanted is read.
        let rows = match order {
            Order::Slice { number, .. } => Some(number * outputs..(number + 1) * outputs),
            _ => None,
        };
        let row = |output: usize| match order {
            Order::Slice { .. } => output,
            _ => entry.row(order.row(output, outputs)),
        };
        let weights = match &entry.stored {
            Stored::Quantized(_) if order == Order::Columns => return Err(self.unknown(entry, &name)),
            Stored::Quantized(kind) => {
                let packed = Quantized::pack(*kind, &self.bytes(entry, rows)?, inputs, outputs, row);
                match self.dtype {
                    DtypeChoice::Auto => Weights::Quantized(packed),
                    dtype => {
                        let rows: Vec<Vec<f32>> = (0..outputs).into_par_iter().map(|row| packed.output(row)).collect();
                        float(dtype, inputs, outputs, |output, input| rows[output][input])
                    }
                }
            }
            _ => {
                let reader = self.reader(entry, rows, &name)?;
                match order {
                    Order::Columns => {
                        float(self.dtype, inputs, outputs, |output, input| reader.get(input * outputs + output))
                    }
                    _ => float(self.dtype, inputs, outputs, |output, input| reader.get(row(output) * inputs + input)),
                }
            }
        };
        Ok(weights)
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        self.files.iter().for_each(|file| file.forget());
    }
}

/// Weights in the float type of a choice.
fn float(dtype: DtypeChoice, inputs: usize, outputs: usize, get: impl Fn(usize, usize) -> f32 + Sync) -> Weights {
    match dtype {
        DtypeChoice::Bf16 => Weights::bf16(inputs, outputs, get),
        DtypeChoice::Auto | DtypeChoice::F32 | DtypeChoice::F16 => Weights::f32(inputs, outputs, get),
    }
}
