"""The student's WordPiece vocabulary: the pieces of the teacher's that English text needs most, in the teacher's order.

Kept: the special tokens, every ASCII character with its continuation, some signs, and the pieces with the highest mixed frequency:
half from the training text, half from a Zipf law over the teacher's own order (its vocabulary is sorted by frequency).
"""

import json
from collections import Counter

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SIGNS = "–—‘’“”…£€°·×½²³•§¥¢©®→"


def choose(pieces, counts, words, continuations):
    """Pieces to keep: `pieces` is the teacher's list, `counts` the occurrences in the training text."""
    kept = set(SPECIAL)
    for piece in pieces:
        bare = piece.removeprefix("##")
        if len(bare) == 1 and (bare.isascii() or bare in SIGNS):
            kept.add(piece)
    ordinary = [p for p in pieces if p.isascii() and not (p.startswith("[") and p.endswith("]")) and p not in kept]
    for group, size in ((False, words), (True, continuations)):
        members = [p for p in ordinary if p.startswith("##") == group]
        zipf = {p: 1 / (rank + 10) for rank, p in enumerate(members)}
        total, text = sum(zipf.values()), max(1, sum(counts[p] for p in members))
        score = {p: counts[p] / text + zipf[p] / total for p in members}
        kept.update(sorted(members, key=lambda p: -score[p])[:size])
    return SPECIAL + [p for p in pieces if p in kept and p not in SPECIAL]


def count(tokenizer, texts):
    """Occurrences of the teacher's pieces in the texts."""
    counts = Counter()
    for at in range(0, len(texts), 20000):
        for encoding in tokenizer.encode_batch(texts[at : at + 20000], add_special_tokens=False):
            counts.update(encoding.tokens)
    return counts


def tokenizer_json(teacher_json, vocabulary, length):
    """The teacher's tokenizer.json with the smaller vocabulary and truncation at `length`."""
    ids = {piece: i for i, piece in enumerate(vocabulary)}
    out = json.loads(json.dumps(teacher_json))
    out["model"]["vocab"] = ids
    out["truncation"] = {"max_length": length, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    out["padding"] = None
    for token in out["added_tokens"]:
        token["id"] = ids[token["content"]]
    for name, special in out["post_processor"]["special_tokens"].items():
        special["ids"] = [ids[name]]
    return out
