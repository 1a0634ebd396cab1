#!/usr/bin/env python3
"""The stages of scripts/bench_cuda.sh on a machine with a GPU; see there.

usage: bench_cuda.py WORK [STAGE…]      WORK holds karat, tests and models (the fixtures); run in the repository's root

Checks print `ok` or `FAILED` and set the exit code; figures are printed beside a ceiling that was measured in the same call. A
stage that would not fit into what is left of the nine minutes is left out, and said to be.
"""
import hashlib, json, os, pathlib, random, re, shutil, subprocess, sys, time

BEGAN, LIMIT = time.monotonic(), 530.0
FIGURES, FAILED = {}, []
# name -> (seconds it may take, function), in the order of importance.
STAGES = {}


def stage(seconds):
    return lambda f: STAGES.setdefault(f.__name__, (seconds, f)) and f


def left(): return LIMIT - (time.monotonic() - BEGAN)


def say(name, value):
    FIGURES[name] = value
    print(f"  {name}: {value}")


def check(name, good, detail=""):
    print(f"  {'ok' if good else 'FAILED'}: {name}{': ' + detail if detail and not good else ''}")
    if not good: FAILED.append(name)


class Karat:
    def __init__(self, work): self.work = pathlib.Path(work)

    def run(self, command, model, lines, *flags, timeout=None):
        """(answers, bytes of them, what was told) of an engine command."""
        source, target = self.work / "in.jsonl", self.work / "out.jsonl"
        source.write_text("".join(json.dumps(line) + "\n" for line in lines))
        target.unlink(missing_ok=True)
        cache = ["--no-cache"] if command == "generate" else []
        args = [self.work / "karat", command, model, "--in", source, "--out", target, *cache, *map(str, flags)]
        done = subprocess.run(list(map(str, args)), capture_output=True, text=True, timeout=timeout or max(left(), 30))
        if not target.exists(): raise RuntimeError(f"karat {command} {model}: {done.stderr.strip()[-2000:]}")
        data = target.read_bytes()
        return [json.loads(line) for line in data.splitlines()], data, done.stderr

    def rate(self, told):
        return float(re.search(r"\((\d+) (?:generated )?tokens/s", told)[1])


def prompts(rng, count, least, most, vocab):
    return [{"id": i, "prompt_ids": [rng.randrange(3, vocab) for _ in range(rng.randint(least, most))]} for i in range(count)]


# ---- checks

@stage(60)
def kernels(karat):
    """Every kernel against its CPU reference, cuBLASLt against itself and against f64."""
    filters = ["cuda::", "--ignored", "--test-threads", "1", "--nocapture"]
    done = subprocess.run([karat.work / "tests", *filters], capture_output=True, text=True, timeout=150)
    print("\n".join("  " + line for line in done.stdout.splitlines() if re.match(r"test |.*(worst|apart|within)", line)))
    check("kernels equal their references", done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:])


@stage(60)
def parity(karat):
    """Every decoder of the fixtures on the GPU and on the CPU: f32 closely, bf16 within its error."""
    rng = random.Random(1)
    worst = {}
    for folder in sorted((karat.work / "models").iterdir()):
        config = folder / "config.json"
        if not config.exists() or not (folder / "reference.json").exists(): continue
        reference = json.loads((folder / "reference.json").read_text())
        encoder = "mean_pooled" in reference or "probs" in reference
        text = [{"id": i, "text": t} for i, t in enumerate(["the gold", "an old house on the hill", "12.5% of it"])]
        vocab = json.loads(config.read_text())["vocab_size"]
        lines = prompts(rng, 6, 4, 60, vocab)
        try:
            if encoder:
                command = "classify" if "probs" in reference else "embed"
                (a, _, _), (b, _, told) = (karat.run(command, folder, text, "--device", d, "--dtype", "f32") for d in ("cpu", "cuda"))
                flat = lambda out: [x for line in out for x in (line.get("embedding") or list(line["scores"].values()))]
                apart = max(abs(x - y) for x, y in zip(flat(a), flat(b)))
                check(f"{folder.name}: f32 within 1e-3", apart < 1e-3, str(apart))
            else:
                ids = [{"id": line["id"], "ids": line["prompt_ids"]} for line in lines]
                out = {}
                for device, dtype in (("cpu", "f32"), ("cuda", "f32"), ("cuda", "bf16")):
                    scored, _, _ = karat.run("logprob", folder, ids, "--device", device, "--dtype", dtype)
                    out[device, dtype] = [line["logprob"] / max(line["tokens"], 1) for line in scored]
                apart = [max(abs(x - y) for x, y in zip(out["cpu", "f32"], out["cuda", t])) for t in ("f32", "bf16")]
                check(f"{folder.name}: f32 log-probabilities within 1e-3, bf16 within 0.3", apart[0] < 1e-3 and apart[1] < 0.3, str(apart))
                worst[folder.name] = apart
                flags = ["--max-new-tokens", 12, "--ignore-eos"]
                (a, _, _), (b, _, _) = (karat.run("generate", folder, lines, *flags, "--device", d, "--dtype", "f32") for d in ("cpu", "cuda"))
                # Where the two highest logits are nearly equal either may win; from there on texts may differ.
                same = sum(x["ids"] == y["ids"] for x, y in zip(a, b))
                check(f"{folder.name}: greedy ids", same >= len(a) - 1, f"{same} of {len(a)} answers equal")
        except (RuntimeError, subprocess.SubprocessError) as error:
            check(f"{folder.name}: computes on the GPU", False, str(error))
    FIGURES["parity"] = worst


@stage(80)
def sweep(karat):
    """Equal bytes whatever the batch, order, chunks, drafts and sharing."""
    model = make_model(karat.work / "sweep", hidden=896, intermediate=2432, layers=2, heads=14, keys=2, vocab=4096, tied=True)
    rng = random.Random(2)
    stem = [rng.randrange(3, 4096) for _ in range(300)]
    lines = prompts(rng, 40, 1, 700, 4096)
    for i in range(0, 40, 4): lines[i]["prompt_ids"] = stem + lines[i]["prompt_ids"][:50]
    settings = [[], ["--batch-tokens", 2], ["--batch-tokens", 17], ["--batch-tokens", 8192], ["--prefill-chunk", 5], ["--max-seqs", 1],
                ["--max-seqs", 3], ["--no-prefix-sharing"], ["--no-drafts"], ["--no-drafts", "--no-prefix-sharing", "--batch-tokens", 64]]
    for dtype in ("bf16", "f32"):
        for flags in (["--max-new-tokens", 24, "--ignore-eos"], ["--max-new-tokens", 24, "--temperature", 0.9, "--top-p", 0.9, "--top-k", 50, "--seed", 5]):
            right = None
            for extra in settings:
                if left() < 60: return print("  left out: the rest of the sweep, for time")
                _, data, _ = karat.run("generate", model, lines, *flags, *extra, "--device", "cuda", "--dtype", dtype)
                right = right or data
                check(f"{dtype} {flags[3:]} {extra}", data == right)
            shuffled = lines[:]
            rng.shuffle(shuffled)
            out, _, _ = karat.run("generate", model, shuffled, *flags, "--device", "cuda", "--dtype", dtype)
            by_id = {line["id"]: line for line in map(json.loads, right.splitlines())}
            check(f"{dtype} {flags[3:]} another order", all(by_id[line["id"]] == line for line in out))


@stage(30)
def suite(karat):
    """The default suite whole, with embedder and classifier beside the generator: equal results over two batch sizes."""
    results = []
    for number, flags in enumerate(([], ["--batch-tokens", 300, "--max-seqs", 9, "--no-drafts"])):
        runs = karat.work / f"runs-{number}"
        args = ["run", "--no-cache", "--no-baseline", "--quiet", "--runs-dir", runs, "--device", "cuda", *flags]
        began = time.monotonic()
        done = subprocess.run([karat.work / "karat", *map(str, args)], capture_output=True, text=True, timeout=max(left(), 30))
        took = time.monotonic() - began
        # 1: a gate did not pass, which is the suite's affair.
        if done.returncode not in (0, 1): raise RuntimeError(f"karat run: {done.stderr.strip()[-2000:]}")
        files = list(runs.glob("*/*/results.jsonl*"))
        check(f"a record of the run {flags}", len(files) == 1, str(files))
        results.append(files[0].read_bytes())
        cases = json.loads((files[0].parent / "verdict.json").read_text())
        say(f"default suite {flags}, seconds", round(took, 2))
        FIGURES[f"suite verdict {number}"] = cases
    check("results.jsonl is equal", results[0] == results[1])


@stage(150)
def sanitize(karat):
    """The kernels' tests under compute-sanitizer; not the sweeps, which show nothing new there."""
    sanitizer = shutil.which("compute-sanitizer", path=os.environ["PATH"] + ":/usr/local/cuda/bin:/usr/local/cuda/compute-sanitizer")
    if not sanitizer: return print("  left out: there is no compute-sanitizer")
    for tool in ("memcheck", "racecheck"):
        args = [sanitizer, "--tool", tool, "--error-exitcode", "9", karat.work / "tests",
                "cuda::launch", "--ignored", "--test-threads", "1", "--skip", "batch_invariant"]
        try:
            done = subprocess.run(list(map(str, args)), capture_output=True, text=True, timeout=max(min(left() - 20, 150), 30))
        except subprocess.TimeoutExpired:
            print(f"  left out: {tool} takes longer than there is time")
            continue
        told = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("=========")]
        print("\n".join("  " + line for line in told[-8:]))
        check(f"{tool} is clean", done.returncode == 0, done.stdout[-800:])


# ---- figures

@stage(15)
def ceilings(karat):
    """Device copy and bf16 products, as torch has them: what figures are held against."""
    import torch
    x = torch.empty(1 << 30, dtype=torch.float32, device="cuda")
    y = torch.empty_like(x)
    say("copy TB/s (read + written)", round(2 * 4 * (1 << 30) / timed(lambda: y.copy_(x)) / 1e12, 2))
    del x, y
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    say("bf16 matmul TFLOP/s", round(2 * 8192**3 / timed(lambda: a @ a) / 1e12))
    torch.cuda.empty_cache()


def timed(f, rounds=10):
    import torch
    for _ in range(3): f()
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(rounds): f()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / rounds


LLAMA_8B = dict(hidden=4096, intermediate=14336, layers=32, heads=32, keys=8, vocab=128256, tied=False)
QWEN_05B = dict(hidden=896, intermediate=4864, layers=24, heads=14, keys=2, vocab=151936, tied=True)


def make_model(folder, hidden, intermediate, layers, heads, keys, vocab, tied, context=4096):
    """A Llama of random bf16 weights, with a tokenizer of bytes that the fixtures have."""
    import torch
    from safetensors.torch import save_file
    folder = pathlib.Path(folder)
    if (folder / "config.json").exists(): return folder
    folder.mkdir(parents=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(7)
    rand = lambda n, k, gain=1.0: (torch.randn(n, k, device=device) * gain / k**0.5).to(torch.bfloat16).cpu()
    size = hidden // heads
    tensors = {"model.embed_tokens.weight": rand(vocab, hidden, hidden**0.5), "model.norm.weight": torch.ones(hidden, dtype=torch.bfloat16)}
    if not tied: tensors["lm_head.weight"] = rand(vocab, hidden, 3.0)
    for i in range(layers):
        p = f"model.layers.{i}."
        for name, n, k in (("self_attn.q_proj", heads * size, hidden), ("self_attn.k_proj", keys * size, hidden), ("self_attn.v_proj", keys * size, hidden),
                           ("self_attn.o_proj", hidden, heads * size), ("mlp.gate_proj", intermediate, hidden), ("mlp.up_proj", intermediate, hidden),
                           ("mlp.down_proj", hidden, intermediate)):
            tensors[f"{p}{name}.weight"] = rand(n, k)
        for name in ("input_layernorm", "post_attention_layernorm"): tensors[f"{p}{name}.weight"] = torch.ones(hidden, dtype=torch.bfloat16)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_act="silu", hidden_size=hidden, intermediate_size=intermediate,
                  num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=keys, vocab_size=vocab, max_position_embeddings=context,
                  rms_norm_eps=1e-5, rope_theta=500000.0, tie_word_embeddings=tied, torch_dtype="bfloat16", bos_token_id=None, eos_token_id=2)
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).write_bytes((folder.parent / "models" / "random-tiny" / name).read_bytes())
    return folder


def weights_of(shape):
    hidden, size = shape["hidden"], shape["hidden"] // shape["heads"]
    layer = hidden * (shape["heads"] + 2 * shape["keys"]) * size + hidden * shape["heads"] * size + 3 * hidden * shape["intermediate"]
    return shape["layers"] * layer + hidden * shape["vocab"]


def floor(shape, prompts, generated, seqs):
    """Seconds of a workload: products at the measured rate; per decoding step the weights and the cache of `seqs` sequences."""
    weights, bandwidth, rate = weights_of(shape), FIGURES["copy TB/s (read + written)"] * 1e12, FIGURES["bf16 matmul TFLOP/s"] * 1e12
    cache = 2 * 2 * shape["layers"] * shape["keys"] * (shape["hidden"] // shape["heads"])
    count, length, new = len(prompts), sum(len(p["prompt_ids"]) for p in prompts) / len(prompts), generated
    prefill = 2 * weights * count * length / rate
    steps = count * new / seqs
    step = max(2 * weights / bandwidth, 2 * weights * seqs / rate) + seqs * (length + new / 2) * cache / bandwidth
    return prefill + steps * step


def generated(karat, name, shape, count, length, new, seqs=256):
    model = make_model(karat.work / name, **shape)
    lines = prompts(random.Random(3), count, length, length, min(shape["vocab"], 30000))
    flags = ["--max-new-tokens", new, "--ignore-eos", "--device", "cuda", "--max-seqs", seqs, "--batch-tokens", 2048, "--no-drafts"]
    out, data, told = karat.run("generate", model, lines, *flags)
    print("  " + told.strip().splitlines()[-1])
    rate = karat.rate(told)
    say(f"{name}: {count} x ({length} in, {new} out), generated tokens/s", round(rate))
    say(f"{name}: share of the floor", round(floor(shape, lines, new, seqs) / (count * new / rate), 2))
    return data


@stage(150)
def decode(karat):
    """The 8B shape: 1000 x (256 in, 256 out), twice, over two numbers of sequences: equal bytes."""
    first = generated(karat, "llama-3.1-8b", LLAMA_8B, 1000, 256, 256)
    FIGURES["8b digest"] = hashlib.sha256(first).hexdigest()
    if left() > 120: check("8B: equal bytes with 128 sequences in flight", generated(karat, "llama-3.1-8b", LLAMA_8B, 1000, 256, 256, seqs=128) == first)


@stage(60)
def prefill(karat):
    """Log-probabilities of 256 x 2048 tokens: prefill alone."""
    model = make_model(karat.work / "llama-3.1-8b", **LLAMA_8B)
    lines = [{"id": p["id"], "ids": p["prompt_ids"]} for p in prompts(random.Random(4), 128, 2048, 2048, 30000)]
    _, _, told = karat.run("logprob", model, lines, "--device", "cuda", "--batch-tokens", 8192)
    rate = karat.rate(told)
    say("llama-3.1-8b: log-probabilities, tokens/s", round(rate))
    say("llama-3.1-8b: share of the matmul rate", round(2 * weights_of(LLAMA_8B) * rate / 1e12 / FIGURES["bf16 matmul TFLOP/s"], 2))


@stage(40)
def small(karat):
    """The 0.5B shape, and prompts that share a beginning of 1500 tokens."""
    generated(karat, "qwen2.5-0.5b", QWEN_05B, 1000, 256, 256)
    rng = random.Random(5)
    stem = [rng.randrange(3, 30000) for _ in range(1500)]
    lines = [{"id": p["id"], "prompt_ids": stem + p["prompt_ids"]} for p in prompts(rng, 1000, 40, 60, 30000)]
    flags = ["--max-new-tokens", 8, "--ignore-eos", "--device", "cuda", "--max-seqs", 256, "--batch-tokens", 2048]
    began = time.monotonic()
    _, shared, told = karat.run("generate", karat.work / "qwen2.5-0.5b", lines, *flags)
    print("  " + told.strip().splitlines()[-1])
    say("qwen2.5-0.5b: 1000 few-shot prompts, seconds in all", round(time.monotonic() - began, 1))


@stage(40)
def embed(karat):
    """100,000 sentences through the shape of all-MiniLM-L6-v2."""
    model = make_encoder(karat.work / "minilm")
    rng = random.Random(6)
    words = ["gold", "house", "hill", "old", "the", "of", "an", "is", "river", "seven", "green", "walks"]
    lines = [{"id": i, "text": " ".join(rng.choices(words, k=rng.randint(5, 40)))} for i in range(100_000)]
    _, _, told = karat.run("embed", model, lines, "--device", "cuda", "--batch-tokens", 16384)
    print("  " + told.strip().splitlines()[-1])
    say("minilm: tokens/s", round(karat.rate(told)))


def make_encoder(folder):
    import torch
    from transformers import BertConfig, BertModel
    if (folder / "config.json").exists(): return folder
    torch.manual_seed(8)
    source = folder.parent / "models" / "bert"
    vocab = json.loads((source / "config.json").read_text())["vocab_size"]
    config = BertConfig(vocab_size=vocab, hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"): (folder / name).write_bytes((source / name).read_bytes())
    return folder


@stage(110)
def peer(karat):
    """The same work in transformers: a static batch and continuous batching, on a share of the prompts."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig
    folder = make_model(karat.work / "llama-3.1-8b", **LLAMA_8B)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, device_map="cuda")
    model.generation_config.eos_token_id = None
    ids = torch.tensor([p["prompt_ids"] for p in prompts(random.Random(3), 128, 256, 256, 30000)], device="cuda")
    run = lambda n: model.generate(ids, max_new_tokens=n, min_new_tokens=n, do_sample=False, pad_token_id=0)
    run(4)
    torch.cuda.synchronize()
    began = time.perf_counter()
    run(64)
    torch.cuda.synchronize()
    say("transformers, static batch of 128 x (256 in, 64 out), generated tokens/s", round(128 * 64 / (time.perf_counter() - began)))
    if not hasattr(model, "generate_batch") or left() < 40: return
    config = GenerationConfig(max_new_tokens=64, do_sample=False, eos_token_id=-1, pad_token_id=0)
    inputs = [row.tolist() for row in ids.repeat(2, 1)]
    began = time.perf_counter()
    out = model.generate_batch(inputs=inputs, generation_config=config)
    tokens = sum(len(answer.generated_tokens) for answer in out.values())
    say("transformers, continuous batching of 256 x (256 in, 64 out), generated tokens/s", round(tokens / (time.perf_counter() - began)))


def main():
    karat = Karat(sys.argv[1])
    names = sys.argv[2:] or ["ceilings", "kernels", "parity", "sweep", "suite", "decode", "prefill", "small", "embed", "peer", "sanitize"]
    for name in names:
        seconds, run = STAGES[name]
        if left() < seconds:
            print(f"\n== left out: {name}: {left():.0f} s are left, and it may take {seconds}")
            continue
        began = time.monotonic()
        print(f"\n== {name}: {run.__doc__.strip().splitlines()[0]}")
        try:
            run(karat)
        except Exception as error:  # One broken stage must not cost the others their turn on the GPU.
            check(name, False, f"{type(error).__name__}: {error}")
        print(f"== {name}: {time.monotonic() - began:.0f} s")
    if os.environ.get("OUT"): pathlib.Path(os.environ["OUT"], "figures.json").write_text(json.dumps(FIGURES, indent=1))
    print(f"\n== {len(FAILED)} failed{': ' + ', '.join(FAILED[:20]) if FAILED else ''}; {time.monotonic() - BEGAN:.0f} s in all")
    sys.exit(bool(FAILED))


if __name__ == "__main__":
    main()
