"""Puts the figures of evaluate.py into the model card, between two marks, so that card and figures agree."""

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def percent(value):
    return f"{100 * value:.1f} %"


def tables(result):
    lines = [
        "| held-out set | texts | toxic | AUC | F1 | precision | recall | flagged though neutral | ECE |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name in ("davidson", "surge", "davidson+surge"):
        f = result[name]
        lines.append(
            f"| {name} | {f['rows']} | {f['toxic']} | {f['auc']:.3f} | {f['f1']:.3f} | {f['precision']:.3f} | "
            f"{f['recall']:.3f} | {percent(f['false_positive_rate'])} | {f['ece']:.3f} |"
        )
    lines += ["", "| neutral sentences with identity terms | sentences | flagged |", "|---|---|---|"]
    names = {"all": "**all**", "unseen_terms": "terms that no training sentence was made with"}
    for name, f in result["identity_neutral"].items():
        lines.append(f"| {names.get(name, name)} | {f['rows']} | {percent(f['flagged'])} |")
    lines += ["", "| other texts | texts | flagged |", "|---|---|---|"]
    for name, what in {
        "identity_sentences": "hand-written neutral sentences with identity terms, first set",
        "identity_fresh": "hand-written neutral sentences with identity terms, second set",
        "identity_toxic": "toxic sentences with identity terms (should be flagged)",
        "everyday_toxic": "rude everyday sentences (should be flagged)",
        "everyday_neutral": "calm everyday and shop sentences",
        "everyday_dialect": "calm sentences in African American English",
        "gsm8k": "school maths questions and answers (GSM8K)",
    }.items():
        lines.append(f"| {what} | {result[name]['rows']} | {percent(result[name]['flagged'])} |")
    dialect = result["davidson_neither_by_dialect_words"]
    for name, f in dialect.items():
        lines.append(f"| neutral tweets (Davidson) {name} dialect words | {f['rows']} | {percent(f['flagged'])} |")
    return "\n".join(lines)


def fill(path, result):
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"{path}: the marks {BEGIN} and {END} are missing")
    path.write_text(f"{before}{BEGIN}\n{tables(result)}\n{END}{after}", encoding="utf-8")
