"""From inside which call of a plugin the current code runs."""

from __future__ import annotations

from contextvars import ContextVar

from ._smalt import Scope

scope: ContextVar[Scope | None] = ContextVar("smalt_scope", default=None)
