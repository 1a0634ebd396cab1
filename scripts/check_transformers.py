#!/usr/bin/env python3
"""Prove that transformers loads model folders as they are and answers as karat does.

Every folder below --models with a config.json and safetensors is loaded offline through the Auto classes. The texts are
the inputs of the --golden files (JSONL with `input`, `prompt`, `text`, `question` or `messages`), and for

generators   the rendered chat and its ids are equal, or those of the plain text where there is no chat template;
             greedy ids in float32 are equal as far as the two best tokens are MARGIN apart: past a closer call both
             may go on as they like, and the case is counted as a tie
embedders    the cosine of both vectors, pooled and normalised as the folder says, is at least COSINE
classifiers  the probabilities of all labels differ by at most PROBABILITY

Texts that either side cuts or refuses because of their length are left out and counted. The type that the files hold
(dtype="auto") is loaded as well and its distance from float32 shown; it decides nothing. Exit code 1 on any difference.

usage: check_transformers.py --golden FILE.jsonl [FILE.jsonl ...] [--karat target/release/karat] [--models models]
       [--limit N per file] [--max-new-tokens N] [--threads N]
needs: torch, transformers (versions in scripts/train/requirements.txt)
"""
import argparse, json, os, pathlib, subprocess, sys, tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import torch, transformers
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

MARGIN, COSINE, PROBABILITY = 1e-3, 0.99999, 1e-3


# ---- karat ----------------------------------------------------------------------------------------------------------

def karat(program, command, folder, lines, flags=()):
    """Output lines of an engine command; 3 means that some lines carry an error."""
    with tempfile.TemporaryDirectory() as temporary:
        given, taken = pathlib.Path(temporary, "in.jsonl"), pathlib.Path(temporary, "out.jsonl")
        given.write_text("".join(json.dumps(line) + "\n" for line in lines))
        run = [program, command, folder, "--in", given, "--out", taken, *flags]
        # What is compared must be computed now.
        environment = {**os.environ, "KARAT_CACHE": ""}
        done = subprocess.run([str(part) for part in run], capture_output=True, text=True, env=environment)
        if done.returncode not in (0, 3):
            sys.exit(f"{' '.join(map(str, run))} ended with {done.returncode}:\n{done.stderr}")
        return [json.loads(line) for line in taken.read_text().splitlines()]


def inputs(files, limit):
    """Text or messages of every case."""
    found = []
    for file in files:
        lines = [json.loads(line) for line in file.read_text().splitlines() if line.strip()]
        keys = ("messages", "input", "prompt", "text", "question")
        found += [next(line[key] for key in keys if key in line) for line in lines[:limit]]
    return found


def as_text(case):
    return case if isinstance(case, str) else "\n".join(message["content"] for message in case)


# ---- the three kinds ------------------------------------------------------------------------------------------------

class Check:
    """A row of the table; one without a bound is only shown."""

    def __init__(self, folder, what, bound=True):
        self.folder, self.what, self.bound, self.cases, self.wrong, self.notes = folder, what, bound, 0, [], []

    def note(self, count, text):
        if count:
            self.notes.append(f"{count} {text}")

    def row(self):
        judged = f"DIFFERS in {len(self.wrong)}" if self.wrong else "equal" if self.cases else "NO CASES"
        verdict = judged if self.bound else "shown"
        return [str(self.folder), self.what, str(self.cases), verdict, "; ".join(self.notes)]

    def failed(self):
        return self.bound and (bool(self.wrong) or not self.cases)


def load(kind, folder, dtype):
    """The model with all of its weights from the files: transformers would make missing ones up."""
    model, info = kind.from_pretrained(folder, dtype=dtype, local_files_only=True, output_loading_info=True)
    # BERT's pooler has no part in an embedding, and sentence embedders leave it out.
    lost = [name for name in info["missing_keys"] if kind is not AutoModel or not name.startswith("pooler.")]
    if lost or info["mismatched_keys"]:
        sys.exit(f"{folder}: transformers misses {lost} and mismatches {info['mismatched_keys']}")
    return model.eval()


def generator(folder, cases, args):
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = load(AutoModelForCausalLM, folder, torch.float32)
    chat = bool(tokenizer.chat_template)

    rendering, lines = Check(folder, "prompt text and ids"), []
    for number, case in enumerate(cases):
        messages = [{"role": "user", "content": case}] if isinstance(case, str) else case
        lines.append({"id": number, "messages": messages} if chat else {"id": number, "prompt": as_text(case)})
    prompts = []
    for line, seen in zip(lines, karat(args.karat, "render", folder, lines)):
        text = line.get("prompt")
        if chat:
            text = tokenizer.apply_chat_template(line["messages"], tokenize=False, add_generation_prompt=True)
        prompts.append(tokenizer(text, add_special_tokens=not chat)["input_ids"])
        rendering.cases += 1
        if seen.get("error") or (chat and seen["text"] != text) or seen["ids"] != prompts[-1]:
            rendering.wrong.append(f"case {line['id']}: karat {seen}, transformers {text!r} {prompts[-1]}")

    check, ties = Check(folder, "greedy ids, float32"), 0
    flags = ["--max-new-tokens", args.max_new_tokens, "--quiet"]
    answers = karat(args.karat, "generate", folder, lines, flags)
    room = model.config.max_position_embeddings - args.max_new_tokens
    fitting = [(prompt, answer) for prompt, answer in zip(prompts, answers) if len(prompt) <= room]
    check.note(len(answers) - len(fitting), "too long")
    for prompt, answer in fitting:
        check.cases += 1
        ids, finish, margins = greedy(model, prompt, args.max_new_tokens)
        if (answer["ids"], answer["finish"]) == (ids, finish):
            continue
        both = zip(ids, answer["ids"])
        apart = next((i for i, (one, other) in enumerate(both) if one != other), min(len(ids), len(answer["ids"])))
        if apart < len(margins) and margins[apart] < MARGIN:
            ties += 1
        else:
            check.wrong.append(f"case {answer['id']} at token {apart}: karat {answer}, transformers {ids} {finish}")
    check.note(ties, f"ties below {MARGIN}")

    stored = load(AutoModelForCausalLM, folder, "auto")
    own = Check(folder, f"as stored: {stored.dtype}".replace("torch.", ""), bound=False)
    same, worst = 0, 0.0
    for prompt, _ in fitting:
        own.cases += 1
        same += greedy(stored, prompt, args.max_new_tokens)[:2] == greedy(model, prompt, args.max_new_tokens)[:2]
        worst = max(worst, (logits(stored, prompt) - logits(model, prompt)).abs().max().item())
    own.notes.append(f"{same} of {own.cases} answers as in float32, last logits within {worst:.2e}")
    return [rendering, check, own]


def greedy(model, prompt, count):
    """New ids without the one that ends them, why they end, and how far the two best tokens were apart at each step."""
    prompt = torch.tensor([prompt])
    out = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=count,
                         output_scores=True, return_dict_in_generate=True)
    ids = out.sequences[0, prompt.shape[1]:].tolist()
    best = [scores[0].float().topk(2).values for scores in out.scores]
    margins = [(two[0] - two[1]).item() for two in best]
    ends = model.generation_config.eos_token_id
    ended = ids[-1] in (ends if isinstance(ends, list) else [ends])
    return (ids[:-1], "eos", margins) if ended else (ids, "length", margins)


def logits(model, prompt):
    return model(torch.tensor([prompt])).logits[0, -1].float()


def short_texts(folder, cases, limit):
    """(id, text, encoding) of the texts within the limit, and how many are not."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    texts = [(number, as_text(case)) for number, case in enumerate(cases)]
    encoded = [(number, text, tokenizer(text, return_tensors="pt")) for number, text in texts]
    fitting = [item for item in encoded if item[2]["input_ids"].shape[1] <= min(limit, tokenizer.model_max_length)]
    return fitting, len(texts) - len(fitting)


def told(folder, name):
    path = folder / name
    return json.loads(path.read_text()) if path.is_file() else None


def embedder(folder, cases, args):
    model, stored = load(AutoModel, folder, torch.float32), load(AutoModel, folder, "auto")
    limit = (told(folder, "sentence_bert_config.json") or {}).get("max_seq_length")
    fitting, long = short_texts(folder, cases, limit or model.config.max_position_embeddings)
    pool = pooling(folder)
    answers = karat(args.karat, "embed", folder, [{"id": n, "text": text} for n, text, _ in fitting], ["--quiet"])
    check = Check(folder, "cosine, float32")
    own = Check(folder, f"as stored: {stored.dtype}".replace("torch.", ""), bound=False)
    check.note(long, "too long")
    cosine = torch.nn.CosineSimilarity(dim=0)
    lowest, lowest_own = 1.0, 1.0
    for (_, text, encoding), answer in zip(fitting, answers):
        reference, other = pool(model(**encoding)), pool(stored(**encoding))
        given = torch.tensor(answer["embedding"])
        near, length = cosine(reference, given).item(), (given.norm() / reference.norm()).item()
        lowest, lowest_own = min(lowest, near), min(lowest_own, cosine(reference, other).item())
        check.cases, own.cases = check.cases + 1, own.cases + 1
        if not (near >= COSINE and abs(length - 1) <= 1e-3):
            check.wrong.append(f"case {answer['id']}: cosine {near}, {length} times as long: {text!r}")
    check.notes.append(f"lowest {lowest:.7f}")
    own.notes.append(f"cosine to float32 at least {lowest_own:.7f}")
    return [check, own]


def pooling(folder):
    """What the sentence-transformers modules of the folder do; the mean where there are none."""
    flags = {"pooling_mode_cls_token": "cls", "pooling_mode_lasttoken": "lasttoken", "pooling_mode_mean_tokens": "mean"}
    mode, normalize = "mean", False
    for module in told(folder, "modules.json") or []:
        normalize = normalize or module["type"].endswith("Normalize")
        if module["type"].endswith("Pooling"):
            config = told(folder, f"{module['path']}/config.json")
            mode = config.get("pooling_mode") or next(name for flag, name in flags.items() if config.get(flag))

    def pool(output):
        hidden = output.last_hidden_state[0].float()
        vector = {"mean": lambda: hidden.mean(0), "cls": lambda: hidden[0], "lasttoken": lambda: hidden[-1]}[mode]()
        return torch.nn.functional.normalize(vector, dim=0) if normalize else vector

    return pool


def classifier(folder, cases, args):
    model = load(AutoModelForSequenceClassification, folder, torch.float32)
    stored = load(AutoModelForSequenceClassification, folder, "auto")
    fitting, long = short_texts(folder, cases, model.config.max_position_embeddings)
    single = model.config.problem_type == "multi_label_classification" or model.config.num_labels == 1
    answers = karat(args.karat, "classify", folder, [{"id": n, "text": text} for n, text, _ in fitting], ["--quiet"])
    check = Check(folder, "probabilities, float32")
    own = Check(folder, f"as stored: {stored.dtype}".replace("torch.", ""), bound=False)
    check.note(long, "too long")

    def probabilities(one, encoding):
        values = one(**encoding).logits[0].float()
        return values.sigmoid() if single else values.softmax(0)

    worst, worst_own = 0.0, 0.0
    labels = [model.config.id2label[i] for i in range(model.config.num_labels)]
    for (_, text, encoding), answer in zip(fitting, answers):
        reference = probabilities(model, encoding)
        given = torch.tensor([answer["scores"][label] for label in labels])
        difference = (reference - given).abs().max().item()
        own_difference = (reference - probabilities(stored, encoding)).abs().max().item()
        worst, worst_own = max(worst, difference), max(worst_own, own_difference)
        check.cases, own.cases = check.cases + 1, own.cases + 1
        if not difference <= PROBABILITY:
            check.wrong.append(f"case {answer['id']}: {answer['scores']}, transformers {reference.tolist()}: {text!r}")
    check.notes.append(f"within {worst:.1e}")
    own.notes.append(f"probabilities within {worst_own:.1e} of float32")
    return [check, own]


def kind(folder):
    architecture = (told(folder, "config.json").get("architectures") or [""])[0]
    if architecture.endswith("ForCausalLM"):
        return generator
    return classifier if architecture.endswith("ForSequenceClassification") else embedder


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--karat", type=pathlib.Path, default=pathlib.Path("target/release/karat"))
    parser.add_argument("--models", type=pathlib.Path, default=pathlib.Path("models"))
    parser.add_argument("--golden", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--max-new-tokens", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()

    cases = inputs(args.golden, args.limit)
    folders = {path.parent for path in args.models.rglob("*.safetensors")}
    folders = sorted(folder for folder in folders if (folder / "config.json").is_file())
    checks = [check for folder in folders for check in kind(folder)(folder, cases, args)]
    rows = [["folder", "what", "cases", "verdict", "notes"], *(check.row() for check in checks)]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[4]]).rstrip())
    for check in checks:
        for line in check.wrong[:3]:
            print(f"{check.folder}, {check.what}: {line}")
    sys.exit(1 if not checks or any(check.failed() for check in checks) else 0)


if __name__ == "__main__":
    main()
