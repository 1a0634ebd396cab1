"""Trains karat-mini on a corpus: Qwen3 architecture, 3.5 million parameters, saved in f16 in the Hugging Face layout.

    python train.py --corpus corpus-1.jsonl --tokenizer tokenizer --out models/karat-mini/1
    python train.py --corpus corpus-2.jsonl --tokenizer tokenizer --init models/karat-mini/1 --out models/karat-mini/2
"""

import argparse
import json
import math
import random
import time

import numpy
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, Qwen3Config, Qwen3ForCausalLM
from transformers.models.qwen3 import modeling_qwen3

PROMPT_WEIGHT = 0.1  # what customers write is learnt a little, what the desk answers in full


def fused_norm(self, hidden):
    """The same RMSNorm in one call instead of six: twice as fast on a CPU."""
    return torch.nn.functional.rms_norm(hidden, (hidden.shape[-1],), self.weight.to(hidden.dtype), self.variance_epsilon)


modeling_qwen3.Qwen3RMSNorm.forward = fused_norm


def config(tokenizer):
    return Qwen3Config(
        vocab_size=len(tokenizer), hidden_size=256, intermediate_size=704, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2,
        head_dim=64, max_position_embeddings=1024, tie_word_embeddings=True, bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, use_sliding_window=False, attention_bias=False,
    )


def encode(path, tokenizer):
    """Ids of every conversation, where the last answer starts, and the kind of task."""
    rows = []
    prompts, wholes, kinds = [], [], []
    with open(path) as lines:
        for line in lines:
            example = json.loads(line)
            messages = example["messages"]
            kinds.append(example["kind"])
            prompts.append("".join(f"<|{m['role']}|>{m['content']}<|end|>" for m in messages[:-1]) + "<|assistant|>")
            wholes.append(f"{messages[-1]['content']}<|end|>")
    for at in range(0, len(prompts), 20_000):
        heads = tokenizer(prompts[at : at + 20_000], add_special_tokens=False)["input_ids"]
        tails = tokenizer(wholes[at : at + 20_000], add_special_tokens=False)["input_ids"]
        rows += [(numpy.array(head + tail, dtype=numpy.int16), len(head), kind) for head, tail, kind in zip(heads, tails, kinds[at:])]
    return rows


def batches(rows, tokens, epochs, rng):
    """Batches of rows of like length, at most `tokens` places each, in random order."""
    for _ in range(math.ceil(epochs)):
        order = list(range(len(rows)))
        rng.shuffle(order)
        for at in range(0, len(order), 8192):
            pool = sorted(order[at : at + 8192], key=lambda i: len(rows[i][0]))
            cut, batch = [], []
            for i in pool:
                if batch and (len(batch) + 1) * len(rows[i][0]) > tokens:
                    cut.append(batch)
                    batch = []
                batch.append(i)
            cut.append(batch)
            rng.shuffle(cut)
            yield from cut


def tensors(rows, batch, pad):
    width = max(len(rows[i][0]) for i in batch)
    ids = torch.full((len(batch), width), pad, dtype=torch.long)
    weights = torch.zeros((len(batch), width))
    for at, i in enumerate(batch):
        row, answer, _ = rows[i]
        ids[at, : len(row)] = torch.from_numpy(row.astype(numpy.int64))
        weights[at, : len(row)] = PROMPT_WEIGHT
        weights[at, answer : len(row)] = 1.0
    return ids, weights


def note(means, losses, counts, kinds):
    """Running means of the answers' losses, of each kind of task and of all."""
    for kind, part in [("all", losses), *zip(kinds, losses.split(counts.tolist()))]:
        value = part.mean().item()
        means[kind] = value if kind not in means else means[kind] + 0.02 * (value - means[kind])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--init", help="checkpoint to go on from")
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, help="stop after this time instead of a number of steps (the decay is planned for it)")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--tokens", type=int, default=3072, help="places of a batch")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    tokenizer = AutoTokenizer.from_pretrained(args.tokenizer)
    model = AutoModelForCausalLM.from_pretrained(args.init, dtype=torch.float32) if args.init else Qwen3ForCausalLM(config(tokenizer))
    model.set_attn_implementation("eager")  # rows are short: plain matrices beat the blocked kernel, most of all backwards
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    rows = encode(args.corpus, tokenizer)
    print(f"{len(rows)} rows, {sum(len(row) for row, _, _ in rows)} tokens", flush=True)

    # Muon (Jordan et al. 2024) for the matrices of the layers needs about half the steps that AdamW does; AdamW keeps embedding and norms.
    matrices = [p for p in model.model.layers.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    optimizers = [
        torch.optim.Muon(matrices, lr=args.lr, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW([model.model.embed_tokens.weight, *vectors], lr=args.lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    ]
    model.train()
    for layer in model.model.layers:
        layer.compile(dynamic=True)
    start, step, seen = time.time(), 0, 0
    means = {}
    for batch in batches(rows, args.tokens, 1000, rng):
        done = (time.time() - start) / (60 * args.minutes) if args.minutes else step / args.steps
        if done >= 1:
            break
        # Warm up, hold, then fall linearly to nothing over the last 40%.
        rate = args.lr * min(1, (step + 1) / 100) * min(1, (1 - done) / 0.4)
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = rate
        ids, weights = tensors(rows, batch, tokenizer.pad_token_id)
        # Logits are worked out only where they count: every place of an answer, a random part of what comes before.
        weights = weights[:, 1:].flatten()
        places = (torch.rand(weights.shape) < weights).nonzero().squeeze(1)
        with torch.autocast("cpu", torch.bfloat16):
            hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state
            logits = model.lm_head(hidden.flatten(0, 1)[places])
        losses = torch.nn.functional.cross_entropy(logits.float(), ids[:, 1:].flatten()[places], reduction="none")
        losses.mean().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        note(means, losses.detach()[weights[places] == 1], (weights.view(len(batch), -1) == 1).sum(1), [rows[i][2] for i in batch])
        step, seen = step + 1, seen + ids.numel()
        if step % 100 == 0:
            shown = ", ".join(f"{kind} {mean:.2f}" for kind, mean in sorted(means.items()))
            print(f"step {step}, {time.time() - start:.0f} s, {seen / (time.time() - start):.0f} tokens/s, rate {rate:.1e}; loss: {shown}", flush=True)
    model.eval()
    model.half().save_pretrained(args.out)
    tokenizer.save_pretrained(args.out)
    GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=False).save_pretrained(args.out)
    print(f"{step} steps, {seen} tokens, {time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
