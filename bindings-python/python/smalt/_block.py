"""Waiting for the core's work on the caller's thread, without holding the interpreter."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from ._errors import made_here
from ._scope import scope
from ._smalt import Work, run

if TYPE_CHECKING:
    import asyncio


def end(work: Work, timeout: float | None = None) -> Any:
    """Does the work and waits for its end. Ctrl-C ends the wait at once."""
    return run(work, timeout)


def scope_now() -> Any:
    """Nothing: a plugin that blocks would wait for what waits for it."""
    within = scope.get()
    if within is not None:
        reason = "A plugin made a blocking call while it was called itself. Use the context that it was given, or `AsyncSmalt`."
        raise made_here("reentrant", reason, plugin=within.plugin)
    return None


_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def _forget() -> None:
    """In a forked child: the parent's loop does not run here."""
    global _lock, _loop
    _lock, _loop = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def plugin_loop() -> asyncio.AbstractEventLoop:
    """The loop on which plugins of the blocking handles run: one for all of them, on a thread of its own."""
    import asyncio

    global _loop
    with _lock:
        if _loop is None:
            loop = asyncio.new_event_loop()

            def serve() -> None:
                asyncio.set_event_loop(loop)
                loop.run_forever()

            threading.Thread(target=serve, name="smalt-plugins", daemon=True).start()
            _loop = loop
        return _loop
