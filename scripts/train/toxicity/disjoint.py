"""Prove that nothing the evaluation uses was in the training data. Ends with exit code 1 if something was.

Compares the rows train.py trains and validates on with those evaluate.py measures on: no equal normalised text; no six
words in a row in common between held-out rows of the labelled sets and training rows of any source; no evaluation
template that equals or nearly equals (more than half of the words in common) a training template; and no unseen
identity term among the training terms. Example:

  python scripts/train/toxicity/disjoint.py --wordnet /usr/share/wordnet
"""

import sys

import data


def template_words(template):
    return frozenset(
        data.SLOT.sub(" ", template).casefold().replace(",", " ").replace(".", " ").replace("?", " ").split()
    )


def near(one, other):
    if not one or not other:
        return one == other
    return len(one & other) / len(one | other) > 0.5


def main():
    parser = data.arguments(__doc__)
    args = parser.parse_args()
    problems = []
    seen = [row for part in ("train", "validation") for row in data.pool(args.datasets, args.wordnet, part)]
    held_out = data.heldout(args.datasets)

    keys = {}
    for row in seen:
        keys.setdefault(data.key(row.text), row.id)
    problems += [
        f"{row.id} equals the training text {keys[data.key(row.text)]}"
        for row in held_out
        if data.key(row.text) in keys
    ]
    labelled = {}
    for row in held_out:
        if row.source in ("davidson", "surge", "gsm8k"):
            for shingle in data.shingles(data.key(row.text)):
                labelled.setdefault(shingle, row.id)
    for row in seen:
        if row.source in ("davidson", "surge", "gsm8k", "wordnet"):
            problems += [
                f'{row.id} shares "{s}" with {labelled[s]}' for s in data.shingles(data.key(row.text)) if s in labelled
            ]

    templates = data.Templates()
    compared = 0
    for book in (templates.identity, templates.everyday):
        trained = [(t, template_words(t)) for kind in book["train"].values() for t in kind]
        for template in (t for kind in book["eval"].values() for t in kind):
            words = template_words(template)
            compared += 1
            problems += [
                f'evaluation template "{template}" is near "{t}"' for t, other in trained if near(words, other)
            ]
    terms = templates.identity["terms"]
    trained = {name for pairs in terms["train"].values() for pair in pairs for name in pair}
    problems += [
        f"the unseen term {name} is a training term"
        for pairs in terms["eval"].values()
        for pair in pairs
        for name in pair
        if name in trained
    ]

    for problem in problems[:20]:
        print(problem)
    print(
        f"{len(seen)} training and validation texts, {len(held_out)} held-out texts, {compared} evaluation templates: "
        f"{len(problems)} problems"
    )
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
