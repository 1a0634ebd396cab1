#!/usr/bin/env python3
"""Compares GSM8K's four recorded models pairwise with statsmodels and scipy; writes what tests/paired_models.rs holds karat against.

    pip install numpy scipy statsmodels
    python3 scripts/gsm8k_figures.py ../shared/data/datasets/gsm8k/example_model_solutions.jsonl > tests/gsm8k_figures.json

The data (github.com/openai/grade-school-math, MIT) are not in this repository, their figures are.
"""

import json
import sys
from itertools import combinations

import numpy as np
import scipy.stats as st
from scipy.optimize import brentq
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

rows = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
models = sorted(key for key in rows[0] if isinstance(rows[0][key], dict))
right = {model: np.array([row[model]["is_correct"] for row in rows]) for model in models}


def mid_p(b, c):
    k, n = min(b, c), b + c
    return 1.0 if 2 * k == n else min(1.0, float(2 * (st.binom.cdf(k, n, 0.5) - 0.5 * st.binom.pmf(k, n, 0.5))))


def interval(b, c, n):
    """The conditional mid-p interval of c/(b+c), as the difference of the rates."""
    m = b + c
    above = lambda share: st.binom.sf(c, m, share) + 0.5 * st.binom.pmf(c, m, share)
    below = lambda share: st.binom.cdf(c, m, share) - 0.5 * st.binom.pmf(c, m, share)
    low = brentq(lambda share: above(share) - 0.025, 1e-12, 1 - 1e-12, xtol=1e-15)
    high = brentq(lambda share: below(share) - 0.025, 1e-12, 1 - 1e-12, xtol=1e-15)
    return [float((2 * share - 1) * m / n) for share in (low, high)]


def detectable(m, n):
    """The smallest difference that the mid-p test finds with 80 %, m of n pairs differing: exact sums."""
    share = m / n
    counts = [k for k in range(n + 1) if st.binom.pmf(k, n, share) > 1e-14]
    weights = st.binom.pmf(counts, n, share)
    # Rejects below the first and above the last.
    limits = [next((k for k in range(d + 1) if mid_p(k, d - k) >= 0.05), d + 1) for d in counts]

    def power(difference):
        up = (1 + difference / share) / 2
        return sum(w * (st.binom.cdf(k - 1, d, up) + st.binom.sf(d - k, d, up)) for w, d, k in zip(weights, counts, limits))

    return float(brentq(lambda difference: power(difference) - 0.8, 1e-9, share, xtol=1e-12))


figures = {"cases": len(rows), "models": {}, "pairs": []}
for model in models:
    passed = int(right[model].sum())
    low, high = proportion_confint(passed, len(rows), 0.05, method="wilson")
    figures["models"][model] = {"passed": passed, "wilson": [float(low), float(high)]}
for one, two in combinations(models, 2):
    difference = right[two].astype(float) - right[one].astype(float)
    table = [[int((right[one] & right[two]).sum()), int((right[one] & ~right[two]).sum())],
             [int((~right[one] & right[two]).sum()), int((~right[one] & ~right[two]).sum())]]
    b, c = table[0][1], table[1][0]
    figures["pairs"].append({
        "base": one, "candidate": two, "table": table,
        "mid_p": mid_p(b, c), "exact": float(mcnemar(table, exact=True).pvalue),
        "difference": float(difference.mean()),
        "interval": interval(b, c, len(rows)),
        "detectable": detectable(b + c, len(rows)),
    })
json.dump(figures, sys.stdout, indent=1)
print()
