#!/usr/bin/env bash
# Replaces model files under a working karat at 200 random moments and fails on any answer under a hash that is not its own.
#
#     scripts/swap_attack.sh [--swaps 200] [--what generator,embedder,toxicity] [--command run,generate] [--seed N]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -n "${KARAT:-}" ] || cargo build --release --quiet
exec python3 scripts/swap_attack.py "$@"
