"""Awaiting the core's work on an asyncio event loop."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from ._ports import forget, here, port_of
from ._scope import scope
from ._smalt import Work

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


def scope_now() -> Any:
    """The scope of the plugin's call in which this runs."""
    return scope.get()


def plugin_loop() -> asyncio.AbstractEventLoop:
    """The loop on which plugins that are registered now run."""
    return asyncio.get_running_loop()
