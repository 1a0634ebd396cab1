#!/usr/bin/env python3
"""Prints the figures that the tests of src/stats hold karat's statistics against, as Rust literals.

    pip install scipy==1.17.1 statsmodels scikit-learn krippendorff
    python3 scripts/stats_figures.py
"""

import math
from fractions import Fraction

import krippendorff
import numpy as np
import scipy.stats as st
import statsmodels.api as sm
from scipy.optimize import brentq
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower


def lit(x):
    return repr(float(x))


def ramp(n, step, modulus, shift):
    return np.array([(i * step % modulus) / modulus + shift for i in range(n)])


def show(name, lines):
    print(f"@{name}@")
    print("\n".join(lines))


show("TAILS", [f"            ({lit(t)}, {lit(d)}, {lit(2 * st.t.sf(t, d))})," for t, d in
               [(0.1, 1), (12.7, 1), (2.0, 3.7), (0.5, 10), (2.5, 24.9), (40.0, 5), (1.96, 1000), (7.0, 81.5), (3.3, 250000.5),
                (1e-3, 12)]])
show("BOUNDS", [f"            ({lit(p)}, {lit(d)}, {lit(st.t.ppf((1 + p) / 2, d))})," for p, d in
                [(0.95, 1), (0.95, 4.2), (0.99, 30), (0.9, 1e5), (0.5, 9)]])
lines = []
for one, two, level in [((12, 5, 11, 0.0), (15, 7, 13, 0.25), 0.95), ((200, 37, 101, 0.0), (150, 41, 97, 0.05), 0.95),
                        ((5, 3, 7, 0.0), (400, 11, 31, -0.5), 0.99)]:
    r = st.ttest_ind(ramp(*two), ramp(*one), equal_var=False)
    ci = r.confidence_interval(level)
    diff = ramp(*two).mean() - ramp(*one).mean()
    rust = lambda s: f"({s[0]}, {s[1]}, {s[2]}, {lit(s[3])})"
    lines.append(f"            ({rust(one)}, {rust(two)}, {level}, {lit(diff)}, {lit(r.pvalue)}, {lit(ci.low)}, {lit(ci.high)}),")
show("WELCH", lines)
def score_root(sign, score, estimate, level):
    """Where the score is the normal quantile, below (1) or above (-1) the estimate."""
    z = st.norm.ppf(0.5 + level / 2)
    if sign * estimate == -1:
        return estimate
    return brentq(lambda d: score(d) - sign * z, estimate - sign * 1e-13, -sign * (1 - 1e-12), xtol=1e-15)


def most_likely(slope, low, high):
    """The root of the slope of a concave likelihood, or the end at which it is largest."""
    a, b = low + 1e-15, high - 1e-15
    return low if slope(a) <= 0 else high if slope(b) >= 0 else brentq(slope, a, b, xtol=1e-16, rtol=1e-14)


def part(count, rate):
    return count / rate if count else 0


def two_rates_score(k1, n1, k2, n2):
    """Miettinen and Nurminen's score of a difference d of two rates."""
    def score(d):
        slope = lambda q: part(k1, q) - part(n1 - k1, 1 - q) + part(k2, q + d) - part(n2 - k2, 1 - q - d)
        q = most_likely(slope, max(0, -d), min(1, 1 - d))
        v = (q * (1 - q) / n1 + (q + d) * (1 - q - d) / n2) * (n1 + n2) / (n1 + n2 - 1)
        return (k2 / n2 - k1 / n1 - d) / np.sqrt(v)
    return score


def tango_score(b, c, n):
    """Tango's score of a difference d, of b regressed and c improved of n pairs."""
    def score(d):
        slope = lambda q: part(c, q + d) + part(b, q) - 2 * part(n - b - c, 1 - 2 * q - d)
        q = most_likely(slope, max(0, -d), (1 - d) / 2)
        return (c - b - n * d) / np.sqrt(n * (2 * q + d * (1 - d)))
    return score


lines = []
for (k1, n1), (k2, n2) in [((10, 10), (6, 10)), ((515, 1319), (286, 1319)), ((50, 100), (50, 100)), ((9000, 10000), (9100, 10000)),
                           ((7, 10), (2, 12)), ((0, 20), (5, 20)), ((3, 40), (12, 300)), ((48, 80), (56, 70)), ((3, 10), (9, 10))]:
    n, rate, diff = n1 + n2, (k1 + k2) / (n1 + n2), k2 / n2 - k1 / n1
    p = 2 * st.norm.sf(abs(diff) / np.sqrt(rate * (1 - rate) * (1 / n1 + 1 / n2) * n / (n - 1)))
    low, high = (score_root(sign, two_rates_score(k1, n1, k2, n2), diff, 0.95) for sign in (1, -1))
    lines.append(f"            (({k1}, {n1}), ({k2}, {n2}), {lit(p)}, {lit(low)}, {lit(high)}),")
show("RATES", lines)
show("FISHER", [f"            (({k1}, {n1}), ({k2}, {n2}), {lit(st.fisher_exact([[k1, n1 - k1], [k2, n2 - k2]]).pvalue)})," for
                (k1, n1), (k2, n2) in [((3, 4), (900, 1000)), ((1, 30), (0, 2000)), ((16, 17), (990, 1000))]])
lines = []
for b, c, n, level in [(12, 2, 50, 0.95), (0, 0, 50, 0.95), (0, 0, 5, 0.95), (1, 0, 50, 0.95), (9, 2, 380, 0.95), (30, 12, 120, 0.95),
                       (3, 40, 100, 0.99), (0, 12, 12, 0.95), (5, 5, 10, 0.9), (121, 59, 1319, 0.95), (7, 1, 21, 0.95)]:
    low, high = (score_root(sign, tango_score(b, c, n), (c - b) / n, level) for sign in (1, -1))
    lines.append(f"        ({b}, {c}, {n}, {level}, {lit(low)}, {lit(high)}),")
show("TANGO", lines)
lines = []
for var, n, alpha, power in [(0.25, 380, 0.05, 0.8), (0.01, 50, 0.05, 0.9), (1.0, 1000, 0.01, 0.8), (0.12, 24, 0.1, 0.5),
                             (0.12, 24, 0.05, 0.06)]:
    # Its own solver stops at six digits.
    missing = lambda effect: NormalIndPower().power(effect, n, alpha, ratio=0) - power
    effect = brentq(missing, 1e-9, 10, xtol=1e-16, rtol=1e-14)
    lines.append(f"            ({lit(var)}, {n}, {alpha}, {power}, {lit(effect * math.sqrt(var))}),")
show("MDE", lines)
show("HOLM", [str([float(x) for x in multipletests([0.01, 0.04, 0.03, 0.005, 0.5, 0.03], method="holm")[1]])])
one = [i * 7 % 11 % 4 for i in range(60)]
two = [i % 4 if i % 3 == 0 else i * 7 % 11 % 4 for i in range(60)]
show("KAPPA", [lit(cohen_kappa_score(one, two))])
n = np.nan
data = [[1, 2, 3, 3, 2, 1, 4, 1, 2, n, n, n], [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, n, 3], [n, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, n],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, n]]
show("ALPHAN", [lit(krippendorff.alpha(reliability_data=data, level_of_measurement="nominal"))])
show("ALPHAI", [lit(krippendorff.alpha(reliability_data=data, level_of_measurement="interval"))])
lines = []
for total, right, k in [(10, 3, 1), (10, 3, 5), (200, 13, 100), (5, 5, 2), (8, 0, 3), (20, 18, 3)]:
    c = math.comb
    lines.append(f"({total}, {right}, {k}, {lit(1 - Fraction(c(total - right, k), c(total, k)))}, "
                 f"{lit(Fraction(c(right, k), c(total, k)))})")
show("PASSK", ["[" + ", ".join(lines) + "]"])
values = np.array([(i * 37 % 101) / 100 for i in range(60)])
groups = [i * i % 7 for i in range(60)]
fit = sm.OLS(values, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": groups})
show("CLUSTER", [lit(fit.bse[0])])


def upper(k, n, p, mid):
    """P(X >= k) of Binomial(n, p), of mid-p with k itself half."""
    return st.binom.sf(k - 1, n, p) - (0.5 * st.binom.pmf(k, n, p) if mid else 0)


def mcnemar(k, n, mid):
    """McNemar's p-value of the smaller count k of n."""
    return 1.0 if 2 * k == n else 2 * (st.binom.cdf(k, n, 0.5) - (0.5 * st.binom.pmf(k, n, 0.5) if mid else 0))


KINDS = [("MidP", True), ("Exact", False)]
show("BINOMIAL", [f"            ({k}, {n}, {p}, {lit(st.binom.pmf(k, n, p))}, {lit(st.binom.sf(k - 1, n, p))}, "
                  f"{lit(st.binom.cdf(k, n, p))})," for k, n, p in
                  [(0, 7, 0.2), (3, 7, 0.2), (7, 7, 0.9), (1, 400, 1e-4), (50, 400, 0.1), (210, 400, 0.5), (5_100, 10_000, 0.5),
                   (70, 100_000, 0.001), (501_500, 1_000_000, 0.5), (4_999, 10_000_000, 0.0005)]])
show("MIDP", [f"            ({b}, {c}, {lit(mcnemar(min(b, c), b + c, True))})," for b, c in
              [(5, 0), (5, 1), (10, 11), (121, 59), (25, 60), (9_800, 10_100), (0, 40), (20_000, 20_700)]])
lines = []
for b, c, n, level in [(5, 0, 12, 0.95), (0, 5, 12, 0.95), (3, 3, 40, 0.95), (30, 12, 500, 0.95), (121, 59, 1319, 0.95),
                       (25, 60, 100, 0.99), (9_800, 10_100, 1_000_000, 0.95), (0, 1, 1, 0.9), (2, 40, 400, 0.5)]:
    for name, mid in KINDS:
        # Its roots to the last digits; of none the end is 0.
        least = lambda k: brentq(lambda t: upper(k, b + c, t, mid) - (1 - level) / 2, 1e-15, 1 - 1e-15, xtol=1e-16,
                                 rtol=1e-15) if k else 0.0
        scale = (b + c) / n
        lines.append(f"            (McNemar::{name}, {b}, {c}, {n}, {level}, {lit((2 * least(c) - 1) * scale)}, "
                     f"{lit((1 - 2 * least(b)) * scale)}),")
show("INTERVALS", lines)
lines = []
for n, psi, delta, alpha in [(12, 0.5, 0.4, 0.05), (60, 0.3, 0.2, 0.05), (200, 0.1, 0.05, 0.05), (380, 0.05, 0.05, 0.05),
                             (1_000, 0.2, 0.0, 0.01), (2_000, 0.3, 0.06, 0.1)]:
    for name, mid in KINDS:
        power, theta = 0.0, (1 + delta / psi) / 2
        for m in range(n + 1):
            k = np.arange((m + 1) // 2)
            own = k[2 * (st.binom.cdf(k, m, 0.5) - (0.5 * st.binom.pmf(k, m, 0.5) if mid else 0)) < alpha]
            if len(own):
                found = st.binom.cdf(own[-1], m, theta) + st.binom.cdf(own[-1], m, 1 - theta)
                power += st.binom.pmf(m, n, psi) * found
        lines.append(f"            ({n}, {psi}, {delta}, McNemar::{name}, {alpha}, {lit(power)}),")
show("POWER", lines)


def subsets(b, c, z, delta):
    """P(T > 0) + P(T = 0) / 2 of T, the sum of the differences less delta over a random half of the pairs: b of -1, c of 1,
    z of 0."""
    i, j, k = np.ogrid[:b + 1, :c + 1, :z + 1]
    chance = st.binom.pmf(i, b, 0.5) * st.binom.pmf(j, c, 0.5) * st.binom.pmf(k, z, 0.5)
    total = (j - i) - delta * (i + j + k)
    return (chance * ((total > 1e-12) + 0.5 * (abs(total) <= 1e-12))).sum()


def outermost(accepts, inside, outside):
    for _ in range(45):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if accepts(middle) else (inside, middle)
    return inside


lines = []
for b, c, n in [(0, 5, 12), (5, 0, 50), (1, 9, 60), (9, 1, 200), (12, 9, 100), (30, 12, 120)]:
    own = (c - b) / n
    low = outermost(lambda d: 2 * (1 - subsets(b, c, n - b - c, d)) >= 0.05, own - 1e-9, -1.0)
    high = outermost(lambda d: 2 * subsets(b, c, n - b - c, d) >= 0.05, own + 1e-9, 1.0)
    lines.append(f"        ({b}, {c}, {n}, {low:.9f}, {high:.9f}),")
show("OUTCOMES", lines)
values = [i * 37 % 101 - 47 for i in range(200)]
chances = np.zeros(2 * sum(map(abs, values)) + 1)
chances[len(chances) // 2] = 1.0
for size in map(abs, values):
    chances = (np.roll(chances, size) + np.roll(chances, -size)) / 2
far = abs(np.arange(len(chances)) - len(chances) // 2)
show("FLIPMID", [lit(chances[far > abs(sum(values))].sum() + chances[far == abs(sum(values))].sum() / 2)])
show("STUDENT", [str(st.t.interval(0.95, 199, np.mean(values) / 100, st.sem(values) / 100))])
