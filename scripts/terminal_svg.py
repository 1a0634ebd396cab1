#!/usr/bin/env python3
"""Draws what a command prints on a terminal as an SVG: README's picture of a run is made by this, not by hand.

    python3 scripts/terminal_svg.py --columns 110 --lines 60 --out docs/run.svg -- target/release/karat run

The command gets a pseudo-terminal, so that it colours its output; standard error (the progress) is not drawn. Standard library only.
"""

import argparse
import fcntl
import html
import os
import pty
import re
import struct
import subprocess
import termios

COLOURS = {"31": "#f7768e", "32": "#9ece6a", "33": "#e0af68", "34": "#7aa2f7", "35": "#bb9af7", "36": "#7dcfff", "90": "#737aa2"}
WIDTH, HEIGHT, MARGIN = 8.43, 18, 16
SGR = re.compile(r"\x1b\[([0-9;]*)m")


def output(command, columns):
    """Standard output of a command that believes to be on a terminal, and its exit code."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(command, stdout=child, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm"})
    os.close(child)
    data = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:
            break
        if not part:
            break
        data += part
    return data.decode().replace("\r\n", "\n"), process.wait()


def spans(line, style):
    """Pieces of a line with their style; the style goes on into the next line."""
    at = 0
    for match in [*SGR.finditer(line), None]:
        end = match.start() if match else len(line)
        if end > at:
            yield line[at:end], dict(style)
        if match:
            at = match.end()
            for code in match.group(1).split(";"):
                if code in ("", "0"):
                    style.clear()
                elif code == "1":
                    style["bold"] = True
                elif code == "2":
                    style["colour"] = COLOURS["90"]
                elif code == "39":
                    style.pop("colour", None)
                elif code in COLOURS:
                    style["colour"] = COLOURS[code]


def draw(lines, columns):
    width, height = columns * WIDTH + 2 * MARGIN, len(lines) * HEIGHT + 2 * MARGIN
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}">',
           '<rect width="100%" height="100%" rx="8" fill="#1a1b26"/>',
           '<g font-family="ui-monospace, DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" fill="#c0caf5">']
    style = {}
    for row, line in enumerate(lines):
        column = 0
        for text, look in spans(line, style):
            # Pieces without wider gaps, each at its own column: viewers differ in what they do with blanks.
            for piece in re.finditer(r"\S+(?: \S+)*", text):
                weight = ' font-weight="bold"' if look.get("bold") else ""
                fill = f' fill="{look["colour"]}"' if "colour" in look else ""
                x, length = MARGIN + (column + piece.start()) * WIDTH, len(piece.group()) * WIDTH
                place = f'x="{x:.1f}" y="{MARGIN + row * HEIGHT + 13}" textLength="{length:.1f}"'
                out.append(f'<text {place}{weight}{fill}>{html.escape(piece.group())}</text>')
            column += len(text)
    return "\n".join([*out, "</g>", "</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, default=110)
    parser.add_argument("--lines", type=int, default=60, help="lines to draw; the rest is left out, and the picture says so")
    parser.add_argument("--out", required=True)
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    text, code = output(args.command, args.columns)
    lines = text.rstrip("\n").split("\n")
    if len(lines) > args.lines:
        lines = [*lines[: args.lines], f"\x1b[2m({len(lines) - args.lines} further lines)\x1b[0m"]
    shown = "karat " + " ".join(args.command[1:])
    lines = [f"\x1b[32m$\x1b[0m \x1b[1m{shown}\x1b[0m", *lines, "\x1b[32m$\x1b[0m \x1b[1mecho $?\x1b[0m", str(code)]
    with open(args.out, "w") as out:
        out.write(draw(lines, args.columns))


if __name__ == "__main__":
    main()
