#!/usr/bin/env python3
"""Replaces the files of a run while it runs, at random moments, and looks for a wrong answer under a right hash.

    scripts/swap_attack_data.py [--karat target/release/karat] [--moments 200] [--seed 1] [--what dataset,danger,…]

Files: two datasets, template, system prompt, examples, suite, recorded answers. Each is replaced by one that differs in every case:
by a rename, in place piece by piece, cut and written anew, or replaced and put back. A run either ends with 2 and no record, or its record
names the hash of what its answers are of; a file torn between two versions has a hash of its own. All runs share one cache of
answers; at the end both versions are run from that cache and must give what they gave before. Ends with 1 where anything else is seen.
"""
import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = {
    "dataset": "golden.jsonl", "danger": "danger.csv", "template": "p.md", "system": "s.md", "few_shot": "shots.jsonl",
    "suite": "suite.yaml", "responses": "answers.jsonl",
}
WAYS = ["rename", "in place", "cut", "rename and back", "in place and back"]


def version(word, model, cases):
    """Every file of one version; all of a kind are equally long in both."""
    # Several blocks, so that later ones are read while cases are answered.
    pad = "x" * (900_000 // cases)
    golden = "".join(
        json.dumps({"id": f"g{n:04}", "input": f"{word} {n}?", "target": word, "pad": pad}) + "\n" for n in range(cases)
    )
    danger = "id,input,target\n" + "".join(f'd{n:04},"{word}, {n}?",{word}\n' for n in range(20))
    suite = f"""version: 1
name: swap
models: {{generator: {{model: {json.dumps(str(model))}}}}}
prompt: {{file: p.md, system: s.md, few_shot: {{file: shots.jsonl}}}}
datasets:
  - {{name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}}
  - {{name: danger, kind: danger, file: danger.csv, scorers: [exact_match]}}
generation: {{max_new_tokens: 4, temperature: 1, seed: {len(word) + ord(word[0])}}}
scorers: [exact_match]
"""
    ids = [("golden", f"g{n:04}") for n in range(cases)] + [("danger", f"d{n:04}") for n in range(20)]
    random.Random(3).shuffle(ids)
    answers = "".join(json.dumps({"dataset": d, "id": i, "output": f"{word} {i}"}) + "\n" for d, i in ids)
    return {
        "dataset": golden, "danger": danger, "template": f"{word}: {{{{ input }}}}\nA:", "system": f"Say {word}.\n",
        "few_shot": json.dumps({"input": f"{word} 1+1", "target": word}) + "\n", "suite": suite, "responses": answers,
    }


def replace(path, text, way, rng):
    data = text.encode()
    if way.startswith("rename"):
        new = path.with_suffix(".new")
        new.write_bytes(data)
        os.replace(new, path)
    elif way.startswith("in place"):
        with open(path, "r+b", buffering=0) as file:
            for at in range(0, len(data), 1 << 14):
                file.write(data[at : at + (1 << 14)])
                if rng.random() < 0.05:
                    time.sleep(0.001)
            file.truncate()
    else:
        with open(path, "wb", buffering=0) as file:
            file.write(data)


class Attack:
    def __init__(self, args):
        self.args, self.rng = args, random.Random(args.seed)
        self.work = Path(tempfile.mkdtemp(prefix="karat-swap-"))
        model = ROOT / "tests/fixtures/models/random-tiny"
        self.versions = [version(word, model, args.cases) for word in ("gold", "lead")]
        self.cache = self.work / "cache"

    def project(self, version, name):
        folder = self.work / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for kind, file in FILES.items():
            (folder / file).write_text(version[kind])
        return folder

    def start(self, folder, what):
        command = ["score", "suite.yaml", "--responses", FILES["responses"]] if what == "responses" else ["run", "suite.yaml"]
        more = ["--no-baseline", "-q", "--runs-dir", "runs", "--threads", "2"]
        more += [] if what == "responses" else ["--window", "1"]
        env = dict(os.environ, KARAT_CACHE=str(self.cache))
        out = dict(stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        return subprocess.Popen([self.args.karat, *command, *more], cwd=folder, env=env, text=True, **out)

    @staticmethod
    def record(folder):
        runs = [path for path in (folder / "runs/swap").glob("[0-9]*") if (path / "manifest.json").is_file()]
        if not runs:
            return None
        (run,) = runs
        manifest = json.loads((run / "manifest.json").read_text())
        return manifest, (run / "results.jsonl").read_text()

    def named(self, manifest, what):
        """Which version of a file the record names: 0, 1, or neither."""
        if what == "suite":
            seeds = [json.loads(v["suite"].split("seed: ")[1].split("}")[0]) for v in self.versions]
            return {seed: n for n, seed in enumerate(seeds)}.get(manifest["plan"]["generation"]["seed"])
        hashes = manifest["hashes"]
        name = {"dataset": "golden"}.get(what, what)
        found = hashes["datasets"].get(name) if what in ("dataset", "danger", "responses") else hashes["prompts"][FILES[what]]
        known = [hashlib.sha256(v[what].encode()).hexdigest() for v in self.versions]
        return known.index(found) if found in known else None

    def undisturbed(self, what, which):
        """Results of the first version with one file of the other, and how long that took."""
        mixed = {**self.versions[0], what: self.versions[which][what]}
        folder = self.project(mixed, "reference")
        began = time.monotonic()
        process = self.start(folder, what)
        told = process.communicate()[1]
        seconds, found = time.monotonic() - began, self.record(folder)
        if found is None:
            sys.exit(f"an undisturbed run ended with {process.returncode}: {told}")
        assert self.named(found[0], what) == which
        return found[1], seconds

    def moment(self, what, way, seconds):
        folder = self.project(self.versions[0], "attacked")
        path, process = folder / FILES[what], self.start(folder, what)
        # Data are read first of all, and again while cases are answered: half of the moments fall into the beginning.
        time.sleep(self.rng.uniform(0, seconds * self.rng.choice([0.2, 1.1])))
        replace(path, self.versions[1][what], way, self.rng)
        if way.endswith("back"):
            time.sleep(self.rng.uniform(0, seconds * 0.4))
            replace(path, self.versions[0][what], way, self.rng)
        told = process.communicate()[1]
        return process.returncode, told, self.record(folder)

    def run(self):
        kinds, wrong = self.args.what.split(","), 0
        print(f"{'replaced':10} {'moments':>7} {'old':>5} {'new':>5} {'torn':>5} {'changed':>8} {'other':>6} {'WRONG':>6}")
        for what in kinds:
            # Some answers are in the cache then, and some are not.
            both = [self.undisturbed(what, which) for which in (0, 1)]
            seconds = max(seconds for _, seconds in both)
            if what != "responses":
                seconds = max(seconds, self.without_cache(what))
            counts, moments = dict.fromkeys(["old", "new", "torn", "changed", "other", "WRONG"], 0), self.args.moments // len(kinds)
            for number in range(moments):
                if number % 2:
                    shutil.rmtree(self.cache, ignore_errors=True)
                code, told, found = self.moment(what, WAYS[number % len(WAYS)], seconds)
                if found is None:
                    seen = "changed" if code == 2 and "changed during the run" in told else "other"
                    if code not in (2, 4):
                        seen = "WRONG"
                else:
                    which = self.named(found[0], what)
                    seen = "torn" if which is None else ["old", "new"][which] if found[1] == both[which][0] else "WRONG"
                counts[seen] += 1
                if seen == "WRONG":
                    print(f"  {what} {WAYS[number % len(WAYS)]}: exit {code}, {told[:300]!r}", file=sys.stderr)
            for which in (0, 1):
                if self.undisturbed(what, which)[0] != both[which][0]:
                    counts["WRONG"] += 1
                    print(f"  {what}: the cache gives other answers now", file=sys.stderr)
            wrong += counts["WRONG"]
            print(f"{what:10} {moments:7} {counts['old']:5} {counts['new']:5} {counts['torn']:5} {counts['changed']:8} {counts['other']:6} {counts['WRONG']:6}", flush=True)
        shutil.rmtree(self.work)
        return wrong

    def without_cache(self, what):
        shutil.rmtree(self.cache, ignore_errors=True)
        return self.undisturbed(what, 0)[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--karat", default=str(ROOT / "target/release/karat"))
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--what", default=",".join(FILES))
    args = parser.parse_args()
    print(f"{args.moments} moments, seed {args.seed}")
    sys.exit(1 if Attack(args).run() else 0)


main()
