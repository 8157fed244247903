"""Waiting for the core's work on the caller's thread, without holding the interpreter."""

from __future__ import annotations

import os
from _thread import allocate_lock

from ._scope import scope
from ._smalt import Upload, Work, begin, run

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from typing import Any, Iterator


def end(work: Work, timeout: float | None = None) -> Any:
    """Does the work and waits for its end. Ctrl-C ends the wait at once."""
    return run(work, timeout)


def send(work: Work, upload: Upload, parts: Iterator[bytes], timeout: float | None) -> Any:
    """Does the work while its body is handed over. What the body raises ends it."""
    answer, call = begin(work, timeout)
    whole = False
    try:
        for part in parts:
            if not run(upload.push(part)):
                break
        else:
            whole = True
        upload.end(whole)
        return run(answer)
    except BaseException:
        call.cancel()
        raise


def scope_now() -> Any:
    """Nothing: a plugin that blocks would wait for what waits for it."""
    within = scope.get()
    if within is not None:
        from ._errors import made_here

        reason = "A plugin made a blocking call while it was called itself. Use the context that it was given, or `AsyncSmalt`."
        raise made_here("reentrant", reason, plugin=within.plugin)
    return None


# A lock of `threading`, which takes its time to import.
_lock = allocate_lock()
_plugins: tuple[asyncio.AbstractEventLoop, bool] | None = None


def _forget() -> None:
    """In a forked child: the parent's loop does not run here."""
    global _lock, _plugins
    _lock, _plugins = allocate_lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def plugin_loop() -> tuple[asyncio.AbstractEventLoop, bool]:
    """The loop on which plugins of the blocking handles run: one for all of them, on a thread of its own; and whether it can watch
    descriptors."""
    import asyncio
    import threading

    from ._ports import can_watch

    global _plugins
    with _lock:
        if _plugins is None:
            loop = asyncio.new_event_loop()
            watches = can_watch(loop)

            def serve() -> None:
                asyncio.set_event_loop(loop)
                while not loop.is_closed():
                    try:
                        loop.run_forever()
                    except (KeyboardInterrupt, SystemExit):
                        # A plugin's own, which its caller is told. The loop is that of others, too.
                        pass

            threading.Thread(target=serve, name="smalt-plugins", daemon=True).start()
            _plugins = loop, watches
        return _plugins
