"""Receiving webhooks of Smalt: `verify` in the route, before anything reads the body."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Iterable, Mapping, NamedTuple, Sequence

from ._smalt import Secret, verify_webhook, verify_webhook_compatible

__all__ = ["Verified", "verify", "verify_compatible"]


class Verified(NamedTuple):
    """A delivery that was checked."""

    id: str
    """Its id: remember it for as long as the tolerance, to pass over what comes twice."""
    sent_at: datetime
    """When it was sent."""


def verify(
    headers: Mapping[str, str] | Iterable[tuple[str, str]],
    body: bytes,
    secrets: Secret | str | Sequence[Secret | str],
    *,
    tolerance: timedelta | float = 300,
    now: datetime | None = None,
) -> Verified:
    """Checks that the body came from whoever has one of these secrets, and lately.

    Args:
        headers: The request's headers.
        body: The bytes as they came.
        secrets: The webhook's secret; both while one replaces the other.
        tolerance: How far from now it may have been sent; default 5 minutes.
        now: The time, for tests.

    Raises:
        SmaltError: `webhook_unverified`.
    """
    items = headers.items() if isinstance(headers, Mapping) else headers
    seconds = tolerance.total_seconds() if isinstance(tolerance, timedelta) else tolerance
    millis = None if now is None else round(now.timestamp() * 1000)
    id, sent = verify_webhook([(str(name), str(value)) for name, value in items], body, _several(secrets), seconds, millis)
    return Verified(id, datetime.fromtimestamp(sent / 1000, timezone.utc))


def verify_compatible(signature: str, body: bytes, secrets: Secret | str | Sequence[Secret | str]) -> None:
    """Checks the signature that receivers of the hosted service know (`x-cobalt-signature`), at whatever time it was sent. While a
    secret is replaced, it is made with the old one: give both.

    Args:
        signature: The header's value.
        body: The bytes as they came.
        secrets: The webhook's secret, or several.

    Raises:
        SmaltError: `webhook_unverified`.
    """
    verify_webhook_compatible(signature, body, _several(secrets))


def _several(secrets: Secret | str | Sequence[Secret | str]) -> list[Secret | str]:
    return [secrets] if isinstance(secrets, (str, Secret)) else list(secrets)
