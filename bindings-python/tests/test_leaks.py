"""S-79: what calls leave behind does not grow. Each half runs in an interpreter of its own, so that no other test's memory is seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import Generator

import pytest

ROUNDS = 8
# Every round does as many of each sort: from memory, waited for, refused, given up. What counts is what the second half of them leaves,
# which is 10⁵ calls at the first size already, since those from memory cost next to nothing.
SORTS = (1_000_000, 100_000, 20_000, 10_000) if os.environ.get("SMALT_FULL") else (200_000, 8_000, 2_000, 2_000)
# The row's: of the process's own memory. Native leaks of 12 bytes show in calls from memory, of 300 in those that are waited for.
GROWTH = 0.02
# Python's own objects are counted: free lists that fill are fewer, one for each call of the rarest sort is more.
BLOCKS = 500
STATUS = Path("/proc/self/status").read_text() if os.path.exists("/proc/self/status") else ""

SIZES = """
    import asyncio, gc, json, sys
    from smalt import AsyncSmalt, Smalt, SmaltError
    from smalt.errors import SmaltTimeoutError

    # A line for each round that is wanted.
    rounds, sorts = json.loads(sys.argv[1])
    ready, waited, refused, ended = (sort // rounds for sort in sorts)

    def sizes():
        gc.collect()
        with open("/proc/self/status") as status:
            lines = dict(line.split(":", 1) for line in status)
        # Its own, wherever the system has it now. What is read from files comes and goes with other processes' needs.
        return sum(int(lines[kind].split()[0]) for kind in ("RssAnon", "VmSwap")), sys.getallocatedblocks()
"""

SYNC = """
    with Smalt.sandbox() as smalt:
        account, nobody, late = smalt.account("a"), smalt.account("nobody"), smalt.with_timeout(0.0001)
        account.ensure()
        account.connect("sandbox-oauth")
        since = smalt.events_page().items[-1].cursor
        for _ in sys.stdin:
            for _ in range(ready):
                account.credential("sandbox-oauth")
            for _ in range(waited):
                account.get()
            for _ in range(refused):
                try:
                    nobody.get()
                except SmaltError as error:
                    assert error.code == "linked_account_not_found", error
            for _ in range(ended):
                try:
                    late.events_page(since=since, wait=3600)
                except SmaltTimeoutError:
                    pass
            print(json.dumps(sizes()), flush=True)
"""

ASYNC = """
    async def main():
        async with AsyncSmalt.sandbox() as smalt:
            account, nobody = smalt.account("a"), smalt.account("nobody")
            await account.ensure()
            await account.connect("sandbox-oauth")
            since = (await smalt.events_page()).items[-1].cursor
            for _ in sys.stdin:
                for _ in range(ready):
                    await account.credential("sandbox-oauth")
                for _ in range(waited // 8):
                    await asyncio.gather(*(account.get() for _ in range(8)))
                for _ in range(refused // 8):
                    for error in await asyncio.gather(*(nobody.get() for _ in range(8)), return_exceptions=True):
                        assert error.code == "linked_account_not_found", error
                for _ in range(ended):
                    task = asyncio.ensure_future(smalt.events_page(since=since, wait=3600))
                    await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.wait([task])
                    assert task.cancelled()
                print(json.dumps(sizes()), flush=True)

    asyncio.run(main())
"""


def sizes_of(half: str) -> Generator[tuple[int, int], None, None]:
    """The memory in KiB and the blocks after each round, as long as more are asked for."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SIZES) + textwrap.dedent(half), json.dumps([ROUNDS, SORTS])],
        # However many processors there are: their threads share two heaps, instead of filling one each.
        env={**os.environ, "MALLOC_ARENA_MAX": "2"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        limit = threading.Timer(3600, process.kill)
        limit.daemon = True
        limit.start()
        try:
            while True:
                # One that has ended reads nothing; its exit is looked at below.
                with suppress(BrokenPipeError):
                    process.stdin.write("\n")
                    process.stdin.flush()
                line = process.stdout.readline()
                assert line, "it ended by itself"
                memory, blocks = json.loads(line)
                yield memory, blocks
        finally:
            with suppress(BrokenPipeError):
                process.stdin.close()
            ended = process.wait()
            limit.cancel()
            assert ended == 0


@pytest.mark.skipif("RssAnon" not in STATUS, reason="the system does not tell a process's memory")
@pytest.mark.parametrize("half", [SYNC, ASYNC], ids=["sync", "async"])
def test_s79_what_is_left_does_not_grow(half: str) -> None:
    sizes: list[tuple[int, int]] = []
    with closing(sizes_of(half)) as rounds:
        # What leaks does so in every round; what settles late, on a busy machine, is still in the next ones.
        for window in range(3):
            sizes += islice(rounds, ROUNDS if window == 0 else ROUNDS // 2)
            (memory, blocks), (memory_last, blocks_last) = sizes[-1 - ROUNDS // 2], sizes[-1]
            if memory_last - memory < memory * GROWTH and blocks_last - blocks < BLOCKS:
                return
    raise AssertionError(f"it grows on: {sizes}")
