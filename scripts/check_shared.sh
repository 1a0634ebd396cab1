#!/usr/bin/env bash
# Runs the tests that need ../shared (reference checkpoints, published tokenizers, templates and datasets, which are not committed): those
# that `cargo test` shows as ignored. Fails where anything is missing.
#
#     scripts/check_shared.sh            KARAT_SHARED (default ../shared), KARAT_MINILM (default: fetched by scripts/real_models.sh)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export KARAT_SHARED=${KARAT_SHARED:-$PWD/../shared}
[ -d "$KARAT_SHARED" ] || { echo "there is no $KARAT_SHARED" >&2; exit 2; }
if [ -z "${KARAT_MINILM:-}" ]; then
  folder=${REAL:-/tmp/karat-real}
  KARAT_MINILM=$(scripts/real_models.sh "$folder" MINILM | sed -n 's/^MINILM=//p')
  export KARAT_MINILM
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo test --release --no-fail-fast -- --ignored 2>&1 | tee "$log"
ran=$(sed -n 's/^test result: ok\. \([0-9]*\) passed.*/\1/p' "$log" | awk '{ all += $1 } END { print all + 0 }')
marked=$(grep -rF 'scripts/check_shared.sh"]' src engine/src tests | wc -l)
echo "$ran of $marked tests that need ../shared passed"
[ "$ran" -eq "$marked" ]
