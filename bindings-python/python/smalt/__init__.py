"""Smalt lets the users of your product connect their Slack, QuickBooks, Twilio … to it.

`AsyncSmalt` is for asyncio, `Smalt` the same without `await` for Django, Flask, Celery and scripts:

    from smalt import Smalt

    with Smalt.sandbox() as smalt:
        account = smalt.account("customer-42")
        account.ensure()
        account.connect("sandbox-oauth")
        print(account.request("sandbox-oauth", "GET", "items").json())
"""

from __future__ import annotations

import atexit
import os

from . import errors
from ._smalt import Secret, __version__, after_fork_in_child, after_fork_in_parent, before_fork, leave, make_key
from ._sync import Account, Flow, Session, Smalt
from .errors import SmaltError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from . import types
    from ._async import AsyncAccount, AsyncFlow, AsyncSession, AsyncSmalt
    from .plugins import AppManifest, Connector, Identity, KeyProvider, Option, Presenter, Rejected, WorkflowRunner

# Threads that are inside the native module when the interpreter ends must not come back.
atexit.register(leave)
# No store has its file open while this process forks.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=before_fork, after_in_parent=after_fork_in_parent, after_in_child=after_fork_in_child)

# Made when they are asked for: what they need takes longer to import than all of the above.
_LATER = {
    "AsyncAccount": "_async",
    "AsyncFlow": "_async",
    "AsyncSession": "_async",
    "AsyncSmalt": "_async",
    "AppManifest": "plugins",
    "Connector": "plugins",
    "Identity": "plugins",
    "KeyProvider": "plugins",
    "Option": "plugins",
    "Presenter": "plugins",
    "Rejected": "plugins",
    "WorkflowRunner": "plugins",
    "types": "types",
}

__all__ = [
    "Account",
    "AppManifest",
    "AsyncAccount",
    "AsyncFlow",
    "AsyncSession",
    "AsyncSmalt",
    "Connector",
    "Flow",
    "Identity",
    "KeyProvider",
    "Option",
    "Presenter",
    "Rejected",
    "Secret",
    "Session",
    "Smalt",
    "SmaltError",
    "WorkflowRunner",
    "__version__",
    "errors",
    "make_key",
    "types",
]


def __getattr__(name: str) -> Any:
    module = _LATER.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found = import_module(f"{__name__}.{module}")
    value = found if module == name else getattr(found, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
