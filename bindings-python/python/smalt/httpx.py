"""`httpx.Auth` of an application: `account.httpx_auth("slack")`. Needs `pip install smalt[httpx]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, AsyncGenerator, Generator
from urllib.parse import urlsplit

import httpx

from .types import Credential

if TYPE_CHECKING:
    from ._async import AsyncAccount
    from ._sync import Account


class SmaltAuth(httpx.Auth):
    """Puts a valid access token into each request, and looks for a renewed one after a 401.

    A token goes to the first host that it was used for, and to no other: a redirect or a link elsewhere does not take it along. For
    applications whose credential is no access token use `account.request`, which knows where each application wants its own.
    """

    def __init__(self, account: AsyncAccount | Account, application: str, connection: str | None = None) -> None:
        self._account: Any = account
        self._application, self._connection = application, connection
        self._host: tuple[str, str, int | None] | None = None

    def _use(self, request: httpx.Request, credential: Credential) -> None:
        parts = urlsplit(str(request.url))
        host = (parts.scheme, parts.hostname or "", parts.port)
        if self._host is None:
            self._host = host
        if host != self._host:
            raise ValueError(f"the token of `{self._application}` was used for another host: make an `httpx_auth` for each")
        request.headers["authorization"] = credential.authorization()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """For `httpx.Client`, with a blocking account."""
        credential = self._account.credential(self._application, connection=self._connection)
        if not isinstance(credential, Credential):
            credential.close()
            raise TypeError("an account of `AsyncSmalt` goes with `httpx.AsyncClient`")
        self._use(request, credential)
        response = yield request
        if response.status_code == 401:
            again = self._account.credential(self._application, connection=self._connection)
            if again != credential:
                self._use(request, again)
                yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """For `httpx.AsyncClient`, with an account of `AsyncSmalt`."""
        credential = self._account.credential(self._application, connection=self._connection)
        if isinstance(credential, Credential):
            raise TypeError("an account of `Smalt` goes with `httpx.Client`")
        credential = await credential
        self._use(request, credential)
        response = yield request
        if response.status_code == 401:
            again = await self._account.credential(self._application, connection=self._connection)
            if again != credential:
                self._use(request, again)
                yield request
