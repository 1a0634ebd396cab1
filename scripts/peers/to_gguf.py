"""Writes a Hugging Face folder of a Llama architecture as GGUF, with the metadata and row order of convert_hf_to_gguf.py.

    to_gguf.py FOLDER OUT.gguf --type f32|bf16|q8_0|q4_k_m|q6_k

For peers that are fed token ids, and for test files: the file says how many tokens there are, not what they are (no_vocab).
Matrices get the type, all else stays f32. q4_k_m and q6_k are made by llama.cpp itself out of a passing f32 file; where K is
no multiple of 256 it takes other types, so what the file holds is printed by count.
"""

import argparse
import collections
import ctypes
import json
import math
import pathlib
import sys
import tempfile

import gguf
import numpy as np
from gguf import GGMLQuantizationType, LlamaFileType
from safetensors.torch import load_file

DIRECT = {
    "f32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "bf16": (GGMLQuantizationType.BF16, LlamaFileType.MOSTLY_BF16),
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
}
BY_LLAMA_CPP = {"q4_k_m": LlamaFileType.MOSTLY_Q4_K_M, "q6_k": LlamaFileType.MOSTLY_Q6_K}


def permute(rows, heads):
    """Rows of q or k from rotated halves, as transformers has them, to rotated pairs of neighbours, as llama.cpp wants them."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def llama3_factors(rope, dim):
    """By what llama.cpp is to divide each of the dim / 2 frequencies."""
    context, factor = rope["original_max_position_embeddings"], rope["factor"]
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    # How often a frequency turns within the context: few turns are stretched by the factor, many are left, in between blended.
    turns = context / (2 * math.pi) * rope["rope_theta"] ** -(np.arange(0, dim, 2) / dim)
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)


def describe(writer, config, rope, dim, file_type):
    """Everything but the tensors."""
    heads = config["num_attention_heads"]
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads", heads))
    writer.add_key_length(dim)
    writer.add_value_length(dim)
    writer.add_rope_dimension_count(dim)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    for add, key in (writer.add_bos_token_id, "bos_token_id"), (writer.add_eos_token_id, "eos_token_id"):
        token = config.get(key)
        if token is not None:
            add(token[0] if isinstance(token, list) else token)


def convert(folder, out, kind):
    """Writes `out` in one of the DIRECT types."""
    config = json.loads((folder / "config.json").read_text())
    assert config["model_type"] == "llama", f"a {config['model_type']}, not a Llama architecture"
    # transformers 5 keeps rope_theta among the rope parameters, 4 beside what scales them.
    rope = config.get("rope_parameters") or {"rope_theta": config["rope_theta"], **(config.get("rope_scaling") or {})}
    scaling = rope.get("rope_type", "default")
    assert scaling in ("default", "llama3"), f"rope of type {scaling}"
    heads = config["num_attention_heads"]
    dim = config.get("head_dim") or config["hidden_size"] // heads
    quantization, file_type = DIRECT[kind]
    writer = gguf.GGUFWriter(out, "llama")
    describe(writer, config, rope, dim, file_type)
    if scaling == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_factors(rope, dim))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for path in sorted(folder.glob("model*.safetensors")):
        for name, tensor in load_file(path).items():
            if name == "lm_head.weight" and config.get("tie_word_embeddings"):
                continue
            values = tensor.float().numpy()
            if ".q_proj." in name:
                values = permute(values, heads)
            elif ".k_proj." in name:
                values = permute(values, config.get("num_key_value_heads", heads))
            own = quantization if values.ndim > 1 else GGMLQuantizationType.F32
            target = names.get_name(name, try_suffixes=(".weight", ".bias"))
            assert target, f"a tensor without a place: {name}"
            writer.add_tensor(target, gguf.quants.quantize(values, own), raw_dtype=own)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantize(source, out, file_type):
    """Lets llama.cpp write `out` from an f32 file."""
    import llama_cpp

    @llama_cpp.llama_log_callback
    def report(level, text, _):
        """Only errors, which are llama.cpp's level 4: it would list every tensor."""
        if level == 4:
            print(text.decode(), end="", file=sys.stderr)

    llama_cpp.llama_log_set(report, None)
    llama_cpp.llama_backend_init()
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype, params.nthread = file_type, 2
    failed = llama_cpp.llama_model_quantize(str(source).encode(), str(out).encode(), ctypes.byref(params))
    assert not failed, "llama.cpp could not quantize"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--type", choices=[*DIRECT, *BY_LLAMA_CPP], default="f32")
    args = parser.parse_args()
    if args.type in DIRECT:
        convert(args.folder, args.out, args.type)
    else:
        with tempfile.TemporaryDirectory(dir=args.out.parent) as passing:
            source = pathlib.Path(passing) / "f32.gguf"
            convert(args.folder, source, "f32")
            quantize(source, args.out, BY_LLAMA_CPP[args.type])
    types = collections.Counter(tensor.tensor_type.name for tensor in gguf.GGUFReader(args.out).tensors)
    held = ", ".join(f"{count} {name}" for name, count in types.most_common())
    print(f"{args.out}: {args.out.stat().st_size >> 20} MiB, {held}")


if __name__ == "__main__":
    main()
