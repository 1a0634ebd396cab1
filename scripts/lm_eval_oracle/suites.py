"""Suites of karat for the tasks of the oracle of lm-evaluation-harness (../shared/data/anchors/lm_eval_oracle).

What `lm_eval` reads in tasks/*.yaml, said as `datasets:` of a suite. A variant is one of the oracle's: shots, seed, chat, system."""

import json
import pathlib

# `exclude`: lm-eval draws one example more, and takes the case out, where `fewshot_split` and `test_split` are equal: for tasks that
# have neither, too. Where examples come from the test split because there is no other, it does not.
PROMPTS = {
    "arc_easy": dict(
        request="choice",
        prompt=dict(text="Question: {{question}}\nAnswer:", choices="{{choices.text}}", target="{{choices.label.index(answerKey)}}"),
        shots="arc_easy_train.jsonl", file="arc_easy_test.jsonl", scorers=["acc", "acc_norm"]),
    "mmlu_own": dict(
        request="choice",
        prompt=dict(
            text="{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nC. {{choices[2]}}\nD. {{choices[3]}}\nAnswer:",
            choices=["A", "B", "C", "D"], target="{{answer}}",
            description="The following are multiple choice questions (with answers) about plain facts.\n\n"),
        shots="mmlu_own_dev.jsonl", draw="first", file="mmlu_own_test.jsonl", scorers=["acc"]),
    "piqa": dict(
        request="choice", prompt=dict(text="Question: {{goal}}\nAnswer:", choices="{{[sol1, sol2]}}", target="{{label}}"),
        shots="piqa_train.jsonl", exclude=True, file="piqa_validation.jsonl", scorers=["acc", "acc_norm"]),
    "mrpc": dict(
        request="choice",
        prompt=dict(
            text="Sentence 1: {{sentence1}}\nSentence 2: {{sentence2}}\nQuestion: Do both sentences mean the same thing?\nAnswer:",
            choices=["no", "yes"], target="{{label}}"),
        shots="mrpc_train.jsonl", exclude=True, file="mrpc_validation.jsonl", scorers=["acc"]),
    "cola": dict(
        request="choice",
        prompt=dict(text="{{sentence}}\nQuestion: Does this sentence make sense?\nAnswer:", choices=["no", "yes"], target="{{label}}"),
        shots="cola_train.jsonl", exclude=True, file="cola_validation.jsonl", scorers=["acc"]),
    "xnli_en": dict(
        request="choice",
        prompt=dict(
            text="",
            choices='{{[premise+", right? Yes, "+hypothesis,premise+", right? Also, "+hypothesis,premise+", right? No, "+hypothesis]}}',
            target="{{label}}"),
        shots="xnli_train.jsonl", exclude=True, file="xnli_validation.jsonl", scorers=["acc"]),
    "own_mc": dict(
        request="choice", prompt=dict(text="{{q}}\nAnswer:", choices="{{opts}}", target="{{gold}}"),
        shots="own_mc_train.jsonl", file="own_mc_test.jsonl",
        scorers=["acc", "acc_norm", "acc_bytes", "acc_mutual_info", "brier_score"]),
    "lambada_openai": dict(
        request="loglikelihood",
        prompt=dict(text="{{text.split(' ')[:-1]|join(' ')}}", target="{{' '+text.split(' ')[-1]}}"),
        shots="lambada_test.jsonl", exclude=False, file="lambada_test.jsonl", scorers=["greedy", "logprob"]),
    "pile_10k": dict(request="perplexity", prompt=dict(text="{{text}}"), file="pile_test.jsonl",
                     scorers=["bits_per_byte", "byte_perplexity", "word_perplexity"]),
    "gsm8k": dict(
        request="generate", prompt=dict(text="Question: {{question}}\nAnswer:", target="{{answer}}"),
        shots="gsm8k_train.jsonl", file="gsm8k_test.jsonl", stop=["Question:", "</s>", "<|im_end|>"], scorers=[]),
    "triviaqa": dict(
        request="generate", prompt=dict(text="Question: {{question}}?\nAnswer:", target="{{answer.aliases}}"),
        shots="triviaqa_train.jsonl", exclude=True, file="triviaqa_validation.jsonl", stop=["\n", ".", ","], scorers=[]),
    "bbh_own": dict(
        request="generate",
        prompt=dict(text="Q: {{input}}\nA:", target="{{target}}", description="Evaluate the result of a small puzzle.\n\n"),
        shots="bbh_test.jsonl", file="bbh_test.jsonl", stop=["</s>", "Q:", "<|im_end|>"], scorers=[]),
    "own_majority": dict(
        request="generate",
        prompt=dict(text='{{question}}\nReason, then write "#### " and the number.\n',
                    target="{{answer.split('#### ')[-1]|replace(',','')}}", target_delimiter=""),
        shots="gsm8k_train.jsonl", file="gsm8k_test.jsonl", stop=["\n\n"], scorers=[]),
    "own_prefix": dict(
        request="generate",
        prompt=dict(text="{% if note %}Note: {{note}}\n{% endif %}Q: {{q}}", target="{{a}}", answer_prefix="The answer is:",
                    target_delimiter="\n", description="Facts about {{topic}}.\n\n"),
        shots="own_prefix_train.jsonl", draw="first", delimiter="\n---\n", file="own_prefix_test.jsonl", stop=["\n---", "\n\n"],
        tokens=32, scorers=[]),
}
# num_fewshot: 0 in its file wins over the command line.
PROMPTS["bbh_zero"] = dict(PROMPTS["bbh_own"], shots=None)

VARIANTS = {
    "fs0": dict(),
    "fs3": dict(shots=3),
    "fs5": dict(shots=5),
    "fs3_seed7": dict(shots=3, seed=7),
    "fs0_chat": dict(chat=True),
    "fs3_chat_turns": dict(shots=3, chat=True),
    "fs3_chat_oneturn": dict(shots=3, chat=True, join="text"),
    "fs2_chat_system": dict(shots=2, chat=True, system=True),
    "fs2_system": dict(shots=2, system=True),
}

SCORERS = {
    **{m: {"choice": {"metric": m}} for m in ["acc", "acc_norm", "acc_bytes", "acc_mutual_info", "brier_score"]},
    **{m: {"loglikelihood": {"metric": m}} for m in ["greedy", "logprob"]},
    **{m: {"perplexity": {"metric": m}} for m in ["bits_per_byte", "byte_perplexity", "word_perplexity"]},
}
SYSTEM = "You are a careful examiner."


def dataset(task, variant, data, limit=None):
    """One entry of `datasets:`; `data` is the folder of the rows as the suite names it."""
    spec, how = PROMPTS[task], VARIANTS[variant]
    prompt = dict(spec["prompt"], chat=how.get("chat", False))
    if how.get("system"):
        # lm-eval puts a blank line, or the delimiter of examples, between both where neither has white space there.
        own = prompt.get("description", "")
        delimiter = spec.get("delimiter", "\n\n") if own else ""
        prompt["description"] = SYSTEM + delimiter + own
    if how.get("shots") and spec.get("shots"):
        draw = spec.get("draw", "random")
        shots = dict(file=f"{data}/{spec['shots']}", count=how["shots"], draw=draw)
        if draw == "random" and "exclude" in spec:
            shots["exclude_case"] = spec["exclude"]
        if draw == "random" and "seed" in how:
            shots["seed"] = how["seed"]
        if "join" in how:
            shots["as"] = how["join"]
        if "delimiter" in spec:
            shots["delimiter"] = spec["delimiter"]
        prompt["few_shot"] = shots
    entry = dict(name=f"{task}__{variant}", kind="golden", file=f"{data}/{spec['file']}", ids="row", request=spec["request"], prompt=prompt,
                 scorers=spec["scorers"])
    # Their ids are those of somebody else's file.
    if spec["request"] == "generate":
        entry["generation"] = dict(stop=spec["stop"], max_new_tokens=spec.get("tokens", 256))
    if limit:
        entry["limit"] = limit
    return entry


def suite(name, entries, model):
    used = sorted({scorer for entry in entries for scorer in entry["scorers"]})
    return dict(version=1, name=name, models=dict(generator=dict(model=model)), datasets=entries, scorers=[SCORERS[s] for s in used])


def write(path, value):
    # JSON is YAML.
    pathlib.Path(path).write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
