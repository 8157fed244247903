"""Awaiting the core's work on an asyncio event loop."""

from __future__ import annotations

import asyncio
import os
from typing import Any, AsyncGenerator

from ._ports import forget, here, port_of
from ._scope import scope
from ._smalt import Upload, Work

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget)


async def end(work: Work, timeout: float | None = None) -> Any:
    """Begins the work and waits for its end. A task that is cancelled already begins nothing."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task(loop)
    if task is not None and getattr(task, "_must_cancel", False):
        await asyncio.sleep(0)
    port = here.port if here.loop is loop else None
    if port is None:
        port = port_of(loop)
    future = loop.create_future()
    call = port.submit(work, future, timeout)
    try:
        return await future
    except BaseException:
        call.cancel()
        raise


async def _hand_over(upload: Upload, parts: AsyncGenerator[bytes, None]) -> None:
    whole = False
    try:
        async for part in parts:
            if not await end(upload.push(part)):
                break
        else:
            whole = True
    finally:
        upload.end(whole)
        await parts.aclose()


async def send(work: Work, upload: Upload, parts: AsyncGenerator[bytes, None], timeout: float | None) -> Any:
    """Does the work while its body is handed over. What the body raises ends it, and its end that of the body."""
    # A task that is cancelled already begins nothing.
    await asyncio.sleep(0)
    answer = asyncio.ensure_future(end(work, timeout))
    handing = asyncio.ensure_future(_hand_over(upload, parts))
    try:
        await asyncio.wait((answer, handing), return_when=asyncio.FIRST_COMPLETED)
        if handing.done():
            handing.result()
        return await answer
    finally:
        handing.cancel()
        answer.cancel()
        await asyncio.gather(answer, handing, return_exceptions=True)


def scope_now() -> Any:
    """The scope of the plugin's call in which this runs."""
    return scope.get()


def plugin_loop() -> asyncio.AbstractEventLoop:
    """The loop on which plugins that are registered now run."""
    return asyncio.get_running_loop()
