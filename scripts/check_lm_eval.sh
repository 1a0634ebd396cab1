#!/usr/bin/env bash
# Requests, log-likelihoods and figures against lm-evaluation-harness (the newest on PyPI, `hf` backend, f32, CPU): the tasks of
# ../shared/data/anchors/lm_eval_oracle, whose requests it holds byte by byte. Fails where anything is missing.
#
#     scripts/check_lm_eval.sh [MODEL …]     # model folders beside karat-mini and tiny ones of ../shared/reference
#
# KARAT names the program (target/release/karat), KARAT_SHARED the folder (../shared), LM_EVAL_VENV an environment that is kept.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
karat=$(realpath "${KARAT:-target/release/karat}")
shared=$(realpath "${KARAT_SHARED:-../shared}")
oracle=$shared/data/anchors/lm_eval_oracle
[ -x "$karat" ] || { echo "no program at $karat: cargo build --release" >&2; exit 1; }
[ -f "$oracle/figures.jsonl" ] || { echo "no oracle in $oracle" >&2; exit 1; }

venv=${LM_EVAL_VENV:-target/lm_eval_venv}
if ! "$venv/bin/python" -c 'import lm_eval, torch, transformers' 2>/dev/null; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet torch transformers accelerate lm_eval
fi
"$venv/bin/python" -c 'from importlib.metadata import version as v; print("lm_eval", v("lm_eval"), "transformers", v("transformers"), "torch", v("torch"))'

here=scripts/lm_eval_oracle
python3 "$here/check_requests.py" "$karat" "$oracle" tests/fixtures/models/random-tiny
log=$(mktemp); trap 'rm -f "$log"' EXIT
models=(models/karat-mini/2 "$shared/reference/models/llama" "$shared/reference/models/qwen2" "$shared/reference/models/gpt2" "$@")
for model in "${models[@]}"; do
  "$venv/bin/python" -W ignore "$here/check_figures.py" "$karat" "$oracle" "$model" 2>"$log" || { tail -5 "$log" >&2; exit 1; }
done
