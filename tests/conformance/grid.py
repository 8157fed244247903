#!/usr/bin/env python3
"""The grid of the conformance suite: gathers what the drivers counted, and holds it against the cases.

    tests/conformance/grid.py clear            forgets what earlier runs counted
    tests/conformance/grid.py                  gathers, prints the grid and writes target/conformance.json
    tests/conformance/grid.py without swift    the same where a language cannot be had, which the grid says
    tests/conformance/grid.py readme           gathers, and writes the grid into the README
    tests/conformance/grid.py check            whether the README shows a whole grid of as many cases as there are
    tests/conformance/grid.py own FOLDER       judges the rows of somebody else's driver; see docs/conformance.md

The exit status is 1 when a language or a backend is missing, a case failed, or one was left out; each is named.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

LANGUAGES = {"rust": "Rust", "python": "Python", "node": "Node", "swift": "Swift", "kotlin": "Kotlin"}
BACKENDS = ["embedded", "remote"]
ROOT = Path(__file__).resolve().parents[2]


def case_ids(root: Path) -> set[str]:
    return {path.stem for path in (root / "tests/conformance/cases").glob("*.json")}


def judge(path: Path, cases: set[str]) -> tuple[dict[str, object], list[str]]:
    """A row of the grid, from what a driver counted, and what is wrong with it."""
    row = json.loads(path.read_text())
    name = f"{row['language']} {row['backend']}"
    wrong = []
    if path.name != f"{row['language']}-{row['backend']}.json":
        wrong.append(f"{name}: stands in {path.name}")
    passed, failed = list(row["passed"]), list(row["failed"])
    ran = set(passed) | set(failed)
    if len(ran) != len(passed) + len(failed):
        wrong.append(f"{name}: a case is counted twice")
    wrong += [f"{name}: `{case}` was left out" for case in sorted(cases - ran)]
    wrong += [f"{name}: there is no case `{case}`" for case in sorted(ran - cases)]
    wrong += [f"{name}: `{case}` failed" for case in sorted(failed)]
    counts = {"passed": len(passed), "failed": len(failed), "seconds": round(float(row["seconds"]), 1)}
    return {"language": row["language"], "backend": row["backend"], **counts}, wrong


def gather(counted: Path, cases: set[str], without: str = "") -> tuple[list[dict[str, object]], list[str]]:
    """The rows of the grid, and what is wrong with them."""
    rows: list[dict[str, object]] = []
    wrong = []
    for language in LANGUAGES:
        for backend in BACKENDS:
            path = counted / f"{language}-{backend}.json"
            if path.exists():
                row, why = judge(path, cases)
                rows.append(row)
                wrong += why
            elif language != without:
                wrong.append(f"{language} {backend}: it was not run")
    return rows, wrong


def show(rows: list[dict[str, object]], cases: int) -> str:
    lines = [f"{cases} cases", f"{'':10}" + "".join(f"{backend:>32}" for backend in BACKENDS)]
    for language, name in LANGUAGES.items():
        cells = []
        for backend in BACKENDS:
            row = next((row for row in rows if (row["language"], row["backend"]) == (language, backend)), None)
            cells.append(f"{row['passed']} passed, {row['failed']} failed, {row['seconds']} s" if row else "not run")
        lines.append(f"{name:10}" + "".join(f"{cell:>32}" for cell in cells))
    return "\n".join(lines)


OPENS, CLOSES = "<!-- The grid: `make conformance` writes it. -->\n", "<!-- The grid ends. -->\n"


def table(rows: list[dict[str, object]], cases: int) -> str:
    lines = [f"| {cases} cases | {' | '.join(BACKENDS)} |", f"|---|{'---|' * len(BACKENDS)}"]
    for language, name in LANGUAGES.items():
        counts = {row["backend"]: (row["passed"], row["failed"]) for row in rows if row["language"] == language}
        cells = [f"{counts[backend][0]} passed, {counts[backend][1]} failed" for backend in BACKENDS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def write_readme(readme: Path, rows: list[dict[str, object]], cases: int) -> None:
    before, rest = readme.read_text().split(OPENS)
    readme.write_text(before + OPENS + table(rows, cases) + CLOSES + rest.split(CLOSES)[1])


def check_readme(readme: Path, cases: int) -> list[str]:
    """A whole grid in which everything passed, of as many cases as there are."""
    text = readme.read_text()
    if text.count(OPENS) != 1 or text.count(CLOSES) != 1:
        return [f"{readme.name}: the marks around the grid are gone"]
    everything = [{"language": name, "backend": backend, "passed": cases, "failed": 0} for name in LANGUAGES for backend in BACKENDS]
    wanted = table(everything, cases).splitlines()
    got = text.split(OPENS)[1].split(CLOSES)[0].splitlines()
    number = text[: text.index(OPENS)].count("\n") + 2
    wrong = [f"{readme.name}:{number + at}: has `{has}`, not `{want}`" for at, (want, has) in enumerate(zip(wanted, got)) if want != has]
    if len(wanted) != len(got):
        wrong.append(f"{readme.name}:{number}: the grid has {len(got)} lines, not {len(wanted)}")
    return [f"{line}; `make conformance` writes the grid" for line in wrong]


def main(words: list[str]) -> int:
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    counted, cases = target / "conformance", case_ids(ROOT)
    what = words[0] if words else "gather"
    if what == "clear":
        shutil.rmtree(counted, ignore_errors=True)
        (target / "conformance.json").unlink(missing_ok=True)
        return 0
    if what == "own" and len(words) == 2:
        judged = [judge(path, cases) for path in sorted(Path(words[1]).glob("*.json"))]
        for row, _ in judged:
            print(f"{row['language']} {row['backend']}: {row['passed']} passed, {row['failed']} failed of {len(cases)}, {row['seconds']} s")
        wrong = [line for _, why in judged for line in why] if judged else [f"{words[1]}: no driver has counted anything there"]
    elif what == "check":
        wrong = check_readme(ROOT / "README.md", len(cases))
    elif what in ("gather", "readme") or (what == "without" and words[1:2] and words[1] in LANGUAGES):
        rows, wrong = gather(counted, cases, words[1] if what == "without" else "")
        print(show(rows, len(cases)))
        target.mkdir(parents=True, exist_ok=True)
        (target / "conformance.json").write_text(json.dumps({"cases": len(cases), "grid": rows}, indent=2) + "\n")
        if what == "readme" and not wrong:
            write_readme(ROOT / "README.md", rows, len(cases))
    else:
        print(__doc__, file=sys.stderr)
        return 2
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
