//! Values of a tensor, widened to f32 one by one.

/// Values of a tensor, widened one by one.
pub(super) enum Reader {
    F32(Vec<u8>),
    F16(Vec<u8>),
    Bf16(Vec<u8>),
}

impl Reader {
    /// The value at this place.
    #[inline(always)]
    pub fn get(&self, i: usize) -> f32 {
        match self {
            Self::F32(b) => f32::from_le_bytes([b[4 * i], b[4 * i + 1], b[4 * i + 2], b[4 * i + 3]]),
            Self::F16(b) => half::f16::from_le_bytes([b[2 * i], b[2 * i + 1]]).to_f32(),
            Self::Bf16(b) => half::bf16::from_le_bytes([b[2 * i], b[2 * i + 1]]).to_f32(),
        }
    }
}
