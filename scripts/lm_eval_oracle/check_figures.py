"""Log-likelihoods and per-case metrics of karat against lm-evaluation-harness on the same model: `hf` backend, f32, CPU.

    python3 scripts/lm_eval_oracle/check_figures.py KARAT ORACLE MODEL [TASK__VARIANT …]

ORACLE is ../shared/data/anchors/lm_eval_oracle: its tasks and rows. Log-likelihoods agree within 1e-3, and every metric of every case
is equal; a case in which two choices are closer than 1e-4 is named and left out of that."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import suites  # noqa: E402

NEAR, CLOSE = 1e-3, 1e-4
DEFAULT = [
    "arc_easy__fs0", "arc_easy__fs5", "arc_easy__fs3_chat_turns", "mmlu_own__fs3", "piqa__fs3", "mrpc__fs0", "cola__fs3", "xnli_en__fs0",
    "own_mc__fs3", "own_mc__fs3_chat_oneturn", "lambada_openai__fs0", "lambada_openai__fs3", "pile_10k__fs0", "triviaqa__fs3", "bbh_own__fs0",
    "own_prefix__fs3",
]
LIMIT = 8


def lm_eval(oracle, model, names):
    """What lm-eval says: by task and document, its results and metrics."""
    import lm_eval as harness
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    here = os.getcwd()
    os.chdir(oracle)
    try:
        manager = TaskManager(include_path="tasks", include_defaults=False)
        lm = HFLM(pretrained=str(model), dtype="float32", device="cpu", batch_size=8)
        found = {}
        for name in names:
            task, variant = name.split("__")
            how = suites.VARIANTS[variant]
            shots = how.get("shots", 0)
            out = harness.simple_evaluate(
                model=lm, tasks=[f"karat_{task}"], num_fewshot=shots if task != "bbh_zero" else None, limit=LIMIT, task_manager=manager,
                apply_chat_template=how.get("chat", False), fewshot_as_multiturn=how.get("join") != "text" and how.get("chat", False),
                system_instruction=suites.SYSTEM if how.get("system") else None, log_samples=True, bootstrap_iters=0, fewshot_random_seed=how.get("seed", 1234),
                gen_kwargs="max_gen_toks=32" if suites.PROMPTS[task]["request"] == "generate" else None)
            found[name] = {sample["doc_id"]: sample for sample in out["samples"][f"karat_{task}"]}, out["results"][f"karat_{task}"]
        return found
    finally:
        os.chdir(here)


def karat_run(karat, oracle, model, names, folder):
    entries = [suites.dataset(*name.split("__"), str((oracle / "data").resolve()), LIMIT) for name in names]
    for entry in entries:
        if entry["request"] == "generate":
            entry["generation"]["max_new_tokens"] = 32
    suites.write(folder / "suite.yaml", suites.suite("figures", entries, str(model.resolve())))
    run = subprocess.run([karat, "run", folder / "suite.yaml", "--quiet", "--runs-dir", folder / "runs", "--no-cache"], capture_output=True, text=True, encoding="utf-8")
    if run.returncode not in (0, 1):
        sys.exit(f"karat run ended with {run.returncode}\n{run.stderr}")
    (record,) = (folder / "runs" / "figures").glob("2*")
    lines = [json.loads(line) for line in (record / "results.jsonl").open(encoding="utf-8")]
    found = {}
    for line in lines:
        found.setdefault(line["dataset"], {})[int(line["id"])] = line
    summary = {dataset["dataset"]: dataset for dataset in json.loads((record / "summary.json").read_text())["datasets"]}
    return found, summary


def logprobs(line):
    (kind, scored), = line["likelihoods"].items()
    return scored["logprobs"] + scored.get("unconditional", []) if kind == "choice" else [scored["logprob"]]


def compare(name, theirs, mine):
    """Differences, and the largest of log-likelihoods."""
    task = name.split("__")[0]
    wrong, largest, close = [], 0.0, []
    for doc, sample in theirs.items():
        line = mine[doc]
        if line["error"]:
            wrong.append(f"{name} {doc}: {line['error']}")
            continue
        if suites.PROMPTS[task]["request"] == "generate":
            answer = sample["resps"][0][0]
            if answer != line["output"]:
                wrong.append(f"{name} {doc}: answers {line['output']!r}, lm-eval {answer!r}")
            continue
        own = logprobs(line)
        other = [float(response[0][0]) if isinstance(response[0], (list, tuple)) else float(response[0]) for response in sample["resps"]]
        gaps = [abs(a - b) for a, b in zip(own, other, strict=True)]
        largest = max(largest, *gaps)
        if max(gaps) > NEAR:
            wrong.append(f"{name} {doc}: log-likelihoods {own}, lm-eval {other}")
        n = len(line["likelihoods"].get("choice", {}).get("logprobs", [0]))
        ordered = sorted(own[:n], reverse=True)
        if n > 1 and ordered[0] - ordered[1] < CLOSE:
            close.append(f"{name} {doc}")
            continue
        for metric in ("acc", "acc_norm", "acc_bytes", "acc_mutual_info"):
            key = "greedy" if metric == "acc" and "continuation" in line["likelihoods"] else metric
            if metric in sample and key in line["scores"] and float(sample[metric]) != line["scores"][key]["value"]:
                wrong.append(f"{name} {doc}: {metric} {line['scores'][key]['value']}, lm-eval {sample[metric]}")
        for metric in ("word_perplexity", "byte_perplexity", "bits_per_byte"):
            if metric in sample:
                ll, weight = sample[metric]
                document = line["likelihoods"]["document"]
                if weight != document["words" if metric == "word_perplexity" else "bytes"]:
                    wrong.append(f"{name} {doc}: {metric} counts {document}, lm-eval {weight}")
    return wrong, largest, close


def totals(name, summary, results):
    """Figures of the whole dataset."""
    wrong = []
    figures = summary.get("likelihoods") or {}
    pairs = [(figures.get(key), results.get(f"{key},none"), key) for key in ("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte")]
    pairs += [((figures.get("choice") or {}).get(key), results.get(f"{key},none"), key) for key in ("f1", "mcc")]
    means = {scorer["scorer"]: scorer["mean"] for scorer in summary["scorers"]}
    pairs += [(means.get(key), results.get(f"{key},none"), key) for key in ("acc_norm", "acc_bytes", "acc_mutual_info", "brier_score")]
    for own, other, key in pairs:
        if own is not None and other is not None and abs(own - float(other)) > 1e-3 * max(1.0, abs(float(other))):
            wrong.append(f"{name}: {key} {own}, lm-eval {other}")
    return wrong


def main():
    karat, oracle, model = map(pathlib.Path, sys.argv[1:4])
    names = sys.argv[4:] or DEFAULT
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        # The chat template is the oracle's, for models that have none.
        own = folder / "model"
        shutil.copytree(model, own, symlinks=False)
        if not any((own / name).exists() for name in ("chat_template.jinja", "chat_template.json")):
            shutil.copy(oracle / "chat_template.jinja", own / "chat_template.jinja")
        mine, summary = karat_run(karat.resolve(), oracle, own, names, folder)
        theirs = lm_eval(oracle, own.resolve(), names)
        wrong, largest, close, documents = [], 0.0, [], 0
        for name in names:
            samples, results = theirs[name]
            documents += len(samples)
            found, gap, near = compare(name, samples, mine[name])
            wrong += found + totals(name, summary[name], results)
            largest, close = max(largest, gap), close + near
        for line in wrong:
            print(line)
        print(f"{model}: {len(names)} tasks, {documents} documents, log-likelihoods within {largest:.2e}, {len(wrong)} differences"
              + (f"; two choices closer than {CLOSE}: {', '.join(close)}" if close else ""))
        sys.exit(1 if wrong or not documents else 0)


main()
