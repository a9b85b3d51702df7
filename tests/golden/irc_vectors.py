#!/usr/bin/env python3
"""The public test vectors of IRC parsers (https://github.com/ircdocs/parser-tests) against our parser.

irc_vectors.py DIRECTORY      with msg-split.yaml and userhost-split.yaml in it
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = ["tests/golden/irc_line_print.c", "src/source/irc_line.c", "src/base/bytes.c"]


def build(directory: str) -> str:
    program = str(pathlib.Path(directory) / "irc_line_print")
    flags = ["-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-fsanitize=address,undefined", f"-I{ROOT / 'src'}"]
    subprocess.run([os.environ.get("CC", "cc"), *flags, "-o", program, *(str(ROOT / name) for name in SOURCES)], check=True)
    return program


def run(program: str, requests: list[tuple[str, str]]) -> list[str]:
    text = "".join(f"{kind} {given.encode().hex()}\n" for kind, given in requests)
    return subprocess.run([program], input=text, capture_output=True, text=True, check=True).stdout.splitlines()


def of_hex(text: str) -> str:
    return bytes.fromhex(text).decode()


def line_of(printed: str) -> dict[str, Any]:
    parts, *tags = printed.removesuffix(";").split(";")
    prefix, command, *params = map(of_hex, parts.split("|"))
    pairs = (tag.partition("=") for tag in tags)
    return {"source": prefix, "verb": command, "params": params, "tags": {of_hex(key): of_hex(value) for key, _, value in pairs}}


def prefix_of(printed: str) -> dict[str, Any]:
    return dict(zip(("nick", "user", "host"), map(of_hex, printed.split("|")), strict=True))


def expected_line(atoms: dict[str, Any]) -> dict[str, Any]:
    tags = {key: "" if value is None else str(value) for key, value in atoms.get("tags", {}).items()}
    return {"source": atoms.get("source") or "", "verb": atoms["verb"], "params": atoms.get("params", []), "tags": tags}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    directory = pathlib.Path(arguments[0])
    lines = yaml.safe_load((directory / "msg-split.yaml").read_text("utf-8"))["tests"]
    prefixes = yaml.safe_load((directory / "userhost-split.yaml").read_text("utf-8"))["tests"]
    requests = [("line", test["input"]) for test in lines] + [("prefix", test["source"]) for test in prefixes]
    with tempfile.TemporaryDirectory() as scratch:
        printed = run(build(scratch), requests)
    expected = [expected_line(test["atoms"]) for test in lines]
    expected += [{"nick": "", "user": "", "host": ""} | test["atoms"] for test in prefixes]
    got = [line_of(text) if kind == "line" else prefix_of(text) for (kind, _), text in zip(requests, printed, strict=True)]
    wrong = [(request[1], a, b) for request, a, b in zip(requests, expected, got, strict=True) if a != b]
    for given, a, b in wrong:
        print(f"{given!r}\n  expected {a}\n       got {b}")
    print(f"{len(expected) - len(wrong)} of {len(expected)} vectors agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
