"""The base of all errors, and how they are made."""

from __future__ import annotations

from collections import OrderedDict

from ._model import Word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Any, ClassVar, Mapping


class Retry(Word):
    """Whether trying again can help."""

    NEVER = "never"
    """The same call will fail the same way."""
    LATER = "later"
    """The same call may succeed later; see `retry_after`."""
    AFTER_REAUTH = "after_reauth"
    """Only after the user has authorised again."""


class SmaltError(Exception):
    """Everything that Smalt raises. It holds no secret and no provider's body, and can be pickled."""

    kind: ClassVar[str] = "internal"

    code: str
    """The stable code, e.g. `not_connected`; `smalt.errors.CODES` has all of them."""
    reason: str
    """What happened and what to do next, for people."""
    retry: Retry
    """Whether trying again can help."""
    http_status: int | None
    """The status that a server answered, or should answer with."""
    request_id: str | None
    """The id of the request at the server, if there was one."""
    context: Mapping[str, str]
    """Named facts: `field`, `application`, `provider_error`, …"""
    trace: str | None
    """The traceback of a plugin."""

    def __init__(
        self,
        code: str,
        reason: str,
        *,
        retry: Retry = Retry.NEVER,
        retry_after: timedelta | None = None,
        http_status: int | None = None,
        request_id: str | None = None,
        context: Mapping[str, str] | None = None,
        trace: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.retry = Retry(retry)
        self.retry_after = retry_after
        self.http_status = http_status
        self.request_id = request_id
        self.context = dict(context or {})
        self.trace = trace

    retry_after: timedelta | None
    """How long to wait before trying again, if known."""

    @property
    def _retry_after_seconds(self) -> float | None:
        return None if self.retry_after is None else self.retry_after.total_seconds()

    def __str__(self) -> str:
        return f"{self.reason} ({self.code})"

    def __repr__(self) -> str:
        return f"{type(self).__name__}(code={self.code!r}, reason={self.reason!r}, context={dict(self.context)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        parts = (self.kind, self.code, self.reason, str(self.retry), self._retry_after_seconds, self.http_status, self.request_id)
        return made, (*parts, dict(self.context), self.trace)


def made(
    kind: str,
    code: str,
    reason: str,
    retry: str,
    retry_after: float | None,
    http_status: int | None,
    request_id: str | None,
    context: Mapping[str, str],
    trace: str | None,
) -> SmaltError:
    """The exception of an error of the core."""
    from datetime import timedelta

    from .errors import KINDS

    error = KINDS.get(kind, SmaltError)(
        code,
        reason,
        retry=Retry(retry),
        retry_after=None if retry_after is None else timedelta(seconds=retry_after),
        http_status=http_status,
        request_id=request_id,
        context=context,
        trace=trace,
    )
    if trace is not None and trace in _causes:
        error.__cause__ = _causes[trace]
    return error


def made_here(code: str, reason: str, **context: str) -> SmaltError:
    """An error that this package finds itself."""
    from .errors import CODES

    return made(CODES[code], code, reason, "never", None, None, None, context, None)


# The exceptions of plugins of this process, by their traceback: an error that one became has it as its cause.
_causes: OrderedDict[str, BaseException] = OrderedDict()


def remember(trace: str, cause: BaseException) -> None:
    """Keeps a plugin's exception, for the error that it becomes."""
    _causes[trace] = cause
    while len(_causes) > 64:
        _causes.popitem(last=False)
