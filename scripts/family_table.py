#!/usr/bin/env python3
"""Write the table of families in docs/models.md: the code's lists of model types, with what the parity tests print.

usage: cargo test --release --test parity -- --nocapture 2>&1 | python3 scripts/family_table.py [--check]

Reads lines such as `…/models/gemma2: logits within 2.4e-6, …` and `…/bert mean_pooled: cosine 1 - 3.1e-13 or more` from the
standard input, takes the family of each folder from its config.json and the types from DECODERS and ENCODERS in
engine/src/models/families/mod.rs, and rewrites docs/models.md between the two markers. With --check it writes nothing and fails where a
family of the code has no figure or no name here.
"""
import json, pathlib, re, sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAMES = {
    "gemma": "Gemma 1", "gemma2": "Gemma 2", "gemma3": "Gemma 3 (the text part)", "gemma3_text": "Gemma 3", "gpt2": "GPT-2", "gpt_neox": "GPT-NeoX, Pythia",
    "granite": "Granite 3", "llama": "Llama 1 to 3.x, TinyLlama, SmolLM2", "mistral": "Mistral", "mixtral": "Mixtral", "olmo": "OLMo 1", "olmo2": "OLMo 2",
    "phi": "Phi-1, 1.5, 2", "phi3": "Phi-3, 3.5, 4 (LongRoPE)", "qwen2": "Qwen2, Qwen2.5", "qwen2_moe": "Qwen2-MoE", "qwen3": "Qwen3", "qwen3_moe": "Qwen3-MoE",
    "smollm3": "SmolLM3", "stablelm": "StableLM", "starcoder2": "StarCoder2", "bert": "BERT, MiniLM, BGE, E5, GTE", "deberta-v2": "DeBERTa v2, v3",
    "distilbert": "DistilBERT", "modernbert": "ModernBERT", "mpnet": "MPNet", "roberta": "RoBERTa", "xlm-roberta": "XLM-RoBERTa",
}
# Families that `cuda::computes` leaves to the CPU; the others were seen on an emulated GPU.
ON_CPU = {"deberta-v2", "mpnet"}
GGUF = {"llama", "mistral", "mixtral", "qwen2", "qwen3", "qwen3_moe", "gemma", "gemma2", "gemma3_text", "phi3"}
BEGIN, END = "<!-- families: scripts/family_table.py -->", "<!-- end of families -->"


def listed(name):
    text = (ROOT / "engine/src/models/families/mod.rs").read_text()
    return re.findall(r'"([^"]+)"', re.search(rf"pub const {name}: [^=]*= \[(.*?)\];", text, re.S).group(1))


def figures(lines):
    """model type -> (worst logit, worst 1 - cosine, checkpoints)."""
    found = {}
    for line in lines:
        match = re.match(r"(\S*/models/[^ :]+)( [a-z_]+)?: (logits within|cosine 1 -) ([0-9.e+-]+)", line)
        if not match: continue
        kind = json.loads((pathlib.Path(match[1]) / "config.json").read_text())["model_type"]
        entry = found.setdefault(kind, {"logits": None, "cosine": None, "folders": set()})
        side = "logits" if match[3].startswith("logits") else "cosine"
        entry[side] = max(entry[side] or 0.0, abs(float(match[4])))
        entry["folders"].add(match[1])
    return found


def main():
    found, missing = figures(sys.stdin), []
    rows = ["| family (`model_type`) | generates, log-probabilities | embeds, classifies | weights | CPU | CUDA | parity with transformers (f64) |", "|---|---|---|---|---|---|---|"]
    for decoder, kinds in ((True, listed("DECODERS")), (False, listed("ENCODERS"))):
        for kind in kinds:
            figure = found.get("gemma3_text" if kind == "gemma3" else kind)
            if kind not in NAMES or not figure:
                missing.append(kind)
                continue
            parts = []
            if figure["logits"] is not None: parts.append(f"logits within {figure['logits']:.1e}")
            if figure["cosine"] is not None: parts.append("cosine ≥ 0.999999")
            cuda = "the CPU does" if kind in ON_CPU else "emulated"
            weights = "safetensors f32, bf16, f16" + ("; GGUF" if kind in GGUF else "")
            rows.append(f"| {NAMES[kind]} (`{kind}`) | {'yes' if decoder else ''} | {'' if decoder else 'yes'} | {weights} | yes | {cuda} | "
                        f"{', '.join(parts)} ({len(figure['folders'])} checkpoint{'s' * (len(figure['folders']) > 1)}) |")
    if missing: sys.exit(f"no figure or no name for: {', '.join(missing)}")
    if "--check" in sys.argv: return
    path = ROOT / "docs/models.md"
    text = path.read_text()
    before, rest = text.split(BEGIN)
    path.write_text(before + BEGIN + "\n" + "\n".join(rows) + "\n" + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
