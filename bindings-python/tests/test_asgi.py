"""The whole HTTP API inside a FastAPI application, in the same process; and `httpx.Auth`."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from typing import Any, Awaitable, Callable

import httpx
import pytest
from fastapi import FastAPI

from smalt import AsyncSmalt, Smalt, _ports, asgi, make_key
from smalt.testing import Sandbox

PROJECT: dict[str, Any] = {
    "version": 1,
    "org": {"public_url": "http://testserver/smalt"},
    "sandbox": {"enabled": True},
    "apps": {"sandbox-oauth": {}, "sandbox-key": {}},
}


def test_the_api_is_mounted() -> None:
    async def life() -> None:
        async with AsyncSmalt.embedded(project=PROJECT, key=make_key()) as smalt:
            app = FastAPI()
            app.mount("/smalt", smalt.asgi())
            key = (await smalt.create_api_key("tests")).key.reveal()
            await smalt.account("a").ensure()
            token = (await smalt.account("a").session()).token.reveal()
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://testserver/smalt") as client:
                said = await client.get("/smalt/v1/capabilities", headers={"x-api-key": key})
                assert said.status_code == 200 and said.json()["backend"] == "embedded", said.text
                counted = await client.post("/smalt/v1/count_accounts", headers={"x-api-key": key}, json={})
                assert counted.status_code == 200 and counted.json() == 1, counted.text
                apps = await client.post("/smalt/v1/list_apps", headers={"authorization": f"Bearer {token}"}, json={"account": "a"})
                assert [app["slug"] for app in apps.json()] == ["sandbox-key", "sandbox-oauth"], apps.text
                refused = await client.post("/smalt/v1/count_accounts", json={})
                assert refused.status_code == 401 and refused.headers["x-request-id"]
                assert (await client.get("/nothing/here?x=%2F")).status_code == 404
                large = await client.post("/smalt/v1/count_accounts", headers={"x-api-key": key}, content=b"x" * (65 * 1024))
                assert large.status_code == 413, large.text
                preflight = await client.options("/smalt/v1/count_accounts", headers={"origin": "https://page.example"})
                assert preflight.status_code in (200, 204) and preflight.headers["access-control-allow-methods"]

    asyncio.run(life())


class Watched:
    """A loop's port that notes which calls were given up."""

    def __init__(self, port: Any) -> None:
        self.port, self.given_up = port, 0

    def submit(self, *arguments: Any) -> Any:
        call, watched = self.port.submit(*arguments), self

        class Noted:
            def cancel(self) -> None:
                watched.given_up += 1
                call.cancel()

        return Noted()


class Client:
    """Reads an event stream as a server hands it to the application."""

    def __init__(self, app: Any, key: str) -> None:
        self.received: asyncio.Queue[Any] = asyncio.Queue()
        self.sent: asyncio.Queue[Any] = asyncio.Queue()
        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": "/smalt/smalt/v1/events/stream",
            "raw_path": b"/smalt/smalt/v1/events/stream",
            "root_path": "/smalt",
            "query_string": b"",
            "headers": [(b"host", b"testserver"), (b"x-api-key", key.encode())],
            "client": ("127.0.0.1", 40000),
        }
        self.received.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        self.said = b""
        self.raised: BaseException | None = None

        async def answer() -> None:
            try:
                await app(scope, self.receive, self.sent.put)
            except BaseException as raised:
                # As what reports errors does.
                self.raised = raised
                raise

        self.answered = asyncio.ensure_future(answer())

    async def receive(self) -> Any:
        message = await self.received.get()
        if isinstance(message, BaseException):
            raise message
        return message

    async def start(self) -> Any:
        start = await asyncio.wait_for(self.sent.get(), 60)
        assert start["type"] == "http.response.start", start
        return start

    async def comes(self, text: bytes) -> None:
        while text not in self.said:
            piece = await asyncio.wait_for(self.sent.get(), 60)
            assert piece["more_body"], self.said
            self.said += piece["body"]

    async def hangs_up(self) -> None:
        self.received.put_nowait({"type": "http.disconnect"})
        await asyncio.wait_for(self.answered, 60)

    async def is_cancelled(self) -> None:
        """As a server's time limit does it, or a middleware."""
        self.answered.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(self.answered, 60)

    async def breaks_off(self) -> None:
        """The server's own `receive` fails: its exception is the application's end."""
        self.received.put_nowait(OSError("the server lost the connection"))
        with pytest.raises(OSError, match="lost the connection"):
            await asyncio.wait_for(self.answered, 60)


@pytest.mark.parametrize("leave", [Client.hangs_up, Client.is_cancelled, Client.breaks_off])
def test_a_stream_ends_with_its_reader(leave: Callable[[Client], Awaitable[None]]) -> None:
    reported: list[Any] = []

    async def life() -> None:
        # What nobody looked at: asyncio tells it when it is dropped.
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        # Room for one stream: a second one tells whether the first is over.
        async with AsyncSmalt.embedded(project={**PROJECT, "server": {"waiters": 1}}, key=make_key()) as smalt:
            key = (await smalt.create_api_key("tests")).key.reveal()
            app = smalt.asgi()
            before = asyncio.all_tasks()
            port: Any = Watched(_ports.here.port)
            _ports.here.port = port
            first = Client(app, key)
            start = await first.start()
            assert start["status"] == 200, start
            assert dict(start["headers"])[b"content-type"].startswith(b"text/event-stream")
            # What happens is sent while the answer is still open.
            await first.comes(b"event: ready")
            await smalt.account("later").ensure()
            await first.comes(b"event: account.created")
            assert not first.answered.done()
            refused = Client(app, key)
            assert (await refused.start())["status"] == 503, "there is room for one"
            body = await asyncio.wait_for(refused.sent.get(), 60)
            assert json.loads(body["body"])["code"] == "overloaded"
            await asyncio.wait_for(refused.answered, 60)
            assert port.given_up == 0
            await leave(first)
            left = asyncio.all_tasks() - before
            if left:
                _, left = await asyncio.wait(left, timeout=60)
            assert not left, left
            assert port.given_up == 1, "what was awaited is awaited no more"
            # The exception with which the first one ended is still there, and with it the traceback's frames.
            until = time.monotonic() + 60
            status = 0
            while status != 200 and time.monotonic() < until:
                later = Client(app, key)
                status = (await later.start())["status"]
                await (later.hangs_up() if status == 200 else asyncio.wait_for(later.answered, 60))
            assert status == 200 and (first.raised is None) == (leave is Client.hangs_up)
            assert await smalt.count_accounts() == 1
            del first
            gc.collect()

    asyncio.run(life())
    assert not reported, reported


def test_a_stream_that_fails_both_ways_leaves_no_exception_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[Any] = []

    async def piece(_: object) -> bytes:
        return b"piece"

    async def receive() -> Any:
        try:
            await asyncio.Event().wait()
        finally:
            # A server's own words for being cancelled.
            raise OSError("the server lost the connection")

    async def send(_: object) -> None:
        raise RuntimeError("nobody takes it")

    class Rest:
        def next(self) -> None:
            """What is awaited by `piece`."""

    async def life() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        rest: Any = Rest()
        with pytest.raises(RuntimeError, match="nobody takes it"):
            await asgi._stream(rest, receive, send)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            await asyncio.wait(left, timeout=60)
        gc.collect()

    monkeypatch.setattr(asgi, "end", piece)
    asyncio.run(life())
    gc.collect()
    assert not reported, reported


def test_httpx_sends_a_valid_token() -> None:
    with Sandbox() as sandbox:
        project = {**PROJECT, "sandbox": {"enabled": True, "url": sandbox.origin}}
        with Smalt.embedded(project=project, key=make_key(), presenter=None) as smalt:
            account = smalt.account("a")
            account.ensure()
            started = account.start_connect("sandbox-oauth", redirect_uri="http://127.0.0.1/callback")
            account.finish_connect(sandbox.visit(started.authorize_url), cookie=started.cookie.value)
            auth = account.httpx_auth("sandbox-oauth")
            with httpx.Client(auth=auth, trust_env=False) as client:
                items = client.get(f"{sandbox.origin}/api/items")
                assert items.status_code == 200 and len(items.json()["items"]) == 3
                with pytest.raises(ValueError, match="another host"):
                    client.get("http://localhost:9/api/items")

    async def awaited() -> None:
        with Sandbox() as sandbox:
            project = {**PROJECT, "sandbox": {"enabled": True, "url": sandbox.origin}}
            async with AsyncSmalt.embedded(project=project, key=make_key()) as smalt:
                account = smalt.account("a")
                await account.ensure()
                started = await account.start_connect("sandbox-oauth", redirect_uri="http://127.0.0.1/callback")
                callback = await asyncio.to_thread(sandbox.visit, started.authorize_url)
                await account.finish_connect(callback, cookie=started.cookie.value)
                async with httpx.AsyncClient(auth=account.httpx_auth("sandbox-oauth"), trust_env=False) as client:
                    assert (await client.get(f"{sandbox.origin}/api/items")).status_code == 200

    asyncio.run(awaited())


def test_the_lifespan_is_answered() -> None:
    async def life() -> list[str]:
        said: list[str] = []
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            said.append(message["type"])

        async with AsyncSmalt.sandbox() as smalt:
            await smalt.asgi()({"type": "lifespan"}, receive, send)
        return said

    assert asyncio.run(life()) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
