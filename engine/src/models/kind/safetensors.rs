//! The header of a safetensors file: whether the file is whole, and whether its types are karat's. Values are not read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use safetensors::Dtype;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};

use super::place::{MERGE, used};
use super::unsupported::{READ, quantised_error};
use crate::error::{Error, Result};
use crate::stand_in::{Expected, StandIn};

/// The longest header, as in the safetensors library.
const LONGEST: u64 = 100_000_000;

#[derive(Deserialize)]
struct Header {
    #[serde(default, rename = "__metadata__")]
    metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    tensors: BTreeMap<String, Tensor>,
}

#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl Tensor {
    /// The bytes that its shape and type ask for; `None` where no file has so many, or of a type that nobody knows.
    fn size(&self) -> Option<u64> {
        let name: StrDeserializer<'_, ValueError> = self.dtype.as_str().into_deserializer();
        let bits = Dtype::deserialize(name).ok()?.bitsize() as u64;
        let values = self.shape.iter().try_fold(1u64, |count, size| count.checked_mul(*size))?;
        values.checked_mul(bits).filter(|bits| bits.is_multiple_of(8)).map(|bits| bits / 8)
    }
}

/// Holds the header of a file against what karat can use, and gives the names of its tensors. `folder` is the model's.
///
/// # Errors
/// The file is something else, cut, longer than its tensors, or of types that are not read; it holds no tensors, or those of an
/// adapter.
pub fn check(folder: &Path, path: &Path) -> Result<Vec<String>> {
    let name = path.strip_prefix(folder).unwrap_or(path).display().to_string();
    let told = |what: String| used(folder, format!("`{name}` {what}"));
    if let Some(stand_in) = StandIn::of_file(path, Expected::Safetensors)? {
        return Err(told(format!("is {}", stand_in.what())).with_hint(stand_in.hint()));
    }
    let mut file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    let len = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
    let mut size = [0; 8];
    if len < 8 {
        return Err(told(format!("is no safetensors file: it has {len} bytes")).with_hint(AGAIN));
    }
    file.read_exact(&mut size).map_err(|e| Error::io("read", path, e))?;
    let size = u64::from_le_bytes(size);
    if size > LONGEST || size > len - 8 {
        let what = format!("is truncated, or no safetensors file: its {len} bytes ask for a header of {size}");
        return Err(told(what).with_hint(AGAIN));
    }
    let mut text = vec![0; usize::try_from(size).unwrap_or(0)];
    file.read_exact(&mut text).map_err(|e| Error::io("read", path, e))?;
    let header: Header = serde_json::from_slice(&text)
        .map_err(|e| told("is no safetensors file: its header is not read".into()).caused_by(e).with_hint(AGAIN))?;
    if header.tensors.is_empty() {
        return Err(told("holds no tensors".into()).with_hint(AGAIN));
    }
    let end = header.tensors.values().map(|tensor| tensor.data_offsets.1).max().unwrap_or(0);
    let end = end.checked_add(8 + size);
    if end.is_none_or(|end| end > len) {
        let end = end.map_or("more".to_owned(), |end| end.to_string());
        return Err(told(format!("is truncated: it has {len} bytes of {end}")).with_hint(AGAIN));
    }
    types(folder, &name, &header)?;
    adapter(folder, &name, &header)?;
    if let Some(what) = misplaced(&header, len - 8 - size) {
        return Err(told(what).with_hint("the file is damaged, or was written wrongly; fetch it again"));
    }
    Ok(header.tensors.into_keys().collect())
}

/// What to do about a file that is not what it was.
const AGAIN: &str = "fetch the file again";

/// Why the tensors are not what the file's bytes are: each has the bytes of its shape, and all lie side by side from the first
/// of `len` bytes to the last, as the safetensors library has it.
fn misplaced(header: &Header, len: u64) -> Option<String> {
    let mut tensors: Vec<(&String, &Tensor)> = header.tensors.iter().collect();
    tensors.sort_by_key(|(_, tensor)| tensor.data_offsets);
    let mut at = 0;
    for (name, tensor) in tensors {
        let (start, end) = tensor.data_offsets;
        if start != at {
            let how = if start < at { "overlaps the one before it" } else { "leaves a gap before it" };
            return Some(format!("is no whole safetensors file: tensor `{name}` {how} (byte {start} after {at})"));
        }
        match (tensor.size(), end.checked_sub(start)) {
            (Some(asked), Some(held)) if asked == held => at = end,
            (asked, _) => {
                let asked = asked.map_or("more than any file has".to_owned(), |asked| format!("{asked} bytes"));
                let Tensor { dtype, shape, .. } = tensor;
                return Some(format!(
                    "is no whole safetensors file: tensor `{name}` of type {dtype} and shape {shape:?} asks for {asked}, and stands \
                     at bytes {start} to {end}"
                ));
            }
        }
    }
    let behind = len.saturating_sub(at);
    (behind > 0).then(|| format!("goes on for {behind} bytes behind its last tensor"))
}

/// That tensors of an adapter are among the weights: karat would leave them out.
fn adapter(folder: &Path, file: &str, header: &Header) -> Result<()> {
    let adapts = |part: &str| ["lora_", "ia3_", "vera_", "oft_"].iter().any(|start| part.starts_with(start));
    match header.tensors.keys().find(|name| name.split('.').any(adapts)) {
        Some(name) => {
            let what =
                format!("tensor `{name}` of `{file}` is of an adapter (LoRA or its like), which karat does not apply");
            Err(used(folder, what).with_hint(MERGE))
        }
        None => Ok(()),
    }
}

/// Buffers of whole numbers beside the weights are no one's business; weights themselves must be floats.
fn types(folder: &Path, file: &str, header: &Header) -> Result<()> {
    let reads = |tensor: &Tensor| matches!(tensor.dtype.as_str(), "F32" | "F16" | "BF16");
    let has = |ending: &str| header.tensors.keys().any(|name| name.ends_with(ending));
    let packed = [
        (".qweight", "are quantised (packed as by GPTQ or AWQ)"),
        (".weight_packed", "are quantised (packed as by compressed-tensors)"),
        (".SCB", "are quantised (as by bitsandbytes, 8 bits)"),
        (".weight.absmax", "are quantised (as by bitsandbytes, 4 bits)"),
        (".weight.quant_map", "are quantised (as by bitsandbytes, 4 bits)"),
        (".weight_scale_inv", "are quantised (FP8 in blocks)"),
        (".weight_scale", "are quantised (FP8 or INT8 with scales)"),
        (".q_weight", "are quantised (packed as by ExLlama)"),
        ("_proj_blocks", "are quantised (MXFP4)"),
    ];
    let weight = |name: &str| name.ends_with(".weight") || name == "weight" || name.ends_with("_proj");
    let first = header.tensors.iter().find(|(name, tensor)| weight(name) && !reads(tensor));
    let mlx = header.metadata.get("format").is_some_and(|format| format == "mlx") || has(".biases");
    if let Some((_, tensor)) = first
        && tensor.dtype == "U32"
        && (mlx || has(".scales"))
    {
        return Err(quantised_error(folder, "are quantised by MLX (u32 with scales and biases)"));
    }
    if let Some((_, how)) = packed.iter().find(|(ending, _)| has(ending)) {
        return Err(quantised_error(folder, how));
    }
    match first {
        Some((name, tensor)) => {
            let what = format!("tensor `{name}` of `{file}` is of type {}, which karat does not read", tensor.dtype);
            Err(used(folder, what).with_hint(READ))
        }
        None => Ok(()),
    }
}
