"""The async contract: cancellation, time-outs, loops, threads."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from contextlib import asynccontextmanager
from typing import Any, AsyncIterator, Callable, Coroutine

import pytest

from smalt import AsyncAccount, AsyncSmalt, SmaltError, _ports, _smalt, make_key
from smalt.errors import SmaltTimeoutError, UnavailableError
from smalt.testing import Sandbox


Run = Callable[[Coroutine[Any, Any, None]], None]


def loops() -> list[Callable[[], asyncio.AbstractEventLoop]]:
    made: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop]
    try:
        import uvloop

        made.append(uvloop.new_event_loop)
    except ImportError:
        pass
    return made


class NoReader(asyncio.SelectorEventLoop):
    """A loop that cannot watch descriptors, as on Windows."""

    def add_reader(self, fd: Any, callback: Any, *args: Any) -> Any:  # type: ignore[override]
        raise NotImplementedError


@pytest.fixture(params=[*loops(), NoReader], ids=lambda make: f"{make.__module__}.{make.__name__}")
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on each sort of loop."""

    def run(coroutine: Coroutine[Any, Any, None]) -> None:
        loop = request.param()
        try:
            loop.run_until_complete(coroutine)
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    return run


async def slow(smalt: AsyncSmalt) -> None:
    """A call that waits until it is cancelled: nothing happens after the last event."""
    page = await smalt.events_page()
    since = page.items[-1].cursor if page.items else None
    while True:
        page = await smalt.events_page(since=since, wait=3600)
        since = page.items[-1].cursor


def test_the_life_of_a_connection(run: Run) -> None:
    async def life() -> None:
        async with AsyncSmalt.sandbox() as smalt:
            account = smalt.account("customer-42")
            await account.ensure()
            connection = await account.connect("sandbox-oauth")
            assert connection.identity is not None and connection.identity.label == "ada@sandbox.example"
            await account.credential("sandbox-oauth")
            credential = await account.credential("sandbox-oauth")
            assert credential is await account.credential("sandbox-oauth"), "made once, while core has it"
            answer = await account.request("sandbox-oauth", "GET", "items")
            assert answer.status == 200 and len(answer.json()["items"]) == 3
            receipt = await account.disconnect("sandbox-oauth")
            assert receipt.revocation == "revoked"
        with pytest.raises(UnavailableError) as closed:
            await account.get()
        assert closed.value.code == "closed"

    run(life())


def test_64_at_once(run: Run) -> None:
    async def many() -> None:
        async with AsyncSmalt.sandbox() as smalt:
            accounts = await asyncio.gather(*(smalt.account(f"c-{n}").ensure() for n in range(64)))
            assert [account.id for account in accounts] == [f"c-{n}" for n in range(64)]
            found = [account.id async for account in smalt.accounts()]
            assert sorted(found) == sorted(account.id for account in accounts)

    run(many())


def test_ten_thousand_wait_at_once() -> None:
    async def many() -> None:
        async with AsyncSmalt.sandbox() as smalt:
            await smalt.account("first").ensure()
            since = (await smalt.events_page()).items[-1].cursor
            waiting = [asyncio.ensure_future(smalt.events_page(since=since, wait=600)) for _ in range(10_000)]
            await asyncio.sleep(0)
            # They have begun, and another call ends meanwhile.
            await smalt.account("first").get()
            assert not any(task.done() for task in waiting)
            if os.path.isdir("/proc/self/task"):
                threads = len(os.listdir("/proc/self/task"))
                assert threads < 1_000, f"{threads} threads for 10,000 calls that wait"
            await smalt.account("second").ensure()
            pages = await asyncio.gather(*waiting)
            assert all(page.items[0].account_id == "second" for page in pages)

    asyncio.run(many())


def test_many_ends_come_with_few_wake_ups(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ports: list[Counted] = []

    class Counted:
        """A port that counts how often its loop is woken."""

        def __init__(self, descriptor: bool) -> None:
            self.port, self.wakes = native(descriptor), 0
            ports.append(self)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.port, name)

        def drain(self) -> Any:
            self.wakes += 1
            return self.port.drain()

    native = _smalt.Port
    monkeypatch.setattr(_ports, "Port", Counted)

    async def many() -> None:
        async with AsyncSmalt.sandbox() as smalt:

            def made() -> int:
                """How many accounts there are, asked from another thread, on a loop and a port of its own."""
                counts: list[int] = []
                thread = threading.Thread(target=lambda: counts.append(asyncio.run(smalt.count_accounts())))
                thread.start()
                thread.join()
                return counts[0]

            mine: Any = _ports.port_of(asyncio.get_running_loop())
            assert mine in ports
            tasks = [asyncio.ensure_future(smalt.account(f"c-{n}").ensure()) for n in range(500)]
            await asyncio.sleep(0)
            before = mine.wakes
            # This thread takes nothing until all of them are done.
            while made() < 500:
                time.sleep(0.01)
            made()
            assert mine.wakes == before
            await asyncio.gather(*tasks)
            assert mine.wakes - before <= 250, f"{mine.wakes - before} wake-ups for 500 ends"

    run(many())


def test_cancelling_ends_the_waiter_at_once(run: Run) -> None:
    async def cancel() -> None:
        async with AsyncSmalt.sandbox() as smalt:
            tasks = [asyncio.ensure_future(slow(smalt)) for _ in range(64)]
            await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
            # The loop and the engine are as good as before.
            await smalt.account("a").ensure()

    run(cancel())


def test_a_cancelled_task_sends_nothing(run: Run) -> None:
    async def cancelled() -> None:
        async with AsyncSmalt.sandbox() as smalt:

            async def late() -> None:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await smalt.account("never").ensure()

            with pytest.raises(asyncio.CancelledError):
                await asyncio.ensure_future(late())
            assert await smalt.count_accounts() == 0

    run(cancelled())


def test_cancelling_after_the_end_changes_nothing(run: Run) -> None:
    async def after() -> None:
        async with AsyncSmalt.sandbox() as smalt:
            task = asyncio.ensure_future(smalt.account("a").ensure())
            made = await task
            assert not task.cancel() and task.result() is made
            assert (await smalt.account("a").get()).id == "a"

    run(after())


def test_a_ready_credential_is_answered_from_memory(run: Run) -> None:
    async def ready() -> None:
        async with AsyncSmalt.sandbox() as smalt:
            account = smalt.account("a")
            await account.ensure()
            await account.connect("sandbox-oauth")
            first = await account.credential("sandbox-oauth")
            # It ends at its first step: nothing is waited for.
            with pytest.raises(StopIteration) as ended:
                account.credential("sandbox-oauth").send(None)
            assert ended.value.value == first
            # What is not there is pending, and ends in its error.
            with pytest.raises(SmaltError) as refused:
                await account.credential("sandbox-key")
            assert refused.value.code == "not_connected"

    run(ready())


def test_s77_a_panic_becomes_an_error_and_nothing_else_is_harmed(run: Run) -> None:
    async def panics() -> None:
        async with AsyncSmalt.sandbox() as smalt:
            waiting = asyncio.ensure_future(slow(smalt))
            with pytest.raises(SmaltError) as raised:
                await smalt._operation("panic", {})
            assert raised.value.code == "internal"
            await smalt.account("goes-on").ensure()
            assert not waiting.done()
            waiting.cancel()

    run(panics())


@asynccontextmanager
async def beside(sandbox: Sandbox) -> AsyncIterator[AsyncAccount]:
    """An account of an engine that uses this sandbox."""
    project = {
        "version": 1,
        "org": {"redirect_uris": ["http://127.0.0.1/callback"]},
        "sandbox": {"enabled": True, "url": sandbox.origin},
        "apps": {"sandbox-oauth": {}},
    }
    async with AsyncSmalt.embedded(project=project, key=make_key()) as smalt:
        account = smalt.account("a")
        await account.ensure()
        yield account


def test_what_has_an_effect_goes_on_when_its_waiter_goes() -> None:
    async def cancel() -> None:
        sandbox = Sandbox()
        async with beside(sandbox) as account:
            started = await account.start_connect("sandbox-oauth", redirect_uri="http://127.0.0.1/callback")
            callback = await asyncio.to_thread(sandbox.visit, started.authorize_url)
            task = asyncio.ensure_future(account.finish_connect(callback, cookie=started.cookie.value))
            while (await account.get_flow(started.flow_id)).status == "pending" and not task.done():
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            ended = await account.flow(started.flow_id).wait(60)
            assert ended.status == "connected"
            assert (await account.list_connections())[0].id == ended.connection_id
        sandbox.close()

    asyncio.run(cancel())


def test_a_timeout_is_an_error_of_both_worlds(run: Run) -> None:
    async def late() -> None:
        async with AsyncSmalt.sandbox() as smalt:
            with pytest.raises(SmaltTimeoutError) as ended:
                await slow(smalt.with_timeout(0.05))
            assert ended.value.code == "outcome_unknown" and isinstance(ended.value, TimeoutError)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(slow(smalt), 0.05)

    run(late())


def test_several_loops_and_threads_use_one_engine() -> None:
    made = asyncio.run(open_one())
    ended: list[object] = []

    def work(number: int) -> None:
        async def calls() -> None:
            for n in range(20):
                await made.account(f"t-{number}-{n}").ensure()

        try:
            for _ in range(3):
                asyncio.run(calls())
            ended.append(None)
        except BaseException as why:
            ended.append(why)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == [None] * 8
    assert asyncio.run(made.count_accounts()) == 160
    asyncio.run(made.aclose())


async def open_one() -> AsyncSmalt:
    return await AsyncSmalt.sandbox()


def test_a_loop_that_is_closed_early_harms_nobody() -> None:
    made = asyncio.run(open_one())
    for _ in range(50):
        loop = asyncio.new_event_loop()
        task = loop.create_task(slow(made))
        loop.run_until_complete(asyncio.sleep(0.001))
        # Neither awaited nor cancelled.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()
        del task
        gc.collect()
    assert asyncio.run(made.count_accounts()) == 0
    asyncio.run(made.aclose())


def test_anyio_cancels_too() -> None:
    anyio = pytest.importorskip("anyio")

    async def scopes() -> None:
        async with AsyncSmalt.sandbox() as smalt:
            with anyio.move_on_after(0.05) as scope:
                await slow(smalt)
            assert scope.cancelled_caught
            async with anyio.create_task_group() as group:
                for n in range(8):
                    group.start_soon(smalt.account(f"a-{n}").ensure)
            assert await smalt.count_accounts() == 8

    anyio.run(scopes)


def test_an_upload_is_awaited_part_by_part(run: Run) -> None:
    async def main() -> None:
        pieces = [f"{n};".ljust(1024, ".").encode() for n in range(60)]
        begun, left = asyncio.Event(), asyncio.Event()
        read: list[str] = []

        class Opened:
            """A file whose `read` is awaited, as those of aiofiles and anyio."""

            async def read(self, size: int) -> bytes:
                return pieces.pop(0) if pieces else b""

        async def comes() -> AsyncIterator[bytes]:
            for piece in list(pieces):
                await asyncio.sleep(0)
                yield piece

        async def endless() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"a"
                    begun.set()
                    await asyncio.sleep(0.001)
            finally:
                left.set()

        async def silent() -> AsyncIterator[bytes]:
            yield b"a"
            await asyncio.sleep(3600)

        async def never() -> AsyncIterator[bytes]:
            read.append("a body that nobody asks for")
            yield b""

        whole = b"".join(pieces).decode()
        async with AsyncSmalt.sandbox() as smalt:
            account = smalt.account("a")
            await account.ensure()
            await account.connect("sandbox-oauth")
            for body in (comes(), pieces, Opened()):
                answer = await account.upload("sandbox-oauth", "PUT", "echo", body)  # type: ignore[arg-type]
                assert answer.status == 200 and answer.json()["body"] == whole
            task = asyncio.ensure_future(account.upload("sandbox-oauth", "PUT", "echo", endless()))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert left.is_set(), "the body was left"
            timed = account.with_timeout(0.2)
            with pytest.raises(SmaltTimeoutError) as late:
                await timed.upload("sandbox-oauth", "PUT", "echo", silent())
            assert late.value.code == "outcome_unknown"

            async def cancelled_before() -> None:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await account.upload("sandbox-oauth", "PUT", "echo", never())

            with pytest.raises(asyncio.CancelledError):
                await asyncio.ensure_future(cancelled_before())
            assert read == []

    run(main())


def test_events_are_an_async_iterator() -> None:
    async def watch() -> None:
        async with AsyncSmalt.sandbox() as smalt:
            seen: list[str] = []

            async def read() -> None:
                async for event in smalt.events():
                    seen.append(event.type)
                    if event.account_id == "last":
                        return

            reader = asyncio.ensure_future(read())
            for name in ("first", "second", "last"):
                await smalt.account(name).ensure()
            await asyncio.wait_for(reader, 60)
            assert seen == ["account.created"] * 3

    asyncio.run(watch())


def test_pages_stop_when_nobody_asks() -> None:
    async def pages() -> None:
        sandbox = Sandbox()

        async def calls() -> int:
            counted: int = (await asyncio.to_thread(sandbox.stats))["api_calls"]
            return counted

        async with beside(sandbox) as account:
            started = await account.start_connect("sandbox-oauth", redirect_uri="http://127.0.0.1/callback")
            callback = await asyncio.to_thread(sandbox.visit, started.authorize_url)
            await account.finish_connect(callback, cookie=started.cookie.value)
            before = await calls()
            # 40 channels, one on a page.
            pagination = {"style": "offset", "items": "/items", "size_param": "limit", "size": 1}
            channels = account.pages("sandbox-oauth", "GET", "channels", pagination=pagination)
            assert await calls() == before, "nothing is asked for before it is read"
            read = 0
            async for _ in channels:
                read += 1
                assert await calls() == before + read, "nothing is fetched ahead"
                if read == 3:
                    break
            await account.request("sandbox-oauth", "GET", "channels")
            assert await calls() == before + 4, "nothing after the reader has stopped"
        sandbox.close()

    asyncio.run(pages())


def test_errors_come_with_their_facts() -> None:
    async def unknown() -> SmaltError:
        async with AsyncSmalt.sandbox() as smalt:
            try:
                await smalt.account("nobody").get()
            except SmaltError as error:
                return error
        raise AssertionError

    error = asyncio.run(unknown())
    assert (error.code, error.kind, error.retry, error.context["account"]) == ("linked_account_not_found", "not_found", "never", "nobody")
