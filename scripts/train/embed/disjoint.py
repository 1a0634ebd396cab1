"""Proves that no held-out sentence is in the training text; exit status 1 if one is.

    python disjoint.py --text WORK/text.jsonl --held-out W3_SENTENCES.jsonl --source stsb

Compares every line of the text, training and validation split alike, after normalisation (lower case, letters and digits
only). It also counts held-out sentences that stand inside a longer line and near copies: lines that share at least 90% of
the words (Jaccard index over word sets, for held-out sentences of at least four different words).
"""

import argparse
import json
import re
import sys
from collections import defaultdict
from pathlib import Path


def words(text):
    """Letters and digits in lower case."""
    return re.findall(r"[a-z0-9]+", text.lower())


class Inside:
    """Finds the sentences of at least five words that stand as a whole in a line."""

    def __init__(self, held):
        self.starts = defaultdict(list)
        for sentence in held:
            if len(sentence) >= 5:
                self.starts[sentence[:3]].append(sentence)

    def of(self, line):
        """The sentences inside `line`, a tuple of words."""
        return [s for at in range(len(line) - 4) for s in self.starts.get(line[at : at + 3], ()) if line[at : at + len(s)] == s]


def near_copies(held, lines, least):
    """Held-out sentences with a line whose word set has a Jaccard index of at least `least`."""
    index = defaultdict(set)
    sets = {sentence: frozenset(sentence) for sentence in held if len(set(sentence)) >= 4}
    for sentence, own in sets.items():
        for word in own:
            index[word].add(sentence)
    found = {}
    for line in lines:
        own = frozenset(line)
        shared = defaultdict(int)
        for word in own:
            for sentence in index.get(word, ()):
                shared[sentence] += 1
        for sentence, count in shared.items():
            if count >= least * (len(own) + len(sets[sentence]) - count):
                found.setdefault(sentence, line)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--held-out", type=Path, required=True)
    parser.add_argument("--source", default="stsb")
    parser.add_argument("--show", action="store_true", help="print the near copies")
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.held_out.open()]
    held = {tuple(words(r["text"])) for r in rows if r["source"] == args.source}
    lines = {tuple(words(json.loads(line)["text"])) for line in args.text.open()}
    inside = Inside(held)
    equal, near = held & lines, near_copies(held, lines, 0.9)
    contained = {sentence for line in lines for sentence in inside.of(line)}
    if args.show:
        for sentence, line in near.items():
            print(" ".join(sentence), "|", " ".join(line))
    print(json.dumps({"held_out": len(held), "training_lines": len(lines), "equal": len(equal),
                      "inside_a_line": len(contained), "near_copies": len(near)}))
    sys.exit(1 if equal or contained else 0)


if __name__ == "__main__":
    main()
