#!/usr/bin/env python3
"""Replaces files under a working karat at random moments, and looks whether any answer stands under a hash that is not its own.

    scripts/swap_attack.sh [--swaps 200] [--what generator,embedder,toxicity] [--command run,generate] [--seed N]

A trial copies everything, starts a command, replaces one file by another version of it (by rename or by writing into the same inode,
and half of the time back again), and then holds what came out against what each version gives undisturbed:

  right       the record names a version, and its results are that version's (a command without a record: its answers are)
  refused     exit code 2 and nothing recorded: karat saw that the file changed
  torn        the record names the hash of neither version: bytes of both were read, and are named as such
  WRONG       anything else, and any answer that the cache gives later under another version than its own

Ends with 1 where anything was WRONG, with 2 where no swap struck while karat worked. Standard library only; KARAT names the program.
A further kind of file is a line of TARGETS: what it is called in a manifest, and its two versions.
"""

import argparse
import collections
import glob
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KARAT = os.path.abspath(os.environ.get("KARAT", os.path.join(ROOT, "target/release/karat")))
DESK = os.path.join(ROOT, "datasets/support-desk")
CASES = {"golden": 24, "danger": 12}


def read(path):
    with open(path, "rb") as file:
        return file.read()


def other_weights(bytes):
    """Another model of the same shape: the signs of a part of all values are turned."""
    changed, half = bytearray(bytes), len(bytes) // 8 * 4
    for at in range(half + 3, len(changed), 64):
        changed[at] ^= 0x80
    return __builtins__.bytes(changed)


def first_lines(name):
    with open(os.path.join(DESK, name + ".jsonl"), "rb") as file:
        return b"".join(line for line, _ in zip(file, range(CASES[name])))


class Target:
    """A file that is replaced, its two versions, and where a manifest holds its hash."""

    def __init__(self, file, named, old, new, commands=("run",)):
        self.file, self.named, self.versions, self.commands = file, named, {"old": old, "new": new}, commands
        self.hashes = {hashlib.sha256(bytes).hexdigest(): which for which, bytes in self.versions.items()}

    def version(self, manifest):
        """Which version a manifest names; `torn` for neither."""
        value = manifest["hashes"]
        for key in self.named:
            value = value[key]
        return self.hashes.get(value, "torn")


def model(role, folder, new=None, commands=("run",)):
    old = read(os.path.join(ROOT, folder, "model.safetensors"))
    new = read(os.path.join(ROOT, new, "model.safetensors")) if new else other_weights(old)
    return Target(f"{role}/model.safetensors", ("models", role, "model.safetensors"), old, new, commands)


TARGETS = {
    "generator": lambda: model("generator", "models/karat-mini/1", "models/karat-mini/2", ("run", "generate")),
    "embedder": lambda: model("embedder", "models/karat-embed"),
    "toxicity": lambda: model("toxicity", "models/karat-toxicity"),
}


def prepare(place):
    """A suite with everything that it reads, below one folder."""
    for role, folder in (("generator", "karat-mini/1"), ("embedder", "karat-embed"), ("toxicity", "karat-toxicity")):
        shutil.copytree(os.path.join(ROOT, "models", folder), os.path.join(place, role))
    shutil.copytree(os.path.join(DESK, "prompts"), os.path.join(place, "prompts"))
    for name in CASES:
        with open(os.path.join(place, name + ".jsonl"), "wb") as file:
            file.write(first_lines(name))
    with open(os.path.join(DESK, "suite.yaml")) as file:
        text = file.read()
    for role, name in (("generator", "karat-mini@2"), ("embedder", "karat-embed@3"), ("toxicity", "karat-toxicity@1")):
        text = text.replace(f"model: {name}", f"model: ./{role}")
    with open(os.path.join(place, "suite.yaml"), "w") as file:
        file.write(text)
    for name, ids in (("all.jsonl", range(40)), ("part.jsonl", range(20))):
        messages = ({"role": "user", "content": f"Where is my order {1000 + id}?"} for id in ids)
        with open(os.path.join(place, name), "w") as file:
            file.writelines(json.dumps({"id": id, "messages": [message]}) + "\n" for id, message in zip(ids, messages))


def start(command, place, cache, part=False):
    args = {
        "run": ["run", "suite.yaml", "-q", "--no-baseline", "--threads", "1", "--runs-dir", "runs"],
        "generate": ["generate", "generator", "-q", "--threads", "1", "--max-new-tokens", "24", "--in", "part.jsonl" if part else "all.jsonl", "--out", "out.jsonl"],
    }[command] + (["--limit", "5"] if part and command == "run" else [])
    env = dict(os.environ, KARAT_CACHE=cache)
    return subprocess.Popen([KARAT, *args], cwd=place, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def outcome(command, place, target):
    """The version that a command names, where it names one, and what it gave; nothing where there is no record."""
    if command == "generate":
        path = os.path.join(place, "out.jsonl")
        return (None, read(path)) if os.path.exists(path) else None
    runs = glob.glob(os.path.join(place, "runs/*/2*"))
    if not runs:
        return None
    with open(os.path.join(runs[0], "manifest.json")) as file:
        named = target.version(json.load(file))
    return named, read(os.path.join(runs[0], "results.jsonl"))


def clear(place):
    shutil.rmtree(os.path.join(place, "runs"), ignore_errors=True)
    for name in ("out.jsonl", ".out.jsonl.journal"):
        if os.path.exists(os.path.join(place, name)):
            os.remove(os.path.join(place, name))


def put(path, bytes):
    with open(path + ".new", "wb") as file:
        file.write(bytes)
    os.replace(path + ".new", path)


def overwrite(path, bytes):
    with open(path, "r+b") as file:
        for at in range(0, len(bytes), 1 << 16):
            file.write(bytes[at : at + (1 << 16)])
        file.truncate()


def undisturbed(command, place, target, which, cache="", part=False):
    clear(place)
    put(os.path.join(place, target.file), target.versions[which])
    began = time.monotonic()
    process = start(command, place, cache, part)
    told = process.communicate()[1].decode(errors="replace")
    found = outcome(command, place, target)
    assert found is not None, f"{command} with the {which} version of {target.file} gave nothing: {told}"
    return found[1], time.monotonic() - began


def is_torn(given, expected):
    """Whether an answer is of neither version; those of both in one file are a mixture, which nothing excuses."""
    known = {line for results in expected.values() for line in results.splitlines()}
    return any(line not in known for line in given.splitlines())


def trial(command, place, target, clean, chance, warm):
    """One swap; what became of it, and whether it struck while karat worked."""
    path, (expected, takes) = os.path.join(place, target.file), clean
    clear(place)
    put(path, target.versions["old"])
    cache = os.path.join(place, "cache")
    shutil.rmtree(cache, ignore_errors=True)
    if warm and chance.random() < 0.6:
        shutil.copytree(warm, cache)
    swap, back = chance.choice([put, overwrite]), chance.random() < 0.5
    delay, pause = chance.random() * takes * 1.05, chance.random() * takes * 0.5
    process = start(command, place, cache)
    time.sleep(delay)
    struck = process.poll() is None
    swap(path, target.versions["new"])
    if back:
        time.sleep(pause)
        swap(path, target.versions["old"])
    told, how = process.communicate()[1].decode(errors="replace"), f"{swap.__name__}{' and back' if back else ''}"
    found = outcome(command, place, target)
    if found is None:
        refused = process.returncode == 2 and "changed while it was read" in told
        # A file that was cut or half written when it was opened is refused as what it is then.
        refused = refused or process.returncode == 2 and "hint:" in told
        result = "refused" if refused else f"WRONG: exit code {process.returncode}, nothing recorded: {told}"
    else:
        named, given = found
        gave = [which for which, results in expected.items() if results == given]
        if named == "torn" or (named is None and not gave and swap is overwrite and is_torn(given, expected)):
            result = "torn"
        elif gave and named in (None, *gave):
            result = "right"
        else:
            result = f"WRONG: names {named}, gave {gave or 'neither'}"
    # What the cache holds must be what each version gives.
    for which in ("old", "new"):
        if undisturbed(command, place, target, which, cache)[0] != expected[which]:
            result = f"WRONG: the cache gives another answer to the {which} version ({result})"
    return result, struck, how, delay


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--swaps", type=int, default=200)
    parser.add_argument("--what", default=",".join(TARGETS))
    parser.add_argument("--command", default="run,generate")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    args = parser.parse_args()
    chance, place = random.Random(args.seed), tempfile.mkdtemp(prefix="karat-swaps-")
    prepare(place)
    pairs = []
    for what in args.what.split(","):
        target = TARGETS[what]()
        pairs += [(what, target, command) for command in target.commands if command in args.command.split(",")]
    clean, warm = {}, {}
    for what, target, command in pairs:
        expected, takes = {}, 0
        for which in ("new", "old"):
            expected[which], takes = undisturbed(command, place, target, which)
        assert expected["old"] != expected["new"], f"the versions of {what} cannot be told apart by {command}"
        clean[what, command] = expected, takes
        # Half of the answers: the weights load when the first of the others is asked for.
        warm[what, command] = os.path.join(place, f"warm-{what}-{command}")
        undisturbed(command, place, target, "old", warm[what, command], part=True)
        put(os.path.join(place, target.file), target.versions["old"])
    counts, wrong, struck = collections.Counter(), 0, 0
    for number in range(args.swaps):
        what, target, command = pairs[number % len(pairs)]
        result, hit, how, delay = trial(command, place, target, clean[what, command], chance, warm[what, command])
        put(os.path.join(place, target.file), target.versions["old"])
        kind, struck = result.split(":")[0], struck + hit
        counts[what, command, how, kind] += 1
        if kind == "WRONG":
            wrong += 1
            print(f"swap {number}: {what}, {command}, {how} after {delay:.3f} s: {result}", flush=True)
    print(f"seed {args.seed}: {args.swaps} swaps, {struck} of them while karat worked")
    for key in sorted(counts):
        print("  {:10} {:9} {:18} {:8} {:4}".format(*key, counts[key]))
    print(f"{wrong} wrong")
    shutil.rmtree(place)
    sys.exit(1 if wrong else 0 if struck else 2)


if __name__ == "__main__":
    main()
