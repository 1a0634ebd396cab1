//! Dot products of packed narrow numbers: pairs of bfloat16 and groups of four bytes in each of the sixteen 32-bit words.
//!
//! Both give the same bits on every instruction set. Byte products are added in 32-bit integers, exactly. A bfloat16 pair is
//! added as `vdpbf16ps` does it (Intel's architecture manual): the upper product first, each addition rounded once to nearest
//! even, sums below the smallest normal number given as zero. It takes such inputs as zero, too: whoever makes bfloat16 here
//! does so with [`to_bf16`], which makes none.
#![expect(unsafe_code, reason = "kernel file: SIMD intrinsics")]

use super::instruction_set::{InstructionSet, Set};
use super::lanes::{Lanes, WIDTH};
use super::portable::Portable;

/// The bits of the nearest bfloat16, ties to even; zero below the smallest normal number.
#[inline(always)]
pub fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    let normal = if rounded & 0x7f80 == 0 { rounded & 0x8000 } else { rounded };
    if x.is_nan() { 0x7fc0 } else { normal as u16 }
}

/// Lanes whose 32-bit words may also hold two bfloat16 or four bytes.
pub trait Dots: Lanes {
    /// Sixteen 32-bit integer sums.
    type Sums: Copy;
    /// Whether there are 32 registers of 16 lanes, or 16 of eight.
    const WIDE: bool;
    /// All words `word`.
    #[inline(always)]
    fn splat_word(word: u32) -> Self {
        Self::splat(f32::from_bits(word))
    }
    /// `self + high·high + low·low` for the bfloat16 pairs of two words.
    fn dot_bf16(self, a: Self, b: Self) -> Self;
    /// All sums `x`.
    fn sums(x: i32) -> Self::Sums;
    /// `sums + Σ signed·unsigned` over the four bytes of each word.
    fn dot_bytes(sums: Self::Sums, signed: Self, unsigned: Self) -> Self::Sums;
    /// The sums as f32: exact below 2^24, else rounded to nearest even.
    fn from_sums(sums: Self::Sums) -> Self;
}

/// `self + high·high + low·low` with two fused steps.
#[inline(always)]
fn widened_dot<L: Lanes>(sum: L, a: L, b: L, high: impl Fn(L) -> L, low: impl Fn(L) -> L) -> L {
    flush(low(a).fma(low(b), flush(high(a).fma(high(b), sum))))
}

/// Zero with the sign of `x` where it is below the smallest normal number.
#[inline(always)]
fn flush<L: Lanes>(x: L) -> L {
    let zero = L::splat(0.0);
    let size = x.max(zero.sub(x));
    size.where_less(L::splat(f32::MIN_POSITIVE), x.mul(zero), x)
}

impl Dots for Portable {
    type Sums = [i32; WIDTH];
    const WIDE: bool = false;

    #[inline(always)]
    fn dot_bf16(self, a: Self, b: Self) -> Self {
        let high = |x: Self| Self(x.0.map(|x| f32::from_bits(x.to_bits() & 0xffff_0000)));
        let low = |x: Self| Self(x.0.map(|x| f32::from_bits(x.to_bits() << 16)));
        widened_dot(self, a, b, high, low)
    }
    #[inline(always)]
    fn sums(x: i32) -> Self::Sums {
        [x; WIDTH]
    }
    #[inline(always)]
    fn dot_bytes(sums: Self::Sums, signed: Self, unsigned: Self) -> Self::Sums {
        std::array::from_fn(
            #[inline(always)]
            |i| {
                let pairs = signed.0[i].to_bits().to_le_bytes().into_iter().zip(unsigned.0[i].to_bits().to_le_bytes());
                sums[i] + pairs.map(|(s, u)| i32::from(s as i8) * i32::from(u)).sum::<i32>()
            },
        )
    }
    #[inline(always)]
    fn from_sums(sums: Self::Sums) -> Self {
        Self(sums.map(|x| x as f32))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! The x86 dot products. Their methods may only run inside functions that enable the instruction set, which
    //! [`super::dispatch`] guarantees.
    use super::{Dots, Lanes, widened_dot};
    use crate::cpu::simd::x86::{Avx2, Avx512, intrinsic};
    use std::arch::x86_64::*;

    impl Dots for Avx2 {
        type Sums = [__m256i; 2];
        const WIDE: bool = false;

        #[inline(always)]
        fn dot_bf16(self, a: Self, b: Self) -> Self {
            let upper = intrinsic!(_mm256_set1_epi32(0xffff_0000_u32 as i32));
            let high = |x: Self| Self(x.0.map(|x| intrinsic!(_mm256_and_ps(x, _mm256_castsi256_ps(upper)))));
            let low = |x: Self| {
                Self(x.0.map(|x| intrinsic!(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(x))))))
            };
            widened_dot(self, a, b, high, low)
        }
        #[inline(always)]
        fn sums(x: i32) -> Self::Sums {
            intrinsic!([_mm256_set1_epi32(x); 2])
        }
        #[inline(always)]
        fn dot_bytes(sums: Self::Sums, signed: Self, unsigned: Self) -> Self::Sums {
            // Not `array::from_fn`: it is not compiled for the instruction set, so that each intrinsic in it would be a call.
            #[inline(always)]
            fn dot(sum: __m256i, signed: __m256, unsigned: __m256) -> __m256i {
                intrinsic!({
                    // Even and odd bytes apart, as 16-bit numbers: their pairwise products fit into 32 bits.
                    let (s, u) = (_mm256_castps_si256(signed), _mm256_castps_si256(unsigned));
                    let even = _mm256_and_si256(u, _mm256_set1_epi16(0xff));
                    let odd = _mm256_srli_epi16::<8>(u);
                    let even = _mm256_madd_epi16(_mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(s)), even);
                    let odd = _mm256_madd_epi16(_mm256_srai_epi16::<8>(s), odd);
                    _mm256_add_epi32(sum, _mm256_add_epi32(even, odd))
                })
            }
            [dot(sums[0], signed.0[0], unsigned.0[0]), dot(sums[1], signed.0[1], unsigned.0[1])]
        }
        #[inline(always)]
        fn from_sums(sums: Self::Sums) -> Self {
            Self(sums.map(|x| intrinsic!(_mm256_cvtepi32_ps(x))))
        }
    }

    impl Dots for Avx512 {
        type Sums = __m512i;
        const WIDE: bool = true;

        #[inline(always)]
        fn dot_bf16(self, a: Self, b: Self) -> Self {
            let upper = intrinsic!(_mm512_set1_epi32(0xffff_0000_u32 as i32));
            let high =
                |x: Self| Self(intrinsic!(_mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(x.0), upper))));
            let low =
                |x: Self| Self(intrinsic!(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_castps_si512(x.0)))));
            widened_dot(self, a, b, high, low)
        }
        #[inline(always)]
        fn sums(x: i32) -> Self::Sums {
            intrinsic!(_mm512_set1_epi32(x))
        }
        #[inline(always)]
        fn dot_bytes(sums: Self::Sums, signed: Self, unsigned: Self) -> Self::Sums {
            intrinsic!({
                let (s, u) = (_mm512_castps_si512(signed.0), _mm512_castps_si512(unsigned.0));
                let even = _mm512_and_si512(u, _mm512_set1_epi16(0xff));
                let odd = _mm512_srli_epi16::<8>(u);
                let even = _mm512_madd_epi16(_mm512_srai_epi16::<8>(_mm512_slli_epi16::<8>(s)), even);
                let odd = _mm512_madd_epi16(_mm512_srai_epi16::<8>(s), odd);
                _mm512_add_epi32(sums, _mm512_add_epi32(even, odd))
            })
        }
        #[inline(always)]
        fn from_sums(sums: Self::Sums) -> Self {
            Self(intrinsic!(_mm512_cvtepi32_ps(sums)))
        }
    }

    /// AVX-512 lanes with VNNI, and with AVX512-BF16 if `BF16`.
    #[derive(Clone, Copy)]
    pub struct Avx512Dots<const BF16: bool>(Avx512);

    impl<const BF16: bool> Lanes for Avx512Dots<BF16> {
        #[inline(always)]
        fn splat(x: f32) -> Self {
            Self(Avx512::splat(x))
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller promises 16 readable values.
            Self(unsafe { Avx512::load(from) })
        }
        #[inline(always)]
        unsafe fn load_bf16(from: *const u16) -> Self {
            // SAFETY: the caller promises 16 readable numbers.
            Self(unsafe { Avx512::load_bf16(from) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller promises 16 writable values.
            unsafe { self.0.store(to) }
        }
        #[inline(always)]
        fn add(self, other: Self) -> Self {
            Self(self.0.add(other.0))
        }
        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            Self(self.0.sub(other.0))
        }
        #[inline(always)]
        fn mul(self, other: Self) -> Self {
            Self(self.0.mul(other.0))
        }
        #[inline(always)]
        fn div(self, other: Self) -> Self {
            Self(self.0.div(other.0))
        }
        #[inline(always)]
        fn fma(self, factor: Self, summand: Self) -> Self {
            Self(self.0.fma(factor.0, summand.0))
        }
        #[inline(always)]
        fn max(self, other: Self) -> Self {
            Self(self.0.max(other.0))
        }
        #[inline(always)]
        fn min(self, other: Self) -> Self {
            Self(self.0.min(other.0))
        }
        #[inline(always)]
        fn largest(self) -> f32 {
            self.0.largest()
        }
        #[inline(always)]
        fn round(self) -> Self {
            Self(self.0.round())
        }
        #[inline(always)]
        fn exp2_of_integer(self) -> Self {
            Self(self.0.exp2_of_integer())
        }
        #[inline(always)]
        fn where_less(self, limit: Self, yes: Self, no: Self) -> Self {
            Self(self.0.where_less(limit.0, yes.0, no.0))
        }
    }

    impl<const BF16: bool> Dots for Avx512Dots<BF16> {
        type Sums = __m512i;
        const WIDE: bool = true;

        #[inline(always)]
        fn dot_bf16(self, a: Self, b: Self) -> Self {
            if !BF16 {
                return Self(self.0.dot_bf16(a.0, b.0));
            }
            // SAFETY: as for all x86 lanes; the three types are 64 bytes of the same register.
            Self(Avx512(unsafe {
                _mm512_dpbf16_ps(
                    self.0.0,
                    std::mem::transmute::<__m512, __m512bh>(a.0.0),
                    std::mem::transmute::<__m512, __m512bh>(b.0.0),
                )
            }))
        }
        #[inline(always)]
        fn sums(x: i32) -> Self::Sums {
            Avx512::sums(x)
        }
        #[inline(always)]
        fn dot_bytes(sums: Self::Sums, signed: Self, unsigned: Self) -> Self::Sums {
            intrinsic!(_mm512_dpbusd_epi32(sums, _mm512_castps_si512(unsigned.0.0), _mm512_castps_si512(signed.0.0)))
        }
        #[inline(always)]
        fn from_sums(sums: Self::Sums) -> Self {
            Self(Avx512::from_sums(sums))
        }
    }
}

#[cfg(target_arch = "x86_64")]
use x86::Avx512Dots;

/// A computation that is generic over lanes with dot products; its `run` must be `#[inline(always)]`.
pub trait DotKernel {
    /// What it returns.
    type Output;
    /// The computation.
    fn run<L: Dots>(self) -> Self::Output;
}

/// Runs the kernel with a given instruction set.
pub fn dispatch_dots_on<K: DotKernel>(set: InstructionSet, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16")]
        fn bf16<K: DotKernel>(kernel: K) -> K::Output {
            kernel.run::<Avx512Dots<true>>()
        }
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
        fn vnni<K: DotKernel>(kernel: K) -> K::Output {
            kernel.run::<Avx512Dots<false>>()
        }
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
        fn avx512<K: DotKernel>(kernel: K) -> K::Output {
            kernel.run::<crate::cpu::simd::x86::Avx512>()
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2<K: DotKernel>(kernel: K) -> K::Output {
            kernel.run::<crate::cpu::simd::x86::Avx2>()
        }
        // SAFETY: an `InstructionSet` is one that the processor has.
        unsafe {
            match set.0 {
                Set::Avx512Bf16 => return bf16(kernel),
                Set::Avx512Vnni => return vnni(kernel),
                Set::Avx512 => return avx512(kernel),
                Set::Avx2 => return avx2(kernel),
                Set::Portable => {}
            }
        }
    }
    let _ = set;
    kernel.run::<Portable>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling;

    struct Bf16([f32; WIDTH], [f32; WIDTH], [f32; WIDTH]);
    impl DotKernel for Bf16 {
        type Output = [u32; WIDTH];
        #[inline(always)]
        fn run<L: Dots>(self) -> Self::Output {
            L::from_array(self.0).dot_bf16(L::from_array(self.1), L::from_array(self.2)).to_array().map(f32::to_bits)
        }
    }

    struct Bytes(i32, [f32; WIDTH], [f32; WIDTH]);
    impl DotKernel for Bytes {
        type Output = [f32; WIDTH];
        #[inline(always)]
        fn run<L: Dots>(self) -> Self::Output {
            L::from_sums(L::dot_bytes(L::sums(self.0), L::from_array(self.1), L::from_array(self.2))).to_array()
        }
    }

    /// Sixteen words of random bits.
    fn words(seed: u64) -> [u32; WIDTH] {
        std::array::from_fn(|i| (sampling::uniform(seed, i as u32) * f64::from(u32::MAX)) as u32)
    }

    #[test]
    fn bfloat16_pairs_add_alike_on_every_instruction_set() {
        // Exponents around 1, far apart, and so small that products and sums leave the normal numbers.
        for (seed, exponents) in (0..6000u64).zip([(120, 16), (100, 60), (60, 10), (1, 70)].into_iter().cycle()) {
            let half = |word: u32| (word & 0x807f) | ((exponents.0 + (word >> 8) % exponents.1) & 0xff) << 7;
            let pair = |word: u32| f32::from_bits(half(word) | half(word.rotate_left(13) >> 3) << 16);
            let (a, b) = (words(3 * seed).map(pair), words(3 * seed + 1).map(pair));
            let sum = words(3 * seed + 2).map(|word| f32::from_bits(half(word) << 16 | (word >> 16)));
            let portable = dispatch_dots_on(InstructionSet::PORTABLE, Bf16(sum, a, b));
            for set in InstructionSet::available() {
                assert_eq!(dispatch_dots_on(set, Bf16(sum, a, b)), portable, "{set:?}, {exponents:?}");
            }
        }
    }

    #[test]
    fn bfloat16_is_rounded_as_the_half_crate_rounds_it() {
        for seed in 0..4000 {
            for x in words(seed).map(f32::from_bits) {
                let right = half::bf16::from_f32(x);
                let got = half::bf16::from_bits(to_bf16(x));
                let small = right.to_f32().abs() < f32::MIN_POSITIVE;
                let equal = got.to_bits() == right.to_bits() || small && got.to_f32() == 0.0;
                assert!(equal || x.is_nan() && got.is_nan(), "{x}: {got}, not {right}");
            }
        }
    }

    #[test]
    fn bytes_add_exactly_on_every_instruction_set() {
        // An interpreter is slow.
        for seed in 0..if cfg!(miri) { 30 } else { 3000 } {
            let (signed, unsigned) = (words(2 * seed), words(2 * seed + 1));
            let extreme = seed % 3 == 0;
            let signed = signed.map(|w| if extreme { w | 0x8080_8080 } else { w });
            let unsigned = unsigned.map(|w| if extreme { w | 0xf0f0_f0f0 } else { w });
            let right: [f32; WIDTH] = std::array::from_fn(|i| {
                let products =
                    |at: usize| i32::from(signed[i].to_le_bytes()[at] as i8) * i32::from(unsigned[i].to_le_bytes()[at]);
                (-1000 + (0..4).map(products).sum::<i32>()) as f32
            });
            for set in InstructionSet::available() {
                let got = dispatch_dots_on(set, Bytes(-1000, signed.map(f32::from_bits), unsigned.map(f32::from_bits)));
                assert_eq!(got, right, "{set:?}");
            }
        }
    }
}
