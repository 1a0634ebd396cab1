//! Texts that hold their own SHA-256.

use crate::hash::sha256;

/// Whether a seal is the SHA-256 (hex) of the bytes without the seal itself, which stands in them last.
pub(crate) fn is_sealed(seal: &str, bytes: &[u8]) -> bool {
    let seal = seal.as_bytes();
    // The hash of something else stands in no place.
    let Some(at) = bytes.windows(seal.len().max(1)).rposition(|part| part == seal) else { return false };
    sha256(&[&bytes[..at], &bytes[at + seal.len()..]].concat()).as_bytes() == seal
}
