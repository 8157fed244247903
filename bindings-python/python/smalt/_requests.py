"""Authenticated calls: friendlier arguments than the core's request has."""

from __future__ import annotations

from collections.abc import Mapping

from ._given import without_none

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any, AsyncGenerator, AsyncIterable, BinaryIO, Iterable, Iterator, Union

    Body = Union[BinaryIO, Iterable[bytes]]
    """A file that was opened for reading bytes, or parts."""

    AsyncBody = Union[BinaryIO, Iterable[bytes], AsyncIterable[bytes]]
    """The same, or what is awaited part by part."""

    Pairs = Union[Mapping[str, Any], Iterable["tuple[str, Any]"]]


def pairs(values: Pairs | None) -> list[dict[str, str]] | None:
    """Names and values; a value that is a list is several."""
    if values is None:
        return None
    items = values.items() if isinstance(values, Mapping) else values
    made: list[dict[str, str]] = []
    for name, value in items:
        for one in value if isinstance(value, (list, tuple)) else [value]:
            text = ("true" if one else "false") if isinstance(one, bool) else str(one)
            made.append({"name": str(name), "value": text})
    return made


def body(json: Any, data: Pairs | None, content: bytes | str | None, content_type: str | None) -> dict[str, Any] | None:
    """The body and its content type."""
    if sum(given is not None for given in (json, data, content)) > 1:
        raise TypeError("name one body: `json`, `data` or `content`")
    if json is not None:
        import json as codec

        text = codec.dumps(json, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return {"content_type": content_type or "application/json", "content": text.encode("utf-8")}
    if data is not None:
        from urllib.parse import urlencode

        form = urlencode([(pair["name"], pair["value"]) for pair in pairs(data) or []])
        return {"content_type": content_type or "application/x-www-form-urlencoded", "content": form.encode("ascii")}
    if content is not None:
        raw = content.encode("utf-8") if isinstance(content, str) else content
        return {"content_type": content_type or "application/octet-stream", "content": raw}
    return None


PIECE = 64 * 1024
"""How much of a file is read at once."""


def _in_parts(body: Any) -> Any:
    if isinstance(body, (bytes, bytearray, memoryview, str)):
        raise TypeError("a body comes in parts; `request` takes one that is there already, as its `content`")
    return body


def parts(body: Body) -> Iterator[bytes]:
    """A body's parts."""
    read = getattr(_in_parts(body), "read", None)
    return iter(body) if read is None else iter(lambda: read(PIECE), b"")


def async_parts(body: AsyncBody) -> AsyncGenerator[bytes, None]:
    """The same on an event loop: also what is awaited, and files whose `read` is."""
    return _awaited(_in_parts(body))


async def _awaited(body: Any) -> AsyncGenerator[bytes, None]:
    read: Any = getattr(body, "read", None)
    if read is not None:
        while True:
            part = read(PIECE)
            if hasattr(part, "__await__"):
                part = await part
            if not part:
                return
            yield part
    elif hasattr(body, "__aiter__"):
        try:
            async for part in body:
                yield part
        finally:
            # Nobody else closes a generator that is left early.
            if hasattr(body, "athrow"):
                await body.aclose()
    else:
        for part in body:
            yield part


def api_request(
    account: str,
    application: str,
    method: str,
    path: str,
    *,
    connection: str | None = None,
    query: Pairs | None = None,
    headers: Pairs | None = None,
    json: Any = None,
    data: Pairs | None = None,
    content: bytes | str | None = None,
    content_type: str | None = None,
    timeout: timedelta | float | None = None,
    max_body: int | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The core's request."""
    return without_none(
        {
            "account": account,
            "application": application,
            "connection": connection,
            "method": method,
            "path": path,
            "query": pairs(query),
            "headers": pairs(headers),
            "body": body(json, data, content, content_type),
            "timeout": timeout,
            "max_body": max_body,
            **more,
        }
    )
