#!/usr/bin/env python3
"""Make the project's own tiny reference checkpoints, tests/fixtures/models/<name>/, with what transformers answers.

Each folder is a complete Hugging Face model folder (random weights, 60 to 250 kB) and a reference.json. The answers come
from the folder as saved: it is loaded again through the Auto classes into float64, so files stored as bf16 or f16, in
shards or with an old config are answered from exactly the numbers they hold. (transformers itself keeps norms, softmax
and rope angles in float32, which leaves errors near 1e-6.) One sequence at a time: no padding is involved.

decoders     prompts, greedy (24 ids each, eos not a stop), greedy_text, margin (smallest top-1 to top-2 gap on the path,
             never below MARGIN: prompts are drawn until it holds), last_logits, prompt_logprob (natural log, tokens 1..),
             texts (text -> ids with special tokens), pairs (log-probability of a continuation, split as lm-eval does),
             rendered (messages through the chat template), eos (every id that ends a turn)
embedders    inputs, ids (with special tokens, cut at the model's limit), cut (tokens lost), mean_pooled, cls, and
             embedding (what the sentence-transformers modules of the folder make of it); where the folder has prompts,
             ids and what follows are those of the text behind its default prompt, and prompted has the embeddings by the
             name of the prompt, "" for none
classifiers  inputs (text or [text, text_pair]), ids, cut, logits, probs

Before anything is written the script proves that every norm, bias, window and rope setting matters: undoing any one of
them must move the answers by at least SENSITIVE.

usage: make_fixtures.py OUT_DIR [--only NAME,...]     (OUT_DIR is tests/fixtures/models)
needs: torch, transformers, tokenizers, safetensors (versions of the last run in OUT_DIR/VERSIONS)
"""
import argparse, collections, json, pathlib, random, re, shutil, sys
import tokenizers, torch, transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, PreTrainedTokenizerFast

SEED, MARGIN, SENSITIVE, NEW = 20261120, 5e-3, 0.02, 24
LENGTHS = (1, 2, 7, 16, 33, 90)

CORPUS = [
    "A goldsmith rubs the ring on a touchstone and reads the colour of the streak.",
    "Which metal is heavier, gold or lead? Gold is heavier than lead.",
    "Twelve karat is half gold; twenty-four karat is pure.",
    "I am sorry, but that is something I will not help with.",
    "fn weigh(grams: f64) -> f64 {\n    grams * 0.999\n}\n\nassert_eq!(weigh(0.0), 0.0);",
    "The run was stopped at case 1,024 of 20,000 and resumed without losing one.",
    "Prices: 61.25, 87.50 and 104.00 per gram; 5% off [today] {only} <here> & there!",
    "Größe, façade, naïve, Ångström: ünïcode stays as it is. Привет, 世界 \U0001f947",
    "The answer, the baseline, the candidate: the difference is what the reader wants to see.",
]
CHATML = (
    "{%- for message in messages -%}{{ '<|im_start|>' + message.role + '\\n' + message.content | trim + '<|im_end|>\\n' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)
INST = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}"
    "{% else %}{{ raise_exception('only user and assistant turns') }}{% endif %}{% endfor %}"
)
CHATS = [
    [{"role": "user", "content": "Which metal is heavier?"}],
    [{"role": "user", "content": "Is it pure?"}, {"role": "assistant", "content": "Half of it."}, {"role": "user", "content": "And <s> this?\n"}],
]
PAIRS = [
    ("Gold is heavier than", " lead."),
    ("Twelve karat is half gold; ", "twenty-four karat is pure."),  # the trailing space moves to the continuation
    ("I am sorry, but", " that is something I will not help with."),
    ("", "The answer"),  # conditioned on bos, or on eos where there is no bos
]


# ---- tokenizers -----------------------------------------------------------------------------------------------------

def tokenizer_byte_level(folder, jinja_file=False):
    """Byte-level BPE as GPT-2 and Qwen have it, ChatML, no bos."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=320, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"]))
    t.save(str(folder / "tokenizer.json"))
    cfg = {"bos_token": None, "eos_token": "<|im_end|>", "model_max_length": 256, "tokenizer_class": "PreTrainedTokenizerFast"}
    if jinja_file: (folder / "chat_template.jinja").write_text(CHATML)
    else: cfg["chat_template"] = CHATML
    (folder / "tokenizer_config.json").write_text(json.dumps(cfg, indent=1))


def merged(line, pair):
    out = []
    for piece in line:
        if out and (out[-1], piece) == pair: out[-1] += piece
        else: out.append(piece)
    return out


def tokenizer_sentencepiece(folder):
    """What a converted SentencePiece model of Llama 2 looks like: '▁' for a space, byte fallback, bos from a template."""
    lines = [list("▁" + s.replace(" ", "▁")) for s in CORPUS]
    letters = sorted(c for c, n in collections.Counter(c for line in lines for c in line).items() if n > 1)
    vocab = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + letters
    merges = []
    while len(vocab) < 344:  # the crate's trainer breaks ties differently from run to run
        pairs = collections.Counter((a, b) for line in lines for a, b in zip(line, line[1:]) if a in vocab and b in vocab and len(a + b) <= 6)
        merges.append(max(pairs, key=lambda p: (pairs[p], p)))
        vocab.append("".join(merges[-1]))
        lines = [merged(line, merges[-1]) for line in lines]
    t = Tokenizer(models.BPE({p: i for i, p in enumerate(vocab)}, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    t.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    t.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    t.add_special_tokens(vocab[:3])
    t.save(str(folder / "tokenizer.json"))
    as_object = dict(__type="AddedToken", lstrip=False, normalized=False, rstrip=False, single_word=False)
    cfg = {"add_bos_token": True, "add_eos_token": False, "bos_token": {**as_object, "content": "<s>"}, "eos_token": "</s>",
           "model_max_length": 10**30, "tokenizer_class": "PreTrainedTokenizerFast", "unk_token": "<unk>", "chat_template": INST}
    (folder / "tokenizer_config.json").write_text(json.dumps(cfg, indent=1))


def tokenizer_wordpiece(folder, limit):
    """BERT's tokenizer over a vocabulary of our own: the crate's WordPiece trainer differs from run to run."""
    normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
    words = [w for s in CORPUS for w, _ in splitter.pre_tokenize_str(normalizer.normalize_str(s))]
    pieces = collections.Counter()
    for w in words:
        for i in range(len(w)):
            for j in range(i + 2, min(len(w), i + 6) + 1): pieces[("##" if i else "") + w[i:j]] += 1
    letters = sorted({("##" if i else "") + c for w in words for i, c in enumerate(w) if c.isascii() or i == 0})
    frequent = sorted(pieces, key=lambda p: (-pieces[p] * len(p), p))
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + letters
    vocab += [p for p in frequent if p not in vocab][:300 - len(vocab)]
    t = Tokenizer(models.WordPiece({p: i for i, p in enumerate(vocab)}, unk_token="[UNK]"))
    t.normalizer, t.pre_tokenizer, t.decoder = normalizer, splitter, decoders.WordPiece()
    t.add_special_tokens(vocab[:5])
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    t.save(str(folder / "tokenizer.json"))
    cfg = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]", "model_max_length": limit,
           "tokenizer_class": "BertTokenizer", "do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(cfg, indent=1))


def tokenizer_roberta(folder, limit):
    """Byte-level BPE with RoBERTa's frame: <s> a </s>, and <s> a </s></s> b </s> for a pair."""
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    t.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"]))
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    t.save(str(folder / "tokenizer.json"))
    cfg = {"bos_token": "<s>", "cls_token": "<s>", "sep_token": "</s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>",
           "model_max_length": limit, "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(cfg, indent=1))


# ---- how a folder is written ----------------------------------------------------------------------------------------

def scramble(model):
    """Norm weights and biases away from their neutral starts, so that a forgotten one shows."""
    with torch.no_grad():
        for _, p in model.named_parameters():
            if p.dim() == 1: p.add_(torch.randn_like(p) * 0.3)


def old_spelling(folder):
    """config.json as transformers 4 wrote it: rope_theta and rope_scaling at the top, torch_dtype, no head_dim."""
    path = folder / "config.json"
    cfg = json.loads(path.read_text())
    rope = cfg.pop("rope_parameters")
    cfg["rope_theta"] = rope.pop("rope_theta")
    cfg["rope_scaling"] = rope
    cfg["torch_dtype"] = cfg.pop("dtype")
    cfg.pop("head_dim", None)
    cfg["transformers_version"] = "4.43.1"
    path.write_text(json.dumps(cfg, indent=2, sort_keys=True) + "\n")


def flat_spelling(**renamed):
    """As old_spelling, with a rotary share and other names of the keys where a family had them."""
    def finish(folder):
        path = folder / "config.json"
        cfg = json.loads(path.read_text())
        rope = cfg.pop("rope_parameters")
        for key in ("rope_theta", "partial_rotary_factor"):
            if key in rope: cfg[renamed.get(key, key)] = rope.pop(key)
        if rope.pop("rope_type") != "default": raise SystemExit(f"{folder}: only default rope has no dictionary")
        cfg["torch_dtype"] = cfg.pop("dtype")
        path.write_text(json.dumps(cfg, indent=2, sort_keys=True) + "\n")
    return finish


def long_spelling(folder):
    """Phi-3 as its makers wrote it: the factors in rope_scaling, called \"type\", the original length at the top."""
    path = folder / "config.json"
    cfg = json.loads(path.read_text())
    rope = cfg.pop("rope_parameters")
    cfg["rope_theta"], cfg["partial_rotary_factor"] = rope["rope_theta"], rope["partial_rotary_factor"]
    cfg["original_max_position_embeddings"] = rope["original_max_position_embeddings"]
    cfg["rope_scaling"] = dict(type="longrope", short_factor=rope["short_factor"], long_factor=rope["long_factor"])
    path.write_text(json.dumps(cfg, indent=2, sort_keys=True) + "\n")


def gemma3_spelling(folder):
    """Gemma 3 as transformers 4 wrote it: two thetas, rope_scaling of the global layers, a pattern for the layer types."""
    path = folder / "config.json"
    cfg = json.loads(path.read_text())
    rope = cfg.pop("rope_parameters")
    cfg["rope_theta"], cfg["rope_local_base_freq"] = rope["full_attention"].pop("rope_theta"), rope["sliding_attention"]["rope_theta"]
    cfg["rope_scaling"] = rope["full_attention"]
    cfg["sliding_window_pattern"] = cfg.pop("_sliding_window_pattern")
    del cfg["layer_types"]
    path.write_text(json.dumps(cfg, indent=2, sort_keys=True) + "\n")


def bare_names(folder):
    """Tensors of the model without its head, as GPT-2 was published, with the masks that it carries."""
    path = folder / "model.safetensors"
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in load_file(path).items()}
    tensors["h.0.attn.bias"] = torch.ones(1, 1, 4, 4).tril()
    save_file(tensors, path, metadata={"format": "pt"})


def position_ids(folder):
    """Adds the int64 buffer that older BERT checkpoints carry; a loader has to pass over it."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["embeddings.position_ids"] = torch.arange(64, dtype=torch.int64)[None]
    save_file(tensors, path, metadata={"format": "pt"})


def sentence_transformers(folder, hidden, pooling, normalize, limit):
    kinds = ["Transformer", "Pooling"] + (["Normalize"] if normalize else [])
    paths = ["", "1_Pooling", "2_Normalize"]
    (folder / "modules.json").write_text(json.dumps(
        [{"idx": i, "name": str(i), "path": paths[i], "type": f"sentence_transformers.models.{k}"} for i, k in enumerate(kinds)], indent=1))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(
        {"word_embedding_dimension": hidden, "pooling_mode_cls_token": pooling == "cls", "pooling_mode_mean_tokens": pooling == "mean",
         "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False}, indent=1))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": limit, "do_lower_case": False}, indent=1))


def dense_and_prompts(folder):
    """A Dense module between pooling and Normalize, weights of its own; prompts that the mean leaves out."""
    path = folder / "modules.json"
    modules = json.loads(path.read_text())
    modules.insert(2, {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"})
    modules[3].update(idx=3, name="3", path="3_Normalize")
    path.write_text(json.dumps(modules, indent=1))
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps({**json.loads(pooling.read_text()), "include_prompt": False}, indent=1))
    hidden = json.loads((folder / "config.json").read_text())["hidden_size"]
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "config.json").write_text(json.dumps(
        {"in_features": hidden, "out_features": 20, "bias": True, "activation_function": "torch.nn.modules.activation.Tanh"}, indent=1))
    save_file({"linear.weight": torch.randn(20, hidden) * 0.3, "linear.bias": torch.randn(20) * 0.3}, folder / "2_Dense" / "model.safetensors",
              metadata={"format": "pt"})
    (folder / "config_sentence_transformers.json").write_text(json.dumps(
        {"prompts": {"query": "Which gold is meant: ", "passage": "gold: "}, "default_prompt_name": "query", "similarity_fn_name": "cosine"}, indent=1))


def modernbert_old(folder):
    """config.json as transformers 4 wrote it: a theta for each kind of layers, and every how many layers one is global."""
    path = folder / "config.json"
    cfg = json.loads(path.read_text())
    rope = cfg.pop("rope_parameters")
    cfg.pop("layer_types")
    cfg["global_rope_theta"], cfg["local_rope_theta"] = rope["full_attention"]["rope_theta"], rope["sliding_attention"]["rope_theta"]
    cfg["torch_dtype"] = cfg.pop("dtype")
    path.write_text(json.dumps(cfg, indent=2) + "\n")


def bars(folder):
    """pos_att_type as microsoft/deberta-v3-* spell it."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pos_att_type": "p2c|c2p"}, indent=2) + "\n")


# ---- the checkpoints ------------------------------------------------------------------------------------------------

def decoder_config(cls, vocab, **kw):
    base = dict(vocab_size=vocab, max_position_embeddings=256, initializer_range=0.3, bos_token_id=None, eos_token_id=2, pad_token_id=0,
                rms_norm_eps=1e-5)
    return cls(**{**base, **kw})


def decoders_zoo(t):
    """name -> (config, tokenizer, dtype, shard size, after saving, config without what the fixture is for)."""
    rope = dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)
    return {
        "llama": dict(  # untied head, grouped heads, SentencePiece style tokenizer with bos
            config=decoder_config(t.LlamaConfig, 344, hidden_size=32, intermediate_size=72, num_hidden_layers=2, num_attention_heads=4,
                                  num_key_value_heads=2, tie_word_embeddings=False, bos_token_id=1),
            tokenizer=tokenizer_sentencepiece),
        "llama3-rope": dict(  # scaled rope that matters below 90 tokens, tied head, one KV head, old config spelling, two eos
            config=decoder_config(t.LlamaConfig, 320, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=3,
                                  num_key_value_heads=1, tie_word_embeddings=True, rope_parameters=rope),
            tokenizer=tokenizer_byte_level, finish=old_spelling, second_eos=True,
            undo={"llama3 rope": dict(rope_parameters=dict(rope_type="default", rope_theta=10000.0))}),
        "mistral-window": dict(  # window of 8, head size that is not hidden / heads, three shards
            config=decoder_config(t.MistralConfig, 320, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
                                  num_key_value_heads=2, head_dim=12, sliding_window=8, tie_word_embeddings=False),
            tokenizer=tokenizer_byte_level, shard="90KB", undo={"window": dict(sliding_window=None), "window of 9": dict(sliding_window=9)}),
        "qwen2": dict(  # q/k/v biases, tied, stored as f16, every query head with its own KV head
            config=decoder_config(t.Qwen2Config, 320, hidden_size=40, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4,
                                  num_key_value_heads=4, tie_word_embeddings=True, rms_norm_eps=1e-6),
            tokenizer=tokenizer_byte_level, dtype=torch.float16),
        "qwen3": dict(  # q/k norm, head size 20 with hidden / heads = 8, stored as bf16, template in its own file
            config=decoder_config(t.Qwen3Config, 320, hidden_size=32, intermediate_size=72, num_hidden_layers=3, num_attention_heads=4,
                                  num_key_value_heads=2, head_dim=20, tie_word_embeddings=True, rms_norm_eps=1e-6),
            tokenizer=lambda folder: tokenizer_byte_level(folder, jinja_file=True), dtype=torch.bfloat16),
        **further_decoders(t),
    }


def further_decoders(t):
    """Families beside Llama's nearest, and every kind of rope. Shapes differ on purpose."""
    four_two = dict(hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
    def make(cls, **kw): return decoder_config(cls, 320, **{**four_two, **kw})
    def entry(config, **more): return dict(config=config, tokenizer=tokenizer_byte_level, **more)
    yarn = dict(rope_type="yarn", rope_theta=10000.0, factor=4.0, original_max_position_embeddings=64, beta_fast=16.0, beta_slow=1.0)
    plain = dict(rope_type="default", rope_theta=10000.0)
    long = dict(rope_type="longrope", rope_theta=10000.0, partial_rotary_factor=0.75, original_max_position_embeddings=57,
                short_factor=[1.0, 1.1, 1.3], long_factor=[1.5, 3.0, 6.0])
    return {
        "gemma": entry(make(t.GemmaConfig, head_dim=12, num_key_value_heads=1, initializer_range=0.2)),
        # soft-caps, windows in every second layer, scores scaled by another number than the head size
        "gemma2": entry(make(t.Gemma2Config, head_dim=12, num_hidden_layers=3, sliding_window=8, query_pre_attn_scalar=10, initializer_range=0.2,
                             attn_logit_softcapping=3.0, final_logit_softcapping=8.0),
                        undo={"window": dict(sliding_window=200), "attention cap": dict(attn_logit_softcapping=None),
                              "last cap": dict(final_logit_softcapping=None)}),
        # old spelling, linear scaling of the global layers' rope
        "gemma3": entry(make(t.Gemma3TextConfig, head_dim=12, num_hidden_layers=4, sliding_window=8, query_pre_attn_scalar=10, initializer_range=0.2,
                             sliding_window_pattern=3, rope_parameters=dict(
                                 full_attention=dict(rope_type="linear", rope_theta=100000.0, factor=8.0),
                                 sliding_attention=dict(rope_type="default", rope_theta=10000.0))), finish=gemma3_spelling),
        "gpt2": entry(t.GPT2Config(vocab_size=320, n_embd=36, n_layer=2, n_head=3, n_positions=256, initializer_range=0.3, resid_pdrop=0.0, embd_pdrop=0.0,
                                   attn_pdrop=0.0, bos_token_id=None, eos_token_id=2, pad_token_id=0), finish=bare_names),
        "gpt-neox": entry(t.GPTNeoXConfig(vocab_size=320, hidden_size=32, intermediate_size=72, num_hidden_layers=2, num_attention_heads=4,
                                          max_position_embeddings=256, initializer_range=0.3, hidden_dropout=0.0, attention_dropout=0.0, rotary_pct=0.5,
                                          bos_token_id=None, eos_token_id=2, pad_token_id=0),
                          finish=flat_spelling(rope_theta="rotary_emb_base", partial_rotary_factor="rotary_pct")),
        "granite": entry(make(t.GraniteConfig, embedding_multiplier=3.0, logits_scaling=2.0, residual_multiplier=0.6, attention_multiplier=0.2,
                              tie_word_embeddings=True),
                         undo={"multipliers": dict(embedding_multiplier=1.0), "residual": dict(residual_multiplier=1.0),
                               "scores": dict(attention_multiplier=0.35), "logits": dict(logits_scaling=1.0)}),
        # experts under YaRN
        "mixtral": entry(make(t.MixtralConfig, head_dim=8, intermediate_size=40, num_local_experts=4, num_experts_per_tok=2, rope_parameters=yarn, sliding_window=None),
                         undo={"yarn": dict(rope_parameters=plain)}),
        "olmo": entry(make(t.OlmoConfig, num_key_value_heads=4), undo={"rope": dict(rope_parameters=dict(rope_type="default", rope_theta=100.0))}),
        "olmo2": entry(make(t.Olmo2Config, tie_word_embeddings=False)),
        "phi": entry(make(t.PhiConfig, num_key_value_heads=4, rope_parameters=dict(partial_rotary_factor=0.5, **plain)), finish=flat_spelling()),
        # fused projections, a window, LongRoPE from 58 tokens on, three quarters of a head rotated
        "phi3-longrope": entry(make(t.Phi3Config, max_position_embeddings=228, original_max_position_embeddings=57, sliding_window=40, rope_parameters=long),
                               finish=long_spelling, undo={"window": dict(sliding_window=None)}),
        "qwen2-moe": entry(make(t.Qwen2MoeConfig, num_experts=6, num_experts_per_tok=3, moe_intermediate_size=24, shared_expert_intermediate_size=40,
                                norm_topk_prob=False)),
        # a layer without experts
        "qwen3-moe": entry(make(t.Qwen3MoeConfig, head_dim=12, num_hidden_layers=3, num_experts=8, num_experts_per_tok=2, moe_intermediate_size=24,
                                norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[1])),
        # layers without rope, dynamic rope beyond 64 tokens, windows where there is no rope
        "smollm3": entry(make(t.SmolLM3Config, num_hidden_layers=4, no_rope_layer_interval=2, max_position_embeddings=64, use_sliding_window=True,
                              sliding_window=24, rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, factor=4.0))),
        "stablelm": entry(make(t.StableLmConfig, num_hidden_layers=3, use_qkv_bias=True, tie_word_embeddings=False,
                               rope_parameters=dict(partial_rotary_factor=0.25, **plain)), finish=flat_spelling()),
        "stablelm-parallel": entry(make(t.StableLmConfig, qk_layernorm=True, use_parallel_residual=True, rope_parameters=dict(partial_rotary_factor=0.5, **plain))),
        "starcoder2": entry(make(t.Starcoder2Config, sliding_window=16, initializer_range=0.3), undo={"window": dict(sliding_window=None)}),
        # of the reference backend alone
        "glm4": entry(make(t.Glm4Config, head_dim=12, attention_bias=True, rope_parameters=dict(partial_rotary_factor=0.5, **plain))),
        "helium": entry(make(t.HeliumConfig, head_dim=8)),
    }


def encoders_zoo(t):
    def config(**kw):
        base = dict(vocab_size=300, intermediate_size=64, num_hidden_layers=2, max_position_embeddings=64, initializer_range=0.3,
                    hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        return t.BertConfig(**{**base, **kw})
    six = dict(enumerate(["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]))
    two = {0: "ok", 1: "toxic"}
    names = lambda labels: dict(num_labels=len(labels), id2label=labels, label2id={v: k for k, v in labels.items()})
    three, one = {0: "ok", 1: "toxic", 2: "severe"}, {0: "relevant"}
    small = dict(vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, initializer_range=0.3,
                 hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    frame = dict(max_position_embeddings=66, pad_token_id=1, bos_token_id=0, eos_token_id=2)
    modern = dict(vocab_size=300, num_attention_heads=2, max_position_embeddings=64, initializer_range=0.4, global_attn_every_n_layers=3,
                  pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3)
    deberta = dict(relative_attention=True, pooler_dropout=0.0, max_position_embeddings=64, norm_rel_ebd="layer_norm")
    return {
        # plain folder without sentence-transformers files: auto pooling falls back to the mean
        "bert": dict(config=config(hidden_size=32, num_attention_heads=2), cls=t.BertModel, pooling="mean", normalize=False),
        # all-MiniLM style: mean, normalised, limit of 48 in sentence_bert_config.json, a stray int64 buffer
        "bert-mean": dict(config=config(hidden_size=32, num_attention_heads=4), cls=t.BertModel, pooling="mean", normalize=True, limit=48, modules=True,
                          finish=position_ids),
        # bge style: first token, head size 12, three layers
        "bert-cls": dict(config=config(hidden_size=36, num_attention_heads=3, num_hidden_layers=3), cls=t.BertModel, pooling="cls", normalize=False,
                         modules=True),
        "bert-multilabel": dict(config=config(hidden_size=32, num_attention_heads=4, problem_type="multi_label_classification", **names(six)),
                                cls=t.BertForSequenceClassification),
        "bert-2class": dict(config=config(hidden_size=32, num_attention_heads=4, **names(two)), cls=t.BertForSequenceClassification, pairs=True),
        "distilbert-3class": dict(config=t.DistilBertConfig(vocab_size=300, dim=36, hidden_dim=64, n_layers=2, n_heads=3, max_position_embeddings=64, dropout=0.0,
                                                            attention_dropout=0.0, seq_classif_dropout=0.0, initializer_range=0.3, **names(three)),
                                  cls=t.DistilBertForSequenceClassification, pairs=True, zeroed=["position_embeddings"]),
        # a cross-encoder: one label, pairs, positions after the padding row
        "roberta-reranker": dict(config=t.RobertaConfig(**small, **frame, type_vocab_size=1, **names(one)), cls=t.RobertaForSequenceClassification, pairs=True,
                                 tokenizer=tokenizer_roberta, zeroed=["position_embeddings"]),
        "xlm-roberta": dict(config=t.XLMRobertaConfig(**small, **frame, type_vocab_size=1), cls=t.XLMRobertaModel, pooling="cls", normalize=True, modules=True,
                            limit=60, tokenizer=tokenizer_roberta, zeroed=["position_embeddings"]),
        # mean without the prompt, a dense layer with weights of its own, normalised
        "mpnet-dense": dict(config=t.MPNetConfig(**small, max_position_embeddings=66), cls=t.MPNetModel, pooling="mean", normalize=True, modules=True, limit=60,
                            finish=dense_and_prompts, tokenizer=tokenizer_roberta, zeroed=["relative_attention_bias", "position_embeddings"]),
        # the new spelling, a window of 9
        "modernbert": dict(config=t.ModernBertConfig(**modern, hidden_size=24, intermediate_size=40, num_hidden_layers=5, local_attention=9), cls=t.ModernBertModel,
                           pooling="mean", normalize=False, undo={"window": dict(local_attention=40)}),
        # the old spelling, biases everywhere, the mean before the head
        "modernbert-2class": dict(config=t.ModernBertConfig(**modern, hidden_size=24, intermediate_size=40, num_hidden_layers=4, local_attention=8, norm_bias=True,
                                                            attention_bias=True, mlp_bias=True, classifier_bias=True, classifier_pooling="mean", **names(two)),
                                  cls=t.ModernBertForSequenceClassification, pairs=True, finish=modernbert_old, undo={"window": dict(local_attention=40)}),
        # the options of microsoft/deberta-v3-*, with buckets that texts of 64 tokens fill
        "deberta-v3": dict(config=t.DebertaV2Config(**small, **deberta, position_buckets=12, pos_att_type=["p2c", "c2p"], share_att_key=True,
                                                    position_biased_input=False, type_vocab_size=0, **names(three)),
                           cls=t.DebertaV2ForSequenceClassification, pairs=True, finish=bars, zeroed=["rel_embeddings"]),
        # those of v2-xlarge and what else there is: convolution, projections of their own, narrow words, segments, positions
        "deberta-v2-conv": dict(config=t.DebertaV2Config(**small, **deberta, position_buckets=-1, max_relative_positions=20, pos_att_type=["p2c", "c2p"],
                                                         share_att_key=False, position_biased_input=True, type_vocab_size=2, embedding_size=24,
                                                         conv_kernel_size=3, conv_act="gelu"),
                                cls=t.DebertaV2Model, pooling="mean", normalize=False,
                                zeroed=["rel_embeddings", "conv.conv.weight", "position_embeddings", "pos_query_proj.weight", "pos_key_proj.weight"]),
    }


# ---- answers --------------------------------------------------------------------------------------------------------

def rounded(values, digits=6):
    return [round(v, digits) for v in values]


def admit(model, length):
    """Fixes speeds of the rotation that depend on the length, for a sequence that may come to have this many tokens: karat chooses them
    once, transformers at every step from the tokens so far."""
    rope = getattr(model.config, "rope_parameters", None) or {}
    if rope.get("rope_type") not in ("dynamic", "longrope"): return
    rotary = model.model.rotary_emb
    rotary.rope_type = "fixed"
    rotary.inv_freq = ROPE_INIT_FUNCTIONS[rope["rope_type"]](model.config, "cpu", seq_len=length)[0]


def logits_of(model, ids, length=None, **more):
    admit(model, length or len(ids))
    return model(torch.tensor([ids]), use_cache=False, **more).logits[0].double()


def log_probability(model, context, continuation):
    rows = torch.log_softmax(logits_of(model, context + continuation), -1)[len(context) - 1:-1]
    return sum(rows[i, c].item() for i, c in enumerate(continuation)), all(int(rows[i].argmax()) == c for i, c in enumerate(continuation))


def greedy(model, prompt):
    ids, margin = list(prompt), float("inf")
    for _ in range(NEW):
        top = torch.topk(logits_of(model, ids, len(prompt) + NEW)[-1], 2)
        margin = min(margin, (top.values[0] - top.values[1]).item())
        ids.append(int(top.indices[0]))
    return ids[len(prompt):], margin


def check_sensitivity(name, model, answer, variants, zeroed=()):
    """Undoes every kind of norm and bias, and each variant, and insists that the answers move."""
    base, moved = answer(model), {}
    kinds = {}
    for n, p in model.named_parameters():
        if p.dim() == 1 or any(part in n for part in zeroed): kinds.setdefault(re.sub(r"\.\d+\.", ".N.", n), []).append(p)
    for kind, params in kinds.items():
        # without rope it shifts a whole softmax row: no effect by construction
        if kind.endswith(("key.bias", "k_lin.bias", "attn.k.bias", "pos_key_proj.bias")): continue
        if "pooler" in kind and base.shape[-1] == model.config.hidden_size: continue  # not part of an embedding
        kept = [p.detach().clone() for p in params]
        with torch.no_grad():
            for p in params: p.fill_(0.0 if kind.endswith("bias") or p.dim() > 1 else 1.0)
            moved[kind] = (answer(model) - base).abs().max().item()
            for p, k in zip(params, kept): p.copy_(k)
    for what, other in variants.items():
        moved[what] = (answer(other) - base).abs().max().item()
    weak = {k: v for k, v in moved.items() if v < SENSITIVE}
    if weak: raise SystemExit(f"{name}: undoing these hardly shows: {weak}")
    return min(moved.items(), key=lambda kv: kv[1])


def write_reference(folder, ref):
    (folder / "reference.json").write_text(json.dumps(ref, ensure_ascii=False, separators=(",", ":")) + "\n")


def decoder(name, spec, folder):
    cfg = spec["config"]
    model = AutoModelForCausalLM.from_config(cfg)
    scramble(model)
    spec["tokenizer"](folder)
    model.to(spec.get("dtype", torch.float32)).save_pretrained(folder, max_shard_size=spec.get("shard", "1GB"))
    spec.get("finish", lambda f: None)(folder)

    def load(**kw):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager", **kw).eval()
        model.config._experts_implementation = "eager"  # grouped products know no float64
        return model

    model, tok = load(), Tokenizer.from_file(str(folder / "tokenizer.json"))
    rng = random.Random(SEED + len(name))
    ref = dict(prompts=[], greedy=[], greedy_text=[], margin=[], last_logits=[], prompt_logprob=[])
    for n in LENGTHS:
        margin = 0.0
        while margin < MARGIN:
            prompt = [rng.randrange(3, cfg.vocab_size) for _ in range(n)]
            ids, margin = greedy(model, prompt)
        ref["prompts"].append(prompt); ref["greedy"].append(ids); ref["margin"].append(round(margin, 6))
        ref["greedy_text"].append(tok.decode(ids, skip_special_tokens=True))
        ref["last_logits"].append(rounded(logits_of(model, prompt)[-1].tolist(), 5))
        ref["prompt_logprob"].append(round(log_probability(model, prompt[:1], prompt[1:])[0], 6))
    ref["texts"] = [{"text": s, "ids": tok.encode(s).ids} for s in CORPUS]
    tc = json.loads((folder / "tokenizer_config.json").read_text())
    prefix = tok.token_to_id("<s>") if tc["bos_token"] else tok.token_to_id(tc["eos_token"])
    ref["pairs"] = []
    for context, continuation in PAIRS:
        spaces = len(context) - len(context.rstrip())
        head, tail = context[:len(context) - spaces], context[len(context) - spaces:] + continuation
        if head: left = tok.encode(head).ids; right = tok.encode(head + tail).ids[len(left):]
        else: left, right = [prefix], tok.encode(tail, add_special_tokens=False).ids
        value, is_greedy = log_probability(model, left, right)
        ref["pairs"].append(dict(context=context, continuation=continuation, tokens=len(right), logprob=round(value, 6), greedy=is_greedy))
    hf = PreTrainedTokenizerFast.from_pretrained(folder)
    ref["rendered"] = []
    for messages in CHATS:
        for opened in (True, False):
            text = hf.apply_chat_template(messages, tokenize=False, add_generation_prompt=opened)
            ref["rendered"].append(dict(messages=messages, add_generation_prompt=opened, text=text, ids=tok.encode(text, add_special_tokens=False).ids))
    ref["eos"] = [cfg.eos_token_id]
    if spec.get("second_eos"):  # an id met in the middle of the longest path, first met there, ends a turn too
        path = ref["greedy"][-1]
        ref["eos"].append(next(i for k, i in enumerate(path) if k >= 5 and i not in path[:k] and i != cfg.eos_token_id))
        gen = json.loads((folder / "generation_config.json").read_text())
        (folder / "generation_config.json").write_text(json.dumps({**gen, "eos_token_id": ref["eos"]}, indent=2) + "\n")
    write_reference(folder, ref)
    # the last prompt followed by its own answer: long enough for windows and scaled angles
    longest = ref["prompts"][-1] + ref["greedy"][-1]
    variants = {what: load(**change) for what, change in spec.get("undo", {}).items()}
    weakest = check_sensitivity(name, model, lambda m: logits_of(m, longest)[-1], variants)
    print(f"{name}: smallest margin {min(ref['margin'])}, distinct greedy ids {[len(set(g)) for g in ref['greedy']]}, "
          f"weakest part {weakest[0]} {weakest[1]:.3f}")


def encoder(name, spec, folder):
    cfg, limit = spec["config"], spec.get("limit", 64)
    head = spec["cls"].__name__.endswith("SequenceClassification")
    model = spec["cls"](cfg)
    scramble(model)
    spec.get("tokenizer", tokenizer_wordpiece)(folder, 64)
    model.save_pretrained(folder)
    if spec.get("modules"): sentence_transformers(folder, cfg.hidden_size, spec["pooling"], spec["normalize"], limit)
    spec.get("finish", lambda f: None)(folder)

    auto = AutoModelForSequenceClassification if head else AutoModel
    load = lambda **kw: auto.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager", **kw).eval()
    model = load()
    segments = getattr(cfg, "type_vocab_size", 0) > 1
    tok = Tokenizer.from_file(str(folder / "tokenizer.json"))
    inputs = CORPUS + ["a", "", "KARAT", CORPUS[4] + " " + CORPUS[7] + " " + CORPUS[6]]
    if spec.get("pairs"): inputs += [[CORPUS[1], CORPUS[3]], ["a", CORPUS[8]]]
    prompts = folder / "config_sentence_transformers.json"
    prompts = json.loads(prompts.read_text()) if prompts.exists() else {"prompts": {}}
    default = prompts["prompts"].get(prompts.get("default_prompt_name"), "")
    full = [len(tok.encode(*s).ids if isinstance(s, list) else tok.encode(default + s).ids) for s in inputs]
    tok.enable_truncation(limit)
    ref = dict(inputs=inputs, ids=[], cut=[], **(dict(logits=[], probs=[]) if head else dict(mean_pooled=[], cls=[], embedding=[])))

    def made(h, prompt):
        skipped = len(tok.encode(prompt).ids) - 1 if prompt else 0  # the frame's end does not belong to the prompt
        vector = h[skipped:].mean(0) if spec["pooling"] == "mean" else h[0]
        if (folder / "2_Dense").exists():
            dense = {k: v.double() for k, v in load_file(folder / "2_Dense" / "model.safetensors").items()}
            vector = torch.tanh(dense["linear.weight"] @ vector + dense["linear.bias"])
        return vector / vector.norm() if spec["normalize"] else vector

    for s, uncut in zip(inputs, full):
        enc = tok.encode(*s) if isinstance(s, list) else tok.encode(default + s)
        kinds = dict(token_type_ids=torch.tensor([enc.type_ids])) if segments else {}
        o = model(input_ids=torch.tensor([enc.ids]), attention_mask=torch.ones(1, len(enc.ids), dtype=torch.long), **kinds)
        ref["ids"].append(enc.ids); ref["cut"].append(uncut - len(enc.ids))
        if head:
            multi = cfg.problem_type == "multi_label_classification" or cfg.num_labels == 1
            ref["logits"].append(rounded(o.logits[0].tolist()))
            ref["probs"].append(rounded((torch.sigmoid(o.logits[0]) if multi else torch.softmax(o.logits[0], -1)).tolist(), 7))
        else:
            h = o.last_hidden_state[0]
            vector = made(h, default)
            ref["mean_pooled"].append(rounded(h.mean(0).tolist())); ref["cls"].append(rounded(h[0].tolist()))
            ref["embedding"].append(rounded(vector.tolist(), 7))
    if prompts["prompts"]:
        hidden = lambda s: model(input_ids=torch.tensor([tok.encode(s).ids])).last_hidden_state[0]
        texts = {"": "", **prompts["prompts"]}
        ref["prompted"] = {name: [rounded(made(hidden(prompt + s), prompt).tolist(), 7) for s in inputs] for name, prompt in texts.items()}
    write_reference(folder, ref)

    def answer(m):
        outs = [m(input_ids=torch.tensor([ids])) for ids in ref["ids"][:9]]
        return torch.cat([(o.logits if head else o.last_hidden_state[0]) for o in outs])
    variants = {what: load(**change) for what, change in spec.get("undo", {}).items()}
    weakest = check_sensitivity(name, model, answer, variants, spec.get("zeroed", ()))
    print(f"{name}: cut {[c for c in ref['cut'] if c]}, weakest part {weakest[0]} {weakest[1]:.3f}")


def main():
    a = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    a.add_argument("out", type=pathlib.Path)
    a.add_argument("--only", help="names, comma separated")
    a = a.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    transformers.logging.set_verbosity_error(); transformers.logging.disable_progress_bar()
    zoo = [(n, s, decoder) for n, s in decoders_zoo(transformers).items()] + [(n, s, encoder) for n, s in encoders_zoo(transformers).items()]
    for name, spec, make in zoo:
        if a.only and name not in a.only.split(","): continue
        folder = a.out / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        torch.manual_seed(SEED)
        make(name, spec, folder)
    (a.out / "VERSIONS").write_text(f"python {sys.version.split()[0]}\ntorch {torch.__version__}\ntransformers {transformers.__version__}\n"
                                    f"tokenizers {tokenizers.__version__}\nseed {SEED}\n")


if __name__ == "__main__":
    main()
