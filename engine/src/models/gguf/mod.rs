//! Headers of GGUF files (specification: `docs/gguf.md` of ggml): which tensors there are, under the names that Hugging Face
//! gives them, the configuration that the metadata implies, and what it says of the tokenizer.

mod config;
mod names;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io::BufReader;
use std::path::Path;

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, TensorInfo, Value};
use serde_json::{Map, json};

use crate::cpu::linear::Kind;
use crate::error::{Error, Result};
use crate::guard;
use crate::models::hashed_file::HashedFile;
use crate::models::weights::Stored;

/// A tensor of a file.
pub struct Tensor {
    /// The name in a Hugging Face checkpoint.
    pub name: String,
    /// How its values are stored.
    pub stored: Stored,
    /// Rows first.
    pub shape: Vec<usize>,
    /// First byte in the file.
    pub start: usize,
    /// In how many heads its rows were interleaved for ggml's rotation; `None` for rows in their usual order.
    pub interleaved: Option<usize>,
}

/// What the header of a file says.
pub struct Header {
    /// The tensors, in no order.
    pub tensors: Vec<Tensor>,
    /// The configuration as a `config.json` would hold it.
    pub config: serde_json::Value,
}

fn broken(path: &Path, cause: String) -> Error {
    Error::input(format!("failed to read the GGUF header of `{}`", path.display()))
        .caused_by(cause)
        .with_hint("the file is truncated or not a GGUF file; fetch it again")
}

fn content(file: &HashedFile) -> Result<Content> {
    // candle divides by an alignment of zero.
    guard::guarded("read a GGUF header", || Content::read(&mut BufReader::new(file.stream())))
        .map_err(|e| broken(file.path(), e.to_string()))?
        .map_err(|e| broken(file.path(), message(&e)))
}

/// What an error of candle's says, without the backtrace that it shows where `RUST_BACKTRACE` is set.
fn message(error: &candle_core::Error) -> String {
    let text = error.to_string();
    let is_frame = |line: &str| line.trim_start().split_once(':').is_some_and(|(n, _)| n.parse::<u32>().is_ok());
    text.lines().take_while(|line| !is_frame(line)).collect::<Vec<_>>().join(" ")
}

/// Reads the header of a file.
///
/// # Errors
/// It is broken, or its architecture is not supported.
pub fn read(file: &HashedFile) -> Result<Header> {
    let (content, path) = (content(file)?, file.path());
    let metadata = Metadata { values: &content.metadata, path };
    let family = metadata.family()?;
    let config = metadata.config(family, &content, file)?;
    // Only the converter of this architecture interleaves.
    let rotated = matches!(family, "llama" | "mixtral");
    let interleaved = |name: &str| match name {
        name if rotated && name.contains(".q_proj.") => metadata.count("llama.attention.head_count").map(Some),
        name if rotated && name.contains(".k_proj.") => metadata.key_heads().map(Some),
        _ => Ok(None),
    };
    let mut tensors = Vec::with_capacity(content.tensor_infos.len());
    for (name, info) in &content.tensor_infos {
        let start = start(&content, info).ok_or_else(|| outside(path, name))?;
        let (stored, shape) = (stored(info.ggml_dtype), info.shape.dims().to_vec());
        let experts = metadata.experts() as usize;
        match (shape.as_slice(), names::stacked(family, name, experts.min(1 << 14))) {
            ([count, outputs, inputs], Some(names)) if *count == experts && names.len() == experts => {
                let (values, bytes) = stored.block();
                let size = outputs.checked_mul(*inputs).and_then(|n| (n / values).checked_mul(bytes));
                for (expert, name) in names.into_iter().enumerate() {
                    let skipped = size.and_then(|size| size.checked_mul(expert));
                    let start = skipped.and_then(|skipped| start.checked_add(skipped));
                    let start = start.ok_or_else(|| outside(path, &name))?;
                    let shape = vec![*outputs, *inputs];
                    tensors.push(Tensor { name, stored: stored.clone(), shape, start, interleaved: None });
                }
            }
            _ => {
                let name = names::plain(family, name);
                let interleaved = interleaved(&name)?;
                tensors.push(Tensor { name, stored, shape, start, interleaved });
            }
        }
    }
    Ok(Header { tensors, config })
}

/// Whether a file holds its own tokenizer.
///
/// # Errors
/// The header is broken.
pub fn has_tokenizer(file: &HashedFile) -> Result<bool> {
    Ok(content(file)?.metadata.contains_key("tokenizer.ggml.tokens"))
}

/// What a file says of its tokenizer and chat template (keys below `tokenizer.`), with its `general.architecture`.
///
/// # Errors
/// The header is broken.
pub fn metadata(file: &HashedFile) -> Result<Map<String, serde_json::Value>> {
    let content = content(file)?;
    let wanted = |key: &str| key.starts_with("tokenizer.") || key == "general.architecture";
    Ok(content.metadata.iter().filter(|(key, _)| wanted(key)).map(|(key, value)| (key.clone(), plain(value))).collect())
}

/// A value without candle's types; what is no number in JSON is null.
fn plain(value: &Value) -> serde_json::Value {
    match value {
        Value::F32(x) => json!(x),
        Value::F64(x) => json!(x),
        Value::I8(x) => json!(x),
        Value::I16(x) => json!(x),
        Value::I32(x) => json!(x),
        Value::I64(x) => json!(x),
        Value::U8(x) => json!(x),
        Value::U16(x) => json!(x),
        Value::U32(x) => json!(x),
        Value::U64(x) => json!(x),
        Value::Bool(x) => json!(x),
        Value::String(text) => json!(text),
        Value::Array(items) => items.iter().map(plain).collect(),
    }
}

fn outside(path: &Path, name: &str) -> Error {
    broken(path, format!("tensor `{name}` starts outside of the file"))
}

fn start(content: &Content, info: &TensorInfo) -> Option<usize> {
    usize::try_from(content.tensor_data_offset.checked_add(info.offset)?).ok()
}

fn stored(kind: GgmlDType) -> Stored {
    match kind {
        GgmlDType::F32 => Stored::F32,
        GgmlDType::F16 => Stored::F16,
        GgmlDType::BF16 => Stored::Bf16,
        GgmlDType::Q4_0 => Stored::Quantized(Kind::Q4_0),
        GgmlDType::Q4_1 => Stored::Quantized(Kind::Q4_1),
        GgmlDType::Q5_0 => Stored::Quantized(Kind::Q5_0),
        GgmlDType::Q5_1 => Stored::Quantized(Kind::Q5_1),
        GgmlDType::Q8_0 => Stored::Quantized(Kind::Q8_0),
        GgmlDType::Q2K => Stored::Quantized(Kind::Q2K),
        GgmlDType::Q3K => Stored::Quantized(Kind::Q3K),
        GgmlDType::Q4K => Stored::Quantized(Kind::Q4K),
        GgmlDType::Q5K => Stored::Quantized(Kind::Q5K),
        GgmlDType::Q6K => Stored::Quantized(Kind::Q6K),
        other => Stored::Other(format!("{other:?}")),
    }
}

struct Metadata<'a> {
    values: &'a HashMap<String, Value>,
    path: &'a Path,
}

impl<'a> Metadata<'a> {
    fn missing(&self, key: &str) -> Error {
        Error::input(format!("the metadata has no `{key}`")).at(self.path)
    }

    fn text(&self, key: &str) -> Result<&'a str> {
        let value = self.values.get(key).and_then(|v| v.to_string().ok());
        value.map(String::as_str).ok_or_else(|| self.missing(key))
    }

    /// A number; a list of equal ones counts as one, as converters write some for each layer.
    fn number(&self, key: &str) -> Option<serde_json::Value> {
        let value = plain(self.values.get(key)?);
        let value = match value.as_array().map(Vec::as_slice) {
            Some([first, rest @ ..]) if rest.iter().all(|other| other == first) => first.clone(),
            _ => value,
        };
        value.is_number().then_some(value)
    }

    /// The items of a list; none where there is no such key.
    fn list(&self, key: &str) -> &'a [Value] {
        self.values.get(key).and_then(|v| v.to_vec().ok()).map_or(&[], Vec::as_slice)
    }

    fn count(&self, key: &str) -> Result<usize> {
        let count = self.number(key).and_then(|n| n.as_u64()).filter(|n| (1..1 << 28).contains(n));
        count.map(|n| n as usize).ok_or_else(|| self.missing(key))
    }

    /// Key heads of Llama; as many as there are query heads where that is not said.
    fn key_heads(&self) -> Result<usize> {
        self.count("llama.attention.head_count_kv").or_else(|_| self.count("llama.attention.head_count"))
    }

    /// The values of a vector of f32; `None` where there is no such tensor.
    fn floats(&self, content: &Content, file: &HashedFile, name: &str) -> Result<Option<Vec<f32>>> {
        let Some(info) = content.tensor_infos.get(name) else { return Ok(None) };
        let &[len] = info.shape.dims() else {
            return Err(Error::input(format!("tensor `{name}` has the shape {:?}", info.shape.dims())).at(self.path));
        };
        if info.ggml_dtype != GgmlDType::F32 {
            return Err(
                Error::input(format!("tensor `{name}` has the unsupported type {:?}", info.ggml_dtype)).at(self.path)
            );
        }
        let range = start(content, info).and_then(|start| Some((start as u64, len.checked_mul(4)?)));
        let within =
            |(start, bytes): &(u64, usize)| start.checked_add(*bytes as u64).is_some_and(|end| end <= file.len());
        let (start, bytes) = range.filter(within).ok_or_else(|| outside(self.path, name))?;
        let mut held = vec![0; bytes];
        file.read(start, &mut held)?;
        Ok(Some(held.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect()))
    }
}
