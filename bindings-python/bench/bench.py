"""Measures the package beside named peers in the same run: medians of interleaved rounds. Adds its rows to target/bench.json.

`bindings-python/bench.sh` builds the release wheel and runs this. Names choose some: `ready pending remote budgets`."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Awaitable, Callable

from smalt import AsyncSmalt

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).resolve().parents[2] / "target"))
ROUNDS = 5


def row(
    id: str, what: str, ours: float, peer: str, theirs: float, unit: str, *, least: float | None = None, most: float | None = None
) -> dict[str, Any]:
    ratio = ours / theirs
    if peer == "budget":
        goal, holds = f"<= {theirs:g} {unit}", ours <= theirs
    elif least is not None:
        goal, holds = f">= {least:g}x", ratio >= least
    else:
        assert most is not None
        goal, holds = f"<= {most:g}x", ratio <= most
    return {
        "id": id,
        "what": what,
        "ours": ours,
        "peer": peer,
        "theirs": theirs,
        "unit": unit,
        "ratio": ratio,
        "goal": goal,
        "holds": holds,
    }


async def each(count: int, call: Callable[[], Awaitable[Any]]) -> float:
    """Seconds per await, one after the other."""
    started = time.perf_counter()
    for _ in range(count):
        await call()
    return (time.perf_counter() - started) / count


async def at_once(total: int, together: int, call: Callable[[], Awaitable[Any]]) -> float:
    """Calls per second, with so many pending all the time."""
    left = total

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await call()

    started = time.perf_counter()
    await asyncio.gather(*(asyncio.ensure_future(worker()) for _ in range(together)))
    return total / (time.perf_counter() - started)


async def interleaved(*measures: Callable[[], Awaitable[float]]) -> list[float]:
    """The medians of rounds in which all take their turns; a first round warms up."""
    for measure in measures:
        await measure()
    seen: list[list[float]] = [[] for _ in measures]
    for _ in range(ROUNDS):
        for values, measure in zip(seen, measures):
            values.append(await measure())
    return [statistics.median(values) for values in seen]


async def ready() -> list[dict[str, Any]]:
    import opendal

    operator = opendal.AsyncOperator("memory")
    await operator.write("x", b"x")
    async with AsyncSmalt.sandbox() as engine:
        account = engine.account("customer-42")
        await account.ensure()
        await account.connect("sandbox-oauth")
        await account.credential("sandbox-oauth")
        made = await account.credential("sandbox-oauth")

        async def object_() -> Any:
            return made

        ours, theirs, plain = await interleaved(
            lambda: each(100_000, lambda: account.credential("sandbox-oauth")),
            lambda: each(2_000, lambda: operator.stat("x")),
            lambda: each(200_000, object_),
        )
    return [
        row("python-ready", "ready credential, per await", 1 / ours, "opendal", 1 / theirs, "calls/s", least=80),
        row("python-ready-object", "ready credential beside an async def", ours * 1e9, "async def", plain * 1e9, "ns", most=8),
    ]


async def pending() -> list[dict[str, Any]]:
    import opendal

    operator = opendal.AsyncOperator("memory")
    await operator.write("x", b"x")
    async with AsyncSmalt.sandbox() as engine:
        from smalt._loop import end

        native = engine._engine
        account = engine.account("customer-42")
        await account.ensure()
        await account.connect("sandbox-oauth")
        credential = {"account": "customer-42", "application": "sandbox-oauth"}

        async def spawned() -> Any:
            return await end(native.operation("credential", credential))

        ours, theirs = await interleaved(
            lambda: at_once(40_000, 64, spawned),
            lambda: at_once(4_000, 64, lambda: operator.stat("x")),
        )
    return [row("python-pending", "64 pending, cancellable", ours, "opendal", theirs, "calls/s", least=9)]


@dataclass(frozen=True)
class LinkedAccount:
    """What the peers make of an answer: the same typed object."""

    id: str
    record_id: str
    environment: str
    name: str | None
    properties: dict[str, str]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, answer: dict[str, Any]) -> LinkedAccount:
        return cls(
            id=answer["id"],
            record_id=answer["record_id"],
            environment=answer["environment"],
            name=answer.get("name"),
            properties=answer["properties"],
            created_at=datetime.fromisoformat(answer["created_at"].replace("Z", "+00:00")),
            updated_at=datetime.fromisoformat(answer["updated_at"].replace("Z", "+00:00")),
        )


SERVER = """
import sys
from smalt import Smalt
from smalt.testing import Served
rates = {"key": 0, "tenant": 0}
smalt = Smalt.sandbox(project={"version": 1, "server": {"rates": rates}})
smalt.account("customer-42").ensure()
with Served(smalt) as served:
    print(served.url, smalt.create_api_key("bench").key.reveal(), flush=True)
    sys.stdin.read()
"""


async def remote() -> list[dict[str, Any]]:
    import aiohttp
    import httpx

    process = subprocess.Popen([sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdin is not None
    url, key = process.stdout.readline().split()
    headers, body = {"x-api-key": key}, {"account": "customer-42"}
    target = f"{url}/smalt/v1/get_account"
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64, keepalive_expiry=60)
    try:
        async with (
            AsyncSmalt.remote(url, api_key=key, proxy=False, retries=0) as ours_,
            aiohttp.ClientSession(
                headers=headers, timeout=aiohttp.ClientTimeout(total=60, connect=5), connector=aiohttp.TCPConnector(limit=64)
            ) as session,
            httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(60, connect=5), limits=limits, trust_env=False) as client,
        ):
            account = ours_.account("customer-42")

            async def by_aiohttp() -> LinkedAccount:
                async with session.post(target, json=body) as answer:
                    answer.raise_for_status()
                    return LinkedAccount.of(await answer.json())

            async def by_httpx() -> LinkedAccount:
                answer = await client.post(target, json=body)
                answer.raise_for_status()
                return LinkedAccount.of(answer.json())

            ours, theirs, slow = await interleaved(
                lambda: at_once(4_000, 64, account.get), lambda: at_once(4_000, 64, by_aiohttp), lambda: at_once(1_000, 64, by_httpx)
            )
            one, one_theirs = await interleaved(lambda: each(1_000, account.get), lambda: each(1_000, by_aiohttp))
    finally:
        process.stdin.close()
        process.wait()
    return [
        row("python-remote", "remote, 64 at once", ours, "aiohttp", theirs, "calls/s", least=2),
        row("python-remote-httpx", "remote, 64 at once", ours, "httpx", slow, "calls/s", least=12),
        row("python-remote-one", "remote, one at a time", 1 / one, "aiohttp", 1 / one_theirs, "calls/s", least=1),
    ]


async def budgets() -> list[dict[str, Any]]:
    program = "import time; t = time.perf_counter(); import smalt; print(time.perf_counter() - t)"
    # As after a usual installation: the modules are compiled. The first run does that where the installer was told not to.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", program]
    times = [float(subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout) for _ in range(12)][1:]
    wheel = Path(os.environ["WHEEL"]).stat().st_size / (1024 * 1024)
    return [
        row("python-import", "`import smalt`", statistics.median(times) * 1000, "budget", 20, "ms"),
        row("python-wheel", "the wheel, compressed", wheel, "budget", 5, "MiB"),
    ]


BENCHES: dict[str, Callable[[], Awaitable[list[dict[str, Any]]]]] = {
    "ready": ready,
    "pending": pending,
    "remote": remote,
    "budgets": budgets,
}


def main() -> None:
    chosen = sys.argv[1:] or list(BENCHES)
    rows: list[dict[str, Any]] = []
    for name in chosen:
        print(f"python {name} …", flush=True)
        rows += asyncio.run(BENCHES[name]())  # type: ignore[arg-type]
    for one in rows:
        holds = "yes" if one["holds"] else "NO"
        print(
            f"{one['what']:<44} {one['ours']:>14.2f} {one['theirs']:>14.2f}  {one['unit']:<9} {one['ratio']:>7.2f}  {one['goal']} ({one['peer']}) {holds}"
        )
    path = TARGET / "bench.json"
    known = json.loads(path.read_text()) if path.exists() else []
    mine = {one["id"] for one in rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([one for one in known if one["id"] not in mine] + rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
