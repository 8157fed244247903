"""The npm package `oidc-provider`, unchanged, and a user who consents there: see tests/counterparts/README.md."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any

from .conftest import REPOSITORY

FOLDER = REPOSITORY / "tests" / "counterparts"


class Script:
    """A helper script that speaks JSON lines."""

    def __init__(self, name: str, *arguments: str) -> None:
        assert (FOLDER / "node_modules").is_dir(), "the counterparts are not installed: run tests/counterparts/install.sh"
        self.process = subprocess.Popen(["node", str(FOLDER / name), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.said: Any = self.read()

    def read(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self, request: dict[str, Any]) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self.read()

    def __enter__(self) -> Script:
        return self

    def __exit__(self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)


def provider(redirect_uri: str, *flags: str) -> Script:
    """A running provider: `said` has `issuer`, `control` and `client`."""
    return Script("provider.mjs", "--until-stdin-closes", "--redirect-uri", redirect_uri, *flags)


def user() -> Script:
    """A user without a browser."""
    return Script("consent.mjs", "--no-browser", "--serve")


def manifest(issuer: str) -> dict[str, Any]:
    """The provider as an application."""
    return {
        "manifest": 1,
        "slug": "counterpart",
        "name": "Counterpart",
        "description": "oidc-provider",
        "api": {"base_url": f"{issuer}/"},
        "oauth2": {
            "authorize_url": f"{issuer}/auth",
            "token_url": f"{issuer}/token",
            "issuer": issuer,
            "authorize_params": {"prompt": "consent"},
            "scopes": {"default": ["openid", "offline_access", "email"]},
            "refresh": {"early": 5},
            "revoke": {"url": f"{issuer}/token/revocation"},
            "identity": {"url": f"{issuer}/me", "id": "/sub", "label": "/sub"},
        },
    }


def project(said: Any, folder: Path, public_url: str) -> dict[str, Any]:
    """A project that offers it, and lets it be called on loopback."""
    secret = folder / "counterpart-secret"
    secret.write_text(said["client"]["secret"])
    client = {"id": said["client"]["id"], "secret": {"file": str(secret)}}
    return {
        "version": 1,
        "org": {"public_url": public_url},
        "network": {"allow": [said["issuer"].removeprefix("http://")]},
        "apps": {"counterpart": {"client": {"test": client}}},
    }
