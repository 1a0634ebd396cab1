"""WordNet 3.0 as the training text needs it: lemmas by semantic field, verb frames, glosses, examples, neighbours.

Reads the folder of Debian's package `wordnet-base` (usr/share/wordnet: data.*, cntlist.rev, *.exc). Licence: WordNet 3.0
licence (permissive, Princeton University).
"""

import re
from collections import defaultdict
from pathlib import Path

FIELDS = (
    "adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body noun.cognition "
    "noun.communication noun.event noun.feeling noun.food noun.group noun.location noun.motive noun.object noun.person "
    "noun.phenomenon noun.plant noun.possession noun.process noun.quantity noun.relation noun.shape noun.state "
    "noun.substance noun.time verb.body verb.change verb.cognition verb.communication verb.competition "
    "verb.consumption verb.contact verb.creation verb.emotion verb.motion verb.perception verb.possession verb.social "
    "verb.stative verb.weather adj.ppl"
).split()
VOWELS = "aeiou"


class Synset:
    """One line of a data file."""

    __slots__ = ("field", "lemmas", "frames", "hypernyms", "definition", "examples")

    def __init__(self, line):
        head, _, gloss = line.partition(" | ")
        parts = head.split()
        self.field = FIELDS[int(parts[1])]
        n = int(parts[3], 16)
        self.lemmas = [re.sub(r"\(.*\)$", "", parts[4 + 2 * i]).replace("_", " ") for i in range(n)]
        at = 4 + 2 * n
        pointers = int(parts[at])
        at += 1
        self.hypernyms = [parts[at + 4 * i + 1] for i in range(pointers) if parts[at + 4 * i] in ("@", "@i")]
        at += 4 * pointers
        self.frames = {int(parts[i + 1]) for i in range(at + 1, len(parts), 3)} if parts[2] == "v" else set()
        gloss = gloss.strip()
        self.examples = [e.strip() for e in re.findall(r'"([^"]+)"', gloss)]
        self.definition = re.sub(r'[;:,]?\s*"[^"]*"', "", gloss).strip(" ;")


class WordNet:
    """All synsets, plus the indexes that the templates ask for."""

    def __init__(self, folder):
        folder = Path(folder)
        self.synsets = []
        by_hypernym = defaultdict(list)
        for part in ("noun", "verb", "adj", "adv"):
            for line in (folder / f"data.{part}").read_text(encoding="latin-1").splitlines():
                if line[:1] != " ":
                    synset = Synset(line)
                    self.synsets.append(synset)
                    for hypernym in synset.hypernyms:
                        by_hypernym[part, hypernym].append(synset)
        self.count = defaultdict(int)
        for line in (folder / "cntlist.rev").read_text(encoding="latin-1").splitlines():
            key, _, count = line.split()
            self.count[key.split("%")[0].replace("_", " ")] += int(count)
        self.irregular = defaultdict(list)
        for line in (folder / "verb.exc").read_text(encoding="latin-1").splitlines():
            form, base = line.split()[:2]
            self.irregular[base].append(form)
        self.fields = defaultdict(set)
        self.substitutes = defaultdict(set)
        for synset in self.synsets:
            words = [w for w in synset.lemmas if w.isalpha() and w.islower()]
            self.fields[synset.field].update(synset.lemmas)
            for word in words:
                self.substitutes[word].update(w for w in words if w != word)
        for siblings in by_hypernym.values():
            words = sorted({w for s in siblings for w in s.lemmas if w.isalpha() and w.islower()})
            if 2 <= len(words) <= 60:
                for word in words:
                    self.substitutes[word].update(w for w in words if w != word)
        self.substitutes = {word: sorted(others) for word, others in self.substitutes.items() if others}

    def common(self, field, vocabulary, minimum=0):
        """Single words of a field that the teacher's vocabulary holds as one piece; more common ones first."""
        words = [w for w in self.fields[field] if w.isalpha() and w.islower() and len(w) > 2 and w in vocabulary]
        return sorted((w for w in words if self.count[w] >= minimum), key=lambda w: (-self.count[w], w))

    def verbs(self, frames, vocabulary, minimum=1):
        """Verbs that take one of the frames (8, 11: with an object; 1, 2: without)."""
        found = {
            w
            for s in self.synsets
            if s.field.startswith("verb.") and s.frames & frames
            for w in s.lemmas
            if w.isalpha() and w in vocabulary and self.count[w] >= minimum
        }
        return sorted(found - {"be", "have"})

    def past(self, verb):
        """Past tense: the first irregular form that is no -ing form, else the rule."""
        forms = [f for f in self.irregular.get(verb, ()) if not f.endswith("ing")]
        if forms:
            return forms[0]
        if verb.endswith("e"):
            return verb + "d"
        if verb.endswith("y") and verb[-2] not in VOWELS:
            return verb[:-1] + "ied"
        return doubled(verb) + "ed"


def doubled(verb):
    """Last consonant doubled where a short word ends consonant, vowel, consonant: stop, stopp-."""
    short = len(verb) <= 4 and len(verb) >= 3
    if short and verb[-1] not in VOWELS + "wxy" and verb[-2] in VOWELS and verb[-3] not in VOWELS:
        return verb + verb[-1]
    return verb


def gerund(verb):
    """slice, slicing; lie, lying; run, running."""
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    return doubled(verb) + "ing"


def third(verb):
    """Third person singular."""
    if verb.endswith(("s", "x", "z", "ch", "sh", "o")):
        return verb + "es"
    if verb.endswith("y") and verb[-2] not in VOWELS:
        return verb[:-1] + "ies"
    return verb + "s"


def plural(noun):
    """Regular plural with the common exceptions."""
    special = {"man": "men", "woman": "women", "child": "children", "person": "people", "sheep": "sheep", "fish": "fish",
               "deer": "deer", "mouse": "mice", "goose": "geese", "policeman": "policemen", "fireman": "firemen",
               "knife": "knives", "wife": "wives", "wolf": "wolves", "leaf": "leaves", "loaf": "loaves"}
    return special.get(noun) or third(noun)
