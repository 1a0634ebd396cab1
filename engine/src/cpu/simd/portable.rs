//! The lanes in plain Rust, for processors without the instruction sets that the kernels know, and to hold those against.
#![expect(unsafe_code, reason = "kernel file: unaligned loads")]

use super::lanes::{Lanes, WIDTH};

/// `a · b + c`, rounded once. libm asks the processor by inline assembly, which Miri does not know.
#[inline(always)]
pub(crate) fn fused(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(miri) { a.mul_add(b, c) } else { libm::fmaf(a, b, c) }
}

/// Portable lanes.
#[derive(Clone, Copy)]
pub struct Portable(pub(super) [f32; WIDTH]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(
            #[inline(always)]
            |i| f(self.0[i], other.0[i]),
        ))
    }
}

impl Lanes for Portable {
    #[inline(always)]
    fn splat(x: f32) -> Self {
        Self([x; WIDTH])
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller promises 16 readable values.
        Self(unsafe { from.cast::<[f32; WIDTH]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller promises 16 writable values.
        unsafe { to.cast::<[f32; WIDTH]>().write_unaligned(self.0) };
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(
            other,
            #[inline(always)]
            |a, b| a + b,
        )
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(
            other,
            #[inline(always)]
            |a, b| a - b,
        )
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(
            other,
            #[inline(always)]
            |a, b| a * b,
        )
    }
    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.zip(
            other,
            #[inline(always)]
            |a, b| a / b,
        )
    }
    #[inline(always)]
    fn fma(self, factor: Self, summand: Self) -> Self {
        // libm's fmaf is plain Rust and rounds once; `mul_add` would call the C library here.
        Self(std::array::from_fn(
            #[inline(always)]
            |i| fused(self.0[i], factor.0[i], summand.0[i]),
        ))
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(
            other,
            #[inline(always)]
            |a, b| if a > b { a } else { b },
        )
    }
    #[inline(always)]
    fn min(self, other: Self) -> Self {
        self.zip(
            other,
            #[inline(always)]
            |a, b| if a < b { a } else { b },
        )
    }
    #[inline(always)]
    fn round(self) -> Self {
        Self(self.0.map(libm::rintf))
    }
    #[inline(always)]
    fn exp2_of_integer(self) -> Self {
        Self(self.0.map(
            #[inline(always)]
            |n| f32::from_bits((((n as i32) + 127) as u32) << 23),
        ))
    }
    #[inline(always)]
    fn where_less(self, limit: Self, yes: Self, no: Self) -> Self {
        Self(std::array::from_fn(
            #[inline(always)]
            |i| if self.0[i] < limit.0[i] { yes.0[i] } else { no.0[i] },
        ))
    }
}
