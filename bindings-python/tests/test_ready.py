"""Credentials from memory: one that counts no more is never answered again, nobody gets another's, and what is kept has an end."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import Any

import pytest

from smalt import AsyncSmalt, Smalt, SmaltError
from smalt._smalt import run
from smalt.errors import ConflictError, NotFoundError, UnavailableError
from smalt.testing import FixedClock, Served
from smalt.types import Credential

MOST = 4096
KEY = {"key": "sandbox-key-good", "workspace": "acme"}


def connected(smalt: Smalt, name: str = "a") -> Any:
    account = smalt.account(name)
    account.ensure()
    account.connect("sandbox-oauth")
    return account


def ready(account: Any, application: str = "sandbox-oauth", **options: Any) -> Credential:
    """The credential, once it is answered from memory: core asks the store again where nobody looked at that for a second."""
    until = time.monotonic() + 60
    while True:
        one: Credential = account.credential(application, **options)
        again: Credential = account.credential(application, **options)
        if one is again:
            return one
        assert time.monotonic() < until, "it never comes from memory"


def revealed(credential: Credential) -> str:
    assert credential.access_token is not None
    return credential.access_token.reveal()


def alive(connection: str) -> int:
    """How many of its credentials there are anywhere."""
    gc.collect()
    return sum(type(one) is Credential and one.connection_id == connection for one in gc.get_objects())


def test_what_core_has_let_go_of_is_never_answered_again() -> None:
    with Smalt.sandbox() as smalt:
        account = connected(smalt)
        first = ready(account)
        assert len(smalt._engine.ready) == 1
        account.connect("sandbox-oauth", connection=first.connection_id)
        second = ready(account)
        assert second.connection_id == first.connection_id
        account.disconnect("sandbox-oauth")
        with pytest.raises(ConflictError) as refused:
            account.credential("sandbox-oauth")
        assert refused.value.code == "not_connected"
        account.connect("sandbox-oauth")
        third = ready(account)
        assert third.connection_id != first.connection_id
        assert len({revealed(one) for one in (first, second, third)}) == 3
        assert len(smalt._engine.ready) == 1
        account.delete()
        with pytest.raises(NotFoundError):
            account.credential("sandbox-oauth")


def test_a_token_that_is_due_is_not_answered_from_memory_but_renewed() -> None:
    clock = FixedClock(1_767_225_600_000)
    with Smalt.sandbox(clock=clock) as smalt:
        account = connected(smalt)
        before = ready(account)
        for _ in range(3):
            clock.advance(3600)
            renewed = account.credential("sandbox-oauth")
            assert revealed(renewed) != revealed(before) and renewed.expires_at > before.expires_at
            before = ready(account)
            assert revealed(before) == revealed(renewed)


@pytest.mark.parametrize("opened", [True, False], ids=["the one that was opened", "one that acts for another"])
def test_closing_forgets_everybodys(opened: bool) -> None:
    smalt = Smalt.sandbox()
    worker = smalt.acting_as("worker")
    accounts = [connected(smalt), worker.account("a"), worker.acting_as("other").account("a")]
    connection = [ready(account) for account in accounts][0].connection_id
    kept = smalt._engine.ready
    assert len(kept) == 3 and kept is worker._engine.ready
    assert alive(connection) == 3
    (smalt if opened else worker).close()
    assert not kept and alive(connection) == 0
    for account in accounts:
        with pytest.raises(UnavailableError) as closed:
            account.credential("sandbox-oauth")
        assert closed.value.code == "closed"
    smalt.close()
    worker.close()


def test_closing_an_awaited_one_forgets_everybodys() -> None:
    async def closes() -> None:
        async with AsyncSmalt.sandbox() as smalt:
            account, other = smalt.account("a"), smalt.acting_as("worker").account("a")
            await account.ensure()
            await account.connect("sandbox-oauth")
            until = time.monotonic() + 60
            while len(smalt._engine.ready) < 2:
                for one in (account, other):
                    await one.credential("sandbox-oauth")
                assert time.monotonic() < until
        assert not smalt._engine.ready
        for one in (account, other):
            with pytest.raises(UnavailableError):
                await one.credential("sandbox-oauth")

    asyncio.run(closes())


def test_what_is_asked_while_it_closes_is_not_kept() -> None:
    """Its wait may be given up: nobody would let go of that later."""
    with Smalt.sandbox() as smalt:
        account, worker = connected(smalt), smalt.acting_as("worker")
        connection = ready(account).connection_id
        closing = smalt._engine.close()
        # It has not begun: both are answered, one from memory.
        until = time.monotonic() + 60
        while smalt._engine.try_credential("a", "sandbox-oauth", None) is None:
            assert time.monotonic() < until
            account.credential("sandbox-oauth")
        assert worker.account("a").credential("sandbox-oauth").connection_id == connection
        assert not smalt._engine.ready and alive(connection) == 0
        run(closing)
        with pytest.raises(UnavailableError):
            account.credential("sandbox-oauth")


def test_a_close_that_never_begins_changes_nothing() -> None:
    with Smalt.sandbox() as smalt:
        account = connected(smalt)
        first = ready(account)
        assert smalt._engine.ready
        closing, other = smalt._engine.close(), smalt._engine.close()
        assert not smalt._engine.ready
        del closing
        assert account.credential("sandbox-oauth") is not None and not smalt._engine.ready, "the other one may begin yet"
        del other
        kept = ready(account)
        assert kept.connection_id == first.connection_id and ready(account) is kept and smalt._engine.ready


def test_threads_that_ask_while_it_is_closed_leave_nothing_behind() -> None:
    for _ in range(5):
        smalt = Smalt.sandbox()
        connection = ready(connected(smalt)).connection_id
        ended: list[str] = []

        def ask(number: int, smalt: Smalt = smalt, ended: list[str] = ended) -> None:
            own = 0
            try:
                while True:
                    own += 1
                    smalt.acting_as(f"{number}-{own % 8}").account("a").credential("sandbox-oauth")
            except SmaltError as error:
                ended.append(error.code)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        until = time.monotonic() + 60
        while len(smalt._engine.ready) < 16:
            assert time.monotonic() < until
            time.sleep(0.001)
        smalt.close()
        for thread in threads:
            thread.join(60)
        assert ended == ["closed"] * 4
        assert not smalt._engine.ready and alive(connection) == 0


def test_nobody_gets_what_another_was_answered() -> None:
    with Smalt.sandbox() as smalt:
        account, other = connected(smalt), connected(smalt, "b")
        connection = account.list_connections()[0].id
        actors = ["a", "b", ""]
        accounts = [account, *(smalt.acting_as(actor).account("a") for actor in actors)]
        before = [ready(one) for one in (*accounts, other)] + [ready(account, connection=connection)]
        # An object of its own for each: reads are counted by who reads.
        assert len({id(one) for one in before}) == 6
        assert [one.connection_id == connection for one in before] == [True, True, True, True, False, True]
        assert ready(smalt.acting_as("a").account("a")) is ready(accounts[1]), "the same actor, of whichever handle"
        # A session is given none, whatever is in memory.
        session = account.session()
        with pytest.raises(SmaltError) as refused:
            session._operation("credential", {"account": "a", "application": "sandbox-oauth"})
        assert refused.value.code == "forbidden"
        assert session._engine.try_credential("a", "sandbox-oauth", None) is None and not session._engine.ready
        other.disconnect("sandbox-oauth")
        with pytest.raises(ConflictError):
            other.credential("sandbox-oauth")
        assert all(ready(one).connection_id == connection for one in accounts)


def test_more_than_are_kept_begin_anew() -> None:
    with Smalt.sandbox() as smalt:
        connections = {}
        for number in range(66):
            account = smalt.account(f"many-{number}")
            account.ensure()
            connections[account.id] = account.connect("sandbox-key", KEY).id
        sizes = []
        for number in range(64):
            worker = smalt.acting_as(f"worker-{number}")
            found = {name: ready(worker.account(name), "sandbox-key").connection_id for name in connections}
            assert found == connections
            sizes.append(len(smalt._engine.ready))
        assert max(sizes) <= MOST and any(after < before for before, after in zip(sizes, sizes[1:])), sizes
        # Those that were dropped are kept again.
        first, connection = next(iter(connections.items()))
        assert ready(smalt.acting_as("worker-0").account(first), "sandbox-key").connection_id == connection
        assert len(smalt._engine.ready) == sizes[-1] + 1


def test_a_servers_answer_is_kept_by_nobody_else() -> None:
    with Smalt.sandbox() as smalt:
        connected(smalt)
        with Served(smalt) as served, Smalt.remote(served.url, api_key=smalt.create_api_key("test").key, proxy=False) as remote:
            answers = [remote.account("a").credential("sandbox-oauth") for _ in range(3)]
            connection = answers[0].connection_id
            assert alive(connection) == 3
            answers.clear()
            assert alive(connection) == 0
            assert not remote._engine.ready
