"""Calls into plugins: on which thread they run, and what becomes of what they answer."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import queue
import threading
import traceback
from typing import Any, Callable, Mapping

from ._errors import SmaltError, remember
from ._loop import end
from ._ports import close_port, open_port, open_port_into
from ._requests import api_request
from ._scope import scope
from ._smalt import Context, HostCall, run
from .plugins import Rejected
from .types import ApiAnswer, Credential

# Threads that run plain functions. One that hangs is given up when nobody waits for it any more, and replaced.
_THREADS = 8
_GIVEN_UP_AT_MOST = 64

METHODS = ("verify", "options", "rule_columns", "revoke", "present", "key_id", "wrap", "unwrap", "run")


class _BaseContext:
    __slots__ = ("_native",)

    def __init__(self, native: Context) -> None:
        self._native = native

    @property
    def account_id(self) -> str:
        """The linked account."""
        return self._native.account_id

    @property
    def application(self) -> str:
        """The application's slug."""
        return self._native.application

    @property
    def credential(self) -> Credential | None:
        """The credential; `None` while the application is not connected."""
        return self._native.credential


class AsyncConnectorContext(_BaseContext):
    """What a connector's coroutine is given."""

    __slots__ = ()

    async def request(self, method: str, path: str, **options: Any) -> ApiAnswer:
        """An authenticated call to the application; takes the options of `account.request`."""
        answer: ApiAnswer = await end(self._native.request(api_request("", "", method, path, **options)))
        return answer


class ConnectorContext(_BaseContext):
    """What a connector's plain function is given."""

    __slots__ = ()

    def request(self, method: str, path: str, **options: Any) -> ApiAnswer:
        """An authenticated call to the application; takes the options of `account.request`."""
        answer: ApiAnswer = run(self._native.request(api_request("", "", method, path, **options)))
        return answer


class _Method:
    """A plugin's method, and which arguments it takes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.is_async = inspect.iscoroutinefunction(function)
        parameters = inspect.signature(function).parameters.values()
        self.takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        self.takes = {parameter.name for parameter in parameters}

    def arguments(self, offered: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in offered.items() if self.takes_all or name in self.takes}


class _Pool:
    """Threads for plain functions, made when they are needed."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        # Threads that have nothing to do, less the work that no thread has yet. Whoever brings work counts it: a thread that was woken
        # and did not get round to saying so would pass for one that is free, and the work would wait behind a call that hangs.
        self._spare = 0
        self._given_up = 0

    def submit(self, work: Callable[[], None]) -> None:
        with self._lock:
            self._spare -= 1
            self._work.put(work)
            self._grow()

    def _grow(self) -> None:
        if self._spare < 0 and self._threads - min(self._given_up, _GIVEN_UP_AT_MOST) < _THREADS:
            threading.Thread(target=self._serve, name="smalt-plugin", daemon=True).start()
            self._threads += 1
            self._spare += 1

    def give_up(self) -> None:
        """A thread hangs in a call that nobody waits for."""
        with self._lock:
            self._given_up += 1
            self._grow()

    def come_back(self) -> None:
        """It came back after all. Whoever gives it up may say so later than this: one less than none, for a moment."""
        with self._lock:
            self._given_up -= 1

    def _serve(self) -> None:
        try:
            while True:
                work = self._work.get()
                work()
                with self._lock:
                    self._spare += 1
        finally:
            # What was raised ends this thread, which was at work: another one takes what waits.
            with self._lock:
                self._threads -= 1
                self._grow()


class _Begun:
    """Whether a call has begun: decided once, by its thread or by who gives it up."""

    __slots__ = ("_once",)

    def __init__(self) -> None:
        self._once = threading.Lock()

    def decide(self) -> bool:
        """True for whoever asks first."""
        return self._once.acquire(blocking=False)


_pool = _Pool()


def _forget() -> None:
    """In a forked child: the parent's threads do not run here."""
    global _pool
    _pool = _Pool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


class PluginHost:
    """The plugins of one engine, on one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, plugins: Mapping[str, object], watches: bool | None = None) -> None:
        """On the loop's thread; or on another one, which knows whether the loop can watch descriptors."""
        self.loop = loop
        self.methods: dict[tuple[str, str], _Method] = {}
        for name, plugin in plugins.items():
            for method in METHODS:
                function = getattr(plugin, method, None)
                if callable(function):
                    self.methods[name, method] = _Method(function)
        # Who takes a call out of it tells the pool what became of its thread: the loop's thread, or the call's own.
        self._running: dict[int, asyncio.Task[None] | _Begun] = {}
        self.port = open_port(loop, self._messages) if watches is None else open_port_into(loop, watches, self._messages)

    def names(self, plugin: str) -> list[str]:
        """The methods that a plugin has."""
        return [method for name, method in self.methods if name == plugin]

    def close(self) -> None:
        """Nobody calls any more."""
        close_port(self.loop, self.port)

    def _messages(self, messages: list[HostCall | int]) -> None:
        for message in messages:
            if isinstance(message, int):
                self._cancel(message)
            else:
                self._begin(message)

    def _cancel(self, number: int) -> None:
        running = self._running.pop(number, None)
        if running is None:
            return
        if not isinstance(running, _Begun):
            running.cancel()
        elif not running.decide():
            _pool.give_up()

    def _begin(self, call: HostCall) -> None:
        method = self.methods.get((call.plugin, call.what))
        if method is None:
            call.fail(f"there is no `{call.what}`")
            return
        context = contextvars.copy_context()
        context.run(scope.set, call.scope)
        if method.is_async:
            self._running[call.number] = context.run(self.loop.create_task, self._awaited(method, call))
        else:
            begun = self._running[call.number] = _Begun()
            _pool.submit(lambda: context.run(self._called, method, call, begun))

    def _offered(self, call: HostCall, method: _Method) -> dict[str, Any]:
        offered = dict(call.arguments)
        native = call.context
        if native is not None:
            context = AsyncConnectorContext(native) if method.is_async else ConnectorContext(native)
            offered["ctx"] = context
            if "credential" in method.takes:
                offered["credential"] = context.credential
        return method.arguments(offered)

    async def _awaited(self, method: _Method, call: HostCall) -> None:
        try:
            call.answer(await method.function(**self._offered(call, method)))
        except asyncio.CancelledError:
            # Nobody waits any more; or the plugin's own doing, which is a fault.
            call.fail("it was cancelled")
        except BaseException as raised:
            _failed(call, raised)
            if isinstance(raised, (KeyboardInterrupt, SystemExit)):
                raise
        finally:
            self._running.pop(call.number, None)

    def _called(self, method: _Method, call: HostCall, begun: _Begun) -> None:
        if not begun.decide():
            # Nobody waits any more, and it has not begun.
            return
        try:
            call.answer(method.function(**self._offered(call, method)))
        except BaseException as raised:
            _failed(call, raised)
        finally:
            if self._running.pop(call.number, None) is None:
                _pool.come_back()


def _failed(call: HostCall, raised: BaseException) -> None:
    """Tells the caller what a method raised. It is the plugin's own, and may raise again where it is looked at: whoever is not told
    would wait until the deadline."""
    if isinstance(raised, Rejected):
        call.reject(_text(raised) or "The application refused the credentials.")
        return
    if isinstance(raised, SmaltError):
        try:
            call.pass_on(raised)
            return
        except Exception:
            # It lacks what an error of Smalt has: told as any other exception.
            pass
    message = _text(raised) or _unicode(type(raised).__name__)
    trace = None
    try:
        trace = _unicode("".join(traceback.format_exception(type(raised), raised, raised.__traceback__)))
        remember(trace, raised)
    except Exception:
        # Then it is told without.
        pass
    if isinstance(raised, Exception):
        call.fail(message, trace)
    else:
        call.panicked(message, trace)


def _text(raised: BaseException) -> str:
    """What it says; empty where saying it raises, whatever that is: `traceback` has it so, too."""
    try:
        return _unicode(str(raised))
    except BaseException:
        return ""


def _unicode(text: str) -> str:
    """The text as the core can have it: halves of surrogate pairs are written out."""
    return text.encode("utf-8", "backslashreplace").decode()
