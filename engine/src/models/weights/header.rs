//! The header of a safetensors file.

use safetensors::tensor::Metadata;
use safetensors::{SafeTensorError, SafeTensors};

use super::super::hashed_file::HashedFile;
use crate::error::{Error, Result};

/// What the crate believes of a header.
const LONGEST_HEADER: u64 = 100_000_000;

/// Where the tensors of a safetensors file begin, and what its header says of them.
pub(super) fn safetensors_header(file: &HashedFile) -> Result<(usize, Metadata)> {
    let broken = |e: SafeTensorError| {
        Error::input(format!("failed to read the safetensors header of `{}`", file.path().display()))
            .caused_by(e.to_string())
            .with_hint("the file is truncated or not a safetensors file; fetch it again")
    };
    let mut start = [0; 8];
    if file.len() < 8 {
        return Err(broken(SafeTensorError::HeaderTooSmall));
    }
    file.read(0, &mut start)?;
    let end = match u64::from_le_bytes(start) {
        len if len > LONGEST_HEADER => return Err(broken(SafeTensorError::HeaderTooLarge)),
        len if len + 8 > file.len() => return Err(broken(SafeTensorError::InvalidHeaderLength)),
        len => len as usize + 8,
    };
    let mut header = vec![0; end];
    file.read(0, &mut header)?;
    let metadata = match SafeTensors::read_metadata(&header) {
        Ok((_, metadata)) => metadata,
        // All is well but that the tensors are not in these bytes.
        Err(SafeTensorError::MetadataIncompleteBuffer) => serde_json::from_slice(&header[8..])
            .map_err(|e| broken(SafeTensorError::InvalidHeaderDeserialization(e)))?,
        Err(error) => return Err(broken(error)),
    };
    let tensors = metadata.tensors().values().map(|info| info.data_offsets.1).max().unwrap_or(0);
    if end.checked_add(tensors).map(|end| end as u64) == Some(file.len()) {
        Ok((end, metadata))
    } else {
        Err(broken(SafeTensorError::MetadataIncompleteBuffer))
    }
}
