#!/usr/bin/env python3
"""Holds `docs/async-contract.md` against the tests that it names: each point has an entry for each language, each entry names tests that are there, or
says why there can be none. `tests/parity/contract.py [ROOT]`; the exit status is 1 when anything is wrong."""

from __future__ import annotations

import re
import sys
from pathlib import Path

PAGE = "docs/async-contract.md"
# Where a language's tests are, unless an entry names a path from the root.
ROOMS = {
    "Rust": "",
    "Python": "bindings-python/tests",
    "Node": "tests/node/test",
    "Swift": "bindings-swift/swift/Tests/SmaltTests",
    "Kotlin": "bindings-swift/kotlin/smalt/src/test/kotlin/dev/smalt",
}
SHORTEST_REASON = 40


def is_test(path: Path, name: str) -> bool:
    """Whether the file has a test of that name, as its language writes tests."""
    text, name = path.read_text(), re.escape(name)
    if path.suffix == ".rs":
        return bool(re.search(rf"#\[(?:tokio::)?test\b[^\n]*\]\s*\n(?:\s*#\[[^\n]*\]\s*\n)*\s*(?:async )?fn {name}\(", text))
    if path.suffix == ".py":
        return name.startswith("test_") and bool(re.search(rf"^(?:async )?def {name}\(", text, re.M))
    if path.suffix == ".mjs":
        return bool(re.search(rf"^test\((['`]){name}\1", text.replace("\\'", "'"), re.M))
    if path.suffix == ".swift":
        return bool(re.search(rf"@Test(?:\((?:[^()]|\([^()]*\))*\))?\s+func {name}\(", text))
    if path.suffix == ".kt":
        return bool(re.search(rf"@Test\s*\n\s*fun `?{name}`?\(", text))
    return False


def check(root: Path) -> list[str]:
    text = (root / PAGE).read_text()
    wrong = []
    points = re.split(r"^### ", text, flags=re.M)[1:]
    if not points:
        return [f"{PAGE}: there is no point"]
    for point in points:
        title, _, body = point.partition("\n")
        place = f"{PAGE}: {title}"
        entries = re.findall(r"^- (\w+): (.*)$", body, re.M)
        languages = [language for language, _ in entries]
        wrong += [f"{place}: nothing of {language}" for language in ROOMS if language not in languages]
        wrong += [f"{place}: {language} stands there twice" for language in sorted({name for name in languages if languages.count(name) > 1})]
        for language, entry in entries:
            if language not in ROOMS:
                wrong.append(f"{place}: there is no language {language}")
            elif entry.startswith("cannot be: "):
                if len(entry.removeprefix("cannot be: ")) < SHORTEST_REASON:
                    wrong.append(f"{place}: {language} does not say why")
            else:
                wrong += [f"{place}: {language}: {why}" for why in named(root, ROOMS[language], entry)]
    return wrong


def named(root: Path, room: str, entry: str) -> list[str]:
    """What is wrong with an entry: files and names of tests in turn, each in backticks. A file stands for the names that follow it."""
    wrong, file, names = [], None, 0
    for span in re.findall(r"`([^`]+)`", entry):
        if re.fullmatch(r"[\w/.-]+\.(?:rs|py|mjs|swift|kt)", span):
            file = next((path for path in (root / room / span, root / span) if path.is_file()), None)
            if file is None:
                wrong.append(f"there is no file {span}")
        elif file is not None:
            names += 1
            if not is_test(file, span):
                wrong.append(f"{file.relative_to(root)} has no test `{span}`")
        elif not wrong:
            wrong.append(f"`{span}` stands there without its file")
    return wrong if wrong or names else ["names no test"]


def main() -> int:
    wrong = check(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2])
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
