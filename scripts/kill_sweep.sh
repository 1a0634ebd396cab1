#!/usr/bin/env bash
# Kills, interrupts and starves every command that keeps a journal, hundreds of times at random moments, resumes it and compares
# bytes with a command that nobody disturbed (tests/cli/kills.rs; CI does a few of them). Linux on x86-64, with cc; as root, the
# full disks are real ones. Takes most of an hour on two cores.
#
#     scripts/kill_sweep.sh [OUT]                                      # prints per command what was done, to OUT as well
#     KARAT_SEED=1000 KARAT_WORK=run KARAT_KILLS='kill=20' scripts/kill_sweep.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v cc >/dev/null || { echo 'no cc: the shim of power losses cannot be compiled' >&2; exit 2; }
kills=${KARAT_KILLS:-kill=100 term=40 int=40 power=40 disk=20 two=10 every=1}
every=${KARAT_EVERY:-every=2}
export KARAT_SEED=${KARAT_SEED:-$(date +%s)}
out=${1:-$(mktemp)}
{
  echo "seed $KARAT_SEED, $kills, $every, $(nproc) cores, commit $(git rev-parse --short HEAD)"
  # One after the other: their moments are shares of a time that was measured.
  KARAT_KILLS=$kills cargo test --release --test cli --no-fail-fast -- kills:: power:: --nocapture --test-threads 1 || failed=1
  KARAT_KILLS=$every cargo test --release --test cli -- kills::cut_off_at_every_step --nocapture --test-threads 1 || failed=1
  exit "${failed:-0}"
} 2>&1 | tee "$out"
# Elsewhere than on Linux there are no such tests, and none is no success.
grep -q '^test kills::two_at_once' "$out" || { echo 'nothing was killed' >&2; exit 1; }
