//! Random numbers that a seed gives again: xorshift64*, small and good enough to choose moments with.

/// The generator.
pub struct Random(u64);

impl Random {
    /// One for each seed, zero too.
    pub fn new(seed: u64) -> Self {
        // Neighbouring seeds must not begin alike.
        let mut random = Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            random.next();
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    /// A number below `end`; 0 where `end` is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}
