#!/usr/bin/env python3
"""Run the toxicity data sets through `karat classify` with one classifier and account for every row.

Converts the Surge (toxicity_en.csv) and Davidson (labeled_data.csv) sets with convert_toxicity.py, classifies both with the
same model, and holds the answers against the CSV files, which it reads a second time by itself: one answer a row, in
order, under the row's id, with every label of the model and probabilities between 0 and 1; a line with an error counts as
answered only if it says why. Ends with exit code 1 on any difference. Prints counts, time and, as a picture of the
classifier rather than a check, how often its likeliest label is which per class of the data.
Needs Python 3 and nothing else. Example:

  scripts/check_toxicity.py models/tox ../shared/data/datasets
"""

import argparse
import collections
import csv
import json
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SETS = {"surge": "surge_toxicity/toxicity_en.csv", "davidson": "davidson/labeled_data.csv"}


def csv_ids(name, path):
    """Ids in the order of the file, by csv.reader alone; convert_toxicity.py reads with DictReader."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, strict=True))[1:]
    return [f"{name}-{int(row[0] if name == 'davidson' else number):05}" for number, row in enumerate(rows, start=1)]


def check(name, table, args, folder):
    lines, answers = folder / f"{name}.jsonl", folder / f"{name}.scores.jsonl"
    subprocess.run([sys.executable, HERE / "convert_toxicity.py", table, lines], check=True)
    began = time.perf_counter()
    command = [args.karat, "classify", args.model, "--in", lines, "--out", answers, *args.flags]
    code = subprocess.run(command).returncode
    seconds = time.perf_counter() - began
    if code != 0:
        sys.exit(f"{name}: karat classify ended with exit code {code}")

    asked = [json.loads(line) for line in open(lines, encoding="utf-8", newline="\n")]
    given = [json.loads(line) for line in open(answers, encoding="utf-8", newline="\n")]
    ids = csv_ids(name, table)
    for what, found in [("converted lines", [line["id"] for line in asked]), ("answers", [line["id"] for line in given])]:
        if found != ids:
            first = next((i for i, (a, b) in enumerate(zip(found, ids)) if a != b), min(len(found), len(ids)))
            sys.exit(f"{name}: {len(found)} {what} for {len(ids)} rows; the first difference is at row {first + 1}")
    errors = [line for line in given if line.get("error")]
    labels = None
    picture = collections.defaultdict(collections.Counter)
    for question, answer in zip(asked, given):
        if answer in errors:
            continue
        scores = answer["scores"]
        labels = labels or list(scores)
        if list(scores) != labels or not all(0.0 <= p <= 1.0 for p in scores.values()):
            sys.exit(f"{name}: the scores of {answer['id']} are {scores}")
        picture[question["metadata"]["label"]][max(scores, key=scores.get)] += 1
    print(f"{name}: {len(ids)} rows, {len(given)} answers, {len(errors)} of them errors, {seconds:.1f} s "
          f"({len(ids) / seconds:.0f} rows/s)")
    for label, counts in sorted(picture.items()):
        print(f"  {label}: " + ", ".join(f"{n} {top}" for top, n in counts.most_common()))
    return len(ids)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path, help="a classifier's folder")
    parser.add_argument("datasets", type=pathlib.Path, help="the folder with surge_toxicity/ and davidson/")
    parser.add_argument("--karat", default=HERE.parent / "target/release/karat", type=pathlib.Path, help="the binary")
    parser.add_argument("flags", nargs="*", help="further flags for karat classify, after `--`")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="karat-toxicity-") as folder:
        total = sum(check(name, args.datasets / table, args, pathlib.Path(folder)) for name, table in SETS.items())
    print(f"{total} rows accounted for")


if __name__ == "__main__":
    main()
