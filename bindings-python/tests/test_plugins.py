"""Plugins in Python: every way one can end, its traceback, its threads."""

from __future__ import annotations

import asyncio
import gc
import os
import queue
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Awaitable, Callable

import pytest

from smalt import (
    AppManifest,
    AsyncSmalt,
    Connector,
    Identity,
    KeyProvider,
    Option,
    Presenter,
    Rejected,
    Smalt,
    SmaltError,
    WorkflowRunner,
    _block,
    _host,
    make_key,
)
from smalt._block import plugin_loop
from smalt.errors import FlowError, PluginError
from smalt.testing import Sandbox, Served

KEY = {"key": "sandbox-key-good", "workspace": "acme"}
PROJECT: dict[str, Any] = {
    "version": 1,
    "sandbox": {"enabled": True},
    "apps": {
        "sandbox-key": {"fields": [{"id": "item", "name": "Item", "type": "select", "options_from": "items"}]},
        "sandbox-oauth": {"workflows": [{"id": "notify", "name": "Notify", "description": "Posts."}]},
    },
}
TIMINGS = {"plugin": 5}


def opened(*connectors: Connector, **options: Any) -> Smalt:
    return Smalt.embedded(
        project=PROJECT, key=make_key(), connectors=connectors, timings={**TIMINGS, **options.pop("timings", {})}, **options
    )


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.005)


def connected(smalt: Smalt) -> Any:
    account = smalt.account("a")
    account.ensure()
    return account.connect("sandbox-key", KEY)


class Consents(Presenter):
    """Ada, who consents at the sandbox."""

    redirect_uri = "http://127.0.0.1/callback"

    async def present(self, authorize_url: str, application: str) -> str:
        return await asyncio.to_thread(Sandbox.visit, authorize_url)


class Plain(Connector):
    slug = "sandbox-key"

    def verify(self, ctx: Any, credential: Any) -> Identity:
        assert threading.current_thread().name == "smalt-plugin"
        answer = ctx.request("GET", "channels", query={"limit": 1})
        return Identity(id=credential.values["workspace"].reveal(), label=f"{answer.status} {ctx.account_id} {ctx.application}")


class Awaited(Connector):
    slug = "sandbox-key"

    async def verify(self, ctx: Any, credential: Any) -> Identity:
        answer = await ctx.request("GET", "channels", query=[("limit", 1)])
        return Identity(id=credential.values["workspace"].reveal(), label=f"{answer.status} {ctx.account_id} {ctx.application}")

    async def options(self, ctx: Any, field: str, search: str | None = None) -> list[Option]:
        assert (field, search) == ("item", None)
        answer = await ctx.request("GET", "channels", query={"limit": 3})
        return [Option(value=channel["id"], name=channel["name"]) for channel in answer.json()["items"]]


@pytest.mark.parametrize("make", [Plain, Awaited])
def test_a_connector_is_asked_and_asks(make: type[Connector]) -> None:
    with opened(make()) as smalt:
        connection = connected(smalt)
        assert connection.identity == Identity(id="acme", label="200 a sandbox-key")


def test_async_methods_run_on_the_registering_loop() -> None:
    seen: list[object] = []

    class Where(Awaited):
        async def verify(self, ctx: Any, credential: Any) -> Identity:
            seen.append(asyncio.get_running_loop())
            return await super().verify(ctx, credential)

    async def life() -> None:
        async with AsyncSmalt.embedded(project=PROJECT, key=make_key(), connectors=[Where()]) as smalt:
            account = smalt.account("a")
            await account.ensure()
            await account.connect("sandbox-key", KEY)
            assert seen == [asyncio.get_running_loop()]
            config = await account.config("sandbox-key")
            assert len(config.fields[0].options or ()) == 3

    asyncio.run(life())


class Broken(RuntimeError):
    pass


class Throws(Connector):
    slug = "sandbox-key"

    def verify(self, ctx: Any) -> Identity:
        raise Broken("on purpose")


class ThrowsLater(Connector):
    slug = "sandbox-key"

    async def verify(self, ctx: Any) -> Identity:
        raise Broken("on purpose")


@pytest.mark.parametrize("make", [Throws, ThrowsLater])
def test_an_exception_keeps_its_traceback(make: type[Connector]) -> None:
    with opened(make()) as smalt, pytest.raises(PluginError) as raised:
        connected(smalt)
    error = raised.value
    assert (error.code, error.context["plugin"]) == ("plugin_failed", "connector sandbox-key")
    assert "on purpose" in error.reason and "def verify" not in error.reason
    assert error.trace is not None and 'raise Broken("on purpose")' in error.trace
    assert isinstance(error.__cause__, Broken)


class Unsayable(RuntimeError):
    def __str__(self) -> str:
        raise Broken("not to be said")


class Leaves(RuntimeError):
    def __str__(self) -> str:
        sys.exit("not to be said")


class Torn(SmaltError):
    """Its attributes are not those of an error of Smalt."""

    def __init__(self) -> None:
        pass


class RejectedUnsayably(Rejected):
    def __str__(self) -> str:
        raise Broken("not to be said")


HARD_TO_TELL: dict[str, tuple[Callable[[], BaseException], str]] = {
    "its text raises": (Unsayable, "Unsayable"),
    "its text ends the thread": (Leaves, "Leaves"),
    "its text is no Unicode": (lambda: Broken("half a \ud83d pair"), "half a \\ud83d pair"),
    "an error of Smalt without its parts": (Torn, "Torn"),
    "a refusal whose text raises": (RejectedUnsayably, "The application refused the credentials."),
    "a refusal whose text is no Unicode": (lambda: Rejected("half a \ud83d pair"), "half a \\ud83d pair"),
}


@pytest.mark.parametrize("half", ["a plain function", "a coroutine"])
@pytest.mark.parametrize("what", HARD_TO_TELL)
def test_an_exception_that_is_hard_to_tell_is_told_at_once(what: str, half: str) -> None:
    make, told = HARD_TO_TELL[what]

    class Plainly(Connector):
        slug = "sandbox-key"

        def verify(self, ctx: Any) -> Identity:
            raise make()

    class Later(Connector):
        slug = "sandbox-key"

        async def verify(self, ctx: Any) -> Identity:
            raise make()

    # Whoever is not told waits until its end.
    with opened(Plainly() if half == "a plain function" else Later(), timings={"plugin": 60}) as smalt, pytest.raises(SmaltError) as raised:
        connected(smalt)
    assert raised.value.code == ("credentials_rejected" if "refusal" in what else "plugin_failed"), raised.value
    assert told in raised.value.reason


def test_a_thread_that_ends_in_its_work_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda what: ended.append(str(what.exc_value)))
    monkeypatch.setattr(_host, "_THREADS", 1)
    pool = _host._Pool()
    served = threading.Event()

    def fails() -> None:
        raise Broken("on purpose")

    for work in (fails, fails, served.set):
        pool.submit(work)
    assert served.wait(60)
    wait_until(lambda: pool._spare == 1)
    assert pool._threads == 1
    # Also one for which nothing waits.
    pool.submit(fails)
    wait_until(lambda: pool._threads == 0)
    assert pool._spare == 0
    served.clear()
    pool.submit(served.set)
    assert served.wait(60)
    wait_until(lambda: len(ended) == 3)
    assert ended == ["on purpose"] * 3


def test_s41_the_credential_is_taken_out_of_what_a_plugin_says() -> None:
    class Talks(Connector):
        slug = "sandbox-key"

        def verify(self, ctx: Any, credential: Any) -> Identity:
            raise Broken(f"the key is {credential.values['key'].reveal()}")

    with opened(Talks()) as smalt, pytest.raises(PluginError) as raised:
        connected(smalt)
    assert KEY["key"] not in str(raised.value) and KEY["key"] not in (raised.value.trace or "")


def test_a_hanging_plugin_harms_nobody_else() -> None:
    release = threading.Event()

    class Hangs(Connector):
        slug = "sandbox-key"

        def verify(self, ctx: Any) -> Identity:
            release.wait()
            return Identity(id="late", label="late")

    with opened(Hangs(), presenter=Consents(), timings={"plugin": 0.3}) as smalt:
        # More of them than the pool has threads: those that nobody waits for are given up.
        for number in range(12):
            account = smalt.account(f"h-{number}")
            account.ensure()
            with pytest.raises(PluginError) as raised:
                account.connect("sandbox-key", KEY)
            assert raised.value.code == "plugin_timeout"
        other = smalt.account("other")
        other.ensure()
        assert other.connect("sandbox-oauth").status == "active"
        release.set()


def test_a_thread_that_was_woken_for_a_call_is_not_taken_for_a_free_one() -> None:
    """It may be long until it runs. A second call would wait behind the first, which hangs."""
    woken, runs, free, ended = threading.Event(), threading.Event(), threading.Event(), threading.Event()

    class Late(queue.SimpleQueue[Any]):
        """Whoever takes the call that hangs is held up at once."""

        def get(self, *arguments: Any, **named: Any) -> Any:
            work = super().get(*arguments, **named)
            if work is hangs:
                woken.set()
                runs.wait()
            return work

    def hangs() -> None:
        free.wait()

    pool = _host._Pool()
    pool._work = Late()
    pool.submit(lambda: None)
    wait_until(lambda: pool._spare == 1)
    pool.submit(hangs)
    assert woken.wait(60)
    pool.submit(ended.set)
    assert ended.wait(60) and pool._threads == 2
    runs.set()
    free.set()
    wait_until(lambda: pool._spare == 2)


def test_a_call_that_waits_for_a_thread_gets_that_of_one_who_is_given_up() -> None:
    free, ended = threading.Event(), threading.Event()

    def hangs() -> None:
        free.wait()

    pool = _host._Pool()
    for _ in range(_host._THREADS):
        pool.submit(hangs)
    pool.submit(ended.set)
    assert pool._threads == _host._THREADS
    pool.give_up()
    assert ended.wait(60) and pool._threads == _host._THREADS + 1
    free.set()
    pool.come_back()
    wait_until(lambda: pool._spare == pool._threads)


class Asked:
    """A call of a plain function, as the native module brings it."""

    plugin, what, scope, context = "connector", "verify", None, None
    arguments: dict[str, Any] = {}

    def __init__(self, number: int) -> None:
        self.number = number
        self.answers: list[object] = []

    def answer(self, value: object) -> None:
        self.answers.append(value)


def host_of(function: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, _host._Pool]:
    """Where that function is a plugin's method, and the pool that it alone has: of one thread, as long as none is given up."""
    pool = _host._Pool()
    monkeypatch.setattr(_host, "_pool", pool)
    monkeypatch.setattr(_host, "_THREADS", 1)
    host: Any = object.__new__(_host.PluginHost)
    host.methods, host._running = {("connector", "verify"): _host._Method(function)}, {}
    return host, pool


def test_a_call_that_nobody_waits_for_is_not_begun_and_costs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, free = threading.Semaphore(0), threading.Event()

    def waits() -> str:
        begun.release()
        free.wait()
        return "ended"

    host, pool = host_of(waits, monkeypatch)
    first, *queued = calls = [Asked(number) for number in range(1, 5)]
    for call in calls:
        host._begin(call)
    assert begun.acquire(timeout=60)
    for call in queued:
        host._cancel(call.number)
    assert (pool._given_up, pool._threads) == (0, 1), "no thread hangs in a call that waits for one"
    free.set()
    wait_until(lambda: pool._spare == 1)
    assert first.answers == ["ended"] and [call.answers for call in queued] == [[], [], []]
    assert not begun.acquire(blocking=False) and not host._running
    # The same of one that has begun: its thread is replaced until it comes back.
    free.clear()
    hangs, ends = Asked(5), Asked(6)
    host._begin(hangs)
    host._begin(ends)
    assert begun.acquire(timeout=60)
    host._cancel(hangs.number)
    assert (pool._given_up, pool._threads) == (1, 2)
    free.set()
    wait_until(lambda: pool._spare == 2)
    assert pool._given_up == 0 and ends.answers == ["ended"]


@pytest.mark.parametrize("first", ["the thread", "the loop"])
def test_a_call_that_ends_while_it_is_given_up_is_counted_once(first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either looks the call up, and the other one is quicker."""

    class Between(dict[int, Any]):
        """Whoever looks into it is overtaken, once."""

        overtakes: Callable[[], None] | None = None

        def overtaken(self) -> None:
            overtakes, self.overtakes = self.overtakes, None
            if overtakes is not None:
                overtakes()

        def __contains__(self, number: object) -> bool:
            found = super().__contains__(number)
            self.overtaken()
            return found

        def pop(self, *arguments: Any) -> Any:
            self.overtaken()
            return super().pop(*arguments)

    begun, free, given_up = threading.Event(), threading.Event(), threading.Event()

    def waits() -> None:
        begun.set()
        free.wait()

    host, pool = host_of(waits, monkeypatch)
    host._running = between = Between()
    host._begin(Asked(1))
    assert begun.wait(60)

    def thread_ends() -> None:
        free.set()
        wait_until(lambda: pool._spare == 1)

    def loop_gives_up() -> None:
        host._cancel(1)
        given_up.set()

    if first == "the thread":
        between.overtakes = thread_ends
        host._cancel(1)
    else:
        between.overtakes = loop_gives_up
        free.set()
        assert given_up.wait(60)
    wait_until(lambda: pool._spare == 1)
    assert (pool._given_up, len(between)) == (0, 0)


def test_as_many_come_back_as_were_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_host, "_THREADS", 1)
    monkeypatch.setattr(_host, "_GIVEN_UP_AT_MOST", 2)
    free = threading.Event()
    pool = _host._Pool()

    def waits() -> None:
        free.wait()

    for _ in range(8):
        pool.submit(waits)
    for _ in range(5):
        pool.give_up()
    assert pool._threads == 3, "no more are replaced than that"
    free.set()
    for _ in range(5):
        pool.come_back()
    assert pool._given_up == 0
    # The thread may be quicker than who gives it up.
    pool.come_back()
    pool.give_up()
    assert pool._given_up == 0
    wait_until(lambda: pool._spare == pool._threads)


def test_a_coroutine_that_blocks_its_loop_harms_no_call_that_asks_no_plugin() -> None:
    release = threading.Event()

    class Blocks(Connector):
        slug = "sandbox-key"

        async def verify(self, ctx: Any) -> Identity:
            if ctx.account_id == "blocks":
                # As `time.sleep` would: the loop does nothing else meanwhile.
                release.wait()
            return Identity(id=ctx.account_id, label="verified")

    try:
        with opened(Blocks(), timings={"plugin": 3}) as smalt:
            for name in ("blocks", "other"):
                smalt.account(name).ensure()
            with pytest.raises(PluginError) as raised:
                smalt.account("blocks").connect("sandbox-key", KEY)
            assert raised.value.code == "plugin_timeout"
            other = smalt.account("other")
            started = other.start_connect("sandbox-oauth", redirect_uri="http://127.0.0.1/callback")
            ended = other.finish_connect(Sandbox.visit(started.authorize_url), cookie=started.cookie.value)
            assert ended.status == "active"
            assert other.request("sandbox-oauth", "GET", "items").status == 200
            # Who asks a plugin on that loop waits no longer than for its own.
            with pytest.raises(PluginError) as raised:
                other.connect("sandbox-key", KEY)
            assert raised.value.code == "plugin_timeout"
            release.set()
            assert other.connect("sandbox-key", KEY).identity == Identity(id="other", label="verified")
    finally:
        release.set()


def test_a_cancelled_coroutine_is_cancelled() -> None:
    ended: list[str] = []

    class Hangs(Connector):
        slug = "sandbox-key"

        async def verify(self, ctx: Any) -> Identity:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise
            raise AssertionError

    with opened(Hangs(), timings={"plugin": 0.2}) as smalt:
        with pytest.raises(PluginError) as raised:
            connected(smalt)
        assert raised.value.code == "plugin_timeout"
        until = time.monotonic() + 60
        while not ended and time.monotonic() < until:
            time.sleep(0.01)
    assert ended == ["cancelled"]


@pytest.mark.parametrize(
    "answer", [1, "x", {"id": 1}, {"id": "", "label": ""}, object(), Identity(id="", label="x"), b"x", {"id": "\ud800", "label": "x"}]
)
def test_nonsense_is_the_plugins_fault(answer: object) -> None:
    class Nonsense(Connector):
        slug = "sandbox-key"

        def verify(self, ctx: Any) -> Any:
            return answer

    with opened(Nonsense()) as smalt, pytest.raises(PluginError) as raised:
        connected(smalt)
    assert raised.value.code == "plugin_answer"


def test_a_refusal_is_the_users_matter() -> None:
    class Refuses(Connector):
        slug = "sandbox-key"

        async def verify(self, ctx: Any) -> Identity:
            raise Rejected("Use a key of the team.")

    with opened(Refuses()) as smalt, pytest.raises(SmaltError) as raised:
        connected(smalt)
    assert raised.value.code == "credentials_rejected" and "Use a key of the team." in raised.value.reason


def test_a_plugin_that_calls_back_is_refused_at_once() -> None:
    holder: list[Smalt] = []

    class Reenters(Connector):
        slug = "sandbox-key"

        def verify(self, ctx: Any) -> Identity:
            # Another account: a blocking call from inside a plugin is refused all the same.
            return Identity(id=holder[0].account("other").get().id, label="x")

    with opened(Reenters()) as smalt:
        holder.append(smalt)
        smalt.account("other").ensure()
        with pytest.raises(PluginError) as raised:
            connected(smalt)
        assert raised.value.code == "reentrant"


def test_a_plugin_that_opens_or_closes_a_blocking_handle_is_refused_at_once() -> None:
    holder: list[Smalt] = []
    codes: list[str] = []

    class Opens(Connector):
        slug = "sandbox-key"

        async def verify(self, ctx: Any) -> Identity:
            for refused in (opened, lambda: opened(Plain()), Smalt.sandbox, holder[0].close):
                with pytest.raises(PluginError) as raised:
                    refused()
                codes.append(raised.value.code)
            # No I/O, and no waiting for the loop on which this runs.
            remote = Smalt.remote("http://127.0.0.1:1", api_key="key", presenter=Consents())
            with pytest.raises(PluginError) as raised:
                remote.count_accounts()
            codes.append(raised.value.code)
            return Identity(id=str(remote.capabilities.presenter), label="x")

    with opened(Opens()) as smalt:
        holder.append(smalt)
        assert connected(smalt).identity == Identity(id="True", label="x")
    assert codes == ["reentrant"] * 5


def test_a_coroutine_that_blocks_its_loop_holds_up_no_opening() -> None:
    blocked, release = threading.Event(), threading.Event()

    class Blocks(Connector):
        slug = "sandbox-key"

        async def verify(self, ctx: Any) -> Identity:
            blocked.set()
            release.wait()
            return Identity(id="late", label="late")

    def others() -> str:
        with Smalt.remote("http://127.0.0.1:1", api_key="key", presenter=Consents()) as remote:
            assert remote.capabilities.presenter
        # Plain functions run beside the loop, but what is to be called comes by it.
        with opened(Plain(), timings={"plugin": 3}) as other:
            account = other.account("a")
            account.ensure()
            with pytest.raises(PluginError) as raised:
                account.connect("sandbox-key", KEY)
            assert raised.value.code == "plugin_timeout"
            release.set()
            return account.connect("sandbox-key", KEY).status

    with opened(Blocks(), timings={"plugin": 600}) as smalt, ThreadPoolExecutor(2) as threads:
        try:
            blocks = threads.submit(connected, smalt)
            assert blocked.wait(60)
            assert threads.submit(others).result(120) == "active"
        finally:
            release.set()
        assert blocks.result(60).identity.id == "late"


@pytest.mark.parametrize("watches", [True, False])
def test_the_blocking_half_has_a_loop_of_any_sort(watches: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a policy makes, and one that cannot watch descriptors, as on Windows."""

    class Loop(asyncio.SelectorEventLoop):
        def add_reader(self, fd: Any, callback: Any, *args: Any) -> Any:  # type: ignore[override]
            if not watches:
                raise NotImplementedError
            return super().add_reader(fd, callback, *args)

    monkeypatch.setattr(_block, "_plugins", None)
    monkeypatch.setattr(asyncio, "new_event_loop", Loop)
    seen: list[object] = []

    class Where(Awaited):
        async def verify(self, ctx: Any, credential: Any) -> Identity:
            seen.append(asyncio.get_running_loop())
            return await super().verify(ctx, credential)

    with opened(Where()) as smalt:
        assert connected(smalt).status == "active"
    assert len(seen) == 1 and isinstance(seen[0], Loop)


def test_a_plugin_does_not_end_the_loop_of_others() -> None:
    class Exits(Connector):
        slug = "sandbox-key"

        async def verify(self, ctx: Any) -> Identity:
            sys.exit("on purpose")

    class Stops(Connector):
        slug = "sandbox-key"

        async def verify(self, ctx: Any) -> Identity:
            asyncio.get_running_loop().stop()
            return Identity(id="stopped", label="stopped")

    with opened(Exits()) as smalt, pytest.raises(PluginError) as raised:
        connected(smalt)
    assert raised.value.code == "plugin_panicked"
    with opened(Stops()) as smalt:
        assert connected(smalt).identity.id == "stopped"
    with opened(Awaited()) as smalt:
        assert connected(smalt).identity.id == "acme"


def test_an_async_plugin_may_ask_about_others() -> None:
    holder: list[AsyncSmalt] = []

    class Asks(Connector):
        slug = "sandbox-key"

        async def verify(self, ctx: Any) -> Identity:
            other = await holder[0].account("other").get()
            try:
                await holder[0].account(ctx.account_id).credential("sandbox-key")
            except PluginError as refused:
                return Identity(id=other.id, label=refused.code)
            raise AssertionError

    async def life() -> None:
        async with AsyncSmalt.embedded(project=PROJECT, key=make_key(), connectors=[Asks()]) as smalt:
            holder.append(smalt)
            await smalt.account("other").ensure()
            await smalt.account("a").ensure()
            connection = await smalt.account("a").connect("sandbox-key", KEY)
            assert connection.identity == Identity(id="other", label="reentrant")

    asyncio.run(life())


class Keys(KeyProvider):
    """What a key management service does, in memory."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.pad = os.urandom(64)

    def key_id(self) -> str:
        return "kms-1"

    async def wrap(self, data_key: bytes, aad: bytes) -> bytes:
        self.calls.append("wrap")
        return len(aad).to_bytes(4, "big") + aad + bytes(a ^ b for a, b in zip(data_key, self.pad))

    def unwrap(self, key_id: str, wrapped: bytes, aad: bytes) -> bytes:
        self.calls.append("unwrap")
        assert key_id == "kms-1"
        length = int.from_bytes(wrapped[:4], "big")
        if wrapped[4 : 4 + length] != aad:
            raise Rejected("The key was wrapped for something else.")
        return bytes(a ^ b for a, b in zip(wrapped[4 + length :], self.pad))


def test_master_keys_from_elsewhere(tmp_path: Any) -> None:
    keys = Keys()
    for _ in range(2):
        with Smalt.embedded(tmp_path / "smalt.db", keys=keys) as smalt:
            smalt.account("a").ensure()
    assert "wrap" in keys.calls and "unwrap" in keys.calls

    class Wrong(Keys):
        def unwrap(self, key_id: str, wrapped: bytes, aad: bytes) -> bytes:
            raise Rejected("This service does not know the key.")

    class Down(Keys):
        def key_id(self) -> str:
            raise OSError("the service is down")

    class Nonsense(Keys):
        def key_id(self) -> Any:
            return 7

    for keys, code in [(Wrong(), "key_wrong"), (Down(), "plugin_failed"), (Nonsense(), "plugin_answer")]:
        with pytest.raises(SmaltError) as raised:
            Smalt.embedded(tmp_path / "smalt.db", keys=keys)
        assert (raised.value.code, raised.value.context["plugin"]) == (code, "key provider"), raised.value


def test_a_presenter_shows_the_page() -> None:
    shown: list[str] = []

    class Shows(Presenter):
        name = "mine"
        redirect_uri = "http://127.0.0.1/callback"

        async def present(self, authorize_url: str, application: str) -> str:
            shown.append(application)
            return await asyncio.to_thread(Sandbox.visit, authorize_url)

    with opened(presenter=Shows()) as smalt:
        account = smalt.account("a")
        account.ensure()
        assert account.connect("sandbox-oauth").status == "active"
    assert len(shown) == 1


@pytest.mark.parametrize("said", [FlowError.user_cancelled, FlowError.window_blocked])
def test_a_presenter_says_how_it_ended(said: Callable[[], FlowError]) -> None:
    class Ends(Presenter):
        redirect_uri = "http://127.0.0.1/callback"

        async def present(self, authorize_url: str) -> str:
            raise said()

    with opened(presenter=Ends()) as smalt:
        account = smalt.account("a")
        account.ensure()
        with pytest.raises(FlowError) as raised:
            account.connect("sandbox-oauth")
    told, arrived = said(), raised.value
    assert told.code == said.__name__
    assert (arrived.code, arrived.reason, arrived.retry, arrived.http_status) == (told.code, told.reason, told.retry, told.http_status)


def test_a_presenter_that_fails_is_named() -> None:
    class Breaks(Presenter):
        name = "window"

        async def present(self, authorize_url: str) -> object:
            if broken:
                raise OSError("no screen")
            return 7

    for fails, code in ((True, "plugin_failed"), (False, "plugin_answer")):
        broken = fails
        with opened(presenter=Breaks()) as smalt:
            account = smalt.account("a")
            account.ensure()
            with pytest.raises(SmaltError) as raised:
                account.connect("sandbox-oauth")
            assert (raised.value.code, raised.value.context["plugin"]) == (code, "presenter window")


def test_a_presenter_shows_the_page_of_a_servers_connect() -> None:
    """The server has no presenter; the handle on it has one, on the loop of whoever opened it."""
    shown: list[tuple[str, object]] = []

    class Shows(Consents):
        name = "mine"

        async def present(self, authorize_url: str, application: str) -> str:
            shown.append((application, asyncio.get_running_loop()))
            return await super().present(authorize_url, application)

    with opened() as host, Served(host) as served:
        key = host.create_api_key("tests").key
        with Smalt.remote(served.url, api_key=key, proxy=False, presenter=Shows()) as smalt:
            assert smalt.capabilities.presenter
            account = smalt.account("a")
            account.ensure()
            assert account.connect("sandbox-oauth").status == "active"

        async def life() -> None:
            async with AsyncSmalt.remote(served.url, api_key=key, proxy=False, presenter=Shows()) as smalt:
                account = smalt.account("b")
                await account.ensure()
                assert (await account.connect("sandbox-oauth")).status == "active"
                assert shown[-1][1] is asyncio.get_running_loop()

        asyncio.run(life())
        assert {one.id for one in host.accounts() if host.account(one.id).list_connections()} == {"a", "b"}
        with Smalt.remote(served.url, api_key=key, proxy=False) as smalt:
            assert not smalt.capabilities.presenter
            with pytest.raises(SmaltError) as raised:
                smalt.account("a").connect("sandbox-oauth")
            assert raised.value.code == "presenter_required"
        with pytest.raises(RuntimeError, match="event loop"):
            AsyncSmalt.remote(served.url, api_key=key, presenter=Shows())
    assert len(shown) == 2


def test_a_runner_runs_workflows() -> None:
    class Runs(WorkflowRunner):
        def run(self, workflow: str, payload: Any, account_id: str) -> Any:
            return {"workflow": workflow, "payload": payload, "account": account_id}

    with opened(runner=Runs(), presenter=Consents()) as smalt:
        account = smalt.account("a")
        account.ensure()
        account.connect("sandbox-oauth")
        account.config("sandbox-oauth")
        account.update_config("sandbox-oauth", workflows={"notify": True})
        payload = {"a": [1, 2.5, None, True, "ä"]}
        answer = account.run_workflow("sandbox-oauth", "notify", payload)
        assert answer == {"workflow": "notify", "payload": payload, "account": "a"}


async def _await_embedded() -> None:
    with pytest.raises(SmaltError):
        await AsyncSmalt.embedded(project={"version": 7}, key=make_key(), runner=WorkflowRunner())


async def _embedded() -> None:
    with pytest.raises(SmaltError):
        Smalt.embedded(project={"version": 7}, key=make_key(), runner=WorkflowRunner())


async def _await_remote() -> None:
    with pytest.raises(SmaltError):
        AsyncSmalt.remote("no address", api_key="key", presenter=Consents())


async def _remote() -> None:
    with pytest.raises(SmaltError):
        Smalt.remote("no address", api_key="key", presenter=Consents())


async def _await_end() -> None:
    async with AsyncSmalt.remote("http://127.0.0.1:1", api_key="key", presenter=Consents()):
        pass


async def _end() -> None:
    with Smalt.remote("http://127.0.0.1:1", api_key="key", presenter=Consents()):
        pass


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="the system does not tell what a process has open")
@pytest.mark.parametrize("ended", [_await_embedded, _embedded, _await_remote, _remote, _await_end, _end])
def test_what_does_not_open_or_has_ended_leaves_nothing_behind(ended: Callable[[], Awaitable[None]]) -> None:
    async def life() -> list[int]:
        counts = []
        for _ in range(2):
            for _ in range(50):
                await ended()
            # What the loop of the blocking half was told before this, it has done.
            loop, _ = plugin_loop()
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop))
            gc.collect()
            counts.append(len(os.listdir("/proc/self/fd")))
        return counts

    first, second = asyncio.run(life())
    assert second < first + 25, (first, second)


def test_a_manifest_comes_along(tmp_path: Any) -> None:
    path = tmp_path / "acme.toml"
    path.write_text(
        'manifest = 1\nslug = "acme"\nname = "Acme"\ndescription = "An application."\n'
        '[api]\nbase_url = "https://api.acme.example/"\n'
        '[keybased]\nplacement = { in = "header", name = "X-Api-Key", value = "{key}" }\n'
        '[[keybased.inputs]]\nname = "key"\nlabel = "API key"\ntype = "password"\nsecret = true\n'
    )
    manifest = AppManifest.load(path)
    assert manifest.slug == "acme"
    with pytest.raises(SmaltError) as wrong:
        AppManifest.load(tmp_path / "none.toml")
    assert wrong.value.code == "manifest_invalid"

    class Acme(Connector):
        def verify(self, ctx: Any) -> Identity:
            return Identity(id="1", label="Acme")

    acme = Acme()
    acme.manifest = manifest
    project = {"version": 1, "apps": {"acme": {}}}
    with Smalt.embedded(project=project, key=make_key(), connectors=[acme]) as smalt:
        account = smalt.account("a")
        account.ensure()
        identity = account.connect("acme", {"key": "an-api-key"}).identity
        assert identity == Identity(id="1", label="Acme")


def test_two_engines_keep_their_plugins_apart() -> None:
    class Named(Connector):
        slug = "sandbox-key"

        def __init__(self, label: str) -> None:
            self.label = label

        async def verify(self, ctx: Any) -> Identity:
            return Identity(id="1", label=self.label)

    with opened(Named("first")) as first, opened(Named("second")) as second:
        labels = [connected(smalt).identity.label for smalt in (first, second)]
    assert labels == ["first", "second"]


def test_a_plugin_whose_loop_is_gone_fails_its_callers() -> None:
    async def open_one() -> AsyncSmalt:
        return await AsyncSmalt.embedded(project=PROJECT, key=make_key(), connectors=[Awaited()], timings={"plugin": 2})

    smalt = asyncio.run(open_one())

    async def late() -> str:
        await smalt.account("a").ensure()
        try:
            await smalt.account("a").connect("sandbox-key", KEY)
        except PluginError as error:
            return error.code
        raise AssertionError

    assert asyncio.run(late()) in ("plugin_failed", "plugin_timeout")
    asyncio.run(smalt.aclose())
