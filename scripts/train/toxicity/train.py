"""Train the toxicity classifier from nothing: tokenizer, masked-word pretraining, classification, calibration.

All text comes from the training part of data.py; early stopping and calibration use the validation part. The
tokenizer's trainer breaks ties at random, so one seed gives nearly, not exactly, the same folder again. Example:

  python scripts/train/toxicity/train.py --out models/karat-toxicity --wordnet /usr/share/wordnet
"""

import copy
import math
import pathlib
import random
import time

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertForMaskedLM, BertForSequenceClassification, PreTrainedTokenizerFast

import data
from augment import augment

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)
# Sources with both labels: the epoch is chosen and the calibration fitted on them.
SOURCES = ("davidson", "surge", "identity", "everyday")
# Rows drawn per epoch, by source and label.
MIX = {
    ("davidson", 0): 4500,
    ("davidson", 1): 5000,
    ("surge", 0): 1200,
    ("surge", 1): 1200,
    ("gsm8k", 0): 300,
    ("wordnet", 0): 1200,
    ("identity", 0): 2400,
    ("identity", 1): 2000,
    ("everyday", 0): 2200,
    ("everyday", 1): 1200,
}
PRETRAIN_TEMPLATES = 6000  # filled templates in the masked-word pretraining
DIALECT_ROWS = 400  # of the calm everyday rows, with --dialect-rate above 0


def train_tokenizer(texts, size):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, min_frequency=2, special_tokens=SPECIAL, limit_alphabet=200, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    return tokenizer


def batches(encoded, tokens, rng):
    """Index lists of about `tokens` padded tokens each, of texts of similar length, in random order."""
    order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]) + rng.random() * 4)
    found, batch = [], []
    for i in order:
        if batch and (len(batch) + 1) * len(encoded[i]) > tokens:
            found.append(batch)
            batch = []
        batch.append(i)
    found.append(batch)
    rng.shuffle(found)
    return found


def tensor(encoded, batch):
    width = max(len(encoded[i]) for i in batch)
    ids = torch.full((len(batch), width), PAD)
    for row, i in enumerate(batch):
        ids[row, : len(encoded[i])] = torch.tensor(encoded[i])
    return ids, (ids != PAD).long()


def optimizer_of(model, rate, decay):
    matrices = [p for p in model.parameters() if p.ndim > 1]
    rest = [p for p in model.parameters() if p.ndim <= 1]
    return torch.optim.AdamW(
        [{"params": matrices, "weight_decay": decay}, {"params": rest, "weight_decay": 0}], lr=rate
    )


def set_rate(optimizer, rate, step, total, warmup=0.06):
    share = step / total
    scale = share / warmup if share < warmup else (1 - share) / (1 - warmup)
    for group in optimizer.param_groups:
        group["lr"] = rate * max(scale, 0.02)


def pretrain(config, encoded, args, rng):
    """Masked-word prediction; the loss is computed at the masked places only."""
    model = BertForMaskedLM(config).train()
    optimizer = optimizer_of(model, args.pretrain_rate, 0.01)
    total, step = None, 0
    for epoch in range(args.pretrain_epochs):
        plan = batches(encoded, args.tokens, rng)
        total = total or len(plan) * args.pretrain_epochs
        losses = []
        for batch in plan:
            ids, attention = tensor(encoded, batch)
            chosen = (torch.rand(ids.shape) < 0.15) & (ids >= len(SPECIAL))
            if not chosen.any():
                continue
            draw = torch.rand(ids.shape)
            inputs = torch.where(chosen & (draw < 0.8), MASK, ids)
            inputs = torch.where(
                chosen & (draw > 0.9), torch.randint(len(SPECIAL), config.vocab_size, ids.shape), inputs
            )
            with torch.autocast("cpu", torch.bfloat16):
                hidden = model.bert(input_ids=inputs, attention_mask=attention).last_hidden_state
                loss = torch.nn.functional.cross_entropy(model.cls(hidden[chosen]).float(), ids[chosen])
            advance(model, optimizer, loss, args.pretrain_rate, step, total)
            step += 1
            losses.append(loss.item())
        print(
            f"pretraining epoch {epoch + 1}: loss {np.mean(losses):.3f}, {time.perf_counter() - BEGAN:.0f} s",
            flush=True,
        )
    return model.bert.state_dict()


def advance(model, optimizer, loss, rate, step, total):
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    set_rate(optimizer, rate, step, total)
    optimizer.step()


def draw_epoch(groups, rng, args, rude):
    """(text, target) pairs of one epoch; some are two texts in a row, toxic if one of them is."""
    pairs = []
    for cell, count in MIX.items():
        rows = groups.get(cell, [])
        copies = rng.sample(rows, len(rows)) * math.ceil(count / max(len(rows), 1))
        pairs += [(augment(row, rng, rude, args.dialect_rate), row.toxic) for row in copies[:count]]
    if args.dialect_rate > 0:
        pairs += [(row.text, 0) for row in rng.sample(groups["dialect"], DIALECT_ROWS)]
    neutral = [text for text, toxic in pairs if toxic == 0]
    for i in rng.sample(range(len(pairs)), int(0.08 * len(pairs))):
        text, toxic = pairs[i]
        parts = [text, rng.choice(neutral)]
        rng.shuffle(parts)
        pairs[i] = " ".join(parts), toxic
    rng.shuffle(pairs)
    return pairs


def logits_of(model, tokenizer, texts, tokens=8192):
    model.eval()
    encoded = [e.ids for e in tokenizer.encode_batch(texts)]
    out = np.zeros((len(texts), 2))
    with torch.inference_mode():
        for batch in batches(encoded, tokens, random.Random(0)):
            ids, attention = tensor(encoded, batch)
            out[batch] = model(input_ids=ids, attention_mask=attention).logits.float().numpy()
    model.train()
    return out


def validation_scores(rows, logits):
    margin = logits[:, 1] - logits[:, 0]

    def auc(source):
        chosen = [i for i, row in enumerate(rows) if row.source == source]
        return roc_auc_score([rows[i].label for i in chosen], margin[chosen])

    sources = [name for name in SOURCES if any(row.source == name for row in rows)]
    wrong = {
        f"wrong_{source}_{label}": np.mean(
            [(margin[i] > 0) != label for i, row in enumerate(rows) if (row.source, row.label) == (source, label)]
        )
        for source in ("identity", "everyday")
        for label in (0, 1)
    }
    return {source: auc(source) for source in sources}, wrong


def classify(model, tokenizer, groups, validation, args, rude, rng):
    texts = [row.text for row in validation]
    optimizer = optimizer_of(model, args.rate, 0.05)
    best, best_state, total, step = -1, None, None, 0
    for epoch in range(args.epochs):
        pairs = draw_epoch(groups, rng, args, rude)
        encoded = [e.ids for e in tokenizer.encode_batch([text for text, _ in pairs])]
        target = torch.tensor([toxic for _, toxic in pairs], dtype=torch.float32)
        target = target * (1 - args.smoothing) + args.smoothing / 2
        plan = batches(encoded, args.tokens, rng)
        total = total or len(plan) * args.epochs
        losses = []
        for batch in plan:
            ids, attention = tensor(encoded, batch)
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(input_ids=ids, attention_mask=attention).logits.float()
            loss = torch.nn.functional.cross_entropy(logits, torch.stack([1 - target[batch], target[batch]], dim=1))
            advance(model, optimizer, loss, args.rate, step, total)
            step += 1
            losses.append(loss.item())
        scores, wrong = validation_scores(validation, logits_of(model, tokenizer, texts))
        quality = sum(scores.values())
        print(
            f"epoch {epoch + 1}: loss {np.mean(losses):.3f}, {time.perf_counter() - BEGAN:.0f} s, "
            + ", ".join(f"{name} {value:.3f}" for name, value in {**scores, **wrong}.items()),
            flush=True,
        )
        if quality > best:
            best, best_state = quality, copy.deepcopy(model.state_dict())
    model.load_state_dict(best_state)


def calibrate(model, tokenizer, validation):
    """Fits one temperature and one shift on the validation rows, both labels of all sources equally heavy, and folds
    them into the classifier's weights, so that the saved model needs no further step."""
    rows = [row for row in validation if row.source in SOURCES]
    counts = {
        cell: sum((row.source, row.label) == cell for row in rows) for cell in {(row.source, row.label) for row in rows}
    }
    share = {"davidson": 1.0, "surge": 1.0, "identity": 0.5, "everyday": 0.5}
    weight = torch.tensor([share[row.source] / counts[row.source, row.label] for row in rows], dtype=torch.float64)
    logits = torch.tensor(logits_of(model, tokenizer, [row.text for row in rows]))
    margin, label = logits[:, 1] - logits[:, 0], torch.tensor([row.label for row in rows], dtype=torch.float64)
    scale, shift = (
        torch.ones((), dtype=torch.float64, requires_grad=True),
        torch.zeros((), dtype=torch.float64, requires_grad=True),
    )
    optimizer = torch.optim.LBFGS([scale, shift], max_iter=200)

    def loss():
        optimizer.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(
            margin * scale + shift, label, weight=weight / weight.mean()
        )
        value.backward()
        return value

    optimizer.step(loss)
    print(f"calibration: scale {scale.item():.4f}, shift {shift.item():.4f}")
    with torch.no_grad():
        model.classifier.weight.mul_(scale.item())
        model.classifier.bias.mul_(scale.item())
        model.classifier.bias[1] += shift.item()


def save(model, tokenizer, args, seconds):
    model.half().eval().save_pretrained(args.out)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=args.positions,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    fast.save_pretrained(args.out)
    size = sum(p.numel() for p in model.parameters())
    print(
        f"{args.out}: {size} parameters, {(args.out / 'model.safetensors').stat().st_size} bytes, "
        f"{seconds:.0f} s of training"
    )


def main():
    parser = data.arguments(__doc__)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="model folder to write")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--vocabulary", type=int, default=6000)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--positions", type=int, default=256)
    parser.add_argument("--dropout", type=float, default=0.15)
    parser.add_argument("--tokens", type=int, default=2048, help="padded tokens per step")
    parser.add_argument("--pretrain-epochs", type=int, default=1)
    parser.add_argument("--pretrain-rate", type=float, default=2e-3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=7e-4)
    parser.add_argument("--smoothing", type=float, default=0.04)
    parser.add_argument(
        "--dialect-rate",
        type=float,
        default=0.2,
        help="share of neutral rows respelt in dialect; 0: none, no dialect rows",
    )
    parser.add_argument("--no-surge", action="store_true", help="leave the Surge rows out of training and validation")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)

    rows, validation = (
        [row for row in data.pool(args.datasets, args.wordnet, part) if not (args.no_surge and row.source == "surge")]
        for part in ("train", "validation")
    )
    validation = [row for row in validation if row.source != "wordnet"]
    rude = data.rude_words(rows)
    groups = {}
    for row in rows:
        groups.setdefault("dialect" if row.group == "dialect" else (row.source, row.label), []).append(row)
    texts = [row.text for row in rows]
    tokenizer = train_tokenizer(texts, args.vocabulary)
    tokenizer.enable_truncation(args.positions)
    print(
        f"{len(rows)} training rows, {len(validation)} validation rows, {tokenizer.get_vocab_size()} tokens, "
        f"{len(rude)} rude words"
    )

    config = BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=args.hidden,
        num_hidden_layers=args.layers,
        num_attention_heads=4,
        intermediate_size=4 * args.hidden,
        max_position_embeddings=args.positions,
        pad_token_id=PAD,
        hidden_dropout_prob=args.dropout,
        attention_probs_dropout_prob=args.dropout,
        id2label={0: "neutral", 1: "toxic"},
        label2id={"neutral": 0, "toxic": 1},
        problem_type="single_label_classification",
    )
    general = [row.text for row in rows if row.source in ("davidson", "surge", "gsm8k", "wordnet")]
    general += rng.sample([row.text for row in rows if row.source in ("identity", "everyday")], PRETRAIN_TEMPLATES)
    body = pretrain(config, [e.ids for e in tokenizer.encode_batch(general)], args, rng) if args.pretrain_epochs else {}
    model = BertForSequenceClassification(config).train()
    model.bert.load_state_dict(body, strict=False)
    classify(model, tokenizer, groups, validation, args, rude, rng)
    calibrate(model, tokenizer, validation)
    tokenizer.no_truncation()
    save(model, tokenizer, args, time.perf_counter() - BEGAN)


if __name__ == "__main__":
    BEGAN = time.perf_counter()
    main()
