"""Times W1 and W2 of the benchmark in llama.cpp, by the C interface that llama_cpp exposes; runs in the folder of workloads/.

    llama_cpp_driver.py --workload w1|w2 --model MODEL.gguf [--exact] [--limit N] [--check REFERENCE.json]

w1: greedy tokens for every prompt, up to 64 sequences in flight: one that ends makes room for the next at once.
w2: the log-probability of every token of a sequence given those before it.
--exact computes attention in f32 throughout, at a price; without it llama.cpp keeps keys and values in f16 and fuses attention.
The last line is RESULT and what was measured as JSON; wall_s is the work without loading.
"""

import argparse
import collections
import concurrent.futures
import json
import sys
import time

import llama_cpp
import numpy as np

IN_FLIGHT, THREADS = 64, 2


@llama_cpp.llama_log_callback
def report(level, text, _):
    """llama.cpp's errors (its level 4) and nothing else; llama_cpp's own filter takes the levels for others."""
    if level == 4:
        print(text.decode(), end="", file=sys.stderr)


class Engine:
    """A model, a context for `sequences` sequences of up to `length` tokens each, and the batch that is filled for every step."""

    def __init__(self, args, sequences, length):
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(args.model.encode(), llama_cpp.llama_model_default_params())
        assert self.model, f"llama.cpp cannot load {args.model}"
        params = llama_cpp.llama_context_default_params()
        params.n_seq_max, params.n_ctx = sequences, sequences * -(-length // 256) * 256
        params.n_batch = params.n_ubatch = args.batch
        params.n_threads = params.n_threads_batch = THREADS
        if args.exact:
            params.type_k = params.type_v = llama_cpp.GGML_TYPE_F32
            params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        assert self.context, "llama.cpp cannot make a context"
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.vocabulary = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.batch = llama_cpp.llama_batch_init(args.batch, 0, 1)
        # The first step maps the weights into memory and allocates: not to be timed.
        self.step([(0, position, 0, True) for position in range(8)])
        self.forget(0)

    def step(self, rows):
        """Runs rows of (token, position, sequence, whether it wants logits); the logits, valid until the next step."""
        batch = self.batch
        for i, (token, position, sequence, wants) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.logits[i] = token, position, wants
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
        batch.n_tokens = len(rows)
        status = llama_cpp.llama_decode(self.context, batch)
        assert status == 0, f"llama_decode: {status}"
        shape = sum(row[3] for row in rows), self.vocabulary
        return np.ctypeslib.as_array(llama_cpp.llama_get_logits(self.context), shape) if shape[0] else np.empty(shape)

    def forget(self, sequence):
        """Frees what the cache keeps of a sequence."""
        llama_cpp.llama_memory_seq_rm(self.memory, sequence, -1, -1)


class Request:
    """A prompt with what was generated after it; the first `fed` of `ids` are in the cache."""

    def __init__(self, line, new):
        self.id, self.ids, self.fed = line["id"], list(line["prompt_ids"]), 0
        self.end = len(self.ids) + new


def w1(args, lines):
    """(ids of each answer by the prompt's id, seconds, figures)."""
    engine = Engine(args, IN_FLIGHT, max(len(line["prompt_ids"]) for line in lines) + args.new)
    waiting = collections.deque(Request(line, args.new) for line in lines)
    running, free, answers, steps = {}, list(reversed(range(IN_FLIGHT))), {}, 0
    began = time.perf_counter()
    while waiting or running:
        while waiting and free:
            running[free.pop()] = waiting.popleft()
        # First a token for all that generate, then the prompts in their order, the last one cut to what the batch has left.
        room, parts = args.batch, []
        for sequence, request in sorted(running.items(), key=lambda item: len(item[1].ids) - item[1].fed > 1):
            fed, request.fed = request.fed, min(len(request.ids), request.fed + room)
            room -= request.fed - fed
            parts.append((sequence, fed, request))
        # By sequence id: llama.cpp computes together only what follows one another in it, and in any other order is far slower.
        rows, ready = [], []
        for sequence, fed, request in sorted(parts, key=lambda part: part[0]):
            complete = request.fed == len(request.ids)
            rows += [(request.ids[i], i, sequence, complete and i == request.fed - 1) for i in range(fed, request.fed)]
            if complete:
                ready.append((sequence, request))
        chosen = engine.step(rows).argmax(1)
        steps += 1
        for token, (sequence, request) in zip(chosen, ready):
            request.ids.append(int(token))
            if len(request.ids) == request.end:
                engine.forget(sequence)
                del running[sequence]
                free.append(sequence)
                answers[request.id] = request.ids[-args.new :]
    wall = time.perf_counter() - began
    prompt, generated = sum(len(line["prompt_ids"]) for line in lines), len(lines) * args.new
    return answers, wall, dict(steps=steps, prompt_tokens=prompt, gen_tokens=generated, gen_tok_s_overall=generated / wall)


def log_probabilities(logits, tokens, scratch):
    """Of each token under its row. The scratch saves a fresh allocation per row, which would cost more than the sum."""
    values = np.empty(len(tokens))
    for i, (row, token) in enumerate(zip(logits, tokens)):
        largest = row.max()
        np.subtract(row, largest, out=scratch)
        np.exp(scratch, out=scratch)
        values[i] = row[token] - largest - np.log(scratch.sum())
    return values


def w2(args, lines):
    """(log-probabilities of each sequence by its id, seconds, figures)."""
    length = max(len(line["ids"]) for line in lines)
    together = args.batch // length
    engine = Engine(args, together, length)
    scratch = np.empty((together, engine.vocabulary), np.float32)
    answers = {}
    began = time.perf_counter()
    # Two threads for this as well: numpy lets go of Python's lock over a row of this length.
    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for first in range(0, len(lines), together):
            group = [line["ids"] for line in lines[first : first + together]]
            rows = [(token, i, number, i + 1 < len(ids)) for number, ids in enumerate(group) for i, token in enumerate(ids)]
            logits = engine.step(rows)
            parts = np.split(logits, np.cumsum([len(ids) - 1 for ids in group])[:-1])
            for number, values in enumerate(pool.map(log_probabilities, parts, [ids[1:] for ids in group], scratch)):
                answers[lines[first + number]["id"]] = values
                engine.forget(number)
    wall = time.perf_counter() - began
    tokens = sum(len(line["ids"]) for line in lines)
    mean = float(np.concatenate(list(answers.values())).mean())
    return answers, wall, dict(tokens=tokens, tok_s=tokens / wall, mean_logprob=mean)


def held(workload, answers, reference):
    """What the answers are against the reference, of which there may be more or fewer."""
    wanted = {answer["id"]: answer for answer in reference if answer["id"] in answers}
    if workload == "w1":
        return dict(equal=sum(answers[id] == answer["output_ids"] for id, answer in wanted.items()), of=len(wanted))
    return dict(error=max(float(np.abs(answers[id] - answer["logprobs"]).max()) for id, answer in wanted.items()), of=len(wanted))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", choices=["w1", "w2"], required=True)
    parser.add_argument("--model", default="models/smollm2-135m-random-f32.gguf")
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--batch", type=int, default=512, help="most tokens of a step, n_batch and n_ubatch")
    parser.add_argument("--new", type=int, default=64, help="tokens to generate")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--check", help="the reference answers")
    args = parser.parse_args()
    llama_cpp.llama_log_set(report, None)
    workload, name = {"w1": (w1, "w1_prompts"), "w2": (w2, "w2_sequences")}[args.workload]
    lines = [json.loads(line) for line in open(f"workloads/{name}.jsonl")][: args.limit]
    answers, wall, figures = workload(args, lines)
    checked = held(args.workload, answers, json.load(open(args.check))) if args.check else {}
    print("RESULT " + json.dumps(dict(wall_s=wall, **figures, **checked)))


if __name__ == "__main__":
    main()
