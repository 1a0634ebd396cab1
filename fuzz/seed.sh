#!/usr/bin/env bash
# Fills fuzz/corpus with what the repository holds of each kind, so that a target need not find the formats by itself.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

add() { # target, file on standard input: kept under the hash of its content
  mkdir -p "fuzz/corpus/$1"
  local file; file=$(mktemp "fuzz/corpus/$1/.seed-XXXXXX")
  cat > "$file"
  mv "$file" "fuzz/corpus/$1/$(sha1sum "$file" | cut -c1-40)"
}

for folder in tests/fixtures/models/*/ models/*/ models/*/*/; do
  [ -f "$folder/config.json" ] && [ -f "$folder/tokenizer.json" ] || continue
  add config_json < "$folder/config.json"
  # The header and no values: what follows is data.
  for file in "$folder"/*.safetensors; do head -c 3000 "$file" | add weights; done
  for file in "$folder"/*.index.json; do if [ -f "$file" ]; then add weights < "$file"; fi; done
  python3 -c 'import json, sys; sys.stdout.write(json.dumps(json.load(open(sys.argv[1]))["decoder"]) + "\0a text")' "$folder/tokenizer.json" | add tokenizer_json
  # Most of a file is vocabulary, which no change makes interesting.
  if [ "$(wc -c < "$folder/tokenizer.json")" -lt 12000 ]; then { cat "$folder/tokenizer.json"; printf '\0a text'; } | add tokenizer_file; fi
done
for entry in $(git ls-files 'models/*.yaml' 'tests/fixtures/models/*.yaml'); do add registry_entry < "$entry"; done
for header in $(git ls-files 'datasets/*.jsonl.yaml'); do add dataset_header < "$header"; done
for suite in $(git ls-files 'datasets/*/suite.yaml'); do add suite_yaml < "$suite"; done
git ls-files 'datasets/*.jsonl' | while read -r file; do
  head -n 5 "$file" | add recorded_run
  head -n 5 "$file" | { printf '\0'; cat; } | add dataset_lines
  head -n 5 "$file" | { printf '\1['; paste -sd,; printf ']'; } | add dataset_lines
done
printf '\2id,input,target\n1,"a ""b""\nc",d\n' | add dataset_lines
printf '{"id": "a", "prompt": "b", "max_new_tokens": 3}\n{"id": 2, "messages": [{"role": "user", "content": "c"}]}\n' | add engine_lines
printf '{"dataset":"d","id":"1","kind":"golden","tags":[],"prompt_hash":"0","output":"x","output_ids":[1],"finish":"eos","prompt_tokens":1,"scores":{"exact_match":{"passed":true,"value":1.0,"explanation":"x"}},"passed":true,"error":null}\n' | add recorded_run
printf 'a|\\n\\n|the\0\1\40\0\100\0\60\0\77\0' | add stop_matcher
printf '[{"role": "user", "content": [{"type": "text", "text": "a"}]}, {"role": "assistant", "content": "<think>b</think>", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}]' | add chat_messages
for file in tests/fixtures/models/*/chat_template.jinja; do add chat_template < "$file"; done
python3 - <<'PYTHON' | while IFS= read -r line; do printf '%s' "$line" | add chat_template; done
import json, pathlib
for line in pathlib.Path("engine/src/chat/agreed.jsonl").open():
    print(next(v for k, v in json.loads(line).items() if isinstance(v, str)).replace("\n", " "))
PYTHON
du -s fuzz/corpus/* | sed 's/^/seeded: /'
