"""The texts of the toxicity classifier: the labelled sets, neutral text and filled templates, and how they are split.

Reads the Davidson set (MIT), the Surge set (MIT), GSM8K (MIT), the example sentences of WordNet (Debian package
wordnet-base, WordNet licence) and the template files identity.toml and everyday.toml of this folder.

The split is by text, not by row: texts that are equal after `key` (no RT, @user or URL, casefolded, letters and digits
only) or that share six words in a row form one group, and a group goes to one part by the hash of its smallest key.
Prints the counts when run:

  python scripts/train/toxicity/data.py --datasets ../shared/data/datasets --wordnet /usr/share/wordnet
"""

import argparse
import csv
import dataclasses
import hashlib
import html
import itertools
import json
import pathlib
import random
import re
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
HELD_OUT, VALIDATION = 33, 8  # percent of the groups
SHINGLE = 6  # words in a row that make two texts near-duplicates
QUOTED = re.compile(r'"([^"]{15,300})"')
SLOT = re.compile(r"{(\w+)}")


@dataclasses.dataclass
class Row:
    source: str
    id: str
    text: str
    toxic: float  # share of the raters who called it toxic
    label: int
    part: str = ""
    group: str = ""  # identity group or template kind
    seen_term: bool = True


def key(text):
    """What is left of a text when a retweet, a mention, a link, case and punctuation make no difference."""
    text = html.unescape(text).casefold()
    text = re.sub(r"https?://\S*|@\w+|\brt\b", " ", text)
    return " ".join(re.findall(r"[^\W_]+", text))


def shingles(text_key):
    words = text_key.split()
    if len(words) < SHINGLE:
        return {text_key}
    return {" ".join(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)}


def bucket(name):
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) % 100


def part_of(name):
    number = bucket(name)
    return "heldout" if number < HELD_OUT else "validation" if number < HELD_OUT + VALIDATION else "train"


def split(rows):
    """Sets the part of every row: near-duplicates are joined (union-find over shared shingles) and stay together."""
    parent = {}

    def find(node):
        while parent.setdefault(node, node) != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    keys = [key(row.text) for row in rows]
    for text_key in keys:
        for shingle in shingles(text_key):
            a, b = find("text " + text_key), find("shingle " + shingle)
            if a != b:
                parent[b] = a
    smallest = {}
    for text_key in keys:
        root = find("text " + text_key)
        smallest[root] = min(smallest.get(root, text_key), text_key)
    for row, text_key in zip(rows, keys):
        row.part = part_of(smallest[find("text " + text_key)])
    return rows


def davidson(folder):
    with open(folder / "davidson/labeled_data.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            share = 1 - int(row["neither"]) / int(row["count"])
            yield Row("davidson", f"davidson-{int(row['']):05}", row["tweet"], share, int(row["class"] != "2"))


def surge(folder):
    with open(folder / "surge_toxicity/toxicity_en.csv", encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=1):
            label = int(row["is_toxic"] == "Toxic")
            yield Row("surge", f"surge-{number:05}", row["text"], label, label)


def gsm8k(folder):
    with open(folder / "gsm8k/test.jsonl", encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            case = json.loads(line)
            yield Row("gsm8k", f"gsm8k-{number:05}", case["question"], 0, 0)
            answer = re.sub(r"<<[^>]*>>", "", case["answer"])
            yield Row("gsm8k", f"gsm8k-answer-{number:05}", answer, 0, 0)


def wordnet(folder, rude):
    """Example sentences of WordNet's glosses without those that hold a word of `rude`."""
    for name in ("noun", "verb", "adj", "adv"):
        for line in open(folder / f"data.{name}", encoding="utf-8"):
            if line.startswith("  "):
                continue
            offset, gloss = line.split(" ", 1)[0], line.partition(" | ")[2]
            for number, text in enumerate(QUOTED.findall(gloss)):
                if not rude & set(key(text).split()):
                    yield Row("wordnet", f"wordnet-{name}-{offset}-{number}", text, 0, 0)


def rude_words(rows):
    """Words that at least nine in ten training rows with them call toxic: too risky in texts that nobody labelled."""
    counts = {}
    for row in rows:
        for word in set(key(row.text).split()) if row.part == "train" else ():
            seen, toxic = counts.get(word, (0, 0))
            counts[word] = (seen + 1, toxic + row.label)
    return {word for word, (seen, toxic) in counts.items() if seen >= 8 and toxic >= 0.9 * seen}


def labelled(folder):
    return split([*davidson(folder), *surge(folder), *gsm8k(folder)])


def plain(wordnet_folder, rows):
    """WordNet's sentences, for training and validation only, without what nearly equals a held-out row."""
    held_out = {shingle for row in rows if row.part == "heldout" for shingle in shingles(key(row.text))}
    for row in wordnet(wordnet_folder, rude_words(rows)):
        if not shingles(key(row.text)) & held_out:
            row.part = "validation" if bucket(key(row.text)) < VALIDATION else "train"
            yield row


def article_of(word):
    return "an" if word[0].lower() in "aeiou" else "a"


class Templates:
    """The templates of both files. Every eighth training template is kept for validation."""

    def __init__(self):
        self.identity = tomllib.loads((HERE / "identity.toml").read_text(encoding="utf-8"))
        self.everyday = tomllib.loads((HERE / "everyday.toml").read_text(encoding="utf-8"))
        self.terms = [
            (group, *pair, seen)
            for part, seen in (("train", True), ("eval", False))
            for group, pairs in self.identity["terms"][part].items()
            for pair in pairs
        ]

    def of(self, part, book, kind):
        """Templates of a part: train, validation or eval."""
        if part == "eval":
            return getattr(self, book)["eval"][kind]
        found = getattr(self, book)["train"][kind]
        return [t for i, t in enumerate(found) if (i % 8 == 3) == (part == "validation")]

    def draw(self, rng):
        """A training term, drawn group by group so that no group outweighs another."""
        groups = self.identity["terms"]["train"]
        return rng.choice(groups[rng.choice(sorted(groups))])

    def fill(self, template, rng, term=None):
        """A sentence from a template."""
        if term is None:
            term = (None, *self.draw(rng))
        adjective, plural = term[1], term[2]
        values = {"adj": adjective, "a_adj": f"{article_of(adjective)} {adjective}", "pl": plural}
        text = SLOT.sub(lambda m: values.get(m[1]) or rng.choice(self.everyday["slots"][m[1]]), template)
        return text[0].upper() + text[1:] if template[0] == "{" else text

    def sample(self, part, book, kind, count, seed):
        rng = random.Random(f"{seed} {part} {book} {kind}")
        found = self.of(part, book, kind)
        label = int(kind == "toxic")
        return [
            Row(book, f"{book}-{part}-{kind}-{i:05}", self.fill(rng.choice(found), rng), label, label, part, kind)
            for i in range(count)
        ]

    def evaluation(self, per_template=12):
        """Every identity template of the evaluation with every term, and everyday templates filled a few times."""
        rng = random.Random("evaluation")
        for kind in ("neutral", "toxic"):
            for (t, template), term in itertools.product(enumerate(self.of("eval", "identity", kind)), self.terms):
                yield Row(
                    f"identity-{kind}",
                    f"identity-{kind}-{t:02}-{term[2]}-{term[1]}".replace(" ", "_"),
                    self.fill(template, rng, term),
                    int(kind == "toxic"),
                    int(kind == "toxic"),
                    "heldout",
                    term[0],
                    term[3],
                )
        for kind in ("sentences", "fresh"):
            for number, text in enumerate(self.of("eval", "identity", kind)):
                yield Row(f"identity-{kind}", f"identity-{kind}-{number:03}", text, 0, 0, "heldout")
        for kind in ("neutral", "dialect", "toxic"):
            for t, template in enumerate(self.of("eval", "everyday", kind)):
                texts = sorted({self.fill(template, rng) for _ in range(per_template)})
                for i, text in enumerate(texts):
                    label = int(kind == "toxic")
                    yield Row(f"everyday-{kind}", f"everyday-{kind}-{t:02}-{i:02}", text, label, label, "heldout", kind)


TEMPLATE_ROWS = {
    ("identity", "neutral"): 12000,
    ("identity", "toxic"): 8000,
    ("everyday", "neutral"): 8000,
    ("everyday", "toxic"): 6000,
    ("everyday", "dialect"): 1500,
}


def pool(folder, wordnet_folder, part):
    """All rows of a part, train or validation: labelled sets, plain text and filled templates."""
    rows = labelled(folder)
    held_out = {key(row.text) for row in heldout(folder)}
    templates = Templates()
    share = 1 if part == "train" else 0.05
    filled = [
        row
        for (book, kind), count in TEMPLATE_ROWS.items()
        for row in templates.sample(part, book, kind, int(share * count), "pool")
        if key(row.text) not in held_out
    ]
    return [row for row in [*rows, *plain(wordnet_folder, rows)] if row.part == part] + filled


def heldout(folder):
    """What evaluate.py measures on: held-out rows of the labelled sets and of GSM8K, and evaluation templates."""
    return [row for row in labelled(folder) if row.part == "heldout"] + list(Templates().evaluation())


def arguments(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--datasets",
        type=pathlib.Path,
        default=HERE.parents[3] / "shared/data/datasets",
        help="folder with davidson/, surge_toxicity/ and gsm8k/",
    )
    parser.add_argument("--wordnet", type=pathlib.Path, default="/usr/share/wordnet", help="folder with data.noun, ...")
    return parser


def main():
    parser = arguments(__doc__)
    args = parser.parse_args()
    parts = [pool(args.datasets, args.wordnet, part) for part in ("train", "validation")]
    counts = {}
    for row in [*itertools.chain(*parts), *heldout(args.datasets)]:
        counts.setdefault((row.source, row.part), [0, 0])[row.label] += 1
    for (source, part), (neutral, toxic) in sorted(counts.items()):
        print(f"{source:18} {part:10} {neutral:6} neutral {toxic:6} toxic")


if __name__ == "__main__":
    main()
