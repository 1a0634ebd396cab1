//! What sixteen f32 lanes can do, on every instruction set with the same bits.
#![expect(unsafe_code, reason = "kernel file: loads and stores through pointers")]

/// Number of lanes of every [`Lanes`] implementation.
pub const WIDTH: usize = 16;

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
