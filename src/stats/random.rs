//! A counter-based random generator: the i-th number of a stream depends on (seed, stream, i) and nothing else.
//!
//! The engine draws its tokens from Philox (`engine::sampling`). Both stay: sign-flip figures in records were drawn from this one, and
//! every byte of a record stays.

/// SplitMix64's finaliser over a counter (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number
/// generators", 2014). Good enough for resampling; not for secrets.
#[derive(Clone, Debug)]
pub struct CounterRng {
    state: u64,
}

/// 2^64 divided by the golden ratio, odd.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl CounterRng {
    /// The generator of one stream under a seed. Streams start at unrelated places of the sequence.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self { state: mix(mix(seed.wrapping_add(STEP)) ^ stream.wrapping_mul(STEP)) }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        mix(self.state)
    }

    /// A number in (0, 1], in steps of 2^-53.
    pub fn next_unit(&mut self) -> f64 {
        ((self.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// A number below `bound` (0 for a bound of 0). The bias of multiply-shift is below `bound` / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

/// SplitMix64's finaliser: a bijection of 64-bit words.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |seed, stream| {
            let mut rng = CounterRng::new(seed, stream);
            [rng.next_u64(), rng.next_u64(), rng.next_u64()]
        };
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
        assert_ne!(draw(1, 2), draw(2, 1));
    }

    #[test]
    fn bounded_numbers_are_even() {
        let mut rng = CounterRng::new(7, 0);
        let mut counts = [0u32; 10];
        for _ in 0..100_000 {
            counts[rng.below(10) as usize] += 1;
        }
        // Chi-squared with 9 degrees of freedom: 27.9 is its 0.999 quantile.
        let chi: f64 = counts.iter().map(|&c| (f64::from(c) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi < 27.9, "{chi}");
        assert_eq!(rng.below(0), 0);
    }
}
