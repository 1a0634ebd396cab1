//! Samples as Python's `random` draws them, so that few-shot examples are those that lm-evaluation-harness shows.
//!
//! The Mersenne Twister MT19937 (M. Matsumoto and T. Nishimura, "Mersenne Twister", ACM TOMACS 8, 1998), seeded by an array as
//! CPython's `random.Random(seed)` does, and `sample` of CPython 3.11 and later. Neither has changed its numbers since 3.2.

use std::collections::HashSet;

const WORDS: usize = 624;
const SHIFT: usize = 397;

/// `random.Random(seed)`.
#[derive(Clone)]
pub(super) struct PythonRandom {
    state: [u32; WORDS],
    next: usize,
}

impl PythonRandom {
    pub fn new(seed: u64) -> Self {
        let (low, high) = ((seed & 0xffff_ffff) as u32, (seed >> 32) as u32);
        let key: &[u32] = if high == 0 { &[low] } else { &[low, high] };
        let mut random = Self { state: begin(19_650_218), next: WORDS };
        random.mix(key);
        random
    }

    /// `init_by_array` of the reference implementation.
    fn mix(&mut self, key: &[u32]) {
        let state = &mut self.state;
        let scrambled = |state: &[u32; WORDS], at: usize, factor: u32| {
            let before = state[at - 1];
            state[at] ^ (before ^ (before >> 30)).wrapping_mul(factor)
        };
        let wrapped = |state: &mut [u32; WORDS], at: &mut usize| {
            *at += 1;
            if *at >= WORDS {
                state[0] = state[WORDS - 1];
                *at = 1;
            }
        };
        let (mut at, mut word) = (1, 0);
        for _ in 0..WORDS.max(key.len()) {
            state[at] = scrambled(state, at, 1_664_525).wrapping_add(key[word]).wrapping_add(word as u32);
            wrapped(state, &mut at);
            word = (word + 1) % key.len();
        }
        for _ in 0..WORDS - 1 {
            state[at] = scrambled(state, at, 1_566_083_941).wrapping_sub(at as u32);
            wrapped(state, &mut at);
        }
        state[0] = 0x8000_0000;
    }

    /// The next 32 bits.
    fn word(&mut self) -> u32 {
        if self.next == WORDS {
            self.twist();
            self.next = 0;
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for at in 0..WORDS {
            let y = (self.state[at] & 0x8000_0000) | (self.state[(at + 1) % WORDS] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[at] = self.state[(at + SHIFT) % WORDS] ^ (y >> 1) ^ odd;
        }
    }

    /// `_randbelow`: an even number below `bound`, which is between 1 and 2³².
    fn below(&mut self, bound: usize) -> usize {
        let bits = usize::BITS - bound.leading_zeros();
        loop {
            let drawn = (self.word() >> (32 - bits.clamp(1, 32))) as usize;
            if drawn < bound {
                return drawn;
            }
        }
    }

    /// `sample(range(population), count)`; none where there are not so many.
    pub fn sample(&mut self, population: usize, count: usize) -> Option<Vec<usize>> {
        if count > population || u32::try_from(population).is_err() {
            return None;
        }
        // A list of all, or a set of what was drawn, by which is smaller.
        let mut set = 21;
        if count > 5 {
            let mut power = 1;
            while power < 3 * count {
                power *= 4;
            }
            set += power;
        }
        if population <= set {
            let mut pool: Vec<usize> = (0..population).collect();
            let draw = |drawn: usize| {
                let at = self.below(population - drawn);
                let one = pool[at];
                pool[at] = pool[population - drawn - 1];
                one
            };
            return Some((0..count).map(draw).collect());
        }
        let mut drawn = HashSet::with_capacity(count);
        let mut draw = |_| loop {
            let one = self.below(population);
            if drawn.insert(one) {
                return one;
            }
        };
        Some((0..count).map(&mut draw).collect())
    }
}

/// `init_genrand`.
fn begin(seed: u32) -> [u32; WORDS] {
    let mut state = [seed; WORDS];
    for at in 1..WORDS {
        let before = state[at - 1];
        state[at] = 1_812_433_253u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(at as u32);
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By CPython 3.11.7: `random.Random(seed)`, then one `sample` after the other. Of long samples: sum, first and last.
    #[test]
    fn samples_are_those_of_cpython() {
        type Drawn = (usize, usize, &'static [usize]);
        let table: &[(u64, &[Drawn])] = &[
            (
                0,
                &[
                    (12, 3, &[6, 11, 0]),
                    (12, 4, &[4, 8, 7, 6]),
                    (30, 6, &[29, 25, 26, 9, 15, 11]),
                    (1000, 5, &[597, 913, 929, 223, 516]),
                    (5000, 8, &[1140, 2308, 1144, 776, 2052, 4362, 4930, 1203]),
                    (21, 2, &[9, 3]),
                    (22, 2, &[2, 21]),
                    (100, 50, &[2475, 42, 68]),
                    (85, 6, &[75, 36, 56, 11, 76, 49]),
                    (86, 6, &[40, 73, 30, 37, 23, 24]),
                ],
            ),
            (
                1,
                &[
                    (12, 3, &[2, 9, 1]),
                    (12, 4, &[4, 1, 7, 9]),
                    (30, 6, &[15, 20, 12, 25, 6, 3]),
                    (1000, 5, &[499, 29, 914, 855, 399]),
                    (5000, 8, &[3545, 4976, 17, 3648, 2181, 1874, 4842, 837]),
                    (21, 2, &[10, 0]),
                    (22, 2, &[0, 20]),
                    (100, 50, &[2499, 69, 43]),
                    (85, 6, &[47, 11, 56, 65, 13, 20]),
                    (86, 6, &[66, 50, 47, 62, 3, 60]),
                ],
            ),
            (
                7,
                &[
                    (12, 3, &[5, 2, 6]),
                    (12, 4, &[10, 0, 1, 8]),
                    (30, 6, &[3, 11, 18, 1, 16, 6]),
                    (1000, 5, &[38, 88, 444, 428, 71]),
                    (5000, 8, &[1971, 743, 4514, 3477, 484, 4632, 1014, 1828]),
                    (21, 2, &[20, 18]),
                    (22, 2, &[1, 18]),
                    (100, 50, &[2444, 74, 65]),
                    (85, 6, &[9, 15, 65, 53, 21, 43]),
                    (86, 6, &[19, 62, 53, 5, 85, 9]),
                ],
            ),
            (
                1234,
                &[
                    (12, 3, &[7, 1, 0]),
                    (12, 4, &[1, 9, 0, 11]),
                    (30, 6, &[3, 24, 11, 7, 0, 25]),
                    (1000, 5, &[807, 16, 354, 663, 638]),
                    (5000, 8, &[3966, 3797, 1216, 747, 1499, 937, 119, 4121]),
                    (21, 2, &[15, 7]),
                    (22, 2, &[2, 21]),
                    (100, 50, &[2346, 69, 17]),
                    (85, 6, &[84, 5, 22, 34, 19, 38]),
                    (86, 6, &[19, 59, 5, 72, 49, 44]),
                ],
            ),
            (
                42,
                &[
                    (12, 3, &[10, 1, 0]),
                    (12, 4, &[11, 4, 3, 9]),
                    (30, 6, &[4, 23, 3, 21, 28, 17]),
                    (1000, 5, &[89, 604, 432, 32, 30]),
                    (5000, 8, &[767, 1791, 1905, 4139, 4931, 217, 4597, 1628]),
                    (21, 2, &[20, 17]),
                    (22, 2, &[13, 7]),
                    (100, 50, &[2450, 57, 82]),
                    (85, 6, &[82, 9, 77, 81, 21, 68]),
                    (86, 6, &[31, 20, 59, 48, 34, 81]),
                ],
            ),
            (
                4294967295,
                &[
                    (12, 3, &[10, 9, 3]),
                    (12, 4, &[3, 9, 8, 4]),
                    (30, 6, &[19, 10, 12, 21, 22, 8]),
                    (1000, 5, &[363, 918, 509, 420, 65]),
                    (5000, 8, &[1777, 1129, 3910, 4134, 2994, 1332, 511, 2711]),
                    (21, 2, &[1, 12]),
                    (22, 2, &[14, 18]),
                    (100, 50, &[2498, 93, 71]),
                    (85, 6, &[28, 60, 35, 24, 70, 65]),
                    (86, 6, &[82, 50, 45, 2, 8, 67]),
                ],
            ),
            (
                4294967296,
                &[
                    (12, 3, &[1, 5, 6]),
                    (12, 4, &[0, 11, 9, 5]),
                    (30, 6, &[26, 17, 14, 0, 4, 2]),
                    (1000, 5, &[838, 962, 979, 443, 513]),
                    (5000, 8, &[2573, 2807, 3123, 3925, 3786, 1320, 967, 2545]),
                    (21, 2, &[4, 17]),
                    (22, 2, &[8, 11]),
                    (100, 50, &[2453, 64, 83]),
                    (85, 6, &[15, 28, 9, 80, 47, 8]),
                    (86, 6, &[19, 57, 38, 73, 8, 11]),
                ],
            ),
            (
                1099511627781,
                &[
                    (12, 3, &[8, 11, 4]),
                    (12, 4, &[10, 0, 8, 11]),
                    (30, 6, &[5, 2, 25, 26, 4, 7]),
                    (1000, 5, &[951, 669, 703, 140, 253]),
                    (5000, 8, &[3115, 992, 4532, 1887, 3824, 452, 912, 3492]),
                    (21, 2, &[1, 10]),
                    (22, 2, &[14, 9]),
                    (100, 50, &[2483, 16, 40]),
                    (85, 6, &[6, 41, 83, 12, 3, 49]),
                    (86, 6, &[12, 8, 56, 14, 73, 55]),
                ],
            ),
            (
                18446744073709551615,
                &[
                    (12, 3, &[0, 3, 5]),
                    (12, 4, &[9, 3, 7, 1]),
                    (30, 6, &[29, 28, 11, 24, 23, 22]),
                    (1000, 5, &[760, 55, 754, 197, 747]),
                    (5000, 8, &[4361, 3847, 640, 2701, 3960, 2147, 2276, 4830]),
                    (21, 2, &[1, 10]),
                    (22, 2, &[9, 18]),
                    (100, 50, &[2486, 37, 42]),
                    (85, 6, &[52, 82, 17, 28, 27, 76]),
                    (86, 6, &[71, 0, 83, 79, 85, 72]),
                ],
            ),
        ];
        for (seed, samples) in table {
            let mut random = PythonRandom::new(*seed);
            for (population, count, expected) in *samples {
                let drawn = random.sample(*population, *count).unwrap();
                let shown = if *count <= 8 { drawn } else { vec![drawn.iter().sum(), drawn[0], drawn[*count - 1]] };
                assert_eq!(shown, *expected, "{seed}: {population}, {count}");
            }
        }
    }

    #[test]
    fn more_than_there_are_is_none() {
        let mut random = PythonRandom::new(0);
        assert_eq!(random.sample(3, 4), None);
        assert_eq!(random.sample(0, 0), Some(Vec::new()));
        assert_eq!(random.sample(1, 1), Some(vec![0]));
    }
}
