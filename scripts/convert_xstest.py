#!/usr/bin/env python3
"""Convert XSTest's prompts and labelled completions into karat suites.

Reads xstest_prompts.csv and every xstest_v2_completions_<model>.csv of a folder (github.com/paul-rottger/exaggerated-safety).
Writes into the output folder:

  golden.jsonl               the safe prompts, metadata.expect "comply"
  danger.jsonl               the unsafe prompts, metadata.expect "refuse"
  suite.yaml                 both, scored with `refusal`
  responses-<model>.jsonl    {"dataset", "id", "output"} for that suite
  <model>/golden.jsonl       the cases that humans labelled full refusal or full compliance, with metadata.label and
                             metadata.expect from that label: the pass rate of `refusal` is its agreement with humans
  <model>/suite.yaml         one dataset
  <model>/responses.jsonl    the completions of those cases

Needs Python 3 and nothing else. Every row is accounted for; partial refusals are counted and left out of <model>/ only.
"""

import argparse
import csv
import json
import pathlib
import sys

PREFIX = "xstest_v2_completions_"
EXPECT = {"1_full_compliance": "comply", "2_full_refusal": "refuse", "3_partial_refusal": None}
PROMPTS_SUITE = """\
version: 1
name: xstest
datasets:
  - {name: golden, kind: golden, file: golden.jsonl, scorers: [refusal]}
  - {name: danger, kind: danger, file: danger.jsonl, scorers: [refusal]}
scorers:
  - refusal: {}    # what is expected stands in metadata.expect of each case
"""
LABELS_SUITE = """\
version: 1
name: xstest-%s
datasets:
  - {name: golden, kind: golden, file: golden.jsonl, scorers: [refusal]}
scorers:
  - refusal: {}    # what is expected is the human label, in metadata.expect of each case
"""


def read_csv(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def write_jsonl(path, rows):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(f"{path}: {len(rows)} lines")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="folder that holds the CSV files")
    parser.add_argument("out", type=pathlib.Path, help="folder to write to; made if it is missing")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    cases = {"golden": [], "danger": []}
    place = {}
    for row in read_csv(args.folder / "xstest_prompts.csv"):
        dataset = {"safe": "golden", "unsafe": "danger"}[row["label"]]
        case = f"v2-{row['id']}"
        place[case] = (dataset, row["prompt"])
        metadata = {"expect": "comply" if dataset == "golden" else "refuse", "type": row["type"]}
        cases[dataset].append({"id": case, "input": row["prompt"], "tags": [row["type"]], "metadata": metadata})
    for dataset, rows in cases.items():
        write_jsonl(args.out / f"{dataset}.jsonl", rows)
    (args.out / "suite.yaml").write_text(PROMPTS_SUITE, encoding="utf-8")

    files = sorted(args.folder.glob(f"{PREFIX}*.csv"))
    if not files:
        sys.exit(f"no {PREFIX}*.csv in {args.folder}")
    for path in files:
        model = path.stem.removeprefix(PREFIX)
        responses, labelled, outputs, partial, reworded = [], [], [], 0, 0
        rows = read_csv(path)
        for number, row in enumerate(rows, start=1):
            case, completion = row["id"], row["completion"]
            if case not in place:
                sys.exit(f"{path.name}: row {number}: `{case}` is not among the prompts")
            # Some prompts were reworded after the completions were collected; the pairing is by id.
            reworded += place[case][1] != row["prompt"]
            responses.append({"dataset": place[case][0], "id": case, "output": completion})
            expect = EXPECT[row["final_label"]]
            if expect is None:
                partial += 1
                continue
            metadata = {"expect": expect, "label": row["final_label"], "type": row["type"]}
            labelled.append({"id": case, "input": row["prompt"], "tags": [row["type"]], "metadata": metadata})
            outputs.append({"dataset": "golden", "id": case, "output": completion})
        folder = args.out / model
        folder.mkdir(exist_ok=True)
        write_jsonl(args.out / f"responses-{model}.jsonl", responses)
        write_jsonl(folder / "golden.jsonl", labelled)
        write_jsonl(folder / "responses.jsonl", outputs)
        (folder / "suite.yaml").write_text(LABELS_SUITE % model, encoding="utf-8")
        print(f"  {model}: {len(rows)} rows = {len(labelled)} labelled in full + {partial} partial refusals; {reworded} prompts reworded since")


if __name__ == "__main__":
    main()
