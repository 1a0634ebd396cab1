//! How the values of a tensor are stored.

use crate::cpu::linear::Kind;

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
    pub(super) fn name(&self) -> String {
        match self {
            Self::Quantized(kind) => format!("{kind:?}").to_lowercase(),
            Self::Other(name) => name.clone(),
            float => format!("{float:?}").to_lowercase(),
        }
    }

    /// Values of a block and its bytes.
    pub(crate) fn block(&self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Quantized(kind) => (kind.block(), kind.bytes()),
            Self::Other(_) => (1, 0),
        }
    }
}
