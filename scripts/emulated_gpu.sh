#!/usr/bin/env bash
# A GPU for machines without one: libcuda.so.1 and libcublasLt.so.13 that compute on the CPU, with karat's own kernels.
#
#   . TOOLKIT/env.sh                           of scripts/cuda_toolkit.sh: its headers
#   scripts/emulated_gpu.sh FOLDER [KERNELS]  builds both there, from the kernels of another folder where it is named
#   LD_LIBRARY_PATH=FOLDER cargo test --release --features cuda -p karat-engine -- --ignored cuda::
#
# It shows that indices, orders, launches and captures are right: kernels are compiled by g++ from the same sources, every
# thread is a fiber. It shows nothing of a GPU's speed, of its own exp, or of what happens where threads truly run at once.
# What it finds ends the process with a message: accesses beyond allocations or at addresses of wrong alignment, threads
# that wait for threads that do not come; memory that nobody wrote is NaN.
#
# KARAT_EMULATED_GPUS     how many, 1 unless given
# KARAT_EMULATED_MEMORY   bytes of each, 2 GiB unless given
# KARAT_EMULATED_LATE=1   work is done when it is waited for and not before, which shows what is read too early
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
[ $# = 1 ] || [ $# = 2 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | head -n -1; exit 2; }
[ -n "${CUDA_HOME:-}" ] || { echo "emulated_gpu.sh: no CUDA_HOME: . FOLDER/env.sh of scripts/cuda_toolkit.sh" >&2; exit 1; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
sources=$repository/scripts/emulated_gpu
kernels=$(realpath "${2:-$repository/engine/src/cuda/kernels}")
objects=$out/objects
rm -rf "$objects"
mkdir "$objects"

# For this machine alone: fmaf is an instruction.
export FLAGS="-std=c++17 -O2 -march=native -fPIC -fvisibility=hidden -fno-strict-aliasing -I$sources -isystem $CUDA_HOME/include"
export SOURCES=$sources KERNELS=$kernels OBJECTS=$objects

# A kernel source: preprocessed, rewritten, compiled; nothing is fused that it does not fuse. Its symbols stay its own, since
# files have templates of equal names.
kernel() {
  local name to
  name=$(basename "$1" .cu)
  to=$OBJECTS/kernels_$name
  g++ $FLAGS -DKARAT_EMULATED -I"$KERNELS" -include "$SOURCES/device.hpp" -E -x c++ -o "$to.ii" "$1"
  python3 "$SOURCES/rewrite.py" "$to.ii" "$to.cpp"
  g++ $FLAGS -ffp-contract=off -fsanitize=alignment,bounds -fsanitize-undefined-trap-on-error -fpreprocessed \
    -c -o "$to.unlinked.o" "$to.cpp"
  ld -r --force-group-allocation -o "$to.o" "$to.unlinked.o"
  objcopy -w --keep-global-symbol=none "$to.o"
  rm "$to.unlinked.o"
}
library() {
  g++ $FLAGS -Wall -ffp-contract=fast -c -o "$OBJECTS/$(basename "$1" .cpp).o" "$1"
}
export -f kernel library

{
  printf 'kernel %s\n' "$kernels"/*.cu
  printf 'library %s\n' "$sources"/*.cpp
} | xargs -d '\n' -P "$(nproc)" -I{} bash -euo pipefail -c '{}'

# The name carries a version, as the driver's does: karat reads it from there.
library_file=libcuda.so.580.0-emulated
g++ -shared -pthread -Wl,--no-undefined -Wl,-soname,libcuda.so.1 -o "$objects/$library_file" "$objects"/*.o
mv -f "$objects/$library_file" "$out/$library_file"
ln -sf "$library_file" "$out/libcuda.so.1"
ln -sf "$library_file" "$out/libcublasLt.so.13"
rm -rf "$objects"
echo "export LD_LIBRARY_PATH=$out\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
