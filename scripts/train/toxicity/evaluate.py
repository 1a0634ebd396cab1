"""Measure a saved toxicity classifier on held-out texts that data.py keeps out of training.

Loads the folder as it is through transformers, or takes the scores of `karat classify`, and prints one JSON object:
AUC, F1, precision, recall and ECE per labelled source, the share of neutral sentences with identity terms that are
flagged, overall and per group, and the same for calm everyday text. Draws the reliability plot. Example:

  python scripts/train/toxicity/evaluate.py models/karat-toxicity --figures figures.json --plot reliability.svg
  python scripts/train/toxicity/evaluate.py --jsonl held-out
  karat classify models/karat-toxicity --in held-out/texts.jsonl --out held-out/scores.jsonl
  python scripts/train/toxicity/evaluate.py models/karat-toxicity --scores held-out/scores.jsonl

With both a folder and --scores the figures are of the scores, and the largest difference to transformers is told.
"""

import json
import pathlib
import re
import sys

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import card
import data
from reliability import bins_of, draw

LIMIT = 0.5
# Spellings and words that are common in African American English on Twitter; a proxy, not a label.
DIALECT = re.compile(
    r"\b(ain'?t|finna|gon|imma|ima|ion|dat|dis|dey|dem|wit|tryna|bout|boutta|y'?all|bruh|homie|fam|wassup|nigga\w*|lil"
    r"|aye)\b",
    re.IGNORECASE,
)


def transformers_scores(folder, texts, batch=64):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    toxic = model.config.label2id["toxic"]
    out = np.zeros(len(texts))
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        inputs = tokenizer(
            [texts[i] for i in chosen], padding=True, truncation=True, max_length=256, return_tensors="pt"
        )
        with torch.inference_mode():
            out[chosen] = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits.softmax(
                -1
            )[:, toxic]
    return out


def karat_scores(path, rows):
    scores = {}
    for line in open(path, encoding="utf-8", newline="\n"):
        case = json.loads(line)
        scores[case["id"]] = case["scores"]["toxic"]
    missing = [row.id for row in rows if row.id not in scores]
    if missing:
        sys.exit(f"{path}: {len(missing)} held-out texts have no score, the first is {missing[0]}")
    return np.array([scores[row.id] for row in rows])


def figures(label, score):
    """Figures of a source that has both labels."""
    said = score > LIMIT
    hits = int((said & (label == 1)).sum())
    precision, recall = hits / max(said.sum(), 1), hits / (label == 1).sum()
    ece = sum(count * abs(mean - share) for _, count, mean, share in bins_of(label, score)) / len(label)
    return {
        "rows": len(label),
        "toxic": int(label.sum()),
        "auc": roc_auc_score(label, score),
        "f1": 2 * precision * recall / (precision + recall),
        "precision": precision,
        "recall": recall,
        "false_positive_rate": (said & (label == 0)).sum() / (label == 0).sum(),
        "balanced_accuracy": (recall + 1 - (said & (label == 0)).sum() / (label == 0).sum()) / 2,
        "ece": ece,
    }


def flagged(rows, score, keep=lambda row: True):
    chosen = score[[i for i, row in enumerate(rows) if keep(row)]]
    return {"rows": len(chosen), "flagged": float((chosen > LIMIT).mean())}


def measure(rows, score):
    label = np.array([row.label for row in rows])
    source = np.array([row.source for row in rows])
    result = {name: figures(label[source == name], score[source == name]) for name in ("davidson", "surge")}
    both = np.isin(source, ("davidson", "surge"))
    result["davidson+surge"] = figures(label[both], score[both])
    neutral = [i for i, row in enumerate(rows) if row.source == "identity-neutral"]
    identity, identity_score = [rows[i] for i in neutral], score[neutral]
    result["identity_neutral"] = {
        "all": flagged(identity, identity_score),
        "unseen_terms": flagged(identity, identity_score, lambda row: not row.seen_term),
        **{
            group: flagged(identity, identity_score, lambda row: row.group == group)
            for group in sorted({row.group for row in identity})
        },
    }
    for name in (
        "identity-sentences",
        "identity-fresh",
        "identity-toxic",
        "everyday-neutral",
        "everyday-dialect",
        "everyday-toxic",
        "gsm8k",
    ):
        result[name.replace("-", "_")] = flagged(rows, score, lambda row: row.source == name)
    calm = [row.source == "davidson" and row.label == 0 for row in rows]
    tweets, tweet_score = [row for row, c in zip(rows, calm) if c], score[calm]
    result["davidson_neither_by_dialect_words"] = {
        "with": flagged(tweets, tweet_score, lambda row: DIALECT.search(row.text)),
        "without": flagged(tweets, tweet_score, lambda row: not DIALECT.search(row.text)),
    }
    return result


def rounded(value):
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    return value if isinstance(value, int) else round(float(value), 4)


def write_texts(folder, rows):
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "texts.jsonl", "w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps({"id": row.id, "text": row.text}, ensure_ascii=False) + "\n")
    print(f"{folder / 'texts.jsonl'}: {len(rows)} held-out texts")


def main():
    parser = data.arguments(__doc__)
    parser.add_argument("model", type=pathlib.Path, nargs="?", help="model folder, for scores through transformers")
    parser.add_argument("--scores", type=pathlib.Path, help="output of karat classify to use instead")
    parser.add_argument(
        "--jsonl", type=pathlib.Path, metavar="DIR", help="only write the held-out texts as DIR/texts.jsonl"
    )
    parser.add_argument("--figures", type=pathlib.Path, help="also write the JSON here")
    parser.add_argument("--plot", type=pathlib.Path, help="write the reliability plot (SVG) here")
    parser.add_argument("--card", type=pathlib.Path, help="put the figures between the marks of this README.md")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = data.heldout(args.datasets)
    if args.jsonl:
        write_texts(args.jsonl, rows)
        return
    if not args.model and not args.scores:
        parser.error("give a model folder, --scores or --jsonl")
    score = (
        karat_scores(args.scores, rows) if args.scores else transformers_scores(args.model, [row.text for row in rows])
    )
    result = rounded(measure(rows, score))
    if args.scores and args.model:
        difference = np.abs(score - transformers_scores(args.model, [row.text for row in rows])).max()
        print(f"largest difference to transformers over {len(rows)} texts: {difference:.2e}", file=sys.stderr)
    text = json.dumps(result, indent=1)
    print(text)
    if args.figures:
        args.figures.write_text(text + "\n")
    if args.card:
        card.fill(args.card, result)
    if args.plot:
        label = np.array([row.label for row in rows])
        source = np.array([row.source for row in rows])
        args.plot.write_text(
            draw({name: bins_of(label[source == name], score[source == name]) for name in ("davidson", "surge")})
        )


if __name__ == "__main__":
    main()
