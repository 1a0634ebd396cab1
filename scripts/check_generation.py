#!/usr/bin/env python3
"""Hold what generation_config.json does to greedy answers against transformers' `model.generate`.

Every model folder is copied once for each case with a generation_config.json of its own: penalties, bans, lengths, forced
tokens, biases, end tokens in all their forms. For every prompt the ids must be those of transformers in float32, as far as the
two best scores after all processors are MARGIN apart: past a closer call both may go on as they like, and the answer counts as
a tie. Values by flag and by line are held against the same values as arguments of `generate`. Every case is answered a second time
in steps of two rows without drafts and sharing, and must give the same bytes. Forms that transformers refuses must be refused.
Exit code 1 on any difference.

usage: check_generation.py [--karat target/release/karat] [--max-new-tokens N] [MODEL_FOLDER ...]
       (default: models/karat-mini/2 and the decoders of ../shared/reference/models)
needs: torch, transformers (versions in scripts/train/requirements.txt)
"""
import argparse, collections, json, os, pathlib, random, shutil, subprocess, sys, tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import torch, transformers
from transformers import AutoModelForCausalLM

MARGIN = 1e-3
ALONE = ["--batch-tokens", "2", "--no-drafts", "--no-prefix-sharing"]


def karat(program, folder, lines, flags=()):
    """Exit code, output lines as written, standard error."""
    with tempfile.TemporaryDirectory() as temporary:
        given, taken = pathlib.Path(temporary, "in.jsonl"), pathlib.Path(temporary, "out.jsonl")
        given.write_text("".join(json.dumps(line) + "\n" for line in lines))
        run = [program, "generate", folder, "--in", given, "--out", taken, "--dtype", "f32", "--device", "cpu", *flags]
        done = subprocess.run([str(part) for part in run], capture_output=True, text=True, env={**os.environ, "KARAT_CACHE": ""})
        return done.returncode, taken.read_text() if taken.is_file() else "", done.stderr


def variant(source, target, generation):
    """A copy of a model folder with another generation_config.json, or without one."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for file in source.iterdir():
        if file.is_file() and file.name != "generation_config.json":
            (target / file.name).symlink_to(file.resolve())
    if generation is not None:
        (target / "generation_config.json").write_text(json.dumps(generation))
    return target


def prompts(vocab):
    """Ragged prompts of any tokens, some of which repeat themselves."""
    chance = random.Random(7)
    some = [[chance.randrange(3, vocab) for _ in range(length)] for length in (1, 2, 5, 40)]
    return some + [some[2] * 4 + some[1] * 3]


def expected(model, prompt, limit, asked):
    """Ids of transformers, without the token that ended them, and the step from which on the choice was too close to tell."""
    ids = torch.tensor([prompt])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=limit, do_sample=False,
                         output_scores=True, return_dict_in_generate=True, **asked)
    answer, close = out.sequences[0, len(prompt):].tolist(), None
    for step, scores in enumerate(out.scores):
        best = scores[0].topk(2).values
        if close is None and not best[0] - best[1] >= MARGIN:
            close = step
    end = model.generation_config.eos_token_id
    ends = [int(id) for id in (end if isinstance(end, list) else [end] if end is not None else [])]
    ended = bool(answer) and answer[-1] in ends
    return answer[:-1] if ended else answer, close


def cases(plain, vocab):
    """Fields of generation_config.json by the name of the case, made of what the model answers without them."""
    counts = collections.Counter(id for answer in plain for id in answer)
    often = [id for id, _ in counts.most_common(8)] + [5, 6, 7]
    firsts = sorted({answer[0] for answer in plain if answer})
    pairs = [list(answer[at:at + 2]) for answer in plain for at in (0, 3) if len(answer) > at + 1]
    bias = [[[often[0]], -4.0], [[often[1]], 2.5]] + [[pair, -6.0] for pair in pairs[:4] if pair[0] != pair[1]]
    return {
        "plain": {},
        "repetition penalty": {"repetition_penalty": 1.3},
        "repetition penalty, strong": {"repetition_penalty": 2.5},
        "repetition penalty below 1": {"repetition_penalty": 0.8},
        "n-grams of 1": {"no_repeat_ngram_size": 1},
        "n-grams of 2": {"no_repeat_ngram_size": 2},
        "n-grams of 3": {"no_repeat_ngram_size": 3},
        "suppressed": {"suppress_tokens": often[:5]},
        "suppressed, some unknown": {"suppress_tokens": [often[0], -1, vocab + 7]},
        "suppressed at the begin": {"begin_suppress_tokens": firsts},
        "bad words": {"bad_words_ids": [[often[2]], *pairs]},
        "sequence bias": {"sequence_bias": bias},
        "min_new_tokens": {"min_new_tokens": 20},
        "min_length": {"min_length": 30},
        "min_new_tokens over min_length": {"min_length": 60, "min_new_tokens": 3},
        "forced first and last": {"forced_bos_token_id": 9, "forced_eos_token_id": [4, often[0]], "begin_suppress_tokens": firsts},
        "end tokens, a list": {"eos_token_id": [2, often[0], often[3]]},
        "end tokens, a float": {"eos_token_id": float(often[1])},
        "end tokens, none": {"eos_token_id": []},
        "end token beyond the vocabulary": {"eos_token_id": [vocab + 5, often[2]]},
        "all at once": {
            "repetition_penalty": 1.2, "no_repeat_ngram_size": 3, "suppress_tokens": often[:2], "begin_suppress_tokens": firsts,
            "bad_words_ids": pairs, "sequence_bias": bias, "min_new_tokens": 12, "eos_token_id": [2, often[3]]},
    }


REFUSED = {
    "end token as text": {"eos_token_id": "2"},
    "end tokens as text": {"eos_token_id": ["2"]},
    "no end token in a list": {"eos_token_id": [None, 2]},
    "end token as object": {"eos_token_id": {"id": 2}},
    "penalty of 0": {"repetition_penalty": 0.0},
    "penalty as text": {"repetition_penalty": "1.5"},
    "bad words, not nested": {"bad_words_ids": [5]},
    "bad words beyond the vocabulary": {"bad_words_ids": [[5, 10**6]]},
    "last token beyond the vocabulary": {"forced_eos_token_id": 10**6},
    "suppressed, no list": {"suppress_tokens": 5},
}


class Tally:
    def __init__(self):
        self.answers, self.equal, self.ties, self.wrong = 0, 0, 0, []

    def count(self, what, got, right, close):
        self.answers += 1
        upto = len(right) + 1 if close is None else close
        if got == right:
            self.equal += 1
        elif close is not None and got[:upto] == right[:upto]:
            self.ties += 1
        else:
            self.wrong.append(f"{what}:\n   karat        {got}\n   transformers {right}")


def check(program, source, limit, room, tally):
    vocab = json.loads((source / "config.json").read_text()).get("vocab_size", 512)
    lines = [{"id": at, "prompt_ids": prompt} for at, prompt in enumerate(prompts(vocab))]
    base = {"eos_token_id": 2, "pad_token_id": 0}

    def answers(folder, flags=(), lines=lines):
        code, out, error = karat(program, folder, lines, ["--max-new-tokens", limit, *flags])
        if code:
            sys.exit(f"karat ended with {code} on {source}: {error}")
        alone = karat(program, folder, lines, ["--max-new-tokens", limit, *flags, *ALONE])[1]
        if alone != out:
            tally.wrong.append(f"{folder}, {flags}: other bytes without drafts and sharing, in steps of two rows")
        return [json.loads(line)["ids"] for line in out.splitlines()]

    def compare(name, fields, flags=(), asked=None, lines=lines):
        folder = variant(source, room / "model", {**base, **fields})
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        for line, got in zip(lines, answers(folder, flags, lines)):
            right, close = expected(model, line["prompt_ids"], limit, asked or {})
            tally.count(f"{source.name}, {name}, prompt {line['id']}", got, right, close)

    plain = answers(variant(source, room / "model", base))
    for name, fields in cases(plain, vocab).items():
        compare(name, fields)
    file = {"repetition_penalty": 1.4, "suppress_tokens": [5], "min_new_tokens": 8}
    compare("by flag", file, ["--repetition-penalty", "1.1", "--suppress-tokens", "7,8", "--no-repeat-ngram-size", "2"],
            {"repetition_penalty": 1.1, "suppress_tokens": [7, 8], "no_repeat_ngram_size": 2})
    compare("the file ignored", file, ["--ignore-generation-config"],
            {"repetition_penalty": 1.0, "suppress_tokens": [], "min_new_tokens": 0})
    own = {"min_new_tokens": 5, "bad_words_ids": [[9], [8, 7]], "begin_suppress_tokens": [6], "repetition_penalty": 1.6}
    compare("by line", file, (), own, [{**line, **own} for line in lines])
    for name, fields in REFUSED.items():
        folder = variant(source, room / "model", {**base, **fields})
        try:
            model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
            expected(model, [5, 6], 4, {})
            tally.wrong.append(f"{source.name}, {name}: transformers takes it")
        except (IndexError, TypeError, ValueError):
            pass
        code, _, error = karat(program, folder, lines[:1])
        tally.answers += 1
        if code == 2 and "generation_config.json" in error:
            tally.equal += 1
        else:
            tally.wrong.append(f"{source.name}, {name}: karat ended with {code}: {error}")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--karat", default="target/release/karat", type=pathlib.Path)
    options.add_argument("--max-new-tokens", default=24, type=int)
    options.add_argument("models", nargs="*", type=pathlib.Path)
    options = options.parse_args()
    transformers.logging.set_verbosity_error()
    repository = pathlib.Path(__file__).resolve().parent.parent
    models = options.models or [repository / "models/karat-mini/2"]
    if not options.models:
        shared = pathlib.Path(os.environ.get("KARAT_SHARED", repository.parent / "shared")) / "reference/models"
        configs = [folder for folder in sorted(shared.glob("*/")) if (folder / "config.json").is_file()]
        models += [folder for folder in configs if "CausalLM" in (folder / "config.json").read_text() or "LMHead" in (folder / "config.json").read_text()]
    failed = False
    with tempfile.TemporaryDirectory() as temporary:
        for source in models:
            tally = Tally()
            check(options.karat.resolve(), source, options.max_new_tokens, pathlib.Path(temporary), tally)
            print(f"{source}: {tally.answers} answers, {tally.equal} equal, {tally.ties} ties, {len(tally.wrong)} wrong", flush=True)
            for text in tally.wrong[:5]:
                print(f"   {text}", flush=True)
            failed |= bool(tally.wrong) or not tally.equal
    print(f"transformers {transformers.__version__}, torch {torch.__version__}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
