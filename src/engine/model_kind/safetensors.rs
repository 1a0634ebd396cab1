//! The header of a safetensors file: whether the file is whole, and whether its types are karat's. Values are not read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;

use super::unsupported::{READ, quantised_error};
use super::used;
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
    data_offsets: (u64, u64),
}

/// Holds the header of a file against what karat can use. `folder` is the model's.
///
/// # Errors
/// The file is something else, cut, or of types that are not read.
pub fn check(folder: &Path, path: &Path) -> Result<()> {
    let name = path.strip_prefix(folder).unwrap_or(path).display().to_string();
    let told = |what: String| used(folder, format!("`{name}` {what}"));
    if let Some(stand_in) = StandIn::of_file(path, Expected::Safetensors)? {
        return Err(told(format!("is {}", stand_in.what())).with_hint(stand_in.hint()));
    }
    let again = "fetch the file again";
    let mut file = File::open(path).map_err(|e| Error::io("open", path, e))?;
    let len = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
    let mut size = [0; 8];
    if len < 8 {
        return Err(told(format!("is no safetensors file: it has {len} bytes")).with_hint(again));
    }
    file.read_exact(&mut size).map_err(|e| Error::io("read", path, e))?;
    let size = u64::from_le_bytes(size);
    if size > LONGEST || size > len - 8 {
        let what = format!("is truncated, or no safetensors file: its {len} bytes ask for a header of {size}");
        return Err(told(what).with_hint(again));
    }
    let mut text = vec![0; usize::try_from(size).unwrap_or(0)];
    file.read_exact(&mut text).map_err(|e| Error::io("read", path, e))?;
    let header: Header = serde_json::from_slice(&text)
        .map_err(|e| told("is no safetensors file: its header is not read".into()).caused_by(e).with_hint(again))?;
    let end = header.tensors.values().map(|tensor| tensor.data_offsets.1).max().unwrap_or(0);
    let end = end.checked_add(8 + size);
    if end.is_none_or(|end| end > len) {
        let end = end.map_or("more".to_owned(), |end| end.to_string());
        return Err(told(format!("is truncated: it has {len} bytes of {end}")).with_hint(again));
    }
    types(folder, &name, &header)
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
