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
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_confint

rows = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
models = sorted(key for key in rows[0] if isinstance(rows[0][key], dict))
right = {model: np.array([row[model]["is_correct"] for row in rows]) for model in models}


def detectable(variance, n):
    # statsmodels' own solver stops at six digits.
    missing = lambda effect: NormalIndPower().power(effect, n, 0.05, ratio=0) - 0.8
    return float(brentq(missing, 1e-9, 10, xtol=1e-15) * np.sqrt(variance))


figures = {"cases": len(rows), "models": {}, "pairs": []}
for model in models:
    passed = int(right[model].sum())
    low, high = proportion_confint(passed, len(rows), 0.05, method="wilson")
    figures["models"][model] = {"passed": passed, "wilson": [float(low), float(high)]}
for one, two in combinations(models, 2):
    difference = right[two].astype(float) - right[one].astype(float)
    table = [[int((right[one] & right[two]).sum()), int((right[one] & ~right[two]).sum())],
             [int((~right[one] & right[two]).sum()), int((~right[one] & ~right[two]).sum())]]
    interval = st.bootstrap((difference,), np.mean, n_resamples=100_000, method="BCa", random_state=1, batch=1000).confidence_interval
    figures["pairs"].append({
        "base": one, "candidate": two, "table": table,
        "mcnemar": float(mcnemar(table, exact=True).pvalue),
        "difference": float(difference.mean()),
        "bca": [float(interval.low), float(interval.high)],
        "detectable": detectable(difference.var(ddof=1), len(rows)),
    })
json.dump(figures, sys.stdout, indent=1)
print()
