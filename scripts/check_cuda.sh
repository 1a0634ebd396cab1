#!/usr/bin/env bash
# Everything that has to hold of the feature `cuda`, as far as this machine can tell: without nvcc it sets a toolkit up, and
# without a GPU it emulates one (scripts/emulated_gpu.sh) for all that needs one but the longest sweeps.
#
#   scripts/check_cuda.sh [FOLDER]      FOLDER: of scripts/cuda_toolkit.sh, where that has to be used
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=${1:-$HOME/.cache/karat-cuda}
summary=()

step() {
  local began=$SECONDS name=$1
  shift
  printf '\n== %s: %s\n' "$name" "$*"
  "$@" || { printf '== FAILED after %d s: %s\n' "$((SECONDS - began))" "$name" >&2; exit 1; }
  summary+=("$(printf '%5d s  %s' "$((SECONDS - began))" "$name")")
}

if ! command -v nvcc >/dev/null; then
  step 'toolkit' scripts/cuda_toolkit.sh "$folder"
  # shellcheck source=/dev/null
  . "$folder/env.sh"
fi
karat=${CARGO_TARGET_DIR:-target}/release/karat

# A model and a line to answer, for what the program says.
answer() { echo '{"id": "a", "prompt_ids": [1, 2, 3]}' | "$karat" generate tests/fixtures/models/random-tiny --max-new-tokens 2 "$@"; }

starts_without_driver() {
  "$karat" --version
  if ldd "$karat" | grep -E 'libcuda|libcublas|libnvrtc'; then
    echo 'the program needs the libraries above to start: it was linked with NVIDIA'"'"'s, not with scripts/cuda_toolkit.sh' >&2
    return 1
  fi
}

# A GPU that no machine has: exit code 5, and a sentence that says what is missing.
tells_what_is_missing() {
  local code=0 text
  text=$(answer --device cuda:63 2>&1 >/dev/null) || code=$?
  printf 'exit code %d\n%s\n' "$code" "$text"
  [ "$code" = 5 ] && grep -q 'failed to use cuda:63: ' <<<"$text" && grep -q '^hint: ' <<<"$text"
}

answers_by_default() { answer; }

step 'clippy' cargo clippy --release --features cuda --all-targets -- -D warnings
step 'build' cargo build --release --features cuda
step 'starts without driver' starts_without_driver
step 'tells what is missing' tells_what_is_missing
step 'answers on what there is' answers_by_default
step 'tests without a GPU' cargo test --release --features cuda -p karat-engine --lib cuda::
step 'tests of the command line' cargo test --release --features cuda --test cli devices

# Kernels and products against their references, whole models against transformers' answers, and in any batch.
kernels() { cargo test --release --features cuda -p karat-engine --lib cuda:: -- --ignored --nocapture --test-threads 1 "$@"; }
models() { KARAT_TEST_DEVICE=cuda cargo test --release --features cuda --test "$@"; }
if nvidia-smi -L 2>/dev/null; then
  step 'kernels on the GPU' kernels
  step 'models on the GPU' models parity
  step 'sweep on the GPU' models cli invariance
else
  emulated=$(realpath -m "${CARGO_TARGET_DIR:-target}/emulated-gpu")
  step 'an emulated GPU' scripts/emulated_gpu.sh "$emulated"
  export LD_LIBRARY_PATH=$emulated${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  step 'kernels on the emulated GPU' kernels --skip batch_invariant
  step 'models on the emulated GPU' models parity
  step 'sweep on the emulated GPU' models cli -- invariance::llama3 invariance::embeddings invariance::log_probabilities
  summary+=('   nvidia-smi shows no GPU: seen on an emulated one, where the longest sweeps were left out')
fi

printf '\n== CUDA: all passed in %d s\n' "$SECONDS"
printf '%s\n' "${summary[@]}"
printf '   program: %s bytes, nvcc: %s\n' "$(stat -c %s "$karat")" "$(nvcc --version | sed -n 's/.*release \([^,]*\),.*/\1/p')"
