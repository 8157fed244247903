"""The Python driver of the conformance cases: see tests/conformance/README.md. One driver for both halves of the package: a call of the
blocking half runs on a thread of its own."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import re
import shutil
import tempfile
import threading
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any, AsyncIterator
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from smalt import AsyncSmalt, Connector, Identity, Option, Presenter, Rejected, Secret, Smalt, SmaltError, WorkflowRunner, make_key
from smalt import errors, webhooks
from smalt._model import Model
from smalt.testing import FixedClock, Sandbox, Served

from .matcher import Differs, matches

VERSION = 1
EVENTUALLY = 30.0
LONGEST = 120.0
STEP = {"do", "note", "as", "args", "save", "expect", "error", "repeat", "parallel", "outcomes", "eventually"}
CASE = {"version", "id", "title", "tags", "environment", "project", "manifests", "clock", "steps"}
TIMINGS = {
    "provider": 6,
    "lease": 8,
    "plugin": 6,
    "poll": 0.02,
    "revoke_backoff": 0.05,
    "ahead": None,
    "webhook_backoff": 0.05,
    "webhook_attempts": 5,
}


class Mistake(Exception):
    """In a case, or of this driver."""


class Failed(Exception):
    """A case does not hold."""


def read_case(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = json.loads(path.read_text())
    if case["version"] != VERSION:
        raise Mistake(f"{path.name}: this driver knows version {VERSION} only")
    unknown = set(case) - CASE | {key for step in case["steps"] for key in set(step) - STEP}
    if unknown or case["id"] != path.stem:
        raise Mistake(f"{path.name}: unknown keys {unknown}, or another id")
    return case


def merge(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def fill(value: Any, saved: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [fill(item, saved) for item in value]
    if isinstance(value, dict):
        return {key: fill(item, saved) for key, item in value.items()}
    if not isinstance(value, str):
        return value

    def named(name: str) -> Any:
        if name not in saved:
            raise Mistake(f"`${{{name}}}` was not saved")
        return saved[name]

    whole = re.fullmatch(r"\$\{([^}]*)\}", value)
    if whole:
        return copy.deepcopy(named(whole[1]))
    return re.sub(r"\$\{([^}]*)\}", lambda found: text(named(found[1])), value)


def text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def pointer(value: Any, path: str) -> Any:
    for part in path.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, ValueError, TypeError):
            raise Failed(f"the answer has no `{path}` to save") from None
    return value


def plain(value: Any) -> Any:
    """The JSON form of an answer."""
    if isinstance(value, Model):
        return {name: plain(getattr(value, name)) for name in value._fields}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, datetime):
        assert value.tzinfo is timezone.utc
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, (dict, MappingProxyType)):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


class HostPanic(BaseException):
    """What comes closest to a panic."""


class Scripted(Connector):
    """A connector whose behaviour a case chooses; its methods are coroutines."""

    def __init__(self, slug: str, world: World) -> None:
        self.slug, self.world = slug, world
        self.behaviour: str | None = None

    async def common(self) -> None:
        if self.behaviour == "hangs":
            await asyncio.Event().wait()
        fail(self.behaviour)

    async def verify(self, ctx: Any) -> Identity | None:
        if self.behaviour is None:
            return None
        await self.common()
        if self.behaviour == "reenters":
            await self.world.host.account(ctx.account_id).credential(ctx.application)
        return Identity(id="" if self.behaviour == "nonsense" else "plugin-1", label="Plugin")

    async def options(self, ctx: Any) -> list[Option] | None:
        if self.behaviour is None:
            return None
        await self.common()
        if self.behaviour == "reenters":
            await self.world.host.account(ctx.account_id).config(ctx.application)
        return choices(self.behaviour)


class ScriptedPlain(Connector):
    """The same with plain functions, for the blocking half."""

    def __init__(self, slug: str, world: World) -> None:
        self.slug, self.world = slug, world
        self.behaviour: str | None = None

    def common(self) -> None:
        if self.behaviour == "hangs":
            self.world.closed.wait()
        fail(self.behaviour)

    def verify(self, ctx: Any) -> Identity | None:
        if self.behaviour is None:
            return None
        self.common()
        if self.behaviour == "reenters":
            self.world.host.account(ctx.account_id).credential(ctx.application)
        return Identity(id="" if self.behaviour == "nonsense" else "plugin-1", label="Plugin")

    def options(self, ctx: Any) -> list[Option] | None:
        if self.behaviour is None:
            return None
        self.common()
        if self.behaviour == "reenters":
            self.world.host.account(ctx.account_id).config(ctx.application)
        return choices(self.behaviour)


def fail(behaviour: str | None) -> None:
    if behaviour == "throws":
        raise RuntimeError("broken on purpose")
    if behaviour == "rejects":
        raise Rejected("refused on purpose")
    if behaviour == "panics":
        raise HostPanic("panics on purpose")


def choices(behaviour: str) -> list[Option]:
    names = ["one", "two"] + [str(n) for n in range(2, 10_001 if behaviour == "nonsense" else 2)]
    return [Option(value=name) for name in names]


class Runner(WorkflowRunner):
    def __init__(self) -> None:
        self.behaviour: str | None = None

    def run(self, **arguments: Any) -> Any:
        fail(self.behaviour)
        return arguments


class ScriptedPresenter(Presenter):
    """A presenter whose behaviour a step chooses. It catches the callback itself, so that the page is the provider's on both backends."""

    name = "scripted"
    redirect_uri = "http://127.0.0.1/callback"
    behaviour = ""

    def __init__(self) -> None:
        # Told on whatever loop the driver's call runs.
        self.shown = threading.Event()

    async def present(self, authorize_url: str) -> str:
        if self.behaviour == "closes":
            raise errors.FlowError.user_cancelled()
        if self.behaviour == "blocked":
            raise errors.FlowError.window_blocked()
        if self.behaviour == "waits":
            self.shown.set()
            await asyncio.Event().wait()
        fail(self.behaviour)
        return await asyncio.to_thread(Sandbox.visit, authorize_url)


# What the operations table keeps to embedded engines; see docs/operations.md.
EMBEDDED_ONLY = {"rotate_keys", "set_project"}
BEHAVIOURS = {"ok", "throws", "hangs", "nonsense", "panics", "reenters", "rejects"}
PRESENTERS = {"consents", "closes", "blocked", "throws", "waits"}


@dataclass(frozen=True)
class Mode:
    """How the cases are run."""

    remote: bool
    blocking: bool

    def __str__(self) -> str:
        return f"{'remote' if self.remote else 'embedded'}, {'blocking' if self.blocking else 'async'}"


class World:
    """What one case runs in."""

    def __init__(self, case: dict[str, Any], standard: dict[str, Any], room: Path, mode: Mode, pool: ThreadPoolExecutor) -> None:
        self.case, self.standard, self.pool = case, standard, pool
        self.blocking, self.is_remote = mode.blocking, mode.remote
        # The engine's own half: behind a server it is always the async one.
        self.blocking_host = mode.blocking and not mode.remote
        self.closed = threading.Event()
        self.given = {"keys": str(room / "keys")}
        verbs = [step["do"] for step in case["steps"]]
        self.folder = tempfile.TemporaryDirectory() if {"restart", "search_store"} & set(verbs) else None
        self.clock = None
        if "clock" in case:
            at = datetime.fromisoformat(case["clock"].replace("Z", "+00:00"))
            self.clock = FixedClock(round(at.timestamp() * 1000))
        slugs = {step["args"]["application"] for step in case["steps"] if step["do"] == "register_connector"}
        make = ScriptedPlain if self.blocking_host else Scripted
        self.connectors = {slug: make(slug, self) for slug in sorted(slugs)}
        self.runner = Runner() if "register_runner" in verbs else None
        presents = any("presenter" in step.get("args", {}) for step in case["steps"] if step["do"] == "connect")
        self.presenter = ScriptedPresenter() if presents else None
        self.room = room
        self.key = make_key()
        # The engine, and what the case speaks to: the same, or a remote handle on it.
        self.host: Any = None
        self.smalt: Any = None
        self.served: Served | None = None
        self.api_key: Secret | None = None

    async def thread(self, function: Any, *arguments: Any, **named: Any) -> Any:
        import contextvars

        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self.pool, lambda: context.run(function, *arguments, **named))

    async def call(self, function: Any, *arguments: Any, **named: Any) -> Any:
        if self.blocking:
            return await self.thread(function, *arguments, **named)
        return await function(*arguments, **named)

    async def open(self) -> None:
        self.sandbox = await self.thread(Sandbox)
        self.given["sandbox"] = self.sandbox.origin
        await self.start()

    def project(self, project: Any) -> Any:
        return merge(project, {"sandbox": {"url": self.sandbox.origin}})

    async def start(self) -> None:
        options = {
            "project": self.project(merge(self.standard, fill(self.case.get("project", {}), self.given))),
            "environment": self.case.get("environment", "test"),
            "key": self.key,
            "manifests": [fill(manifest, self.given) for manifest in self.case.get("manifests", [])],
            "connectors": list(self.connectors.values()),
            "runner": self.runner,
            "presenter": None if self.is_remote else self.presenter,
            "deliver_webhooks": any(step["do"] == "create_webhook" for step in self.case["steps"]),
            "timings": TIMINGS,
            "clock": self.clock,
        }
        path = Path(self.folder.name) / "smalt.db" if self.folder else None
        if self.blocking_host:
            self.host = await self.thread(Smalt.embedded, path, **options)
        else:
            self.host = await AsyncSmalt.embedded(path, **options)
        self.smalt = self.host
        if self.is_remote:
            if self.api_key is None:
                self.api_key = (await self.host.create_api_key("conformance")).key
            served: Served = await self.thread(Served, self.host, options["environment"])
            remote = Smalt if self.blocking else AsyncSmalt
            self.served, self.smalt = served, remote.remote(served.url, api_key=self.api_key, proxy=False, presenter=self.presenter)

    async def stop(self) -> None:
        if self.host is None:
            return
        if self.served is not None:
            self.served.close()
            await self.call(self.smalt.close if self.blocking else self.smalt.aclose)
        host, self.host, self.smalt = self.host, None, None
        if self.blocking_host:
            await self.thread(host.close)
        else:
            await host.aclose()

    async def end(self) -> None:
        self.closed.set()
        await self.stop()
        self.sandbox.close()
        if self.folder:
            self.folder.cleanup()

    # --- operations ---

    async def perform(self, verb: str, authority: Any, args: dict[str, Any]) -> Any:
        own = getattr(self, f"own_{verb}", None)
        if own is not None:
            return await own(**args)
        args = {name: value for name, value in args.items() if value is not None or name == "value"}
        if verb in ("create_account", "upsert_account"):
            args = {"id": args.pop("account"), **args.pop("update", {}), **args}
        if authority not in (None, "organisation"):
            return await self.as_session(verb, authority, args)
        smalt = self.smalt
        name = {"events": "events_page"}.get(verb, verb)
        if verb == "set_project":
            args = {**args, "project": self.project(args["project"])}
        if self.is_remote and verb in EMBEDDED_ONLY:
            await self.kept_to_embedded(self.call(getattr(smalt, verb), **args))
            return (
                self.answer(verb, await getattr(self.host, verb)(**args))
                if verb != "set_project"
                else nothing(await self.host.set_project(**args))
            )
        if verb == "set_project":
            return nothing(await self.call(smalt.set_project, **args))
        if verb in ("get_account", "delete_account"):
            return self.answer(verb, await self.call(getattr(smalt, name), args.pop("account"), **args))
        if verb == "update_webhook":
            args = {"webhook": args["webhook"], **args["settings"]}
        if "account" in args:
            return self.answer(verb, await self.method(smalt.account(args.pop("account")), verb, args))
        return self.answer(verb, await self.call(getattr(smalt, name), **args))

    async def kept_to_embedded(self, call: Any) -> None:
        """A remote backend refuses what the table keeps to embedded engines; the server's own engine does it then."""
        try:
            await call
        except SmaltError as refused:
            if refused.code != "unsupported" or "embedded" not in refused.reason:
                raise Failed(f"expected `unsupported` of a remote backend, got {refused!r}") from None
        else:
            raise Failed("a remote backend offers what the table keeps to embedded engines")

    async def method(self, handle: Any, verb: str, args: dict[str, Any]) -> Any:
        if verb == "wait_flow":
            args = {"timeout": 30, **args}
        if verb == "update_config":
            args = {**args, **args.pop("update")}
            args.pop("update", None)
        return await self.call(getattr(handle, verb), **args)

    async def as_session(self, verb: str, authority: Any, args: dict[str, Any]) -> Any:
        account = args.get("account", args.get("id", ""))
        if authority == "session":
            session = await self.call(self.smalt.account(account).session)
        elif isinstance(authority, dict) and set(authority) == {"token"}:
            session = self.smalt.session_of(authority["token"], account)
        else:
            raise Mistake(f"there is no authority `{authority}`")
        if "account" in args and hasattr(session, verb):
            return self.answer(verb, await self.method(session, verb, {k: v for k, v in args.items() if k != "account"}))
        # Verbs that a session does not have at all: the core's refusal is what the case is about.
        if verb == "set_project":
            args = self.project(args["project"])
        if self.is_remote and verb in EMBEDDED_ONLY:
            await self.kept_to_embedded(self.call(session._operation, verb, args))
            token = authority["token"] if isinstance(authority, dict) else session.token.reveal()
            return self.answer(verb, await self.host.session_of(token, account)._operation(verb, args))
        return self.answer(verb, await self.call(session._operation, verb, args))

    def answer(self, verb: str, answer: Any) -> Any:
        if verb in ("delete_account", "delete_config", "delete_webhook", "put_own_credentials"):
            assert answer is None
            return {}
        if verb == "upsert_account":
            return {**plain(answer.account), "is_new": answer.is_new}
        if verb == "create_api_key":
            return {**plain(answer.info), "key": answer.key.reveal()}
        if verb in ("create_webhook", "rotate_webhook_secret"):
            return {**plain(answer.webhook), "secret": answer.secret.reveal()}
        if verb == "portal_url":
            return {**plain(answer), "ticket": answer.url.reveal().rsplit("/", 1)[-1].split("?")[0]}
        if verb == "request":
            return response(answer)
        if verb == "request_page":
            return {"answer": response(answer.answer), "items": plain(answer.items), "next": answer.next}
        return plain(answer)

    # --- the driver's own verbs ---

    async def own_sandbox(self, control: dict[str, Any]) -> Any:
        await self.thread(self.sandbox.control, control)
        return {}

    async def own_stats(self) -> Any:
        return await self.thread(self.sandbox.stats)

    async def own_visit(self, url: str, user: str = "ada", decision: str = "allow", browser: str | None = None) -> Any:
        from smalt._loop import end
        from smalt._smalt import visit

        parts = urlsplit(url)
        added = [("sandbox_user", user), ("sandbox_decision", decision)] + ([("sandbox_browser", browser)] if browser else [])
        query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *added])
        callback = await end(visit(urlunsplit(parts._replace(query=query))))
        return {"callback_url": callback, "params": dict(parse_qsl(urlsplit(callback).query, keep_blank_values=True))}

    async def own_open(self, key: str | None = None, store: str | None = None, manifests: list[Any] | None = None) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = None if store is None else shutil.copy(self.room / "stores" / store, folder)
            options: dict[str, Any] = {"key": key, "manifests": manifests or []}
            if self.blocking:
                await self.thread((await self.thread(Smalt.embedded, path, **options)).close)
            else:
                await (await AsyncSmalt.embedded(path, **options)).aclose()
        return {}

    async def own_connect(
        self, account: str, application: str, presenter: str | None = None, timeout: float | None = None, cancel: bool = False
    ) -> Any:
        if presenter is not None:
            if presenter not in PRESENTERS or self.presenter is None:
                raise Mistake(f"there is no behaviour `{presenter}`")
            self.presenter.behaviour = presenter
        if cancel:
            return await self.cancelled(account, application)
        return plain(await self.call(self.smalt.account(account).connect, application, timeout=timeout))

    async def cancelled(self, account: str, application: str) -> Any:
        """Whoever goes away in Python cancels the task. A thread that blocks can't go away, so that it is the async half here, on the same engine."""
        presenter = self.presenter
        assert presenter is not None
        presenter.shown.clear()
        smalt = AsyncSmalt(self.smalt._engine) if self.blocking else self.smalt
        task = asyncio.create_task(smalt.account(account).connect(application))
        while not presenter.shown.is_set() and not task.done():
            await asyncio.sleep(0.01)
        task.cancel()
        ended = (await asyncio.gather(task, return_exceptions=True))[0]
        if type(ended) is not asyncio.CancelledError:
            raise Failed(f"whoever went away was told {ended!r}")
        raise errors.CancelledByServerError("cancelled", "The caller went away.")

    async def own_upload(self, account: str, application: str, method: str, path: str, parts: list[str], **options: Any) -> Any:
        async def come() -> AsyncIterator[bytes]:
            for part in parts:
                yield part.encode()

        body = (part.encode() for part in parts) if self.blocking else come()
        upload = self.smalt.account(account).upload
        return response(await self.call(upload, application, method, path, body, **options))

    async def own_advance(self, seconds: float) -> Any:
        if self.clock is None:
            raise Mistake("`advance` needs a `clock`")
        self.clock.advance(seconds)
        return {}

    async def own_restart(self) -> Any:
        await self.stop()
        await self.start()
        return {}

    async def own_register_connector(self, application: str, behaviour: str) -> Any:
        if behaviour not in BEHAVIOURS:
            raise Mistake(f"there is no behaviour `{behaviour}`")
        self.connectors[application].behaviour = behaviour
        return {}

    async def own_register_runner(self, behaviour: str) -> Any:
        if behaviour not in ("echo", "throws") or self.runner is None:
            raise Mistake(f"there is no behaviour `{behaviour}`")
        self.runner.behaviour = behaviour
        return {}

    async def own_tamper_url(self, url: str, set: dict[str, str | None]) -> Any:
        parts = urlsplit(url)
        kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in set]
        kept += [(name, value) for name, value in set.items() if value is not None]
        return {"url": urlunsplit(parts._replace(query=urlencode(kept)))}

    async def own_inbox(self, name: str) -> Any:
        return (await self.thread(self.sandbox._ask, f"/inbox/{name}"))["received"]

    async def own_verify_webhook(
        self,
        headers: dict[str, str],
        body: str,
        secrets: list[str],
        now: str | None = None,
        tolerance: float = 300,
        compatible: bool = False,
    ) -> Any:
        if compatible:
            webhooks.verify_compatible(headers["x-cobalt-signature"], body.encode(), secrets)
            return {}
        at = None
        if now is not None:
            at = datetime.fromisoformat(now.replace("Z", "+00:00"))
        elif self.clock is not None:
            at = datetime.fromtimestamp(self.clock.millis / 1000, timezone.utc)
        verified = webhooks.verify(headers, body.encode(), [Secret(secret) for secret in secrets], tolerance=tolerance, now=at)
        return plain(dict(verified._asdict()))

    async def own_search_store(self, secrets: list[str]) -> Any:
        assert self.folder is not None
        files = [path.read_bytes() for path in Path(self.folder.name).iterdir()]
        assert any(files), "there is nothing to search"
        return {"hits": sum(file.count(form) for secret in secrets for form in forms(secret.encode()) for file in files)}


def forms(secret: bytes) -> set[bytes]:
    """As it is, in hex, and in both alphabets of base64 wherever it may begin in the encoded text."""
    assert len(secret) >= 6, "too short a text to search for"
    found = {secret, secret.hex().encode(), secret.hex().upper().encode()}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            coded = encode(b"\0" * before + secret + b"\0\0")
            first, last = -(-before * 8 // 6), (before + len(secret)) * 8 // 6
            found.add(coded[first:last])
    return found


def nothing(answer: None) -> dict[str, Any]:
    assert answer is None
    return {}


def response(answer: Any) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        body = None
    return {"status": answer.status, "headers": {header.name: header.value for header in answer.headers}, "json": body}


async def run(case: dict[str, Any], standard: dict[str, Any], room: Path, mode: Mode, pool: ThreadPoolExecutor) -> None:
    """Runs a case; raises when it does not hold."""
    world = World(case, standard, room, mode, pool)
    await world.open()
    saved: dict[str, Any] = dict(world.given)
    try:
        for number, step in enumerate(case["steps"], 1):
            try:
                await take(world, step, saved)
            except (Failed, Differs, Mistake) as why:
                raise Failed(f"step {number} ({step['do']}): {why}") from None
    finally:
        await world.end()


async def take(world: World, step: dict[str, Any], saved: dict[str, Any]) -> None:
    step = {**step, **{key: fill(step[key], saved) for key in ("args", "as", "expect", "error") if key in step}}
    loop = asyncio.get_running_loop()
    until = loop.time() + EVENTUALLY
    while True:
        answers = await limited(world, step)
        try:
            if "outcomes" in step:
                got = Counter("ok" if not isinstance(answer, SmaltError) else answer.code for answer in answers)
                if got != Counter(step["outcomes"]):
                    raise Failed(f"expected the outcomes {step['outcomes']}, got {dict(got)}")
            else:
                for answer in answers:
                    check(step, answer)
            break
        except (Failed, Differs):
            if not step.get("eventually") or loop.time() > until:
                raise
            await asyncio.sleep(0.02)
    for name, path in step.get("save", {}).items():
        saved[name] = pointer(answers[-1], path)


async def limited(world: World, step: dict[str, Any]) -> list[Any]:
    """The program of bad networks says how long a step may take; cases of conformance don't."""
    if "within" not in step:
        return await act(world, step)
    try:
        return await asyncio.wait_for(act(world, step), step["within"])
    except asyncio.TimeoutError:
        raise Failed(f"it did not end within {step['within']} s") from None


async def act(world: World, step: dict[str, Any]) -> list[Any]:
    async def once() -> Any:
        try:
            return await world.perform(step["do"], step.get("as"), copy.deepcopy(step.get("args", {})))
        except SmaltError as error:
            return error

    if "parallel" in step:
        return [await ended for ended in asyncio.as_completed([once() for _ in range(step["parallel"])])]
    return [await once() for _ in range(step.get("repeat", 1))]


def check(step: dict[str, Any], answer: Any) -> None:
    wanted = step.get("error")
    if not isinstance(answer, SmaltError):
        if wanted is not None:
            raise Failed(f"expected the error `{wanted['code']}`, got {answer}")
        if "expect" in step:
            matches(step["expect"], answer)
        return
    if wanted is None:
        raise Failed(f"expected an answer, got the error {answer!r}")
    unknown = set(wanted) - {"code", "context", "retry_after", "without"}
    if unknown:
        raise Mistake(f"unknown keys {unknown}")
    if answer.code != wanted["code"]:
        raise Failed(f"expected the error `{wanted['code']}`, got {answer!r}")
    if "context" in wanted:
        matches(wanted["context"], dict(answer.context))
    if "retry_after" in wanted:
        matches(wanted["retry_after"], None if answer.retry_after is None else int(answer.retry_after.total_seconds()))
    shown = f"{answer} {answer!r} {answer.trace} {''.join(traceback.format_exception(answer))}"
    for secret in wanted.get("without", []):
        if secret in shown:
            raise Failed(f"`{secret}` stands in the error {answer!r}")
