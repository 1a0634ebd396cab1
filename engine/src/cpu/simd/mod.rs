//! Sixteen f32 lanes with one meaning on every CPU: AVX-512, AVX2 with FMA, and portable Rust give the same bits.
//!
//! Every operation is a correctly rounded IEEE operation per lane (fused multiply-add included), so a kernel written on
//! [`Lanes`] rounds alike whatever the instruction set. Reductions over lanes have one fixed order. [`dispatch`] runs a
//! kernel with the best instruction set of this machine. exp is ours, never the C library's.
//!
//! Nothing safe runs an instruction that the processor lacks: an [`InstructionSet`] comes from detection alone, and the lanes of
//! a set cannot be named out here, so that only a dispatch on such a set hands them to a kernel.
//!
//! ```compile_fail
//! // A set that was not detected.
//! let set = karat_engine::cpu::simd::InstructionSet(0);
//! ```
//!
//! ```compile_fail
//! // Lanes without a dispatch.
//! use karat_engine::cpu::simd::Avx512;
//! ```
#![expect(unsafe_code, reason = "kernel file: SIMD intrinsics and unaligned loads behind one small trait")]

mod dots;

use std::sync::OnceLock;

use crate::error::{Error, Result};
pub use dots::{DotKernel, Dots, dispatch_dots_on, to_bf16};

/// Number of lanes of every [`Lanes`] implementation.
pub const WIDTH: usize = 16;

/// Chooses an instruction set below the best; for tests and comparisons.
const VARIABLE: &str = "KARAT_INSTRUCTIONS";

/// An instruction set that the kernels know and that this processor has: there is no other way to one than detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstructionSet(Set);

/// Instruction sets that the kernels know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// AVX-512 with VNNI and BF16.
    Avx512Bf16,
    /// AVX-512 with VNNI.
    Avx512Vnni,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
    /// AVX2 with FMA.
    Avx2,
    /// Plain Rust.
    Portable,
}

impl InstructionSet {
    /// Plain Rust, which every processor runs.
    pub const PORTABLE: Self = Self(Set::Portable);

    /// The best of this machine, or the one that `KARAT_INSTRUCTIONS` names if this machine has it; asked once.
    pub fn detect() -> Self {
        static DETECTED: OnceLock<InstructionSet> = OnceLock::new();
        *DETECTED.get_or_init(|| {
            let wanted = std::env::var(VARIABLE).unwrap_or_default();
            let chosen = Self::available().find(|set| set.name() == wanted);
            chosen.or_else(|| Self::available().next()).unwrap_or(Self::PORTABLE)
        })
    }

    /// Checks that `KARAT_INSTRUCTIONS`, if it is set, names a set of this machine.
    ///
    /// # Errors
    /// It does not.
    pub fn check() -> Result<()> {
        let wanted = std::env::var(VARIABLE).unwrap_or_default();
        if wanted.is_empty() || Self::available().any(|set| set.name() == wanted) {
            return Ok(());
        }
        let names: Vec<&str> = Self::available().map(Self::name).collect();
        Err(Error::input(format!("{VARIABLE}=`{wanted}` is not supported here"))
            .with_hint(format!("this machine has {}", names.join(", "))))
    }

    /// The sets of this machine, best first.
    pub fn available() -> impl Iterator<Item = Self> + Clone {
        Set::ALL.into_iter().filter(|set| set.is_available()).map(Self)
    }

    /// The name in `KARAT_INSTRUCTIONS` and `performance.json`.
    pub fn name(self) -> &'static str {
        self.0.name()
    }
}

impl Set {
    /// Best first.
    const ALL: [Self; 5] = [Self::Avx512Bf16, Self::Avx512Vnni, Self::Avx512, Self::Avx2, Self::Portable];

    fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            let avx512 = || {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            };
            let vnni = || avx512() && is_x86_feature_detected!("avx512vnni");
            match self {
                Self::Avx512Bf16 => vnni() && is_x86_feature_detected!("avx512bf16"),
                Self::Avx512Vnni => vnni(),
                Self::Avx512 => avx512(),
                Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
                Self::Portable => true,
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            self == Self::Portable
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Avx512Bf16 => "avx512-bf16",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Portable => "portable",
        }
    }
}

/// Sixteen f32 values and the operations that the kernels need.
pub trait Lanes: Copy {
    /// All lanes `x`.
    fn splat(x: f32) -> Self;
    /// Reads 16 values.
    ///
    /// # Safety
    /// `from` must be valid for reading 16 values.
    unsafe fn load(from: *const f32) -> Self;
    /// Reads 16 bfloat16 numbers.
    ///
    /// # Safety
    /// `from` must be valid for reading 16 numbers.
    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> Self {
        // SAFETY: the caller promises 16 readable numbers.
        let bits = unsafe { from.cast::<[u16; WIDTH]>().read_unaligned() };
        Self::from_array(bits.map(
            #[inline(always)]
            |bits| f32::from_bits(u32::from(bits) << 16),
        ))
    }
    /// Writes 16 values.
    ///
    /// # Safety
    /// `to` must be valid for writing 16 values.
    unsafe fn store(self, to: *mut f32);
    /// Lane-wise sum.
    fn add(self, other: Self) -> Self;
    /// Lane-wise difference.
    fn sub(self, other: Self) -> Self;
    /// Lane-wise product.
    fn mul(self, other: Self) -> Self;
    /// Lane-wise quotient.
    fn div(self, other: Self) -> Self;
    /// `self * factor + summand`, rounded once.
    fn fma(self, factor: Self, summand: Self) -> Self;
    /// `if self > other { self } else { other }` per lane: a NaN in `other` stays.
    fn max(self, other: Self) -> Self;
    /// `if self < other { self } else { other }` per lane: a NaN in `other` stays.
    fn min(self, other: Self) -> Self;
    /// Nearest integer, ties to even.
    fn round(self) -> Self;
    /// 2 to the power of `self`, for integers from -126 to 127.
    fn exp2_of_integer(self) -> Self;
    /// `yes` where `self < limit`, `no` elsewhere (NaN gives `no`).
    fn where_less(self, limit: Self, yes: Self, no: Self) -> Self;

    /// The lanes as an array.
    #[inline(always)]
    fn to_array(self) -> [f32; WIDTH] {
        let mut out = [0.0; WIDTH];
        // SAFETY: `out` has 16 values.
        unsafe { self.store(out.as_mut_ptr()) };
        out
    }

    /// The lanes from an array.
    #[inline(always)]
    fn from_array(values: [f32; WIDTH]) -> Self {
        // SAFETY: `values` has 16 values.
        unsafe { Self::load(values.as_ptr()) }
    }

    /// Sum over the lanes, halves onto halves.
    #[inline(always)]
    fn sum(self) -> f32 {
        let mut lanes = self.to_array();
        let mut half = WIDTH / 2;
        while half > 0 {
            for i in 0..half {
                lanes[i] += lanes[i + half];
            }
            half /= 2;
        }
        lanes[0]
    }

    /// Largest lane; NaN if any lane is NaN.
    #[inline(always)]
    fn largest(self) -> f32 {
        let lanes = self.to_array();
        let mut best = lanes[0];
        for &x in &lanes[1..] {
            best = if best > x || best.is_nan() { best } else { x };
        }
        best
    }

    /// e to the power of each lane: Cephes' expf polynomial with fused steps, at most 2 ulp off; exactly 0 below -87.33,
    /// exactly 1 at 0; NaN stays NaN.
    #[inline(always)]
    fn exp(self) -> Self {
        const UNDERFLOW: f32 = -87.33;
        let x = Self::splat(88.37).min(Self::splat(UNDERFLOW).max(self));
        let n = x.mul(Self::splat(std::f32::consts::LOG2_E)).round();
        let r = n.fma(Self::splat(-0.693_359_4), x);
        let r = n.fma(Self::splat(2.121_944_4e-4), r);
        let p = Self::splat(1.987_569_1e-4);
        let p = p.fma(r, Self::splat(1.398_2e-3));
        let p = p.fma(r, Self::splat(8.333_452e-3));
        let p = p.fma(r, Self::splat(4.166_579_6e-2));
        let p = p.fma(r, Self::splat(1.666_666_5e-1));
        let p = p.fma(r, Self::splat(0.5));
        let y = p.fma(r.mul(r), r).add(Self::splat(1.0));
        let y = y.mul(n.min(Self::splat(127.0)).exp2_of_integer());
        self.where_less(Self::splat(UNDERFLOW), Self::splat(0.0), y)
    }
}

/// Portable lanes.
#[derive(Clone, Copy)]
pub struct Portable([f32; WIDTH]);

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
            |i| libm::fmaf(self.0[i], factor.0[i], summand.0[i]),
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

#[cfg(target_arch = "x86_64")]
mod x86 {
    //! The x86 lanes. Their methods may only run inside functions that enable the instruction set, which [`super::dispatch`]
    //! guarantees: they are not for others to name.
    use super::{Lanes, WIDTH};
    use std::arch::x86_64::*;

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
}

#[cfg(target_arch = "x86_64")]
use x86::{Avx2, Avx512};

/// A computation that is generic over the lanes; its `run` must be `#[inline(always)]`.
pub trait Kernel {
    /// What it returns.
    type Output;
    /// The computation.
    fn run<L: Lanes>(self) -> Self::Output;
}

/// Runs the kernel with the best instruction set of this machine.
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    dispatch_on(InstructionSet::detect(), kernel)
}

/// Runs the kernel with a given instruction set.
pub fn dispatch_on<K: Kernel>(set: InstructionSet, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
        fn avx512<K: Kernel>(kernel: K) -> K::Output {
            kernel.run::<Avx512>()
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2<K: Kernel>(kernel: K) -> K::Output {
            kernel.run::<Avx2>()
        }
        match set.0 {
            // SAFETY: an `InstructionSet` is one that the processor has.
            Set::Avx512Bf16 | Set::Avx512Vnni | Set::Avx512 => return unsafe { avx512(kernel) },
            // SAFETY: as above.
            Set::Avx2 => return unsafe { avx2(kernel) },
            Set::Portable => {}
        }
    }
    let _ = set;
    kernel.run::<Portable>()
}

/// Calls `f` with the 16-lane chunks of a row; a shorter last chunk is padded with `pad` and written back cut, so an
/// element's bits never depend on where in the row it stands.
#[inline(always)]
pub fn map_row<L: Lanes>(row: &mut [f32], pad: f32, f: impl Fn(usize, L) -> L) {
    let (whole, rest) = row.split_at_mut(row.len() - row.len() % WIDTH);
    for (index, chunk) in whole.chunks_exact_mut(WIDTH).enumerate() {
        // SAFETY: the chunk has 16 values.
        unsafe { f(index * WIDTH, L::load(chunk.as_ptr())).store(chunk.as_mut_ptr()) };
    }
    if !rest.is_empty() {
        let mut last = [pad; WIDTH];
        last[..rest.len()].copy_from_slice(rest);
        let done = f(whole.len(), L::from_array(last)).to_array();
        rest.copy_from_slice(&done[..rest.len()]);
    }
}

/// The 16 values from `at`, padded with `pad` past the end of the row.
#[inline(always)]
pub fn load_padded<L: Lanes>(row: &[f32], at: usize, pad: f32) -> L {
    if at + WIDTH <= row.len() {
        // SAFETY: checked above.
        return unsafe { L::load(row.as_ptr().add(at)) };
    }
    let mut last = [pad; WIDTH];
    last[..row.len() - at].copy_from_slice(&row[at..]);
    L::from_array(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Exp([f32; WIDTH]);
    impl Kernel for Exp {
        type Output = [f32; WIDTH];
        #[inline(always)]
        fn run<L: Lanes>(self) -> Self::Output {
            L::from_array(self.0).exp().to_array()
        }
    }

    #[test]
    fn exp_is_accurate_and_equal_on_every_instruction_set() {
        let mut x = -90.0f32;
        while x < 88.0 {
            let lanes: [f32; WIDTH] = std::array::from_fn(
                #[inline(always)]
                |i| x + i as f32 * 0.001,
            );
            let portable = dispatch_on(InstructionSet::PORTABLE, Exp(lanes));
            for set in InstructionSet::available() {
                let got = dispatch_on(set, Exp(lanes));
                assert_eq!(got.map(f32::to_bits), portable.map(f32::to_bits), "{set:?} at {x}");
            }
            for (x, y) in lanes.iter().zip(portable) {
                let right = libm::exp(f64::from(*x));
                if *x > -87.3 {
                    assert!((f64::from(y) - right).abs() <= 2.5e-7 * right, "exp({x}) = {y}, not {right}");
                }
            }
            x += 0.0173;
        }
    }

    struct Largest([f32; WIDTH]);
    impl Kernel for Largest {
        type Output = f32;
        #[inline(always)]
        fn run<L: Lanes>(self) -> f32 {
            L::from_array(self.0).largest()
        }
    }

    #[test]
    fn the_largest_lane_is_found_wherever_it_is() {
        for at in 0..WIDTH {
            for (x, wanted) in [(5.0, 5.0), (f32::INFINITY, f32::INFINITY), (-9.0, 3.0), (f32::NAN, f32::NAN)] {
                let mut lanes: [f32; WIDTH] = std::array::from_fn(
                    #[inline(always)]
                    |i| if i == (at + 3) % WIDTH { 3.0 } else { -(i as f32) },
                );
                lanes[at] = x;
                for set in InstructionSet::available() {
                    let got = dispatch_on(set, Largest(lanes));
                    assert!(got == wanted || got.is_nan() && wanted.is_nan(), "{set:?}: {got}, lane {at} is {x}");
                }
            }
        }
    }

    #[test]
    fn exp_keeps_its_special_values() {
        let mut lanes = [0.0; WIDTH];
        (lanes[1], lanes[2], lanes[3]) = (f32::NEG_INFINITY, f32::NAN, -1000.0);
        for set in InstructionSet::available() {
            let got = dispatch_on(set, Exp(lanes));
            assert_eq!((got[0], got[1], got[3]), (1.0, 0.0, 0.0));
            assert!(got[2].is_nan());
        }
    }
}
