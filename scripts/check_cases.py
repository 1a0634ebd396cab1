"""Runs the cases of ../shared/data/cases and compares with the right values; see check_cases.sh, which sets what this needs.

Each case is copied, `${NAME}` in its suite is filled in, its `cmd.sh` or `repro.*` runs, and a function below says what is right of
the output: as the case's own file `right` has it, or what this project chose where that leaves a choice.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

CASES = os.path.join(os.environ["SHARED"], "data", "cases")
RIGHT = {}


def right(name):
    def note(function):
        RIGHT[name] = function
        return function

    return note


def verdicts(text):
    """Lines `ID True|False|None [explanations]`, as the cases print them."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"^(\S+) (True|False|None) (.*)$", line)
        if match:
            found[match[1]] = (match[2], match[3])
    return found


def lines(text):
    found = []
    for line in text.splitlines():
        if line.startswith("{"):
            found.append(json.loads(line))
    return found


@right("01-number-target-not-one-number")
def number_targets(out):
    found = verdicts(out)
    refused = "error" in out and not found
    return refused or (len(found) == 7 and all(passed != "True" for passed, _ in found.values()))


@right("03-stop-special-token")
def stop_special(out):
    return all(
        line["text"] == "You can pay by card, bank transfer or invoice." and line["finish"] == "stop" for line in lines(out)
    ) and bool(lines(out))


@right("04-tied-head-differs")
def tied_head(out):
    return any(line["ids"][0] == 278 for line in lines(out)) and "lm_head" in out


@right("05-add-bos-eos-config")
def add_bos(out):
    return [line["ids"] for line in lines(out)] == [[15496, 995], [50256, 15496, 995], [50256, 15496, 995]]


@right("06-toxicity-after-limit")
def toxicity(out):
    found = verdicts(out)
    return len(found) == 2 and all(passed in ("False", "None") for passed, _ in found.values())


@right("07-similarity-after-limit")
def similarity(out):
    return bool(verdicts(out)) and "1.0000" not in out


@right("08a-unclosed-think-refusal")
@right("08b-unclosed-think-number")
def no_answer(out):
    found = verdicts(out)
    return bool(found) and all(passed == "False" and "no answer" in why for passed, why in found.values())


@right("08c-think-contains")
def think_contains(out):
    return [passed for passed, _ in verdicts(out).values()] == ["False"]


@right("08d-think-exact")
def think_exact(out):
    return [passed for passed, _ in verdicts(out).values()] == ["True"]


@right("10-null-content")
def null_content(out):
    rows = [line for line in out.splitlines() if line.startswith(("glm", "dsv3"))]
    glm = [row for row in rows if row.startswith("glm content-null")]
    deepseek = [row for row in rows if row.startswith("dsv3 tool_calls-null")]
    return (
        "None\\n<tool_call>" not in glm[0]
        and glm[0].endswith(" None")
        and "<｜Assistant｜>ANSWER<｜end▁of▁sentence｜>" in deepseek[0]
    )


@right("11-logprob-hang")
def logprob_hang(out):
    return not re.search(r"rc (124|130|143|137)", out) and bool(lines(out))


@right("12-logprob-empty-continuation")
def empty_continuation(out):
    found = {line["id"]: line for line in lines(out)}
    return all("error" in found[name] for name in ("wrong-but-free", "empty")) and "logprob" in found["other"]


@right("13-few-shot-jsonl")
def few_shot(out):
    return out.strip().endswith("rc 0")


@right("14-adapter-beside-base")
def adapter(out):
    return "adapter" in out and not lines(out)


@right("15-generation-config-penalty")
def penalty(out):
    found = lines(out)
    applied = found and all(279 not in line["ids"] and len(line["ids"]) >= 30 for line in found)
    return bool(applied)


@right("16-big-integer-target")
def big_integer(out):
    found = [passed for passed, _ in verdicts(out).values()]
    return found == ["True", "False"]


@right("18-identity-labels")
def identity(out):
    return '\\"muslim\\" has probability' not in out and "muslim" in out


@right("20-tokenizer-config-flags")
def tokenizer_flags(out):
    ids = [line["ids"] for line in lines(out)]
    return ids[0] == [101, 100, 100, 102] and ids[1] == [101, 7592, 100, 102] and ids[2][0] == 18435 and ids[3] == [2, 72, 81, 81]


@right("22-tojson-in-prompts")
def tojson(out):
    return "men's <XL> & belt" in json.dumps(lines(out), ensure_ascii=False) and "\\\\u0026" not in out


@right("23-crlf-prompt")
def crlf(out):
    return bool(lines(out)) and "\\r" not in out


@right("24-unknown-keys-of-lines")
def unknown_keys(out):
    return all(name in out for name in ("max_tokens",)) and not any("finish" in line for line in lines(out)) and "error" in out


@right("25-run-on-after-marker")
def run_on(out):
    # The option is tried below with the case's own data: `occurrence: first`.
    return [passed for passed, _ in verdicts(out).values()][-1:] == ["True"]


@right("29-prefill")
def prefill(out):
    # The case has no word of its own for it: with `continue_final_message` (see `before`) the turn goes on.
    return "<|user|>How can I pay?<|end|><|assistant|>You can pay by" in [line.get("text") for line in lines(out)]


@right("30-template-variables")
def template_variables(out):
    return any(line.get("text", "").endswith("assistant\n<think>\n\n</think>\n\n") for line in lines(out))


@right("40-gptq-folder")
def gptq(out):
    return "gptq" in out.lower() and "did you mean" not in out and not lines(out)


@right("41-mlx-folder")
def mlx(out):
    return "MLX" in out and "different models" not in out and not lines(out)


@right("42-gguf-iq")
def gguf_iq(out):
    return "IQ4_XS" in out and "::" not in out


@right("43-gguf-shards")
def gguf_shards(out):
    return "llama-gguf-split" in out and len(lines(out)) == 1 and "ids" in lines(out)[0]


@right("44-lora-only-folder")
def lora_only(out):
    return "org/base" in out and "adapter" in out.lower() and "read config.json" not in out


@right("attack-01-nonfinite-contamination")
def nonfinite(out):
    chunks = re.findall(r"\{.*\}", out)
    same = [len({json.dumps(v) for v in eval(c, {}).values()}) == 1 for c in chunks[:3]]  # noqa: S307: the repro prints a dict
    draft = re.search(r"without draft (.*)\n\s+with draft\s+(.*)", out)
    alone = re.search(r"alone\s+(\{.*\})\n\s+beside another (\{.*\})", out)
    company = alone and eval(alone[1], {})["clean"] == eval(alone[2], {})["clean"]  # noqa: S307
    return all(same) and bool(draft) and draft[1].strip() == draft[2].strip() and bool(company)


@right("attack-02-logprob-hang")
def hang(out):
    return not re.search(r"rc (124|130|143|137)", out)


@right("attack-03-cache-poisoned-by-replaced-model")
def poisoned(out):
    return "WRONG" not in out and "right" in out


@right("attack-04-dataset-changed-during-run")
def changed(out):
    return "run rc 2" in out and "changed during the run" in out


@right("attack-05-accept-loses-log-lines")
def accepts(out):
    found = re.findall(r"log lines (\d+)", out)
    return len(found) == 8 and all(n == "6" for n in found)


@right("attack-06-tokenizer-panics")
def panics(out):
    return "rc 101" not in out and "rc -6" not in out and out.count("rc ") == 4


@right("attack-07-terminal-escapes")
def escapes(out):
    return "^[" not in out and "M-bM-^@M-." not in out


@right("attack-08-manifest-unprotected")
def manifest(out):
    return "rc 0" not in out.split("gate after one digit")[-1]


@right("attack-10-git-config-executes")
def git(out):
    return out.count("nothing ran") == 2


# Words of karat's own for what a case leaves open: (file, what to replace, by what), or `--flags` for its command.
BEFORE = {
    "25-run-on-after-marker": [("suite.yaml", "marker:", "occurrence: first, marker:")],
    "29-prefill": [("cmd.sh", "render ${MINI}", "render --continue-final-message ${MINI}")],
    "30-template-variables": [("cmd.sh", "render m", "render --chat-template-kwargs '{\"enable_thinking\": false}' m")],
}


def filled(text):
    return re.sub(r"\$\{(\w+)\}", lambda match: os.environ.get(match[1], match[0]), text)


def run(name, folder):
    place = os.path.join(folder, name)
    shutil.copytree(os.path.join(CASES, name), place, symlinks=True)
    for file, old, new in BEFORE.get(name, []):
        path = os.path.join(place, file)
        with open(path, encoding="utf-8") as source:
            text = source.read()
        if old not in text:
            return None, f"{file} does not hold {old!r}"
        with open(path, "w", encoding="utf-8") as target:
            target.write(text.replace(old, new))
    for file in os.listdir(place):
        path = os.path.join(place, file)
        if file in ("suite.yaml",) or file.startswith("repro"):
            with open(path, encoding="utf-8") as source:
                text = source.read()
            with open(path, "w", encoding="utf-8") as target:
                target.write(filled(text))
    scripts = ["cmd.sh"] if os.path.exists(os.path.join(place, "cmd.sh")) else sorted(
        file for file in os.listdir(place) if file.startswith("repro.")
    )
    out = ""
    for script in scripts:
        shell = {"sh": "bash", "py": sys.executable}[script.rsplit(".", 1)[1]]
        env = dict(os.environ, KARAT_CACHE="" if name != "attack-03-cache-poisoned-by-replaced-model" else place + "/cache")
        try:
            done = subprocess.run(
                [shell, os.path.join(place, script)], capture_output=True, timeout=600, cwd=place, env=env, check=False
            )
        except subprocess.TimeoutExpired:
            return None, f"{script} did not end"
        out += done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    return out, None


def main():
    names = sorted(name for name in os.listdir(CASES) if os.path.isdir(os.path.join(CASES, name)))
    wanted = sys.argv[1:]
    names = [name for name in names if not wanted or any(part in name for part in wanted)]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for file in os.listdir(CASES):
            path = os.path.join(CASES, file)
            if os.path.isfile(path):
                shutil.copy(path, folder)
        # What repros source, where the cases' folder has none of it.
        if not os.path.exists(os.path.join(folder, "common.sh")):
            with open(os.path.join(folder, "common.sh"), "w", encoding="utf-8") as common:
                common.write(COMMON)
        for name in names:
            out, problem = run(name, folder)
            if problem is None and name not in RIGHT:
                problem = "nothing says what is right of it"
            if problem is None:
                try:
                    good = RIGHT[name](out)
                except (IndexError, KeyError, TypeError, ValueError) as error:
                    good, problem = False, f"not what was expected: {error!r}"
                if not good:
                    problem = problem or "wrong"
            print(f"{'right' if problem is None else 'WRONG'}  {name}{'' if problem is None else ': ' + problem}", flush=True)
            if problem is not None:
                wrong += 1
                print("\n".join("    " + line[:300] for line in (out or "").splitlines()[:20]))
    print(f"{len(names) - wrong} of {len(names)} cases are right")
    if wrong or not names:
        sys.exit(1)


COMMON = """K=${KARAT:-karat}; W=$(mktemp -d); cd $W
cat > suite.yaml <<Y
version: 1
name: s
datasets: [{name: golden, kind: golden, file: g.jsonl, scorers: [exact_match]}]
scorers: [{exact_match: {}}]
Y
"""

if __name__ == "__main__":
    main()
