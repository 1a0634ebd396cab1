#!/usr/bin/env python3
"""Convert toxicity data sets from CSV to the input lines of `karat classify`.

Knows the Davidson hate speech set (labeled_data.csv: columns tweet, class) and the Surge toxicity set (toxicity_en.csv:
columns text, is_toxic), told apart by their header. Writes {"id", "text", "metadata": {"label"}} per row; `karat
classify` leaves metadata alone and keeps the id. Quoted fields may hold line breaks, which are kept as they are.

Every row is accounted for: the script counts rows read, rows whose text spans lines and blank texts, reads its output
back and compares it with what it read, and ends with exit code 1 on any difference or malformed row.
Needs Python 3 and nothing else. Example:

  scripts/convert_toxicity.py labeled_data.csv davidson.jsonl
  karat classify models/tox --in davidson.jsonl --out scores.jsonl
"""

import argparse
import csv
import json
import pathlib
import sys

DAVIDSON_CLASSES = {"0": "hate_speech", "1": "offensive_language", "2": "neither"}


def rows_of(path):
    """Yields (id, text, label) per CSV row."""
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        columns = reader.fieldnames or []
        if {"tweet", "class"} <= set(columns):
            name, text_column, label = "davidson", "tweet", lambda row: DAVIDSON_CLASSES[row["class"]]
        elif {"text", "is_toxic"} <= set(columns):
            name, text_column, label = "surge", "text", lambda row: row["is_toxic"]
        else:
            sys.exit(f"{path}: the header is {columns}; known are tweet+class and text+is_toxic")
        for number, row in enumerate(reader, start=1):
            if None in row or None in row.values():
                sys.exit(f"{path}:{reader.line_num}: row {number} has not {len(columns)} fields")
            # Davidson's first column has no name and holds the row's number in the original, with gaps.
            key = row[""] if "" in row else str(number)
            yield f"{name}-{int(key):05}", row[text_column], label(row)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=pathlib.Path, help="labeled_data.csv or toxicity_en.csv")
    parser.add_argument("out", type=pathlib.Path, help="JSONL file to write")
    args = parser.parse_args()

    rows = list(rows_of(args.csv))
    ids = {row[0] for row in rows}
    if len(ids) != len(rows):
        sys.exit(f"{args.csv}: {len(rows) - len(ids)} ids occur more than once")
    with open(args.out, "w", encoding="utf-8", newline="\n") as file:
        for case, text, label in rows:
            file.write(json.dumps({"id": case, "text": text, "metadata": {"label": label}}, ensure_ascii=False) + "\n")

    with open(args.out, encoding="utf-8", newline="\n") as file:
        back = [(line["id"], line["text"], line["metadata"]["label"]) for line in map(json.loads, file)]
    if back != rows:
        sys.exit(f"{args.out}: read back {len(back)} lines that are not the {len(rows)} rows written")
    multiline = sum("\n" in text for _, text, _ in rows)
    blank = sum(not text.strip() for _, text, _ in rows)
    print(f"{args.csv}: {len(rows)} rows read, {multiline} with line breaks inside, {blank} blank")
    print(f"{args.out}: {len(back)} lines written and read back")


if __name__ == "__main__":
    main()
