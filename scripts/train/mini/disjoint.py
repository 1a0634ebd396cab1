"""Proves that the evaluation cases of karat-mini were not in its training corpora: exit code 1 if one was.

    python disjoint.py corpus-1.jsonl corpus-2.jsonl --suite ../../../datasets/support-desk

Three proofs: no evaluation template is a training template or can be said by one; no evaluation filler (goods, invented names) is a training
filler; no customer message of a case stands in a corpus.
"""

import argparse
import json
import random
import re
import sys
from pathlib import Path

import templates
import yaml
from fillers import ITEMS, Fillers, split_of
from tasks import CLASSIFY


def collect(node, split, found):
    """All lists named `split` anywhere in a template file."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == split:
                found += value
            else:
                collect(value, split, found)
    return found


def all_templates(split):
    files = sorted(templates.FOLDER.glob("*.yaml"))
    return {path.stem: collect(yaml.safe_load(path.read_text()), split, []) for path in files}


def normal(text):
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()


def shared_templates():
    """Evaluation templates that training also has, or can say."""
    rng = random.Random(1)
    fill = Fillers("eval", rng)
    train, held = all_templates("train"), all_templates("eval")
    for kind, texts in held.items():
        patterns = [templates.pattern(text) for text in train[kind]]
        known = {normal(text) for text in train[kind]}
        for text in texts:
            said = [templates.fill(templates.expand(text, rng), lambda name: drawn(fill, name))[0] for _ in range(20)]
            if normal(text) in known or any(pattern.fullmatch(one) for one in said for pattern in patterns):
                yield f"template of {kind}: {text}"
    for name, texts in CLASSIFY.items():
        yield from (f"instruction of {name}: {text}" for text in texts["eval"] if text in texts["train"])


def drawn(fill, name):
    """A filler of evaluation; those that tasks.py works out are drawn like their plain kin."""
    if name in templates.NUMBERS:
        return str(fill.rng.randint(2, 99999))
    try:
        return fill.draw(name.removeprefix("line_"))
    except KeyError:
        return fill.word()


def shared_fillers():
    goods = [{word.strip() for pair in ITEMS[split].split(";") for word in pair.split("|")} for split in ("train", "eval")]
    yield from (f"goods: {word}" for word in goods[0] & goods[1])
    for split in ("train", "eval"):
        fill = Fillers(split, random.Random(1))
        yield from (f"word: {word}" for word in (fill.word() for _ in range(2000)) if split_of(word) != split)


def shared_messages(corpora, suite):
    """Cases whose last customer message stands in a corpus, letter case and punctuation aside."""
    cases = {}
    for name in ("golden", "danger"):
        for line in (suite / f"{name}.jsonl").read_text().splitlines():
            case = json.loads(line)
            question = case["input"] if isinstance(case["input"], str) else case["input"][-1]["content"]
            cases[normal(question)] = f"{name}/{case['id']}"
    for path in corpora:
        with open(path) as lines:
            for line in lines:
                for message in json.loads(line)["messages"]:
                    question = message["content"].split("\n\n")[-1]
                    if message["role"] == "user" and normal(question) in cases:
                        yield f"message of {cases[normal(question)]} in {path}: {question}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", nargs="*")
    parser.add_argument("--suite", type=Path, required=True)
    args = parser.parse_args()
    found = [*shared_templates(), *shared_fillers(), *sorted(set(shared_messages(args.corpus, args.suite)))]
    print("\n".join(found) if found else "disjoint: templates, fillers, messages")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
