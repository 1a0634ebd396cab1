#!/usr/bin/env python3
"""A state-machine fuzzer of the whole program: random sequences of commands, settings, kills, resumes, swapped files, damaged caches and
journals, and two processes at once, over tiny models. Every result is held against a run of the same inputs that nobody disturbed.

    scripts/fuzz_runs.py [--minutes 60] [--seed N] [--steps 40] [--keep FOLDER] [--only SEED_OF_A_SEQUENCE]

What must hold after every command:

  results   a finished run has the bytes (results, prompts, summary) of a run of the same model, data, prompts and options in an empty folder,
            on one thread, without cache, drafts and shared prefixes
  verdicts  `gate` of a finished run ends with the code that the run ended with
  codes     every exit code is one of the table, and a command that was not disturbed never ends with 5
  evidence  a run folder whose files were edited is refused (2)
  nothing   no panic, no hang (180 s), no file left beside finished runs once `runs prune` was called

Ends with 1 at the first difference and keeps the folder. Standard library only; KARAT names the program.
"""

import argparse
import collections
import glob
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
KARAT = os.path.abspath(os.environ.get("KARAT", os.path.join(ROOT, "target/release/karat")))
DESK = os.path.join(ROOT, "datasets/support-desk")
HANG = 180
COMPARED = ("results.jsonl", "prompts.jsonl", "summary.json")
# What a suite can be changed to; the first value of each is where a sequence begins.
INPUTS = {
    "model": ("one", "two"),
    "golden": (0, 1, 2),
    "danger": (0, 1),
    "system": (0, 1),
}
OPTIONS = {
    "generation.max_new_tokens": (6, 18),
    "generation.temperature": (0, 0.7),
    "generation.seed": (0, 1),
    "repeat": (1, 2),
    "limit": (None, 3),
}
# What changes no byte of a record.
ENGINE = {
    "--threads": (None, "1", "2"),
    "--batch-tokens": (None, "17", "64"),
    "--prefill-chunk": (None, "5"),
    "--max-seqs": (None, "2"),
    "--window": (None, "3"),
    "--no-prefix-sharing": (None, True),
    "--no-drafts": (None, True),
    "--no-cache": (None, None, None, True),
}


class Wrong(Exception):
    """Something that must not be."""


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, bytes):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".new", "wb") as file:
        file.write(bytes)
    os.replace(path + ".new", path)


def other_weights(bytes):
    """Another model of the same shape: the signs of a part of all values are turned."""
    changed, half = bytearray(bytes), len(bytes) // 8 * 4
    for at in range(half + 3, len(changed), 64):
        changed[at] ^= 0x80
    return __builtins__.bytes(changed)


def versions():
    """By input and value, the file that holds it and its bytes."""
    weights = read(os.path.join(ROOT, "models/karat-mini/2/model.safetensors"))
    golden = read(os.path.join(DESK, "golden.jsonl")).splitlines(keepends=True)
    danger = read(os.path.join(DESK, "danger.jsonl")).splitlines(keepends=True)
    system = read(os.path.join(DESK, "prompts/system.md"))
    return {
        ("model", "one"): ("generator/model.safetensors", weights),
        ("model", "two"): ("generator/model.safetensors", other_weights(weights)),
        ("golden", 0): ("golden.jsonl", b"".join(golden[:12])),
        ("golden", 1): ("golden.jsonl", b"".join(golden[6:20])),
        ("golden", 2): ("golden.jsonl", b"".join(reversed(golden[:12]))),
        ("danger", 0): ("danger.jsonl", b"".join(danger[:6])),
        ("danger", 1): ("danger.jsonl", b"".join(danger[3:11])),
        ("system", 0): ("prompts/system.md", system),
        ("system", 1): ("prompts/system.md", system.rstrip() + b"\nBe brief.\n"),
    }


VERSIONS = versions()


def prepare(place):
    """A suite with everything that it reads, below one folder."""
    for role, folder in (("generator", "karat-mini/2"), ("embedder", "karat-embed"), ("toxicity", "karat-toxicity")):
        shutil.copytree(os.path.join(ROOT, "models", folder), os.path.join(place, role))
    shutil.copytree(os.path.join(DESK, "prompts"), os.path.join(place, "prompts"))
    with open(os.path.join(DESK, "suite.yaml")) as file:
        text = file.read()
    for role, name in (("generator", "karat-mini@2"), ("embedder", "karat-embed@3"), ("toxicity", "karat-toxicity@1")):
        text = text.replace(f"model: {name}", f"model: ./{role}")
    write(os.path.join(place, "suite.yaml"), text.encode())


def put(place, inputs):
    for key, value in inputs.items():
        file, bytes = VERSIONS[key, value]
        write(os.path.join(place, file), bytes)


def plan_args(options):
    args = []
    for key, value in options.items():
        if key in ("repeat", "limit"):
            args += [] if value in (None, 1) else [f"--{key}", str(value)]
        else:
            args += ["--set", f"{key}={value}"]
    return args


class References:
    """What inputs and options give undisturbed, computed once each."""

    def __init__(self, place):
        self.place, self.known = place, {}
        prepare(place)

    def of(self, inputs, options):
        key = json.dumps([inputs, options], sort_keys=True)
        if key not in self.known:
            runs = os.path.join(self.place, "runs")
            shutil.rmtree(runs, ignore_errors=True)
            put(self.place, inputs)
            args = ["run", "suite.yaml", "-q", "--no-baseline", "--runs-dir", "runs", "--threads", "1", "--no-drafts", "--no-prefix-sharing"]
            done = subprocess.run([KARAT, *args, *plan_args(options)], cwd=self.place, env=environment(""), capture_output=True, timeout=HANG)
            folders = finished(runs)
            if len(folders) != 1:
                raise Wrong(f"the reference run of {key} left {folders}, exit code {done.returncode}: {done.stderr.decode()}")
            self.known[key] = {name: read(os.path.join(folders[0], name)) for name in COMPARED}
        return self.known[key]


def environment(cache):
    env = {name: value for name, value in os.environ.items() if not name.startswith("KARAT_")}
    return dict(env, KARAT_CACHE=cache, NO_COLOR="1", RUST_BACKTRACE="0", HF_HUB_OFFLINE="1")


def finished(runs):
    return sorted(glob.glob(os.path.join(runs, "*", "2*")))


class World:
    """A folder in which a sequence of steps happens."""

    def __init__(self, seed, place, references):
        self.random, self.place, self.references = random.Random(seed), place, references
        prepare(place)
        self.cache, self.runs = os.path.join(place, "cache"), os.path.join(place, "runs")
        self.inputs = {key: values[0] for key, values in INPUTS.items()}
        self.options = {key: values[0] for key, values in OPTIONS.items()}
        put(place, self.inputs)
        self.log, self.accepted, self.seen = [], False, set()
        # By run folder, the inputs and options that it is of.
        self.of = {}

    def choose(self, table):
        return {key: self.random.choice(values) for key, values in table.items()}

    def engine(self):
        args = []
        for key, value in self.choose(ENGINE).items():
            args += [] if value is None else [key] if value is True else [key, value]
        return args

    def note(self, text):
        self.log.append(text)

    def command(self, *args):
        self.note("karat " + " ".join(args))
        return [KARAT, *args]

    def start(self, *args):
        return subprocess.Popen(self.command(*args), cwd=self.place, env=environment(self.cache), stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def end(self, process, disturbed=False):
        """Waits for a command; its code and what it told."""
        try:
            out, told = process.communicate(timeout=HANG)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Wrong(f"it hangs: {process.args}") from None
        code, told = process.returncode, told.decode(errors="replace")
        self.note(f"  exit code {code}")
        if "panicked" in told or b"panicked" in out or "internal" in told:
            raise Wrong(f"a panic or internal error: {told}")
        allowed = (0, 1, 2, 3, 4) + ((5, 130, -9, -15, -2) if disturbed else ())
        if code not in allowed:
            raise Wrong(f"exit code {code}: {told}")
        return code, told

    def call(self, *args):
        return self.end(self.start(*args))

    def run_args(self, *more):
        base = [] if self.accepted and self.random.random() < 0.7 else ["--no-baseline"]
        return ["run", "suite.yaml", "-q", "--runs-dir", "runs", *base, *plan_args(self.options), *self.engine(), *more]

    def new_runs(self):
        new = [folder for folder in finished(self.runs) if folder not in self.seen]
        self.seen.update(new)
        return new

    def holds(self, folder, candidates=None):
        """A finished run is what its inputs give."""
        candidates = candidates or [(dict(self.inputs), dict(self.options))]
        gave = {name: read(os.path.join(folder, name)) for name in COMPARED}
        for inputs, options in candidates:
            expected = self.references.of(inputs, options)
            if gave == expected:
                self.of[folder] = (inputs, options)
                return
        off = [name for name in COMPARED if gave[name] != expected[name]]
        raise Wrong(f"{folder}: {', '.join(off)} differ from the reference of {candidates}")

    def judged(self, code, args, folder):
        """`gate` says what the run said."""
        base = ["--no-baseline"] if "--no-baseline" in args else []
        again, told = self.call("gate", folder, "--runs-dir", "runs", *base)
        if again != code:
            raise Wrong(f"the run ended with {code}, gate with {again}: {told}")

    # ---- steps ------------------------------------------------------------------------------------------------------

    def change(self):
        key = self.random.choice([*INPUTS, *OPTIONS])
        if key in INPUTS:
            self.inputs[key] = self.random.choice(INPUTS[key])
            put(self.place, {key: self.inputs[key]})
        else:
            self.options[key] = self.random.choice(OPTIONS[key])
        self.note(f"{key} is {self.inputs.get(key, self.options.get(key))}")

    def run(self):
        args = self.run_args()
        code, told = self.call(*args)
        new = self.new_runs()
        if len(new) != 1 or code not in (0, 1, 3):
            raise Wrong(f"a run left {new}, exit code {code}: {told}")
        self.holds(new[0])
        self.judged(code, args, new[0])

    def cut(self):
        """A run that is killed, interrupted or asked to end at some moment."""
        args = self.run_args()
        process = self.start(*args)
        time.sleep(self.random.random() ** 2 * 1.2)
        which = self.random.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        process.send_signal(which)
        self.note(f"  {which.name}")
        self.end(process, disturbed=True)
        for folder in self.new_runs():
            self.holds(folder)

    def resume(self):
        args = self.run_args("--resume")
        code, told = self.call(*args)
        new = self.new_runs()
        if code == 4:
            if new:
                raise Wrong(f"nothing was resumed, and {new} is there")
        elif code == 2:
            # Another input than that of the unfinished run, or several of the plan, of which one is to be named.
            if new or not any(known in told for known in ("changed", "the plan's `", "--resume=")):
                raise Wrong(f"resume refused: {told}, {new}")
        elif not new and "is finished" in told:
            # The newest run of this very plan.
            folder = os.path.join(self.place, told.split("run ")[1].split(" is finished")[0])
            self.holds(folder)
        else:
            if len(new) != 1:
                raise Wrong(f"resume left {new}, exit code {code}: {told}")
            self.holds(new[0])

    def twice(self):
        """Two processes at once, of the same plan or of two."""
        one = self.start(*self.run_args())
        two_options = dict(self.options)
        if self.random.random() < 0.5:
            key = self.random.choice(list(OPTIONS))
            two_options[key] = self.random.choice(OPTIONS[key])
        mine, self.options = self.options, two_options
        two = self.start(*self.run_args())
        self.options = mine
        codes = [self.end(process)[0] for process in (one, two)]
        new = self.new_runs()
        if len(new) != 2 or any(code not in (0, 1, 3) for code in codes):
            raise Wrong(f"two runs at once left {new}, exit codes {codes}")
        for folder in new:
            self.holds(folder, [(dict(self.inputs), dict(mine)), (dict(self.inputs), two_options)])

    def swap(self):
        """An input is replaced while a run works, by rename or in place."""
        key = self.random.choice(list(INPUTS))
        before, after = dict(self.inputs), dict(self.inputs)
        after[key] = self.random.choice([value for value in INPUTS[key] if value != before[key]])
        file, bytes = VERSIONS[key, after[key]]
        process = self.start(*self.run_args())
        time.sleep(self.random.random() * 0.8)
        path = os.path.join(self.place, file)
        if self.random.random() < 0.5:
            write(path, bytes)
        else:
            with open(path, "r+b") as target:
                target.write(bytes)
                target.truncate()
        self.inputs = after
        self.note(f"  {key} becomes {after[key]} while it works")
        code, told = self.end(process)
        new = self.new_runs()
        if code == 2:
            if new:
                raise Wrong(f"a refused run left {new}")
        elif len(new) != 1 or code not in (0, 1, 3):
            raise Wrong(f"a run left {new}, exit code {code}: {told}")
        else:
            self.holds(new[0], [(before, dict(self.options)), (after, dict(self.options))])

    def accept(self):
        if not self.of:
            return
        folder = self.random.choice(sorted(self.of))
        code, told = self.call("baseline", "accept", folder, "-m", "fuzz", "--runs-dir", "runs")
        if code == 0:
            self.accepted = True
        elif code not in (1, 2, 3):
            raise Wrong(f"accept ended with {code}: {told}")

    def look(self):
        """Commands that change nothing."""
        some = sorted(self.of)
        calls = [["runs", "--runs-dir", "runs"], ["lint", "suite.yaml"], ["cache", "stats"], ["baseline", "list"]]
        if some:
            calls += [["view", self.random.choice(some), "--out", "page.html", "--runs-dir", "runs"], ["compare", self.random.choice(some), self.random.choice(some), "--runs-dir", "runs"]]
        args = self.random.choice(calls)
        code, told = self.call(*args)
        if args[0] != "compare" and code not in (0, 3):
            raise Wrong(f"{args} ended with {code}: {told}")

    def same(self):
        """Two runs of equal inputs do not differ."""
        by = collections.defaultdict(list)
        for folder, of in self.of.items():
            by[json.dumps(of, sort_keys=True)].append(folder)
        pairs = [folders for folders in by.values() if len(folders) > 1]
        if pairs:
            one, two = self.random.sample(self.random.choice(pairs), 2)
            self.note(f"cmp {one} {two}")
            if any(read(os.path.join(one, name)) != read(os.path.join(two, name)) for name in COMPARED):
                raise Wrong(f"{one} and {two} differ")

    def damage(self):
        """A file of the cache, or a journal, is cut or changed somewhere."""
        files = [path for path in glob.glob(os.path.join(self.cache, "**"), recursive=True) if os.path.isfile(path)]
        files += glob.glob(os.path.join(self.runs, "*", ".*.journal"))
        if not files:
            return
        path = self.random.choice(sorted(files))
        bytes = bytearray(read(path))
        if not bytes:
            return
        at = self.random.randrange(len(bytes))
        if self.random.random() < 0.5:
            del bytes[at:]
        else:
            bytes[at] ^= 1 << self.random.randrange(8)
        with open(path, "wb") as file:
            file.write(bytes)
        self.note(f"damaged {path} at {at}")
        # A journal that is damaged in its head is none, and resuming may say so.
        self.damaged = path.endswith(".journal")

    def edit(self):
        """A file of a finished run is edited: evidence that is off is refused."""
        if not self.of:
            return
        folder = self.random.choice(sorted(self.of))
        name = self.random.choice(["results.jsonl", "manifest.json", "summary.json"])
        path = os.path.join(folder, name)
        original = read(path)
        changed = original.replace(b"true", b"false", 1) if b"true" in original else original.replace(b"0", b"1", 1)
        with open(path, "wb") as file:
            file.write(changed)
        self.note(f"edited {path}")
        # Without the verdict, too: the order of runs still knows the manifest.
        verdict = os.path.join(folder, "verdict.json")
        hidden = self.random.random() < 0.5 and os.path.exists(verdict)
        if hidden:
            os.rename(verdict, verdict + ".hidden")
            self.note("  its verdict is away")
        code, told = self.call("gate", folder, "--runs-dir", "runs", "--no-baseline")
        if hidden:
            os.rename(verdict + ".hidden", verdict)
        with open(path, "wb") as file:
            file.write(original)
        if changed != original and code != 2:
            raise Wrong(f"gate took an edited {name} (exit code {code}): {told}")

    def generate(self):
        """`generate` is cut off, resumed, and gives what it gives undisturbed."""
        lines = [{"id": id, "prompt": f"Where is my order {id}?"} for id in range(self.random.choice([1, 7, 30]))]
        write(os.path.join(self.place, "in.jsonl"), "".join(json.dumps(line) + "\n" for line in lines).encode())
        tokens = str(self.random.choice([4, 20]))
        base = ["generate", "generator", "-q", "--in", "in.jsonl", "--max-new-tokens", tokens]
        self.call(*base, "--out", "right.jsonl", "--no-cache", "--threads", "1")
        engine = self.engine()
        process = self.start(*base, "--out", "out.jsonl", *engine)
        time.sleep(self.random.random() ** 2 * 0.8)
        process.send_signal(self.random.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
        self.end(process, disturbed=True)
        if not os.path.exists(os.path.join(self.place, "out.jsonl")):
            code, told = self.call(*base, "--out", "out.jsonl", *self.engine(), "--resume")
            if code == 4:
                code, told = self.call(*base, "--out", "out.jsonl", *self.engine())
            if code != 0:
                raise Wrong(f"generate ended with {code}: {told}")
        if read(os.path.join(self.place, "out.jsonl")) != read(os.path.join(self.place, "right.jsonl")):
            raise Wrong("generate gave other bytes after it was cut off")
        for name in ("out.jsonl", "right.jsonl"):
            os.remove(os.path.join(self.place, name))

    def prune(self):
        self.call("runs", "prune", "--runs-dir", "runs")
        left = [path for path in glob.glob(os.path.join(self.runs, "*", ".*")) if not path.endswith((".order", ".lock"))]
        if left:
            raise Wrong(f"left beside finished runs: {left}")

    damaged = False

    STEPS = {
        "run": 6, "change": 6, "cut": 4, "resume": 4, "twice": 2, "swap": 3, "accept": 2, "look": 2, "same": 2, "damage": 2, "edit": 2,
        "generate": 2, "prune": 1,
    }

    def step(self):
        name = self.random.choices([*self.STEPS], [*self.STEPS.values()])[0]
        if name == "resume" and self.damaged:
            # What a damaged journal lets go on is held; that it may be refused is not a fault.
            name, self.damaged = "prune", False
        self.note(f"-- {name}")
        getattr(self, name)()
        return name


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--keep", default=os.path.join(tempfile.gettempdir(), "karat-fuzz-runs"))
    parser.add_argument("--only", type=int)
    args = parser.parse_args()
    print(f"seed {args.seed}, {args.minutes:g} minutes, {subprocess.run([KARAT, '--version'], capture_output=True, text=True).stdout.strip()}", flush=True)
    until, counts, sequences, chance = time.monotonic() + 60 * args.minutes, collections.Counter(), 0, random.Random(args.seed)
    with tempfile.TemporaryDirectory(prefix="karat-fuzz-") as folder:
        references = References(os.path.join(folder, "references"))
        while time.monotonic() < until:
            seed = args.only if args.only is not None else chance.randrange(1 << 32)
            place = os.path.join(folder, f"sequence-{seed}")
            world = World(seed, place, references)
            try:
                for _ in range(args.steps):
                    counts[world.step()] += 1
                    if time.monotonic() >= until:
                        break
            except Wrong as wrong:
                shutil.rmtree(args.keep, ignore_errors=True)
                shutil.copytree(place, args.keep, symlinks=True)
                print("\n".join(world.log))
                print(f"WRONG in sequence {seed} (--only {seed}): {wrong}\nits folder is kept in {args.keep}")
                sys.exit(1)
            shutil.rmtree(place)
            sequences += 1
            if sequences % 20 == 0 or args.only is not None:
                print(f"{sequences} sequences, {sum(counts.values())} steps", flush=True)
            if args.only is not None:
                break
    print(f"no difference in {sequences} sequences, {sum(counts.values())} steps, {len(references.known)} references: " + ", ".join(f"{name} {count}" for name, count in sorted(counts.items())))


main()
