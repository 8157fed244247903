"""The whole HTTP API inside a FastAPI application, in the same process; and `httpx.Auth`."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from smalt import AsyncSmalt, Smalt, make_key
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


def test_a_stream_ends_when_its_reader_hangs_up() -> None:
    async def life() -> None:
        async with AsyncSmalt.embedded(project=PROJECT, key=make_key()) as smalt:
            key = (await smalt.create_api_key("tests")).key.reveal()
            received: asyncio.Queue[Any] = asyncio.Queue()
            sent: asyncio.Queue[Any] = asyncio.Queue()
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
            received.put_nowait({"type": "http.request", "body": b"", "more_body": False})
            before = asyncio.all_tasks()
            answered = asyncio.ensure_future(smalt.asgi()(scope, received.get, sent.put))
            start = await asyncio.wait_for(sent.get(), 60)
            assert start["type"] == "http.response.start" and start["status"] == 200, start
            assert dict(start["headers"])[b"content-type"].startswith(b"text/event-stream")
            said = b""

            async def comes(text: bytes) -> None:
                nonlocal said
                while text not in said:
                    piece = await asyncio.wait_for(sent.get(), 60)
                    assert piece["more_body"], said
                    said += piece["body"]

            # What happens is sent while the answer is still open.
            await comes(b"event: ready")
            await smalt.account("later").ensure()
            await comes(b"event: account.created")
            assert not answered.done()
            received.put_nowait({"type": "http.disconnect"})
            await asyncio.wait_for(answered, 60)
            left = asyncio.all_tasks() - before
            if left:
                _, left = await asyncio.wait(left, timeout=60)
            assert not left, left
            assert await smalt.count_accounts() == 1

    asyncio.run(life())


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
