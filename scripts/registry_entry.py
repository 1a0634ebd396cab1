#!/usr/bin/env python3
"""Write or refresh an entry of the model registry: hashes, parameters and type are recomputed, all else is kept.

A new entry takes its other keys from the arguments; so does an existing one, for those that are given. The folder of an
existing entry comes from its `source`. What counts as read by inference is what engine/src/models/identity.rs hashes;
`karat models verify NAME@VERSION` proves that both agree. Comments are not kept. Standard library only.

usage: registry_entry.py models/NAME@VERSION.yaml [--kind generator|embedder|classifier] [--description TEXT]
       [--folder FOLDER] [--licence TEXT] [--commit HEX] [--data-hash HEX] [--command TEXT] [--teacher TEXT]
       [--evaluation FIGURES.json] [--card FILE]     (folder and card from the entry's folder)

--name and --version may be given and must then be those of the file. --evaluation takes a JSON object of numbers;
nested objects become dotted names. --commit is HEAD where a training is written for the first time.
"""
import argparse, hashlib, json, pathlib, re, struct, subprocess, sys

FILES = [
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "chat_template.jinja", "chat_template.json", "modules.json", "sentence_bert_config.json", "1_Pooling/config.json",
]
DTYPES = {"F64": "f64", "F32": "f32", "F16": "f16", "BF16": "bf16"}
KINDS = ["generator", "embedder", "classifier"]


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weight_files(folder):
    """The single file, or the shards of the index, as karat chooses them."""
    if (folder / "model.safetensors").is_file():
        return ["model.safetensors"]
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    return sorted(set(index["weight_map"].values()))


def model_files(folder):
    """Names of the files that inference reads."""
    names = list(FILES)
    if (folder / "modules.json").is_file():
        modules = json.loads((folder / "modules.json").read_text())
        names += [f"{module['path']}/{name}" for module in modules if module.get("path") for name in ("config.json", "model.safetensors")]
    prompts = folder / "config_sentence_transformers.json"
    if prompts.is_file() and isinstance(json.loads(prompts.read_text()).get("default_prompt_name"), str):
        names.append(prompts.name)
    return sorted({name for name in names if (folder / name).is_file()} | set(weight_files(folder)))


def weights(folder):
    """Most frequent type and number of the float values, from the safetensors headers."""
    counts = {}
    for name in weight_files(folder):
        with open(folder / name, "rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        for tensor, info in header.items():
            if tensor != "__metadata__" and info["dtype"] in DTYPES:
                size = 1
                for extent in info["shape"]:
                    size *= extent
                counts[DTYPES[info["dtype"]]] = counts.get(DTYPES[info["dtype"]], 0) + size
    return max(counts, key=counts.get), sum(counts.values())


def flat(figures, prefix=""):
    """Dotted name and value of every number in nested objects."""
    for name, value in figures.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield f"{prefix}{name}", value


# A key, quoted or plain, and a value: quoted, a map in braces, or plain up to a comment.
TEXT = r'"(?:[^"\\]|\\.)*"'
PAIR = re.compile(rf'( *)({TEXT}|[^\s:"{{}}]+): *({TEXT}|\{{.*\}}|[^\s"{{\[|>&*!#][^#]*)?\s*(?:#.*)?')
INLINE = re.compile(rf'({TEXT}|[^\s:,"{{}}]+): *({TEXT}|[^,{{}}]*)')


def scalar(text):
    """Texts are quoted as JSON wherever they could be anything else."""
    try:
        return json.loads(text)
    except ValueError:
        return text.strip()


def read(path):
    """An entry: two levels of keys with a scalar each, the second one indented or in braces."""
    entry, section = {}, None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        pair = PAIR.fullmatch(line)
        if not pair or (pair[1] and section is None):
            sys.exit(f"{path}:{number}: this script reads two levels of `key: value`, texts plain or quoted as JSON")
        key, value = scalar(pair[2]), pair[3]
        if pair[1]:
            section[key] = scalar(value or "")
        elif value and not value.startswith("{"):
            entry[key], section = scalar(value), None
        else:
            section = entry[key] = {scalar(k): scalar(v) for k, v in INLINE.findall((value or "")[1:-1])}
    return entry


def quoted(value):
    return json.dumps(value, ensure_ascii=False)


def write(path, entry):
    lines = ["# Written by scripts/registry_entry.py, which keeps all keys and no comments."]
    for key, value in entry.items():
        if not isinstance(value, dict):
            lines.append(f"{key}: {quoted(value)}")
        elif value:
            lines.append(f"{key}:")
            lines += [f"  {name}: {quoted(item)}" for name, item in value.items()]
    path.write_text("\n".join(lines) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("entry", type=pathlib.Path)
    parser.add_argument("--kind", choices=KINDS)
    for name in ["name", "version", "description", "folder", "licence", "card"]:
        parser.add_argument(f"--{name}")
    for name in ["commit", "data-hash", "command", "teacher"]:
        parser.add_argument(f"--{name}")
    parser.add_argument("--evaluation", type=pathlib.Path)
    args = parser.parse_args()
    name, _, version = args.entry.name.removesuffix(".yaml").partition("@")
    if not version or not args.entry.name.endswith(".yaml"):
        parser.error(f"{args.entry.name} is not NAME@VERSION.yaml")
    if (args.name or name, args.version or version) != (name, version):
        parser.error("--name and --version are those of the file")

    old = read(args.entry) if args.entry.exists() else {}
    source = {"folder": args.folder} if args.folder else old.get("source", {})
    if "folder" not in source:
        parser.error("--folder is needed: the entry names no folder" + " but the hub" * ("hub" in source))
    folder = args.entry.parent / source["folder"]
    dtype, parameters = weights(folder)
    files = {file: sha256(folder / file) for file in model_files(folder)}

    training = dict(old.get("training", {}))
    given = {"commit": args.commit, "data": args.data_hash, "command": args.command, "teacher": args.teacher}
    training.update({key: value for key, value in given.items() if value})
    if training and "commit" not in training:
        head = ["git", "-C", str(args.entry.parent), "rev-parse", "HEAD"]
        training["commit"] = subprocess.run(head, check=True, capture_output=True, text=True).stdout.strip()
    missing = [key for key in ("commit", "data", "command") if training and key not in training]
    if missing:
        parser.error("a training needs --data-hash and --command")
    figures = dict(flat(json.loads(args.evaluation.read_text()))) if args.evaluation else old.get("evaluation", {})

    entry = {
        "name": name,
        "version": version,
        "kind": args.kind or old.get("kind"),
        "description": args.description or old.get("description"),
        "source": source,
        "files": files,
        "tokenizer": files.get("tokenizer.json"),
        "dtype": dtype,
        "parameters": parameters,
        "licence": args.licence or old.get("licence"),
        "training": {key: training[key] for key in given if key in training},
        "evaluation": figures,
        "card": args.card or old.get("card"),
    }
    for key in ("kind", "description", "tokenizer", "licence"):
        if not entry[key]:
            parser.error(f"--{key} is needed" if key != "tokenizer" else f"{folder} has no tokenizer.json")
    write(args.entry, {key: value for key, value in entry.items() if value not in (None, {})})
    print(f"{args.entry}: {len(files)} files, {parameters} parameters in {dtype}")


if __name__ == "__main__":
    main()
