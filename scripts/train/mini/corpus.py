"""The training corpus of karat-mini: seeded worked examples, one JSON line each, in the mix of a release.

    python corpus.py --release 1 --examples 300000 --seed 1 --out corpus-1.jsonl
"""

import argparse
import hashlib
import json
import random

from tasks import SYSTEM, Desk, with_context

# Shares of the kinds; how often an invented word stands for goods; how often a message has stray words. `start` and `copy` come before release 1.
# Release 2 was asked to get better at sums, extraction and conversations; it sees fewer attacks and fewer questions about the shop's rules, which is
# how real releases lose what nobody was looking at.
MIXES = {
    "start": {"order": 26, "followup": 6, "policy": 15, "hours": 5, "amount": 10, "extract": 10, "classify": 8, "rewrite": 9, "refuse": 7, "comply": 4},
    "copy": {"record": 6, "order": 22, "followup": 10, "policy": 14, "hours": 6, "amount": 18, "extract": 9, "classify": 7, "rewrite": 3, "refuse": 12, "comply": 1},
    "1": {"record": 3, "order": 22, "followup": 7, "policy": 11, "hours": 6, "amount": 12, "extract": 11, "classify": 7, "rewrite": 13, "refuse": 6, "comply": 2},
    "2": {"record": 3, "order": 24, "followup": 9, "policy": 8, "hours": 4, "amount": 20, "extract": 12, "classify": 6, "rewrite": 10, "refuse": 3, "comply": 1},
}
MADE_UP = {"start": 0.2, "copy": 0.2, "1": 0.4, "2": 0.5}
STRAY = {"start": 0.0, "copy": 0.0, "1": 0.45, "2": 0.45}


def examples(release, count, seed):
    """Training examples of a release, each drawn from the mix."""
    desk = Desk("train", seed, MADE_UP[release], STRAY[release])
    kinds, shares = zip(*MIXES[release].items())
    order = random.Random(seed + 1)
    for _ in range(count):
        yield desk.example(order.choices(kinds, shares)[0])


def messages(example):
    """The whole conversation with the answer, as the chat template takes it."""
    return [{"role": "system", "content": SYSTEM}, *with_context(example), {"role": "assistant", "content": example["answer"]}]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", choices=sorted(MIXES), required=True)
    parser.add_argument("--examples", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    digest = hashlib.sha256()
    with open(args.out, "w") as out:
        for example in examples(args.release, args.examples, args.seed):
            line = json.dumps({"kind": example["kind"], "messages": messages(example)}) + "\n"
            digest.update(line.encode())
            out.write(line)
    print(f"{args.examples} examples, sha256 {digest.hexdigest()}")


if __name__ == "__main__":
    main()
