"""Requests, as their arguments make them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def without_none(values: dict[str, Any]) -> dict[str, Any]:
    """A request without what was not given."""
    return {name: value for name, value in values.items() if value is not None}


def given(**values: Any) -> dict[str, Any]:
    """The part of a request that these arguments are."""
    return without_none(values)
