#!/usr/bin/env python3
"""Convert GSM8K's test set and its recorded model solutions into a karat suite.

Reads test.jsonl (question, answer ending in "#### N") and example_model_solutions.jsonl (solutions of four models with
`is_correct`), both from github.com/openai/grade-school-math. Writes into the output folder:

  golden.jsonl               {"id", "input", "target", "metadata": {"is_correct": {model: bool}}}, the target being N
  responses-<model>.jsonl    {"dataset", "id", "output"}, one file per model, for `karat score SUITE --responses FILE`
  suite.yaml                 one dataset, scored with exact_match on the number after "####" or "A:"

Needs Python 3 and nothing else. Nothing is dropped: rows that do not pair up end the script with exit code 1.
"""

import argparse
import json
import pathlib
import sys

SUITE = """\
version: 1
name: gsm8k
datasets:
  - {name: golden, kind: golden, file: golden.jsonl, scorers: [exact_match]}
scorers:
  # The data set's own convention is "#### N"; the recorded models end in "A: N".
  - exact_match: {extract: number, marker: ["####", "A:"]}
"""


def read_jsonl(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write_jsonl(path, rows):
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(f"{path}: {len(rows)} lines")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="folder that holds the two JSONL files")
    parser.add_argument("out", type=pathlib.Path, help="folder to write to; made if it is missing")
    args = parser.parse_args()

    questions = read_jsonl(args.folder / "test.jsonl")
    solutions = read_jsonl(args.folder / "example_model_solutions.jsonl")
    if [row["question"] for row in questions] != [row["question"] for row in solutions]:
        sys.exit("the questions of the two files differ")
    models = [key for key, value in solutions[0].items() if isinstance(value, dict)]

    golden, responses = [], {model: [] for model in models}
    for number, (question, solution) in enumerate(zip(questions, solutions), start=1):
        case = f"gsm8k-{number:04}"
        _, marker, target = question["answer"].rpartition("####")
        if not marker:
            sys.exit(f"test.jsonl:{number}: no #### in the answer")
        golden.append({
            "id": case,
            "input": question["question"],
            "target": target.strip(),
            "metadata": {"is_correct": {model: solution[model]["is_correct"] for model in models}},
        })
        for model in models:
            responses[model].append({"dataset": "golden", "id": case, "output": solution[model]["solution"]})

    args.out.mkdir(parents=True, exist_ok=True)
    write_jsonl(args.out / "golden.jsonl", golden)
    for model in models:
        write_jsonl(args.out / f"responses-{model}.jsonl", responses[model])
        correct = sum(row["metadata"]["is_correct"][model] for row in golden)
        print(f"  {model}: is_correct {correct}/{len(golden)} = {correct / len(golden):.4f}")
    (args.out / "suite.yaml").write_text(SUITE, encoding="utf-8")


if __name__ == "__main__":
    main()
