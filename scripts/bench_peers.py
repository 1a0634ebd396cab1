"""Runs karat and its peers in turn and prints medians; scripts/bench_peers.sh prepares what it needs.

Walls exclude loading: the peers' drivers time the work alone, karat says on standard error what it took. Peak memory is that of
the process. Answers are held against the reference: ids equal to transformers' f32, cosine of the vectors.
"""

import argparse
import json
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

LABELS = {
    "w1": "**W1** 256 prompts, 64 greedy tokens each, f32",
    "w1-bf16": "**W1** in bf16",
    "w1-q8_0": "**W1** with q8_0 weights",
    "w2": "**W2** log-probabilities of 256 × 256 tokens, f32",
    "w3": "**W3** 4096 sentences, f32",
    "w3-bf16": "**W3** in bf16",
}
GENERATOR, ENCODER = "models/smollm2-135m-random", "models/all-MiniLM-L6-v2"
SCRIPTS = pathlib.Path(__file__).resolve().parent


def commands(karat, peers):
    """(workload, name, command, environment) of everything that is measured."""
    python, intel = "venv/bin/python", {"LD_PRELOAD": "./intel.so"}
    w1 = [python, peers / "hf_w1.py", "--batch", 64, "--sort"]
    w2 = [python, peers / "hf_w2.py", "--batch", 8]
    w3 = [python, peers / "st_w3.py", "--batch", 32]
    ort = [python, peers / "ort_w3.py", "--batch", 32, "--onnx"]
    llama = [python, SCRIPTS / "peers/llama_cpp_driver.py", "--workload"]

    def generate(model, out, *flags):
        files = ["--in", "workloads/w1_prompts.jsonl", "--out", f"{out}.out.jsonl", "--no-cache"]
        return [karat, "generate", model, *files, "--max-new-tokens", 64, "--ignore-eos", *flags]

    def embed(out, *flags):
        # The workload names the source and length of its texts, too.
        files = ["--in", "workloads/w3_sentences.jsonl", "--allow-unknown-keys", "--out", f"{out}.out.jsonl"]
        return [karat, "embed", ENCODER, *files, *flags]

    def gguf(kind):
        return ["--model", f"{GENERATOR}-{kind}.gguf"]

    bf16 = ["--dtype", "bfloat16"]
    return [
        ("w1", "karat", generate(GENERATOR, "w1"), {}),
        ("w1", "transformers, length-sorted, batch 64", w1, {}),
        ("w1", "the same, MKL told it is on Intel", w1, intel),
        ("w1", "llama.cpp, 64 sequences in flight, f16 keys and values", [*llama, "w1"], {}),
        ("w1", "the same, f32 keys and values, no fused attention", [*llama, "w1", "--exact"], {}),
        ("w1-bf16", "karat", generate(GENERATOR, "w1-bf16", "--dtype", "bf16"), {}),
        ("w1-bf16", "transformers, length-sorted, batch 64", [*w1, *bf16], {}),
        ("w1-bf16", "llama.cpp, 64 sequences in flight", [*llama, "w1", *gguf("bf16")], {}),
        ("w1-q8_0", "karat", generate(f"{GENERATOR}-q8_0", "w1-q8_0"), {}),
        ("w1-q8_0", "llama.cpp, 64 sequences in flight", [*llama, "w1", *gguf("q8_0")], {}),
        ("w2", "karat", [karat, "logprob", GENERATOR, "--in", "workloads/w2_sequences.jsonl", "--out", "w2.out.jsonl"], {}),
        ("w2", "transformers, batch 8", w2, {}),
        ("w2", "the same, MKL told it is on Intel", w2, intel),
        ("w2", "llama.cpp, f16 keys and values", [*llama, "w2"], {}),
        ("w3", "karat", embed("w3"), {}),
        ("w3", "sentence-transformers, batch 32", w3, {}),
        ("w3", "the same, MKL told it is on Intel", w3, intel),
        ("w3", "onnxruntime, length-sorted, batch 32, exported graph", [*ort, "models/onnx/minilm.onnx"], {}),
        ("w3", "onnxruntime, the same, fused graph", [*ort, "models/onnx/minilm-fused.onnx"], {}),
        ("w3-bf16", "karat", embed("w3-bf16", "--dtype", "bf16"), {}),
        ("w3-bf16", "sentence-transformers, batch 32", [*w3, *bf16], {}),
    ]


def measure(work, command, environment):
    """Seconds of the work alone, seconds of the process, its peak memory in MiB."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        environment = {**os.environ, **environment, "HF_HUB_OFFLINE": "1"}
        process = subprocess.Popen([str(part) for part in command], cwd=work, stdout=out, stderr=err, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        whole = time.monotonic() - began
        out.seek(0), err.seek(0)
        out, err = out.read(), err.read()
    if status:
        sys.exit(f"{command} ended with {status}:\n{err}")
    result = re.search(r"^RESULT (.*)$", out, re.M)
    took = json.loads(result[1])["wall_s"] if result else float(re.search(r" in ([0-9.]+) s", err)[1])
    return took, whole, usage.ru_maxrss / 1024


def held(work, peers, workload):
    """What karat's answers are against the reference."""
    lines = [json.loads(line) for line in (work / f"{workload}.out.jsonl").open()]
    if workload.startswith("w1"):
        wanted = {a["id"]: a["output_ids"] for a in json.load((peers / "reference/w1_greedy_f32.json").open())}
        equal = sum(line["ids"] == wanted[line["id"]] for line in lines)
        return f"{equal} of {len(lines)} answers equal to the reference, which is f32"
    if workload == "w2":
        return f"{len(lines)} sequences"
    wanted = np.load(peers / "reference/w3_embeddings_f16.npy").astype(np.float64)
    own = np.array([line["embedding"] for line in lines])
    cosine = (wanted * own).sum(1) / np.linalg.norm(wanted, axis=1) / np.linalg.norm(own, axis=1)
    return f"cosine at least {math.floor(cosine.min() * 1e7) / 1e7} with the reference, which is f32 in f16"


def machine():
    """The processor and the number of cores."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    return f"{os.cpu_count()} cores of {re.search(r'model name.*: (.*)', text)[1]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--peers", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(LABELS))
    parser.add_argument("--skip", help="leave out rows whose name matches this expression")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parent.parent
    chosen = args.only.split(",")
    runs = [run for run in commands(root / "target/release/karat", args.peers) if run[0] in chosen]
    runs = [run for run in runs if not (args.skip and re.search(args.skip, run[1]))]
    walls = {run[:2]: [] for run in runs}
    for number in range(args.rounds):
        for workload, name, command, environment in runs:
            walls[workload, name].append(measure(args.work, command, environment))
            print(f"round {number + 1}: {workload} {name}: {walls[workload, name][-1][0]:.2f} s", file=sys.stderr, flush=True)
    text = f"{machine()}, {time.strftime('%Y-%m-%d')}, medians of {args.rounds} in turn.\n"
    for workload in chosen:
        text += f"\n| {LABELS[workload]} | s | karat is faster by | whole process s | peak MiB |\n|---|---|---|---|---|\n"
        own = statistics.median(took for took, _, _ in walls[workload, "karat"])
        for name in [name for of, name in walls if of == workload]:
            took, whole, peak = (statistics.median(values) for values in zip(*walls[workload, name]))
            ratio = "" if name == "karat" else f"{took / own:.2f} ×"
            text += f"| {name} | {took:.1f} | {ratio} | {whole:.1f} | {peak:.0f} |\n"
        text += f"\nkarat: {held(args.work, args.peers, workload)}.\n"
    print(text)
    if args.write:
        results = root / "benches/RESULTS.md"
        start, end = "<!-- bench_peers: begin -->\n", "<!-- bench_peers: end -->"
        before, rest = results.read_text().split(start)
        results.write_text(before + start + text + end + rest.split(end)[1])


if __name__ == "__main__":
    main()
