"""Writes the student as a sentence-transformers folder: f16 weights, tokenizer, pooling and normalisation."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file


def write_folder(folder, model, tokenizer, length):
    """All files but the card."""
    folder = Path(folder)
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().to(torch.float16).contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = model.config.to_dict()
    wanted = ("vocab_size hidden_size num_hidden_layers num_attention_heads intermediate_size max_position_embeddings "
              "type_vocab_size hidden_act hidden_dropout_prob attention_probs_dropout_prob initializer_range layer_norm_eps "
              "pad_token_id").split()
    special = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]"}
    module = "sentence_transformers.models."
    files = {
        "config.json": {"architectures": ["BertModel"], "model_type": "bert", "torch_dtype": "float16",
                        "position_embedding_type": "absolute"} | {key: config[key] for key in wanted},
        "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": length,
                                  "strip_accents": None, "tokenize_chinese_chars": True} | special,
        "special_tokens_map.json": special,
        "modules.json": [
            {"idx": 0, "name": "0", "path": "", "type": module + "Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": module + "Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": module + "Normalize"},
        ],
        "1_Pooling/config.json": {"word_embedding_dimension": model.config.hidden_size, "pooling_mode_cls_token": False,
                                  "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False,
                                  "pooling_mode_mean_sqrt_len_tokens": False},
        "sentence_bert_config.json": {"max_seq_length": length, "do_lower_case": False},
        "config_sentence_transformers.json": {"similarity_fn_name": "cosine"},
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=2) + "\n")
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False, indent=1) + "\n")
    (folder / "vocab.txt").write_text("\n".join(tokenizer["model"]["vocab"]) + "\n")
