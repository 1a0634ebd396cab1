#!/usr/bin/env python3
"""Compare karat's chat templates with apply_chat_template of transformers: templates x conversations.

The conversations have keys whose value is null (content, tool_calls, name, reasoning, and within tool calls), contents that are
missing or lists, last messages that go on, and template arguments. Text is compared, and where transformers raises karat must
fail that line; one kind is counted and let pass: a loop over None, which minijinja takes for an empty one (engine/src/chat/mod.rs).
Templates that jinja2 itself cannot compile are counted and left out. The clock stands at 2024-07-26. Exit code 1 on any difference.

usage: check_chat_templates.py [--karat target/release/karat] [--only WORD] [--show] TEMPLATES.jinja|FOLDER...
needs: transformers >= 5.24, jinja2, tokenizers
"""
import argparse, datetime, json, os, pathlib, subprocess, sys, tempfile

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

NOW = datetime.datetime(2024, 7, 26)


class Clock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(NOW.year, NOW.month, NOW.day)


chat_template_utils.datetime = Clock

U = lambda content, **more: {"role": "user", "content": content, **more}
A = lambda content, **more: {"role": "assistant", "content": content, **more}
S = lambda content: {"role": "system", "content": content}
CALL = {"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "X", "unit": None}}}
TEXT_CALL = {"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "X"}'}}
RESULT = {"role": "tool", "content": "21", "tool_call_id": "call00001", "name": "get_weather"}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Weather of a city.", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "description": None}}, "required": ["city"]}}}]
PARTS = [{"type": "text", "text": "first "}, {"type": "text", "text": "second"}]

# Messages, and what else the line says.
CASES = {
    "plain": ([U("Hello!")], {}),
    "turns": ([S("Be kind."), U("Hi"), A("Hello."), U("More\n\nplease ")], {}),
    "closed": ([U("Hi"), A("Hello.")], {"add_generation_prompt": False}),
    "tool_calls null": ([U("a"), A("ANSWER", tool_calls=None), U("c")], {}),
    "all null": ([U("a", name=None, tool_calls=None, tool_call_id=None), A("b", function_call=None, refusal=None, audio=None, reasoning_content=None), U("c")], {}),
    "content null": ([U("Weather?"), A(None, tool_calls=[CALL]), RESULT], {}),
    "content null, text call": ([U("Weather?"), A(None, tool_calls=[TEXT_CALL]), RESULT, U("Thanks")], {}),
    "content null, tools": ([U("Weather?"), A(None, tool_calls=[CALL]), RESULT], {"chat_template_kwargs": {"tools": TOOLS}}),
    "content missing": ([U("Weather?"), {"role": "assistant", "tool_calls": [CALL]}, RESULT], {}),
    "content empty": ([U("Weather?"), A("", tool_calls=[CALL]), RESULT], {}),
    "content null, nothing else": ([U("a"), A(None), U("b")], {}),
    "user null": ([U(None)], {}),
    "system null": ([S(None), U("a")], {}),
    "name null": ([U("a", name=None), A("b", name="bot"), U("c", name=None)], {}),
    "within calls null": ([U("a"), A("b", tool_calls=[{"id": None, "type": None, "function": {"name": "f", "arguments": {"x": None}}}]), RESULT], {}),
    "tools null": ([U("a")], {"chat_template_kwargs": {"tools": None, "documents": None}}),
    "tools": ([S("Be kind."), U("a")], {"chat_template_kwargs": {"tools": TOOLS}}),
    "tools empty": ([U("a")], {"chat_template_kwargs": {"tools": []}}),
    "reasoning": ([U("1+1?"), A("2", reasoning_content="easy"), U("2+2?")], {}),
    "reasoning null": ([U("1+1?"), A("2", reasoning_content=None, thinking="so", reasoning=None), U("2+2?")], {}),
    "calls and reasoning": ([U("a"), A(None, reasoning="hm", tool_calls=[CALL]), RESULT], {"chat_template_kwargs": {"tools": TOOLS}}),
    "list": ([U(PARTS)], {}),
    "list null": ([U([{"type": "text", "text": "a", "cache": None}])], {}),
    "thinking off": ([U("a")], {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}}),
    "thinking on": ([U("a")], {"chat_template_kwargs": {"enable_thinking": True, "thinking": True, "reasoning_effort": "low"}}),
    "thinking null": ([U("a")], {"chat_template_kwargs": {"enable_thinking": None}}),
    "own token": ([U("a")], {"chat_template_kwargs": {"bos_token": "<own>"}}),
    "goes on": ([U("How can I pay?"), A("You can pay by")], {"continue_final_message": True}),
    "goes on, blanks": ([U("a"), A(" b \n")], {"continue_final_message": True}),
    "goes on, empty": ([U("a"), A("")], {"continue_final_message": True}),
    "goes on, null": ([U("a"), A(None)], {"continue_final_message": True}),
    "goes on, user": ([U("How can I")], {"continue_final_message": True}),
    "goes on, list": ([U("a"), A(PARTS)], {"continue_final_message": True}),
    "goes on, thought": ([U("a"), A("<think>\nhm")], {"continue_final_message": True}),
    "goes on, reasoning": ([U("a"), A("", reasoning_content="Let me")], {"continue_final_message": "reasoning_content"}),
    "goes on, twice": ([U("by"), A("by"), U("by"), A("by")], {"continue_final_message": True}),
}


def transformers_side(tokenizer, messages, more):
    continued = more.get("continue_final_message", False)
    generate = more.get("add_generation_prompt", not continued)
    try:
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=generate, continue_final_message=continued,
                                             **more.get("chat_template_kwargs", {})), None
    except Exception as error:
        return None, f"{type(error).__name__}: {error}".split("\n")[0][:160]


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("templates", nargs="+", type=pathlib.Path)
    parser.add_argument("--karat", default=str(root / "target/release/karat"))
    parser.add_argument("--only", default="", help="templates or conversations with this word in their name")
    parser.add_argument("--show", action="store_true", help="both texts of every difference")
    args = parser.parse_args()
    files = [file for given in args.templates for file in (sorted(given.glob("*.jinja")) if given.is_dir() else [given])]
    counts = {"equal": 0, "both fail": 0, "differ": 0, "only karat fails": 0, "only transformers fails": 0, "loop over None": 0}
    seen, broken = set(), []
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        small = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[]))
        small.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        small.save(str(folder / "tokenizer.json"))
        named = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", **named}))
        for file in files:
            source = file.read_text()
            if source in seen:
                continue
            seen.add(source)
            try:
                chat_template_utils._compile_jinja_template(source)
            except Exception as error:
                broken.append(f"{file.name} ({type(error).__name__})")
                continue
            (folder / "chat_template.jinja").write_text(source)
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
            cases = {name: case for name, case in CASES.items() if args.only in f"{file.name} {name}"}
            lines = [{"id": name, "messages": messages, **more} for name, (messages, more) in cases.items()]
            if not lines:
                continue
            done = subprocess.run([args.karat, "render", folder, "--allow-unknown-keys", "--now", NOW.isoformat() + "Z"], capture_output=True, text=True,
                                  input="".join(json.dumps(line) + "\n" for line in lines), env={**os.environ, "KARAT_CACHE": ""})
            if done.returncode not in (0, 3):
                counts["only karat fails"] += len(lines)
                print(f"{file.name}: karat ended with {done.returncode}: {done.stderr.strip()[:300]}")
                continue
            for name, line in zip(cases, map(json.loads, done.stdout.splitlines())):
                expected, raised = transformers_side(tokenizer, *cases[name])
                failed = line.get("error")
                outcome = ("both fail" if failed else "only transformers fails") if raised else "only karat fails" if failed else (
                    "equal" if line["text"] == expected else "differ")
                if outcome == "only transformers fails" and "'NoneType' object is not iterable" in raised:
                    outcome = "loop over None"
                counts[outcome] += 1
                if outcome in ("differ", "only karat fails", "only transformers fails"):
                    print(f"{file.name}: {name}: {outcome}{': ' + (failed or raised)[:200] if failed or raised else ''}")
                    if args.show:
                        print(f"  transformers: {expected!r}\n  karat:        {line['text']!r}")
    import jinja2, transformers
    print(f"transformers {transformers.__version__}, jinja2 {jinja2.__version__}: {len(seen)} templates, {len(CASES)} conversations: {counts}")
    if broken:
        print(f"not for jinja2: {', '.join(broken)}")
    wrong = counts["differ"] + counts["only karat fails"] + counts["only transformers fails"]
    sys.exit(1 if wrong or not counts["equal"] else 0)


if __name__ == "__main__":
    main()
