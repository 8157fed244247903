"""The examples, as they stand in the documentation."""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import hmac
import importlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from smalt import AsyncSmalt, make_key
from smalt.testing import FixedClock

from .conftest import REPOSITORY
from .counterparts import Script, manifest, project, provider, user

EXAMPLES = REPOSITORY / "bindings-python" / "examples"
SANDBOX = """
version = 1
[org]
public_url = "http://127.0.0.1:8000"
[sandbox]
enabled = true
[apps.sandbox-oauth]
[apps.sandbox-key]
"""


def run(*arguments: str, **variables: str) -> str:
    return run_in(EXAMPLES, *arguments, **variables)


def run_in(within: Path, /, *arguments: str, **variables: str) -> str:
    ended = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=180, cwd=within, env={**os.environ, **variables}
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store, a project and a key, named by the variables that the examples read."""
    (tmp_path / "smalt.toml").write_text(SANDBOX)
    monkeypatch.setenv("STORE", str(tmp_path / "smalt.db"))
    monkeypatch.setenv("PROJECT", str(tmp_path / "smalt.toml"))
    monkeypatch.setenv("SMALT_KEY", make_key().reveal())
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return tmp_path


def test_the_lines_of_the_readme() -> None:
    assert run(str(REPOSITORY / "examples" / "ten-lines" / "ten_lines.py")).endswith(" 200\nrevoked\n")


def test_acme_crm_says_what_it_says_in_every_language() -> None:
    folder = REPOSITORY / "examples" / "acme-crm"
    assert run(str(folder / "acme_crm.py"), str(folder / "smalt.toml")) == (folder / "expected.txt").read_text()


def test_the_plugin() -> None:
    said = run("plugin.py")
    assert "label='acme'" in said and "'general'" in said


def test_a_users_test_suite() -> None:
    """The fixtures are there without being imported."""
    said = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_my_app.py")
    assert "3 passed" in said


def module(name: str) -> Any:
    sys.modules.pop(name, None)
    return importlib.import_module(name)


def signed(key: bytes, body: bytes) -> dict[str, str]:
    """The headers of a delivery, made by hand: Standard Webhooks, version 1."""
    sent = str(int(time.time()))
    signature = base64.b64encode(hmac.new(key, f"msg-1.{sent}.".encode() + body, hashlib.sha256).digest()).decode()
    return {"webhook-id": "msg-1", "webhook-timestamp": sent, "webhook-signature": f"v1,{signature}"}


def test_fastapi_and_the_life_at_oidc_provider(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that others wrote; the callback goes through a route of FastAPI."""
    webhook_key = os.urandom(32)
    monkeypatch.setenv("WEBHOOK_SECRET", "whsec_" + base64.b64encode(webhook_key).decode())
    base = "http://127.0.0.1:8000"
    # The engine's time passes when it is told to: no token is due before, however slow the machine is.
    clock = FixedClock(int(time.time() * 1000))
    monkeypatch.setattr(AsyncSmalt, "embedded", staticmethod(functools.partial(AsyncSmalt.embedded, clock=clock)))
    with provider(f"{base}/api/v1/counterpart/callback", "--access-token-ttl", "3600") as oidc, user() as ada:
        manifests = folder / "manifests"
        manifests.mkdir()
        (manifests / "counterpart.toml").write_text(toml(manifest(oidc.said["issuer"])))
        # Nobody renews but those who ask.
        rules = {"manifests": ["manifests"], "refresh": {"ahead": False}}
        (folder / "smalt.toml").write_text(toml({**project(oidc.said, folder, base), **rules}))
        app = module("fastapi_app").app

        async def life() -> None:
            async with app.router.lifespan_context(app):
                transport = httpx.ASGITransport(app=app)
                async with httpx.AsyncClient(transport=transport, base_url=base, headers={"x-user": "ada"}) as client:
                    session = (await client.post("/smalt-session")).json()
                    assert session["token"]
                    started = await client.get("/connect/counterpart")
                    assert started.status_code == 302, started.text
                    cookie = started.headers["set-cookie"].split(";")[0]
                    seen = await asyncio.to_thread(
                        ada.ask, {"id": 1, "url": started.headers["location"], "login": "ada", "decision": "allow"}
                    )
                    callback = seen["callback_url"]
                    # Another user's browser cannot end it.
                    stolen = await client.get(callback, headers={"cookie": cookie, "x-user": "eve"})
                    assert stolen.status_code >= 400, stolen.text

                    started = await client.get("/connect/counterpart")
                    cookie = started.headers["set-cookie"].split(";")[0]
                    seen = await asyncio.to_thread(
                        ada.ask, {"id": 2, "url": started.headers["location"], "login": "ada", "decision": "allow"}
                    )
                    ended = await client.get(seen["callback_url"], headers={"cookie": cookie})
                    assert ended.status_code == 200 and ended.json()["label"] == "ada", ended.text
                    again = await client.get(seen["callback_url"], headers={"cookie": cookie})
                    assert again.json()["code"] == "state_replayed"

                    smalt = app.state.smalt
                    me = await smalt.account("ada").request("counterpart", "GET", "me")
                    assert me.status == 200 and me.json()["sub"] == "ada"
                    body = b'{"changed": "items"}'
                    told = await client.post("/webhooks/counterpart", content=body, headers=signed(webhook_key, body))
                    assert told.status_code == 200 and told.json() == {"fetched": 1}, told.text
                    for forged in (signed(os.urandom(32), body), signed(webhook_key, b"{}"), {}):
                        refused = await client.post("/webhooks/counterpart", content=body, headers=forged)
                        assert refused.status_code == 401 and refused.json()["code"] == "webhook_unverified", refused.text
                    before = await smalt.account("ada").credential("counterpart")
                    # Two seconds before its end: it is renewed five seconds before that.
                    clock.advance(before.expires_at.timestamp() - clock.millis / 1000 - 2)
                    assert "refresh_token" not in (await counts(oidc))["token"], "nobody renewed what was good"
                    renewed = await asyncio.gather(*(smalt.account("ada").credential("counterpart") for _ in range(20)))
                    tokens = {one.access_token.reveal() for one in renewed}
                    assert len(tokens) == 1 and before.access_token.reveal() not in tokens
                    counted = (await counts(oidc))["token"]["refresh_token"]
                    assert counted["success"] == 1, "20 callers, one renewal"
                    assert counted["error"] == 0, "rotation was respected"
                    receipt = await smalt.account("ada").disconnect("counterpart", wait=10)
                    assert receipt.revocation == "revoked"
                    assert (await counts(oidc))["revocations"] == 1
                    gone = await client.get("/items/counterpart")
                    assert gone.json()["code"] == "not_connected"
                    mounted = await client.get("/smalt/smalt/v1/capabilities")
                    assert mounted.status_code in (200, 401)

        asyncio.run(life())


async def counts(oidc: Script) -> Any:
    """What the provider has counted."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{oidc.said['control']}/__stats")).json()


def toml(value: dict[str, Any], path: str = "") -> str:
    """Enough of TOML for a project: values first, then tables."""
    simple = {name: inner for name, inner in value.items() if not isinstance(inner, dict)}
    lines = [f"[{path}]"] if path and simple else []
    lines += [f"{name} = {json.dumps(inner)}" for name, inner in simple.items()]
    for name, inner in value.items():
        if isinstance(inner, dict):
            lines.append(toml(inner, f"{path}.{name}" if path else name))
    return "\n".join(lines) + "\n"


def test_django(folder: Path) -> None:
    code = """
import os, django_app
from django.test import Client
from smalt.testing import Sandbox
client = Client(headers={"x-user": "ada"})
started = client.get("/connect/sandbox-oauth")
assert started.status_code == 302, started.content
cookie = next(iter(started.cookies.values()))
callback = Sandbox.visit(started["location"])
path = callback.split("8000", 1)[1]
ended = client.get(path)
assert ended.status_code == 200, ended.content
items = client.get("/items/sandbox-oauth")
assert items.status_code == 200 and len(items.json()["items"]) == 3, items.content
wrong = client.get("/items/sandbox-key")
assert wrong.json()["code"] == "not_connected", wrong.content
# A server that forked: the child opens its own.
child = os.fork()
if child == 0:
    os._exit(0 if client.get("/items/sandbox-key").json()["code"] == "not_connected" else 1)
assert os.waitpid(child, 0)[1] == 0
print("ok")
"""
    assert run("-c", code) == "ok\n"


def test_django_with_the_api_mounted_as_documented(folder: Path) -> None:
    """The snippet of docs/python.md, under a server that speaks lifespan."""
    page = (REPOSITORY / "docs" / "python.md").read_text()
    [snippet] = [block for block in re.findall(r"```python\n(.*?)```", page, re.S) if "get_asgi_application" in block]
    (folder / "mounted.py").write_text(snippet)
    code = """
import asyncio, httpx, django_app, mounted
from mounted import application

async def main():
    orders, said, states = asyncio.Queue(), asyncio.Queue(), []
    key = django_app.smalt().create_api_key("tests").key.reveal()
    async def send(message):
        said.put_nowait(message)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=mounted.api), base_url="http://127.0.0.1:8000") as client:
            counted = await client.post("/smalt/v1/count_accounts", headers={"x-api-key": key}, json={})
            states.append((counted.status_code, counted.json() if counted.status_code == 200 else counted.json()["code"]))
    life = asyncio.ensure_future(application({"type": "lifespan", "asgi": {"version": "3.0"}}, orders.get, send))
    orders.put_nowait({"type": "lifespan.startup"})
    assert (await asyncio.wait_for(said.get(), 60))["type"] == "lifespan.startup.complete"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=application), base_url="http://127.0.0.1:8000") as client:
        api = await client.get("/smalt/smalt/v1/capabilities")
        assert api.status_code == 200 and api.json()["backend"] == "embedded", api.text
        refused = await client.post("/smalt/smalt/v1/count_accounts", json={})
        assert refused.status_code == 401 and refused.headers["x-request-id"], refused.text
        page = await client.get("/items/sandbox-oauth", headers={"x-user": "nobody"})
        assert page.json()["code"] in ("linked_account_not_found", "not_connected"), page.text
        nothing = await client.get("/nothing")
        assert nothing.status_code == 404 and "x-request-id" not in nothing.headers, nothing.text
    orders.put_nowait({"type": "lifespan.shutdown"})
    await asyncio.wait_for(life, 60)
    assert (await said.get())["type"] == "lifespan.shutdown.complete"
    # Who is told so ends the loop: the engine is closed by then.
    assert states == [(200, 0), (503, "closed")], states
    django_app.smalt().close()

asyncio.run(main())
print("ok")
"""
    assert run_in(folder, "-c", code, PYTHONPATH=str(EXAMPLES)) == "ok\n"
    code = """
import asyncio, httpx, django_app
from mounted import application

async def main():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=application), base_url="http://127.0.0.1:8000") as client:
        try:
            await client.get("/smalt/smalt/v1/capabilities")
        except RuntimeError as error:
            assert "lifespan" in str(error), error
        else:
            raise AssertionError("answered without an engine")
    orders, said = asyncio.Queue(), asyncio.Queue()
    orders.put_nowait({"type": "lifespan.startup"})
    await asyncio.wait_for(application({"type": "lifespan", "asgi": {"version": "3.0"}}, orders.get, said.put), 60)
    failed = await said.get()
    assert failed["type"] == "lifespan.startup.failed" and "key" in failed["message"], failed

asyncio.run(main())
print("ok")
"""
    # The store has another key.
    assert run_in(folder, "-c", code, PYTHONPATH=str(EXAMPLES), SMALT_KEY=make_key().reveal()) == "ok\n"
    code = """
import asyncio, django_app
from mounted import application
from smalt import AsyncSmalt, SmaltError

closes = AsyncSmalt.aclose

async def closes_badly(smalt):
    await closes(smalt)
    raise SmaltError("store_unavailable", "the disk is full")

AsyncSmalt.aclose = closes_badly

async def main():
    orders, said = asyncio.Queue(), asyncio.Queue()
    for order in ("startup", "shutdown"):
        orders.put_nowait({"type": f"lifespan.{order}"})
    await asyncio.wait_for(application({"type": "lifespan", "asgi": {"version": "3.0"}}, orders.get, said.put), 60)
    assert said.get_nowait() == {"type": "lifespan.startup.complete"}
    failed = said.get_nowait()
    assert failed["type"] == "lifespan.shutdown.failed" and "the disk is full" in failed["message"], failed

asyncio.run(main())
print("ok")
"""
    assert run_in(folder, "-c", code, PYTHONPATH=str(EXAMPLES)) == "ok\n"


def test_a_celery_worker_after_fork(folder: Path) -> None:
    queue = folder / "queue"
    results = folder / "results"
    queue.mkdir()
    results.mkdir()
    variables = {"BROKER": "filesystem://", "BACKEND": results.as_uri(), "FOLDER": str(queue)}
    from smalt import Smalt

    with Smalt.embedded(folder / "smalt.db", project=folder / "smalt.toml") as smalt:
        # The sandbox is this process's; the worker's engine talks to it over HTTP, as to any provider.
        account = smalt.account("customer-42")
        account.ensure()
        from smalt.testing import Sandbox

        with Sandbox() as sandbox:
            (folder / "smalt.toml").write_text(SANDBOX.replace("enabled = true", f'enabled = true\nurl = "{sandbox.origin}"'))
            smalt.set_project({**json_project(sandbox.origin)})
            started = account.start_connect("sandbox-oauth", redirect_uri="http://127.0.0.1/callback")
            account.finish_connect(sandbox.visit(started.authorize_url), cookie=started.cookie.value)
            # The broker's files are no channel for both sides at once: what is written half is read half. So the one goes after the other.
            send = "from celery_app import titles\nprint(*[titles.delay('customer-42', 'sandbox-oauth').id for _ in range(4)])\n"
            made = run("-c", send, **variables).split()
            arguments = [
                "worker",
                "--pool=prefork",
                "-c",
                "2",
                "--loglevel=WARNING",
                "--without-heartbeat",
                "--without-mingle",
                "--without-gossip",
            ]
            worker = subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "celery_app", *arguments],
                cwd=EXAMPLES,
                env={**os.environ, **variables, "C_FORCE_ROOT": "1"},
                stderr=subprocess.PIPE,
                text=True,
            )
            try:
                read = (
                    "import sys\nfrom celery_app import app\nprint([len(app.AsyncResult(one).get(timeout=120)) for one in sys.argv[1:]])\n"
                )
                assert run("-c", read, *made, **variables) == "[3, 3, 3, 3]\n"
            finally:
                worker.terminate()
                _, said = worker.communicate(timeout=60)
            assert "Traceback" not in said, said


def json_project(origin: str) -> dict[str, Any]:
    return {
        "version": 1,
        "org": {"public_url": "http://127.0.0.1:8000"},
        "sandbox": {"enabled": True, "url": origin},
        "apps": {"sandbox-oauth": {}, "sandbox-key": {}},
    }


def test_s80_gunicorn_preload(folder: Path) -> None:
    """The application, with an engine of its own, is loaded before the workers fork."""
    import socket

    (folder / "preloaded.py").write_text(
        "import os\n"
        "from smalt import Smalt, SmaltError\n"
        "parent = Smalt.embedded(os.environ['STORE'], project=os.environ['PROJECT'])\n"
        "parent.account('parent').ensure()\n"
        "own = {}\n"
        "def app(environ, start_response):\n"
        "    try:\n"
        "        parent.account('parent').get()\n"
        "        said = 'open'\n"
        "    except SmaltError as error:\n"
        "        said = error.code\n"
        "    if os.getpid() not in own:\n"
        "        own[os.getpid()] = Smalt.embedded(os.environ['STORE'], project=os.environ['PROJECT'])\n"
        "    said += ' ' + own[os.getpid()].account('parent').get().id\n"
        "    start_response('200 OK', [('content-type', 'text/plain')])\n"
        "    return [said.encode()]\n"
    )
    # 100 forks at the full size, by 25 servers on one store.
    for _ in range(25 if os.environ.get("SMALT_FULL") else 1):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--preload", "--workers", "4", "--bind", f"127.0.0.1:{port}", "preloaded:app"],
            cwd=folder,
            env={**os.environ},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            until = time.monotonic() + 60
            said: set[str] = set()
            with httpx.Client(trust_env=False) as client:
                while len(said) == 0 and time.monotonic() < until:
                    try:
                        said = {client.get(f"http://127.0.0.1:{port}/", timeout=30).text for _ in range(12)}
                    except httpx.ConnectError:
                        time.sleep(0.05)
            assert said == {"closed parent"}, said
        finally:
            server.terminate()
            server.communicate(timeout=60)
