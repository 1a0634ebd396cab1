"""Templates: read, expand `[a|b]` choices, fill `{x}`; and as patterns, for the proof that training and evaluation share none."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent / "templates"
CHOICE = re.compile(r"\[([^\[\]]*)\]")
FILLER = re.compile(r"\{(\w+)\}")
ARTICLE = re.compile(r"\b([aA]) (?=(?:ice )?axe|orange|olive)")
NO_GAP = re.compile(r" +([.,!?;:])")


@dataclass(frozen=True)
class Intent:
    """What is meant: how customers say it (per split), what the desk answers, which facts count as right."""

    kind: str
    name: str
    answer: str
    target: tuple
    train: tuple
    eval: tuple
    extra: dict = field(hash=False, compare=False)

    def texts(self, split):
        return self.train if split == "train" else self.eval


def load(kind):
    """The intents of templates/<kind>.yaml."""
    data = yaml.safe_load((FOLDER / f"{kind}.yaml").read_text())
    intents = []
    for name, entry in data["intents"].items():
        known = {"answer", "target", "train", "eval"}
        extra = {key: value for key, value in entry.items() if key not in known}
        parts = (tuple(entry.get(key, ())) for key in ("target", "train", "eval"))
        intents.append(Intent(kind, name, entry.get("answer", ""), *parts, extra))
    return intents


def phrases(kind):
    """The phrases of templates/<kind>.yaml, which its templates are filled with."""
    return yaml.safe_load((FOLDER / f"{kind}.yaml").read_text())["phrases"]


def expand(template, rng):
    """One of the sentences that a template stands for, fillers still open."""
    text = CHOICE.sub(lambda match: rng.choice(match.group(1).split("|")), template)
    return NO_GAP.sub(r"\1", re.sub(r" {2,}", " ", text)).strip()


def sentence(text):
    """The text with its first letter large."""
    return text[:1].upper() + text[1:]


def fill(text, draw, known=None):
    """The text with its fillers drawn, equal names equal; `known` holds those that are settled already. Returns both."""
    values = dict(known or {})

    def value(match):
        name = match.group(1)
        if name not in values:
            values[name] = draw(name)
        return str(values[name])

    return ARTICLE.sub(r"\1n ", FILLER.sub(value, text)), values


NUMBERS = {"qty", "order", "price", "size", "year", "phone", "time", "n", "p", "c", "m", "cm", "g", "line_qty", "line_price"}


def pattern(template):
    """A regular expression that matches what a template can say: numbers are digits, other fillers one or two words."""
    out = ""
    for part in re.split(r"(\[[^\[\]]*\])", template):
        if part.startswith("["):
            out += "(?:" + "|".join(_escape(choice) for choice in part[1:-1].split("|")) + ")"
        else:
            out += _escape(part)
    return re.compile(out.replace(r"\ ", r"\s*"), re.IGNORECASE)


def _escape(text):
    parts = FILLER.split(text)
    names = [r"[\d.:-]+" if name in NUMBERS else r"\S+(?: \S+)?" for name in parts[1::2]] + [""]
    return "".join(re.escape(plain) + name for plain, name in zip(parts[::2], names))
