"""Holds the requests that karat would make against those of lm-evaluation-harness, byte by byte.

    python3 scripts/lm_eval_oracle/check_requests.py KARAT ORACLE MODEL

ORACLE is ../shared/data/anchors/lm_eval_oracle, MODEL a folder with a tokenizer; its chat template is replaced by the oracle's."""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import suites

karat, oracle, model = map(pathlib.Path, sys.argv[1:4])


def requests(shown):
    """What karat shows of a case as lm-eval's list of arguments."""
    if shown.get("error"):
        return shown["error"]
    kind = shown["request"]
    if kind == "generate":
        return [(shown["text"], shown["options"]["stop"])]
    if kind == "perplexity":
        return [(shown["text"],)]
    return [(one.get("context", shown.get("text")), one["text"]) for one in shown["continuations"]]


def wanted(sample, kind):
    arguments = sample["arguments"]
    found = [tuple(arguments[f"gen_args_{n}"][f"arg_{i}"] for i in range(len(arguments[f"gen_args_{n}"]))) for n in range(len(arguments))]
    if kind == "generate":
        return [(text, options["until"]) for text, options in found]
    return found


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    with_chat, without = folder / "chat", folder / "plain"
    for target in (with_chat, without):
        shutil.copytree(model, target)
        for name in ("chat_template.jinja", "chat_template.json"):
            (target / name).unlink(missing_ok=True)
    shutil.copy(oracle / "chat_template.jinja", with_chat / "chat_template.jinja")
    compared, wrong = 0, 0
    for variant, how in suites.VARIANTS.items():
        entries = []
        for task, spec in suites.PROMPTS.items():
            samples = oracle / "samples" / f"samples_karat_{task}__{variant}.jsonl"
            if samples.exists():
                entries.append(suites.dataset(task, variant, str((oracle / "data").resolve())))
        path = folder / "suite.yaml"
        suites.write(path, suites.suite("oracle", entries, str((with_chat if how.get("chat") else without).resolve())))
        run = subprocess.run([karat, "render", "--suite", path], capture_output=True, text=True, encoding="utf-8")
        if run.returncode not in (0, 1) or not run.stdout:
            sys.exit(f"{variant}: karat render ended with {run.returncode}\n{run.stderr}")
        shown = {}
        for line in run.stdout.splitlines():
            line = json.loads(line)
            shown.setdefault(line["dataset"], []).append(line)
        for entry in entries:
            task = entry["name"].split("__")[0]
            lines = [json.loads(line) for line in (oracle / "samples" / f"samples_karat_{entry['name']}.jsonl").open(encoding="utf-8")]
            # One line for each filter of a document.
            samples = {line["doc_id"]: line for line in lines}
            bad = 0
            for doc, sample in samples.items():
                mine, theirs = requests(shown[entry["name"]][doc]), wanted(sample, entry["request"])
                if task == "own_majority":
                    theirs = theirs[:1]
                if task == "own_mc" and isinstance(mine, list):
                    mine = mine + [("", text) for _, text in mine]
                compared += 1
                if mine != theirs:
                    bad += 1
                    if bad == 1:
                        print(f"{entry['name']} document {doc}:\n  karat   {mine}\n  lm-eval {theirs}")
            wrong += bad
    print(f"{compared} documents in {len(suites.VARIANTS)} variants, {wrong} with other requests")
    sys.exit(1 if wrong or not compared else 0)
