#!/bin/sh
# Runs every case of ../shared/data/cases (inputs that karat got wrong once) and compares with the right values.
#   scripts/check_cases.sh [NAME…]    only cases whose name contains one of these
# Needs ../shared (or SHARED), Python 3 with pip, the release binary, and real models (scripts/real_models.sh; kept in $REAL, default
# /tmp/karat-real). Fails where any case is wrong or cannot be run.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
SHARED=${SHARED:-$here/../shared}
SHARED=$(cd "$SHARED" && pwd)
KARAT=${KARAT:-$here/target/release/karat}
REAL=${REAL:-/tmp/karat-real}
[ -x "$KARAT" ] || { echo "build first: cargo build --release" >&2; exit 1; }
[ -d "$SHARED/data/cases" ] || { echo "there are no cases in $SHARED/data/cases" >&2; exit 1; }
models=$("$here/scripts/real_models.sh" "$REAL")
# The cases' own makers need numpy.
[ -x "$REAL/venv/bin/python" ] || python3 -m venv "$REAL/venv"
"$REAL/venv/bin/python" -c 'import numpy' 2>/dev/null || "$REAL/venv/bin/python" -m pip install --quiet numpy
for model in $models; do export "${model?}"; done
export SHARED KARAT MINI="$here/models/karat-mini/2" TOXICITY="$here/models/karat-toxicity" EMBED="$here/models/karat-embed"
export PYTHON="$REAL/venv/bin/python" REPO="$here" MODELS="$here/models/karat-mini" PATH="$(dirname "$KARAT"):$REAL/venv/bin:$PATH"
exec "$REAL/venv/bin/python" "$here/scripts/check_cases.py" "$@"
