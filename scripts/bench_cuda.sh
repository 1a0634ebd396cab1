#!/usr/bin/env bash
# All that needs a GPU, in one call of under nine minutes: no network, no Rust toolchain there.
#
#   scripts/bench_cuda.sh pack [FOLDER]   here: builds with the feature `cuda` and packs program, kernels' tests and models
#   scripts/bench_cuda.sh run [FOLDER]    there: everything, or what is named: run FOLDER kernels parity sweep decode …
#
# FOLDER is .cuda-bench, which git ignores, unless given; what is packed there is at most 30 MiB. The machine with the GPU needs Python with torch and
# transformers, whose CUDA libraries karat uses. Figures go to the standard output and to $OUT/figures.json where OUT is set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
what=${1:?pack or run}
folder=${2:-.cuda-bench}
shift $(($# < 2 ? $# : 2))

case $what in
pack)
  target=${CARGO_TARGET_DIR:-target}
  command -v nvcc >/dev/null || { echo 'no nvcc: run scripts/cuda_toolkit.sh, then `. FOLDER/env.sh` as it says' >&2; exit 2; }
  cargo build --release --features cuda
  tests=$(cargo test --release --features cuda -p karat-engine --lib --no-run --message-format json |
    python3 -c 'import json, sys
for line in sys.stdin:
    made = json.loads(line)
    if made.get("executable") and made["target"]["kind"] == ["lib"]: print(made["executable"])')
  carried=$(mktemp -d)
  trap 'rm -rf "$carried"' EXIT
  strip -o "$carried/karat" "$target/release/karat"
  strip -o "$carried/tests" "$tests"
  cp -r tests/fixtures/models "$carried/models"
  # One archive: program and tests are the same for the most part.
  mkdir -p "$folder"
  tar -C "$carried" -c karat tests models | xz -T0 --lzma2=preset=6,dict=128MiB -c >"$folder/carried.tar.xz"
  ls -lh "$folder/carried.tar.xz"
  [ "$(du -m "$folder/carried.tar.xz" | cut -f1)" -le 30 ] || { echo 'that is more than 30 MiB' >&2; exit 1; }
  ;;
run)
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  tar -xJf "$folder/carried.tar.xz" -C "$work"
  # The libraries of torch's wheels: cuBLAS and what it needs.
  libraries=$(python3 -c 'import glob, os, torch; print(":".join(glob.glob(os.path.join(os.path.dirname(os.path.dirname(torch.__file__)), "nvidia", "*", "lib"))))')
  export LD_LIBRARY_PATH="$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit --format=csv,noheader
  PYTHONUNBUFFERED=1 python3 scripts/bench_cuda.py "$work" "$@"
  ;;
*)
  echo "usage: $0 pack|run [FOLDER] [STAGE…]" >&2
  exit 2
  ;;
esac
