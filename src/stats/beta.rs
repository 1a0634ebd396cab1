//! The continued fraction of the incomplete beta function, behind the binomial and Student's distribution.

/// The continued fraction of the regularised incomplete beta function: I_x(a, b) = x^a (1 - x)^b / (a B(a, b)) times this
/// (W. H. Press and others, Numerical Recipes, 6.4), by the modified method of Lentz.
///
/// Takes some sqrt(max(a, b)) steps where x < (a + 1) / (a + b + 2); beyond, use I_x(a, b) = 1 - I_(1-x)(b, a).
pub(super) fn fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let guard = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut c, mut d) = (1.0, 1.0 / guard(1.0 - (a + b) * x / (a + 1.0)));
    let mut value = d;
    for m in 1..100_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / guard(1.0 + even * d);
        c = guard(1.0 + even / c);
        value *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / guard(1.0 + odd * d);
        c = guard(1.0 + odd / c);
        value *= d * c;
        if (d * c - 1.0).abs() < 1e-16 {
            break;
        }
    }
    value
}
