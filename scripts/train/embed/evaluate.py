"""Figures of a saved karat-embed folder against its teacher, as one JSON object.

    python evaluate.py --model models/karat-embed --teacher TEACHER --sentences W3_SENTENCES.jsonl [--karat target/release/karat]

Spearman between the student's and the teacher's cosines on the held-out sentences (`--source`), over several pairings:
all pairs; each sentence with the next one; sentences 2k and 2k+1; each with its ten nearest by the teacher and ten random ones;
each with its ten nearest alone; and, so that every degree of similarity counts alike, pairs drawn evenly from bins of the
teacher's cosine. Intervals: 95%, 200 bootstrap draws over the sentences (all pairs) or the pairs. The student is the f16 folder
loaded in f32; the teacher is computed in f32. With `--karat` the engine embeds the first sentences too and the smallest cosine
between its vectors and transformers' is given.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import pearsonr, spearmanr
from transformers import AutoModel, AutoTokenizer


@torch.inference_mode()
def embed(folder, texts, batch=64):
    """Mean-pooled, normalised vectors in f32, and the seconds they took."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    out = torch.zeros(len(texts), model.config.hidden_size)
    unknown = start = 0
    start = time.time()
    for at in range(0, len(order), batch):
        rows = order[at : at + batch]
        inputs = tokenizer([texts[i] for i in rows], padding=True, truncation=True, max_length=256, return_tensors="pt")
        unknown += int((inputs["input_ids"] == tokenizer.unk_token_id).sum())
        mask = inputs["attention_mask"].unsqueeze(-1).float()
        mean = (model(**inputs).last_hidden_state * mask).sum(1) / mask.sum(1)
        out[rows] = torch.nn.functional.normalize(mean, dim=1)
    return out.numpy(), time.time() - start, unknown


def pairings(teacher, rng):
    """{name: (rows, columns)}."""
    n = len(teacher)
    cosines = teacher @ teacher.T
    np.fill_diagonal(cosines, -2)
    near = np.argpartition(-cosines, 10, axis=1)[:, :10]
    rows10 = np.repeat(np.arange(n), 10)
    random = rng.integers(0, n - 1, (n, 10))
    random += random >= np.arange(n)[:, None]
    upper = np.triu_indices(n, 1)
    bins = np.digitize(cosines[upper], np.arange(0.0, 1.0, 0.1))
    even = np.concatenate([rng.permutation(np.flatnonzero(bins == b))[:200] for b in np.unique(bins)])
    return {
        "all_pairs": upper,
        "next_sentence": (np.arange(n - 1), np.arange(1, n)),
        "two_by_two": (np.arange(0, n - 1, 2), np.arange(1, n, 2)),
        "ten_nearest_and_ten_random": (np.r_[rows10, rows10], np.r_[near.ravel(), random.ravel()]),
        "ten_nearest": (rows10, near.ravel()),
        "even_over_cosine": (upper[0][even], upper[1][even]),
    }


def interval(draw, times=200):
    """95% interval of a statistic over bootstrap draws."""
    values = [draw() for _ in range(times)]
    return [round(float(v), 4) for v in np.percentile(values, [2.5, 97.5])]


def spearman(student, teacher, rows, columns):
    """Spearman of the two models' cosines of the pairs."""
    return spearmanr((student[rows] * student[columns]).sum(1), (teacher[rows] * teacher[columns]).sum(1))[0]


def ask_karat(binary, model, texts):
    """Vectors of `karat embed`."""
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder) / "in.jsonl", Path(folder) / "out.jsonl"
        given.write_text("".join(json.dumps({"id": str(i), "text": t}) + "\n" for i, t in enumerate(texts)))
        subprocess.run([binary, "embed", model, "--in", given, "--out", answer], check=True, capture_output=True)
        rows = [json.loads(line) for line in answer.read_text().splitlines()]
    key = next(k for k, v in rows[0].items() if isinstance(v, list))
    vectors = np.array([r[key] for r in sorted(rows, key=lambda r: int(r["id"]))], dtype=np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--sentences", type=Path, required=True)
    parser.add_argument("--source", default="stsb")
    parser.add_argument("--karat", type=Path)
    parser.add_argument("--karat-sentences", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rng = np.random.default_rng(args.seed)
    rows = [json.loads(line) for line in args.sentences.open()]
    texts = [r["text"] for r in rows if r["source"] == args.source]
    student, student_seconds, unknown = embed(args.model, texts)
    teacher, teacher_seconds, _ = embed(args.teacher, texts)
    weights = args.model / "model.safetensors"
    result = {"model": str(args.model), "source": args.source, "sentences": len(texts), "bytes": weights.stat().st_size,
              "parameters": sum(p.numel() for p in AutoModel.from_pretrained(args.model).parameters()),
              "unknown_pieces": unknown, "spearman": {}}
    for name, (left, right) in pairings(teacher, rng).items():
        entry = {"pairs": len(left), "spearman": round(float(spearman(student, teacher, left, right)), 4)}
        if name == "all_pairs":
            def draw():
                own = np.unique(rng.integers(0, len(texts), len(texts)))
                a, b = np.triu_indices(len(own), 1)
                return spearman(student, teacher, own[a], own[b])
            entry["interval"] = interval(draw, 50)
        else:
            def draw(left=left, right=right):
                own = rng.integers(0, len(left), len(left))
                return spearman(student, teacher, left[own], right[own])
            entry["interval"] = interval(draw)
        entry["pearson"] = round(float(pearsonr((student[left] * student[right]).sum(1), (teacher[left] * teacher[right]).sum(1))[0]), 4)
        result["spearman"][name] = entry
    cosines_s, cosines_t = student @ student.T, teacher @ teacher.T
    np.fill_diagonal(cosines_s, -2)
    np.fill_diagonal(cosines_t, -2)
    top_s, top_t = np.argsort(-cosines_s, 1)[:, :10], np.argsort(-cosines_t, 1)[:, :10]
    result["same_nearest"] = round(float((top_s[:, 0] == top_t[:, 0]).mean()), 4)
    result["shared_of_ten_nearest"] = round(float(np.mean([len(set(a) & set(b)) / 10 for a, b in zip(top_s, top_t)])), 4)
    result["seconds"] = {"student": round(student_seconds, 2), "teacher": round(teacher_seconds, 2), "threads": args.threads}
    if args.karat:
        own = ask_karat(args.karat, args.model, texts[: args.karat_sentences])
        result["karat_smallest_cosine"] = float((own * student[: len(own)]).sum(1).min())
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
