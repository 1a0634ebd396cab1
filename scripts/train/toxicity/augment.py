"""Changes to a training text that keep its label: case, stretched or masked letters, leetspeak, tweet furniture."""

import html
import re

LEET = str.maketrans({"a": "4", "e": "3", "i": "1", "o": "0", "s": "5"})
RESPELL = [
    (r"\bgoing to\b", "gonna"),
    (r"\bwant to\b", "wanna"),
    (r"\bthe\b", "da"),
    (r"\bthat\b", "dat"),
    (r"\bthis\b", "dis"),
    (r"\bthey\b", "dey"),
    (r"\bwith\b", "wit"),
    (r"\babout\b", "bout"),
    (r"\bbecause\b", "cuz"),
    (r"\b(\w{2,})ing\b", r"\1in"),
    (r"\b(is|are) not\b|\b(isn|aren)'?t\b", "ain't"),
    (r"\byou all\b", "y'all"),
    (r"\bI am going to\b", "I'm finna"),
    (r"\bI'm going to\b", "Imma"),
    (r"\byour?\b", "yo"),
    (r"\bmy\b", "ma"),
    (r"\btrying to\b", "tryna"),
    (r"\bbrother\b", "brotha"),
]


def bare(text):
    """A tweet without retweet marks, mentions, links and HTML entities."""
    text = re.sub(r"https?://\S*|@\w+:?|\bRT\b", " ", html.unescape(text))
    return re.sub(r"\s+", " ", text).strip(" !:") or text


def dialect(text, rng):
    """Some words respelt as in African American English, which Davidson's raters called offensive too often."""
    for pattern, replacement in RESPELL:
        if rng.random() < 0.6:
            text = re.sub(pattern, replacement, text)
    return text


def mask(text, rng, words):
    """Hides letters of one or two of the given words: f*ck, f**k, sh1t, i d i o t."""
    found = [m for m in re.finditer(r"[A-Za-z]{4,}", text) if m[0].lower() in words]
    for match in rng.sample(found, min(len(found), rng.choice((1, 1, 2)))):
        word = match[0]
        kind = rng.randrange(4)
        if kind == 0:
            new = word[0] + "*" * (len(word) - 2) + word[-1]
        elif kind == 1:
            at = rng.randrange(1, len(word) - 1)
            new = word[:at] + rng.choice("*#@-") + word[at + 1 :]
        elif kind == 2:
            new = word.lower().translate(LEET)
        else:
            new = rng.choice(" .-").join(word)
        text = text.replace(word, new, 1)
    return text


def stretch(text, rng):
    words = text.split(" ")
    at = rng.randrange(len(words))
    words[at] = re.sub(r"([aeiouy])(?=\w*$)", lambda m: m[1] * rng.randint(2, 5), words[at], count=1)
    return " ".join(words)


def augment(row, rng, rude, dialect_rate):
    """A changed copy of the row's text. `dialect_rate` is for neutral rows; toxic ones get a fifth of it."""
    text = row.text
    if row.source in ("davidson", "surge") and rng.random() < 0.5:
        text = bare(text)
    if rng.random() < (dialect_rate if row.label == 0 else dialect_rate / 5):
        text = dialect(text, rng)
    draw = rng.random()
    if row.label == 1 and draw < 0.12:
        text = mask(text, rng, rude)
    elif draw > 0.95:
        text = stretch(text, rng)
    draw = rng.random()
    if draw < 0.06:
        text = text.upper()
    elif draw < 0.12:
        text = text.rstrip(".!?")
    elif draw < 0.15:
        text = text + rng.choice(("!", "!!", "!!!", "...", " lol", " :)"))
    return text
