#!/usr/bin/env python3
"""Makes C++ of a preprocessed kernel source: rewrite.py IN OUT.

Kernels put themselves into the table of kernels; variables in shared memory become static ones that begin with garbage in
every block, or pointers into the dynamic part.
"""
import re
import sys


def matching(text, at):
    """Behind the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if depth == 0:
            return i + 1
    sys.exit(f"no end of {text[at:at + 80]!r}")


def kernels(text):
    """`extern "C"` kernels are declared, registered, then defined. Others are functions that nobody starts."""
    out, at = [], 0
    for found in re.finditer(r'(extern\s+"C"\s+)?\bKARAT_KERNEL\b', text):
        if found.start() < at:
            continue
        out.append(text[at:found.start()])
        head, i, bound = "", found.end(), "0"
        while True:
            open_at = text.index("(", i)
            before = re.search(r"(\w+)\s*$", text[i:open_at]).group(1)
            end = matching(text, open_at)
            if before not in ("KARAT_BOUNDS", "__attribute__"):
                break
            if before == "KARAT_BOUNDS":
                head += text[i:open_at].replace("KARAT_BOUNDS", "")
                bound = text[open_at + 1:end - 1].split(",")[0]
            else:
                head += text[i:end]
            i = end
        head += text[i:open_at]
        signature = " ".join((found.group(1) or "") .split()) + " " + head + text[open_at:end]
        if found.group(1) and text[end:].lstrip().startswith("{"):
            flat = " ".join(signature.split())
            out.append(f'{flat}; static const ::karat::Registration<&{before}> {before}_registered("{before}", {bound}); ')
        out.append(signature)
        at = end
    return "".join([*out, text[at:]])


def plain(declaration):
    """Without attributes."""
    while found := re.search(r"\b(__attribute__|alignas)\s*(?=\()", declaration):
        declaration = declaration[:found.start()] + declaration[matching(declaration, found.end()):]
    return declaration


def declarators(declaration):
    """The names that `TYPE a[3], b` declares."""
    depth, parts = 0, [""]
    for c in plain(declaration):
        depth += (c in "([{<") - (c in ")]}>")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return [re.search(r"(\w+)\s*(\[.*)?$", part.strip(), re.S).group(1) for part in parts]


def shared(text):
    out, at = [], 0
    for found in re.finditer(r"(extern\s+|static\s+)?\bKARAT_SHARED\b([^;]*);", text):
        out.append(text[at:found.start()])
        declaration = " ".join(found.group(2).split())
        lead = (found.group(1) or "").strip()
        if lead == "extern":
            kind, name = re.fullmatch(r"(.*?)\s*(\w+)\s*\[\s*\]", plain(declaration).strip()).groups()
            before = re.sub(r'"(\\.|[^"\\])*"|\'(\\.|[^\'\\])*\'', "", text[:found.start()])
            outside = before.count("{") == before.count("}")
            new = f"static const ::karat::Dynamic<{kind}> {name};" if outside else \
                f"{kind} *const {name} = reinterpret_cast<{kind} *>(::karat::dynamic_shared);"
        else:
            new = f"static {declaration};"
            for name in declarators(declaration):
                new += f" static ::karat::Shared {name}_shared(&{name}, sizeof({name})); {name}_shared.declared();"
        out.append(new)
        at = found.end()
    return "".join([*out, text[at:]])


def joined(text):
    """Without the preprocessor's line marks in the midst of a declaration with words of ours."""
    words = r"KARAT_(?:KERNEL|BOUNDS|SHARED)"
    return re.sub(rf"[^\n;]*\b{words}\b[^;{{]*", lambda found: re.sub(r"\n# \d+ [^\n]*(?=\n)", "", found.group()), text)


def main():
    source, to = sys.argv[1:]
    with open(source) as file:
        text = joined(file.read())
    with open(to, "w") as file:
        file.write(shared(kernels(text)))


if __name__ == "__main__":
    main()
