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
from statsmodels.stats.proportion import confint_proportions_2indep


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
lines = []
for (k1, n1), (k2, n2) in [((7, 10), (2, 12)), ((0, 20), (5, 20)), ((515, 1319), (286, 1319)), ((50, 100), (50, 100)),
                           ((9000, 10000), (9100, 10000)), ((3, 4), (900, 1000))]:
    p = st.fisher_exact([[k1, n1 - k1], [k2, n2 - k2]]).pvalue
    low, high = confint_proportions_2indep(k2, n2, k1, n1, method="newcomb", compare="diff", alpha=0.05)
    lines.append(f"            (({k1}, {n1}), ({k2}, {n2}), {lit(p)}, {lit(low)}, {lit(high)}),")
show("RATES", lines)
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
for name, x in [("PERM1", [0.3, -0.1, 0.25, 0.4, 0.15, -0.05, 0.2]), ("PERM2", [0.5, 0.5, -0.5] + [0.5] * 5 + [-0.5, 0.5])]:
    r = st.permutation_test((np.array(x),), lambda v, axis: np.mean(v, axis=axis), permutation_type="samples", vectorized=True,
                            n_resamples=np.inf)
    show(name, [lit(r.pvalue)])
x = np.array([(i * 37 % 101 - 47) / 100 for i in range(200)])
rng, hits, rounds = np.random.default_rng(0), 0, 100
for _ in range(rounds):
    signs = rng.integers(0, 2, size=(20000, 200), dtype=np.int8) * 2 - 1
    hits += int((np.abs(signs @ x) >= abs(x.sum()) * (1 - 1e-14)).sum())
show("PERM3", [lit(round(hits / (rounds * 20000), 4))])
data = x
for seed in (1, 2, 3):
    r = st.bootstrap((data,), np.mean, n_resamples=200000, method="BCa", random_state=seed, batch=2000)
    print("# BCa", seed, r.confidence_interval)
skewed = np.array([(i % 10) ** 3 / 1000 for i in range(40)])
for seed in (1, 2, 3):
    r = st.bootstrap((skewed,), np.mean, n_resamples=200000, method="BCa", random_state=seed, batch=2000)
    print("# BCa skewed", seed, r.confidence_interval)
outcomes = np.array([-1.0] * 30 + [1.0] * 12 + [0.0] * 458)
for seed in (1, 2, 3):
    r = st.bootstrap((outcomes,), np.mean, n_resamples=200000, method="BCa", random_state=seed, batch=500)
    print("# BCa outcomes", seed, r.confidence_interval)
