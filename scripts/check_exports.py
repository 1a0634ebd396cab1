"""Holds the exports of a run against other readers: python3 scripts/check_exports.py RUN_FOLDER REPORT.xml REPORT.csv REPORT.parquet

The files are those of `karat gate RUN --no-baseline --report …`. Needs pandas, pyarrow, polars and junitparser, xmlschema
from PyPI (pip install pandas pyarrow polars xmlschema). JUNIT_XSD names the schema to validate with: the one that Jenkins'
xUnit plugin publishes (junit-10.xsd), which is not part of this repository.
"""
import csv, json, os, sys

run, xml, comma, parquet = sys.argv[1:5]
import pandas, polars, pyarrow.parquet

lines = [json.loads(line) for line in open(os.path.join(run, "results.jsonl"), encoding="utf-8")]
scorers = sorted({name for line in lines for name in line["scores"]})

table = pyarrow.parquet.read_table(parquet)
print("parquet schema:", ", ".join(f"{field.name}: {field.type}" for field in table.schema))
frame = pandas.read_parquet(parquet)
other = polars.read_parquet(parquet)
assert len(frame) == len(other) == len(lines), (len(frame), len(other), len(lines))
for at, line in enumerate(lines):
    for row in (frame.iloc[at].to_dict(), other.row(at, named=True)):
        assert row["dataset"] == line["dataset"] and row["id"] == line["id"], (row["id"], line["id"])
        assert list(row["tags"]) == line["tags"] and bool(row["passed"]) == line["passed"]
        assert row["output"] == line["output"] and row["repeat"] == line.get("repeat", 0)
        for name in scorers:
            score = line["scores"].get(name)
            value = row[f"{name}.value"]
            assert (value == score["value"]) if score else (value is None or value != value), (line["id"], name, value)
print(f"parquet: {len(lines)} rows and {len(table.schema)} columns, equal in pandas {pandas.__version__} and polars {polars.__version__}")
print("polars:", other.group_by("dataset").agg(polars.col("passed").mean()).sort("dataset").rows())

rows = list(csv.DictReader(open(comma, encoding="utf-8", newline="")))
again = pandas.read_csv(comma, keep_default_na=False)
assert len(rows) == len(again) == len(lines)
for row, line in zip(rows, lines):
    output = line["output"] or ""
    kept = "'" + output if output[:1] in ("=", "+", "-", "@", "\t", "\r") else output
    assert row["id"] == line["id"] and row["output"] == kept, (row["output"], kept)
print(f"csv: {len(rows)} rows, equal in Python's csv and pandas")

from xml.etree import ElementTree
root = ElementTree.parse(xml).getroot()
cases = [case for suite in root.findall("testsuite") if suite.get("name") != "gates" for case in suite.findall("testcase")]
failed = sum(1 for case in cases if case.find("failure") is not None or case.find("error") is not None)
assert len(cases) == len(lines) and failed == sum(not line["passed"] for line in lines), (len(cases), failed)
print(f"junit: {len(cases)} cases, {failed} failed")
if schema := os.environ.get("JUNIT_XSD"):
    import xmlschema
    xmlschema.XMLSchema(schema).validate(xml)
    print("junit: valid by", os.path.basename(schema))
