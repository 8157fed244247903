"""For tests of whoever uses Smalt: a clock that moves when it is told to, and the sandbox provider with its controls.

The pytest plugin of this package has fixtures of both: `smalt_sandbox`, `smalt`, `async_smalt`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from ._smalt import FixedClock, run, serve, start_sandbox, visit

if TYPE_CHECKING:
    from ._async import AsyncSmalt
    from ._sync import Smalt

__all__ = ["FixedClock", "Sandbox", "Served"]


class Sandbox:
    """A running sandbox provider: a strict small OAuth 2.0 server and key-checking API on loopback. Name its `origin` in the project
    as `sandbox.url`. It ends with this object, or with `close`."""

    def __init__(self) -> None:
        self._native: Any = run(start_sandbox())

    @property
    def origin(self) -> str:
        """Its origin, e.g. `http://127.0.0.1:40123`."""
        if self._native is None:
            raise ValueError("the sandbox was closed")
        origin: str = self._native.origin
        return origin

    def close(self) -> None:
        """Ends it."""
        self._native = None

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def _ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(self.origin + path, data=data, headers={"content-type": "application/json"})
        with urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def control(self, order: dict[str, Any]) -> None:
        """Tells it how to behave, e.g. `{"do": "set", "ways": {"expires_in": 1}}`.

        Raises:
            ValueError: it does not know that order.
        """
        answer = self._ask("/control", order)
        if answer.get("ok") is not True:
            raise ValueError(f"the sandbox refused the order: {answer}")

    def stats(self) -> dict[str, Any]:
        """What it has counted."""
        stats: dict[str, Any] = self._ask("/stats")["stats"]
        return stats

    @staticmethod
    def visit(authorize_url: str, *, user: str = "ada", allow: bool = True) -> str:
        """Plays the user at the authorize page; answers the callback URL, which is not requested.

        Args:
            authorize_url: What `start_connect` answered.
            user: `ada`, `grace` or `linus`.
            allow: Whether the user consents.
        """
        parts = urlsplit(authorize_url)
        query = [*parse_qsl(parts.query), ("sandbox_user", user), ("sandbox_decision", "allow" if allow else "deny")]
        callback: str = run(visit(urlunsplit(parts._replace(query=urlencode(query)))))
        return callback


class Served:
    """An engine's HTTP API on a free loopback port of this process: what `Smalt.remote(served.url, api_key=…)` and SDKs of other
    languages can speak to in tests. `smalt serve` is the server for everything else."""

    def __init__(self, smalt: Smalt | AsyncSmalt, environment: str = "test") -> None:
        self._native: Any = run(serve(smalt._engine, environment))

    @property
    def url(self) -> str:
        """Where it listens."""
        url: str = self._native.url
        return url

    def close(self) -> None:
        """Ends it; the engine stays open."""
        self._native.stop()

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()
