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
mod instruction_set;
mod lanes;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use dots::{DotKernel, Dots, dispatch_dots_on, to_bf16};
pub use instruction_set::InstructionSet;
pub use lanes::{Lanes, WIDTH};

use instruction_set::Set;
use portable::Portable;
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
