#!/usr/bin/env python3
"""Write a Hugging Face folder of a decoder with random weights, with nothing but the standard library.

The default is what tests/fixtures/models/random-tiny holds: a two-layer Llama over bytes, f16, a ChatML template; the default suite
generates with it until trained models land. Larger shapes serve benches and invariance tests (hidden 896 in seconds).

Every weight is a random sign and mantissa under its matrix's exponent: bits, not arithmetic, so that all machines and
Python versions write the same file, and 30 million of them are masked out of random bytes in half a second. Output rows
of bytes that are neither printable ASCII nor a line break are zero: nearly all answers are readable as text.

usage: make_random_model.py OUT_DIR [--family llama|mistral|qwen2] [--hidden N] [--intermediate N] [--layers N]
       [--heads N] [--kv-heads N] [--vocab N] [--context N] [--window N] [--tie] [--dtype f16|f32] [--seed N]
"""
import argparse, json, math, pathlib, random, struct

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
# name -> (bytes per value, bits of sign and mantissa, exponent bias, mantissa bits, struct code)
DTYPES = {"f16": (2, 0x83FF, 15, 10, "e"), "f32": (4, 0x807FFFFF, 127, 23, "f")}


def byte_letters():
    """GPT-2's printable stand-ins for the 256 bytes, in its order: printable bytes first, then the rest."""
    plain = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174]
    rest = [b for b in range(256) if b not in plain]
    return [(b, chr(b)) for b in plain] + [(b, chr(256 + i)) for i, b in enumerate(rest)]


def tokenizer(vocab_size):
    vocab = {s: i for i, s in enumerate(SPECIAL)}
    vocab.update({c: i + len(SPECIAL) for i, (_, c) in enumerate(byte_letters())})
    special = [dict(id=i, content=s, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True) for i, s in enumerate(SPECIAL)]
    level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
    bpe = dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=False,
               byte_fallback=False, ignore_merges=False, vocab=vocab, merges=[])
    assert vocab_size >= len(vocab), f"--vocab must be at least {len(vocab)}"
    return dict(version="1.0", truncation=None, padding=None, added_tokens=special, normalizer=None, pre_tokenizer=level,
                post_processor=None, decoder=level, model=bpe)


def random_bits(rng, count, std, dtype):
    """`count` values whose root mean square is within a factor of sqrt(2) of `std`, as little-endian bytes."""
    width, keep, bias, mantissa, _ = DTYPES[dtype]
    exponent = round(math.log2(std / 1.53)) + bias  # 1.53: root mean square of 1..2
    assert 0 < exponent < 2 * bias - 1, f"a standard deviation of {std} does not fit {dtype}"
    repeat = lambda word: int.from_bytes(word.to_bytes(width, "little") * count, "little")
    bits = int.from_bytes(rng.randbytes(width * count), "little") & repeat(keep) | repeat(exponent << mantissa)
    return bits.to_bytes(width * count, "little")


def tensors(a, rng):
    """(name, shape, bytes) in the order of the file."""
    width, code = DTYPES[a.dtype][0], DTYPES[a.dtype][4]
    head = a.hidden // a.heads
    matrix = lambda n, k, gain=1.6: ([n, k], random_bits(rng, n * k, gain / math.sqrt(k), a.dtype))
    norm = lambda n: ([n], struct.pack(f"<{n}{code}", *(0.75 + rng.random() / 2 for _ in range(n))))
    bias = lambda n: ([n], random_bits(rng, n, 0.1, a.dtype))
    yield "model.embed_tokens.weight", *matrix(a.vocab, a.hidden, 2.0)
    for i in range(a.layers):
        p = f"model.layers.{i}."
        yield p + "input_layernorm.weight", *norm(a.hidden)
        for part, n in (("q", a.heads), ("k", a.kv_heads), ("v", a.kv_heads)):
            yield f"{p}self_attn.{part}_proj.weight", *matrix(n * head, a.hidden)
            if a.family == "qwen2": yield f"{p}self_attn.{part}_proj.bias", *bias(n * head)
        yield p + "self_attn.o_proj.weight", *matrix(a.hidden, a.heads * head)
        yield p + "post_attention_layernorm.weight", *norm(a.hidden)
        yield p + "mlp.gate_proj.weight", *matrix(a.intermediate, a.hidden)
        yield p + "mlp.up_proj.weight", *matrix(a.intermediate, a.hidden)
        yield p + "mlp.down_proj.weight", *matrix(a.hidden, a.intermediate)
    yield "model.norm.weight", *norm(a.hidden)
    if not a.tie:
        shape, data = matrix(a.vocab, a.hidden, 3.0)
        row, data = width * a.hidden, bytearray(data)
        for i, (byte, _) in enumerate(byte_letters(), len(SPECIAL)):
            if not (32 <= byte <= 126 or byte == 10): data[i * row:(i + 1) * row] = bytes(row)
        for i in (0, 1): data[i * row:(i + 1) * row] = bytes(row)  # only <|im_end|> may end an answer
        yield "lm_head.weight", shape, bytes(data)


def config(a):
    names = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM"}
    out = dict(architectures=[names[a.family]], model_type=a.family, hidden_act="silu", hidden_size=a.hidden, intermediate_size=a.intermediate,
               num_hidden_layers=a.layers, num_attention_heads=a.heads, num_key_value_heads=a.kv_heads, vocab_size=a.vocab,
               max_position_embeddings=a.context, rms_norm_eps=1e-5, rope_theta=10000.0, tie_word_embeddings=a.tie,
               bos_token_id=None, eos_token_id=2, torch_dtype={"f16": "float16", "f32": "float32"}[a.dtype])
    if a.family == "mistral": out["sliding_window"] = a.window
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("out", type=pathlib.Path)
    p.add_argument("--family", choices=["llama", "mistral", "qwen2"], default="llama")
    for name, value in dict(hidden=64, intermediate=160, layers=2, heads=4, kv_heads=2, vocab=259, context=4096, seed=20261120).items():
        p.add_argument("--" + name.replace("_", "-"), type=int, default=value)
    p.add_argument("--window", type=int, help="sliding window of the mistral family")
    p.add_argument("--tie", action="store_true", help="the output matrix is the embedding")
    p.add_argument("--dtype", choices=list(DTYPES), default="f16")
    a = p.parse_args()
    assert a.hidden % a.heads == 0 and a.hidden // a.heads % 2 == 0 and a.heads % a.kv_heads == 0, "heads do not divide"
    assert a.window is None or a.family == "mistral", "--window belongs to the mistral family"

    header, parts, offset = {"__metadata__": {"format": "pt"}}, [], 0
    for name, shape, data in tensors(a, random.Random(a.seed)):
        header[name] = dict(dtype=a.dtype.upper(), shape=shape, data_offsets=[offset, offset + len(data)])
        parts.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    a.out.mkdir(parents=True, exist_ok=True)
    with open(a.out / "model.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        f.writelines(parts)
    template = dict(bos_token=None, eos_token="<|im_end|>", model_max_length=a.context, tokenizer_class="PreTrainedTokenizerFast", chat_template=CHATML)
    for file, content in (("config.json", config(a)), ("tokenizer_config.json", template), ("tokenizer.json", tokenizer(a.vocab))):
        (a.out / file).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{a.out}: {offset // DTYPES[a.dtype][0]} parameters, {offset} bytes of weights")


if __name__ == "__main__":
    main()
