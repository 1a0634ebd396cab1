#!/usr/bin/env python3
"""Compare karat's tokenizers with AutoTokenizer of transformers: folders x flags of tokenizer_config.json x texts.

Every folder below the given ones with a tokenizer.json, and a few that this script makes (Unigram, BPE with byte fallback), is
copied and its tokenizer_config.json changed by one flag, or by a class and a flag. For every text are compared: the ids with
and without special tokens, the text that the ids decode to, and the named special tokens that a chat template sees. What
AutoTokenizer refuses is counted and left out, and so is a class whose vocabulary is of another kind than the file's: there
karat keeps to the file. Exit code 1 on any difference.

usage: check_tokenizers.py [--karat target/release/karat] [--jobs N] [--only WORD] FOLDER...
       (FOLDER: ../shared/data/tokenizers ../shared/reference/models)
needs: transformers >= 5.24, tokenizers, sentencepiece, protobuf, jinja2
"""
import argparse, copy, json, multiprocessing, os, pathlib, shutil, subprocess, sys, tempfile

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false")

TEXTS = [
    "Hello Ünï", "", " ", "  two  spaces ", "How can I pay? \n\n Two\t tabs\r\n123456 it's IT'S they'LL", "你好 world ﬁ éÀ e\u0301",
    "<|im_end|> foo <s>bar</s> x <s> y", "a <|endoftext|>  b<|im_start|>user\nhi", "[CLS] x [SEP]y [MASK] z [UNK]<mask> w",
    "foo.bar, (baz)! don't 's 've", "▁under▁score <0x41>", "extra_one the extra_two<extra>", "🙂 \u200d\u00a0x", "<unk><pad>",
]
VOCABULARY = {"Bert": "WordPiece", "DistilBert": "WordPiece", "MPNet": "WordPiece", "XLMRoberta": "Unigram", "DebertaV2": "Unigram"}


def token(content, **flags):
    return {"content": content, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True, **flags}


def variations(file, distinct):
    """Name, additions to tokenizer_config.json (None takes a key out), further files."""
    added = [t["content"] for t in file["added_tokens"] if t["special"]]
    ids = {t["content"]: t["id"] for t in file["added_tokens"]}
    every = {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in file["added_tokens"]}
    vocab = file["model"]["vocab"]
    words = sorted(vocab, key=vocab.get) if isinstance(vocab, dict) else [word for word, _ in vocab]
    words = words[len(words) // 2:][:10]
    yield "as it is", {}, {}
    for flag in ("add_bos_token", "add_eos_token", "do_lower_case", "strip_accents", "tokenize_chinese_chars", "add_prefix_space",
                 "legacy", "split_by_punct", "trim_offsets", "clean_up_tokenization_spaces", "split_special_tokens"):
        for value in (True, False):
            yield f"{flag}={value}", {flag: value}, {}
    yield "bos and eos", {"add_bos_token": True, "add_eos_token": True}, {}
    for name in added[:2]:
        for flag in ("lstrip", "rstrip", "normalized", "single_word"):
            yield f"{name} {flag}", {"added_tokens_decoder": {**every, str(ids[name]): token(name, **{flag: True})}}, {}
        yield f"{name} not special", {"added_tokens_decoder": {**every, str(ids[name]): token(name, special=False)}}, {}
        yield f"{name} alone", {"added_tokens_decoder": {str(ids[name]): token(name, lstrip=True, rstrip=True)}}, {}
    top = max([len(vocab) - 1, *ids.values()])
    more = {str(top + 1): token("<extra>"), str(top + 2): token("extra_one", special=False, normalized=True, lstrip=True)}
    yield "more added tokens", {"added_tokens_decoder": {**every, **more}}, {}
    yield "no added tokens", {"added_tokens_decoder": {}}, {}
    yield "a word as added", {"added_tokens_decoder": {**every, str(vocab[words[0]] if isinstance(vocab, dict) else len(vocab) // 2): token(words[0])}}, {}
    yield "extra special", {"extra_special_tokens": ["<extra>", words[1]]}, {}
    yield "additional special", {"additional_special_tokens": ["<extra>", words[2]]}, {}
    yield "extra named", {"extra_special_tokens": {"image_token": "<extra>"}}, {}
    yield "image token", {"image_token": "<extra>"}, {}
    yield "null tokens", {"bos_token": None, "eos_token": None, "unk_token": None}, {}
    yield "named word", {"bos_token": words[3]}, {}
    yield "named new", {"pad_token": "<extra>"}, {}
    yield "named as object", {"bos_token": {"__type": "AddedToken", **token(words[4], lstrip=True)}}, {}
    yield "map file", {"added_tokens_decoder": None}, {"special_tokens_map.json": {"eos_token": token(words[5], rstrip=True), "bos_token": words[6]}}
    yield "map file unread", {"added_tokens_decoder": every}, {"special_tokens_map.json": {"eos_token": words[5]}}
    yield "added file", {"added_tokens_decoder": None}, {"added_tokens.json": {"extra_one": top + 1}}
    if not distinct:
        return
    classes = ["PreTrainedTokenizerFast", "PreTrainedTokenizer", "NobodysTokenizer", "GPT2Tokenizer", "GPT2TokenizerFast", "RobertaTokenizer",
               "BartTokenizerFast", "CodeGenTokenizer", "GPTNeoXTokenizerFast", "Qwen2Tokenizer", "Qwen3_5Tokenizer", "LlamaTokenizer",
               "LlamaTokenizerFast", "CodeLlamaTokenizer", "GemmaTokenizer", "GemmaTokenizerFast", "BertTokenizer", "DistilBertTokenizerFast",
               "MobileBertTokenizer", "MPNetTokenizer", "XLMRobertaTokenizer", "XLMRobertaTokenizerFast", "DebertaV2Tokenizer", "DebertaV2TokenizerFast"]
    for name in classes:
        for flags in ({}, {"add_prefix_space": True}, {"add_prefix_space": False}, {"do_lower_case": False}, {"do_lower_case": True},
                      {"strip_accents": True}, {"strip_accents": False}, {"tokenize_chinese_chars": False}, {"legacy": True},
                      {"legacy": False}, {"legacy": True, "add_prefix_space": True}, {"split_by_punct": True}, {"add_bos_token": True},
                      {"add_eos_token": True}, {"trim_offsets": False, "add_prefix_space": True},
                      {"added_tokens_decoder": {**every, **more}}, {"extra_special_tokens": ["<extra>"]}):
            yield f"{name} {json.dumps(flags)[:60]}", {"tokenizer_class": name, **flags}, {}
    for model in ("gpt2", "qwen2", "qwen3", "llama", "mistral", "gemma2", "gemma3_text", "bert", "roberta", "phi3", "olmo2", "gpt_neox",
                  "mpnet", "xlm-roberta", "deberta-v2", "modernbert", "phi", "starcoder2"):
        for name in (None, "PreTrainedTokenizerFast", "LlamaTokenizerFast", "GPT2Tokenizer"):
            yield f"{model} {name}", {"tokenizer_class": name}, {"config.json": {"model_type": model}}


def kind(file):
    model = file["model"]
    return model.get("type") or ("BPE" if "merges" in model else "WordPiece" if isinstance(model["vocab"], dict) else "Unigram")


def transformers_side(folder, file):
    """What AutoTokenizer makes of a folder, or why it does not count."""
    from transformers import AutoTokenizer
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        name = type(tokenizer).__name__.removesuffix("Tokenizer")
        if name != "TokenizersBackend" and VOCABULARY.get(name, "BPE") != kind(file):
            return None, "another kind of vocabulary"
        rows = []
        for text in TEXTS:
            ids = tokenizer.encode(text)
            rows.append((ids, tokenizer.encode(text, add_special_tokens=False), tokenizer.decode(ids)))
        return {"rows": rows, "tokens": tokenizer.special_tokens_map, "class": type(tokenizer).__name__}, None
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"[:120]


def karat_side(karat, folder, ids):
    names = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token", "image_token"]
    shown = " ".join("{% if " + n + " is defined %}" + n + "={{ " + n + "|tojson }}{% endif %}" for n in names)
    template = "{% if messages[0].role == 'text' %}{{ messages[0].content }}{% else %}" + shown + "{% endif %}"
    pathlib.Path(folder, "chat_template.jinja").write_text(template)
    lines = [{"id": 0, "messages": [{"role": "names", "content": "x"}]}]
    for text, own in zip(TEXTS, ids):
        lines += [{"id": 1, "prompt": text}, {"id": 2, "messages": [{"role": "text", "content": text}]}, {"id": 3, "prompt_ids": own}]
    done = subprocess.run([karat, "render", folder], input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True,
                          text=True, env={**os.environ, "KARAT_CACHE": ""})
    if done.returncode not in (0, 3):
        return f"exit code {done.returncode}: {done.stderr.strip()[:300]}"
    out = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = [line["error"] for line in out if line.get("error")]
    if wrong:
        return wrong[0]
    rows = [(a["ids"], b["ids"], c["text"]) for a, b, c in zip(out[1::3], out[2::3], out[3::3])]
    return {"rows": rows, "tokens": dict(pair.split("=", 1) for pair in out[0]["text"].split(" ") if pair)}


def compare(job):
    karat, source, name, change, files = job
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary, "m")
        folder.mkdir()
        for file in source.iterdir():
            if file.suffix in (".json", ".txt", ".model") and file.name != "reference.json":
                (folder / file.name).symlink_to(file.resolve())
        file = json.loads((source / "tokenizer.json").read_text())
        config = json.loads((source / "tokenizer_config.json").read_text()) if (source / "tokenizer_config.json").is_file() else {}
        config.pop("chat_template", None)
        for key, value in change.items():
            config[key] = copy.deepcopy(value)
        for key in ("added_tokens_decoder", "tokenizer_class"):
            if config.get(key, 0) is None:
                del config[key]
        for other, content in {**files, "tokenizer_config.json": config}.items():
            (folder / other).unlink(missing_ok=True)
            (folder / other).write_text(json.dumps(content))
        expected, why = transformers_side(folder, file)
        if expected is None:
            return source.name, name, "left out", why
        got = karat_side(karat, folder, [row[0] for row in expected["rows"]])
        if isinstance(got, str):
            return source.name, name, "differs", f"karat: {got}"
        for text, right, own in zip(TEXTS, expected["rows"], got["rows"]):
            for what, a, b in zip(("ids", "ids without special tokens", "decoded"), right, own):
                if a != b:
                    return source.name, name, "differs", f"{expected['class']} {what} of {text!r}: {b} instead of {a}"
        tokens = {key: json.dumps(value, ensure_ascii=False) for key, value in expected["tokens"].items() if " " not in str(value)}
        seen = {key: value for key, value in got["tokens"].items() if key in tokens or key in expected["tokens"]}
        known = {key: value for key, value in tokens.items() if key in karat_names()}
        if {k: v for k, v in seen.items() if k in known} != known or set(got["tokens"]) - set(expected["tokens"]):
            return source.name, name, "differs", f"{expected['class']} named tokens {got['tokens']} instead of {expected['tokens']}"
        return source.name, name, "agrees", expected["class"]


def karat_names():
    return ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token", "image_token")


def made(folder):
    """Folders of the kinds that are missing: Unigram, and BPE with byte fallback."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    text = [line.replace("\n", " ") for line in TEXTS] * 20 + ["the quick brown fox jumps over the lazy dog"] * 20
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    unigram = Tokenizer(models.Unigram())
    unigram.normalizer = normalizers.NFKC()
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unigram.decoder = decoders.Metaspace()
    unigram.train_from_iterator(text, trainers.UnigramTrainer(vocab_size=400, special_tokens=special, unk_token="<unk>", show_progress=False))
    unigram.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>",
                                                           special_tokens=[("<s>", 0), ("</s>", 2)])
    spm = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    spm.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    spm.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    spm.train_from_iterator(text, trainers.BpeTrainer(vocab_size=700, show_progress=False,
                            special_tokens=["<unk>", "<s>", "</s>", "<pad>"] + [f"<0x{byte:02X}>" for byte in range(256)]))
    file = json.loads(spm.to_str())
    file["added_tokens"] = file["added_tokens"][:4]
    file["post_processor"] = json.loads(unigram.to_str())["post_processor"] | {
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}}
    for name, content in (("made-unigram", unigram.to_str()), ("made-spm", json.dumps(file))):
        (folder / name).mkdir()
        (folder / name / "tokenizer.json").write_text(content)
        (folder / name / "tokenizer_config.json").write_text("{}")
    return [folder / "made-unigram", folder / "made-spm"]


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--karat", default=str(root / "target/release/karat"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="variations or folders with this word in their name")
    args = parser.parse_args()
    karat = str(pathlib.Path(args.karat).resolve())
    with tempfile.TemporaryDirectory() as temporary:
        found = [folder for parent in args.folders for folder in sorted(parent.iterdir()) if (folder / "tokenizer.json").is_file()]
        count, found = len(found), found + made(pathlib.Path(temporary))
        jobs, seen = [], set()
        for folder in found:
            text = (folder / "tokenizer.json").read_text()
            for name, change, files in variations(json.loads(text), text not in seen):
                if args.only in f"{folder.name} {name}":
                    jobs.append((karat, folder, name, change, files))
            seen.add(text)
        with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
            results = []
            for result in pool.imap(compare, jobs, chunksize=4):
                results.append(result)
                if result[2] == "differs":
                    print(f"{result[0]}: {result[1]}: {result[3]}", flush=True)
                if len(results) % 200 == 0:
                    print(f"{len(results)} of {len(jobs)}", file=sys.stderr, flush=True)
    totals = {}
    for _, _, outcome, _ in results:
        totals[outcome] = totals.get(outcome, 0) + 1
    reasons = {}
    for _, name, outcome, note in results:
        if outcome == "left out":
            reasons.setdefault(note.split(":")[0], []).append(name)
    import tokenizers, transformers
    print(f"transformers {transformers.__version__}, tokenizers {tokenizers.__version__}: {count} folders and {len(found) - count} made, "
          f"{len(results)} variations of {len(TEXTS)} texts: {totals}")
    print("left out: " + ", ".join(f"{len(names)} {reason}" for reason, names in sorted(reasons.items())))
    sys.exit(1 if totals.get("differs") or not totals.get("agrees") else 0)


if __name__ == "__main__":
    main()
