"""1,000 cases of four choices behind a shared 5-shot context: karat and lm-eval's `hf` backend in turn, f32, on the same rows.

    PYTHON_OF_CHECK_LM_EVAL scripts/lm_eval_oracle/bench_choice.py KARAT MODEL

Also counts the rows: distinct prefixes of all scored sequences against the tokens that karat computed."""

import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TOKENIZERS_PARALLELISM="false")
karat, model = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
generator = random.Random(1)
WORDS = "river stone green lamp music paper window garden silver orange market winter summer doctor letter bridge forest kitchen engine school".split()
TEXT, SHOTS = "{{q}}\nAnswer:", 5


def row(number):
    question = " ".join(generator.choice(WORDS) for _ in range(18))
    options = [" ".join(generator.choice(WORDS) for _ in range(generator.randint(2, 4))) for _ in range(4)]
    return dict(q=f"Which of these goes with {question}, number {number}?", opts=options, gold=generator.randrange(4))


def run(folder, *flags):
    began = time.time()
    subprocess.run([karat, "run", folder / "suite.yaml", "--quiet", "--no-cache", "--dtype", "f32", "--runs-dir", folder / "runs", *flags],
                   check=False, capture_output=True)
    return time.time() - began


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    for name, count, first in (("test", 1000, 0), ("train", SHOTS, 5000)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row(first + n)) + "\n" for n in range(count)))
    prompt = dict(text=TEXT, choices="{{opts}}", target="{{gold}}", few_shot=dict(file="train.jsonl", count=SHOTS))
    dataset = dict(name="mc", kind="golden", file="test.jsonl", ids="row", request="choice", prompt=prompt, scorers=["acc", "acc_norm"])
    suite = dict(version=1, name="bench", models=dict(generator=dict(model=str(model))), prompt=dict(chat=False), datasets=[dataset],
                 scorers=[dict(choice=dict(metric=metric)) for metric in ("acc", "acc_norm")])
    (folder / "suite.yaml").write_text(json.dumps(suite))
    task = dict(task="bench_mc", dataset_path="json", dataset_kwargs=dict(data_files={s: str(folder / f"{s}.jsonl") for s in ("train", "test")}),
                output_type="multiple_choice", training_split="train", test_split="test", fewshot_split="train",
                fewshot_config=dict(sampler="first_n"), num_fewshot=SHOTS, doc_to_text=TEXT, doc_to_target="gold", doc_to_choice="opts",
                metric_list=[dict(metric="acc"), dict(metric="acc_norm")])
    (folder / "bench_mc.yaml").write_text(json.dumps(task))

    asked = subprocess.run([karat, "render", "--suite", folder / "suite.yaml"], check=True, capture_output=True, text=True).stdout
    seen = set()
    for line in asked.splitlines():
        for continuation in json.loads(line)["continuations"]:
            prefix = hashlib.blake2b(digest_size=12)
            # The last token is scored, and never computed with.
            for token in continuation["ids"][:-1]:
                prefix.update(token.to_bytes(4, "little"))
                seen.add(prefix.digest())
    seconds = [run(folder)]
    (record,) = (folder / "runs" / "bench").glob("2*")
    computed = json.loads((record / "performance.json").read_text())["prompt_tokens"]
    print(f"{computed} tokens computed, {len(seen)} distinct prefixes: {computed / len(seen):.3f}")

    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    theirs = []
    for batch in (16, 32):
        lm = HFLM(pretrained=str(model), dtype="float32", device="cpu", batch_size=batch)
        began = time.time()
        lm_eval.simple_evaluate(model=lm, tasks=["bench_mc"], task_manager=TaskManager(include_path=str(folder), include_defaults=False), bootstrap_iters=0)
        theirs.append(time.time() - began)
        seconds.append(run(folder))
    alone = run(folder, "--no-prefix-sharing")
    print(f"karat {sorted(seconds)[1]:.1f} s (without prefix sharing {alone:.1f} s), lm-eval {', '.join(f'{t:.1f}' for t in theirs)} s")
