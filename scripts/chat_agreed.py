#!/usr/bin/env python3
"""Recompute engine/src/chat/agreed.jsonl: what transformers prints for our small templates.

usage: chat_agreed.py [NEW.jsonl]     (needs: transformers >= 5, jinja2)
The first line of the file holds the variables; a further line is {"template", "expected"} or {"template", "raises": true}.
NEW.jsonl may bring further templates, one JSON string per line.
"""
import datetime, json, pathlib, sys
from transformers.utils.chat_template_utils import _compile_jinja_template as compile_template

path = pathlib.Path(__file__).parent.parent / "engine/src/chat/agreed.jsonl"
head, *rows = path.read_text().splitlines()
variables = json.loads(head)
templates = [json.loads(row)["template"] for row in rows]
templates += [json.loads(line) for name in sys.argv[1:] for line in open(name)]
now = datetime.datetime(2024, 7, 26)
lines = [head]
for template in templates:
    row = {"template": template}
    try:
        row["expected"] = compile_template(template).render(
            messages=[], tools=None, documents=None, add_generation_prompt=True, bos_token="<s>", eos_token="</s>",
            strftime_now=now.strftime, **variables)
    except Exception:
        row["raises"] = True
    lines.append(json.dumps(row, ensure_ascii=False))
path.write_text("\n".join(lines) + "\n")
