"""Host code that Smalt calls: behaviour of applications, presenters, master keys, workflows.

Each is a class with methods that are coroutines or plain functions. Coroutines run on the event loop on which the plugin was
registered (the blocking `Smalt` has a loop for them on a thread of its own), plain functions in a small pool of threads. A method that
is not defined is not asked: then the default counts. What a method raises becomes an error of kind `plugin` that names the plugin and has
the exception as its cause; others are unharmed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping

from ._errors import SmaltError
from ._smalt import load_manifest
from .types import FieldOption, Identity, RuleColumn, RuleColumns

Option = FieldOption

__all__ = [
    "AppManifest",
    "Connector",
    "FieldOption",
    "Identity",
    "KeyProvider",
    "Option",
    "Presenter",
    "Rejected",
    "RuleColumn",
    "RuleColumns",
    "WorkflowRunner",
]


class Rejected(Exception):
    """Raised by `Connector.verify`: the application refuses what the user entered; nothing is saved. Anything else that is raised is
    a fault of the plugin."""


class AppManifest:
    """An application as data. `load` reads a manifest file; the constructor takes the same as a mapping."""

    __slots__ = ("data", "slug")

    data: Mapping[str, Any]
    """The manifest's content."""
    slug: str
    """The application's stable name."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = dict(data)
        self.slug = str(data["slug"])

    @classmethod
    def load(cls, path: str | Path) -> AppManifest:
        """Reads and checks a manifest file (TOML).

        Raises:
            ConfigurationError: `manifest_invalid` names file, line, key and the cure.
        """
        _, data = load_manifest(path)
        return cls(data)

    def __repr__(self) -> str:
        return f"AppManifest(slug={self.slug!r})"


class Connector:
    """An application's behaviour. Define what the manifest cannot say:

    - `verify(self, ctx, credential)`: who the credential belongs to (`Identity`), or `None`; raises `Rejected` to refuse it.
    - `options(self, ctx, field, *, search, parent_value, workflow, source)`: the choices of a field (`Option`s), or `None`.
    - `rule_columns(self, ctx, field, *, lhs, workflow)`: the columns of a rule (`RuleColumns`), or `None`.
    - `revoke(self, ctx, *, connection_id, attempt)`: `True` when the grant is dead now, `False` where the manifest decides.

    A method takes those of these arguments that it names. `ctx` has `account_id`, `application`, `credential` and
    `request(method, path, …)`, an authenticated call: awaited in a coroutine, plain in a plain function.
    """

    slug: str = ""
    """The application's slug; default the manifest's."""
    manifest: AppManifest | None = None
    """The application as data, where the connector brings it along."""

    @property
    def name(self) -> str:
        """The application that it belongs to."""
        if self.slug:
            return self.slug
        if self.manifest is not None:
            return self.manifest.slug
        raise TypeError(f"{type(self).__name__} names no application: set `slug`, or `manifest`")


class Presenter:
    """Opens the authorize page for the user. Define `present(self, authorize_url, *, redirect_uri, application, device)`: it answers
    the callback URL where the presenter catches it itself, else `None`. It raises `FlowError.user_cancelled()` for a user who closes the
    page, and `FlowError.window_blocked()` for a window that something blocks. It may answer as soon as the page is open, or keep it open as
    a coroutine: that is cancelled when its flow has ended or the caller's time is over. A plain function keeps one of the threads of plugins."""

    name: str = "python"
    """For errors."""
    redirect_uri: str | None = None
    """The redirect URI that this presenter catches; `None` lets Smalt listen on the loopback address."""


class KeyProvider:
    """Master keys, e.g. of a key management service. Define `key_id(self) -> str`, `wrap(self, data_key: bytes, aad: bytes) -> bytes` and
    `unwrap(self, key_id: str, wrapped: bytes, aad: bytes) -> bytes`. `Rejected` from `unwrap` says that the key does not open it."""


class WorkflowRunner:
    """Runs the organisation's workflows. Define `run(self, workflow, *, account_id, application, config_id, fields, workflow_fields,
    payload)`; its answer goes back to the caller of `run_workflow`."""


# Errors of Smalt that pass through a plugin stay what they are.
PASSED_ON = SmaltError
