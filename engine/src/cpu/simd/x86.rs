//! The x86 lanes. Their methods may only run inside functions that enable the instruction set, which [`super::dispatch`]
//! guarantees: they are not for others to name.
#![expect(unsafe_code, reason = "kernel file: SIMD intrinsics and unaligned loads")]

use std::arch::x86_64::*;

use super::lanes::{Lanes, WIDTH};

/// AVX-512 lanes.
#[derive(Clone, Copy)]
pub struct Avx512(pub(crate) __m512);

/// One intrinsic call.
macro_rules! intrinsic {
    // SAFETY: these lanes exist only inside functions that enable the instruction set.
    ($e:expr) => {
        unsafe { $e }
    };
}
pub(crate) use intrinsic;

impl Lanes for Avx512 {
    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self(intrinsic!(_mm512_set1_ps(x)))
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(intrinsic!(_mm512_loadu_ps(from)))
    }
    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> Self {
        Self(intrinsic!({
            let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits))
        }))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        intrinsic!(_mm512_storeu_ps(to, self.0))
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(intrinsic!(_mm512_add_ps(self.0, other.0)))
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(intrinsic!(_mm512_sub_ps(self.0, other.0)))
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(intrinsic!(_mm512_mul_ps(self.0, other.0)))
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Self(intrinsic!(_mm512_div_ps(self.0, other.0)))
    }
    #[inline(always)]
    fn fma(self, factor: Self, summand: Self) -> Self {
        Self(intrinsic!(_mm512_fmadd_ps(self.0, factor.0, summand.0)))
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Self(intrinsic!(_mm512_max_ps(self.0, other.0)))
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        Self(intrinsic!(_mm512_min_ps(self.0, other.0)))
    }
    #[inline(always)]
    fn largest(self) -> f32 {
        intrinsic!(match _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self.0, self.0) {
            0 => _mm512_reduce_max_ps(self.0),
            _ => f32::NAN,
        })
    }
    #[inline(always)]
    fn round(self) -> Self {
        Self(intrinsic!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(self.0)))
    }
    #[inline(always)]
    fn exp2_of_integer(self) -> Self {
        Self(intrinsic!({
            let bits = _mm512_add_epi32(_mm512_cvtps_epi32(self.0), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(bits))
        }))
    }
    #[inline(always)]
    fn where_less(self, limit: Self, yes: Self, no: Self) -> Self {
        Self(intrinsic!({
            let mask = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, limit.0);
            _mm512_mask_blend_ps(mask, no.0, yes.0)
        }))
    }
}

/// AVX2 lanes in two halves.
#[derive(Clone, Copy)]
pub struct Avx2(pub(crate) [__m256; 2]);

impl Avx2 {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(__m256, __m256) -> __m256) -> Self {
        Self([f(self.0[0], other.0[0]), f(self.0[1], other.0[1])])
    }
}

impl Lanes for Avx2 {
    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([intrinsic!(_mm256_set1_ps(x)); 2])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        Self(intrinsic!([_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(WIDTH / 2))]))
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        intrinsic!({
            _mm256_storeu_ps(to, self.0[0]);
            _mm256_storeu_ps(to.add(WIDTH / 2), self.0[1]);
        })
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(
            other,
            #[inline(always)]
            |a, b| intrinsic!(_mm256_add_ps(a, b)),
        )
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(
            other,
            #[inline(always)]
            |a, b| intrinsic!(_mm256_sub_ps(a, b)),
        )
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(
            other,
            #[inline(always)]
            |a, b| intrinsic!(_mm256_mul_ps(a, b)),
        )
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.zip(
            other,
            #[inline(always)]
            |a, b| intrinsic!(_mm256_div_ps(a, b)),
        )
    }
    #[inline(always)]
    fn fma(self, factor: Self, summand: Self) -> Self {
        Self(std::array::from_fn(
            #[inline(always)]
            |i| intrinsic!(_mm256_fmadd_ps(self.0[i], factor.0[i], summand.0[i])),
        ))
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(
            other,
            #[inline(always)]
            |a, b| intrinsic!(_mm256_max_ps(a, b)),
        )
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(
            other,
            #[inline(always)]
            |a, b| intrinsic!(_mm256_min_ps(a, b)),
        )
    }
    #[inline(always)]
    fn largest(self) -> f32 {
        intrinsic!({
            let [a, b] = self.0;
            if _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_UNORD_Q>(a, b)) != 0 {
                return f32::NAN;
            }
            let eight = _mm256_max_ps(a, b);
            let four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
        })
    }
    #[inline(always)]
    fn round(self) -> Self {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        Self(self.0.map(
            #[inline(always)]
            |x| intrinsic!(_mm256_round_ps::<NEAREST>(x)),
        ))
    }
    #[inline(always)]
    fn exp2_of_integer(self) -> Self {
        Self(self.0.map(
            #[inline(always)]
            |n| {
                intrinsic!({
                    let bits = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
                    _mm256_castsi256_ps(_mm256_slli_epi32::<23>(bits))
                })
            },
        ))
    }
    #[inline(always)]
    fn where_less(self, limit: Self, yes: Self, no: Self) -> Self {
        Self(std::array::from_fn(
            #[inline(always)]
            |i| {
                intrinsic!({
                    let mask = _mm256_cmp_ps::<_CMP_LT_OQ>(self.0[i], limit.0[i]);
                    _mm256_blendv_ps(no.0[i], yes.0[i], mask)
                })
            },
        ))
    }
}
