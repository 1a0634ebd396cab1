//! Quantised weights as GGUF files hold them, rearranged into panels without growing.
//!
//! A block of a type is a run of inputs of one output: whole numbers `q`, a scale, often scales of its sub-blocks, sometimes
//! a minimum. The weight is `scale·(q − zero) + minimum` (reference: ggml's `dequantize_row_*`). In a panel the same block of
//! 32 outputs lies together, its bits in planes, so that unpacking to bytes is a few shifts over whole registers.

use rayon::prelude::*;

use super::tile::PANEL;

/// Inputs that are unpacked and summed at a time: the largest block.
pub const CHUNK: usize = 256;
/// Bytes of a row of words, four inputs of each column.
const ROW: usize = 4 * PANEL;

/// A type of quantised weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 4 bits, a scale per 32.
    Q4_0,
    /// 4 bits, a scale and a minimum per 32.
    Q4_1,
    /// 5 bits, a scale per 32.
    Q5_0,
    /// 5 bits, a scale and a minimum per 32.
    Q5_1,
    /// 8 bits, a scale per 32.
    Q8_0,
    /// 2 bits, scales and minima of 4 bits per 16 under those of 256.
    Q2K,
    /// 3 bits, scales of 6 bits per 16 under one of 256.
    Q3K,
    /// 4 bits, scales and minima of 6 bits per 32 under those of 256.
    Q4K,
    /// 5 bits, as `Q4K`.
    Q5K,
    /// 6 bits, scales of 8 bits per 16 under one of 256.
    Q6K,
}

/// How the numbers of a type are laid out.
struct Layout {
    /// Inputs of a block.
    block: usize,
    /// Bytes of a block in the file.
    bytes: usize,
    /// Bits in the lower plane.
    low: usize,
    /// Bits in the upper plane.
    high: usize,
    /// Inputs of a sub-block.
    sub: usize,
    /// Whether sub-blocks have whole-number scales under the block's.
    nested: bool,
    /// Whether there is a minimum.
    minimum: bool,
    /// What stands for zero.
    zero: i32,
}

impl Kind {
    const fn layout(self) -> Layout {
        let (bytes, low, high, sub, minimum, zero) = match self {
            Self::Q4_0 => (18, 4, 0, 32, false, 8),
            Self::Q4_1 => (20, 4, 0, 32, true, 0),
            Self::Q5_0 => (22, 4, 1, 32, false, 16),
            Self::Q5_1 => (24, 4, 1, 32, true, 0),
            Self::Q8_0 => (34, 8, 0, 32, false, 128),
            Self::Q2K => (84, 2, 0, 16, true, 0),
            Self::Q3K => (110, 2, 1, 16, false, 4),
            Self::Q4K => (144, 4, 0, 32, true, 0),
            Self::Q5K => (176, 4, 1, 32, true, 0),
            Self::Q6K => (210, 4, 2, 16, false, 32),
        };
        let nested = matches!(self, Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K);
        Layout { block: if nested { 256 } else { 32 }, bytes, low, high, sub, nested, minimum, zero }
    }

    /// Inputs of a block.
    pub fn block(self) -> usize {
        self.layout().block
    }

    /// Bytes of a block in the file.
    pub fn bytes(self) -> usize {
        self.layout().bytes
    }

    /// What is taken from every number.
    pub fn zero(self) -> i32 {
        self.layout().zero
    }

    /// Whether there is a scale for every 16 inputs.
    pub fn halves(self) -> bool {
        self.layout().sub == 16
    }

    /// Whether there is a minimum.
    pub fn minimum(self) -> bool {
        self.layout().minimum
    }

    /// The block in plain numbers.
    fn decode(self, bytes: &[u8], to: &mut Block) {
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let q = &mut to.numbers;
        // Two numbers of four bits: the lower ones come `apart` inputs before the upper ones.
        let nibbles = |q: &mut [u8], from: &[u8]| {
            let apart = from.len();
            for (i, byte) in from.iter().enumerate() {
                (q[i], q[i + apart]) = (byte & 15, byte >> 4);
            }
        };
        // Four numbers of two bits, 32 inputs apart.
        let pair = |from: &[u8], i: usize| from[32 * (i / 128) + i % 32] >> (2 * (i % 128 / 32)) & 3;
        to.scale = half(0);
        match self {
            Self::Q4_0 => nibbles(q, &bytes[2..18]),
            Self::Q4_1 => {
                to.minimum = half(2);
                nibbles(q, &bytes[4..20]);
            }
            Self::Q5_0 | Self::Q5_1 => {
                let at = if self == Self::Q5_0 { 2 } else { 4 };
                to.minimum = half(2);
                nibbles(q, &bytes[at + 4..at + 20]);
                let fifth = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
                (0..32).for_each(|i| q[i] |= ((fifth >> i & 1) << 4) as u8);
            }
            Self::Q8_0 => (0..32).for_each(|i| q[i] = bytes[2 + i] ^ 0x80),
            Self::Q2K => {
                (to.scale, to.minimum) = (half(80), half(82));
                for (j, byte) in bytes[..16].iter().enumerate() {
                    (to.scales[j], to.minima[j]) = (byte & 15, byte >> 4);
                }
                (0..256).for_each(|i| q[i] = pair(&bytes[16..80], i));
            }
            Self::Q3K => {
                to.scale = half(108);
                let s = &bytes[96..108];
                for (j, scale) in to.scales.iter_mut().enumerate() {
                    let low = s[j % 8] >> (4 * (j / 8)) & 15;
                    let high = s[8 + j % 4] >> (2 * (j / 4)) & 3;
                    *scale = (low | high << 4).wrapping_sub(32);
                }
                (0..256).for_each(|i| q[i] = pair(&bytes[32..96], i) | (bytes[i % 32] >> (i / 32) & 1) << 2);
            }
            Self::Q4K | Self::Q5K => {
                to.minimum = half(2);
                let s = &bytes[4..16];
                for j in 0..4 {
                    (to.scales[j], to.minima[j]) = (s[j] & 63, s[j + 4] & 63);
                    to.scales[j + 4] = s[j + 8] & 15 | s[j] >> 6 << 4;
                    to.minima[j + 4] = s[j + 8] >> 4 | s[j + 4] >> 6 << 4;
                }
                let quants = bytes.len() - 128;
                (0..4).for_each(|j| nibbles(&mut q[64 * j..], &bytes[quants + 32 * j..quants + 32 * (j + 1)]));
                if self == Self::Q5K {
                    (0..256).for_each(|i| q[i] |= (bytes[16 + i % 32] >> (i / 32) & 1) << 4);
                }
            }
            Self::Q6K => {
                to.scale = half(208);
                to.scales.copy_from_slice(&bytes[192..208]);
                for (i, q) in q.iter_mut().enumerate() {
                    let (part, quarter, l) = (i / 128, i % 128 / 32, i % 32);
                    let low = bytes[64 * part + 32 * (quarter % 2) + l] >> (4 * (quarter / 2)) & 15;
                    let high = bytes[128 + 32 * part + l] >> (2 * quarter) & 3;
                    *q = low | high << 4;
                }
            }
        }
    }
}

/// A block of one output in plain numbers.
struct Block {
    numbers: [u8; CHUNK],
    scale: u16,
    minimum: u16,
    scales: [u8; 16],
    minima: [u8; 16],
}

impl Layout {
    fn words(&self) -> usize {
        self.block / 4
    }

    fn subs(&self) -> usize {
        if self.nested { self.block / self.sub } else { 0 }
    }

    /// Where the planes and numbers of a panel's block lie: lower bits, upper bits, scales, minima, those of sub-blocks; end.
    fn offsets(&self) -> [usize; 7] {
        let minimum = usize::from(self.minimum);
        let sizes = [
            self.words() * self.low * ROW / 8,
            self.words() * self.high * ROW / 8,
            2 * PANEL,
            2 * PANEL * minimum,
            self.subs() * PANEL,
            self.subs() * PANEL * minimum,
        ];
        let mut offsets = [0; 7];
        (0..6).for_each(|i| offsets[i + 1] = offsets[i] + sizes[i]);
        offsets
    }
}

/// Row and shift of a word in a plane of `bits` bits: the rows of a plane hold words that lie far apart, so that shifting a
/// row gives words side by side.
fn place(word: usize, words: usize, bits: usize) -> (usize, usize) {
    let rows = words * bits / 8;
    (word % rows, word / rows * bits)
}

/// `bits` bits of every input in a plane, OR-ed into bytes from bit `at` on.
#[inline(always)]
fn spread(plane: &[u8], bits: usize, at: usize, to: &mut [u8]) {
    if bits == 8 {
        to.copy_from_slice(plane);
        return;
    }
    let mask = (1u8 << bits) - 1;
    for (part, to) in to.chunks_exact_mut(plane.len()).enumerate() {
        for (to, byte) in to.iter_mut().zip(plane) {
            let number = *byte >> (part * bits) & mask;
            *to = if at == 0 { number } else { *to | number << at };
        }
    }
}

/// Half-precision numbers of a panel's columns, without the branches of a full conversion.
#[inline(always)]
fn halves(block: &[u8], at: usize) -> [f32; PANEL] {
    let mut numbers = [0.0; PANEL];
    for (number, bytes) in numbers.iter_mut().zip(block[at..at + 2 * PANEL].as_chunks().0) {
        let bits = u32::from(u16::from_le_bytes(*bytes));
        let size = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits((127 + 112) << 23);
        // Infinities and NaN stay such: a damaged scale must show.
        let exponent = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
        *number = f32::from_bits(size.to_bits() | exponent | (bits & 0x8000) << 16);
    }
    numbers
}

/// A block's numbers times those of its sub-blocks.
#[inline(always)]
fn products(whole: [f32; PANEL], of_subs: &[u8], to: &mut [[f32; PANEL]], number: impl Fn(u8) -> f32) {
    for (to, of_sub) in to.iter_mut().zip(of_subs.chunks_exact(PANEL)) {
        for ((to, byte), whole) in to.iter_mut().zip(of_sub).zip(whole) {
            *to = whole * number(*byte);
        }
    }
}

/// Unpacked weights of a chunk of a panel.
#[repr(C, align(64))]
pub struct Unpacked {
    /// `[words, columns, 4]`.
    pub numbers: [u8; CHUNK * PANEL],
    /// `[sub-blocks, columns]`.
    pub scales: [[f32; PANEL]; CHUNK / 16],
    /// `[sub-blocks, columns]`.
    pub minima: [[f32; PANEL]; CHUNK / 16],
}

impl Unpacked {
    /// Zeros.
    pub fn new() -> Self {
        Self { numbers: [0; CHUNK * PANEL], scales: [[0.0; PANEL]; CHUNK / 16], minima: [[0.0; PANEL]; CHUNK / 16] }
    }
}

/// Quantised weights in panels: `[panels, blocks, block of 32 columns]`.
pub struct Quantized {
    kind: Kind,
    blocks: usize,
    data: Vec<u8>,
}

impl Quantized {
    /// From the file's bytes, output by output; `row` says where an output stands in the file. `inputs` is a multiple of the
    /// block.
    pub fn pack(kind: Kind, bytes: &[u8], inputs: usize, outputs: usize, row: impl Fn(usize) -> usize + Sync) -> Self {
        let layout = kind.layout();
        assert!(inputs.is_multiple_of(layout.block), "{inputs} inputs in blocks of {}", layout.block);
        let blocks = inputs / layout.block;
        let [_, high, scale, minimum, scales, minima, size] = layout.offsets();
        let mut data = vec![0u8; outputs.div_ceil(PANEL) * blocks * size];
        data.par_chunks_mut(blocks * size).enumerate().for_each(|(panel, data)| {
            let mut plain = Block { numbers: [0; CHUNK], scale: 0, minimum: 0, scales: [0; 16], minima: [0; 16] };
            for column in 0..PANEL.min(outputs - panel * PANEL) {
                let from = row(panel * PANEL + column) * blocks * layout.bytes;
                let of_row = bytes[from..from + blocks * layout.bytes].chunks_exact(layout.bytes);
                for (bytes, to) in of_row.zip(data.chunks_exact_mut(size)) {
                    kind.decode(bytes, &mut plain);
                    for word in 0..layout.words() {
                        let numbers = &plain.numbers[4 * word..4 * word + 4];
                        let (row, shift) = place(word, layout.words(), layout.low);
                        let at = row * ROW + 4 * column;
                        for (to, q) in to[at..at + 4].iter_mut().zip(numbers) {
                            *to |= (q & ((1u16 << layout.low) - 1) as u8) << shift;
                        }
                        if layout.high > 0 {
                            let (row, shift) = place(word, layout.words(), layout.high);
                            let at = high + row * ROW + 4 * column;
                            for (to, q) in to[at..at + 4].iter_mut().zip(numbers) {
                                *to |= q >> layout.low << shift;
                            }
                        }
                    }
                    to[scale + 2 * column..][..2].copy_from_slice(&plain.scale.to_le_bytes());
                    if layout.minimum {
                        to[minimum + 2 * column..][..2].copy_from_slice(&plain.minimum.to_le_bytes());
                    }
                    for sub in 0..layout.subs() {
                        to[scales + sub * PANEL + column] = plain.scales[sub];
                        if layout.minimum {
                            to[minima + sub * PANEL + column] = plain.minima[sub];
                        }
                    }
                }
            }
        });
        Self { kind, blocks, data }
    }

    /// The type.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Bytes in memory.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    fn panel(&self, panel: usize) -> &[u8] {
        let size = self.blocks * self.kind.layout().offsets()[6];
        &self.data[panel * size..(panel + 1) * size]
    }

    /// Unpacks the inputs from `from` on, a multiple of `CHUNK`, as many as there are up to a chunk.
    #[inline(always)]
    pub fn unpack(&self, panel: usize, from: usize, to: &mut Unpacked) {
        let layout = self.kind.layout();
        let [low, high, scale, minimum, scales, minima, size] = layout.offsets();
        let first = from / layout.block;
        let count = (CHUNK / layout.block).min(self.blocks - first);
        let blocks = self.panel(panel)[first * size..(first + count) * size].chunks_exact(size);
        for (index, block) in blocks.enumerate() {
            let numbers = &mut to.numbers[index * layout.block * PANEL..(index + 1) * layout.block * PANEL];
            spread(&block[low..high], layout.low, 0, numbers);
            if layout.high > 0 {
                spread(&block[high..scale], layout.high, layout.low, numbers);
            }
            // Those of sub-blocks are products; where there are none, those of the block stand alone.
            let whole = halves(block, scale);
            match (layout.nested, layout.sub) {
                (false, _) => to.scales[index] = whole,
                // Q3_K and Q6_K have signed scales, and Q2_K's are small.
                (true, 16) => products(whole, &block[scales..minima], &mut to.scales, |byte| f32::from(byte as i8)),
                (true, _) => products(whole, &block[scales..minima], &mut to.scales, f32::from),
            }
            if layout.minimum {
                let whole = halves(block, minimum);
                if layout.nested {
                    products(whole, &block[minima..], &mut to.minima, |byte| -f32::from(byte))
                } else {
                    to.minima[index] = whole
                }
            }
        }
    }

    /// The weights of one output as f32.
    pub fn output(&self, output: usize) -> Vec<f32> {
        let layout = self.kind.layout();
        let (panel, column) = (output / PANEL, output % PANEL);
        let mut unpacked = Unpacked::new();
        let mut values = Vec::with_capacity(self.blocks * layout.block);
        for from in (0..self.blocks * layout.block).step_by(CHUNK) {
            self.unpack(panel, from, &mut unpacked);
            for i in 0..CHUNK.min(self.blocks * layout.block - from) {
                let q = i32::from(unpacked.numbers[i / 4 * ROW + 4 * column + i % 4]) - layout.zero;
                let minimum = if layout.minimum { unpacked.minima[i / layout.sub][column] } else { 0.0 };
                values.push(unpacked.scales[i / layout.sub][column] * q as f32 + minimum);
            }
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_precision_number_is_read() {
        for first in (0..=u16::MAX).step_by(PANEL) {
            let bytes: Vec<u8> = (first..=first + (PANEL as u16 - 1)).flat_map(u16::to_le_bytes).collect();
            for (bits, got) in (first..).zip(halves(&bytes, 0)) {
                let right = half::f16::from_bits(bits).to_f32();
                assert!(
                    got.to_bits() == right.to_bits() || got.is_nan() && right.is_nan(),
                    "{bits:#x}: {got}, not {right}"
                );
            }
        }
    }
}
