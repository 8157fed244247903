"""Smalt's HTTP API inside an ASGI application: `app.mount("/smalt", smalt.asgi())` in FastAPI or Starlette."""

from __future__ import annotations

import asyncio
from typing import Any, Awaitable, Callable, MutableMapping

from ._loop import end
from ._smalt import Api
from ._smalt import Body as Rest

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


# More of a body is not kept, however much the project's `server.max_body` allows.
LARGEST_BODY = 16 * 1024 * 1024


class App:
    """An ASGI application (version 3)."""

    def __init__(self, api: Api, max_body: int = LARGEST_BODY) -> None:
        self._api, self._max_body = api, max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"this application speaks HTTP, not {scope['type']}")
        body = await self._body(receive)
        if body is None:
            return
        headers = [(bytes(name), bytes(value)) for name, value in scope["headers"]]
        client = scope.get("client")
        work = self._api.answer(scope["method"], _target(scope), headers, body, client[0] if client else None)
        status, answered, whole, rest = await end(work)
        try:
            await send({"type": "http.response.start", "status": status, "headers": answered})
            if rest is None or scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": whole})
                return
            await _stream(rest, receive, send)
        finally:
            # The API's stream is over when nothing has it any more; an exception that somebody keeps has what this function knows.
            del rest

    async def _body(self, receive: Receive) -> bytes | None:
        """The body, cut one byte behind the limit: the API itself refuses it then. `None` when the client is gone."""
        parts = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            if len(parts) <= self._max_body:
                parts += message.get("body", b"")
            if not message.get("more_body", False):
                return bytes(parts[: self._max_body + 1])


def _target(scope: Scope) -> str:
    """Path and query as they were sent, below where this application is mounted."""
    root = scope.get("root_path", "")
    raw = scope.get("raw_path")
    path = raw.decode("latin-1") if raw else _quoted(scope["path"])
    path = path.split("?", 1)[0]
    quoted = _quoted(root)
    for prefix in (root, quoted):
        # Servers differ in whether `path` has the mount point.
        if prefix and (path == prefix or path.startswith(prefix.rstrip("/") + "/")):
            path = path[len(prefix.rstrip("/")) :]
            break
    query = scope.get("query_string", b"").decode("latin-1")
    target = path if path.startswith("/") else "/" + path
    return f"{target}?{query}" if query else target


def _quoted(path: str) -> str:
    from urllib.parse import quote

    return quote(path, safe="/:@!$&'()*+,;=-._~%")


async def _stream(rest: Rest, receive: Receive, send: Send) -> None:
    """Sends what comes until it ends, until nobody reads any more, or until this is cancelled. What `receive` raises ends it, too."""
    gone = asyncio.ensure_future(_gone(receive))
    gone.add_done_callback(_seen)
    piece: asyncio.Future[Any] | None = None
    try:
        while True:
            piece = asyncio.ensure_future(end(rest.next()))
            piece.add_done_callback(_seen)
            await asyncio.wait({piece, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not piece.done():
                gone.result()
                return
            part = piece.result()
            await send({"type": "http.response.body", "body": part, "more_body": bool(part)})
            if not part:
                return
    finally:
        gone.cancel()
        if piece is not None:
            piece.cancel()
        del rest


def _seen(ended: asyncio.Future[Any]) -> None:
    """Where another one's exception ends the answer, asyncio would tell that nobody has asked for this one's."""
    if not ended.cancelled():
        ended.exception()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
