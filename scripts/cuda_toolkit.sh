#!/usr/bin/env bash
# A CUDA 13.0 toolkit that compiles karat's feature `cuda` on a machine without GPU, driver and NVIDIA software.
#
#   scripts/cuda_toolkit.sh [FOLDER]      FOLDER: $HOME/.cache/karat-cuda unless given
#   . FOLDER/env.sh
#   cargo build --release --features cuda
#
# The compiler comes from PyPI wheels (pinned, checksummed; 105 MB, unpacked 271 MB). In the place of NVIDIA's libraries
# stand small archives that look for the real ones at their first call (scripts/cuda_stubs.py): one program for machines
# with and without a GPU. Done again, it does only what is missing. Needs python3 with pip, gcc, ar and cargo, on x86-64.
#
# CUDA 13.0 and no newer: its PTX is the newest that drivers of series 580 load.
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$(realpath -m "${1:-$HOME/.cache/karat-cuda}")
home=$folder/cuda-13.0
wheels=$folder/wheels

packages="nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85"
sums="\
56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03  nvidia_cuda_nvcc-13.0.88-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl
c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0  nvidia_nvvm-13.0.88-py3-none-manylinux2010_x86_64.manylinux_2_12_x86_64.whl
2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4  nvidia_cuda_crt-13.0.88-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl
7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548  nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl
e0da7ad981f3a8aff08241b5bfc1af868742a63e2762f53a5171c492ef242649  nvidia_cuda_cccl-13.0.85-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"

die() { printf 'cuda_toolkit.sh: %s\n' "$*" >&2; exit 1; }

[ "$(uname -sm)" = "Linux x86_64" ] || die "made for Linux on x86-64, this is $(uname -sm)"
for tool in python3 gcc ar cargo sha256sum; do
  command -v "$tool" >/dev/null || die "needs $tool"
done

verified() { (cd "$wheels" && sha256sum --check --quiet <<<"$sums"); }

if [ ! -x "$home/bin/nvcc" ]; then
  mkdir -p "$wheels"
  if ! verified 2>/dev/null; then
    # shellcheck disable=SC2086 # one argument per package
    python3 -m pip download --quiet --no-deps --only-binary=:all: --platform manylinux2014_x86_64 \
      --platform manylinux_2_17_x86_64 --platform manylinux_2_27_x86_64 --dest "$wheels" $packages
    verified || die "the wheels in $wheels are not the pinned ones"
  fi
  rm -rf "$home" "$folder/unpacking"
  mkdir "$folder/unpacking"
  while read -r _ wheel; do python3 -m zipfile -e "$wheels/$wheel" "$folder/unpacking"; done <<<"$sums"
  chmod +x "$folder"/unpacking/nvidia/cu13/bin/* "$folder"/unpacking/nvidia/cu13/nvvm/bin/*   # zip keeps no modes
  ln -s lib "$folder/unpacking/nvidia/cu13/lib64"                                             # where nvcc looks
  mv "$folder/unpacking/nvidia/cu13" "$home"
  rm -rf "$folder/unpacking"
fi

# The functions are those that cudarc, as Cargo.lock has it, declares.
cudarc=$(cargo metadata --locked --format-version 1 --features cuda --manifest-path "$repository/Cargo.toml" |
  python3 -c 'import json, sys; print(*[p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "cudarc"])')
rm -f "$home"/lib/lib{cuda,cublas,cublasLt,nvrtc}.{a,so} "$home"/lib/libcudart.{a,so}
python3 "$repository/scripts/cuda_stubs.py" "$(dirname "$cudarc")/src" "$home/lib"
ln -s libcudart_static.a "$home/lib/libcudart.a"

cat >"$folder/env.sh" <<EOF
export CUDA_HOME=$home             # cudarc and build.rs: here and nowhere else
export PATH=$home/bin:\$PATH       # cudarc calls nvcc by its name
EOF
"$home/bin/nvcc" --version | grep release
du -sh "$home" | cut -f1
printf 'done; now:  . %s/env.sh && cargo build --release --features cuda\n' "$folder"
