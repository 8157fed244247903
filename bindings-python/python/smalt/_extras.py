"""Methods on top of what the core answers."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._smalt import Secret
    from .types import NameValue


class AnswerMethods:
    """What a provider's answer can be asked."""

    __slots__ = ()
    if TYPE_CHECKING:
        status: int
        headers: tuple[NameValue, ...]
        body: bytes

    @property
    def ok(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300

    def header(self, name: str) -> str | None:
        """The first header of this name, whatever its case."""
        wanted = name.lower()
        return next((header.value for header in self.headers if header.name.lower() == wanted), None)

    @property
    def text(self) -> str:
        """The body as text (UTF-8; what is none is replaced)."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is none.
        """
        import json

        return json.loads(self.body)


class CookieMethods:
    """How the cookie is set."""

    __slots__ = ()
    if TYPE_CHECKING:
        name: str
        value: Secret
        max_age: int

    def header(self) -> str:
        """The value of the `Set-Cookie` header for an https site. Browsers also take it on `http://localhost`, Safari excepted."""
        return f"{self.name}={self.value.reveal()}; Max-Age={self.max_age}; Path=/; Secure; HttpOnly; SameSite=Lax"


class CredentialMethods:
    """How the credential is used."""

    __slots__ = ()
    if TYPE_CHECKING:
        access_token: Secret | None
        token_type: str | None

    def authorization(self) -> str:
        """The value of the `Authorization` header.

        Raises:
            ValueError: the credential has no access token; use its `values`.
        """
        if self.access_token is None:
            raise ValueError("this credential has no access token: its `values` are what the user entered")
        kind = self.token_type or "Bearer"
        return f"{'Bearer' if kind.lower() == 'bearer' else kind} {self.access_token.reveal()}"
