"""All conformance cases, through both halves of the package."""

from __future__ import annotations

import asyncio
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .conformance.driver import LONGEST, Mode, read_case, run
from .conformance.matcher import Differs, matches
from .conftest import REPOSITORY

ROOM = REPOSITORY / "tests" / "conformance"
AT_ONCE = 8


@pytest.mark.parametrize("backend", ["embedded", "remote"])
def test_every_case_holds(backend: str) -> None:
    standard = json.loads((ROOM / "project.json").read_text())
    chosen = os.environ.get("CASE", "")
    cases = [case for path in sorted((ROOM / "cases").glob("*.json")) if chosen in (case := read_case(path))["id"]]
    assert cases, f"no case is called like `{chosen}`"
    modes = [Mode(remote=backend == "remote", blocking=blocking) for blocking in (False, True)]
    failed: dict[str, list[str]] = {}

    async def one(case: dict[str, Any], mode: Mode, places: asyncio.Semaphore, pool: ThreadPoolExecutor) -> None:
        async with places:
            try:
                await asyncio.wait_for(run(case, standard, ROOM, mode, pool), LONGEST)
            except BaseException as why:
                failed.setdefault(case["id"], []).append(f"{mode}: {type(why).__name__}: {why}")

    async def everything() -> None:
        places = asyncio.Semaphore(AT_ONCE)
        with ThreadPoolExecutor(256) as pool:
            await asyncio.gather(*(one(case, mode, places, pool) for case in cases for mode in modes))

    begun = time.monotonic()
    asyncio.run(everything())
    report = "\n".join(f"{name}: {why}" for name, whys in sorted(failed.items()) for why in whys)
    print(f"python {backend}: {len(cases) - len(failed)} passed, {len(failed)} failed")
    if not chosen:
        count(backend, time.monotonic() - begun, [case["id"] for case in cases], set(failed))
    assert not failed, report


def count(backend: str, seconds: float, ids: list[str], failed: set[str]) -> None:
    """What was counted, for the grid: see tests/conformance/README.md."""
    path = Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target") / "conformance" / f"python-{backend}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    passed = [name for name in ids if name not in failed]
    row = {"language": "python", "backend": backend, "seconds": seconds, "passed": passed, "failed": sorted(failed)}
    path.write_text(json.dumps(row, indent=2) + "\n")


def test_matchers_match_what_the_readme_says() -> None:
    yes = [
        (10, 10.0),
        ({"a": 1}, {"a": 1, "b": 2}),
        ([1, {"$any": True}], [1, None]),
        ({"a": {"$absent": True}}, {}),
        ({"$match": "a*c*"}, "abcabc"),
        ({"$len": 2}, "äö"),
        ({"$contains": [2, 1]}, [1, 2, 3]),
        ({"$contains": "b"}, "abc"),
        ({"$exact": {"a": {"$any": True}}}, {"a": 1}),
        ({"$not": {"$len": 0}}, [1]),
    ]
    no = [
        ("10", 10),
        (True, 1),
        ({"a": None}, {}),
        ([1], [1, 2]),
        ({"a": {"$any": True}}, {}),
        ({"a": {"$not": 1}}, {}),
        ({"$match": "a*c"}, "abd"),
        ({"$match": "a?"}, "ab"),
        ({"$contains": [1, 4]}, [1, 2]),
        ({"$exact": {"a": 1}}, {"a": 1, "b": 2}),
        ({"$not": 1}, 1),
        ({"$odd": 1}, 1),
    ]
    for wanted, got in yes:
        matches(wanted, got)
    for wanted, got in no:
        try:
            matches(wanted, got)
        except Differs:
            continue
        raise AssertionError(f"{wanted} matches {got}")
