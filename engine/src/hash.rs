//! Hashes as text.

use sha2::{Digest, Sha256};

/// SHA-256 of bytes, in hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = vec![0; 2 * bytes.len()];
    for (digits, byte) in text.as_chunks_mut().0.iter_mut().zip(bytes) {
        *digits = [byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]);
    }
    String::from_utf8(text).unwrap_or_default()
}
