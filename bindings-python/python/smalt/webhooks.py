"""Receiving webhooks of Smalt: `verify` in the route, before anything reads the body."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Iterable, Mapping, NamedTuple, Sequence

from ._smalt import Secret, verify_webhook

__all__ = ["Verified", "verify"]


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
) -> Verified:
    """Checks that the body came from whoever has one of these secrets, and lately.

    Args:
        headers: The request's headers.
        body: The bytes as they came.
        secrets: The webhook's secret; both while one replaces the other.
        tolerance: How far from now it may have been sent; default 5 minutes.

    Raises:
        SmaltError: `webhook_unverified`.
    """
    items = headers.items() if isinstance(headers, Mapping) else headers
    known = [secrets] if isinstance(secrets, (str, Secret)) else list(secrets)
    seconds = tolerance.total_seconds() if isinstance(tolerance, timedelta) else tolerance
    id, millis = verify_webhook([(str(name), str(value)) for name, value in items], body, known, seconds)
    return Verified(id, datetime.fromtimestamp(millis / 1000, timezone.utc))
