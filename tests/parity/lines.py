#!/usr/bin/env python3
"""Holds the hand-written Rust of each language package against a rule: at most 2,500 lines, or a tenth of what core, server and bridge have together,
whichever is larger. No blanks, comments, tests or generated code. `tests/parity/lines.py [ROOT]` prints the figures; the exit status is 1 when
a package has more."""

from __future__ import annotations

import re
import sys
from pathlib import Path

PACKAGES = {"Python": "bindings-python/src", "Node": "bindings-node/src", "Swift and Kotlin": "bindings-swift/src"}
SHARED = ["core/src", "core/server/src", "core/bridge/src"]
MOST, SHARE = 2500, 10
# What ends a word, a string or a comment: strings first, since `//` may stand in one.
TOKENS = re.compile(
    r"""(?P<raw>\bb?r(?P<hashes>\#*)".*?"(?P=hashes))|(?P<text>b?"(?:\\.|[^"\\])*")|(?P<char>'(?:\\.[^']*|[^'\\])')|(?P<line>//[^\n]*)|(?P<block>/\*.*?\*/)""",
    re.S | re.X,
)


def code(text: str) -> str:
    """The text without comments and tests; strings stand for themselves."""

    def kept(found: re.Match[str]) -> str:
        if found["line"] is not None or found["block"] is not None:
            return "\n" * found[0].count("\n")
        # Brackets in texts open and close nothing.
        return re.sub(r"[^\n]", "s", found[0])

    return without_tests(TOKENS.sub(kept, text))


def without_tests(text: str) -> str:
    """Without what `#[cfg(test)]` stands before: an item with a body in brackets, or a declaration that ends with a semicolon."""
    while found := re.search(r"#\[cfg\(test\)\]", text):
        at, depth = found.end(), 0
        while at < len(text):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
            if depth == 0 and text[at - 1] in ";}":
                break
        text = text[: found.start()] + text[at:]
    return text


def is_counted(path: Path) -> bool:
    is_test = any(part == "tests" or part.endswith("_tests.rs") or part == "tests.rs" for part in path.parts)
    return not is_test and "generated" not in path.parts


def count(folder: Path) -> int:
    files = [path for path in folder.rglob("*.rs") if is_counted(path.relative_to(folder))]
    texts = [path.read_text() for path in files]
    return sum(bool(line.strip()) for text in texts if not text.startswith("// Generated") for line in code(text).splitlines())


def check(root: Path) -> tuple[list[str], list[str]]:
    """The figures, and what is wrong with them."""
    shared = sum(count(root / folder) for folder in SHARED)
    most = max(MOST, shared // SHARE)
    said, wrong = [f"core, server and bridge: {shared:,} lines; a package may have {most:,} of its own in Rust"], []
    for name, folder in PACKAGES.items():
        lines = count(root / folder)
        said.append(f"{name}: {lines:,}")
        if lines == 0:
            wrong.append(f"{name}: {folder} has no Rust")
        if lines > most:
            wrong.append(f"{name}: {folder} has {lines:,} lines, {lines - most:,} too many: what others need too belongs to core/bridge")
    return said, wrong


def main() -> int:
    said, wrong = check(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2])
    print("\n".join(said))
    print("".join(f"{line}\n" for line in wrong), end="", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
