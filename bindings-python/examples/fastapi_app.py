"""A FastAPI backend: sessions for the browser, the two routes of a connect, and Smalt's HTTP API beside the product's own.

`uvicorn fastapi_app:app`. The engine is opened and closed with the application.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from typing import Any, AsyncIterator

from fastapi import FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse, RedirectResponse

from smalt import AsyncSmalt, SmaltError
from smalt.webhooks import verify

STORE = os.environ.get("STORE", "smalt.db")
PROJECT = os.environ.get("PROJECT", "smalt.toml")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncSmalt.embedded(STORE, project=PROJECT) as smalt:  # the key from SMALT_KEY or SMALT_KEY_FILE
        app.state.smalt = smalt
        app.mount("/smalt", smalt.asgi())  # pages and SDKs of other languages speak to this process
        yield


app = FastAPI(lifespan=lifespan)


@app.exception_handler(SmaltError)
async def refused(request: Request, error: SmaltError) -> JSONResponse:
    return JSONResponse({"code": error.code, "message": error.reason}, status_code=error.http_status or 500)


def user(x_user: str | None) -> str:
    """Who is logged in: your own cookie or token says so. Here a header does."""
    if not x_user:
        raise HTTPException(401, "log in first")
    return x_user


@app.post("/smalt-session")
async def session(request: Request, x_user: str | None = Header(None)) -> dict[str, str]:
    """A session for the browser: it may connect and configure, and never sees a credential."""
    account = request.app.state.smalt.account(user(x_user))
    await account.ensure()
    made = await account.session()
    return {"token": made.token.reveal(), "expires_at": made.expires_at.isoformat()}


@app.get("/connect/{application}")
async def connect(application: str, request: Request, x_user: str | None = Header(None)) -> RedirectResponse:
    account = request.app.state.smalt.account(user(x_user))
    await account.ensure()
    started = await account.start_connect(application, return_to=None)
    response = RedirectResponse(started.authorize_url, status_code=302)
    # It binds this browser to the flow: whoever begins is who ends.
    response.headers.append("set-cookie", started.cookie.header())
    return response


@app.get("/api/v1/{application}/callback")
async def callback(application: str, request: Request, x_user: str | None = Header(None)) -> dict[str, Any]:
    account = request.app.state.smalt.account(user(x_user))
    connection = await account.finish_connect(str(request.url), cookie=request.headers.get("cookie", ""))
    return {"connection": connection.id, "label": connection.identity.label if connection.identity else None}


@app.get("/items/{application}")
async def items(application: str, request: Request, x_user: str | None = Header(None)) -> Any:
    answer = await request.app.state.smalt.account(user(x_user)).request(application, "GET", "items")
    return answer.json()


@app.post("/webhooks/{application}")
async def webhook(application: str, request: Request) -> dict[str, int]:
    """Something changed at the application: every connected customer's data is fetched anew. Whoever calls must have signed, as Standard
    Webhooks has it, and as Smalt signs its own deliveries; anything else is refused (`webhook_unverified`, 401)."""
    verify(request.headers, await request.body(), os.environ["WEBHOOK_SECRET"])
    fetched = 0
    smalt: AsyncSmalt = request.app.state.smalt
    async for account in smalt.accounts():
        handle = smalt.account(account.id)
        for connection in await handle.list_connections(application):
            if connection.status == "active":
                await handle.request(application, "GET", "items", connection=connection.id)
                fetched += 1
    return {"fetched": fetched}
