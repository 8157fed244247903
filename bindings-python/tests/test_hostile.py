"""S-78: hostile arguments, and uses that nobody means: an error each time, and the process goes on."""

from __future__ import annotations

import asyncio
import gc
import inspect
import math
import os
import random
import re
import threading
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable

import pytest

from smalt import AsyncSmalt, Secret, Smalt, SmaltError, _smalt, make_key, types
from smalt.errors import InvalidError

from .conftest import REPOSITORY

CALLS = 100_000 if os.environ.get("SMALT_FULL") else 5_000
KEY = make_key()


class Evil:
    """Raises wherever it is looked at."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("looked at")


class EvilMapping(dict):  # type: ignore[type-arg]
    def items(self) -> Any:
        raise RuntimeError("looked at")


def deep(levels: int) -> Any:
    value: Any = 0
    for _ in range(levels):
        value = [value]
    return value


def circle() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def hostile(random_: random.Random) -> Any:
    return random_.choice(
        [
            None,
            True,
            0,
            -1,
            2**63,
            2**64,
            -(2**200),
            1.5,
            math.nan,
            math.inf,
            -0.0,
            "",
            "a",
            "\0",
            "\ud800",
            "a/b?c#d",
            " ",
            "ä" * 300,
            "x" * 10_000,
            b"bytes",
            bytearray(b"x"),
            memoryview(b"x"),
            [],
            [1, "a", None],
            (),
            {},
            {"a": 1},
            {1: 2},
            {"\ud800": 1},
            {None: None},
            set(),
            frozenset({1}),
            object(),
            object,
            Evil(),
            EvilMapping(a=1),
            circle(),
            deep(100),
            deep(50),
            Secret("s"),
            Decimal("1.5"),
            datetime.now(),
            timedelta(days=-1),
            timedelta.max,
            iter([1]),
            lambda: 1,
            Exception("x"),
            types.AuthType.OAUTH2,
            range(3),
            1j,
        ]
    )


# What a wrong argument may raise: Python's own for a wrong call, ours for a wrong value.
EXPECTED = (SmaltError, TypeError, ValueError, UnicodeError, AttributeError, RuntimeError)


# What ends the engine, the account or the session, what waits for work that goes on, and what opens engines: see below.
LEFT_OUT = {"aclose", "close", "delete", "delete_account", "revoke", "rotate_keys", "embedded", "sandbox", "remote"}
# Lists that end: their first item is asked for. `events` waits for the next one.
LISTS = {"accounts", "pages"}
NAMED = ["cursor", "limit", "search", "application", "connection", "config_id", "timeout", "value", "lhs", "\ud800"]


def targets_of(*handles: Any) -> list[tuple[Any, str]]:
    """Every method of these handles that a user could call."""
    targets = [(handle, name) for handle in handles for name in dir(handle) if not name.startswith("_") and name not in LEFT_OUT]
    targets = [(handle, name) for handle, name in targets if callable(getattr(handle, name))]
    assert {type(handle) for handle, _ in targets} == {type(handle) for handle in handles} and len(targets) > 50
    return targets


def nonsense(random_: random.Random, targets: list[tuple[Any, str]]) -> tuple[str, Callable[[], Any]]:
    """One call with anything in any place, and the name of what it calls."""
    handle, name = random_.choice(targets)
    arguments = [hostile(random_) for _ in range(random_.randrange(4))]
    # Behind an application that there is, more of a call is read. A good `disconnect` would end what the others are about.
    if arguments and name != "disconnect" and random_.random() < 0.5:
        arguments[0] = "sandbox-key"
    named = {random_.choice(NAMED): hostile(random_) for _ in range(random_.randrange(3))}
    return name, lambda: getattr(handle, name)(*arguments, **named)


def test_s78_hostile_arguments() -> None:
    random_ = random.Random(78)
    with Smalt.sandbox() as smalt:
        account = smalt.account("a")
        account.ensure()
        account.connect("sandbox-key", {"key": "sandbox-key-good", "workspace": "acme"})
        targets = targets_of(smalt, account, account.session())
        raised = 0
        for _ in range(CALLS):
            name, call = nonsense(random_, targets)
            try:
                answer = call()
                if name in LISTS:
                    next(answer, None)
            except EXPECTED:
                raised += 1
        assert raised > CALLS // 2
        assert smalt.account("a").get().id == "a"
        assert account.request("sandbox-key", "GET", "channels").status == 200


def test_s78_hostile_arguments_awaited() -> None:
    """The same of the other half, sixteen at once: what is raised, when called or when awaited, ends nobody else's call."""

    async def one(name: str, call: Callable[[], Any]) -> bool:
        try:
            answer = call()
            if name in LISTS:
                await anext(answer, None)
            elif inspect.isawaitable(answer):
                await answer
        except EXPECTED:
            return True
        return False

    async def many() -> None:
        random_ = random.Random(87)
        async with AsyncSmalt.sandbox() as smalt:
            account = smalt.account("a")
            await account.ensure()
            await account.connect("sandbox-key", {"key": "sandbox-key-good", "workspace": "acme"})
            targets = targets_of(smalt, account, await account.session())
            raised = 0
            for _ in range(CALLS // 16):
                raised += sum(await asyncio.gather(*(one(*nonsense(random_, targets)) for _ in range(16))))
            assert raised > CALLS // 2
            assert (await smalt.account("a").get()).id == "a"
            assert (await account.request("sandbox-key", "GET", "channels")).status == 200

    asyncio.run(many())


def test_s78_hostile_openings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What opens an engine, with nonsense in every place: an error each time, or an engine that can be closed."""
    monkeypatch.chdir(tmp_path)
    random_ = random.Random(780)
    raised = 0
    for _ in range(CALLS // 25):
        opens, arguments = opening(random_, Smalt)
        try:
            opened = opens(**arguments)
        except EXPECTED:
            raised += 1
        else:
            opened.close()
    assert raised > CALLS // 50


def test_s78_hostile_openings_awaited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def many() -> None:
        random_ = random.Random(870)
        raised = 0
        for _ in range(CALLS // 25):
            opens, arguments = opening(random_, AsyncSmalt)
            try:
                opened = opens(**arguments)
                if inspect.isawaitable(opened):
                    opened = await opened
            except EXPECTED:
                raised += 1
            else:
                await opened.aclose()
        assert raised > CALLS // 50

    asyncio.run(many())


def opening(random_: random.Random, half: type[Smalt] | type[AsyncSmalt]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """One way to open an engine, with what it needs and some nonsense."""
    ways: list[tuple[Callable[..., Any], dict[str, Any]]] = [
        (half.embedded, {"key": KEY}),
        (half.sandbox, {}),
        (half.remote, {"url": "http://127.0.0.1:9", "api_key": "a"}),
    ]
    opens, needed = random_.choice(ways)
    places = list(inspect.signature(opens).parameters)
    return opens, {**needed, **{random_.choice(places): hostile(random_) for _ in range(1 + random_.randrange(3))}}


@pytest.mark.parametrize("value", ["x" * (100 * 1024 * 1024), b"x" * (100 * 1024 * 1024)], ids=["text", "bytes"])
def test_s78_100_mib(value: Any) -> None:
    with Smalt.sandbox() as smalt:
        account = smalt.account("a")
        account.ensure()
        with pytest.raises(EXPECTED):
            account.connect("sandbox-key", {"key": value, "workspace": "acme"})
        with pytest.raises(EXPECTED):
            smalt.account(value).get()
        assert account.get().id == "a"


def test_a_mistake_is_named_without_the_value() -> None:
    with Smalt.sandbox() as smalt:
        account = smalt.account("a")
        account.ensure()
        for mistake in (
            {"key": {"canary-secret": 1}},
            {"key": ["canary-secret"]},
            {1: "canary-secret"},
            "canary-secret",
            {"key": math.nan},
        ):
            with pytest.raises(InvalidError) as raised:
                account.connect_key("sandbox-key", mistake)  # type: ignore[arg-type]
            assert "canary-secret" not in str(raised.value) and "canary-secret" not in repr(raised.value)
        with pytest.raises(InvalidError, match="too deep|another type"):
            account.run_workflow("sandbox-key", "w", deep(1000))
        with pytest.raises(InvalidError):
            account.run_workflow("sandbox-key", "w", circle())


def test_s78_after_close() -> None:
    smalt = Smalt.sandbox()
    account = smalt.account("a")
    account.ensure()
    account.connect("sandbox-oauth")
    account.credential("sandbox-oauth")
    smalt.close()
    smalt.close()
    for call in (account.get, lambda: account.credential("sandbox-oauth"), account.session, smalt.get_project, smalt.list_accounts):
        with pytest.raises(SmaltError) as raised:
            call()
        assert raised.value.code == "closed"


def test_s78_32_threads_close_and_drop_and_call() -> None:
    for _ in range(5):
        smalt = Smalt.sandbox()
        account = smalt.account("a")
        account.ensure()
        stop = threading.Event()
        strange: list[BaseException] = []

        def calls() -> None:
            while not stop.is_set():
                try:
                    account.get()
                    account.credential("sandbox-oauth")
                except SmaltError as error:
                    if error.code not in ("closed", "not_connected"):
                        strange.append(error)
                except BaseException as why:
                    strange.append(why)

        threads = [threading.Thread(target=calls) for _ in range(32)]
        for thread in threads:
            thread.start()
        smalt.close()
        del smalt
        gc.collect()
        stop.set()
        for thread in threads:
            thread.join()
        assert not strange


def test_s78_work_is_done_once() -> None:
    from smalt._smalt import Port, run

    with Smalt.sandbox() as smalt:
        work = smalt._engine.operation("count_accounts", {})
        assert run(work) == 0
        with pytest.raises(RuntimeError):
            run(work)
        loop = asyncio.new_event_loop()
        port = Port(True)
        with pytest.raises(RuntimeError):
            port.submit(work, loop.create_future())
        for name in ("no_such", "", "\0", "credential\n"):
            with pytest.raises(SmaltError):
                smalt._engine.operation(name, {})
        # Futures of a loop that is closed, and objects that are none.
        port.submit(smalt._engine.operation("count_accounts", {}), object())
        while not port.pending == 0:
            try:
                port.drain()
            except AttributeError:
                break
        port.close()
        port.close()
        loop.close()


def test_s77_a_panic_in_any_exported_function_is_an_exception_and_the_process_lives(smalt: Smalt) -> None:
    if not _smalt.panic_next():
        pytest.fail("this module was built for a release, where nothing panics on purpose")
    with pytest.raises(BaseException, match="on purpose"):
        Secret("x")
    smalt.account("a").ensure()
    engine, port, key = smalt._engine, _smalt.Port(False), Secret("x")
    # Arguments that each of them takes, so that the panic is reached and no check before it.
    given: dict[Any, list[tuple[str, tuple[Any, ...]]]] = {
        engine: [
            ("session", ("x",)),
            ("acting_as", ("x",)),
            ("try_credential", ("a", "b", None)),
            ("operation", ("get_account", {"account": "a"})),
            ("connect", ({},)),
            ("capabilities", ()),
            ("close", ()),
        ],
        port: [
            ("fileno", ()),
            ("wait", ()),
            ("submit", (engine.operation("get_account", {"account": "a"}), None)),
            ("drain", ()),
            ("close", ()),
        ],
        key: [
            ("reveal", ()),
            ("__repr__", ()),
            ("__str__", ()),
            ("__format__", ("",)),
            ("__bool__", ()),
            ("__hash__", ()),
            ("__reduce__", ()),
        ],
        _smalt.FixedClock(0): [("advance", (1.0,))],
        _smalt.Api([("test", engine)]): [("answer", ("GET", "/", [], b""))],
        _smalt: [
            ("FixedClock", (0,)),
            ("Port", (False,)),
            ("Api", ([("test", engine)],)),
            ("open_embedded", ({},)),
            ("open_remote", ({},)),
            ("make_key", ()),
            ("serve", (engine, "test")),
            ("command", (["smalt", "--version"],)),
            ("before_fork", ()),
            ("after_fork_in_parent", ()),
            ("after_fork_in_child", ()),
            ("load_manifest", ("/nowhere",)),
            ("verify_webhook", ([], b"", [], 1.0)),
            ("verify_webhook_compatible", ("", b"", [])),
            ("start_sandbox", ()),
            ("visit", ("http://localhost",)),
            ("run", (engine.operation("get_account", {"account": "a"}),)),
        ],
    }
    for target, calls in given.items():
        for name, arguments in calls:
            call = getattr(target, name)
            _smalt.panic_next()
            with pytest.raises(BaseException, match="on purpose"):
                call(*arguments)
    assert smalt.account("a").get().id == "a"


def test_s77_every_exported_function_can_be_made_to_panic() -> None:
    """What the test above does not reach, it does not forget: each body begins alike, and PyO3 catches all of them."""
    functions = 0
    for file in (REPOSITORY / "bindings-python" / "src").glob("*.rs"):
        text = file.read_text()
        blocks = re.findall(r"#\[pymethods\]\nimpl \w+ \{\n(.*?)\n\}\n", text, re.S) + re.findall(r"#\[pyfunction\](.*?)\n\}\n", text, re.S)
        for block in blocks:
            for name, body in re.findall(r"^ *(?:pub )?fn (\w+)[^{]*(?:\{[^\n]*)\n *([^\n]+)", block, re.M):
                functions += 1
                assert body == "here();" or name == "panic_next", f"{file.name}: {name}"
    assert functions >= 60, functions
