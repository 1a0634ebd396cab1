"""The tokenizer of karat-mini: byte-level BPE on the training corpus, every digit a token of its own, and the chat template.

    python tokenizer.py corpus-1.jsonl corpus-2.jsonl --out tokenizer
"""

import argparse
import json

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

VOCABULARY = 2048
PAD, END = "<|pad|>", "<|end|>"
SPECIAL = [PAD, END, "<|system|>", "<|user|>", "<|assistant|>"]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def texts(paths, limit):
    """The contents of the first `limit` conversations of each corpus."""
    for path in paths:
        with open(path) as lines:
            for _, line in zip(range(limit), lines):
                for message in json.loads(line)["messages"]:
                    yield message["content"]


def train(paths, limit=40_000):
    tokenizer = Tokenizer(models.BPE())
    # One digit at a time: sums and copied numbers depend on places, not on which digits happened to be frequent together.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\d"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts(paths, limit), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, additional_special_tokens=SPECIAL[2:], chat_template=CHAT_TEMPLATE,
        model_max_length=1024, clean_up_tokenization_spaces=False,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", nargs="+")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    train(args.corpus).save_pretrained(args.out)


if __name__ == "__main__":
    main()
