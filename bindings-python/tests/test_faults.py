"""A bad network between the remote backend and a real server: the cases of tests/faults, through both halves of the package."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Iterator

import pytest

from smalt import AsyncSmalt, Smalt
from smalt.testing import Sandbox

from .conformance.driver import Mode, World, take
from .conftest import REPOSITORY


class Orders(Sandbox):
    """What a case steers the network with: it takes orders and counts, as a sandbox does."""

    def __init__(self, origin: str) -> None:
        self._place = origin

    @property
    def origin(self) -> str:
        return self._place

    def close(self) -> None:
        pass


@contextmanager
def places() -> Iterator[list[dict[str, Any]]]:
    program = os.environ["SMALT_FAULTS"]
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        yield json.loads(process.stdout.readline())
        process.stdin.close()


async def run(place: dict[str, Any], blocking: bool, pool: ThreadPoolExecutor) -> None:
    case = {"id": place["id"], "steps": place["steps"]}
    world = World(case, {}, REPOSITORY / "tests" / "conformance", Mode(remote=True, blocking=blocking), pool)
    times = {name: place["client"][name] for name in ("timeout", "attempt_timeout", "connect_timeout")}
    options = {"api_key": place["key"], "certificate_authority": place["certificate_authority"], "proxy": False, **times}
    world.sandbox = Orders(place["origin"])
    world.smalt = (Smalt if blocking else AsyncSmalt).remote(place["url"], **options)
    saved: dict[str, Any] = {}
    try:
        for number, step in enumerate(place["steps"], 1):
            try:
                await take(world, step, saved)
            except Exception as why:
                raise AssertionError(f"step {number} ({step['do']}): {why}") from why
    finally:
        await world.call(world.smalt.close if blocking else world.smalt.aclose)


@pytest.mark.parametrize("blocking", [False, True])
def test_every_fault_ends_as_it_should(blocking: bool) -> None:
    failed: dict[str, str] = {}

    async def one(place: dict[str, Any], free: asyncio.Semaphore, pool: ThreadPoolExecutor) -> None:
        async with free:
            try:
                await asyncio.wait_for(run(place, blocking, pool), place["limit"])
            except BaseException as why:
                failed[place["id"]] = f"{type(why).__name__}: {why}"

    async def everything(listed: list[dict[str, Any]]) -> None:
        free = asyncio.Semaphore(16)
        with ThreadPoolExecutor(64) as pool:
            await asyncio.gather(*(one(place, free, pool) for place in listed))

    with places() as listed:
        assert len(listed) >= 80 or "CASE" in os.environ
        asyncio.run(everything(listed))
    assert not failed, "\n".join(f"{name}: {why}" for name, why in sorted(failed.items()))
