"""How what ended comes to an event loop: see `Port` of the native module."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Callable
from weakref import WeakKeyDictionary

from ._smalt import Port

Messages = Callable[["list[Any]"], None]


def open_port(loop: asyncio.AbstractEventLoop, messages: Messages | None = None) -> Port:
    """A port into this loop, which runs on this thread: by a descriptor where the loop can watch one, else by a thread."""
    try:
        port = Port(True)
        loop.add_reader(port.fileno(), _drain, port, messages)
    except (NotImplementedError, OSError):
        port = Port(False)
        _Pump(loop, port, messages).start()
    return port


def open_port_into(loop: asyncio.AbstractEventLoop, watches: bool, messages: Messages) -> Port:
    """A port into a loop on another thread, of which is known whether it can watch descriptors. Nothing waits for the loop, which may
    be busy: what comes before it watches stays in the port."""
    port = Port(watches)
    if watches:
        loop.call_soon_threadsafe(loop.add_reader, port.fileno(), _drain, port, messages)
    else:
        _Pump(loop, port, messages).start()
    return port


def can_watch(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether a loop that does not run yet can watch descriptors."""
    port = Port(True)
    try:
        loop.add_reader(port.fileno(), _drain, port, None)
    except (NotImplementedError, OSError):
        return False
    close_port(loop, port)
    return True


def _drain(port: Port, messages: Messages | None) -> None:
    came = port.drain()
    if came is not None and messages is not None:
        messages(came)


def close_port(loop: asyncio.AbstractEventLoop, port: Port) -> None:
    """The port is not used any more. On the loop's thread, or after its end."""
    if not loop.is_closed():
        try:
            loop.remove_reader(port.fileno())
        except (NotImplementedError, OSError):
            pass
    port.close()


class _Pump(threading.Thread):
    """Wakes a loop that cannot watch descriptors."""

    def __init__(self, loop: asyncio.AbstractEventLoop, port: Port, messages: Messages | None) -> None:
        super().__init__(name="smalt-pump", daemon=True)
        self._loop, self._port, self._messages = loop, port, messages

    def run(self) -> None:
        while self._port.wait():
            try:
                self._loop.call_soon_threadsafe(_drain, self._port, self._messages)
            except RuntimeError:  # the loop is closed
                self._port.close()
                return


class _Here(threading.local):
    loop: asyncio.AbstractEventLoop | None = None
    port: Port | None = None


here = _Here()
_ports: WeakKeyDictionary[asyncio.AbstractEventLoop, Port] = WeakKeyDictionary()
_lock = threading.Lock()


def port_of(loop: asyncio.AbstractEventLoop) -> Port:
    """The port of the running loop."""
    with _lock:
        before = here.loop
        if before is not None and before is not loop and before.is_closed():
            gone = _ports.pop(before, None)
            if gone is not None:
                gone.close()
        port = _ports.get(loop)
        if port is None:
            port = _ports[loop] = open_port(loop)
    here.loop, here.port = loop, port
    return port


def forget() -> None:
    """In a forked child: the parent's loops do not run here."""
    global _lock
    _lock = threading.Lock()
    _ports.clear()
    here.__dict__.clear()
